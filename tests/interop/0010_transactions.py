#!/usr/bin/env python3
# tests/interop/0010_transactions.py: transactional producers, their tools, and kill -9 among them.
"""Transactions: librdkafka and Apache's clients, kafka-transactions.sh, the log decoders, kill -9."""
import json
import os
import pathlib
import re
import struct
import subprocess


import wire
from harness import (CACHE, HERE, KAFKA, check, check_equal, check_in, command, compiled,
                     die_with_parent, main, wait_for)


def c_program(world, broker):
    source = HERE / "librdkafka/transactions.c"
    program = CACHE / "librdkafka/transactions"
    compiled(program, source, ["gcc", "-O1", "-Wall", "-Wextra", "-o", program, source, "-lrdkafka"])
    return command([program, broker.server, "c-topic"], timeout=120)


def create(world, broker, name, partitions=2):
    command([world.millrace, "topic", "create", name, "-p", partitions, "-b", broker.server])


def java(broker, *arguments, output=None):
    """Runs java/Transactions.java; returns its output, or the process that writes into `output`."""
    libs = command([KAFKA, "libs"]).strip()
    classes = CACHE / "java"
    source = HERE / "java/Transactions.java"
    compiled(classes / "Transactions.class", source,
             ["javac", "-d", classes, "-cp", f"{libs}/*", source])
    logging = pathlib.Path(libs).parent / "tool-log4j2.properties"
    program = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
               f"-Dlog4j2.configurationFile={logging}", "-cp", f"{classes}:{libs}/*",
               "Transactions", broker.server, *[str(a) for a in arguments]]
    if output is None:
        return command(program, timeout=150)
    with open(output, "wb") as out:  # not a pipe: it says more than one holds
        return subprocess.Popen([str(p) for p in program], stdout=out, stderr=subprocess.STDOUT,
                                preexec_fn=die_with_parent)


def consume(world, broker, topic, isolation, *arguments):
    """All values of a topic, by Apache's console consumer."""
    out = world.java("console-consumer", "--bootstrap-server", broker.server, "--topic", topic,
                     "--from-beginning", "--timeout-ms", 3000, "--isolation-level", isolation,
                     *arguments, code=None)[1]
    return out.splitlines()


def decoded(world, broker, partition="__transaction_state-0"):
    """What DumpLogSegments reads from the coordinator's log."""
    segment = broker.data / partition / "00000000000000000000.log"
    return world.decoded("transaction-log", segment)


def test_librdkafka(world):
    broker = world.broker()
    create(world, broker, "c-topic")
    out = c_program(world, broker)
    check_equal(out.splitlines(),
                ["committed", "aborted", "fifty short transactions", "offsets", "fenced"], "steps")


def test_java_producer(world):
    broker = world.broker()
    create(world, broker, "java")
    out = java(broker, "life", "java").splitlines()
    check_equal(out, ["fenced", "done"], "what the producers saw")
    committed = consume(world, broker, "java", "read_committed")
    check_equal((committed.count("committed"), committed.count("winner"), len(committed)),
                (150, 2, 152), "read_committed")
    everything = consume(world, broker, "java", "read_uncommitted")
    check_equal((everything.count("aborted"), everything.count("fenced"), len(everything)),
                (50, 2, 204), "read_uncommitted")
    states = re.findall(r'"transactionStatus":(\d)', decoded(world, broker))
    check_equal(states.count("4"), 16, "commits in the coordinator's log")
    check_equal(states.count("5"), 6, "aborts in the coordinator's log")


def test_older_versions(world):
    """transaction.version 1 and 0: the epoch stays, clients add partitions themselves."""
    broker = world.broker()
    for level in (1, 0):
        topic = f"java{level}"
        create(world, broker, topic)
        world.java("features", "--bootstrap-server", broker.server, "downgrade", "--feature",
                   f"transaction.version={level}")
        check_equal(java(broker, "life", topic).splitlines(), ["fenced", "done"], f"level {level}")
        values = consume(world, broker, topic, "read_committed")
        check_equal((values.count("committed"), values.count("winner"), len(values)), (150, 2, 152),
                    f"read_committed at level {level}")
    versions = re.findall(r'payload: {"version":"(\d)"', decoded(world, broker))
    check_equal(sorted(set(versions)), ["0", "1"], "value versions in the coordinator's log")


def rows(out):
    """A table of kafka-transactions.sh as dictionaries."""
    lines = [line.split("\t") for line in out.splitlines()]
    lines = [[cell.strip() for cell in line] for line in lines]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def test_tools(world):
    broker = world.broker(transaction_max_timeout_ms=3600000)
    create(world, broker, "work")

    def tool(*arguments, **options):
        return world.java("transactions", "--bootstrap-server", broker.server, *arguments, **options)

    java(broker, "open", "hanging-client", "work")
    java(broker, "open", "second-client", "work")
    listed = rows(tool("list"))
    check_equal(sorted((r["TransactionalId"], r["TransactionState"]) for r in listed),
                [("hanging-client", "Ongoing"), ("second-client", "Ongoing")], "list")
    check_equal([r["TransactionalId"] for r in rows(tool("list", "--transactional-id-pattern", "second.*"))],
                ["second-client"], "list by pattern")
    check_equal(rows(tool("list", "--duration-filter", 3600000)), [], "list by duration")
    described = rows(tool("describe", "--transactional-id", "hanging-client"))[0]
    check_equal((described["CoordinatorId"], described["TransactionState"],
                 described["TransactionTimeoutMs"], described["TopicPartitions"]),
                ("1", "Ongoing", "60000", "work-0,work-1"), "describe")
    producers = rows(tool("describe-producers", "--topic", "work", "--partition", 0))
    check_equal(len(producers), 2, "producers of work-0")
    check_equal(sorted(p["ProducerEpoch"] for p in producers), ["0", "0"], "epochs")
    check(all(p["CurrentTransactionStartOffset"] != "None" for p in producers), producers)
    check_equal(rows(tool("find-hanging", "--broker-id", 1, "--max-transaction-timeout", 0)), [],
                "transactions whose coordinator knows them do not hang")

    tool("forceTerminateTransaction", "--transactionalId", "second-client")
    wait_for(lambda: rows(tool("describe", "--transactional-id", "second-client"))[0]
             ["TransactionState"] in ("CompleteAbort", "Empty"), "second-client to be aborted")
    start = min(int(p["CurrentTransactionStartOffset"]) for p in
                rows(tool("describe-producers", "--topic", "work", "--partition", 0))
                if p["CurrentTransactionStartOffset"] != "None")
    tool("abort", "--topic", "work", "--partition", 0, "--start-offset", start)
    left = rows(tool("describe-producers", "--topic", "work", "--partition", 0))
    check_equal([p["CurrentTransactionStartOffset"] for p in left], ["None", "None"],
                "open transactions of work-0")
    check_equal(consume(world, broker, "work", "read_committed"), [], "nothing was committed")


def test_our_txn_commands(world):
    """millrace txn: what the coordinator knows, and what no coordinator knows."""
    broker = world.broker(transaction_partition_verification_enable="false")
    create(world, broker, "work")

    def txn(*arguments, code=0):
        done = command([world.millrace, "txn", *arguments, "-b", broker.server, "-o", "json"],
                       code=None)
        check_equal(done[0], code, f"exit code of txn {arguments}: {done[2]}")
        return json.loads(done[1] if code in (0, 10) else done[2])

    java(broker, "open", "left-open", "work")
    check_equal([(t["transactionalId"], t["state"], t["coordinator"]) for t in txn("list")["items"]],
                [("left-open", "Ongoing", 1)], "list")
    check_equal(txn("list", "--longer-than", "1h")["items"], [], "list by age")
    shown = txn("describe", "left-open")["items"][0]
    check_equal((shown["state"], [p["partition"] for p in shown["partitions"]]),
                ("Ongoing", [0, 1]), "describe")
    check_in("did you mean 'left-open'?", txn("describe", "left-opem", code=5)["fix"])
    check_equal(txn("find-hanging", "--topic", "work", "--older-than", "0s")["items"], [],
                "its coordinator knows it")

    check_equal(produce_open(broker, "work", "ghost", (424242, 0)), 0, "produce")
    find = ("find-hanging", "--topic", "work", "--older-than", "0s")
    hanging = txn(*find, code=10)["items"]
    check_equal([(h["topic"], h["partition"], h["producerId"]) for h in hanging],
                [("work", 0, 424242)], "find-hanging")
    place = ("--topic", "work", "--partition", 0, "--start-offset", hanging[0]["startOffset"])
    check_equal(txn("abort", *place, "--yes")["items"][0]["producerId"], 424242, "abort")
    check_equal(txn(*find)["items"], [], "after it")
    check_equal(txn("abort", *place, "--yes", code=5)["exitCode"], 5, "abort again")
    txn("abort", "left-open", "--yes")
    wait_for(lambda: txn("describe", "left-open")["items"][0]["state"] in ("CompleteAbort", "Empty"),
             "the abort")
    check_equal(consume(world, broker, "work", "read_committed"), [], "nothing was committed")


def produce_open(broker, topic, transactional_id, producer):
    """A transactional batch from a client that never told the coordinator; returns the error."""
    batch = wire.batch([b"ghost"], attributes=0x10, producer=(*producer, 0))
    part = struct.pack(">ii", 0, len(batch)) + batch
    with wire.Connection(broker.port) as connection:
        answer = connection.ask(wire.PRODUCE, 8, wire.nullable(transactional_id)
                                + struct.pack(">hi", -1, 10000)
                                + wire.array([wire.string(topic) + wire.array([part])]))
        return answer.array(lambda: (answer.string(),
                                     answer.array(lambda: answer.take("ih"))))[0][1][0][1]


def test_verification(world):
    """What the coordinator does not know does not get into a log."""
    broker = world.broker()
    create(world, broker, "work")
    create(world, broker, "other")
    java(broker, "open", "known", "work")
    producer = rows(world.java("transactions", "--bootstrap-server", broker.server, "describe",
                               "--transactional-id", "known"))[0]
    pid, epoch = int(producer["ProducerId"]), int(producer["ProducerEpoch"])
    end = ends(world, broker, "work")
    check_equal(produce_open(broker, "work", "nobody", (424242, 0)), 49, "unknown transactional id")
    check_equal(produce_open(broker, "work", "known", (424242, 0)), 49, "foreign producer id")
    check_equal(produce_open(broker, "work", "known", (pid, epoch + 1)), 47, "foreign epoch")
    check_equal(produce_open(broker, "other", "known", (pid, epoch)), 48, "partition not added")
    check_equal(ends(world, broker, "work") - end, 0, "records that got in")


def test_hanging(world):
    """A transaction that no coordinator knows is found and ended by its start offset."""
    broker = world.broker(transaction_partition_verification_enable="false")
    create(world, broker, "work")
    check_equal(produce_open(broker, "work", "ghost", (424242, 0)), 0, "produce")
    world.java("console-producer", "--bootstrap-server", broker.server, "--topic", "work",
               stdin="after\n" * 2)
    check("after" not in consume(world, broker, "work", "read_committed", "--partition", 0),
          "the last stable offset stands before the open transaction")

    def tool(*arguments):
        return world.java("transactions", "--bootstrap-server", broker.server, *arguments)
    find = ("find-hanging", "--topic", "work", "--max-transaction-timeout", 0)
    hanging = rows(tool(*find))
    check_equal([(h["Topic"], h["Partition"], h["ProducerId"], h["StartOffset"]) for h in hanging],
                [("work", "0", "424242", "0")], "find-hanging")
    tool("abort", "--topic", "work", "--partition", 0, "--start-offset", 0)
    check_equal(rows(tool(*find)), [], "find-hanging after the abort")
    check_equal(consume(world, broker, "work", "read_committed"), ["after"] * 2, "what is left")


def test_handover(world):
    """Kafka goes on with our transactions, and we with Kafka's."""
    other = "kafka" if world.kind == "millrace" else "millrace"
    broker = world.broker()
    create(world, broker, "java")
    for turn, kind in enumerate((world.kind, other, world.kind), 1):
        broker.kind = kind
        if turn > 1:
            broker.start()
        java(broker, "open", "left-open", "java")
        check_equal(java(broker, "life", "java").splitlines(), ["fenced", "done"], f"turn {turn}")
        world.java("transactions", "--bootstrap-server", broker.server, "forceTerminateTransaction",
                   "--transactionalId", "left-open")
        wait_for(lambda: rows(world.java(
            "transactions", "--bootstrap-server", broker.server, "describe", "--transactional-id",
            "left-open"))[0]["TransactionState"] in ("CompleteAbort", "Empty"), "the abort")
        if turn == 2:
            java(broker, "open", "left-open", "java")  # for the next one to load and to abort
        if turn < 3:
            broker.stop()
    values = consume(world, broker, "java", "read_committed")
    check_equal((values.count("committed"), values.count("winner"), len(values)),
                (450, 6, 456), "read_committed after three turns")
    states = re.findall(r'"producerId":(\d+).*?"producerEpoch":(\d+)', decoded(world, broker))
    check(len(states) > 100, "the coordinator's log holds all three turns")


def fill(world, broker, topic, count):
    lines = "".join(f"{i}\n" for i in range(count))
    world.java("console-producer", "--bootstrap-server", broker.server, "--topic", topic,
               stdin=lines)


# CI has time for five; MILLRACE_KILLS=50 dev interop 0010 --only copier --seconds 900
KILLS = int(os.environ.get("MILLRACE_KILLS", "5"))
COPIED = 600 * KILLS


def in_order(broker, topic):
    """The committed values of each partition, as they stand in the log."""
    return [command(["kcat", "-b", broker.server, "-C", "-t", topic, "-p", p, "-o", "beginning",
                     "-e", "-q", "-X", "isolation.level=read_committed"]).split() for p in range(2)]


def test_copier_under_kill(world):
    """kill -9 of the broker among consume-transform-produce: nothing lost, nothing twice, in order,
    and no commit gone that was answered (which the copier itself checks)."""
    broker = world.broker()
    create(world, broker, "in")
    create(world, broker, "out")
    fill(world, broker, "in", COPIED)
    output = world.folder / "copier.out"
    copier = java(broker, "copy", "in", "out", "group", 2, COPIED, output=output)
    world.at_end(copier.kill)
    for kill in range(KILLS):
        seen = ends(world, broker, "out")
        wait_for(lambda: ends(world, broker, "out") > seen + 50 or copier.poll() is not None,
                 f"the copier to go on before kill {kill}", 60)
        check(copier.poll() is None, f"the copier was through before kill {kill}")
        broker.kill()
        broker.start()
    copier.wait(timeout=120 + 10 * KILLS)
    out = output.read_text(errors="replace")
    check("LOST" not in out, out[-2000:])
    check_in("copied", out[-2000:])
    values = consume(world, broker, "out", "read_committed")
    check_equal(len(values), COPIED, "records copied")
    check_equal(sorted(values), sorted(f"{i}!" for i in range(COPIED)), "values copied")
    check(in_order(broker, "out") == [[f"{v}!" for v in values] for values in in_order(broker, "in")],
          "the order of a partition")


def ends(world, broker, topic):
    with wire.Connection(broker.port) as connection:
        return sum(connection.list_offset(topic, p)[-1] for p in range(2))


if __name__ == "__main__":
    main()
