#!/usr/bin/env python3
# tools/dev/bench.py: Apache Kafka and Millrace on the same work, alternately, in one run.
"""Every row of the tables of issues 3, 4 and 5. Both brokers live at the same time and take turns on each row, so
what the machine does to one it does to the other: ratios count, absolute numbers move. CPU is the
broker's own, from /proc. The canary (a bare sender and receiver of the same sizes) shows the
physical limit. Before each produce run memory is touched and given back, so that neither broker
pays for pages the host has taken away. `others` is the CPU that neither broker nor client used: a
round with more than a third of a core of it is marked *.

    dev bench                 every row
    dev bench --quick         the same in less than 12 minutes on two quiet cores
    dev bench 16k small       some; dev bench --list says which there are
    dev bench -o markdown     ends with the table of README.md; -o json: one document"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/dev"))
sys.path.insert(0, str(ROOT / "tests/interop"))
import bench_cluster  # noqa: E402
import bench_groups  # noqa: E402
import bench_report  # noqa: E402
import harness  # noqa: E402
import wire  # noqa: E402

GIB = 1 << 30
HEAP = ("-Xms1g -Xmx1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 "
        "-XX:+ExplicitGCInvokesConcurrent")
SETTINGS = {"log.segment.bytes": "1073741824", "log.segment.delete.delay.ms": "1000"}
MEASURED_SETTLE_SECONDS = 1.2  # a deleted topic's files go after the delay above
OTHERS_CPU_MAX = 0.35
START_SECONDS_MAX = 120

BATCHES_16K = {"batch-bytes": 16384, "connections": 8, "depth": 5}
ONE_RECORD = {"batch-bytes": 1024, "record-bytes": 1024, "connections": 64, "depth": 1}
# name: text, least ratio of throughput and of CPU, load arguments, MiB, canary too, topic settings
REPLAY = {
    "16k": ("replay of 16 KiB batches, acks=1, 16 partitions, 8 x 5 in flight", 2, 3.5, BATCHES_16K, 1024, True, ()),
    "1m": ("replay of 1 MiB requests", 1.4, 2.5,
           {"batch-bytes": 1000000, "connections": 8, "depth": 2}, 2048, True, ()),
    "small": ("one 1 KiB record a request, 64 connections, 1 in flight", 2.3, 3.5, ONE_RECORD, 250, True, ()),
    "lz4": ("lz4 batches of 16 KiB, contents checked", None, 2.5, {**BATCHES_16K, "codec": "lz4"}, 768, False, ()),
    "zstd": ("zstd batches of 16 KiB, contents checked", None, 2.5, {**BATCHES_16K, "codec": "zstd"}, 512, False, ()),
    "fsync": ("fsync before ack (flush.messages=1), 64 partitions, 64 connections", 1.5, None,
              {**ONE_RECORD, "partitions": 64}, 40, False, (("flush.messages", "1"),)),
}
OTHERS = {
    "java": "Java's producer-perf-test, 1 KiB records, acks=1 (client-bound)",
    "header": "compressed batches with compressed.batch.validation=header",
    "fetch": "catch-up fetch, raw, 1 MiB, from the page cache, 2 connections",
    "latency-1k": "end to end, open loop, 1,000 records/s of 100 B",
    "latency-10k": "end to end, open loop, 10,000 records/s of 100 B",
    "memory": "resident memory, idle and after 4 GiB produced",
    "start": "exec to first acknowledged produce, empty directory and full one",
    "partitions": "20,000 partitions on one node",
    **bench_groups.ROWS,
    **bench_cluster.ROWS,
}
ORDER = ("memory", "16k", "1m", "small", "java", "lz4", "zstd", "header", "fetch", "latency-1k", "latency-10k",
         "fsync", "start", "partitions", *bench_groups.ROWS, *bench_cluster.ROWS)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """CPU of the whole machine so far: user, nice, system, irq, softirq."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()
    return sum(int(fields[i]) for i in (1, 2, 3, 6, 7)) / os.sysconf("SC_CLK_TCK")


class Bench:
    busy_seconds = staticmethod(busy_seconds)

    def __init__(self, options):
        self.options, self.rounds, self.scale = options, options.rounds, options.scale
        self.load_tool = options.build / "tests/bench/millrace_load"
        self.world = harness.World(argparse.Namespace(broker="millrace", millrace=str(options.build / "millrace")))
        self.topics, self.rows, self.brokers, self.memory_rows = 0, [], None, None

    def say(self, text):
        print(f"  {text}", file=sys.stderr, flush=True)

    @staticmethod
    def cpu_of(broker):
        return cpu_seconds(broker.process.pid)

    # --- brokers

    def start(self, kind, **settings):
        os.environ["KAFKA_HEAP"] = HEAP
        broker = self.new(kind, **settings)
        return broker.format().start()

    def new(self, kind, **settings):
        broker = harness.Broker(self.world, kind, f"{kind}-{len(self.world.brokers)}", {**SETTINGS, **settings})
        self.world.brokers.append(broker)
        return broker

    def drop(self, broker):
        broker.kill()
        shutil.rmtree(broker.data, ignore_errors=True)

    def pair(self):
        """The two that take turns. Started once; the 4 GiB of the memory row warm the JVM up."""
        if self.brokers is not None and all(broker.alive() for broker in self.brokers.values()):
            return self.brokers
        if self.brokers is not None:
            for broker in self.brokers.values():
                self.drop(broker)
        self.brokers = {kind: self.start(kind) for kind in ("kafka", "millrace")}
        self.memory_rows = {}
        time.sleep(2)
        for kind, broker in self.brokers.items():
            idle = broker.resident_kib() / 1024
            self.say(f"{kind}: warming up")
            topic = self.topic(broker)
            self.load("produce", broker, topic=topic, partitions=16, mebibytes=self.mib(4096), **BATCHES_16K)
            loaded = broker.resident_kib() / 1024
            self.delete(broker, topic)
            self.memory_rows[kind] = {"idle_mib": idle, "after_mib": loaded}
        return self.brokers

    # --- work

    def mib(self, mebibytes):
        return max(1, int(mebibytes * self.scale))

    def topic(self, broker, partitions=16, configs=()):
        self.topics += 1
        name = f"bench-{self.topics}"
        with wire.Connection(broker.port) as connection:
            error, text = connection.create_topic(name, partitions, configs)
            harness.check_equal(error, 0, f"create {name} on {broker.kind}: {text}")
            for partition in range(partitions):
                harness.wait_for(lambda p=partition: connection.list_offset(name, p)[0] == 0, f"{name}-{partition}")
        return name

    def delete(self, broker, name):
        body = wire.array([wire.string(name)]) + (10000).to_bytes(4, "big")
        with wire.Connection(broker.port) as connection:
            connection.ask(20, 1, body)  # DeleteTopics
        time.sleep(MEASURED_SETTLE_SECONDS)

    def load(self, mode, broker, **options):
        words = [str(w) for key, value in options.items() for w in (f"--{key}", value)]
        port = ["--port", str(broker.port)] if broker else []
        out = harness.command([self.load_tool, mode, *port, *words], timeout=900)
        results = {}
        for line in out.splitlines():
            results.update(json.loads(line))
        harness.check_equal(results.get("errors", 0), 0, f"errors of the load on {broker.kind if broker else mode}")
        return results

    def measured(self, broker, action):
        """Runs `action`, which answers with bytes, requests and the client's CPU; adds the broker's."""
        before, busy, started = cpu_seconds(broker.process.pid), busy_seconds(), time.monotonic()
        result = action()
        elapsed = time.monotonic() - started
        result["cpu"] = cpu_seconds(broker.process.pid) - before
        result["cpu_gib"] = result["cpu"] / (result["bytes"] / GIB)
        result["us_request"] = 1e6 * result["cpu"] / result["requests"]
        result["others_cpu"] = max(0.0, busy_seconds() - busy - result["cpu"] - result["client_cpu_s"]) / elapsed
        return result

    def touch_memory(self, mebibytes):
        self.load("touch", None, mebibytes=mebibytes)

    def alternate(self, name, measure, brokers=None, rounds=None):
        """Kafka first in even rounds, Millrace in odd ones; round 0 warms up and does not count."""
        brokers = brokers or self.pair()
        results = {kind: [] for kind in brokers}
        rounds = rounds or self.rounds
        for number in range(rounds + 1):
            for kind in sorted(brokers, reverse=number % 2 == 1):
                result = measure(brokers[kind])
                if number:
                    results[kind].append(result)
            self.say(f"{name}: round {number} of {rounds}")
        return results

    def add(self, name, text, results, **targets):
        row = bench_report.throughput_row(name, text, results, OTHERS_CPU_MAX, **targets)
        self.append(row)

    # --- rows

    def produce_measure(self, load, mebibytes, configs=()):
        partitions = load.get("partitions", 16)

        def measure(broker):
            topic = self.topic(broker, partitions, configs)
            self.touch_memory(2 * mebibytes + 256)
            result = self.measured(broker, lambda: self.load(
                "produce", broker, topic=topic, acks=1, mebibytes=mebibytes, **{"partitions": partitions, **load}))
            self.delete(broker, topic)
            return result
        return measure

    def replay(self, name):
        text, least, least_cpu, load, mebibytes, canary, configs = REPLAY[name]
        mebibytes = self.mib(mebibytes)
        results = self.alternate(name, self.produce_measure(load, mebibytes, configs))
        bare = None
        if canary:
            bare = self.load("canary", None, mebibytes=mebibytes, **load)
            bare["cpu_gib"] = bare["server_cpu_s"] / (bare["bytes"] / GIB)
            bare["us_request"] = 1e6 * bare["server_cpu_s"] / bare["requests"]
        self.add(name, text, results, least=least, least_cpu=least_cpu, canary=bare)

    def header(self):
        kafka = self.pair()["kafka"]
        millrace = self.start("millrace", **{"compressed.batch.validation": "header"})
        for codec in ("lz4", "zstd"):
            load = {**BATCHES_16K, "codec": codec}
            results = self.alternate(f"header-{codec}", self.produce_measure(load, self.mib(768)),
                                     {"kafka": kafka, "millrace": millrace})
            self.add(f"header-{codec}", f"{codec}, compressed.batch.validation=header", results, least_cpu=8)
        self.drop(millrace)

    def fetch(self):
        topics, mebibytes = {}, self.mib(8192)

        def measure(broker):
            if broker not in topics:
                topics[broker] = self.topic(broker)
                self.load("produce", broker, topic=topics[broker], partitions=16, mebibytes=1024, **BATCHES_16K)
            result = self.measured(broker, lambda: self.load(
                "fetch", broker, topic=topics[broker], partitions=16, connections=2, depth=1,
                **{"max-bytes": 1 << 20, "mebibytes": mebibytes}))
            harness.check(result["bytes"] > 0.9 * mebibytes * (1 << 20), "fetches came back short")
            return result
        self.add("fetch", OTHERS["fetch"], self.alternate("fetch", measure), least=1.3, least_cpu=2)
        for broker, topic in topics.items():
            self.delete(broker, topic)

    def latency(self, rate):
        seconds = max(3, int(10 * self.scale))

        def measure(broker):
            topic = self.topic(broker, 1)
            result = self.measured(broker, lambda: self.load(
                "latency", broker, topic=topic, partitions=1, rate=rate, seconds=seconds))
            self.delete(broker, topic)
            return result
        name = f"latency-{rate // 1000}k"
        row = bench_report.latency_row(name, OTHERS[name], self.alternate(name, measure), OTHERS_CPU_MAX)
        self.append(row)

    @staticmethod
    def perf_test(broker, topic, records, acks):
        started = time.monotonic()
        out = harness.command([
            harness.KAFKA, "tool", "producer-perf-test", "--topic", topic, "--num-records", records,
            "--record-size", 1024, "--throughput", -1, "--bootstrap-server", broker.server,
            "--command-property", acks], timeout=600)
        rate = float(out.strip().splitlines()[-1].split(" records/sec")[0].split()[-1].replace(",", ""))
        return {"bytes": records * 1024, "requests": records, "mb_per_s": rate * 1024 / 1e6,
                "requests_per_s": rate, "client_cpu_s": 1.9 * (time.monotonic() - started)}

    def java(self):
        records = int(1_500_000 * self.scale)

        def measure(broker):
            topic = self.topic(broker)
            self.touch_memory(2 * records // 1024 + 256)
            result = self.measured(broker, lambda: self.perf_test(broker, topic, records, "acks=1"))
            self.delete(broker, topic)
            return result
        self.add("java", OTHERS["java"], self.alternate("java", measure), least=1.15, least_cpu=3)

    def memory(self):
        self.pair()
        self.simple("memory", {kind: {"idle": (v["idle_mib"], "MiB"), "after": (v["after_mib"], "MiB")}
                               for kind, v in self.memory_rows.items()},
                    "at most 20 idle, 160 after", lambda m: m["idle"][0] <= 20 and m["after"][0] <= 160)

    def start_time(self):
        values = {}
        mebibytes = self.mib(4096)
        for kind in ("kafka", "millrace"):
            times = {"empty": [], "full": []}
            for _ in range(max(2, self.rounds - 1)):
                broker = self.new(kind).format()
                times["empty"].append(self.first_ack(broker))
                self.load("produce", broker, topic="first", partitions=1, connections=4, depth=4,
                          **{"batch-bytes": 16384, "mebibytes": mebibytes})
                broker.stop()
                times["full"].append(self.first_ack(broker))
                self.drop(broker)
                self.say(f"start: {kind} {times['empty'][-1]:.3f} s, {times['full'][-1]:.3f} s")
            values[kind] = {what: (statistics.median(t), "s") for what, t in times.items()}
        self.simple("start", values, f"20x sooner (full: {mebibytes} MiB)", lambda m: all(
            values["kafka"][what][0] >= 20 * m[what][0] for what in m))

    @staticmethod
    def first_ack(broker):
        started = time.monotonic()
        broker.start(wait=False)
        while time.monotonic() - started < START_SECONDS_MAX:
            try:
                with wire.Connection(broker.port) as connection:
                    connection.create_topic("first")
                    while connection.produce("first", wire.batch([b"x"]))[0]:
                        time.sleep(0.0005)
                    return time.monotonic() - started
            except (OSError, wire.Closed):
                harness.check(broker.alive(), f"{broker.kind} ended before it was ready")
                time.sleep(0.001)
        raise harness.Failure(f"{broker.kind} took no record within {START_SECONDS_MAX} s")

    def partitions(self):
        count, broker = max(1000, int(20_000 * self.scale)), self.start("millrace")
        before = broker.resident_kib()
        for at in range(0, count, 1000):
            with wire.Connection(broker.port, timeout=60) as connection:
                error, text = connection.create_topic(f"many-{at}", min(1000, count - at))
            harness.check_equal(error, 0, f"create many-{at}: {text}")
            self.say(f"partitions: {at + 1000:,} of {count:,}")
        name, last = f"many-{(count - 1) // 1000 * 1000}", (count - 1) % 1000
        with wire.Connection(broker.port) as connection:
            harness.wait_for(lambda: connection.list_offset(name, last)[0] == 0, "the last partition", 60)
        grown = broker.resident_kib() - before
        broker.stop()
        started = time.monotonic()
        broker.start(wait=False)
        harness.wait_for(lambda: self.serves(broker, name, last), f"{name} to be served again", 120)
        opened = time.monotonic() - started
        self.simple("partitions", {"millrace": {"each": (grown / count, "KiB"), "open": (opened, "s"),
                                                "resident": (broker.resident_kib() / 1024, "MiB")}},
                    "at most 4 KiB each, open in 2 s (20,000)",
                    lambda m: m["each"][0] <= 4 and m["open"][0] <= 2)
        self.drop(broker)

    @staticmethod
    def serves(broker, name, partition):
        try:
            with wire.Connection(broker.port, timeout=5) as connection:
                return connection.list_offset(name, partition)[0] == 0
        except (OSError, wire.Closed):
            harness.check(broker.alive(), f"{broker.kind} ended before it was ready")
            return False

    def simple(self, name, values, target, met):
        row = bench_report.simple_row(name, OTHERS[name], values, target, met(values["millrace"]))
        self.append(row)

    def append(self, row):
        self.rows.append(row)
        if self.options.output != "json":
            bench_report.print_row(row)

    def run(self, names):
        """Rows that could not be measured; one failure does not take the others along."""
        special = {**bench_groups.GroupRows(self).measures(), **bench_cluster.ClusterRows(self).measures(),
                   "java": self.java, "header": self.header, "fetch": self.fetch, "memory": self.memory,
                   "latency-1k": lambda: self.latency(1000), "latency-10k": lambda: self.latency(10000),
                   "start": self.start_time, "partitions": self.partitions}
        failed = []
        for name in [row for row in ORDER if row in names]:
            started = time.monotonic()
            try:
                self.replay(name) if name in REPLAY else special[name]()
                self.say(f"{name}: {time.monotonic() - started:.0f} s")
            except (harness.Failure, wire.Closed, OSError) as failure:
                failed.append(name)
                print(f"\n{name}: not measured: {failure}", file=sys.stderr, flush=True)
                for broker in self.world.brokers:
                    if broker.process is not None and not broker.alive():
                        print(f"---- {broker.kind} ended ----\n{broker.tail()}", file=sys.stderr)
        return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows; none: all")
    parser.add_argument("--build", type=lambda text: pathlib.Path(text).resolve(), default=ROOT / "build/release")
    parser.add_argument("--quick", action="store_true", help="3 rounds of half the work")
    parser.add_argument("--rounds", type=int, help="that count, beside the one that warms up (default 5)")
    parser.add_argument("--scale", type=float, help="factor on the amount of work (default 1)")
    parser.add_argument("-o", "--output", choices=("text", "json", "markdown"), default="text")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    known = {name: REPLAY[name][0] if name in REPLAY else OTHERS[name] for name in ORDER}
    if options.list:
        print("\n".join(f"{name:12} {text}" for name, text in known.items()))
        return
    unknown = [name for name in options.names if name not in known]
    if unknown:
        sys.exit(f"no row '{unknown[0]}'; there are: {' '.join(known)}")
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.scale = options.scale or (0.5 if options.quick else 1.0)
    bench, started = Bench(options), time.monotonic()
    try:
        failed = bench.run(options.names or ORDER)
    finally:
        bench.world.close()
    if options.output == "json":
        print(json.dumps({"rounds": options.rounds, "scale": options.scale, "rows": bench.rows}, indent=1))
    elif options.output == "markdown":
        print("\n" + bench_report.markdown(bench.rows))
    print(f"{len(bench.rows)} rows in {time.monotonic() - started:.0f} s", file=sys.stderr)
    if failed:
        sys.exit(f"bench: not measured: {' '.join(failed)}")


if __name__ == "__main__":
    main()
