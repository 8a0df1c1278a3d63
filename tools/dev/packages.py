# tools/dev/packages.py: the one list of Debian packages, why each is needed, and how to install them.
"""Sets: `build` is enough to build and run the broker; `test` adds what `dev test` needs; `extra`
adds what only some commands need (fuzz, fmt, bench). Only what is missing is installed."""
import os
import shutil
import subprocess
import sys

# (package, command that makes it unnecessary or "", why)
PACKAGES = {
    "build": (
        ("g++", "", "the compiler: GCC 12, C++20"),
        ("cmake", "cmake", "the build, 3.25 with presets"),
        ("ninja-build", "ninja", "runs the build"),
        ("ccache", "ccache", "unchanged objects are not compiled twice"),
        ("lld", "ld.lld", "links in a fraction of ld's time"),
        ("python3", "python3", "wiregen and these tools; standard library only"),
        ("libboost1.81-dev", "", "Asio, header only, in the net floor (plain libboost-dev is 1.74)"),
        ("libspdlog-dev", "", "log sink, in src/base/log.cc"),
        ("libfmt-dev", "", "formatting; GCC 12 has no <format>"),
        ("libyaml-cpp-dev", "", "YAML config files, in app"),
        ("libcli11-dev", "", "the command line"),
        ("nlohmann-json3-dev", "", "JSON of the command line's -o json"),
        ("liblz4-dev", "", "codec lz4"),
        ("libzstd-dev", "", "codec zstd"),
        ("libsnappy-dev", "", "codec snappy"),
        ("zlib1g-dev", "", "codec gzip"),
        ("libisal-dev", "", "CRC-32C at memory speed"),
        ("libre2-dev", "", "regular expressions of subscriptions and listings"),
        ("libxxhash-dev", "", "Kafka's hash of a group's topics; header only"),
        ("libgtest-dev", "", "unit tests; the build makes them with the rest"),
    ),
    "test": (
        ("git", "git", "freshness tests compare with the tree"),
        ("default-jdk-headless", "javac", "Apache Kafka and its clients, the oracle of every test"),
        ("maven", "mvn", "fetches Apache Kafka's jars from Maven Central"),
        ("golang-go", "go", "franz-go, an independent client"),
        ("kcat", "kcat", "an independent command line client"),
        ("librdkafka-dev", "", "an independent C client"),
        ("python3-yaml", "", "reads the compose files of docker/ in a test"),
        ("clang", "clang++", "libFuzzer; a minute of it is part of the tests"),
        ("libclang-rt-14-dev", "", "libFuzzer's and the sanitizers' run time"),
        ("glpk-utils", "glpsol", "solves the integer programs that placement is compared with"),
        ("iproute2", "ip", "network namespaces, whose links dev chaos cuts"),
        ("valgrind", "valgrind", "callgrind counts instructions of the hot paths"),
    ),
    "extra": (
        ("clang-format", "clang-format", "dev fmt"),
        ("strace", "strace", "dev bench counts system calls"),
        ("python3-venv", "", "dev interop spark installs pyspark beside itself"),
    ),
}


def installed(names):
    """Those of the packages that dpkg calls installed."""
    answer = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *names],
                            capture_output=True, text=True, check=False)
    return {line.split()[0].split(":")[0] for line in answer.stdout.splitlines()
            if line.split()[1:] == ["ii"]}


def missing(sets):
    rows = [row for name in sets for row in PACKAGES[name]]
    if not shutil.which("dpkg-query"):
        return [package for package, command, _ in rows if command and not shutil.which(command)]
    have = installed([package for package, _, _ in rows])
    return [package for package, command, _ in rows
            if package not in have and not (command and shutil.which(command))]


def ensure(*sets, say=print):
    """Installs what is missing of the sets; raises SystemExit with one line when it cannot."""
    wanted = missing(sets)
    if not wanted:
        return
    why = {package: reason for rows in PACKAGES.values() for package, _, reason in rows}
    for package in wanted:
        say(f"needs {package}: {why[package]}")
    if not shutil.which("apt-get"):
        sys.exit("dev: no apt-get here; install by hand: " + " ".join(wanted))
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    env = ["env", "DEBIAN_FRONTEND=noninteractive"]
    apt = sudo + env + ["apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=300"]
    for command in (apt + ["update"], apt + ["install", "--no-install-recommends", *wanted]):
        say("$ " + " ".join(command))
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            sys.exit("dev: setup failed: " + " ".join(command))


if __name__ == "__main__":
    for name, rows in PACKAGES.items():
        print(f"{name}:")
        for package, _, reason in rows:
            print(f"  {package:24} {reason}")
