#!/usr/bin/env python3
# tests/placement/compare.py: four placements of the same partitions, side by side.
"""`compare.py --millrace BINARY [--seeds N] [--update]`. Clusters of several shapes start from random
replicas (RF 3, 60 partitions of one size). Then: what Apache's --generate deals, what the window
algorithm of rebalance_rackaware.py gives, our plan, our plan with --balance. Fails when ours leaves
a violation, or moves more than one that leaves none. --update rewrites the table in
src/placement/COMPARISON.md."""
import argparse
import collections
import itertools
import json
import pathlib
import random
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "src/placement/COMPARISON.md"
COPIES, PARTITIONS = 3, 60

SHAPES = [("3 x 3 grid, full", [(i % 3, i // 3) for i in range(9)])]
SHAPES += [(f"{n} VMs, FD i%3 UD i%5", [(i % 3, i % 5) for i in range(n)])
           for n in (4, 6, 8, 10, 12, 15)]
SHAPES += [("20 VMs, FD i%3, 20 UDs", [(i % 3, i) for i in range(20)]),
           ("sparse 3 x 3 grid", [(0, 0), (0, 1), (1, 0), (1, 2), (2, 1), (2, 2)])]


def losses(domains, brokers, copies):
    """Copies above an even share of the values, added over both axes."""
    lost = 0
    for axis in (0, 1):
        values = len({d[axis] for d in domains})
        cap = -(-copies // values)
        lost += sum(max(0, n - cap) for n in
                    collections.Counter(domains[b][axis] for b in brokers).values())
    return lost


def kafka_generate(domains, _, rng):
    """AdminUtils.assignReplicasToBrokersRackAware; a rack is the pair."""
    racks = collections.defaultdict(list)
    for broker, domain in enumerate(domains):
        racks["FD%dUD%d" % domain].append(broker)
    rows = [racks[name] for name in sorted(racks)]
    arranged = [b for row in itertools.zip_longest(*rows) for b in row if b is not None]
    n, rack_of = len(arranged), {b: name for name, bs in racks.items() for b in bs}
    start, shift = rng.randrange(n), rng.randrange(n)
    plan = []
    for p in range(PARTITIONS):
        if p > 0 and p % n == 0:
            shift += 1
        first = (p + start) % n
        chosen, k = [arranged[first]], 0
        while len(chosen) < COPIES:
            broker = arranged[(first + 1 + (shift * len(racks) + k) % (n - 1)) % n]
            k += 1
            used = {rack_of[b] for b in chosen}
            if broker not in chosen and (rack_of[broker] not in used or len(used) == len(racks)):
                chosen.append(broker)
        plan.append(chosen)
    return plan


def window(domains, now, rng):
    """The founding tool: windows of racks on the diagonals of the matrix; what is balanced stays."""
    fds, uds = sorted({d[0] for d in domains}), sorted({d[1] for d in domains})
    order, seen = [], set()
    for diagonal in range(len(fds) * len(uds)):
        cell = (fds[diagonal % len(fds)],
                uds[(diagonal + diagonal // (len(fds) * len(uds) // _gcd(len(fds), len(uds))))
                    % len(uds)])
        if cell in domains and cell not in seen:
            order.append(cell)
        seen.add(cell)
    members = {cell: [b for b, d in enumerate(domains) if d == cell] for cell in order}
    leaders, followers = collections.Counter(), collections.Counter()
    step, plan = min(len(uds), COPIES), []
    at = rng.randrange(len(order))
    if len(order) == len(fds) * len(uds):
        at -= at % step  # on full grids the original leaves no violation
    for replicas in now:
        balanced = all(len({domains[b][axis] for b in replicas}) ==
                       min(COPIES, len(values)) for axis, values in ((0, fds), (1, uds)))
        if not balanced:
            racks = [order[(at + i) % len(order)] for i in range(min(COPIES, len(order)))]
            at += step
            lead = min(racks, key=lambda r: sum(leaders[b] for b in members[r]) / len(members[r]))
            rest = [r for r in racks if r != lead]
            replicas = [min(members[lead], key=lambda b: leaders[b])]
            for i in range(COPIES - 1):
                choice = [b for b in members[rest[i % len(rest)]] if b not in replicas]
                replicas.append(min(choice, key=lambda b: followers[b]))
        leaders[replicas[0]] += 1
        followers.update(replicas[1:])
        plan.append(replicas)
    return plan


def _gcd(a, b):
    return a if b == 0 else _gcd(b, a % b)


def ours(*flags):
    def plan(domains, now, _):
        snapshot = {"version": 1,
                    "brokers": [{"id": b, "rack": "FD%dUD%d" % d} for b, d in enumerate(domains)],
                    "topics": [{"name": "t", "partitions": [
                        {"partition": p, "replicas": r, "size_bytes": 1 << 30}
                        for p, r in enumerate(now)]}]}
        done = subprocess.run([MILLRACE, "rebalance-rackaware", "plan", "--cluster", "-", "-o",
                               "json", *flags], input=json.dumps(snapshot), text=True,
                              capture_output=True, check=True)
        changed = {row["partition"]: row["replicas"]
                   for row in json.loads(done.stdout)["partitions"]}
        return [changed.get(p, r) for p, r in enumerate(now)]
    return plan


WAYS = [("random start", lambda d, now, r: now), ("kafka --generate", kafka_generate),
        ("window algorithm", window), ("Millrace", ours()),
        ("Millrace --balance --leaders all", ours("--balance", "--leaders", "all"))]


def measure(domains, before, after, best):
    load = collections.Counter({b: 0 for b in range(len(domains))})
    lead = collections.Counter({b: 0 for b in range(len(domains))})
    for replicas in after:
        load.update(replicas)
        lead[replicas[0]] += 1
    return (sum(losses(domains, r, COPIES) > best for r in after),
            sum(len(set(b) - set(a)) for a, b in zip(before, after)),
            max(load.values()) - min(load.values()), max(lead.values()) - min(lead.values()))


def compare(shape, domains, seeds):
    """Averages over the seeds, one row a way; complaints about ours."""
    best = min(losses(domains, c, COPIES) for c in itertools.combinations(range(len(domains)), COPIES))
    sums = {name: [0, 0, 0, 0] for name, _ in WAYS}
    wrong = []
    for seed in range(seeds):
        rng = random.Random(f"{shape} {seed}")
        before = [rng.sample(range(len(domains)), COPIES) for _ in range(PARTITIONS)]
        found = {name: measure(domains, before, way(domains, before, random.Random(seed)), best)
                 for name, way in WAYS}
        for name, result in found.items():
            sums[name] = [a + b for a, b in zip(sums[name], result)]
            if name.startswith("Millrace") and result[0] > 0:
                wrong.append(f"{shape}, seed {seed}: {name} leaves {result[0]} violations")
            if result[0] == 0 and result[1] < found["Millrace"][1]:
                wrong.append(f"{shape}, seed {seed}: {name} moves less")
    return {name: [s / seeds for s in row] for name, row in sums.items()}, wrong


def table(seeds):
    lines = ["| cluster | way | violations | copies moved | replica spread | leader spread |",
             "|---|---|---:|---:|---:|---:|"]
    wrong = []
    for shape, domains in SHAPES:
        rows, complaints = compare(shape, domains, seeds)
        wrong += complaints
        for i, (name, (bad, moves, spread, leads)) in enumerate(rows.items()):
            lines.append(f"| {shape if i == 0 else ''} | {name} | {100 * bad / PARTITIONS:.0f} % | "
                         f"{moves:.0f} | {spread:.1f} | {leads:.1f} |")
    return "\n".join(lines) + "\n", wrong


def main():
    global MILLRACE
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millrace", default=str(ROOT / "build/release/millrace"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    MILLRACE = options.millrace
    text, wrong = table(options.seeds)
    print(text)
    if options.update:
        page = PAGE.read_text()
        head = page[:page.index("| cluster ")]
        PAGE.write_text(head + text)
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
