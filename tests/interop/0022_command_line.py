#!/usr/bin/env python3
# tests/interop/0022_command_line.py: every command of ours: JSON, error and fix lines, exit codes.
"""The command line: -o json parses on every command, and every failure says what to do."""
import json
import subprocess

from harness import CLUSTER_ID, check, check_equal, check_in, command, die_with_parent, main, wait_for

NOBODY = "127.0.0.1:1"
# Commands without output of their own form, and those that are not for people.
WITHOUT = {"shim", "__complete"}
STREAMS = {("produce",), ("consume",)}  # a line of JSON for each record, or batch
B, TOPIC, GROUP = "{broker}", "birds", "nobody"


def run(world, *words, code=None, stdin=""):
    return command([world.millrace, *words], code=code, stdin=stdin)


def leaves(world, path=()):
    """Every command that can be run, by asking the completion for the names below."""
    names = [n for n in run(world, "__complete", "--", *path, "", code=0).split()
             if not n.startswith("-")]
    found = []
    for name in names:
        if not path and name in WITHOUT:
            continue
        below = (*path, name)
        helped = run(world, *below, "--help", code=0) if name != "storage" else ""
        if "Subcommands:" in helped:
            found += leaves(world, below)
        if "Subcommands:" not in helped or name in ("dev", "cluster"):
            found.append(below)
    return found


# What each command needs to do something: words, and its exit code.
WORKS = {
    ("topic", "list"): ([], 0),
    ("topic", "create"): (["new"], 0),
    ("topic", "describe"): ([TOPIC], 0),
    ("topic", "alter"): ([TOPIC, "-c", "retention.ms=60000"], 0),
    ("topic", "add-partitions"): ([TOPIC, "-p", "3"], 0),
    ("topic", "trim"): ([TOPIC, "--before", "latest", "--yes"], 0),
    ("topic", "delete"): (["new", "--yes"], 0),
    ("produce",): ([TOPIC], 0),
    ("consume",): ([TOPIC, "--from", "earliest", "-n", "1"], 0),
    ("group", "list"): ([], 0),
    ("group", "describe"): (["g"], 0),
    ("group", "lag"): (["g"], 0),
    ("group", "reset"): (["g", "--to-earliest", "--all-topics"], 0),
    ("group", "delete"): (["g", "--yes"], 0),
    ("txn", "list"): ([], 0),
    ("txn", "find-hanging"): ([], 0),
    ("cluster",): ([], 0),
    ("cluster", "snapshot"): ([], 0),
    ("config", "get"): (["topic", TOPIC], 0),
    ("config", "set"): (["topic", TOPIC, "retention.ms=7"], 0),
    ("config", "unset"): (["topic", TOPIC, "retention.ms"], 0),
    ("health",): ([], 0),
    ("doctor",): ([], 0),
    ("broker", "list"): ([], 0),
    ("broker", "describe"): (["1"], 0),
    ("rack", "list"): ([], 0),
    ("leader", "elect"): (["--yes"], 0),
    ("quorum", "status"): ([], 0),
}
# The same for those that ask no broker.
OFFLINE = {
    ("version",): ([], 0),
    ("completion",): (["zsh"], 0),
    ("config", "reference"): ([], 0),
    ("config", "check"): (["{config}"], 0),
    ("log", "dump"): (["{log}"], 0),
    ("log", "verify"): (["{log}"], 0),
    ("storage", "info"): (["-c", "{config}"], 0),
    ("storage", "random-uuid"): ([], 0),
    ("storage", "version-mapping"): ([], 0),
    ("storage", "feature-dependencies"): (["-f", "metadata.version=25"], 0),
}
# Ways to fail: words, the exit code.
FAILS = [
    (["topik", "list"], 2), (["topic"], 2), (["topic", "creat", "x"], 2), ([], 2),
    (["topic", "create"], 2), (["topic", "list", "--bootsrap-server", "x"], 2),
    (["topic", "list", "-o", "jsn"], 2), (["topic", "create", "a/b", "-b", B], 1),
    (["topic", "create", "x", "-r", "3", "-b", B], 1),
    (["topic", "create", "x", "-p", "200000", "-b", B], 1),
    (["topic", "create", TOPIC, "-b", B], 6), (["topic", "describe", "bird", "-b", B], 5),
    (["topic", "create", "x", "-c", "nosuch=1", "-b", B], 1),
    (["topic", "create", "x", "-c", "nosuch", "-b", B], 2),
    (["topic", "alter", TOPIC, "-c", "retention.ms=x", "-b", B], 1),
    (["topic", "add-partitions", TOPIC, "-p", "1", "-b", B], 1),
    (["topic", "delete", "nosuch", "--yes", "-b", B], 5), (["topic", "delete", TOPIC, "-b", B], 2),
    (["topic", "trim", TOPIC, "--before", "x", "-b", B], 2),
    (["consume", "nosuch", "-b", B], 5), (["produce", "no/such", "-b", B], 1),
    (["group", "describe", GROUP, "-b", B], 5), (["group", "reset", GROUP, "-b", B], 2),
    (["group", "delete", GROUP, "--yes", "-b", B], 5), (["group", "list", "--state", "x", "-b", B], 2),
    (["txn", "describe", GROUP, "-b", B], 5), (["txn", "abort", "-b", B], 2),
    (["config", "get", "topic", "nosuch", "-b", B], 5),
    (["config", "set", "topic", TOPIC, "retention.ms=x", "-b", B], 1),
    (["config", "get", "planet", "mars", "-b", B], 2),
    (["broker", "describe", "9", "-b", B], 5), (["broker", "decommission", "9", "--yes", "-b", B], 5),
    (["broker", "drain", "9", "--yes", "-b", B], 5), (["quorum", "remove-voter", "9", "--yes", "-b", B], 5),
    (["rack", "set", "a b", "-c", "{config}"], 2), (["rack", "import", "/nope", "-c", "{config}"], 5),
    (["leader", "elect", "--topic", "nosuch", "--yes", "-b", B], 5),
    (["config", "check", "/nope"], 5), (["start", "/nope"], 5), (["config", "check", "{bad}"], 2),
    (["start", "{bad}"], 2), (["start", "{config}", "--override", "x"], 2),
    (["dev", "--port", "99999"], 2), (["dev", "--data", "/proc/x"], 1), (["dev", "kill", "1", "--data", "/nope"], 1),
    (["log", "dump", "/nope"], 5), (["log", "dump", "/nope.log"], 5), (["log", "verify", "/nope"], 5),
    (["log", "verify", "{config}"], 2), (["completion", "tcsh"], 2),
    (["storage"], 2), (["storage", "formt"], 2), (["storage", "info"], 2),
    (["storage", "info", "-c", "/nope"], 2), (["storage", "format", "-t", "x", "-c", "{bad}"], 2),
    (["storage", "format", "-t", CLUSTER_ID, "--standalone", "-c", "{config}"], 1),
    (["storage", "version-mapping", "-r", "9.9"], 1),
    (["storage", "feature-dependencies", "-f", "nosuch=1"], 1),
    *[([*path, *words, "-b", NOBODY, "--timeout", "2s"], 3) for path, (words, _) in WORKS.items()],
]


def filled(words, broker, bad):
    log = next((broker.data / "birds-0").glob("*.log"))
    return [w.format(broker=broker.server, config=broker.config, log=log, bad=bad) for w in words]


def prepared(world):
    broker = world.broker()
    run(world, "topic", "create", TOPIC, "-p", 2, "-b", broker.server, code=0)
    run(world, "produce", TOPIC, "-b", broker.server, stdin="one\n", code=0)
    run(world, "consume", TOPIC, "-g", "g", "--from", "earliest", "-n", "1", "-b", broker.server, code=0)
    bad = world.folder / "bad.properties"
    bad.write_text("process.roles=broker\nnode.id=x\n")
    return broker, bad


def test_every_command_speaks_json(world):
    broker, bad = prepared(world)
    known = {*WORKS, *OFFLINE}
    for path, (words, code) in {**WORKS, **OFFLINE}.items():
        more = ["-b", broker.server] if path in WORKS else []
        got, out, err = run(world, *path, *filled(words, broker, bad), *more, "-o", "json", stdin="x\n")
        check_equal(got, code, f"{path}: exit code; {err}")
        if path in STREAMS:
            parsed = [json.loads(line) for line in out.splitlines()]
            check_equal([line["topic"] for line in parsed], [TOPIC], f"{path}: lines")
        else:
            parsed = json.loads(out)
            check(parsed.get("apiVersion") == "v1" and parsed.get("kind") or path[-1] == "snapshot",
                  f"{path}: {out[:200]}")
    elsewhere = {("txn", "describe"), ("txn", "abort"), ("start",), ("storage",), ("dev",),
                 *(("dev", verb) for verb in ("kill", "kill-rack", "pause", "resume", "start")),
                 *(("broker", verb) for verb in ("drain", "undrain", "decommission")),
                 ("rack", "set"), ("rack", "import"), ("quorum", "add-voter"),
                 ("quorum", "remove-voter")}
    missing = {p for p in leaves(world) if p not in known | elsewhere and p[0] not in OTHERS}
    check_equal(missing, set(), "commands that no table names")


# Commands with test files of their own.
OTHERS = {"rebalance-rackaware", "reassign-partitions"}


def test_dry_runs_speak_json_and_change_nothing(world):
    broker, _ = prepared(world)
    for words in (["topic", "delete", TOPIC], ["topic", "trim", TOPIC, "--before", "latest"],
                  ["topic", "alter", TOPIC, "-c", "retention.ms=7"], ["group", "delete", "g"],
                  ["topic", "add-partitions", TOPIC, "-p", "9"],
                  ["config", "set", "topic", TOPIC, "retention.ms=7"],
                  ["group", "reset", "g", "--to-earliest", "--all-topics"]):
        before = run(world, "topic", "describe", TOPIC, "-b", broker.server, "-o", "json", code=0)
        out = run(world, *words, "--dry-run", "-b", broker.server, "-o", "json", code=0)
        check(json.loads(out)["items"], f"{words}: {out}")
        after = run(world, "topic", "describe", TOPIC, "-b", broker.server, "-o", "json", code=0)
        check_equal(after, before, f"{words}: the topic")
    check_in('"g"', run(world, "group", "list", "-b", broker.server, "-o", "json", code=0))


def test_every_failure_says_what_to_do(world):
    broker, bad = prepared(world)
    wrong = []
    for words, code in FAILS:
        words = filled(words, broker, bad)
        got, out, err = run(world, *words)
        line = " ".join(words)
        errors = [l for l in err.splitlines() if l.startswith("error: ")]
        fixes = [l for l in err.splitlines() if l.startswith("  fix: ") and len(l) > 9]
        if words and (got, len(errors), len(fixes)) != (code, 1, 1):
            wrong.append(f"{line}: exit {got}, wanted {code}: {err}")
        if not words:
            continue
        got, out, err = run(world, *words, "-o", "json")
        try:
            form = json.loads(err.splitlines()[-1])
            if (got, form["exitCode"]) != (code, code) or not form["error"] or not form["fix"]:
                wrong.append(f"{line} -o json: exit {got}: {err}")
        except (ValueError, KeyError, IndexError):
            if not (words[:2] == ["config", "check"] and json.loads(out)["items"]):
                wrong.append(f"{line} -o json: exit {got}, no JSON: {err}")
    check(not wrong, "\n".join(wrong))


def test_start_and_dev_tell_where_they_listen(world):
    broker = world.broker(started=False)
    for words, kind in ((["dev", "--port", "0", "--data", world.folder / "dev"], "DevReady"),
                        (["start", broker.config], "NodeReady")):
        with subprocess.Popen([world.millrace, *map(str, words), "-o", "json"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              preexec_fn=die_with_parent) as process:
            world.at_end(process.kill)
            text = ""

            def told():
                nonlocal text
                text += process.stdout.readline().decode()
                return text.rstrip().endswith("}") and "\n}" in text
            wait_for(told, "the lines of a node that is ready")
            form = json.loads(text[text.index("{"):])
            check_equal(form["kind"], kind, "kind")
            port = form["items"][0]["listeners"][0]["port"]
            run(world, "topic", "list", "-b", f"127.0.0.1:{port}", code=0)
            process.terminate()
            check_equal(process.wait(20), 0, "exit code")


if __name__ == "__main__":
    main()
