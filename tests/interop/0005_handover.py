#!/usr/bin/env python3
# tests/interop/0005_handover.py: Kafka opens our directory and we open Kafka's, and back again.
"""The same directory under both brokers, after a clean stop, kill -9, a torn tail, a lost index."""
import base64
import os

from harness import check, check_equal, command, main, wait_for

TOPIC, PARTITIONS = "ledger", 2
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


def noise():
    return base64.b85encode(os.urandom(480)).decode()


def produce(broker, label, records=150):
    """Idempotent producers, every codec, values that do not compress well; several segments."""
    for codec in CODECS:
        lines = "".join(f"{label}-{codec}-{i}:{noise()}\n" for i in range(records))
        command(["kcat", "-b", broker.server, "-P", "-t", TOPIC, "-K:", "-z", codec, "-H", f"c={codec}",
                 "-X", "enable.idempotence=true", "-X", "batch.size=8000"], stdin=lines)


def records(broker):
    """Everything in the topic: per partition the list of (offset, timestamp, headers, key, value)."""
    found = {}
    for partition in range(PARTITIONS):
        out = command(["kcat", "-b", broker.server, "-C", "-t", TOPIC, "-p", partition, "-o", "beginning",
                       "-e", "-q", "-X", "check.crcs=true", "-f", "%o %T %h %k %s\\n"])
        found[partition] = out.splitlines()
    return found


def producer_states(world, broker):
    """What the broker remembers of its producers, from Apache's own tool."""
    rows = []
    for partition in range(PARTITIONS):
        out = world.java("transactions", "--bootstrap-server", broker.server, "describe-producers",
                         "--topic", TOPIC, "--partition", partition)
        rows.append(sorted(line.split() for line in out.splitlines()[1:]))
    return rows


def state(world, broker):
    describe = world.java("topics", "--bootstrap-server", broker.server, "--describe", "--topic", TOPIC)
    configs = world.java("configs", "--bootstrap-server", broker.server, "--describe", "--entity-type",
                         "topics", "--entity-name", TOPIC)
    return {"records": records(broker), "producers": producer_states(world, broker),
            "describe": describe, "configs": configs,
            "starts": world.java("get-offsets", "--bootstrap-server", broker.server, "--topic", TOPIC,
                                 "--time", "earliest")}


def check_same(got, wanted, what):
    for key, value in wanted.items():
        if got[key] != value and key == "records":
            for partition in value:
                check_equal(len(got[key][partition]), len(value[partition]), f"{what}: records of {partition}")
        check_equal(got[key], value, f"{what}: {key}")


def filled(world, kind):
    broker = world.broker(kind=kind, log_flush_start_offset_checkpoint_interval_ms=100)
    world.java("topics", "--bootstrap-server", broker.server, "--create", "--topic", TOPIC, "--partitions",
               PARTITIONS, "--config", "segment.bytes=1048576", "--config", "index.interval.bytes=2048")
    produce(broker, "first", records=900)
    wish = world.folder / "delete.json"
    wish.write_text('{"partitions":[{"topic":"%s","partition":0,"offset":7}],"version":1}' % TOPIC)
    world.java("delete-records", "--bootstrap-server", broker.server, "--offset-json-file", wish)
    checkpoint = broker.data / "log-start-offset-checkpoint"  # what a kill -9 leaves of the deletion
    wait_for(lambda: checkpoint.exists() and f"{TOPIC} 0 7\n" in checkpoint.read_text(),
             "the start offset to be on disk")
    return broker, state(world, broker)


def hand_over(world, first, second, leave):
    """first writes, second reads all of it and writes more, first reads all of that."""
    broker, before = filled(world, first)
    check(len(list((broker.data / f"{TOPIC}-0").glob("*.log"))) > 1, "the log has one segment only")
    leave(broker)
    broker.kind = second
    broker.start()
    check_same(state(world, broker), before, f"{second} on {first}'s directory")
    produce(broker, "second")
    between = state(world, broker)
    check_equal(sum(map(len, between["records"].values())),
                sum(map(len, before["records"].values())) + 150 * len(CODECS), "records after the second")
    leave(broker)
    broker.kind = first
    broker.start()
    check_same(state(world, broker), between, f"{first} on its directory after {second}")
    broker.stop()


def test_kafka_opens_ours_after_a_clean_stop(world):
    hand_over(world, world.kind, "kafka", lambda broker: broker.stop())


def test_kafka_opens_ours_after_kill_9(world):
    hand_over(world, world.kind, "kafka", lambda broker: broker.kill())


def test_ours_opens_kafkas_after_a_clean_stop(world):
    hand_over(world, "kafka", world.kind, lambda broker: broker.stop())


def test_ours_opens_kafkas_after_kill_9(world):
    hand_over(world, "kafka", world.kind, lambda broker: broker.kill())


def opened_after_damage(world, first, second, leave, damage):
    broker, before = filled(world, first)
    leave(broker)
    lost = damage(broker.data / f"{TOPIC}-1")
    broker.kind = second
    broker.start()
    after = records(broker)
    check_equal(after[0], before["records"][0], "the undamaged partition")
    check_equal(after[1], before["records"][1][:len(after[1])], "the damaged partition is a prefix")
    missing = len(before["records"][1]) - len(after[1])
    check(missing > 0 if lost else missing == 0, f"{missing} records are missing")
    produce(broker, "later", records=20)
    again = records(broker)
    check_equal(again[1][:len(after[1])], after[1], "old records after new ones")
    broker.stop()
    return len(after[1])


def cut_tail(folder):
    last = sorted(folder.glob("*.log"))[-1]
    os.truncate(last, last.stat().st_size - 7)
    return True


def lose_indexes(folder):
    for pattern in ("*.index", "*.timeindex"):
        for path in folder.glob(pattern):
            path.unlink()
    return False


def test_torn_tail_of_kafka(world):
    opened_after_damage(world, "kafka", world.kind, lambda b: b.kill(), cut_tail)


def test_torn_tail_of_ours(world):
    opened_after_damage(world, world.kind, "kafka", lambda b: b.kill(), cut_tail)


def test_lost_indexes_of_kafka(world):
    opened_after_damage(world, "kafka", world.kind, lambda b: b.stop(), lose_indexes)


def test_lost_indexes_of_ours_after_kill_9(world):
    opened_after_damage(world, world.kind, "kafka", lambda b: b.kill(), lose_indexes)


if __name__ == "__main__":
    main()
