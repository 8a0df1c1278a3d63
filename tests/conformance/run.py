# tests/conformance/run.py: exchanges every message version with Kafka's own classes, both ways.
#
#   python3 tests/conformance/run.py --tool PATH_OF_wire_roundtrip --build BUILD_FOLDER [--seed N]
#
# Prints "N of N message versions" and fails unless every one agrees byte for byte: Kafka's default,
# all-null and random instances through our codecs, and ours through Kafka's.
import argparse
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def kafka_libs():
    return output(os.path.join(ROOT, "tools", "dev", "kafka"), "libs").split()[-1]


def java(libs, classes, *arguments):
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"
    subprocess.run(["java", "-Xmx512m", quiet, "-cp", f"{libs}/*:{classes}", "WireDriver",
                    *arguments], check=True, stdout=subprocess.DEVNULL)


def entries(path):
    """(kind, name, version, bytes) of a stream written by WireDriver."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        kind, (size,) = chr(data[at]), struct.unpack_from(">H", data, at + 1)
        name = data[at + 3:at + 3 + size].decode()
        version, length = struct.unpack_from(">hi", data, at + 3 + size)
        at += 9 + size + length
        yield kind, name, version, data[at - length:at]


def write_golden(stream, path):
    """The default of every message version, and its longest random one up to 100 bytes."""
    best = {}
    for kind, name, version, data in entries(stream):
        slot = (name, version, "default" if kind == "d" else "random")
        better = slot not in best or len(data) > len(best[slot])
        if kind != "n" and better and len(data) <= 100:
            best[slot] = data
    with open(path, "w", encoding="utf-8") as file:
        file.write("# tests/golden/wire/kafka_messages.hex: encoded by Kafka 4.3.1; name, version, "
                   "kind, bytes. Made by tests/conformance/run.py --golden.\n")
        for (name, version, kind), data in sorted(best.items()):
            file.write(f"{name} {version} {kind} {data.hex() or '-'}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20, help="random instances per version")
    parser.add_argument("--golden", help="write tests/golden/wire/kafka_messages.hex and stop")
    options = parser.parse_args()
    subprocess.run(["ninja", "-C", options.build, "wire_roundtrip"], check=True,
                   stdout=subprocess.DEVNULL)
    libs = kafka_libs()
    seed, count = str(options.seed), str(options.count)
    with tempfile.TemporaryDirectory() as work:
        theirs, ours = os.path.join(work, "theirs.bin"), os.path.join(work, "ours.bin")
        report = os.path.join(work, "report")
        subprocess.run(["javac", "-nowarn", "-d", work, "-cp", f"{libs}/*",
                        os.path.join(HERE, "java", "WireDriver.java")], check=True)
        java(libs, work, "emit", libs, seed, count, theirs)
        if options.golden:
            write_golden(theirs, options.golden)
            return
        decoded, all_decoded = map(int, output(options.tool, "check", theirs).split())
        emitted = subprocess.run([options.tool, "emit", seed, count, ours]).returncode == 0
        java(libs, work, "check", libs, ours, report)
        with open(report, encoding="utf-8") as file:
            accepted, all_accepted = map(int, file.read().split())
    print(f"Kafka to Millrace: {decoded} of {all_decoded} message versions")
    print(f"Millrace to Kafka: {accepted} of {all_accepted} message versions")
    good = emitted and decoded == all_decoded == accepted == all_accepted
    print(f"{min(decoded, accepted)} of {max(all_decoded, all_accepted)} message versions")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
