#!/usr/bin/env python3
# tests/interop/0006_dump_log.py: the same requests leave the same files, by the bytes and by Kafka's dump.
"""The same pre-encoded requests to Millrace and to Kafka: files, and DumpLogSegments' words, are equal."""
import gzip
import json
import re

import wire
from harness import check, check_equal, main

NOW = 1_790_000_000_000  # fixed: record timestamps must not depend on when the test runs
# Room for 50 offset index entries: the segment rolls because its index is full.
ROLL = (("segment.index.bytes", "400"), ("index.interval.bytes", "4096"))
FILES = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")


def requests():
    """(topic, partition, batch): plain, keyed, null values, headers, idempotent, compressed, old times."""
    for i in range(40):
        yield "plain", 0, wire.batch([b"value %d" % i] * (i % 7 + 1), timestamp=NOW + i)
    for i in range(60):
        yield "rolled", 0, wire.batch([bytes([65 + i % 26]) * 9000], timestamp=NOW + (i * 7919) % 5000)
    for i in range(30):  # two producers, interleaved, with epochs and sequences
        producer, nth = 4000 + i % 2, i // 2
        yield "idempotent", 0, wire.batch([b"%d-%d" % (producer, nth)] * 3, timestamp=NOW + i,
                                          producer=(producer, 0, nth * 3))
    yield "compressed", 0, raw(GZIP, attributes=1)


def raw(payload, attributes):
    return wire.batch([], attributes=attributes, payload=payload, count=3, last_offset_delta=2, timestamp=NOW)


def gzip_payload():
    plain = b"".join(wire.record(i, b"squeezed %d " % i * 50) for i in range(3))
    return gzip.compress(plain, mtime=0)


GZIP = gzip_payload()


def write(world, kind):
    broker = world.broker(kind=kind, name=f"by-{kind}-{len(world.brokers)}")
    answers = []
    with wire.Connection(broker.port) as connection:
        for topic, configs in (("plain", ()), ("idempotent", ()), ("compressed", ()), ("rolled", ROLL)):
            error, text = connection.create_topic(topic, configs=configs)
            check_equal(error, 0, f"create {topic}: {text}")
        for topic, partition, batch in requests():
            answers.append((topic, connection.produce(topic, batch, partition)))
    broker.stop()
    return broker, answers


def dump(world, broker, topic):
    folder = broker.data / f"{topic}-0"
    files = sorted(p for p in folder.iterdir() if p.suffix in FILES)
    names = [p.name for p in files]
    text = world.java("dump-log", "--print-data-log", "--files", ",".join(map(str, files)))
    return names, text.replace(str(broker.data), "DATA")


def test_same_requests_same_files(world):
    ours, our_answers = write(world, world.kind)
    kafka, kafka_answers = write(world, "kafka")
    check_equal(our_answers, kafka_answers, "answers to the same requests")
    for topic in ("plain", "rolled", "idempotent", "compressed"):
        our_names, our_dump = dump(world, ours, topic)
        names, text = dump(world, kafka, topic)
        check_equal(our_names, names, f"files of {topic}")
        for mine, theirs in zip(our_dump.splitlines(), text.splitlines()):
            check_equal(mine, theirs, f"a line of the dump of {topic}")
        check_equal(len(our_dump), len(text), f"length of the dump of {topic}")
        for name in names + ["leader-epoch-checkpoint"]:
            check((ours.data / f"{topic}-0" / name).read_bytes() ==
                  (kafka.data / f"{topic}-0" / name).read_bytes(), f"{topic}-0/{name} differs in bytes")
    check(len([n for n in dump(world, kafka, "rolled")[0] if n.endswith(".log")]) > 1, "rolled did not roll")
    for name in ("recovery-point-offset-checkpoint", "replication-offset-checkpoint",
                 "log-start-offset-checkpoint"):
        check_equal(sorted((ours.data / name).read_text().splitlines()),
                    sorted((kafka.data / name).read_text().splitlines()), name)
    check_equal((ours.data / ".kafka_cleanshutdown").exists(), True, "the clean-shutdown marker")


VARYING = ("incarnationId", "topicId", "directories", "logDirs", "directoryId", "voterDirectoryId", "port",
           "brokerEpoch")


def masked(value):
    """A record without what differs between any two clusters; feature lists have no order."""
    if isinstance(value, dict):
        return {key: "*" if key in VARYING else masked(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [masked(item) for item in value]
        return sorted(items, key=lambda i: i["name"]) if items and isinstance(items[0], dict) and (
            "minSupportedVersion" in items[0]) else items
    return value


def metadata_records(world, broker):
    log = broker.data / "__cluster_metadata-0/00000000000000000000.log"
    text = world.decoded("cluster-metadata", log)
    check("isvalid: false" not in text, "an invalid batch in the metadata log")
    found = []
    for line in text.splitlines():
        match = re.search(r"(payload|LeaderChange|KRaftVersion|KRaftVoters):? (\{.*\})$", line)
        if match and '"NO_OP_RECORD"' not in line:
            found.append(f"{match.group(1)} {json.dumps(masked(json.loads(match.group(2))))}")
    return found


def test_metadata_log_tells_the_same(world):
    """Record by record, without ids, ports and heartbeats: what the controllers wrote is the same."""
    told = {}
    for kind in (world.kind, "kafka"):
        broker = world.broker(kind=kind, name=f"by-{kind}-{len(world.brokers)}", broker_rack="r1")
        with wire.Connection(broker.port) as connection:
            check_equal(connection.create_topic("one", 2, (("retention.ms", "7200000"),))[0], 0, "create")
            check_equal(connection.create_topic("two")[0], 0, "create")
        broker.stop()
        told.setdefault("ours" if not told else "kafka", metadata_records(world, broker))
    # Registrations race each other at the start, and partitions have no order at the stop.
    free = ("REGIST", "PARTITION_CHANGE")
    for choose in (lambda line: not any(f in line for f in free), lambda line: any(f in line for f in free)):
        ours, kafkas = ([line for line in told[k] if choose(line)] for k in ("ours", "kafka"))
        if any(f in ours[0] for f in free):
            ours, kafkas = sorted(ours), sorted(kafkas)
        for mine, theirs in zip(ours, kafkas):
            check_equal(mine, theirs, "a record of the metadata log")
    check_equal(len(told["ours"]), len(told["kafka"]), "number of metadata records")


if __name__ == "__main__":
    main()
