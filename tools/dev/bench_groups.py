# tools/dev/bench_groups.py: rows of `dev bench` for groups, offsets and transactions.
"""Section 6 of issue 4. A pair of brokers of its own (-Xmx512m), started when the first of these rows
runs; the load speaks the wire (tests/bench/group_load.cc) and reads the broker's CPU from /proc."""
import collections
import json
import os
import statistics
import time

import bench_report
import harness
import wire

HEAP = "-Xms512m -Xmx512m"
SETTINGS = {"group.max.size": "100000", "group.initial.rebalance.delay.ms": "0"}
TXN_PARTITIONS = 16
FILL_PARTITIONS = 100
START_SECONDS_MAX = 180
OTHERS_CPU_MAX = 0.35
ROWS = {
    "txn-100ms": "transactional produce, commit every 100 ms, 16 producers x 5 batches of 15 KiB in flight",
    "txn-10": "transactional produce, commit every 10 records of 1 KiB, 16 producers",
    "offset-commits": "offset commits of one partition, 16 connections x 4 in flight",
    "rebalance-100": "classic group of 100: one joins, one leaves, until all have their assignment",
    "rebalance-1000": "the same with 1,000 members",
    "group-fetch": "catch-up fetch by a group's member (heartbeats, commits) against a plain one",
    "heartbeats": "2,000 groups of 50 members, each beats every 3 s",
    "offsets-load": "start with 100,000 offsets in __consumer_offsets, each committed five times",
}


class GroupRows:
    def __init__(self, bench):
        self.bench, self.brokers, self.names = bench, None, 0
        self.tool = bench.options.build / "tests/bench/millrace_group_load"

    def measures(self):
        return {"txn-100ms": lambda: self.txn("txn-100ms", {"commit-ms": 100, "batch-records": 15}),
                "txn-10": lambda: self.txn("txn-10", {"commit-batches": 1, "batch-records": 10}),
                "offset-commits": self.commits,
                "rebalance-100": lambda: self.rebalance("rebalance-100", 100, 10),
                "rebalance-1000": lambda: self.rebalance("rebalance-1000", 1000, 4, max(1, self.bench.rounds - 3)),
                "group-fetch": self.group_fetch, "heartbeats": self.heartbeats,
                "offsets-load": self.offsets_load}

    # --- brokers and load

    def start(self, kind):
        os.environ["KAFKA_HEAP"] = HEAP
        return self.bench.new(kind, **SETTINGS).format().start()

    def pair(self):
        """Brokers of the other rows end first: their heap is another."""
        if self.brokers and all(broker.alive() for broker in self.brokers.values()):
            return self.brokers
        for broker in [*(self.bench.brokers or {}).values(), *(self.brokers or {}).values()]:
            self.bench.drop(broker)
        self.bench.brokers = None
        self.brokers = {kind: self.start(kind) for kind in ("kafka", "millrace")}
        for kind, broker in self.brokers.items():  # a JVM that has compiled what is measured
            self.bench.say(f"{kind}: warming up")
            topic = self.bench.topic(broker, TXN_PARTITIONS)
            load = {"topic": topic, "partitions": TXN_PARTITIONS, "milliseconds": self.milliseconds(10000)}
            self.load("txn", broker, name=self.name(), **load)
            self.load("commits", broker, **load)
            self.bench.delete(broker, topic)
        return self.brokers

    def name(self):
        """A group or transactional id nobody has used yet."""
        self.names += 1
        return f"bench-{self.names}"

    def load(self, mode, broker, **options):
        words = [str(w) for key, value in options.items() for w in (f"--{key}", value)]
        out = harness.command([self.tool, mode, "--port", broker.port, "--pid", broker.process.pid, *words],
                              timeout=600)
        return json.loads(out)

    def milliseconds(self, most):
        return max(1000, int(most * self.bench.scale))

    def measured(self, action):
        """Adds the CPU of whoever is neither broker nor client."""
        started, busy = time.monotonic(), self.bench.busy_seconds()
        result = action()
        elapsed = max(time.monotonic() - started, 1e-9)
        used = self.bench.busy_seconds() - busy - result["cpu"] - result["client_cpu_s"]
        result["others_cpu"] = max(0.0, used) / elapsed
        return result

    # --- rows

    def add(self, name, results, fields, ratios, target, met):
        """fields: label, key, form of a cell. ratios: label, key, True when more is better."""
        def ratio(key, more):
            over, under = ("millrace", "kafka") if more else ("kafka", "millrace")
            return bench_report.ratios(bench_report.column(results[over], key),
                                       bench_report.column(results[under], key))
        values = {key: ratio(key, more) for _, key, more in ratios}
        row = {"name": name, "text": ROWS[name], "target": target,
               "cells": {kind: ", ".join(bench_report.spread(bench_report.column(rows, key), form) + " " + label
                                         for label, key, form in fields) for kind, rows in results.items()},
               "ratio": ", ".join(f"{bench_report.spread(values[key], '{:.2f}')}× {label}"
                                  for label, key, _ in ratios),
               "met": met({key: statistics.median(v) for key, v in values.items()}),
               "ratios": values, "rounds": results,
               "disturbed": bench_report.disturbed(results, OTHERS_CPU_MAX)}
        self.bench.append(row)

    def alternate(self, name, measure, rounds=None):
        def once(broker):
            return self.measured(lambda: measure(broker))
        return self.bench.alternate(name, once, self.pair(), rounds)

    def txn(self, name, load):
        topics = {broker: self.bench.topic(broker, TXN_PARTITIONS) for broker in self.pair().values()}

        def measure(broker):
            result = self.load("txn", broker, topic=topics[broker], name=self.name(), partitions=TXN_PARTITIONS,
                               milliseconds=self.milliseconds(5000), **load)
            result["cpu_gib"] = result["cpu"] / (result["bytes"] / (1 << 30))
            result["us_commit"] = 1e6 * result["cpu"] / result["commits"]
            return result
        results = self.alternate(name, measure)
        self.add(name, results,
                 (("MB/s", "mb_per_s", "{:,.1f}"), ("commits/s", "commits_per_s", "{:,.0f}"),
                  ("CPU-s/GiB", "cpu_gib", "{:.2f}"), ("us CPU a commit", "us_commit", "{:,.0f}"),
                  ("us p50", "commit_p50_us", "{:,.0f}"), ("us p99 of the commit", "commit_p99_us", "{:,.0f}")),
                 (("as fast", "mb_per_s", True), ("less CPU", "cpu_gib", False),
                  ("lower p50", "commit_p50_us", False), ("lower p99", "commit_p99_us", False)),
                 "1.5× as fast or 3× less CPU; p99 2× lower",
                 lambda m: (m["mb_per_s"] >= 1.5 or m["cpu_gib"] >= 3) and m["commit_p99_us"] >= 2)
        for broker, topic in topics.items():
            self.bench.delete(broker, topic)

    def commits(self):
        topics = {broker: self.bench.topic(broker, 1) for broker in self.pair().values()}

        def measure(broker):
            result = self.load("commits", broker, topic=topics[broker], depth=4, milliseconds=self.milliseconds(4000))
            result["us_commit"] = 1e6 * result["cpu"] / result["requests"]
            return result
        self.add("offset-commits", self.alternate("offset-commits", measure),
                 (("a second", "requests_per_s", "{:,.0f}"), ("us CPU each", "us_commit", "{:,.1f}"),
                  ("us p50", "p50_us", "{:,.0f}"), ("us p99", "p99_us", "{:,.0f}")),
                 (("as many", "requests_per_s", True), ("less CPU", "us_commit", False),
                  ("lower p99", "p99_us", False)),
                 "3× as many", lambda m: m["requests_per_s"] >= 3)

    def rebalance(self, name, members, times, rounds=None):
        times = max(2, int(times * self.bench.scale))

        def measure(broker):
            result = self.load("rebalance", broker, members=members, rounds=times, name=self.name())
            result["ms_cpu"] = 1e3 * result["cpu"] / result["requests"]
            return result
        self.add(name, self.alternate(name, measure, rounds),
                 (("ms a join", "join_p50_ms", "{:,.1f}"), ("ms a leave", "leave_p50_ms", "{:,.1f}"),
                  ("ms CPU each", "ms_cpu", "{:,.1f}")),
                 (("sooner after a join", "join_p50_ms", False), ("after a leave", "leave_p50_ms", False),
                  ("less CPU", "ms_cpu", False)),
                 "half the time", lambda m: m["join_p50_ms"] >= 2 and m["leave_p50_ms"] >= 2)

    def group_fetch(self):
        mebibytes, topics, turns = max(2048, self.bench.mib(4096)), {}, collections.Counter()
        for broker in self.pair().values():
            topics[broker] = self.bench.topic(broker)
            self.bench.load("produce", broker, topic=topics[broker], partitions=16, connections=8, depth=5,
                            mebibytes=256, **{"batch-bytes": 16384})

        def measure(broker):
            def fetch(member):
                return self.load("consume", broker, topic=topics[broker], partitions=16, mebibytes=mebibytes,
                                 member=member, name=self.name())
            turns[broker] += 1  # whoever comes second finds warmer caches
            results = {member: fetch(member) for member in ((0, 1) if turns[broker] % 2 else (1, 0))}
            plain, group = results[0], results[1]
            group["plain"] = plain
            group["plain_mb_per_s"] = plain["mb_per_s"]
            group["share"] = group["mb_per_s"] / plain["mb_per_s"]
            group["cpu_share"] = group["cpu"] / max(plain["cpu"], 1e-9)
            group["client_cpu_s"] += plain["client_cpu_s"]
            group["cpu_gib"] = group["cpu"] / (group["bytes"] / (1 << 30))
            group["cpu"] += plain["cpu"]
            return group
        results = self.alternate("group-fetch", measure)
        share = statistics.median(bench_report.column(results["millrace"], "share"))
        self.add("group-fetch", results,
                 (("MB/s in a group", "mb_per_s", "{:,.0f}"), ("MB/s plain", "plain_mb_per_s", "{:,.0f}"),
                  ("of the rate", "share", "{:.3f}"), ("of the CPU", "cpu_share", "{:.3f}"),
                  ("CPU-s/GiB", "cpu_gib", "{:.3f}")),
                 (("as fast", "mb_per_s", True), ("less CPU", "cpu_gib", False)),
                 "within 3 % of plain fetch", lambda m: share >= 0.97)
        for broker, topic in topics.items():
            self.bench.delete(broker, topic)

    def heartbeats(self):
        """Forming the groups is long and measured once for each broker; --scale makes them fewer."""
        groups = max(100, int(2000 * self.bench.scale ** 2))
        results = {}
        for kind, broker in self.pair().items():
            result = self.measured(lambda b=broker: self.load(
                "heartbeats", b, groups=groups, members=50, name=self.name(),
                milliseconds=max(4000, self.milliseconds(12000))))
            result["us_each"] = 1e6 * result["cpu"] / result["requests"]
            result["cores"] = 100 * result["cpu"] / result["seconds"]
            results[kind] = [result]
            self.bench.say(f"heartbeats: {kind}, {groups:,} groups formed in {result['build_s']:.1f} s")
        kept_up = results["millrace"][0]["late"] == 0
        self.add("heartbeats", results,
                 (("a second", "requests_per_s", "{:,.0f}"), ("us p50", "p50_us", "{:,.0f}"),
                  ("us p99", "p99_us", "{:,.0f}"), ("% of a core", "cores", "{:,.0f}"),
                  ("us CPU each", "us_each", "{:,.1f}"), ("later than 3 s", "late", "{:,.0f}"),
                  ("s to form the groups", "build_s", "{:,.1f}")),
                 (("less CPU", "us_each", False), ("lower p99", "p99_us", False),
                  ("sooner formed", "build_s", False)),
                 f"none late ({groups:,} groups)", lambda m: kept_up)

    def offsets_load(self):
        """From exec to the first group's offsets; what comes after the first metadata answer is loading."""
        groups = max(100, int(1000 * self.bench.scale))
        values = {}
        for kind in ("kafka", "millrace"):
            broker = self.start(kind)
            topic = self.bench.topic(broker, FILL_PARTITIONS)
            load = {"topic": topic, "groups": groups, "partitions": FILL_PARTITIONS}
            self.load("fill", broker, rounds=5, **load)
            times = []
            for _ in range(max(1, self.bench.rounds - 2)):
                broker.stop()
                started = time.monotonic()
                broker.start(wait=False)
                ready = self.until(broker, started, lambda b=broker: b.ready())
                served = self.until(broker, started, lambda b=broker: self.load("filled", b, first=1, **load)[
                    "right"] == FILL_PARTITIONS)
                times.append((served, served - ready))
            filled = self.load("filled", broker, **load)
            harness.check_equal(filled["right"], groups * FILL_PARTITIONS, f"offsets {kind} has after a start")
            values[kind] = {"served": (statistics.median(t[0] for t in times), "s"),
                            "after ready": (statistics.median(t[1] for t in times), "s")}
            self.bench.drop(broker)
        self.bench.append(bench_report.simple_row(
            "offsets-load", ROWS["offsets-load"], values, f"5 s ({groups * FILL_PARTITIONS:,} offsets)",
            values["millrace"]["served"][0] <= 5))

    @staticmethod
    def until(broker, started, condition):
        while time.monotonic() - started < START_SECONDS_MAX:
            try:
                if condition():
                    return time.monotonic() - started
            except (OSError, wire.Closed, harness.Failure):
                harness.check(broker.alive(), f"{broker.kind} ended before it was ready")
            time.sleep(0.01)
        raise harness.Failure(f"{broker.kind} did not serve within {START_SECONDS_MAX} s")
