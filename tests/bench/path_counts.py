#!/usr/bin/env python3
# tests/bench/path_counts.py: instructions per request of the produce and fetch paths, checked.
"""Runs millrace_path_bench under callgrind and compares the instructions per request with
path_counts.json. Instructions do not move with the load of the machine, so a few percent more are a
finding. They do move with compiler and C library: the numbers hold for the release build on Debian
12, elsewhere the check is skipped.

    path_counts.py BENCH            compare; exit 1 when a path got dearer
    path_counts.py BENCH --renew    write what was measured into path_counts.json
    path_counts.py BENCH --profile produce16k   where they are spent (callgrind_annotate)"""
import argparse
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

COUNTS = pathlib.Path(__file__).with_suffix(".json")
MEASURED = "millrace::bench::(anonymous namespace)::measured*"
REQUESTS = 2000
SKIPPED = 77
# name: mode and options of path_bench
CASES = {
    "produce1k": ["produce", "--batch-bytes", "1024", "--record-bytes", "1024"],
    "produce16k": ["produce", "--batch-bytes", "16384"],
    "produce_lz4": ["produce", "--batch-bytes", "16384", "--codec", "lz4"],
    "produce_zstd": ["produce", "--batch-bytes", "16384", "--codec", "zstd"],
    "fetch1m": ["fetch", "--max-bytes", str(1 << 20)],
}


def count(bench, words, profile=None):
    """Instructions per request inside measured()."""
    with tempfile.TemporaryDirectory(prefix="millrace-counts-") as folder:
        out = profile or f"{folder}/callgrind.out"
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--toggle-collect={MEASURED}",
             bench, f"{folder}/data", words[0], str(REQUESTS), *words[1:]], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"path_counts: {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return int(re.search(r"Collected : (\d+)", done.stderr)[1]) / REQUESTS


def where():
    release = platform.freedesktop_os_release()
    return f"{release['ID']} {release.get('VERSION_ID', '')} {platform.machine()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--profile", choices=CASES)
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is missing (tools/dev/dev setup)")
        sys.exit(SKIPPED)
    if options.profile:
        with tempfile.NamedTemporaryFile() as out:
            count(options.bench, CASES[options.profile], out.name)
            subprocess.run(["callgrind_annotate", "--inclusive=yes", out.name], check=True)
        return
    known = json.loads(COUNTS.read_text())
    if not options.renew and where() != known["where"]:
        print(f"skipped: the numbers are of {known['where']}, this is {where()}")
        sys.exit(SKIPPED)
    bad = []
    for name, words in CASES.items():
        now, before = count(options.bench, words), known["instructions_per_request"].get(name)
        change = 100 * (now / before - 1) if before else 0
        print(f"{name:14} {now:9,.0f} instructions a request"
              + (f", {change:+.1f} % against {before:,}" if before else ""), flush=True)
        if options.renew or before is None:
            known["instructions_per_request"][name] = round(now)
        elif change > known["tolerance_percent"]:
            bad.append(name)
    if options.renew:
        known["where"] = where()
        COUNTS.write_text(json.dumps(known, indent=2) + "\n")
    elif bad:
        sys.exit(f"path_counts: {', '.join(bad)} got dearer by more than {known['tolerance_percent']} %. Find out why "
                 "(--profile); when it is meant: --renew, and say so in the commit")


if __name__ == "__main__":
    main()
