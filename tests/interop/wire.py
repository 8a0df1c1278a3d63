# tests/interop/wire.py: just enough of Kafka's protocol to send what no client library would send.
"""Frames are built and read by hand, so that each byte can be wrong on purpose."""
import socket
import struct
import time

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS = 0, 1, 2, 3, 18, 19


class Closed(Exception):
    """The peer closed the connection."""


def string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">h", len(data)) + data


def nullable(text):
    return struct.pack(">h", -1) if text is None else string(text)


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def record(offset_delta, value, key=None):
    body = (b"\0" + varint(0) + varint(offset_delta)
            + (varint(-1) if key is None else varint(len(key)) + key)
            + varint(len(value)) + value + varint(0))
    return varint(len(body)) + body


def batch(values, attributes=0, payload=None, count=None, last_offset_delta=None, magic=2, crc=None,
          length=None, base_offset=0, producer=(-1, -1, -1), timestamp=None):
    """A record batch; every field can be overridden to make it lie."""
    now = int(time.time() * 1000) if timestamp is None else timestamp
    if payload is None:
        payload = b"".join(record(i, v) for i, v in enumerate(values))
    count = len(values) if count is None else count
    last = max(count - 1, 0) if last_offset_delta is None else last_offset_delta
    after_crc = struct.pack(">hiqqqhii", attributes, last, now, now, *producer, count) + payload
    crc = crc32c(after_crc) if crc is None else crc
    body = struct.pack(">ibI", 0, magic, crc) + after_crc
    return struct.pack(">qi", base_offset, len(body) if length is None else length) + body


class Reader:
    """Walks a response."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("h")
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def array(self, item):
        return [item() for _ in range(max(self.take("i"), 0))]


class Connection:
    """One plain TCP connection to a broker on loopback."""

    def __init__(self, port, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.correlation = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, api, version, body, client="interop", header=1):
        """Sends a request with header version 1; returns its correlation id."""
        self.correlation += 1
        head = struct.pack(">hhi", api, version, self.correlation) + nullable(client)
        if header == 2:
            head += b"\0"
        self.send(struct.pack(">i", len(head + body)) + head + body)
        return self.correlation

    def exactly(self, size):
        data = b""
        while len(data) < size:
            try:
                part = self.socket.recv(size - len(data))
            except ConnectionResetError:
                part = b""
            if not part:
                raise Closed
            data += part
        return data

    def response(self):
        """Reads one frame; returns (correlation id, reader of the rest)."""
        frame = self.exactly(struct.unpack(">i", self.exactly(4))[0])
        return struct.unpack_from(">i", frame)[0], Reader(frame[4:])

    def ask(self, api, version, body, **options):
        wanted = self.request(api, version, body, **options)
        got, reader = self.response()
        assert got == wanted, f"correlation id {got}, wanted {wanted}"
        return reader

    def closed(self, seconds=20):
        """True when the peer closes without having sent anything more than it already did."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def metadata(self, topics, create=False):
        """Metadata v4; None asks for all topics."""
        body = (struct.pack(">i", -1) if topics is None else array([string(t) for t in topics]))
        r = self.ask(METADATA, 4, body + bytes([create]))
        r.take("i")
        brokers = r.array(lambda: (r.take("i"), r.string(), r.take("i"), r.string()))
        cluster, controller = r.string(), r.take("i")

        def partition():
            error, index, leader = r.take("hii")
            return error, index, leader, r.array(lambda: r.take("i")), r.array(lambda: r.take("i"))
        topics = r.array(lambda: (r.take("h"), r.string(), r.take("b"), r.array(partition)))
        return {"brokers": brokers, "cluster": cluster, "controller": controller,
                "topics": {name: (error, parts) for error, name, _, parts in topics}}

    def create_topic(self, name, partitions=1, configs=(), replication_factor=1):
        """CreateTopics v4; returns (error, message)."""
        item = (string(name) + struct.pack(">ih", partitions, replication_factor) + array([])
                + array([string(k) + nullable(v) for k, v in configs]))
        r = self.ask(CREATE_TOPICS, 4, array([item]) + struct.pack(">ib", 10000, 0))
        r.take("i")
        return r.array(lambda: (r.string(), r.take("h"), r.string()))[0][1:]

    def produce(self, topic, records, partition=0, acks=1, version=8):
        """Produce v8 of one partition; returns (error, base offset, log start, message)."""
        part = struct.pack(">i", partition) + struct.pack(">i", len(records)) + records
        body = (nullable(None) + struct.pack(">hi", acks, 10000)
                + array([string(topic) + array([part])]))
        r = self.ask(PRODUCE, version, body)

        def answer():
            _, error, offset, _, start = r.take("ihqqq")
            r.array(lambda: (r.take("i"), r.string()))
            return error, offset, start, r.string()
        return r.array(lambda: (r.string(), r.array(answer)))[0][1][0]

    def produce_many(self, topic, records, partitions, acks=-1):
        """Produce v8 of the same records into many partitions; returns partition to error."""
        parts = [struct.pack(">ii", partition, len(records)) + records for partition in partitions]
        r = self.ask(PRODUCE, 8, nullable(None) + struct.pack(">hi", acks, 30000)
                     + array([string(topic) + array(parts)]))

        def answer():
            index, error, *_ = r.take("ihqqq")
            r.array(lambda: (r.take("i"), r.string()))
            r.string()
            return index, error
        return dict(r.array(lambda: (r.string(), r.array(answer)))[0][1])

    def list_offset(self, topic, partition=0, timestamp=-1):
        """ListOffsets v2; returns (error, timestamp, offset)."""
        part = struct.pack(">iq", partition, timestamp)
        r = self.ask(LIST_OFFSETS, 2, struct.pack(">ib", -1, 0) + array([string(topic) + array([part])]))
        r.take("i")
        return r.array(lambda: (r.string(), r.array(lambda: r.take("ihqq"))))[0][1][0][1:]

    def fetch(self, topic, offset=0, partition=0, max_bytes=1 << 20):
        """Fetch v4; returns (error, high watermark, record bytes)."""
        part = struct.pack(">iqi", partition, offset, max_bytes)
        r = self.ask(FETCH, 4, struct.pack(">iiiib", -1, 500, 1, max_bytes, 0)
                     + array([string(topic) + array([part])]))
        r.take("i")

        def answer():
            _, error, watermark, _ = r.take("ihqq")
            r.array(lambda: r.take("qq"))
            size = r.take("i")
            r.at += max(size, 0)
            return error, watermark, r.data[r.at - max(size, 0):r.at]
        return r.array(lambda: (r.string(), r.array(answer)))[0][1][0]
