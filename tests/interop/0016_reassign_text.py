#!/usr/bin/env python3
# tests/interop/0016_reassign_text.py: kafka-reassign-partitions.sh as our binary plays it.
"""Every command runs by Apache's tool and by our shim, against the same cluster of three, and must
print the same text to the same streams with the same exit code. What can be done once only is done
to twin topics, one for each tool. Broken files are in tests/golden/reassign, and are unit tests."""
import importlib
import json
import re

from harness import check_in, command, main, wait_for

clusters = importlib.import_module("0012_cluster")
shims = importlib.import_module("0011_shims")

TOOL = "reassign-partitions"
FRAME = re.compile(r"^(\tat |\t\.\.\. )")


class Tools(shims.Pair):
    """Both tools; standard output is compared but for the frames of stack traces."""

    def __init__(self, world, cluster):
        super().__init__(world, cluster.nodes[0])
        self.server = cluster.server
        self.plan = world.folder / "plan.json"

    @staticmethod
    def without_frames(out):
        return [line for line in out.split("\n") if not FRAME.match(line)]

    def both(self, *arguments, plan=None, servers=True):
        """The same command by both; the text of ours."""
        if plan is not None:
            self.plan.write_text(plan)
        words = [str(self.plan) if a == "@" else str(a) for a in arguments]
        prefix = ["--bootstrap-server", self.server] if servers else []
        code, out, err = self.world.java(TOOL, *prefix, *words, code=None)
        link = self.links / f"kafka-{TOOL}.sh"
        if not link.exists():
            link.symlink_to(self.world.millrace)
        ours = command([link, *prefix, *words], code=None)
        self.compare((ours[0], self.without_frames(ours[1]), shims.plain(ours[2])),
                     (code, self.without_frames(out), shims.plain(err)),
                     f"{' '.join(words)} of {plan}")
        return ours[1]

    def each(self, *arguments, plan, after=lambda topic: None):
        """For what can be done once: each tool on its twin; `@t` in the plan is the topic."""
        texts = []
        for letter, run in (("j", self.theirs), ("m", self.ours)):
            topic = f"twin-{letter}"
            self.plan.write_text(plan.replace("@t", topic))
            words = [str(self.plan) if a == "@" else str(a) for a in arguments]
            code, out, err = run(TOOL, *words)
            texts.append((code, self.without_frames(out.replace(topic, "twin")),
                          shims.plain(err.replace(topic, "twin"))))
            after(topic)
        self.compare(texts[1], texts[0], f"{' '.join(words)} of {plan}")
        return "\n".join(texts[1][1])


def moves(*rows, topic="@t"):
    """Rows of (partition, replicas) or (partition, replicas, directories)."""
    return json.dumps({"version": 1, "partitions": [
        {"topic": topic, "partition": row[0], "replicas": row[1],
         **({"log_dirs": row[2]} if len(row) > 2 else {})} for row in rows]})


def create(cluster, topic, assignment):
    cluster.tool("topics", "--create", "--topic", topic, "--replica-assignment", assignment)


def test_usage(world):
    cluster = clusters.Cluster(world)
    tools = Tools(world, cluster)
    create(cluster, "t", "1:2,2:3,3:1")
    plan = moves((0, [2, 1]), topic="t")
    for arguments in (
            [], ["--help"], ["--version"], ["--list"], ["--nosuch"], ["--list", "--execute"],
            ["--bootstrap-server", "--list"], ["--bootstrap-server", "x:1", "--list", "--throttle", "3"],
            ["--bootstrap-server", "x:1", "--bootstrap-controller", "x:1", "--list"],
            *[["--bootstrap-controller", "x:1", action, "--reassignment-json-file", "@"]
              for action in ("--execute", "--verify", "--generate")]):
        tools.both(*arguments, plan=plan, servers=False)
    for arguments in (
            [], ["--list"], ["--execute"], ["--generate"], ["--generate", "--broker-list", "1"],
            ["--generate", "--topics-to-move-json-file", "x"], ["--list", "--throttle", "3"],
            *[[action, "--reassignment-json-file", "@", *option]
              for action, option in (
                  ("--verify", ["--throttle", "3"]), ("--verify", ["--additional"]),
                  ("--cancel", ["--throttle", "3"]), ("--cancel", ["--additional"]),
                  ("--execute", ["--preserve-throttles", "--broker-list", "3"]),
                  ("--execute", ["--throttle", "x"]), ("--execute", ["--throttle"]),
                  ("--execute", ["--timeout", "1.5"]),
                  ("--execute", ["--throttle", "1", "--throttle", "2"]))],
            ["--execute", "--reassignment-json-file", "/nope/x"],
            ["--generate", "--topics-to-move-json-file", "/nope", "--broker-list", "1"],
            ["--command-config", "/nope", "--list"]):
        tools.both(*arguments, plan=plan)
    tools.verdict()


def test_refusals(world):
    cluster = clusters.Cluster(world)
    tools = Tools(world, cluster)
    create(cluster, "t", "1:2,2:3,3:1")
    for plan in (moves((0, [1, 7]), topic="t"), moves((0, [1, 7]), (1, [9, 8]), topic="t"),
                 moves((0, [-1]), topic="t"), moves((0, [1]), topic="nope"),
                 moves((9, [1]), (7, [1]), (0, [2]), topic="t"), moves((0, [1]), topic="bad name!"),
                 moves((0, [1]), topic=""), moves((0, []), topic="t"),
                 moves((0, [1, 1, 2, 2]), (1, [2, 2]), topic="t"),
                 moves((0, [1]), (0, [2]), (1, [2]), (1, [2]), topic="t"), "{}",
                 moves((0, [1, 2], ["/d"]), topic="t"), moves((0, [1, 2], ["any", "x"]), topic="t")):
        if "\"x\"" not in plan:
            tools.both("--execute", "--reassignment-json-file", "@", plan=plan)
        if not re.search(r"[789-]]|1, 7|-1", plan):
            tools.both("--verify", "--reassignment-json-file", "@", plan=plan)
            tools.both("--cancel", "--reassignment-json-file", "@", "--preserve-throttles",
                       plan=plan)
    no_change = ["--execute", "--reassignment-json-file", "@",
                 "--disallow-replication-factor-change"]
    tools.both(*no_change, plan=moves((0, [1]), topic="t"))
    tools.both(*no_change, "--throttle", "-5", plan=moves((0, [1]), (1, [3]), topic="t"))
    for partition in (2, 3, 77, -1):
        tools.both("--verify", "--reassignment-json-file", "@",
                   plan=moves((partition, [1]), topic="t"))
    generate = ["--generate", "--topics-to-move-json-file", "@", "--broker-list"]
    topics = json.dumps({"topics": [{"topic": "t"}]})
    for brokers in ("1", "1,1", "x", "", "1,", "7,8", ",", "1,,2", "1,2,2,1", "99999999999"):
        tools.both(*generate, brokers, plan=topics)
    for text in ("", "nojson", " ", "{}", '{"topics":[]}', '{"topics":[{"topic":"nope"}]}',
                 '{"topics":[{"topic":"t"},{"topic":"t"}]}', '{"version":3}',
                 '{"topics":[{"top":1}]}',
                 '{"topics":[{"topic":"t"},{"topic":"nope"},{"topic":"zip"}]}'):
        tools.both(*generate, "1,2,3", plan=text)
    tools.verdict()


def test_moves(world):
    cluster = clusters.Cluster(world)
    tools = Tools(world, cluster)
    for letter in "jm":
        create(cluster, f"twin-{letter}", "1:2,2:3,3:1")

    def settled(_):
        wait_for(lambda: "No partition" in tools.ours(TOOL, "--list")[1], "the end of all moves")
    file = ["--reassignment-json-file", "@"]
    plan = moves((0, [3, 2]), (2, [1, 2]))
    check_in("Successfully started partition reassignments for twin-0,twin-2",
             tools.each("--execute", *file, plan=plan, after=settled), "text")
    check_in("is completed", tools.each("--verify", *file, plan=plan), "text")
    one = moves((1, [1, 2, 3]))
    tools.each("--execute", *file, "--throttle", "100000000", "--replica-alter-log-dirs-throttle",
               "1000000", plan=one, after=settled)
    tools.each("--verify", *file, "--preserve-throttles", plan=one)
    tools.each("--verify", *file, plan=one)
    tools.each("--cancel", *file, plan=one)
    tools.verdict()


def test_under_way(world):
    cluster = clusters.Cluster(world)
    tools = Tools(world, cluster)
    for letter in "jm":
        create(cluster, f"twin-{letter}", "1,2")
        command([world.millrace, "produce", f"twin-{letter}", "-q", "-b", cluster.nodes[0].server],
                stdin=("x" * 1000 + "\n") * 8000)
    file = ["--reassignment-json-file", "@"]
    plan = moves((0, [2]), (1, [3, 2]))
    tools.each("--execute", *file, "--additional", "--throttle", "20000", plan=plan)
    running = plan.replace("@t", "twin-j")
    check_in("adding: 3", tools.both("--list"), "list")
    check_in("is still in progress", tools.both("--verify", *file, plan=running), "text")
    check_in("Cannot execute because", tools.both("--execute", *file, plan=running), "text")
    check_in("Successfully cancelled partition reassignments for: twin-0,twin-1",
             tools.each("--cancel", *file, plan=plan), "text")
    tools.both("--list")
    tools.verdict()


main()
