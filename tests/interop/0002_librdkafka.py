#!/usr/bin/env python3
# tests/interop/0002_librdkafka.py: librdkafka's admin, idempotent producer and consumer.
"""librdkafka: a C program built against Debian's librdkafka."""
from harness import CACHE, HERE, check_in, command, compiled, main


def test_admin_produce_consume(world):
    source = HERE / "librdkafka/client.c"
    program = CACHE / "librdkafka/client"
    compiled(program, source, ["gcc", "-O1", "-Wall", "-Wextra", "-o", program, source, "-lrdkafka"])
    out = command([program, world.broker().server], timeout=120)
    check_in("consumed 10000 records", out)
    check_in("records and topics deleted", out)


if __name__ == "__main__":
    main()
