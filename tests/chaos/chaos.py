#!/usr/bin/env python3
# tests/chaos/chaos.py: real nodes, killed, stopped and cut off while librdkafka writes.
"""`dev chaos [KILLS]`: three nodes (RF 3, min.insync.replicas 2) under an idempotent producer with
acks=all. Nodes are killed with -9 (now and then two at once) and started again; between kills some are
stopped with SIGSTOP, and, where this may make network namespaces, cut off from everybody. At the end
every record that was acknowledged has to be there, once and in order."""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/interop"))
from harness import die_with_parent, free_ports  # noqa: E402

NODES = (1, 2, 3)
PARTITIONS = 12
TOPIC = "chaos"
HEAL_SECONDS = 15  # after a fault; then the next one comes whatever the state is


def say(text):
    print(f"chaos: {text}", flush=True)


def run(*command, check=True, **options):
    return subprocess.run([str(c) for c in command], check=check, capture_output=True, text=True,
                          **options)


class Loopback:
    """All nodes on 127.0.0.1: nothing can be cut."""
    cuts = False

    def __init__(self):
        ports = free_ports(2 * len(NODES))
        self.places = {n: ("127.0.0.1", ports[2 * i], ports[2 * i + 1])
                       for i, n in enumerate(NODES)}

    def inside(self, _):
        return []

    def close(self):
        pass


class Namespaces:
    """A namespace per node, joined by a router in which the client lives."""
    cuts = True

    def __init__(self):
        self.prefix = f"millrace{os.getpid()}"
        self.hub = self.prefix + "hub"
        self.names = [self.hub]
        self.places = {n: (f"10.77.{n}.2", 9092, 9093) for n in NODES}
        try:
            self._build()
        except (subprocess.CalledProcessError, OSError):
            self.close()
            raise

    def _build(self):
        run("ip", "netns", "add", self.hub)
        run("ip", "-n", self.hub, "link", "set", "lo", "up")
        run("ip", "netns", "exec", self.hub, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for n in NODES:
            name = f"{self.prefix}n{n}"
            run("ip", "netns", "add", name)
            self.names.append(name)
            run("ip", "link", "add", f"v{n}", "netns", self.hub, "type", "veth", "peer", "name",
                "eth0", "netns", name)
            run("ip", "-n", self.hub, "addr", "add", f"10.77.{n}.1/24", "dev", f"v{n}")
            run("ip", "-n", self.hub, "link", "set", f"v{n}", "up")
            run("ip", "-n", name, "addr", "add", f"10.77.{n}.2/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                run("ip", "-n", name, "link", "set", device, "up")
            run("ip", "-n", name, "route", "add", "default", "via", f"10.77.{n}.1")
        run("ip", "netns", "exec", self.hub, "sh", "-c",
            "test $(cat /proc/sys/net/ipv4/ip_forward) = 1")

    def inside(self, node):
        return ["ip", "netns", "exec", self.hub if node is None else f"{self.prefix}n{node}"]

    def cut(self, node):
        run("ip", "-n", self.hub, "link", "set", f"v{node}", "down")

    def mend(self, node):
        run("ip", "-n", self.hub, "link", "set", f"v{node}", "up")

    def close(self):
        for name in self.names:
            run("ip", "netns", "del", name, check=False)


class Cluster:
    def __init__(self, millrace, network, folder):
        self.millrace, self.network, self.folder = millrace, network, folder
        self.processes, self.down = {}, set()
        voters = ",".join(f"{n}@{h}:{c}" for n, (h, _, c) in network.places.items())
        for n, (host, port, controller) in network.places.items():
            listeners = f"PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}"
            config = {
                "process.roles": "broker,controller", "node.id": n,
                "controller.listener.names": "CONTROLLER", "controller.quorum.voters": voters,
                "listeners": listeners, "advertised.listeners": listeners,
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "log.dirs": folder / f"data{n}", "broker.rack": f"FD{n}UD{n}",
                "default.replication.factor": 3, "min.insync.replicas": 2,
                "broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500,
                "replica.lag.time.max.ms": 5000, "log.segment.bytes": 16 << 20,
            }
            (folder / f"{n}.properties").write_text(
                "".join(f"{key}={value}\n" for key, value in config.items()))
        for n in NODES:
            self.start(n)

    @property
    def bootstrap(self):
        return ",".join(f"{host}:{port}" for host, port, _ in self.network.places.values())

    def start(self, node):
        log = open(self.folder / f"{node}.log", "ab")
        self.processes[node] = subprocess.Popen(
            [*self.network.inside(node), self.millrace, "start", str(self.folder / f"{node}.properties"),
             "--cluster-id", "4L6g3nShT-eMCtK--X86sw"],
            stderr=log, stdout=log, preexec_fn=die_with_parent)
        log.close()
        self.down.discard(node)

    def kill(self, node):
        self.down.add(node)
        self.processes[node].kill()
        self.processes[node].wait()

    def complain(self):
        """A node that ended without being killed is a finding."""
        for node, process in self.processes.items():
            if node not in self.down and process.poll() is not None:
                tail = (self.folder / f"{node}.log").read_text(errors="replace")[-2000:]
                sys.exit(f"chaos: node {node} ended by itself (exit {process.returncode})\n{tail}")

    def command(self, *arguments, seconds=5):
        return run(*self.network.inside(None), self.millrace, *arguments, "-b", self.bootstrap,
                   "--timeout", f"{seconds}s", check=False)

    def wait_until_well(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.complain()
            if self.command("health", "-q", "--brokers", len(NODES), seconds=2).returncode == 0:
                return True
            time.sleep(0.05)
        return False

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


class Chaos:
    def __init__(self, cluster, rng):
        self.cluster, self.rng = cluster, rng
        self.counts = {"kills": 0, "stops": 0, "cuts": 0, "slow heals": 0}

    def kill(self, room):
        """One node, or two: no page cache is lost, so no record may be."""
        nodes = self.rng.sample(NODES, 2 if room > 1 and self.rng.random() < 0.15 else 1)
        for node in nodes:
            self.cluster.kill(node)
            self.counts["kills"] += 1
            time.sleep(self.rng.random() * 0.2)
        time.sleep(self.rng.choice((0, 0, 0.2, 1.0)))
        for node in nodes:
            self.cluster.start(node)

    def pause(self):
        node = self.rng.choice(NODES)
        process = self.cluster.processes[node]
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.2, 4.5))
        process.send_signal(signal.SIGCONT)
        self.counts["stops"] += 1

    def cut(self):
        node = self.rng.choice(NODES)
        self.cluster.network.cut(node)
        time.sleep(self.rng.uniform(0.2, 4.5))
        self.cluster.network.mend(node)
        self.counts["cuts"] += 1

    def run(self, kills, deadline):
        while self.counts["kills"] < kills and time.monotonic() < deadline:
            before = self.counts["kills"]
            self.kill(kills - before)
            if self.rng.random() < 0.1:
                self.pause()
            if self.cluster.network.cuts and self.rng.random() < 0.1:
                self.cut()
            if not self.cluster.wait_until_well(HEAL_SECONDS):
                self.counts["slow heals"] += 1
            if self.counts["kills"] // 10 > before // 10:
                say(", ".join(f"{n} {what}" for what, n in self.counts.items()))


def client_program():
    program = ROOT / "build/chaos/client"
    source = ROOT / "tests/chaos/client.c"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        run("gcc", "-O1", "-Wall", "-Wextra", "-o", program, source, "-lrdkafka")
    return program


def make_network(wanted):
    if wanted != "off" and os.geteuid() == 0:
        try:
            return Namespaces()
        except (subprocess.CalledProcessError, OSError) as error:
            if wanted == "on":
                raise
            say(f"no network namespaces here ({error}); nothing will be cut")
    return Loopback()


def finish(cluster, client, producer, acked):
    if not cluster.wait_until_well(90):
        sys.exit("chaos: the cluster does not heal within 90 s")
    producer.terminate()
    if producer.wait(150) != 0:
        sys.exit(f"chaos: the producer failed (exit {producer.returncode})")
    done = run(*cluster.network.inside(None), client, "check", cluster.bootstrap, TOPIC, PARTITIONS,
               acked, check=False, timeout=300)
    if done.returncode not in (0, 1) or not done.stdout:
        sys.exit(f"chaos: the checker failed: {done.stderr}")
    return json.loads(done.stdout), done.returncode


def main():
    parser = argparse.ArgumentParser(prog="dev chaos", description=__doc__)
    parser.add_argument("kills", nargs="?", type=int, default=200)
    parser.add_argument("--millrace", default=str(ROOT / "build/release/millrace"))
    parser.add_argument("--seconds", type=int, default=1500, help="no new fault after that")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--network", choices=("auto", "on", "off"), default="auto",
                        help="namespaces, so that links can be cut; needs root")
    parser.add_argument("--keep", action="store_true", help="keep data and logs")
    options = parser.parse_args()
    client = client_program()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-chaos-"))
    network = make_network(options.network)
    cluster = Cluster(options.millrace, network, folder)
    started = time.monotonic()
    say(f"seed {options.seed}, {options.kills} kills, "
        f"{'with' if network.cuts else 'without'} cut links")
    try:
        if not cluster.wait_until_well(30):
            sys.exit("chaos: the cluster does not come up")
        made = cluster.command("topic", "create", TOPIC, "-p", PARTITIONS, "-r", "3")
        if made.returncode != 0:
            sys.exit(f"chaos: {made.stderr}")
        acked = folder / "acked"
        producer = subprocess.Popen(
            [*network.inside(None), str(client), "produce", cluster.bootstrap, TOPIC,
             str(PARTITIONS), str(acked)], preexec_fn=die_with_parent)
        chaos = Chaos(cluster, random.Random(options.seed))
        chaos.run(options.kills, started + options.seconds)
        result, code = finish(cluster, client, producer, acked)
        result = {**chaos.counts, **result, "seconds": round(time.monotonic() - started)}
        print(json.dumps(result))
        if result["kills"] < options.kills:
            sys.exit(f"chaos: only {result['kills']} kills in {options.seconds} s")
        sys.exit(code)
    finally:
        cluster.stop()
        network.close()
        if options.keep:
            say(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
