#!/usr/bin/env python3
# tests/interop/0013_streams.py: a Kafka Streams program counts exactly once through kills.
"""Kafka Streams with exactly_once_v2: the program and the broker are killed, no count is lost or twice."""
import collections
import pathlib
import subprocess

from harness import (CACHE, HERE, KAFKA, check_equal, command, compiled, die_with_parent, main,
                     wait_for)

KEYS, ROUNDS = 7, 6
RECORDS_A_ROUND = 350


def kcat(broker, *arguments, stdin=None):
    return command(["kcat", "-b", broker.server, "-m", "20", *arguments], stdin=stdin)


class Program:
    def __init__(self, world, broker):
        libs = command([KAFKA, "streams-libs"], timeout=300).strip()
        source = HERE / "java/StreamsCount.java"
        classes = CACHE / "java"
        compiled(classes / "StreamsCount.class", source,
                 ["javac", "-d", classes, "-cp", f"{libs}/*", source])
        logging = pathlib.Path(command([KAFKA, "libs"]).strip()).parent / "tool-log4j2.properties"
        self.log = open(world.folder / "streams.log", "ab")
        tools = command([KAFKA, "libs"]).strip()
        self.process = subprocess.Popen(
            ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             f"-Dlog4j2.configurationFile={logging}", "-cp", f"{classes}:{libs}/*:{tools}/*",
             "StreamsCount", broker.server, "counter", str(world.folder / "state")],
            stdout=self.log, stderr=self.log, preexec_fn=die_with_parent)
        world.at_end(self.kill)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def counts(broker):
    """Committed counts by key, in the order of the log."""
    by_key = collections.defaultdict(list)
    rows = kcat(broker, "-C", "-t", "out", "-o", "beginning", "-e", "-q", "-K:",
                "-X", "isolation.level=read_committed").split()
    for row in rows:
        key, count = row.split(":")
        by_key[key].append(int(count))
    return by_key


def test_exactly_once_through_kills(world):
    broker = world.broker(offsets_topic_num_partitions=5, transaction_state_log_num_partitions=5)
    for topic in ("in", "out"):
        command([world.millrace, "topic", "create", topic, "-p", "2", "-b", broker.server])
    program, sent = Program(world, broker), 0
    for number in range(ROUNDS):
        before = sum(map(len, counts(broker).values()))
        lines = [f"key{(sent + i) % KEYS}:x" for i in range(RECORDS_A_ROUND)]
        kcat(broker, "-P", "-t", "in", "-K:", stdin="\n".join(lines) + "\n")
        sent += RECORDS_A_ROUND
        if number == ROUNDS - 1:
            break
        # Some of this round is done, some is not, when the blow falls.
        wait_for(lambda: sum(map(len, counts(broker).values())) > before, "new counts", 60)
        if number % 2 == 0:
            broker.kill()
            broker.start()
        else:
            program.kill()
            program = Program(world, broker)
    wait_for(lambda: sum(map(len, counts(broker).values())) >= sent, "the last count", 90)
    for key, got in sorted(counts(broker).items()):
        check_equal(got, list(range(1, sent // KEYS + 1)), f"counts of {key}")


if __name__ == "__main__":
    main()
