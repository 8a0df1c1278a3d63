# tests/conformance/run.py: exchanges every message version with Kafka's own classes, both ways.
#
#   python3 tests/conformance/run.py --tool PATH_OF_wire_roundtrip --build BUILD_FOLDER [--seed N]
#
# Prints "N of N message versions" and fails unless every one agrees byte for byte: Kafka's default,
# all-null and random instances through our codecs, and ours through Kafka's.
import argparse
import os
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20, help="random instances per version")
    options = parser.parse_args()
    if not os.path.exists(options.tool):
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
