#!/usr/bin/env python3
# tools/dev/dev.py: what `dev` does, command by command.
"""Each command sets itself up when something is missing, shows progress, and says in one line what
failed. Python's standard library only."""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "dev"))
import packages  # noqa: E402
from floors import FLOORS, source_files  # noqa: E402

JOBS = str(os.cpu_count() or 2)
READY_SECONDS = 30


def say(text):
    print(f"dev: {text}", file=sys.stderr, flush=True)


def fail(text, code=1):
    say(text)
    sys.exit(code)


def run(command, what, **options):
    """Runs a command with its output on the terminal; ends dev with one line when it fails."""
    command = [str(part) for part in command]
    options.setdefault("cwd", ROOT)
    code = subprocess.run(command, check=False, **options).returncode
    if code != 0:
        fail(f"{what} failed (exit {code}): {' '.join(command)}", code if 0 < code < 126 else 1)


def configure(preset):
    folder = ROOT / "build" / preset
    if not (folder / "build.ninja").exists():
        say(f"configures build/{preset}")
        run(["cmake", "--preset", preset, "-Wno-dev", "--log-level=WARNING"], f"configure {preset}")
    return folder


def build(preset, targets=()):
    """Configures when needed and builds; returns the build folder."""
    packages.ensure("build", say=say)
    folder = configure(preset)
    say(f"builds build/{preset}" + (f": {' '.join(targets)}" if targets else ""))
    command = ["cmake", "--build", folder, "--parallel", JOBS]
    run(command + (["--target", *targets] if targets else []), f"build {preset}",
        env={**os.environ, "NINJA_STATUS": "[%f/%t %es] "})
    return folder


def targets_of(folder):
    return subprocess.run(["ninja", "-C", str(folder), "-t", "targets", "all"], capture_output=True,
                          text=True, check=False).stdout


def ctest(folder, *arguments):
    command = ["ctest", "--test-dir", str(folder), "--output-on-failure", "--no-tests=error",
               "-j", JOBS, *arguments]
    sys.stderr.flush()
    return subprocess.run(command, cwd=ROOT, check=False).returncode


# ---- commands ---------------------------------------------------------------------------------

def command_setup(options):
    packages.ensure("build", *([] if options.minimal else ["test", "extra"]), say=say)
    if not options.minimal:
        run([ROOT / "tools/dev/kafka", "prepare"], "Apache Kafka")
    say("everything is here")


def command_build(options):
    folder = build(options.preset)
    say(f"built {(folder / 'millrace').relative_to(ROOT)}")


def command_test(options):
    if options.floor:
        if options.floor not in FLOORS:
            fail(f"no floor '{options.floor}'; floors: {' '.join(FLOORS)}", 2)
        folder = build(options.preset, [f"millrace_{options.floor}_test"])
        sys.exit(ctest(folder, "-R", f"^unit_{options.floor}$"))
    if options.quick:
        sys.exit(ctest(build(options.preset), "-L", "quick"))
    packages.ensure("build", "test", say=say)
    run([ROOT / "tools/dev/kafka", "prepare"], "Apache Kafka")
    folder = build(options.preset)
    build_fuzzers()  # before ctest, so that compilers do not compete with tests for the cores
    sys.exit(ctest(folder))


def command_tidy(_):
    sys.exit(subprocess.run([sys.executable, ROOT / "tools/dev/tidy.py"], check=False).returncode)


def command_fmt(options):
    packages.ensure("extra", say=say)
    files = options.files or source_files("include", "src", "tools", "tests")
    run(["clang-format", "--style=file", "-i", *files], "clang-format")
    run([sys.executable, ROOT / "tools/dev/filemap.py", "--update"], "file map")


def command_map(_):
    run([sys.executable, ROOT / "tools/dev/filemap.py", "--update"], "file map")


def command_sim(options):
    folder = build(options.preset, ["millrace_sim"])
    run([folder / "tests/sim/millrace_sim", *options.arguments], "sim")


def command_interop(options):
    packages.ensure("build", "test", say=say)
    run([ROOT / "tools/dev/kafka", "prepare"], "Apache Kafka")
    arguments = ["--broker", options.broker]
    if options.broker == "millrace":
        folder = build("release", ["millrace"])
        arguments += ["--millrace", str(folder / "millrace")]
    scripts = sorted((ROOT / "tests/interop").glob(f"[0-9]*{options.name or ''}*.py"))
    if not scripts:
        fail(f"no interop test named '{options.name}'", 2)
    failed = [script.stem for script in scripts
              if subprocess.run([sys.executable, script, *arguments], check=False).returncode]
    print(f"{len(scripts) - len(failed)} passed, {len(failed)} failed")
    if failed:
        fail("interop failed: " + " ".join(failed))


def command_conformance(_):
    packages.ensure("build", "test", say=say)
    run([ROOT / "tools/dev/kafka", "prepare"], "Apache Kafka")
    sys.exit(ctest(build("release", ["wire_roundtrip"]), "-R", "^conformance", "-V"))


def build_fuzzers():
    packages.ensure("build", "test", say=say)
    folder = configure("fuzz")
    names = [line.split(":")[0] for line in targets_of(folder).splitlines()
             if re.match(r"(?!cmake_)\w+_fuzz: phony", line)]
    if not names:
        fail("there are no fuzz harnesses in tests/fuzz")
    build("fuzz", names)
    return folder, names


def command_fuzz(options):
    folder, names = build_fuzzers()
    each = max(1, options.seconds // len(names))
    for name in names:
        say(f"{name}: {each} s")
        corpus = folder / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        kept = ROOT / "tests/fuzz/corpus" / name
        # What it says of coverage and dictionaries matters only beside a finding.
        done = subprocess.run(
            [str(folder / "tests/fuzz" / name), f"-max_total_time={each}", "-timeout=10",
             "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=0",
             f"-artifact_prefix={folder}/", str(corpus), *([str(kept)] if kept.is_dir() else [])],
            cwd=ROOT, capture_output=True, check=False)
        if done.returncode != 0:
            sys.stderr.write(done.stderr.decode(errors="replace"))
            fail(f"{name} found something (exit {done.returncode}); its input is in {folder}")
    say(f"{len(names)} harnesses, nothing found")


def command_bench(options):
    packages.ensure("build", "test", say=say)
    run([ROOT / "tools/dev/kafka", "prepare"], "Apache Kafka")
    folder = build("release", ["millrace", "millrace_load"])
    run([sys.executable, ROOT / "tools/dev/bench.py", "--build", folder,
         *([options.name] if options.name else []), *options.arguments], "bench")


def command_chaos(options):
    packages.ensure("build", "test", say=say)
    folder = build("release", ["millrace"])
    run([sys.executable, ROOT / "tests/chaos/chaos.py", "--millrace", folder / "millrace",
         *options.arguments], "chaos")


def command_cluster(options):
    binary = build("release", ["millrace"]) / "millrace"
    # This process becomes the cluster's: Ctrl-C and signals go where they belong.
    racks = [] if "--racks" in options.words else ["--racks", "3x3"]
    os.execv(binary, [str(binary), "dev", "--brokers", str(options.brokers), *racks,
                      *options.words])


def command_demo(options):
    folder = build("release", ["millrace"])
    run([sys.executable, ROOT / "tools/dev/demo.py", "--millrace", folder / "millrace",
         *options.arguments], "demo")


def command_golden(options):
    folder = build("dev")
    environment = {**os.environ, "MILLRACE_GOLDEN_UPDATE": "1"} if options.update else dict(os.environ)
    run(["ctest", "--test-dir", folder, "-L", "unit", "--output-on-failure"], "golden",
        env=environment)
    run(["git", "--no-pager", "diff", "--stat", "--", "tests/golden"], "git diff")


# ---- dev run ----------------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(process, port):
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            fail(f"the broker ended with exit {process.returncode} before it was ready")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    fail(f"the broker did not listen on port {port} within {READY_SECONDS} s")


def round_trip(binary, port):
    """Create, produce, consume through the socket, printed as a user would type it."""
    server, message = f"localhost:{port}", "hello from millrace"

    def step(shown, arguments, text=None):
        print(f"\n$ {shown}", flush=True)
        done = subprocess.run([str(binary), *arguments, "-b", server], input=text, text=True,
                              capture_output=True, timeout=READY_SECONDS, check=False)
        print((done.stdout + done.stderr).rstrip(), flush=True)
        if done.returncode != 0:
            fail(f"the proof failed at '{shown}' (exit {done.returncode})")
        return done.stdout

    step("millrace topic create first-light", ["topic", "create", "first-light"])
    step(f"echo '{message}' | millrace produce first-light", ["produce", "first-light"], message + "\n")
    got = step("millrace consume first-light -n 1", ["consume", "first-light", "-n", "1"])
    if message not in got:
        fail("the proof failed: what was consumed is not what was produced")
    print("\nround trip through the socket: create, produce, consume: ok", flush=True)


def command_run(options):
    folder = build("release", ["millrace"])
    binary = folder / "millrace"
    port = options.port or (free_port() if options.once else 9092)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            fail(f"port {port} is taken; stop what listens there or use --port N", 3)
    data = tempfile.mkdtemp(prefix="millrace-run-")
    # Its own session: Ctrl-C reaches dev, which stops the broker and removes the directory.
    process = subprocess.Popen([binary, "dev", "--data", data, "--port", str(port)], cwd=ROOT,
                               start_new_session=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        wait_until_listening(process, port)
        round_trip(binary, port)
        if not options.once:
            print(f"\nlistening on localhost:{port}, data in {data} (deleted at the end); "
                  "Ctrl-C stops", flush=True)
            if process.wait() != 0:
                fail(f"the broker ended with exit {process.returncode}")
    except KeyboardInterrupt:
        print()
    finally:
        stop(process)
        shutil.rmtree(data, ignore_errors=True)
    if options.once and process.returncode not in (0, -signal.SIGTERM):
        fail(f"the broker did not stop cleanly (exit {process.returncode})")


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(READY_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def parser():
    top = argparse.ArgumentParser(prog="dev", description="build, test, run and measure Millrace")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name, function, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    add("setup", command_setup, "install what is missing (apt), fetch Apache Kafka for the tests"
        ).add_argument("--minimal", action="store_true", help="only what building and running needs")
    add("build", command_build, "build a preset").add_argument("preset", nargs="?", default="release")
    test = add("test", command_test, "all of CI's tests; or one floor's; or the quick ones")
    test.add_argument("floor", nargs="?")
    test.add_argument("--quick", action="store_true", help="units and tidy only")
    test.add_argument("--preset", default="release")
    add("tidy", command_tidy, "include order and determinism bans; prints the size report")
    add("fmt", command_fmt, "clang-format, and the file map").add_argument("files", nargs="*")
    add("map", command_map, "rewrite the file map in src/ARCHITECTURE.md")
    once = add("run", command_run, "build, start one node, prove it by a round trip, stay until Ctrl-C")
    once.add_argument("--once", action="store_true", help="stop after the proof")
    once.add_argument("--port", type=int)
    sim = add("sim", command_sim, "the simulator; arguments go to it (--seed N, --seeds N)")
    sim.add_argument("--preset", default="release")
    interop = add("interop", command_interop, "programs we did not write, against the broker")
    interop.add_argument("name", nargs="?")
    interop.add_argument("--broker", choices=("millrace", "kafka"), default="millrace")
    add("conformance", command_conformance, "every message and version against Apache's own classes")
    add("fuzz", command_fuzz, "libFuzzer over every decoder").add_argument(
        "seconds", nargs="?", type=int, default=60)
    bench = add("bench", command_bench, "Millrace and Apache Kafka side by side")
    bench.add_argument("name", nargs="?")
    add("chaos", command_chaos, "kill -9, SIGSTOP and cut links under load, then count: "
        "`dev chaos [KILLS] [--seed N]`")
    cluster = add("cluster", command_cluster, "nodes on loopback: `dev cluster up 3 [--racks 3x3]`")
    cluster.add_argument("verb", choices=("up",))
    cluster.add_argument("brokers", type=int)
    cluster.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    add("demo", command_demo, "nine brokers in 3x3 racks: plan, move, lose a domain, undo")
    add("golden", command_golden, "compare the golden files").add_argument(
        "--update", action="store_true", help="rewrite them")
    return top


if __name__ == "__main__":
    # Everything behind these two is their script's.
    passed_on = sys.argv[1:2] in (["chaos"], ["demo"])
    arguments, rest = parser().parse_known_args(sys.argv[1:2] if passed_on else None)
    rest = sys.argv[2:] if passed_on else rest
    if rest and arguments.command not in ("sim", "bench", "chaos", "demo"):
        parser().error(f"unknown arguments: {' '.join(rest)}")
    arguments.arguments = rest
    try:
        arguments.function(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
