#!/usr/bin/env python3
# tools/dev/bench.py: Apache Kafka and Millrace on the same work, alternately, in one run.
"""Prints ratio, spread, and each broker's CPU seconds per GiB (from /proc). Ratios are what counts:
absolute numbers move with the machine. The canary (a bare loopback sender and receiver of the same
sizes) shows the physical limit in the same run. Rounds beside the first, which warms up, count.

    dev bench                 every workload
    dev bench replay16k --rounds 5
    dev bench --list"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))
import harness  # noqa: E402
import wire  # noqa: E402

GIB = 1 << 30
HEAP = ("-Xms1g -Xmx1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 "
        "-XX:+ExplicitGCInvokesConcurrent")
SETTINGS = {"log.segment.bytes": "1073741824", "log.segment.delete.delay.ms": "1000"}

# name: (what it shows, least ratio and least CPU ratio of issue 3, load arguments, topic configs)
REPLAY = {
    "replay16k": ("16 KiB batches, acks=1, 16 partitions, 8 x 5 in flight", 2, 3.5,
                  {"batch-bytes": 16384, "connections": 8, "depth": 5, "mebibytes": 1024}),
    "replay1m": ("requests of 1 MiB", 1.4, 2.5,
                 {"batch-bytes": 1000000, "connections": 8, "depth": 2, "mebibytes": 2048}),
    "small": ("one 1 KiB record a request, 64 connections, 1 in flight", 2.3, 3.5,
              {"batch-bytes": 1024, "record-bytes": 1024, "connections": 64, "depth": 1, "mebibytes": 200}),
    "lz4": ("lz4 batches, contents checked", 1, 2.5,
            {"batch-bytes": 16384, "codec": "lz4", "connections": 8, "depth": 5, "mebibytes": 512}),
    "zstd": ("zstd batches, contents checked", 1, 2.5,
             {"batch-bytes": 16384, "codec": "zstd", "connections": 8, "depth": 5, "mebibytes": 512}),
    "fsync": ("flush.messages=1, 64 partitions, 64 connections", 1.5, 1,
              {"batch-bytes": 1024, "record-bytes": 1024, "partitions": 64, "connections": 64, "depth": 1,
               "mebibytes": 30}),
}
TOPIC_CONFIGS = {"fsync": (("flush.messages", "1"),)}
OTHERS = {
    "fetch": "catch-up fetch of 1 MiB from the page cache",
    "latency": "open loop, 100 B, 1 k and 10 k records a second",
    "java": "Java's producer-perf-test, 1 KiB records, acks=1 (client-bound)",
    "memory": "RSS idle, and after 4 GiB produced",
    "start": "exec to first acknowledged produce: empty directory, 4 GiB directory",
    "partitions": "20,000 partitions on one Millrace node: memory each, time to open",
}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values, form="{:,.0f}"):
    return form.format(statistics.median(values)) + (
        f" ({form.format(min(values))}-{form.format(max(values))})" if len(values) > 1 else "")


class Bench:
    def __init__(self, options):
        self.options, self.rounds = options, options.rounds
        self.load_tool = options.build / "tests/bench/millrace_load"
        harness_options = argparse.Namespace(broker="millrace", millrace=str(options.build / "millrace"))
        self.world = harness.World(harness_options)
        self.topics = 0

    @contextlib.contextmanager
    def both(self):
        """Both brokers, alive at the same time, idle unless it is their turn."""
        brokers = {kind: self.start(kind) for kind in ("kafka", "millrace")}
        try:
            yield brokers
        finally:
            for broker in brokers.values():
                broker.kill()
                shutil.rmtree(broker.data, ignore_errors=True)

    def start(self, kind, **settings):
        os.environ["KAFKA_HEAP"] = HEAP
        broker = harness.Broker(self.world, kind, f"{kind}-{len(self.world.brokers)}", {**SETTINGS, **settings})
        self.world.brokers.append(broker)
        return broker.format().start()

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

    def load(self, mode, broker, **options):
        words = [str(w) for key, value in options.items() for w in (f"--{key}", value)]
        port = ["--port", str(broker.port)] if broker else []
        out = harness.command([self.load_tool, mode, *port, *words], timeout=900)
        results = {}
        for line in out.splitlines():
            results.update(json.loads(line))
        harness.check_equal(results["errors"], 0, f"errors of the load on {broker.kind if broker else mode}")
        return results

    def measured(self, broker, mode, **options):
        before = cpu_seconds(broker.process.pid)
        result = self.load(mode, broker, **options)
        result["cpu"] = cpu_seconds(broker.process.pid) - before
        result["cpu_gib"] = result["cpu"] / (result["bytes"] / GIB)
        result["us_request"] = 1e6 * result["cpu"] / result["requests"]
        return result

    def compare(self, name, text, measure, least=None, least_cpu=None, canary=None):
        """Alternates measure(kind, broker) and prints one row."""
        results = {"kafka": [], "millrace": []}
        with self.both() as brokers:
            for number in range(self.rounds + 1):
                for kind, broker in brokers.items():
                    result = measure(broker)
                    if number:  # the first round warms up
                        results[kind].append(result)
                print(f"  {name}: round {number} of {self.rounds}", file=sys.stderr, flush=True)
        self.row(name, text, results, least, least_cpu, canary)

    def row(self, name, text, results, least, least_cpu, canary):
        print(f"\n{name}: {text}")
        for kind, rows in results.items():
            print(f"  {kind:9} {spread([r['mb_per_s'] for r in rows])} MB/s, "
                  f"{spread([r['requests_per_s'] for r in rows])} requests/s, "
                  f"p50 {spread([r['p50_us'] for r in rows])} us, p99 {spread([r['p99_us'] for r in rows])} us; "
                  f"broker {spread([r['cpu_gib'] for r in rows], '{:.3f}')} CPU-s/GiB, "
                  f"{spread([r['us_request'] for r in rows], '{:.1f}')} us a request")
        speed = [m["mb_per_s"] / k["mb_per_s"] for m, k in zip(results["millrace"], results["kafka"])]
        cpu = [k["cpu_gib"] / max(m["cpu_gib"], 1e-9) for m, k in zip(results["millrace"], results["kafka"])]
        target = f"   (issue 3: at least {least}x and {least_cpu}x less)" if least else ""
        print(f"  ratio     {spread(speed, '{:.2f}')}x as fast, {spread(cpu, '{:.2f}')}x less CPU{target}")
        if canary:
            result = self.load("canary", None, **{k: v for k, v in canary.items() if k in (
                "connections", "depth", "batch-bytes", "mebibytes")})
            print(f"  canary    {result['mb_per_s']:,.0f} MB/s, {result['requests_per_s']:,.0f} requests/s, "
                  f"{result['server_cpu_s'] / (result['bytes'] / GIB):.3f} CPU-s/GiB")
        sys.stdout.flush()

    def replay(self, name):
        text, least, least_cpu, load = REPLAY[name]
        configs = TOPIC_CONFIGS.get(name, ())
        partitions = load.get("partitions", 16)
        load = {**load, "mebibytes": max(1, int(load["mebibytes"] * self.options.scale))}

        def measure(broker):
            topic = self.topic(broker, partitions, configs)
            result = self.measured(broker, "produce", topic=topic, acks=1, **{"partitions": partitions, **load})
            self.delete(broker, topic)
            return result
        self.compare(name, text, measure, least, least_cpu, load)

    def fetch(self):
        topics = {}

        def measure(broker):
            if broker not in topics:
                topics[broker] = self.topic(broker)
                self.load("produce", broker, topic=topics[broker], partitions=16, connections=8, depth=5,
                          **{"batch-bytes": 16384, "mebibytes": 1024})
            return self.measured(broker, "fetch", topic=topics[broker], partitions=16, connections=2, depth=1,
                                 **{"max-bytes": 1 << 20, "mebibytes": int(8192 * self.options.scale)})
        self.compare("fetch", OTHERS["fetch"], measure, 1.3, 2)

    def latency(self):
        for rate in (1000, 10000):
            def measure(broker, rate=rate):
                topic = self.topic(broker, 1)
                return self.measured(broker, "latency", topic=topic, partitions=1, rate=rate,
                                     seconds=max(2, int(10 * self.options.scale)))
            results = {"kafka": [], "millrace": []}
            with self.both() as brokers:
                for number in range(self.rounds + 1):
                    for kind, broker in brokers.items():
                        result = measure(broker)
                        if number:
                            results[kind].append(result)
            print(f"\nlatency: open loop, {rate:,} records/s of 100 B, end to end")
            for kind, rows in results.items():
                print(f"  {kind:9} " + ", ".join(
                    f"{label} {spread([r[key] for r in rows])} us" for label, key in
                    (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"))))
            print("  ratio     " + ", ".join(
                f"{label} {statistics.median([m[key] / k[key] for m, k in zip(*[results[x] for x in ('millrace', 'kafka')])]):.2f}x"
                for label, key in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"))) +
                "   (issue 3: at most 0.8, 0.3, 0.2)")

    def java(self):
        records = int(1_000_000 * self.options.scale)

        def measure(broker):
            topic = self.topic(broker)
            before, started = cpu_seconds(broker.process.pid), time.monotonic()
            harness.command([harness.KAFKA, "tool", "producer-perf-test", "--topic", topic, "--num-records", records,
                             "--record-size", 1024, "--throughput", -1, "--bootstrap-server", broker.server,
                             "--command-property", "acks=1", "batch.size=65536", "linger.ms=5"], timeout=600)
            seconds, cpu, size = time.monotonic() - started, cpu_seconds(broker.process.pid) - before, records * 1024
            self.delete(broker, topic)
            return {"mb_per_s": size / seconds / 1e6, "requests_per_s": records / seconds, "p50_us": 0, "p99_us": 0,
                    "cpu_gib": cpu / (size / GIB), "us_request": 1e6 * cpu / records}
        self.compare("java", OTHERS["java"] + "; start of the JVM included", measure, 1.15, 3)

    def memory(self):
        print(f"\nmemory: {OTHERS['memory']}")
        with self.both() as brokers:
            for kind, broker in brokers.items():
                idle = broker.resident_kib() / 1024
                topic = self.topic(broker)
                self.load("produce", broker, topic=topic, partitions=16, connections=8, depth=5,
                          **{"batch-bytes": 16384, "mebibytes": int(4096 * self.options.scale)})
                print(f"  {kind:9} idle {idle:,.0f} MiB, after {broker.resident_kib() / 1024:,.0f} MiB", flush=True)

    def start_time(self):
        print(f"\nstart: {OTHERS['start']}")
        for kind in ("kafka", "millrace"):
            times = {"empty": [], "full": []}
            for _ in range(self.rounds):
                broker = harness.Broker(self.world, kind, f"{kind}-{len(self.world.brokers)}", SETTINGS)
                self.world.brokers.append(broker)
                broker.format()
                times["empty"].append(self.first_ack(broker))
                self.load("produce", broker, topic="first", partitions=1, connections=4, depth=4,
                          **{"batch-bytes": 16384, "mebibytes": int(4096 * self.options.scale)})
                broker.stop()
                times["full"].append(self.first_ack(broker))
                broker.kill()
                shutil.rmtree(broker.data, ignore_errors=True)
            print(f"  {kind:9} " + ", ".join(f"{what} directory {spread(t, '{:.3f}')} s" for what, t in times.items()),
                  flush=True)

    @staticmethod
    def first_ack(broker):
        started = time.monotonic()
        broker.start(wait=False)
        while time.monotonic() - started < 120:
            try:
                with wire.Connection(broker.port) as connection:
                    connection.create_topic("first")
                    while connection.produce("first", wire.batch([b"x"]))[0]:
                        pass
                    return time.monotonic() - started
            except (OSError, wire.Closed):
                harness.check(broker.alive(), f"{broker.kind} ended before it was ready")
                time.sleep(0.001)
        raise harness.Failure(f"{broker.kind} took no record within 120 s")

    def partitions(self):
        print(f"\npartitions: {OTHERS['partitions']}")
        count, broker = int(20_000 * self.options.scale), self.start("millrace")
        before = broker.resident_kib()
        for at in range(0, count, 1000):
            self.topic(broker, min(1000, count - at))
        grown = broker.resident_kib() - before
        broker.stop()
        started = time.monotonic()
        broker.start()
        print(f"  millrace  {grown / count:.2f} KiB each while created; opened in {time.monotonic() - started:.2f} s, "
              f"{broker.resident_kib() / 1024:,.0f} MiB", flush=True)
        broker.kill()

    def run(self, names):
        table = {**{name: lambda n=name: self.replay(n) for name in REPLAY},
                 "fetch": self.fetch, "latency": self.latency, "java": self.java, "memory": self.memory,
                 "start": self.start_time, "partitions": self.partitions}
        for name in names or table:
            table[name]()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="workloads; none: all")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the amount of work")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    known = {**{name: row[0] for name, row in REPLAY.items()}, **OTHERS}
    if options.list:
        print("\n".join(f"{name:12} {text}" for name, text in known.items()))
        return
    unknown = [name for name in options.names if name not in known]
    if unknown:
        sys.exit(f"no workload '{unknown[0]}'; there are: {' '.join(known)}")
    bench = Bench(options)
    try:
        bench.run(options.names)
    except harness.Failure as failure:
        for broker in bench.world.brokers:
            if broker.process is not None and not broker.alive():
                print(f"---- {broker.kind} ----\n{broker.tail()}", file=sys.stderr)
        sys.exit(f"bench: {failure}")
    finally:
        bench.world.close()


if __name__ == "__main__":
    main()
