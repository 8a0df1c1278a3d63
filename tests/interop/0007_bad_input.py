#!/usr/bin/env python3
# tests/interop/0007_bad_input.py: what a port on a network gets: garbage, lies, bombs, wrong directories.
"""Bad input: each gets a clear error in Kafka's terms; nothing acknowledged is lost; no crash."""
import gzip
import os
import random
import resource
import signal
import struct
import zlib

import wire
from harness import Failure, check, check_equal, check_in, wait_for, main

GROWTH_KIB = 96 * 1024  # what the broker may grow by while it is being bothered
IDLE_CONNECTIONS = 10_000


def frame(body):
    return struct.pack(">i", len(body)) + body


def head(api, version, client="c", correlation=7):
    return struct.pack(">hhi", api, version, correlation) + wire.string(client)


def create_and_produce(connection, topic, records):
    """Creates the topic if need be; produces as a client does: again while there is no leader yet."""
    check(connection.create_topic(topic)[0] in (0, 36), f"create {topic}")

    def produce():
        error, offset, _, text = connection.produce(topic, records)
        check(error in (0, 3, 5, 6), f"produce of a healthy client: {error} {text}")
        return error == 0 and (offset,)
    return wait_for(produce, f"{topic} to take records")[0]


def check_serving(broker, topic="health"):
    """A healthy client is served at once, whatever others do."""
    check(broker.alive(), "the broker is gone")
    with wire.Connection(broker.port, timeout=20) as connection:
        offset = create_and_produce(connection, topic, wire.batch([b"still here"]))
        error, _, records = connection.fetch(topic, offset)
        check(error == 0 and b"still here" in records, f"fetch of a healthy client: {error}")


def check_bounded(world, broker, before):
    if world.kind == "millrace":  # Kafka allocates what a length says, so only ours is held to it
        grown = broker.resident_kib() - before
        check(grown < GROWTH_KIB, f"the broker grew by {grown} KiB")


# Frames after which Kafka closes the connection without an answer.
CLOSING = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS ClientHello": bytes.fromhex("16030100c8010000c40303") + bytes(range(200)),
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a length of 2 GiB": b"\x7f\xff\xff\xff",
    "a negative length": b"\xff\xff\xff\xff",
    "an empty frame": frame(b""),
    "a frame too short for a header": frame(b"hello"),
    "an unknown api": frame(head(999, 0)),
    "a negative api": frame(head(-1, 0)),
    "a controller's api (Vote)": frame(head(52, 0) + b"\0"),
    "an unknown version of Metadata": frame(head(3, 99)),
    "Produce 2, no longer served": frame(head(0, 2) + struct.pack(">hi", 1, 1000) + wire.array([])),
    "Fetch 3, no longer served": frame(head(1, 3) + bytes(20)),
    "Metadata of 2^31-1 topics": frame(head(3, 4) + b"\x7f\xff\xff\xff\0"),
    "Metadata cut short": frame(head(3, 4) + b"\0\0"),
    "a client id longer than its frame": frame(struct.pack(">hhi", 3, 4, 7) + b"\x7f\xffabc"),
    "tagged fields without end": frame(head(3, 9) + b"\xff\xff\xff\xff\x07" + bytes(40)),
}


def test_frames_that_close_the_connection(world):
    broker = world.broker()
    check_serving(broker)
    before = broker.resident_kib()
    for name, data in CLOSING.items():
        with wire.Connection(broker.port) as connection:
            connection.send(data)
            try:
                correlation, rest = connection.response()
                raise Failure(f"{name}: answered {correlation} {rest.data[:40].hex()}")
            except wire.Closed:
                pass
    check_bounded(world, broker, before)
    check_serving(broker)


def test_api_versions_never_closes(world):
    broker = world.broker()
    with wire.Connection(broker.port) as connection:
        for version in (99, -1):  # KIP-511: version 0, error 35, and the range of ApiVersions itself
            connection.send(frame(head(18, version) + bytes(4)))
            correlation, rest = connection.response()
            check_equal((correlation, rest.take("h")), (7, 35), f"ApiVersions {version}")
            check_equal(rest.array(lambda: rest.take("hhh")), [(18, 0, 4)], "its range")
        connection.send(frame(head(18, 3) + b"\0" + b"\x03a \x02b\0"))  # a name that is no name
        check_equal(connection.response()[1].take("h"), 42, "a bad software name")
        check_equal(len(connection.metadata([])["brokers"]), 1, "the same connection afterwards")


def test_scan_half_frames_and_silence(world):
    broker = world.broker(socket_request_max_bytes=104857600)
    check_serving(broker)
    before = broker.resident_kib()
    for _ in range(300):
        wire.Connection(broker.port).socket.close()
    silent = [wire.Connection(broker.port) for _ in range(40)]
    announced = 90 << 20 if world.kind == "millrace" else 1 << 20
    try:
        for connection in silent:  # each announces much, sends ten bytes, and says no more
            connection.send(struct.pack(">i", announced) + b"0123456789")
        check_serving(broker)
        check_bounded(world, broker, before)
    finally:
        for connection in silent:
            connection.socket.close()
    check_serving(broker)


def test_large_frames_that_stall(world):
    """More declared than the budget allows, 1.3 MB of each sent: others' large requests go on."""
    broker = world.broker(socket_request_max_bytes=104857600)
    check_serving(broker)
    before = broker.resident_kib()
    stalled = [wire.Connection(broker.port) for _ in range(6)]
    try:
        for connection in stalled:
            connection.send(struct.pack(">i", 100 << 20) + bytes(1_300_000))
        with wire.Connection(broker.port, timeout=60) as connection:
            check(connection.create_topic("large", configs=[("max.message.bytes", "4194304")])[0] in (0, 36), "create")
            create_and_produce(connection, "large", wire.batch([b"l" * (2 << 20)]))
        check_bounded(world, broker, before)
    finally:
        for connection in stalled:
            connection.socket.close()


def with_record(delta=0, key_length=-1, headers=0, value=b"v", length_lie=0):
    body = (b"\0" + wire.varint(0) + wire.varint(delta) + wire.varint(key_length) + wire.varint(len(value))
            + value + wire.varint(headers))
    return wire.batch([], payload=wire.varint(len(body) + length_lie) + body, count=1, last_offset_delta=0)


def packed(attributes, payload, count=1):
    return wire.batch([], attributes=attributes, payload=payload, count=count, last_offset_delta=count - 1)


HUGE_RECORD = wire.varint(1 << 29) + bytes(20)
OK = wire.batch([b"x"])
CORRUPT, INVALID_TIMESTAMP, TOO_LARGE, INVALID_RECORD, NO_TXN, OTHER = 2, 32, 10, 87, 53, -1
# name: (records, Kafka's error code)
LIES = {
    "a wrong CRC": (wire.batch([b"x"], crc=1), CORRUPT),
    "five records that are one": (wire.batch([b"x"], count=5, last_offset_delta=4), INVALID_RECORD),
    "count and last offset that disagree": (wire.batch([b"x"], count=5, last_offset_delta=0), INVALID_RECORD),
    "one record that is two": (wire.batch([b"x", b"y"], count=1, last_offset_delta=0), INVALID_RECORD),
    "no records": (wire.batch([], count=0), INVALID_RECORD),
    "minus one record": (wire.batch([b"x"], count=-1, last_offset_delta=0), INVALID_RECORD),
    "2^31-1 records": (wire.batch([b"x"], count=0x7fffffff, last_offset_delta=0x7ffffffe), INVALID_RECORD),
    "two batches": (OK + OK, INVALID_RECORD),
    "a length too short": (wire.batch([b"x"], length=20), CORRUPT),
    "a length too long": (wire.batch([b"x"], length=2000), INVALID_RECORD),
    "a negative length": (wire.batch([b"x"], length=-1), CORRUPT),
    "a batch cut short": (OK[:-3], INVALID_RECORD),
    "a batch of 30 bytes": (OK[:30], INVALID_RECORD),
    "nothing": (b"", INVALID_RECORD),
    "magic 1": (wire.batch([b"x"], magic=1), INVALID_RECORD),
    "magic 9": (wire.batch([b"x"], magic=9), CORRUPT),
    "a base offset": (wire.batch([b"x"], base_offset=5), INVALID_RECORD),
    "a client's control batch": (wire.batch([b"x"], attributes=0x20), INVALID_RECORD),
    "a codec that is none": (wire.batch([b"x"], attributes=7), OTHER),
    "gzip that is none": (packed(1, b"not gzip at all"), OTHER),
    "snappy that is none": (packed(2, b"\xff\xff\xff\xff\x0f snappy...."), OTHER),
    "lz4 that is none": (packed(3, b"not lz4 at all....."), OTHER),
    "zstd that is none": (packed(4, b"not zstd at all....."), OTHER),
    "three compressed records that are one": (packed(1, gzip.compress(wire.record(0, b"a")), 3), INVALID_RECORD),
    "a record of 512 MiB": (wire.batch([], payload=HUGE_RECORD, count=1, last_offset_delta=0), INVALID_RECORD),
    "a compressed record of 512 MiB": (packed(1, gzip.compress(HUGE_RECORD)), INVALID_RECORD),
    "2^30 headers": (with_record(headers=1 << 30), INVALID_RECORD),
    "minus two headers": (with_record(headers=-2), INVALID_RECORD),
    "a key of 1 GiB": (with_record(key_length=1 << 30), INVALID_RECORD),
    "a record longer than it is": (with_record(length_lie=1), INVALID_RECORD),
    "a record shorter than it is": (with_record(length_lie=-1), INVALID_RECORD),
    "a transaction without its id": (wire.batch([b"x"], attributes=0x10, producer=(1, 0, 0)), NO_TXN),
    "a record of the year 2100": (wire.batch([b"x"], timestamp=4102444800000), INVALID_TIMESTAMP),
    "a batch over max.message.bytes": (wire.batch([b"x" * 1100000]), TOO_LARGE),
}
UNREADABLE = (OTHER, CORRUPT, INVALID_RECORD)  # Kafka's code for undecodable codecs is an accident


def test_lying_batches(world):
    broker = world.broker()
    before = None
    with wire.Connection(broker.port) as connection:
        check_equal(connection.create_topic("keyed", configs=(("cleanup.policy", "compact"),))[0], 0, "create")
        create_and_produce(connection, "t", OK)
        before = broker.resident_kib()
        end = connection.list_offset("t")[2]
        for name, (records, wanted) in LIES.items():
            error, offset, _, _ = connection.produce("t", records)
            right = error in UNREADABLE if wanted == OTHER else error == wanted
            check(right and offset == -1, f"{name}: error {error} at {offset}, Kafka says {wanted}")
        check_equal(connection.produce("keyed", OK)[0], INVALID_RECORD, "no key on a compacted topic")
        check_equal(connection.produce("no such topic", OK)[0], 3, "a topic that is none")
        check_equal(connection.produce("t", OK, partition=9)[0], 3, "a partition that is none")
        check_equal(connection.list_offset("t")[2], end, "nothing of all this was appended")
        check_equal(connection.produce("t", OK)[:2], (0, end), "the next good batch")
        check_equal((connection.fetch("t", 9999)[0], connection.fetch("t", -5)[0]), (1, 1), "fetch out of range")
    check_bounded(world, broker, before)


def test_producers_that_lie_about_sequences(world):
    broker = world.broker()

    def send(epoch, sequence, count=1):
        return connection.produce("t", wire.batch([b"x"] * count, producer=(77, epoch, sequence)))[:2]
    with wire.Connection(broker.port) as connection:
        create_and_produce(connection, "t", OK)
        check_equal(send(3, 0), (0, 1), "the first batch")
        check_equal(send(3, 0), (0, 1), "the same again: its old offset, nothing appended")
        check_equal(send(3, 5), (45, -1), "a gap (OUT_OF_ORDER_SEQUENCE_NUMBER)")
        check_equal(send(2, 1), (47, -1), "an older epoch (INVALID_PRODUCER_EPOCH)")
        check_equal(send(-1, 1), (47, -1), "an epoch of minus one")
        check_equal(send(4, 7), (45, -1), "a new epoch that does not begin at 0")
        check_equal([send(3, n) for n in range(1, 7)], [(0, n + 1) for n in range(1, 7)], "six more")
        check_equal(send(3, 6), (0, 7), "the last again")
        check_equal(send(3, 0), (45, -1), "one older than the five remembered")
        check_equal(send(4, 0), (0, 8), "a new epoch")
        check_equal(connection.list_offset("t")[2], 9, "the end of the log")


def test_decompression_bomb(world):
    """One record of 768 MiB of zeros in 760 KB of gzip: taken or refused, but never unfolded in memory."""
    broker = world.broker()
    check_serving(broker)
    before = broker.resident_kib()
    size = 768 << 20
    inner = b"\0" + wire.varint(0) + wire.varint(0) + wire.varint(-1) + wire.varint(size)
    squeeze = zlib.compressobj(9, wbits=31)
    payload = squeeze.compress(wire.varint(len(inner) + size + 1) + inner)
    zeros = bytes(1 << 20)
    payload += b"".join(squeeze.compress(zeros) for _ in range(size >> 20))
    payload += squeeze.compress(wire.varint(0)) + squeeze.flush()
    peak = 0
    with wire.Connection(broker.port, timeout=100) as connection:
        create_and_produce(connection, "t", OK)
        error = connection.produce("t", packed(1, payload))[0]
        peak = broker.resident_kib()
    check(error in (0, *UNREADABLE, TOO_LARGE), f"the bomb: error {error}")
    if world.kind == "millrace":
        check(peak - before < GROWTH_KIB, f"the bomb grew the broker by {peak - before} KiB")
    check_serving(broker)


def test_names_and_counts_of_topics(world):
    broker = world.broker()
    with wire.Connection(broker.port) as connection:
        for name, text in (("a" * 250, "Topic name is invalid: the length of"),
                           (".", "Topic name is invalid: '.' is not allowed"),
                           ("..", "Topic name is invalid: '..' is not allowed"),
                           ("a/b", "contains one or more characters other than ASCII alphanumerics, "
                            "'.', '_' and '-'"),
                           ("../../etc/passwd", "contains one or more characters other than"),
                           ("", "Topic name is invalid: the empty string is not allowed"),
                           ("nul\0byte", "contains one or more characters other than")):
            error, message = connection.create_topic(name)
            check_equal(error, 17, f"topic {name[:20]!r}")
            check_in(text, message)
        check_equal(connection.create_topic("a" * 249)[0], 0, "the longest name")
        check_equal(connection.create_topic("ok_-.Z")[0], 0, "every character allowed")
        for partitions in (0, -5):
            check_equal(connection.create_topic("p", partitions), (
                37, "Number of partitions was set to an invalid non-positive value."), "partitions")
        error, text = connection.create_topic("cfg", configs=(("retention.ms", "abc"),))
        check_equal((error, text), (40, "Invalid value abc for configuration retention.ms: Not a number of "
                                        "type LONG"), "a config that is no number")
        names = ["a b", "..", "x" * 300]
        got = connection.metadata(names, create=True)["topics"]
        check_equal([got[n][0] for n in names], [17, 17, 17], "auto-creation of names that are none")
        check_equal(connection.metadata(["unknown"])["topics"]["unknown"][0], 3, "an unknown topic")
    wait_for(lambda: [p.name for p in broker.data.glob("ok_*")] == ["ok_-.Z-0"], "its folder")


def test_random_frames(world):
    """Every api of the broker, random versions and random bodies: 400 frames, the same on each run."""
    broker = world.broker()
    check_serving(broker)
    before = broker.resident_kib()
    chance = random.Random(4431)
    for _ in range(400):
        api, version = chance.randrange(0, 93), chance.randrange(0, 14)
        body = bytes(chance.choice((0, 0, 0, 1, 2, 127, 128, 255, chance.randrange(256)))
                     for _ in range(chance.randrange(0, 200)))
        with wire.Connection(broker.port) as connection:
            try:
                connection.send(frame(head(api, version) + body))
                connection.socket.settimeout(0.05)  # an answer, a close, or a long poll: all are fine
                connection.socket.recv(65536)
            except OSError:
                pass
        check(broker.alive(), f"the broker died of api {api} v{version} {body.hex()}")
    check_bounded(world, broker, before)
    check_serving(broker)


def test_idle_connections(world):
    wanted = IDLE_CONNECTIONS if world.kind == "millrace" else 500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(wanted, hard - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 200, hard))
    # With Kafka's backlog of 50 a burst overflows it and waits a second for TCP to ask again.
    broker = world.broker(started=False, socket_listen_backlog_size=2000).format().start(
        limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard)))
    check_serving(broker)
    before = broker.resident_kib()
    idle = []
    try:
        while len(idle) < wanted:
            idle.append(wire.Connection(broker.port))
        check_serving(broker)
        check_bounded(world, broker, before)
    finally:
        for connection in idle:
            connection.socket.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check_serving(broker)


def test_few_descriptors(world):
    """More connections than the process may have: logs still open their files, and nothing goes offline."""
    if world.kind != "millrace":
        return
    broker = world.broker(started=False).format().start(
        limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)))
    check_serving(broker)
    healthy = wire.Connection(broker.port)
    idle = []
    try:
        while len(idle) < 600:
            idle.append(wire.Connection(broker.port))
        check(healthy.create_topic("many", partitions=200)[0] in (0, 36), "create")
        for partition in range(200):
            wait_for(lambda: healthy.produce("many", wire.batch([b"x"]), partition)[0] == 0, "a produce")
        for partition in range(200):
            check_equal(healthy.fetch("many", 0, partition)[0], 0, f"fetch of {partition}")
    finally:
        for connection in idle + [healthy]:
            connection.socket.close()
    check_serving(broker)
    check("offline" not in broker.log.read_text(errors="replace"), "a directory went offline")


def fails_to_start(broker, *words):
    """The node ends by itself, not with success, and its last words name the cause."""
    broker.start(wait=False)
    wait_for(lambda: not broker.alive(), "the start to fail", 60)
    code, broker.process = broker.process.returncode, None
    check(code != 0, "the start failed with exit 0")
    log = broker.log.read_text(errors="replace")
    for word in words:
        check_in(word, log.lower(), "the log of the failed start")
    if broker.kind == "millrace":
        check_in("error:", log)
        check_in("fix:", log)


def test_directory_of_another_cluster(world):
    broker = world.broker().stop()
    other = world.broker(started=False).format()  # its directory becomes another cluster's
    meta = other.data / "meta.properties"
    meta.write_text(meta.read_text().replace("cluster.id=MkU3", "cluster.id=XXXX"))
    broker.settings["log.dirs"] = f"{broker.data},{other.data}"
    broker.write_config()
    fails_to_start(broker, "cluster")


def test_directory_of_another_node(world):
    broker = world.broker().stop()
    broker.settings["node.id"] = "2"
    broker.write_config()
    fails_to_start(broker, "node")


def test_directory_not_formatted(world):
    broker = world.broker().stop()
    (broker.data / "meta.properties").unlink()
    fails_to_start(broker, "meta.properties")


def test_two_processes_on_one_directory(world):
    if world.kind != "millrace":
        return  # Kafka's second process gives up its start but may hang on its way out
    first = world.broker()
    check_serving(first)
    second = world.broker(started=False)
    second.settings["log.dirs"] = str(first.data)
    second.write_config()
    fails_to_start(second, "lock")
    check_serving(first)


def test_read_only_directory(world):
    if world.kind != "millrace":
        return  # a JVM of another user could not read this user's jars
    broker = world.broker().stop()
    as_root = os.geteuid() == 0
    for path in [broker.data, *broker.data.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if as_root:  # root may write everywhere; nobody may not
        for path in (world.folder, broker.directory):
            path.chmod(0o755)
        start = broker.start

        def start_as_nobody(wait):
            return start(wait=wait, limits=lambda: (os.setgid(65534), os.setuid(65534)))
        broker.start = start_as_nobody
    fails_to_start(broker, str(broker.data).lower())


def test_misspelt_key(world):
    """Kafka takes unknown keys in silence. Ours warns in a .properties file and refuses in YAML."""
    broker = world.broker(log_retention_hour=1)
    check_serving(broker)
    broker.stop()
    if world.kind != "millrace":
        return
    check_in("log.retention.hour", broker.log.read_text())
    broker.config = broker.directory / "node.yaml"
    broker.config.write_text("".join(f'{k}: "{v}"\n' for k, v in broker.settings.items()))
    fails_to_start(broker, "log.retention.hour'", "did you mean 'log.retention.hours'")


def test_full_disk(world):
    """No file may grow over 12 MiB: a write fails. What was acknowledged is there after the restart."""
    broker = world.broker(started=False).format()
    limit = 12 << 20

    def limits():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a failed write, not a signal
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    broker.start(limits=limits)
    answers = set()
    with wire.Connection(broker.port) as connection:
        payload = wire.batch([b"d" * 500_000])
        create_and_produce(connection, "t", payload)
        acknowledged = 1
        try:
            for _ in range(60):
                error, offset, _, _ = connection.produce("t", payload)
                answers.add(error)
                if error:
                    break
                check_equal(offset, acknowledged, "offset")
                acknowledged += 1
        except (wire.Closed, OSError):
            answers.add("closed")
    check(answers - {0}, "a disk without room took everything")
    check(answers <= {0, 56, "closed"}, f"answers {answers}, Kafka says 56 (KAFKA_STORAGE_ERROR)")
    check(acknowledged >= 20, f"only {acknowledged} batches fitted")
    if world.kind == "millrace":
        check_in("File too large".lower(), broker.log.read_text().lower(), "the broker's log")
    broker.kill()
    broker.start()
    with wire.Connection(broker.port) as connection:
        wait_for(lambda: connection.list_offset("t")[0] == 0, "t to be led again")
        end = connection.list_offset("t")[2]
        check(end >= acknowledged, f"{acknowledged} were acknowledged, {end} are there")
        for offset in range(acknowledged):
            error, _, records = connection.fetch("t", offset)
            check(error == 0 and len(records) > 500_000, f"offset {offset}: error {error}")


if __name__ == "__main__":
    main()
