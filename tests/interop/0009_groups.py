#!/usr/bin/env python3
# tests/interop/0009_groups.py: consumer groups of both protocols, offsets, and the tools for them.
"""Groups: kcat, librdkafka, Apache's console consumer and group tools, restarts, migration."""
import json
import pathlib
import re
import subprocess

from harness import (CACHE, HERE, KAFKA, check, check_equal, check_in, command, compiled,
                     die_with_parent, main, wait_for)


def create(world, broker, name, partitions):
    command([world.millrace, "topic", "create", name, "-p", partitions, "-b", broker.server])


def produce(broker, topic, first, count, partitions=1):
    """The records are the numbers from `first` on, spread evenly."""
    for partition in range(partitions):
        lines = [str(n) for n in range(first + partition, first + count, partitions)]
        command(["kcat", "-b", broker.server, "-P", "-t", topic, "-p", partition],
                stdin="\n".join(lines) + "\n")


class Member:
    """A running kcat -G; its assignment is read from what it says on standard error."""

    def __init__(self, world, broker, group, topic, *settings):
        self.log = world.folder / f"kcat-{group}-{len(list(world.folder.iterdir()))}"
        arguments = ["kcat", "-b", broker.server, "-u", "-X", "session.timeout.ms=6000",
                     "-X", "heartbeat.interval.ms=200", "-X", "auto.offset.reset=earliest",
                     "-X", "auto.commit.interval.ms=200"]
        for setting in settings:
            arguments += ["-X", setting]
        self.out = open(f"{self.log}.out", "wb")
        self.err = open(f"{self.log}.err", "wb")
        self.process = subprocess.Popen([*arguments, "-G", group, topic], stdout=self.out,
                                        stderr=self.err, stdin=subprocess.DEVNULL,
                                        preexec_fn=die_with_parent)
        world.at_end(self.end)

    def assigned(self):
        """Partitions of the last rebalance, or None before the first."""
        with open(f"{self.log}.err", encoding="utf-8", errors="replace") as file:
            found = re.findall(r"rebalanced \(memberid [^)]*\): assigned: (.*)", file.read())
        return len(re.findall(r"\[\d+\]", found[-1])) if found else None

    def lines(self):
        with open(f"{self.log}.out", encoding="utf-8") as file:
            return file.read().split()

    def end(self, signal=15):
        if self.process.poll() is None:
            self.process.send_signal(signal)
            self.process.wait(20)
        self.out.close()
        self.err.close()


def described(world, broker, group):
    """Rows of kafka-consumer-groups --describe: partition -> (current, end, lag, consumer)."""
    out = world.java("consumer-groups", "--bootstrap-server", broker.server, "--describe",
                     "--group", group)
    rows = {}
    for line in out.splitlines():
        cells = line.split()
        if len(cells) >= 7 and cells[0] == group:
            rows[int(cells[2])] = (cells[3], cells[4], cells[5], cells[6])
    return rows


def state(world, broker, group):
    """(assignment strategy, state, members) of kafka-consumer-groups --describe --state."""
    out = world.java("consumer-groups", "--bootstrap-server", broker.server, "--describe",
                     "--group", group, "--state")
    cells = [line for line in out.splitlines() if line.startswith(group)][0].split()
    return cells[-3], cells[-2], cells[-1]


def listed(world, broker):
    """group -> (type, protocol) of kafka-groups --list."""
    out = world.java("groups", "--bootstrap-server", broker.server, "--list")
    return {c[0]: (c[1], c[2]) for c in (line.split() for line in out.splitlines()[1:]) if c}


def test_kcat_members_come_and_go(world):
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 6)
    produce(broker, "birds", 0, 300, 6)
    one = Member(world, broker, "g", "birds")
    wait_for(lambda: len(one.lines()) == 300, "the first member to read everything")
    check_equal(one.assigned(), 6, "partitions of a lone member")
    two = Member(world, broker, "g", "birds")
    wait_for(lambda: (one.assigned(), two.assigned()) == (3, 3), "an even assignment")
    produce(broker, "birds", 300, 300, 6)
    wait_for(lambda: len(one.lines()) + len(two.lines()) == 600, "both to read the rest")
    check_equal(sorted(map(int, one.lines() + two.lines())), list(range(600)), "each record once")
    def lags():
        return [row[2] for row in described(world, broker, "g").values()]

    wait_for(lambda: lags() == ["0"] * 6, "the commits")
    # A member that is killed does not say good-bye: its session must end first.
    two.end(9)
    wait_for(lambda: one.assigned() == 6, "the partitions of the dead member", 40)
    one.end()
    check_equal(lags(), ["0"] * 6, "lag")
    check_equal(sorted(map(int, one.lines() + two.lines())), list(range(600)), "nothing twice")


def c_program():
    source = HERE / "librdkafka/groups.c"
    program = CACHE / "librdkafka/groups"
    return compiled(program, source,
                    ["gcc", "-O1", "-Wall", "-Wextra", "-o", program, source, "-lrdkafka"])


def test_librdkafka(world):
    program = c_program()
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 6)
    produce(broker, "birds", 0, 600, 6)
    for assignor in ("range", "cooperative-sticky"):
        out = command([program, broker.server, "birds", assignor], timeout=120)
        check_equal(out.splitlines(),
                    ["two members with three partitions each", "all records read and committed",
                     "one member with all partitions", "deleted"], assignor)


def console(world, broker, group, protocol, count, *arguments):
    out = world.java("console-consumer", "--bootstrap-server", broker.server, "--topic", "birds",
                     "--group", group, "--from-beginning", "--max-messages", count,
                     "--timeout-ms", 20000, "--command-property", f"group.protocol={protocol}",
                     *arguments)
    return [int(line) for line in out.split()]


def test_console_consumer_in_both_protocols_over_kill_9(world):
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 3)
    produce(broker, "birds", 0, 30, 3)
    for protocol in ("classic", "consumer"):
        check_equal(sorted(console(world, broker, protocol, protocol, 30)), list(range(30)),
                    f"{protocol}: everything")
    broker.kill()
    broker.start()
    produce(broker, "birds", 30, 3, 3)
    for protocol in ("classic", "consumer"):
        check_equal(sorted(console(world, broker, protocol, protocol, 3)), [30, 31, 32],
                    f"{protocol}: only what is new")
        check_equal({p: r[:3] for p, r in described(world, broker, protocol).items()},
                    {p: ("11", "11", "0") for p in range(3)}, protocol)
    check_equal(listed(world, broker), {"classic": ("Classic", "consumer"),
                                        "consumer": ("Consumer", "consumer")}, "kafka-groups")
    segments = sorted(broker.data.glob("__consumer_offsets-*/*.log"))
    out = "".join(world.decoded("offsets", s) for s in segments if s.stat().st_size > 0)
    check_in('"type":"2","data":{"group":"classic"}', out)
    check_in('"type":"8","data":{"groupId":"consumer"', out)
    check("isvalid: false" not in out, "an invalid batch")


def test_group_tools(world):
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 2)
    produce(broker, "birds", 0, 20, 2)

    def tool(*arguments, code=0):
        return world.java("consumer-groups", "--bootstrap-server", broker.server, *arguments,
                          code=code)

    member = Member(world, broker, "g", "birds")
    wait_for(lambda: len(member.lines()) == 20, "everything to be read")
    wait_for(lambda: {r[2] for r in described(world, broker, "g").values()} == {"0"}, "the commits")
    check(all(r[3].startswith("rdkafka-") for r in described(world, broker, "g").values()),
          "consumer ids")
    check_equal(state(world, broker, "g"), ("range", "Stable", "1"), "state")
    check_in("GroupNotEmptyException", tool("--delete", "--group", "g", code=None)[1])
    _, out, _ = tool("--reset-offsets", "--group", "g", "--to-earliest", "--topic", "birds",
                     "--execute", code=None)
    check_in("inactive", out)
    member.end()
    wait_for(lambda: state(world, broker, "g")[1] == "Empty", "the member to be gone")

    tool("--reset-offsets", "--group", "g", "--to-offset", 4, "--topic", "birds:0", "--execute")
    tool("--reset-offsets", "--group", "g", "--shift-by", -3, "--topic", "birds:1", "--execute")
    check_equal({p: r[:3] for p, r in described(world, broker, "g").items()},
                {0: ("4", "10", "6"), 1: ("7", "10", "3")}, "after the reset")
    tool("--delete-offsets", "--group", "g", "--topic", "birds:1")
    check_equal(set(described(world, broker, "g")), {0}, "offsets that are left")
    check_equal(tool("--list").split(), ["g"], "list")
    check_in("g", tool("--list", "--state", "empty"))
    check_equal(tool("--list", "--state", "stable").splitlines()[1:], [], "stable groups")
    tool("--delete", "--group", "g")
    check_equal(tool("--list").split(), [], "after the deletion")
    check_in("GroupIdNotFoundException", tool("--delete", "--group", "g", code=None)[1])


def test_our_group_commands(world):
    """What kafka-consumer-groups shows, millrace group shows; what one changes, the other sees."""
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 2)
    produce(broker, "birds", 0, 20, 2)

    def group(*arguments, code=0):
        done = command([world.millrace, "group", *arguments, "-b", broker.server, "-o", "json"],
                       code=None)
        check_equal(done[0], code, f"exit code of group {arguments}: {done[2]}")
        return json.loads(done[1] if code == 0 else done[2])

    member = Member(world, broker, "g", "birds")
    wait_for(lambda: len(member.lines()) == 20, "everything to be read")
    wait_for(lambda: {r[2] for r in described(world, broker, "g").values()} == {"0"}, "the commits")
    listing = group("list")["items"][0]
    check_equal((listing["group"], listing["type"].lower(), listing["state"]),
                ("g", "classic", "Stable"), "list")
    shown = group("describe", "g")["items"][0]
    check_equal([(p["partition"], p["committed"], p["end"], p["lag"]) for p in shown["partitions"]],
                [(0, 10, 10, 0), (1, 10, 10, 0)], "describe")
    check_equal({p["memberId"] for p in shown["partitions"]},
                {m["memberId"] for m in shown["members"]}, "members")
    check_in("NON_EMPTY_GROUP", group("delete", "g", "--yes", code=6)["error"])
    check_in("stop its members", group("reset", "g", "--to-earliest", "--all-topics", code=6)["fix"])
    member.end()
    wait_for(lambda: group("list", "--state", "empty")["items"], "the member to be gone")

    plan = group("reset", "g", "--to-offset", 4, "--topic", "birds:0", "--dry-run")
    check_equal((plan["executed"], [i["offset"] for i in plan["items"]]), (False, [4]), "dry run")
    check_equal({r[0] for r in described(world, broker, "g").values()}, {"10"}, "nothing moved")
    group("reset", "g", "--to-offset", 4, "--topic", "birds:0", "--yes")
    group("reset", "g", "--shift-by", -3, "--topic", "birds:1", "--yes")
    check_equal({p: r[:3] for p, r in described(world, broker, "g").items()},
                {0: ("4", "10", "6"), 1: ("7", "10", "3")}, "after the reset")
    lag = group("lag", "g")["items"][0]
    check_equal((lag["group"], lag["lag"]), ("g", 9), "lag")
    check_equal(group("describe", "h", code=5)["error"], f"no group 'h' on {broker.server}", "describe")
    check_equal(group("delete", "g", "--dry-run")["items"][0]["group"], "g", "dry run of a deletion")
    group("delete", "g", "--yes")
    check_equal(listed(world, broker), {}, "after the deletion")


def verifiable(broker, tool, *arguments):
    """Runs one of Kafka's system test clients, which end in a shutdown hook: in a JVM of its own."""
    libs = command([KAFKA, "libs"]).strip()
    logging = pathlib.Path(libs).parent / "tool-log4j2.properties"
    out = command(["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                   f"-Dlog4j2.configurationFile={logging}", "-cp", f"{libs}/*",
                   f"org.apache.kafka.tools.Verifiable{tool}", "--bootstrap-server", broker.server,
                   "--topic", "birds", "--max-messages", 2000, *arguments])
    return [json.loads(line) for line in out.splitlines()]


def test_perf_and_verifiable_tools(world):
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 3)
    events = verifiable(broker, "Producer", "--acks", -1)
    check_equal(sum(e["name"] == "producer_send_success" for e in events), 2000, "records sent")
    check_equal(events[-1]["acked"], 2000, "VerifiableProducer's own count")
    for protocol in ("classic", "consumer"):
        out = world.java("consumer-perf-test", "--bootstrap-server", broker.server, "--topic",
                         "birds", "--group", f"perf-{protocol}", "--num-records", 2000, "--timeout",
                         20000, "--command-property", f"group.protocol={protocol}", "--hide-header")
        check_equal(int(out.splitlines()[-1].split(", ")[4]), 2000, f"records of {protocol}")
        group = f"verified-{protocol}"
        events = verifiable(broker, "Consumer", "--group-id", group, "--group-protocol", protocol,
                            "--reset-policy", "earliest")
        read = sum(e["count"] for e in events if e["name"] == "records_consumed")
        check_equal(read, 2000, f"VerifiableConsumer, {protocol}")
        commits = [e for e in events if e["name"] == "offsets_committed"]
        check(commits and all(e["success"] for e in commits), "a commit failed")
        check_equal(sum(int(r[0]) for r in described(world, broker, group).values()), 2000,
                    "committed")


def test_a_classic_group_becomes_a_consumer_group_and_back(world):
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 4)
    produce(broker, "birds", 0, 40, 4)
    member = Member(world, broker, "g", "birds", "partition.assignment.strategy=cooperative-sticky")
    wait_for(lambda: len(member.lines()) == 40, "the classic member to read everything")
    check_equal(listed(world, broker), {"g": ("Classic", "consumer")}, "before")
    # The console consumer gets partitions only when the classic member has given them up.
    produced = []
    world.java("console-consumer", "--bootstrap-server", broker.server, "--topic", "birds",
               "--group", "g", "--timeout-ms", 8000, "--command-property",
               "group.protocol=consumer", code=None)
    produce(broker, "birds", 40, 40, 4)
    wait_for(lambda: len(member.lines()) + len(produced) == 80, "the rest")
    check_equal(sorted(map(int, member.lines())), list(range(80)), "each record once")
    wait_for(lambda: listed(world, broker) == {"g": ("Classic", "consumer")}, "the way back")
    check_equal(state(world, broker, "g")[1:], ("Stable", "1"), "after")


def test_a_member_stays_over_kill_9(world):
    # kcat gives up when no broker is left, so a program of our own.
    broker = world.broker(group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 2)
    produce(broker, "birds", 0, 20, 2)
    output = world.folder / "stay.out"
    with open(output, "wb") as out:
        member = subprocess.Popen([c_program(), broker.server, "birds", "stay"], stdout=out,
                                  stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    world.at_end(lambda: (member.kill(), member.wait()))

    def read():
        return sorted(map(int, output.read_text().split()))

    wait_for(lambda: len(read()) == 20, "everything to be read")
    wait_for(lambda: {r[2] for r in described(world, broker, "stay").values()} == {"0"}, "commits")
    broker.kill()
    broker.start()
    produce(broker, "birds", 20, 20, 2)
    wait_for(lambda: len(read()) >= 40, "the rest to be read", 40)
    check_equal(read(), list(range(40)), "each record once")
    check_equal(state(world, broker, "stay")[1:], ("Stable", "1"), "state")


def test_kafka_goes_on_with_our_groups_and_we_with_its(world):
    broker = world.broker("millrace", group_initial_rebalance_delay_ms=100)
    create(world, broker, "birds", 3)
    produce(broker, "birds", 0, 30, 3)
    for turn, kind in enumerate(("millrace", "kafka", "millrace")):
        if turn > 0:
            broker.stop()
            broker.kind = kind
            broker.start()
            produce(broker, "birds", 30 * turn, 30, 3)
        for protocol in ("classic", "consumer"):
            check_equal(sorted(console(world, broker, protocol, protocol, 30)),
                        list(range(30 * turn, 30 * turn + 30)), f"{kind}, {protocol}: what is new")
            wanted = str(10 * turn + 10)
            check_equal({p: r[:3] for p, r in described(world, broker, protocol).items()},
                        {p: (wanted, wanted, "0") for p in range(3)}, f"{kind}, {protocol}")
        check_equal(listed(world, broker), {"classic": ("Classic", "consumer"),
                                            "consumer": ("Consumer", "consumer")}, f"{kind}: list")


if __name__ == "__main__":
    main()
