#!/usr/bin/env python3
# tools/rebalance_rackaware.py: the old name and habits of runbooks, for `millrace rebalance-rackaware`.
"""Calls `millrace rebalance-rackaware` with the same options. A single dash in front of a long
option does as well as two, because the old tool's own hints wrote it so. Without an action and
without --rebalancePlanDir it prints a hint and ends with 0, as that tool did.

The binary is $MILLRACE, else the one beside this file or in its build folder, else on the PATH."""
import os
import pathlib
import shutil
import sys


def binary():
    here = pathlib.Path(__file__).resolve().parent
    for path in (os.environ.get("MILLRACE", ""), here / "millrace",
                 here.parent / "build/release/millrace"):
        if str(path) and os.access(path, os.X_OK) and not os.path.isdir(path):
            return str(path)
    return shutil.which("millrace")


def with_two_dashes(word):
    """-execute and -topics=x; -b and -o stay what they are."""
    if len(word) > 2 and word[0] == "-" and word[1] not in "-0123456789" and word[1].isalpha():
        return "-" + word
    return word


def main():
    words = [with_two_dashes(word) for word in sys.argv[1:]]
    program = binary()
    if program is None:
        sys.exit("error: no millrace found\n  fix: put it on the PATH, or name it in MILLRACE")
    asks_for_help = not words or "--help" in words or "-h" in words
    has_directory = any(word.split("=")[0] == "--rebalancePlanDir" for word in words)
    if not asks_for_help and not has_directory:
        print("Please provide --rebalancePlanDir, the directory that keeps the plan.")
        sys.exit(0)
    os.execv(program, [program, "rebalance-rackaware", *(["--help"] if asks_for_help else words)])


if __name__ == "__main__":
    main()
