#!/usr/bin/env python3
# tools/dev/demo.py: the demonstration: nine brokers, a plan, a move under load, a lost domain.
"""`dev demo`: nine brokers in 3 x 3 domains on loopback. Two topics are placed badly on purpose and
filled; then, under a load that never stops: the plan, its execution under a throttle, the loss of a
fault domain, its replicas drained to the others, the domain's return, and the drain undone. Ends by
checking that no partition is misplaced, no acknowledged record is lost and no throttle is left."""
import argparse
import json
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
IDS = list(range(1001, 1010))
# Nodes stand on the diagonals: FD0 has 1001, 1004, 1007. Every partition in one fault domain.
BAD = {"orders": ["1001:1004:1007", "1002:1005:1008", "1003:1006:1009"] * 2,
       "clicks": ["1004:1007:1001", "1005:1008:1002", "1001:1004:1002"] * 2}
LOST = "FD2"
LOST_IDS = [1003, 1006, 1009]
THROTTLE = 4_000_000
STEP_SECONDS = 120


def fail(text):
    sys.exit(f"demo: {text}")


def free_port_range(count):
    """The first of `count` neighbouring free ports."""
    for first in range(21000, 32000, 50):
        probes = []
        try:
            for port in range(first, first + count):
                probe = socket.socket()
                probes.append(probe)
                probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
    return fail("no nine free ports in a row")


class Demo:
    def __init__(self, millrace, records):
        self.millrace, self.records = str(pathlib.Path(millrace).resolve()), records
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-demo-"))
        self.data = self.folder / "data"
        self.port = free_port_range(len(IDS))
        # Of two domains that are never lost here.
        self.server = ",".join(f"localhost:{self.port + i}" for i in (0, 1, 3, 4))
        self.cluster = None
        self.written = {topic: set() for topic in BAD}
        self.loads = []
        self.calm = threading.Event()
        self.started = time.monotonic()

    # ---- commands, as a user would type them ----

    def quiet(self, *arguments, stdin=None, code=0):
        done = subprocess.run([self.millrace, *map(str, arguments)], input=stdin, text=True,
                              capture_output=True, timeout=STEP_SECONDS, check=False)
        if code is not None and done.returncode != code:
            fail(f"millrace {shlex.join(map(str, arguments))}: exit {done.returncode}\n"
                 f"{done.stdout}{done.stderr}")
        return done.stdout if code is not None else done

    def ask(self, *arguments, **options):
        return self.quiet(*arguments, "-b", self.server, **options)

    def show(self, *arguments, code=0):
        print(f"\n$ millrace {shlex.join(map(str, arguments))}", flush=True)
        where = ["--data", str(self.data)] if arguments[0] == "dev" else ["-b", self.server]
        print(self.quiet(*arguments, *where, code=code).rstrip(), flush=True)

    def title(self, text):
        print(f"\n──── {text} " + "─" * max(0, 70 - len(text)) +
              f" {time.monotonic() - self.started:.0f} s", flush=True)

    def wait(self, condition, what):
        deadline = time.monotonic() + STEP_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                fail(f"waited {STEP_SECONDS} s in vain: {what}")
            time.sleep(0.1)

    # ---- the cluster and its load ----

    def start(self):
        self.cluster = subprocess.Popen(
            [self.millrace, "dev", "--brokers", str(len(IDS)), "--racks", "3x3", "--port",
             str(self.port), "--data", str(self.data), "--override",
             "broker.session.timeout.ms=3000", "--override", "broker.heartbeat.interval.ms=500"],
            start_new_session=True, stderr=open(self.folder / "nodes.log", "w"))
        self.ask("health", "--wait", "60s", "--brokers", len(IDS))

    def fill(self):
        for topic, rows in BAD.items():
            self.quiet("shim", "kafka-topics.sh", "--bootstrap-server", self.server, "--create",
                       "--topic", topic, "--replica-assignment", ",".join(rows), "--config",
                       "min.insync.replicas=2")
            for part in range(10):
                self.write(topic, f"fill-{part}", self.records // 10)

    def write(self, topic, name, count):
        lines = [f"{topic} {name} {i:06} " + "x" * 100 for i in range(count)]
        done = self.quiet("produce", topic, "-b", self.server, "--acks", "all", "--timeout", "60s",
                          stdin="\n".join(lines) + "\n", code=None)
        if done.returncode == 0:
            self.written[topic].update(line.rstrip("x ") for line in lines)

    def load(self):
        def run(topic):
            batch = 0
            while not self.calm.is_set():
                self.write(topic, f"load-{batch}", 200)
                batch += 1
                self.calm.wait(0.05)
        self.loads = [threading.Thread(target=run, args=(topic,), daemon=True) for topic in BAD]
        for thread in self.loads:
            thread.start()

    # ---- moves ----

    def assignment(self):
        """The reassignment JSON of the present state: what undoes any plan."""
        rows = [{"topic": topic["name"], "partition": p["partition"], "replicas": p["replicas"]}
                for topic in json.loads(self.ask("cluster", "snapshot"))["topics"]
                for p in topic["partitions"]]
        return {"version": 1, "partitions": rows}

    def wait_until_fenced(self):
        def fenced():
            brokers = json.loads(self.ask("broker", "list", "-o", "json"))["items"]
            return {b["id"] for b in brokers if b["state"] == "down"} == set(LOST_IDS)
        self.wait(fenced, f"{LOST} to be fenced")

    # ---- the play ----

    def play(self):
        self.title("nine brokers in 3 x 3 racks; two topics, badly placed and filled")
        self.start()
        self.fill()
        self.show("cluster")
        self.show("doctor")
        self.title("the plan, before anything happens")
        self.load()
        plan = ["rebalance-rackaware", "--topics", "orders,clicks", "--balance", "--throttle",
                str(THROTTLE), "--rebalancePlanDir", str(self.folder)]
        self.show(*plan)
        self.title(f"executed under load, {THROTTLE // 1_000_000} MB/s per broker at most")
        self.show(*plan, "--execute", "--timeout", f"{STEP_SECONDS}s")
        self.show("cluster")
        self.title(f"{LOST} is lost")
        undo = self.folder / "undo.json"
        undo.write_text(json.dumps(self.assignment()))
        self.show("dev", "kill-rack", LOST)
        self.wait_until_fenced()
        self.show("cluster")
        self.title("and drained: its replicas are made anew in the other two")
        for broker in LOST_IDS:
            self.show("broker", "drain", str(broker), "--dead", "--yes", "--wait", "60s")
        self.ask("health", "--wait", "60s")
        self.show("cluster")
        self.title(f"{LOST} comes back, and the drain is undone")
        self.show("dev", "start", LOST)
        self.ask("health", "--wait", "60s", "--brokers", len(IDS))
        self.show("reassign-partitions", "apply", str(undo), "--throttle", str(THROTTLE), "--yes",
                  "--timeout", f"{STEP_SECONDS}s")
        self.ask("health", "--wait", "60s")
        self.finish()

    def finish(self):
        self.title("what is left of it all")
        self.calm.set()
        for thread in self.loads:
            thread.join()
        self.show("leader", "elect")
        self.show("cluster")
        state = json.loads(self.ask("cluster", "-o", "json"))["items"][0]
        checks = [("partitions that are not rack-safe", state["notRackSafePartitions"]),
                  ("under-replicated partitions", state["underReplicatedPartitions"]),
                  ("offline partitions", state["offlinePartitions"])]
        findings = json.loads(self.ask("doctor", "-o", "json"))["items"]
        checks.append(("throttles left over", sum(f["state"] != "ok" for f in findings
                                                  if f["check"] == "left-over throttles")))
        checks += [(f"acknowledged records of {topic} that are lost "
                    f"(of {len(self.written[topic]):,})", self.lost(topic)) for topic in BAD]
        print()
        for what, count in checks:
            print(f"{count:8}  {what}")
        if any(count for _, count in checks):
            fail("the demonstration failed")
        print(f"\nall as it should be, in {time.monotonic() - self.started:.0f} s", flush=True)

    def lost(self, topic):
        out = self.ask("consume", topic, "--from", "earliest", "--exit", "-f", "%s\n", "--timeout",
                       "120s")
        return len(self.written[topic] - {line.rstrip("x ") for line in out.splitlines()})

    def close(self):
        self.calm.set()
        if self.cluster is not None and self.cluster.poll() is None:
            self.cluster.terminate()
            try:
                self.cluster.wait(40)
            except subprocess.TimeoutExpired:
                self.cluster.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(prog="dev demo", description=__doc__)
    parser.add_argument("--millrace", default=str(ROOT / "build/release/millrace"))
    parser.add_argument("--records", type=int, default=100_000, help="that fill each topic")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    demo = Demo(options.millrace, options.records)
    try:
        demo.play()
    finally:
        demo.close()


if __name__ == "__main__":
    main()
