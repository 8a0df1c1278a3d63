#!/usr/bin/env python3
# tests/interop/0021_bad_group_input.py: what a port gets from members and producers that are broken.
"""Groups and transactions asked wrongly, by raw requests, and coordinator logs with bad records."""
import struct

import wire
from harness import check, check_equal, check_in, command, main, wait_for

(OFFSET_COMMIT, OFFSET_FETCH, FIND, JOIN, HEARTBEAT, LEAVE, SYNC, DESCRIBE, INIT, ADD, ADD_OFFSETS,
 END, TXN_COMMIT, DELETE, CONSUMER) = 8, 9, 10, 11, 12, 13, 14, 15, 22, 24, 25, 26, 28, 42, 68
LIST, MARKERS, OFFSET_DELETE, PRODUCERS, DESCRIBE_TXNS, LIST_TXNS, CONSUMER_DESCRIBE = \
    16, 27, 47, 61, 65, 66, 69
LONGEST = "i" * 32767
BINARY = b"\x00\x01\n\t \xc3\xa9"
UNKNOWN, OK, UNKNOWN_PARTITION, TOO_MUCH_METADATA, ILLEGAL_GENERATION, BAD_PROTOCOL, INVALID_GROUP = \
    -1, 0, 3, 12, 22, 23, 24
UNKNOWN_MEMBER, BAD_SESSION, INVALID_REQUEST, BAD_EPOCH, BAD_STATE, BAD_MAPPING, BAD_TIMEOUT = \
    25, 26, 42, 47, 48, 49, 50
NOT_FOUND, MEMBER_ID_REQUIRED, BAD_ASSIGNOR, BAD_REGEX, FENCED, NOT_COORDINATOR = \
    69, 79, 112, 128, 90, 16
FENCED_MEMBER, FENCED_COORDINATOR, NO_ID = 110, 52, 105


def data(payload):
    return struct.pack(">i", len(payload)) + payload


def compact(text):
    if text is None:
        return b"\0"
    raw = text.encode() if isinstance(text, str) else text
    return unsigned(len(raw) + 1) + raw


def unsigned(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


SUBSCRIPTION = struct.pack(">h", 0) + wire.array([wire.string("birds")]) + struct.pack(">i", -1)


def join(group, member="", instance=None, session=10000, kind="consumer", metadata=SUBSCRIPTION,
         protocols=("range",)):
    return JOIN, 5, (wire.string(group) + struct.pack(">ii", session, 10000) + wire.string(member)
                     + wire.nullable(instance) + wire.string(kind)
                     + wire.array([wire.string(p) + data(metadata) for p in protocols])), 4


def sync(group, member, generation, instance=None, assignment=b""):
    return SYNC, 3, (wire.string(group) + struct.pack(">i", generation) + wire.string(member)
                     + wire.nullable(instance)
                     + wire.array([wire.string(member) + data(assignment)])), 4


def beat(group, member, generation, instance=None):
    return HEARTBEAT, 3, (wire.string(group) + struct.pack(">i", generation) + wire.string(member)
                          + wire.nullable(instance)), 4


def leave(group, member):
    return LEAVE, 1, wire.string(group) + wire.string(member), 4


def commit(group, topic="birds", partition=0, member="", generation=-1, text=""):
    part = struct.pack(">iqi", partition, 7, -1) + wire.nullable(text)
    return OFFSET_COMMIT, 7, (wire.string(group) + struct.pack(">i", generation)
                              + wire.string(member) + wire.nullable(None)
                              + wire.array([wire.string(topic) + wire.array([part])])), "commit"


def txn_commit(tid, group, producer, member="", generation=-1):
    part = struct.pack(">iq", 0, 7) + struct.pack(">i", -1) + wire.nullable("")
    return TXN_COMMIT, 2, (wire.string(tid) + wire.string(group) + struct.pack(">qh", *producer)
                           + wire.array([wire.string("birds") + wire.array([part])])), "txn commit"


def init(tid, timeout=60000):
    return INIT, 1, wire.nullable(tid) + struct.pack(">i", timeout), 4


def add(tid, producer, topic="birds", partition=0):
    topics = wire.array([wire.string(topic) + wire.array([struct.pack(">i", partition)])])
    return ADD, 1, wire.string(tid) + struct.pack(">qh", *producer) + topics, "txn commit"


def add_offsets(tid, producer, group):
    return ADD_OFFSETS, 1, wire.string(tid) + struct.pack(">qh", *producer) + wire.string(group), 4


def end(tid, producer):
    return END, 1, wire.string(tid) + struct.pack(">qh", *producer) + b"\1", 4


def delete(group):
    return DELETE, 0, wire.array([wire.string(group)]), "delete"


def describe(group):
    return DESCRIBE, 0, wire.array([wire.string(group)]), "describe"


def consumer(group, member="m", epoch=0, regex=None, topics=(), assignor=None, instance=None):
    """ConsumerGroupHeartbeat v1."""
    names = b"\0" if topics is None else unsigned(len(topics) + 1) + b"".join(map(compact, topics))
    owned = unsigned(1) if epoch == 0 else b"\0"
    return CONSUMER, 1, (compact(group) + compact(member) + struct.pack(">i", epoch)
                         + compact(instance) + b"\0" + struct.pack(">i", 60000) + names
                         + compact(regex) + compact(assignor) + owned + b"\0"), "flexible"


def compact_array(items):
    return unsigned(len(items) + 1) + b"".join(items)


def find(key, kind):
    return FIND, 1, wire.string(key) + bytes([kind]), 4


def fetch_offsets(group, topic="birds", partition=0):
    topics = wire.array([wire.string(topic) + wire.array([struct.pack(">i", partition)])])
    return OFFSET_FETCH, 5, wire.string(group) + topics, "offset fetch"


def delete_offsets(group, topic="birds", partition=0):
    topics = wire.array([wire.string(topic) + wire.array([struct.pack(">i", partition)])])
    return OFFSET_DELETE, 0, wire.string(group) + topics, "offset delete"


def list_groups(states=(), types=()):
    return LIST, 5, compact_array([*map(compact, states)]) + compact_array([*map(compact, types)]) + b"\0", \
        "flexible"


def describe_consumers(group):
    return CONSUMER_DESCRIBE, 0, compact_array([compact(group)]) + b"\0\0", "described"


def describe_txn(tid):
    return DESCRIBE_TXNS, 0, compact_array([compact(tid)]) + b"\0", "described"


def list_txns(states=(), producers=(), pattern=None):
    return LIST_TXNS, 2, (compact_array([*map(compact, states)])
                          + compact_array([struct.pack(">q", p) for p in producers])
                          + struct.pack(">q", -1) + compact(pattern) + b"\0"), "flexible"


def flexible_topic(topic, partition):
    return compact_array([compact(topic) + compact_array([struct.pack(">i", partition)]) + b"\0"])


def describe_producers(topic="birds", partition=0):
    return PRODUCERS, 0, flexible_topic(topic, partition) + b"\0", "producers"


def marker(producer, topic="birds", partition=0, coordinator=0):
    return MARKERS, 1, compact_array([struct.pack(">qh?", *producer, True) + flexible_topic(topic, partition)
                                      + struct.pack(">i", coordinator) + b"\0"]) + b"\0", "markers"


def nested_code(r, shape):
    """The code of the first partition of the first topic, in a flexible response."""
    r.take("b")
    if shape == "producers":
        r.take("i")
    else:  # markers: one, its producer id
        r.take("bq")
    r.take("b")
    name = r.take("B") - 1
    r.at += name
    return r.take("bih")[2]


def answer(connection, request):
    """The error code of a request's answer, the first one where there are many."""
    api, version, body, shape = request
    flexible = shape in ("flexible", "described", "producers", "markers")
    r = connection.ask(api, version, body, header=2 if flexible else 1)
    if shape == 4:  # throttle time, then the code
        return r.take("ih")[1]
    if shape == "flexible":
        return r.take("bih")[2]
    if shape == "described":  # throttle time, then an array
        return r.take("bibh")[3]
    if shape in ("producers", "markers"):
        return nested_code(r, shape)
    if shape == "offset delete":
        code, _ = r.take("hi")
        topics = r.array(lambda: (r.string(), r.array(lambda: r.take("ih")[1])))
        return code or topics[0][1][0]
    if shape == "offset fetch":
        r.take("i")
        topics = r.array(lambda: (r.string(), r.array(
            lambda: (r.take("iqi"), r.string(), r.take("h"))[2])))
        return r.take("h") or topics[0][1][0]
    if shape in ("commit", "txn commit"):
        r.take("i")
        return r.array(lambda: (r.string(), r.array(lambda: r.take("ih")[1])))[0][1][0]
    if shape == "delete":
        r.take("i")
        return r.array(lambda: (r.string(), r.take("h")))[0][1]
    return r.array(lambda: r.take("h"))[0]  # describe


def found(broker, key, kind):
    """Asks for a coordinator until there is one, which also makes the internal topic."""
    def ask():
        with wire.Connection(broker.port) as connection:
            return connection.ask(FIND, 1, wire.string(key) + bytes([kind])).take("ih")[1] == OK
    wait_for(ask, f"the coordinator of {key}")


def becomes(broker, request, wanted, what):
    """Repeats a request while its coordinator loads or is not there yet."""
    def ask():
        with wire.Connection(broker.port) as connection:
            code = answer(connection, request)
        check(code in (wanted, 14, 15, 16), f"{what}: {code}, wanted {wanted}")
        return code == wanted
    wait_for(ask, what)


def started(world, **settings):
    broker = world.broker(group_initial_rebalance_delay_ms=0, **settings)
    command([world.millrace, "topic", "create", "birds", "-b", broker.server])
    found(broker, "g", 0)
    found(broker, "t", 1)
    becomes(broker, commit("healthy"), OK, "the commit of a healthy client")
    becomes(broker, init("healthy"), OK, "the producer id of a healthy client")
    return broker


def check_table(broker, table):
    """Where two codes stand, the second is Kafka's, which runs into its own exception there."""
    wrong = []
    with wire.Connection(broker.port) as connection:
        for name, (request, wanted) in table.items():
            try:
                code = answer(connection, request)
            except wire.Closed:
                code, connection = "closed", wire.Connection(broker.port)
            if isinstance(wanted, tuple):
                wanted = wanted[broker.kind == "kafka"]
            if code != wanted:
                wrong.append(f"{name}: {code}, wanted {wanted}")
    check(not wrong, "\n".join(wrong))
    becomes(broker, commit("healthy"), OK, "a healthy client afterwards")


GROUPS = {
    "join: empty group id": (join(""), INVALID_GROUP),
    "join: a member id first": (join("new"), MEMBER_ID_REQUIRED),
    "join: a member id nobody gave out": (join("new", "stranger"), UNKNOWN_MEMBER),
    "join: no time to live": (join("new", session=0), BAD_SESSION),
    "join: no protocol": (join("new", protocols=()), BAD_PROTOCOL),
    "join: no kind of protocol": (join("new", kind=""), BAD_PROTOCOL),
    "join: a binary group id": (join(BINARY), MEMBER_ID_REQUIRED),
    "join: a group id of 32 KB": (join(LONGEST), MEMBER_ID_REQUIRED),
    "join: an instance id of 32 KB": (join("wide", instance=LONGEST), (OK, UNKNOWN)),
    "join: an unknown static member": (join("new", "m", instance="i"), UNKNOWN_MEMBER),
    "sync: unknown group": (sync("nobody", "m", 1), UNKNOWN_MEMBER),
    "sync: empty group id": (sync("", "m", 1), INVALID_GROUP),
    "heartbeat: unknown group": (beat("nobody", "m", 1), UNKNOWN_MEMBER),
    "heartbeat: empty group id": (beat("", "m", 1), INVALID_GROUP),
    "heartbeat: binary member id": (beat("nobody", BINARY, -5), UNKNOWN_MEMBER),
    "leave: unknown group": (leave("nobody", "m"), UNKNOWN_MEMBER),
    "commit: unknown member": (commit("nobody", member="m", generation=3), ILLEGAL_GENERATION),
    "commit: a topic that is gone": (commit("g", topic="gone"), UNKNOWN_PARTITION),
    "commit: a partition that is none": (commit("g", partition=-7), UNKNOWN_PARTITION),
    "commit: a lot of metadata": (commit("g", text="x" * 4097), TOO_MUCH_METADATA),
    "commit: just enough metadata": (commit("g", text="x" * 4096), OK),
    "commit: a binary group id": (commit(BINARY), OK),
    "commit: a group id of 32 KB": (commit(LONGEST), OK),
    "delete: unknown group": (delete("nobody"), NOT_FOUND),
    "delete: empty group id": (delete(""), NOT_FOUND),
    "delete: the binary one": (delete(BINARY), OK),
    "describe: empty group id": (describe(""), OK),
    "consumer: empty group id": (consumer(""), INVALID_REQUEST),
    "consumer: empty member id": (consumer("c", member=""), INVALID_REQUEST),
    "consumer: an epoch of nobody": (consumer("c", epoch=5), NOT_FOUND),
    "consumer: an epoch that is none": (consumer("c", epoch=-7), INVALID_REQUEST),
    "consumer: an illegal expression": (consumer("c", topics=None, regex="("), BAD_REGEX),
    "consumer: a bomb of an expression":
        (consumer("c", topics=None, regex="((x{900}){900}){900}"), (BAD_REGEX, UNKNOWN)),
    "consumer: an unknown assignor": (consumer("c", assignor="zzz"), BAD_ASSIGNOR),
    "consumer: an empty instance": (consumer("c", instance=" "), INVALID_REQUEST),
    "consumer: binary ids": (consumer(BINARY, member=BINARY, topics=["birds"]), OK),
    "consumer: an epoch of the future": (consumer(BINARY, member=BINARY, epoch=99), FENCED_MEMBER),
    "consumer: a stranger's epoch": (consumer(BINARY, member="m", epoch=1), UNKNOWN_MEMBER),
    "consumer: a static member that is none": (consumer(BINARY, member="m", epoch=-2, instance="i"),
                                               UNKNOWN_MEMBER),
    "find: a kind that is none": (find("g", 9), INVALID_REQUEST),
    "find: an empty group id": (find("", 0), OK),
    "find: a share key that is none": (find("g", 2), INVALID_REQUEST),
    "fetch: unknown group": (fetch_offsets("nobody"), OK),
    "fetch: empty group id": (fetch_offsets(""), OK),
    "fetch: a topic that is gone": (fetch_offsets("g", topic="gone"), OK),
    "fetch: a partition that is none": (fetch_offsets("g", partition=-7), OK),
    "offset delete: unknown group": (delete_offsets("nobody"), NOT_FOUND),
    "offset delete: empty group id": (delete_offsets(""), INVALID_GROUP),
    "offset delete: a topic that is gone": (delete_offsets("g", topic="gone"), UNKNOWN_PARTITION),
    "offset delete: a partition that is none": (delete_offsets("g", partition=-7), UNKNOWN_PARTITION),
    "list: a state that is none": (list_groups(states=["Hungry"]), OK),
    "list: a kind that is none": (list_groups(types=["zoo"]), OK),
    "describe consumers: unknown group": (describe_consumers("nobody"), NOT_FOUND),
    "describe consumers: empty group id": (describe_consumers(""), INVALID_GROUP),
    "describe consumers: a classic one": (describe_consumers("new"), NOT_FOUND),
}


def test_requests_of_broken_members(world):
    check_table(started(world), GROUPS)


def joined(connection, request):
    """JoinGroup v5: (error, generation, member id)."""
    api, version, body, _ = request
    r = connection.ask(api, version, body)
    _, error, generation = r.take("ihi")
    r.string(), r.string()
    return error, generation, r.string()


# What a leader may send as an assignment, and a member as a subscription: bytes nobody looks into
# unless a group of the new protocol has to.
MALFORMED = {
    "empty": b"",
    "one byte": b"\0",
    "a version of the future": struct.pack(">h", 99) + SUBSCRIPTION[2:],
    "a negative version": struct.pack(">h", -3) + SUBSCRIPTION[2:],
    "2^31-1 topics": struct.pack(">hi", 0, 0x7FFFFFFF),
    "a topic longer than the rest": struct.pack(">hih", 0, 1, 0x7FFF) + b"x",
    "owned partitions cut short": struct.pack(">h", 1) + SUBSCRIPTION[2:] + struct.pack(">i", 9),
}
# Apache Kafka 4.3.1 leaves some of the others without any answer.
KAFKA_ANSWERS = ("empty", "one byte", "a version of the future", "a negative version")


def test_malformed_subscriptions_and_assignments(world):
    """A classic group carries them as they are; it cannot be upgraded, nor joined when upgraded."""
    broker = started(world)
    with wire.Connection(broker.port) as connection:
        for n, (name, payload) in enumerate(MALFORMED.items()):
            if broker.kind == "kafka" and name not in KAFKA_ANSWERS:
                continue
            group = f"bad{n}"
            member = joined(connection, join(group, metadata=payload))[2]
            error, generation, _ = joined(connection, join(group, member, metadata=payload))
            check_equal(error, OK, f"{name}: join")
            check_equal(answer(connection, sync(group, member, generation, assignment=payload)), OK,
                        f"{name}: sync")
            check_equal(answer(connection, beat(group, member, generation)), OK, f"{name}: heartbeat")
            check_equal(answer(connection, beat(group, member, generation + 1)), ILLEGAL_GENERATION,
                        f"{name}: heartbeat of another generation")
            check_equal(answer(connection, commit(group, member=member, generation=generation)), OK,
                        f"{name}: commit")
            code = answer(connection, consumer(group, topics=["birds"]))
            check(code == NOT_FOUND or (broker.kind, code) == ("kafka", UNKNOWN),
                  f"{name}: upgrade: {code}")
        check_equal(answer(connection, consumer("new", topics=["birds"])), OK, "a consumer group")
        for name, payload in MALFORMED.items():
            if broker.kind == "kafka" and name not in KAFKA_ANSWERS:
                continue
            error = joined(connection, join("new", "x", metadata=payload))[0]
            check_equal(error, BAD_PROTOCOL, f"{name}: joins it")
    becomes(broker, commit("healthy"), OK, "a healthy client afterwards")


TRANSACTIONS = {
    "init: empty id": (init(""), INVALID_REQUEST),
    "init: no time": (init("t", 0), BAD_TIMEOUT),
    "init: too much time": (init("t", 900001), BAD_TIMEOUT),
    "init: a binary id": (init(BINARY), OK),
    "init: an id of 32 KB": (init(LONGEST), OK),
    "init: no id": (init(None, 0), OK),
    "add: empty id": (add("", (1, 0)), INVALID_REQUEST),
    "add: unknown id": (add("nobody", (1, 0)), BAD_MAPPING),
    "add: foreign producer": (add("healthy", (424242, 0)), BAD_MAPPING),
    "add: a topic that is gone": (add("healthy", (424242, 0), topic="gone"), UNKNOWN_PARTITION),
    "add offsets: empty id": (add_offsets("", (1, 0), "g"), INVALID_REQUEST),
    "add offsets: unknown id": (add_offsets("nobody", (1, 0), "g"), BAD_MAPPING),
    "end: empty id": (end("", (1, 0)), INVALID_REQUEST),
    "end: unknown id": (end("nobody", (1, 0)), BAD_MAPPING),
    "end: foreign producer": (end("healthy", (424242, 0)), BAD_MAPPING),
    "commit: nobody's transaction": (txn_commit("nobody", "g", (424242, 0)), BAD_MAPPING),
    "commit: empty id": (txn_commit("", "g", (424242, 0)), INVALID_REQUEST),
    "commit: empty group id": (txn_commit("healthy", "", (424242, 0)), INVALID_GROUP),
    "find: empty id": (find("", 1), OK),
    "describe: unknown id": (describe_txn("nobody"), NO_ID),
    "describe: empty id": (describe_txn(""), INVALID_REQUEST),
    "list: a state that is none": (list_txns(states=["Hungry"]), OK),
    "list: a producer that is none": (list_txns(producers=[-9]), OK),
    "list: an illegal pattern": (list_txns(pattern="("), BAD_REGEX),
    "producers: a topic that is gone": (describe_producers("gone"), UNKNOWN_PARTITION),
    "producers: a partition that is none": (describe_producers(partition=-7), UNKNOWN_PARTITION),
    "marker: a topic that is gone": (marker((424242, 0), "gone"), UNKNOWN_PARTITION),
    "marker: a stranger": (marker((424242, 0)), OK),
    "marker: an epoch that is past": (marker((424242, -1)), (BAD_EPOCH, UNKNOWN)),
    "marker: a coordinator of the future": (marker((424242, 0), coordinator=7), OK),
    "marker: a coordinator of the past": (marker((424242, 0), coordinator=6), FENCED_COORDINATOR),
}


def test_requests_of_broken_producers(world):
    broker = started(world)
    check_table(broker, TRANSACTIONS)
    with wire.Connection(broker.port) as connection:
        r = connection.ask(*init("mine")[:3])
        _, error, pid, epoch = r.take("ihqh")
        check_equal(error, OK, "init")
        for name, request, wanted in (
                ("an epoch of the future", add("mine", (pid, epoch + 1)), BAD_EPOCH),
                ("nothing to commit", end("mine", (pid, epoch)), BAD_STATE),
                ("a partition", add("mine", (pid, epoch)), OK),
                ("offsets that were not announced", txn_commit("mine", "g", (pid, epoch)), BAD_STATE),
                ("the end, by a stranger", end("mine", (pid + 1, epoch)), BAD_MAPPING),
                ("the end", end("mine", (pid, epoch)), OK)):
            check_equal(answer(connection, request), wanted, name)
    becomes(broker, init("healthy"), OK, "a healthy producer afterwards")


def java_hash(text):
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF if value < 0x80000000 else abs(value - (1 << 32))


def group_key(kind, group):
    return struct.pack(">h", kind) + wire.string(group)


# What stands in the log of group "g": (key, value), whether the partition is still served.
RECORDS = {
    "a record of an unknown kind": (group_key(77, "g"), b"\0\0whatever", True),
    "a key without anything": (b"", b"\0\0", False),
    "a value of a newer version": (group_key(2, "g"), struct.pack(">h", 99) + b"future", False),
    "a group cut short": (group_key(2, "g"), struct.pack(">h", 3) + wire.string("consumer")[:5], False),
    "a member list without end":
        (group_key(2, "g"), struct.pack(">h", 0) + wire.string("consumer") + struct.pack(">i", 1)
         + wire.nullable(None) * 2 + b"\x7f\xff\xff\xff", False),
}


def batches(segment):
    """(base offset, last offset, codec, end in the file) of each."""
    raw, at, found = segment.read_bytes(), 0, []
    while at + 61 <= len(raw):
        base, size = struct.unpack_from(">qi", raw, at)
        if size <= 0:
            break
        attributes, last = struct.unpack_from(">hi", raw, at + 21)
        at += 12 + size
        found.append((base, base + last, attributes & 7, at))
    return found


def append_record(broker, folder, key, value):
    segment = broker.data / folder / f"{0:020}.log"
    _, last, _, at = (batches(segment) or [(0, -1, 0, 0)])[-1]
    next_offset = last + 1
    payload = wire.record(0, value, key)
    with segment.open("r+b") as file:
        file.truncate(at)
        file.seek(at)
        file.write(wire.batch([], payload=payload, count=1, last_offset_delta=0,
                              base_offset=next_offset))


def test_bad_records_in_the_log_of_groups(world):
    broker = started(world, offsets_topic_num_partitions=2)
    other = next(name for name in "abcdefgh" if java_hash(name) % 2 != java_hash("g") % 2)
    broker.stop()
    for name, (key, value, served) in RECORDS.items():
        segment = broker.data / f"__consumer_offsets-{java_hash('g') % 2}" / f"{0:020}.log"
        before = segment.read_bytes()
        append_record(broker, f"__consumer_offsets-{java_hash('g') % 2}", key, value)
        broker.start()
        becomes(broker, commit(other), OK, f"{name}: another partition's group")
        becomes(broker, commit("g"), OK if served else NOT_COORDINATOR, name)
        with wire.Connection(broker.port) as connection:
            check_equal(connection.produce("birds", wire.batch([b"x"]))[0], OK, f"{name}: produce")
        broker.stop()
        segment.write_bytes(before)
    if world.kind == "millrace":
        log = broker.log.read_text()
        check_in("__consumer_offsets-", log)
        check_equal(log.count("loading stopped"), len(RECORDS) - 1, "log lines")


def txn_key(tid, version=0):
    return struct.pack(">h", version) + wire.string(tid)


def txn_value(version, producer=424242, state=0, partitions=b"\xff\xff\xff\xff"):
    return struct.pack(">hqhib", version, producer, 0, 60000, state) + partitions + struct.pack(">qq", 1, -1)


# What stands in the log of the transactional id "t", whether its partition is still served. Apache Kafka
# says so in its log and serves what it has read up to a record that it cannot read: ids and decisions
# behind that record are forgotten. We serve nothing of the partition then.
TXN_RECORDS = {
    "a record of an unknown kind": (txn_key("t", 77), b"\0\0whatever", True),
    "a value of a newer version": (txn_key("t"), struct.pack(">h", 99) + b"future", True),
    "a value of a negative version": (txn_key("t"), struct.pack(">h", -2) + b"past", True),
    "another producer, of an old version": (txn_key("t"), txn_value(0), True),
    "a key without anything": (b"", b"\0\0", False),
    "a key cut short": (txn_key("transactional")[:6], txn_value(0), False),
    "a value cut short": (txn_key("t"), txn_value(0)[:9], False),
    "a list of partitions without end":
        (txn_key("t"), txn_value(0, state=1, partitions=b"\x7f\xff\xff\xff"), False),
    "a state that is none": (txn_key("t"), txn_value(0, state=55), False),
}


def test_bad_records_in_the_log_of_transactions(world):
    broker = started(world, transaction_state_log_num_partitions=2)
    other = next(name for name in "abcdefgh" if java_hash(name) % 2 != java_hash("t") % 2)
    becomes(broker, init("t"), OK, "a producer id")
    broker.stop()
    for name, (key, value, served) in TXN_RECORDS.items():
        folder = f"__transaction_state-{java_hash('t') % 2}"
        segment = broker.data / folder / f"{0:020}.log"
        before = segment.read_bytes()
        append_record(broker, folder, key, value)
        broker.start()
        becomes(broker, init(other), OK, f"{name}: another partition's id")
        served = served or broker.kind == "kafka"
        becomes(broker, init("t"), OK if served else NOT_COORDINATOR, name)
        becomes(broker, commit("g"), OK, f"{name}: a group")
        with wire.Connection(broker.port) as connection:
            check_equal(connection.produce("birds", wire.batch([b"x"]))[0], OK, f"{name}: produce")
        broker.stop()
        segment.write_bytes(before)
    if world.kind == "millrace":
        log = broker.log.read_text()
        wanted = sum(not served for _, _, served in TXN_RECORDS.values())
        check_equal(log.count("loading stopped"), wanted, "log lines of partitions that are not served")
        check_equal(log.count("is left out"), 3, "log lines of records that are left out")


def test_settings_of_the_groups_log(world):
    """Commands of one time share a batch, batches are compressed, a protocol is turned off."""
    gzip, unsupported, commits = 1, 35, 20
    broker = started(world, group_coordinator_append_linger_ms=400,
                     offsets_topic_compression_codec=gzip,
                     group_coordinator_rebalance_protocols="classic")
    segment = broker.data / "__consumer_offsets-0" / f"{0:020}.log"
    before = len(batches(segment))
    connections = [wire.Connection(broker.port) for _ in range(commits)]
    for n, connection in enumerate(connections):
        connection.request(*commit(f"g{n}")[:3])
    for connection in connections:
        _, r = connection.response()
        r.take("i")
        check_equal(r.array(lambda: (r.string(), r.array(lambda: r.take("ih")[1]))), [("birds", [OK])],
                    "a commit")
        connection.socket.close()
    written = batches(segment)[before:]
    check_equal(sum(last - base + 1 for base, last, _, _ in written), commits, "records")
    check(len(written) <= commits // 4, f"{len(written)} batches for {commits} commits")
    check_equal({codec for _, _, codec, _ in written}, {gzip}, "codec")
    with wire.Connection(broker.port) as connection:
        check_equal(answer(connection, consumer("c", topics=["birds"])), unsupported, "a consumer group")
    broker.stop().start()
    becomes(broker, delete("g7"), OK, "a group that was read back")


if __name__ == "__main__":
    main()
