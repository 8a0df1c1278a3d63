#!/usr/bin/env python3
# tests/interop/0010_transactions.py: transactional producers, their tools, and kill -9 among them.
"""Transactions: librdkafka and Apache's clients, kafka-transactions.sh, the log decoders, kill -9."""
from harness import CACHE, HERE, check_equal, check_in, command, compiled, main


def c_program(world, broker):
    source = HERE / "librdkafka/transactions.c"
    program = CACHE / "librdkafka/transactions"
    compiled(program, source, ["gcc", "-O1", "-Wall", "-Wextra", "-o", program, source, "-lrdkafka"])
    return command([program, broker.server, "c-topic"], timeout=120)


def create(world, broker, name, partitions=2):
    command([world.millrace, "topic", "create", name, "-p", partitions, "-b", broker.server])


def test_librdkafka(world):
    broker = world.broker()
    create(world, broker, "c-topic")
    out = c_program(world, broker)
    check_equal(out.splitlines(),
                ["committed", "aborted", "fifty short transactions", "fenced"], "steps")


if __name__ == "__main__":
    main()
