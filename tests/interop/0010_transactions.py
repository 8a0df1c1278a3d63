#!/usr/bin/env python3
# tests/interop/0010_transactions.py: transactional producers, their tools, and kill -9 among them.
"""Transactions: librdkafka and Apache's clients, kafka-transactions.sh, the log decoders, kill -9."""
import pathlib
import re
import subprocess

from harness import (CACHE, HERE, KAFKA, check, check_equal, check_in, command, compiled,
                     die_with_parent, main, wait_for)


def c_program(world, broker):
    source = HERE / "librdkafka/transactions.c"
    program = CACHE / "librdkafka/transactions"
    compiled(program, source, ["gcc", "-O1", "-Wall", "-Wextra", "-o", program, source, "-lrdkafka"])
    return command([program, broker.server, "c-topic"], timeout=120)


def create(world, broker, name, partitions=2):
    command([world.millrace, "topic", "create", name, "-p", partitions, "-b", broker.server])


def java(broker, *arguments, wait=True):
    """Runs java/Transactions.java; returns its output, or the process when it is not waited for."""
    libs = command([KAFKA, "libs"]).strip()
    classes = CACHE / "java"
    source = HERE / "java/Transactions.java"
    compiled(classes / "Transactions.class", source,
             ["javac", "-d", classes, "-cp", f"{libs}/*", source])
    logging = pathlib.Path(libs).parent / "tool-log4j2.properties"
    program = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
               f"-Dlog4j2.configurationFile={logging}", "-cp", f"{classes}:{libs}/*",
               "Transactions", broker.server, *[str(a) for a in arguments]]
    if wait:
        return command(program, timeout=150)
    return subprocess.Popen([str(p) for p in program], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, preexec_fn=die_with_parent)


def consume(world, broker, topic, isolation, *arguments):
    """All values of a topic, by Apache's console consumer."""
    out = world.java("console-consumer", "--bootstrap-server", broker.server, "--topic", topic,
                     "--from-beginning", "--timeout-ms", 3000, "--isolation-level", isolation,
                     *arguments, code=None)[1]
    return out.splitlines()


def decoded(world, broker, partition="__transaction_state-0"):
    """What DumpLogSegments reads from the coordinator's log."""
    segment = broker.data / partition / "00000000000000000000.log"
    return world.java("dump-log", "--transaction-log-decoder", "--files", segment)


def test_librdkafka(world):
    broker = world.broker()
    create(world, broker, "c-topic")
    out = c_program(world, broker)
    check_equal(out.splitlines(),
                ["committed", "aborted", "fifty short transactions", "fenced"], "steps")


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
    states = re.findall(r"payload:.*?state=(\w+)", decoded(world, broker))
    check_equal(states.count("CompleteCommit"), 16, "commits in the log:\n")


if __name__ == "__main__":
    main()
