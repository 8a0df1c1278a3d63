#!/usr/bin/env python3
# tests/placement/brute_check.py: plans of tiny random clusters against every possible plan.
"""`brute_check.py --millrace BINARY [--seeds A-B] [--keep DIR]`. A second reading of the rules, in no
words of ours: clusters of 2 to 6 brokers with every broker state, missing labels, disks, short ISRs and
all options of `rebalance-rackaware plan`; exit codes, rows, waves and sums are worked out again and the
objectives compared in their order, leaders included. Prints the seeds that differ; exits 1 on any."""
import argparse
import collections
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile

LIMIT = 60_000  # plans looked at per case; larger ones are checked for consistency alone


def labels_of(broker):
    if "labels" in broker:
        return dict(broker["labels"])
    rack = broker.get("rack") or ""
    grid = re.fullmatch(r"FD(\d+)UD(\d+)", rack)
    if grid:
        return {"fd": str(int(grid[1])), "ud": str(int(grid[2]))}
    pair = re.fullmatch(r"/([^/]+)/([^/]+)", rack)
    if pair:
        return {"fd": pair[1], "ud": pair[2]}
    return {"rack": rack} if rack else {}


def spread(counts):
    return max(counts) - min(counts) if counts else 0


class Case:
    def __init__(self, seed):
        rng = random.Random(seed)
        self.rng = rng
        count = rng.randint(2, 6)
        shape = rng.choice("grid sparse plain pair vm labels two".split())
        self.brokers = []
        calm = rng.random() < 0.4
        for i in range(count):
            broker = {"id": 10 + i}
            fd, ud = rng.randrange(3), rng.randrange(3)
            if shape == "grid":
                broker["rack"] = f"FD{i % 3}UD{i // 3 % 3}"
            elif shape == "sparse":
                broker["rack"] = f"FD{fd}UD{ud}"
            elif shape == "plain":
                broker["rack"] = "r%d" % rng.randrange(3)
            elif shape == "pair":
                broker["rack"] = f"/a{fd}/b{ud}"
            elif shape == "vm":
                broker["rack"] = f"FD{i % 3}UD{i % 5}"
            elif shape == "two":
                broker["rack"] = f"FD{i % 2}UD{ud}"
            else:
                broker["labels"] = {"zone": "z%d" % fd, "host": "h%d" % ud, "row": "w%d" % (i % 2)}
            if not calm and rng.random() < 0.15:
                broker["state"] = rng.choice(("down", "dead", "cordoned"))
            if not calm and rng.random() < 0.03:
                broker.pop("rack", None)
                broker.pop("labels", None)
            self.brokers.append(broker)
        ids = [b["id"] for b in self.brokers]
        self.disks = rng.random() < 0.2
        if self.disks:
            for broker in self.brokers:
                broker["log_dirs"] = [
                    {"path": f"/d{d}", "used_bytes": rng.choice((0, 5, 20)),
                     **({"capacity_bytes": rng.choice((20, 40, 60))} if rng.random() < 0.8 else {})}
                    for d in range(rng.choice((1, 1, 2)))]
        self.topics = []
        rates = rng.random() < 0.5
        for t in range(rng.choice((1, 1, 2))):
            copies = rng.randint(1, min(3, count))
            partitions = []
            for p in range(rng.randint(1, 4)):
                replicas = rng.sample(ids, rng.randint(1, min(3, count)) if rng.random() < 0.1 else copies)
                row = {"partition": p, "replicas": replicas, "size_bytes": rng.choice((0, 1, 2, 3, 5, 10))}
                if rates:
                    row["bytes_in_rate"] = rng.choice((0, 1, 4, 9, 50))
                if rng.random() < 0.5:
                    row["isr"] = list(replicas)
                    if not calm and rng.random() < 0.15 and len(replicas) > 1:
                        row["isr"].remove(rng.choice(replicas))
                if rng.random() < 0.5:
                    row["leader"] = rng.choice(row.get("isr", replicas)) if rng.random() < 0.95 else -1
                partitions.append(row)
            self.topics.append({"name": "t%d" % t, "partitions": partitions})
        self.args = []
        self.chosen = {t["name"] for t in self.topics}
        if rng.random() < 0.15:
            self.chosen = {"t0"}
            self.args += ["--topics", "t0"]
        axes = self.axes = self.find_axes()
        self.soft = []
        if rng.random() < 0.35:
            self.soft = rng.sample(axes, rng.randint(1, len(axes)))
            for axis in self.soft:
                self.args += ["--soft", axis]
        self.away = rng.sample(ids, 1) if rng.random() < 0.15 else []
        if self.away:
            self.args += ["--away-from", str(self.away[0])]
        self.dead = rng.sample(ids, 1) if rng.random() < 0.15 else []
        if self.dead:
            self.args += ["--dead", str(self.dead[0])]
        self.rf = rng.randint(1, 4) if rng.random() < 0.2 else None
        if self.rf:
            self.args += ["--replication-factor", str(self.rf)]
        self.balance = rng.random() < 0.4
        if self.balance:
            self.args += ["--balance"]
        self.leaders = rng.choice(("changed", "all", "all", "keep"))
        if self.leaders != "changed" or rng.random() < 0.5:
            self.args += ["--leaders", self.leaders]
        self.max_moves = rng.choice((1, 2, 5))
        if self.max_moves != 5:
            self.args += ["--max-moves-per-broker", str(self.max_moves)]
        self.mark = rng.choice((0.9, 0.9, 0.5, 1.0))
        if self.mark != 0.9:
            self.args += ["--disk-high-water", str(self.mark)]
        self.check = rng.random() < 0.2
        if self.check:
            self.args += ["--check"]
        self.snapshot = {"version": 1, "brokers": self.brokers, "topics": self.topics}
        if rng.random() < 0.2:
            self.snapshot["axes"] = axes
        self.model()

    def find_axes(self):
        found = []
        for broker in self.brokers:
            found += [a for a in labels_of(broker) if a not in found]
        return [a for a in ("fd", "ud") if a in found] + [a for a in found if a not in ("fd", "ud")] or ["rack"]

    def model(self):
        self.label = {b["id"]: labels_of(b) for b in self.brokers}
        self.hard = [a for a in self.axes if a not in self.soft]
        self.role = {}
        for b in self.brokers:
            state = b.get("state", "up")
            if state == "dead" or b["id"] in self.dead:
                role = "dead"
            elif b["id"] in self.away:
                role = "away"
            else:
                role = {"up": "up", "down": "down", "cordoned": "cordoned"}[state]
            self.role[b["id"]] = role
        self.up = [b for b in self.role if self.role[b] == "up"]
        self.parts = {}
        for topic in self.topics:
            for p in topic["partitions"]:
                self.parts[topic["name"], p["partition"]] = p

    def held(self, key):
        p = self.parts[key]
        if key[0] not in self.chosen:
            return False
        # Fewer copies, and only those on brokers that are down could be left.
        down = sum(self.role[b] == "down" for b in p["replicas"])
        if self.rf == down and any(self.role[b] in ("up", "cordoned", "away") for b in p["replicas"]):
            return True
        if any(self.role[b] == "dead" for b in p["replicas"]):
            return False
        return p.get("leader", 0) < 0 or "isr" in p and len(p["isr"]) < len(p["replicas"])

    def want(self, key):
        return self.rf if self.rf and key[0] in self.chosen else len(self.parts[key]["replicas"])

    def candidates(self, key):
        return self.up + [b for b in self.parts[key]["replicas"] if self.role[b] in ("down", "cordoned")]

    def scores(self, key, chosen, copies, axes):
        out = []
        for axis in axes:
            values = {self.label[b].get(axis) for b in self.candidates(key)} - {None, ""}
            cap = -(-copies // len(values)) if values else copies
            have = collections.Counter(self.label[b].get(axis) for b in chosen)
            out.append(sum(min(n, cap) for v, n in have.items() if v))
        return out

    def family(self, key, copies):
        pinned = {b for b in self.parts[key]["replicas"] if self.role[b] == "down"}
        best, sets = None, []
        for chosen in itertools.combinations(sorted(self.candidates(key)), copies):
            if not pinned <= set(chosen):
                continue
            scores = self.scores(key, chosen, copies, self.hard)
            score = (sum(scores), scores[0] if scores else 0)
            if best is None or score > best:
                best, sets = score, []
            if score == best:
                sets.append(frozenset(chosen))
        return sets, best

    def violates(self, key, chosen):
        if len(chosen) != (self.rf or len(self.parts[key]["replicas"])):
            return True
        if any(self.role[b] in ("dead", "away") for b in chosen):
            return True
        best = self.family(key, len(chosen))[1]
        scores = self.scores(key, chosen, len(chosen), self.hard)
        return best is None or (sum(scores), scores[0] if scores else 0) < best

    def refusal(self):
        """The rule that forbids any plan, or None."""
        for b, role in self.role.items():
            if role in ("up", "down", "cordoned") and any(not self.label[b].get(a) for a in self.hard):
                return "unlabelled-broker"
        states = {b["id"]: b.get("state", "up") for b in self.brokers}
        for key, p in self.parts.items():
            if key[0] in self.chosen and any(self.role[b] == "away" and states[b] == "down"
                                             for b in p["replicas"]):
                return "down-broker"
        for key in self.parts:
            if key[0] in self.chosen and not self.held(key) and not self.family(key, self.want(key))[0]:
                return "few"
        return None

    def eligible(self, chosen):
        for roles in (("up",), ("cordoned",), ("down",)):
            found = [b for b in chosen if self.role[b] in roles]
            if found:
                return found
        return list(chosen)

    def rooms(self):
        rooms = {}
        for b in self.brokers:
            rooms[b["id"]] = [None if "capacity_bytes" not in d else
                              int(d["capacity_bytes"] * self.mark + 1e-9) - d.get("used_bytes", 0)
                              for d in b.get("log_dirs", [])]
        return rooms

    def packs(self, broker, sizes):
        rooms = self.rooms()[broker]
        if not rooms or any(r is None for r in rooms):
            return True
        for places in itertools.product(range(len(rooms)), repeat=len(sizes)):
            left = list(rooms)
            for size, at in zip(sizes, places):
                left[at] -= size
            if all(r >= 0 or r == was for r, was in zip(left, rooms)):
                if all(left[at] >= 0 for at in places):
                    return True
        return False

    def best(self, given=None):
        """The best values of all objectives; None when there are too many plans; "disk" for none."""
        keys = [k for k in self.parts if k[0] in self.chosen and not self.held(k)]
        fixed = {k: frozenset(self.parts[k]["replicas"]) for k in self.parts if k not in keys}
        options = []
        for key in keys:
            now = frozenset(self.parts[key]["replicas"])
            sets = self.family(key, self.want(key))[0]
            rows = []
            for chosen in sets:
                adds = len(chosen - now)
                soft = -sum(self.scores(key, chosen, len(chosen), self.soft))
                rows.append((adds * self.parts[key]["size_bytes"], adds, soft, chosen))
            if not self.balance and not self.disks:
                least = min(r[:3] for r in rows)
                rows = [r for r in rows if r[:3] == least]
            if given is not None:
                rows = [r for r in rows if r[3] == given[key]]
            options.append(sorted(rows, key=lambda r: (r[:3], sorted(r[3]))))
        plans = 1
        for rows in options:
            plans *= len(rows)
        if plans > LIMIT:
            return None
        best, winners = None, []
        for combo in itertools.product(*options):
            if self.disks:
                incoming = collections.defaultdict(list)
                for key, row in zip(keys, combo):
                    for b in row[3] - set(self.parts[key]["replicas"]):
                        incoming[b].append(self.parts[key]["size_bytes"])
                if not all(self.packs(b, sizes) for b, sizes in incoming.items()):
                    continue
            load = collections.Counter(b for chosen in fixed.values() for b in chosen)
            for row in combo:
                load.update(row[3])
            even = spread([load[b] for b in self.up])
            cost = tuple(sum(r[i] for r in combo) for i in range(3))
            goal = (even, *cost) if self.balance else (*cost, even)
            if best is None or goal < best:
                best, winners = goal, []
            if goal == best:
                winners.append({**fixed, **dict(zip(keys, (r[3] for r in combo)))})
        if best is None:
            return "disk"
        return best, self.best_leaders(winners)

    def seats(self, plan):
        """Who may lead each partition under the wishes."""
        seats = {}
        for key, chosen in plan.items():
            now = self.parts[key]["replicas"]
            free = key[0] in self.chosen and not self.held(key)
            changed = chosen != frozenset(now)
            if not free or not changed and self.leaders != "all":
                seats[key] = [now[0]]
            elif self.leaders == "keep" and now[0] in chosen:
                seats[key] = [now[0]]
            else:
                seats[key] = self.eligible(chosen)
        return seats

    def best_leaders(self, winners):
        best = None
        for plan in winners:
            seats = self.seats(plan)
            size = 1
            for who in seats.values():
                size *= len(who)
            if size * len(winners) > LIMIT:
                return None
            for led in itertools.product(*seats.values()):
                goal = self.leader_goal(dict(zip(seats, led)))
                if best is None or goal < best:
                    best = goal
        return best

    def leader_goal(self, led):
        total, traffic = collections.Counter(), collections.Counter()
        topics = collections.defaultdict(collections.Counter)
        for key, b in led.items():
            total[b] += 1
            topics[key[0]][b] += 1
            traffic[b] += self.parts[key].get("bytes_in_rate", 0)
        worst = max(spread([c[b] for b in self.up]) for c in topics.values())
        return worst, spread([total[b] for b in self.up]), spread([traffic[b] for b in self.up])


def consistent(case, plan):
    """Rows, waves and sums, worked out again."""
    rows, moves = plan["partitions"], plan["moves"]
    names = [(r["topic"], r["partition"]) for r in rows]
    assert names == sorted(names) == [(m["topic"], m["partition"]) for m in moves], "order of rows"
    final = {k: list(p["replicas"]) for k, p in case.parts.items()}
    waves = {}
    for w, wave in enumerate(plan["waves"]):
        assert wave, "empty wave"
        for row in wave:
            assert waves.setdefault((row["topic"], row["partition"]), w) == w, "two waves"
    incoming = collections.Counter()
    bytes_moved = 0
    into = collections.Counter()
    rooms = case.rooms()
    for row, move in zip(rows, moves):
        key = row["topic"], row["partition"]
        p = case.parts[key]
        assert key[0] in case.chosen and not case.held(key), f"{key} must not be touched"
        now, then = p["replicas"], row["replicas"]
        assert move["from"] == now and move["to"] == then and then != now, "from and to"
        assert len(set(then)) == len(then), "twice"
        assert len(then) == case.want(key), "RF"
        adding, removing = set(then) - set(now), set(now) - set(then)
        assert set(move["adding"]) == adding and set(move["removing"]) == removing, "adding, removing"
        assert all(case.role[b] == "up" for b in adding), "no target"
        assert all(case.role[b] != "down" for b in removing), "down ones stay"
        assert all(case.role[b] not in ("dead", "away") for b in then), "leaving ones"
        assert move["bytes"] == len(adding) * p["size_bytes"], "bytes"
        assert move["wave"] == waves.pop(key), "wave"
        assert move["reason"], "reason"
        bytes_moved += move["bytes"]
        incoming.update((move["wave"], b) for b in adding)
        dirs = row.get("log_dirs")
        assert dirs is None or len(dirs) == len(then), "log_dirs"
        for i, b in enumerate(then):
            if b not in adding:
                assert not dirs or dirs[i] == "any", "directory of a kept copy"
                continue
            paths = [d["path"] for d in next(x for x in case.brokers if x["id"] == b).get("log_dirs", [])]
            at = paths.index(dirs[i]) if dirs and dirs[i] != "any" else 0
            assert len(paths) < 2 or dirs and dirs[i] != "any", "directory not named"
            if paths and rooms[b][at] is not None:
                into[b, at] += p["size_bytes"]
        assert then[0] in case.eligible(then) or (case.leaders == "keep" and then[0] == now[0]), "leader"
        if case.leaders == "keep" and now[0] in then:
            assert then[0] == now[0], "keep"
        if case.leaders != "all":
            assert set(then) != set(now), "order alone"
        final[key] = then
    assert not waves, "waves name others"
    assert all(n <= case.max_moves for n in incoming.values()), "moves per broker"
    for (b, at), size in into.items():
        assert size == 0 or size <= rooms[b][at], f"disk of {b} overfull"
    chosen = [k for k in case.parts if k[0] in case.chosen]
    skipped = [(s["topic"], s["partition"]) for s in plan["skipped"]]
    assert skipped == sorted(k for k in chosen if case.held(k)), f"skipped {skipped}"
    first = {k: p["replicas"][0] for k, p in case.parts.items()}
    last = {k: r[0] for k, r in final.items()}
    load = [collections.Counter(b for r in rs for b in r)
            for rs in ([p["replicas"] for p in case.parts.values()], final.values())]
    goals = case.leader_goal(first), case.leader_goal(last)
    want = {
        "violations_before": sum(case.violates(k, case.parts[k]["replicas"]) for k in chosen),
        "violations_after": sum(case.violates(k, final[k]) for k in chosen),
        "replica_moves": sum(len(m["adding"]) for m in moves), "bytes_moved": bytes_moved,
        "leader_changes": sum(first[k] != last[k] for k in first),
        "replica_spread_before": spread([load[0][b] for b in case.up]),
        "replica_spread_after": spread([load[1][b] for b in case.up]),
        "topic_leader_spread_before": goals[0][0], "topic_leader_spread_after": goals[1][0],
        "leader_spread_before": goals[0][1], "leader_spread_after": goals[1][1],
    }
    for name, value in want.items():
        assert plan["summary"][name] == value, f"{name}: {plan['summary'][name]} is {value}"
    assert all(not case.violates(k, final[k]) for k in chosen if not case.held(k)), "violation left"
    sum_ = plan["summary"]
    soft = sum(-sum(case.scores(k, final[k], len(final[k]), case.soft))
               for k in chosen if not case.held(k))
    cost = (sum_["bytes_moved"], sum_["replica_moves"], soft)
    goal = ((sum_["replica_spread_after"], *cost) if case.balance else (*cost, sum_["replica_spread_after"]))
    return goal, goals[1], {k: frozenset(r) for k, r in final.items()}


def shuffled(case):
    """The same cluster, listed in another order."""
    snapshot = json.loads(json.dumps(case.snapshot))
    snapshot.setdefault("axes", case.axes)
    case.rng.shuffle(snapshot["brokers"])
    case.rng.shuffle(snapshot["topics"])
    for topic in snapshot["topics"]:
        case.rng.shuffle(topic["partitions"])
    return snapshot


def run(binary, snapshot, args, path):
    with open(path, "w") as f:
        json.dump(snapshot, f)
    return subprocess.run([binary, "rebalance-rackaware", "plan", "--cluster", path, *args, "-o", "json"],
                          capture_output=True, text=True, timeout=60)


def check(binary, seed, path, tally):
    case = Case(seed)
    done = run(binary, case.snapshot, case.args, path)
    refusal = case.refusal()
    best = None if refusal else case.best()
    if refusal or best == "disk":
        assert done.returncode == 1 and done.stdout == "", f"{refusal or best}: exit {done.returncode}"
        error = json.loads(done.stderr)["error"]
        assert error["message"] and len(error["blocking"]) <= 100 <= 100 + error["blocking_total"]
        if refusal in (None, "few", "down-broker"):
            assert error["blocking"], "nothing to blame"
        tally["refused"] += 1
        return
    assert done.returncode in (0, 11), f"exit {done.returncode}: {done.stderr}"
    plan = json.loads(done.stdout)
    assert done.returncode == (11 if case.check and plan["partitions"] else 0), "exit code"
    goal, leaders, final = consistent(case, plan)
    again = run(binary, shuffled(case), case.args, path)
    assert again.stdout == done.stdout, "another order, another plan"
    if best is None:
        tally["large"] += 1
        return
    tally["compared"] += 1
    assert goal == best[0], f"goal {goal} could be {best[0]}"
    assert plan["summary"]["optimal"] and plan["summary"]["gap_bytes"] == 0, "optimal not known"
    if best[1] is not None and case.leaders != "keep":
        mine = case.best(final)[1]
        assert mine is None or leaders == mine, f"leaders {leaders} could be {mine} with these sets"
        assert leaders == best[1], f"leaders {leaders} could be {best[1]} with other sets"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millrace", required=True)
    parser.add_argument("--seeds", default="1-300")
    parser.add_argument("--keep", help="a directory for the snapshots that differ")
    options = parser.parse_args()
    first, last = (int(n) for n in options.seeds.split("-"))
    tally, wrong = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as directory:
        for seed in range(first, last + 1):
            path = os.path.join(directory, "cluster.json")
            try:
                check(options.millrace, seed, path, tally)
            except AssertionError as problem:
                wrong += 1
                case = Case(seed)
                print(f"seed {seed}: {problem}   {' '.join(case.args)}", flush=True)
                if options.keep:
                    with open(os.path.join(options.keep, f"{seed}.json"), "w") as f:
                        json.dump(case.snapshot, f)
    print(f"{last - first + 1} clusters: {dict(tally)}, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
