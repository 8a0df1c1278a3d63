#!/usr/bin/env python3
# tests/placement/ilp_test.py: plans of medium clusters against an integer program solved by GLPK.
"""`ilp_test.py --millrace BINARY [--seeds A-B]`. Clusters of 5 to 12 brokers and 12 to 30 partitions whose
separation can be complete. Without --balance: bytes, moves and then replica spread must be the
least; with it: spread, then bytes. Where the planner does not claim `optimal` it may be worse, but
the optimum must lie within `gap_bytes`."""
import argparse
import collections
import json
import os
import random
import re
import subprocess
import sys
import tempfile

SHAPES = (lambda i: f"FD{i % 3}UD{i % 5}", lambda i: f"FD{i % 3}UD{i // 3 % 3}",
          lambda i: f"FD{i % 2}UD{i % 5}", lambda i: f"rack{i % 3}")


def labels(broker):
    grid = re.fullmatch(r"FD(\d+)UD(\d+)", broker["rack"])
    return grid.groups() if grid else (broker["rack"],)


def make_cluster(seed):
    rng = random.Random(seed)
    count = rng.randint(5, 12)
    shape = rng.choice(SHAPES)
    used = rng.randint(max(4, count // 2), count)
    copies = rng.choice((2, 3))
    partitions = [{"partition": p, "replicas": rng.sample(range(used), copies),
                   "size_bytes": int(rng.paretovariate(1.1) * 1000)}
                  for p in range(rng.choice((12, 20, 30)))]
    return {"version": 1, "brokers": [{"id": i, "rack": shape(i)} for i in range(count)],
            "topics": [{"name": "t", "partitions": partitions}]}


class Program:
    """The plan as 0/1 variables x_p_b, in CPLEX LP format for glpsol."""

    def __init__(self, cluster, balance):
        self.brokers = [labels(b) for b in cluster["brokers"]]
        self.partitions = cluster["topics"][0]["partitions"]
        self.rows = []
        self.moves, self.bytes, self.binaries = [], [], []
        for p, partition in enumerate(self.partitions):
            self.add_partition(p, partition, balance)
        for b in range(len(self.brokers)):
            load = " + ".join(f"x_{p}_{b}" for p in range(len(self.partitions)))
            self.rows += [f"{load} - high <= 0", f"{load} - low >= 0"]

    def add_partition(self, p, partition, balance):
        now = set(partition["replicas"])
        mine = [f"x_{p}_{b}" for b in range(len(self.brokers))]
        self.binaries += mine
        self.rows.append(" + ".join(mine) + f" = {len(now)}")
        healthy = True
        for axis in range(len(self.brokers[0])):
            values = collections.defaultdict(list)
            for b, label in enumerate(self.brokers):
                values[label[axis]].append(b)
            cap = -(-len(now) // len(values))
            for members in values.values():
                self.rows.append(" + ".join(f"x_{p}_{b}" for b in members) + f" <= {cap}")
                healthy = healthy and len(now & set(members)) <= cap
        for b, name in enumerate(mine):
            if b not in now:
                self.moves.append((1, name))
                self.bytes.append((partition["size_bytes"], name))
            if healthy and not balance:
                self.rows.append(f"{name} = {int(b in now)}")

    def least(self, terms):
        """The least value, which becomes a row of what follows; None when there is no solution."""
        goal = " ".join(f"{'+' if c >= 0 else '-'} {abs(c)} {name}" for c, name in terms)
        rows = "\n".join(f" r{i}: {row}" for i, row in enumerate(self.rows))
        text = (f"Minimize\n goal: {goal}\nSubject To\n{rows}\nBounds\n high >= 0\n low >= 0\n"
                f"Generals\n high low\nBinaries\n {' '.join(self.binaries)}\nEnd\n")
        with tempfile.TemporaryDirectory() as folder:
            model, out = os.path.join(folder, "model.lp"), os.path.join(folder, "out.txt")
            with open(model, "w", encoding="ascii") as file:
                file.write(text)
            subprocess.run(["glpsol", "--lp", model, "--cuts", "--tmlim", "8", "-o", out],
                           stdout=subprocess.DEVNULL, check=True)
            with open(out, encoding="ascii") as file:
                answer = file.read()
        if "INTEGER OPTIMAL" not in answer:
            return None
        value = int(re.search(r"Objective:\s+goal = (\d+)", answer).group(1))
        self.rows.append(f"{goal} <= {value}")
        return value


SPREAD = [(1, "high"), (-1, "low")]


def check(millrace, seed, balance):
    cluster = make_cluster(seed)
    command = [millrace, "rebalance-rackaware", "plan", "--cluster", "-", "-o", "json"]
    ran = subprocess.run(command + (["--balance"] if balance else []), input=json.dumps(cluster),
                         capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        return f"exit {ran.returncode}: {ran.stderr}"
    summary = json.loads(ran.stdout)["summary"]
    program = Program(cluster, balance)
    spread, moved = summary["replica_spread_after"], summary["bytes_moved"]
    if summary["violations_after"]:
        return "violations are left"
    if balance:
        best_spread = program.least(SPREAD)
        best_bytes = program.least(program.bytes) if best_spread is not None else None
    else:
        best_bytes = program.least(program.bytes)
        if best_bytes is not None and program.least(program.moves) != summary["replica_moves"]:
            return "replica moves are not the least"
        best_spread = program.least(SPREAD) if best_bytes is not None else None
    if best_bytes is None or best_spread is None:
        return None  # no complete separation, or no answer in time
    if not summary["optimal"]:
        fine = spread > best_spread or moved - summary["gap_bytes"] <= best_bytes <= moved
        return "compared" if fine else f"gap {summary['gap_bytes']} is wrong: {moved}, {best_bytes}"
    if (spread, moved) != (best_spread, best_bytes):
        return f"spread and bytes are {spread}, {moved}; possible are {best_spread}, {best_bytes}"
    return "compared"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--millrace", required=True)
    parser.add_argument("--seeds", default="1-20")
    args = parser.parse_args()
    first, last = map(int, args.seeds.split("-"))
    compared = failed = 0
    for seed in range(first, last + 1):
        for balance in (False, True):
            result = check(args.millrace, seed, balance)
            compared += result == "compared"
            if result not in (None, "compared"):
                failed += 1
                print(f"seed {seed}{' --balance' if balance else ''}: {result}")
    print(f"{compared} plans compared with the integer program, {failed} failed")
    return 1 if failed or compared < (last - first + 1) // 2 else 0


if __name__ == "__main__":
    sys.exit(main())
