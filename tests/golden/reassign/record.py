#!/usr/bin/env python3
# tests/golden/reassign/record.py: what Apache's tool says about broken reassignment files.
"""Writes json_errors.json beside this file: every input with the text that Apache Kafka 4.3.1 prints
in front of the stack trace. None of them gets as far as asking a broker. Inputs are kept from the
file itself; new ones are given as arguments."""
import json
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "interop"))
import harness  # noqa: E402

GOLDEN = HERE / "json_errors.json"


def main():
    known = [row["input"] for row in json.loads(GOLDEN.read_text())] if GOLDEN.exists() else []
    tools = harness.JavaTools()
    rows = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "plan.json"
            for text in dict.fromkeys([*known, *sys.argv[1:]]):
                path.write_text(text)
                _, out, _ = tools("reassign-partitions", "--bootstrap-server", "127.0.0.1:1",
                                  "--execute", "--reassignment-json-file", path, code=None)
                rows.append({"input": text, "says": out.split("\n\tat ")[0]})
    finally:
        tools.close()
    GOLDEN.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
