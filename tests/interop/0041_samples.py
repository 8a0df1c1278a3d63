#!/usr/bin/env python3
# tests/interop/0041_samples.py: every sample in config/ starts as it is written.
"""Config files of config/ and config/cluster/, with free ports and a directory of the test's own."""
import pathlib
import re
import subprocess

from harness import ROOT, check_equal, check_in, command, die_with_parent, free_ports, main, wait_for

CONFIG = ROOT / "config"


class Samples:
    """Copies of samples in which ports, machines and directories are this test's."""

    def __init__(self, world, *names):
        self.world, self.processes, self.files = world, {}, {}
        texts = {name: (CONFIG / name).read_text() for name in names}
        ports = sorted({p for text in texts.values() for p in re.findall(r":(\d{4,5})\b", text)})
        self.ports = dict(zip(ports, free_ports(len(ports))))
        for name, text in texts.items():
            for old, new in self.ports.items():
                text = re.sub(rf":{old}\b", f":{new}", text)
            text = re.sub(r"\b(controller|broker)-\d+:", "localhost:", text)
            text = re.sub(r"/(var/lib|data)\b", f"{world.folder}/\\1", text)
            path = world.folder / name.replace("/", "-")
            path.write_text(text)
            self.files[name] = path
        world.at_end(self.stop)

    def start(self, name):
        command([self.world.millrace, "config", "check", "--strict", self.files[name]])
        process = subprocess.Popen([self.world.millrace, "start", str(self.files[name])],
                                   preexec_fn=die_with_parent, stderr=subprocess.PIPE)
        self.processes[name] = process

    def wait_for_brokers(self, port, count):
        def there():
            code, _, _ = command([self.world.millrace, "health", "-q", "--brokers", count, "-b",
                                  f"localhost:{self.ports[port]}", "--timeout", "2s"], code=None)
            ended = [p.stderr.read() for p in self.processes.values() if p.poll() is not None]
            check_equal(ended, [], "nodes that ended")
            return code == 0
        wait_for(there, f"{count} brokers", 60)

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def test_all_samples_are_here(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    found = sorted(str(p.relative_to(CONFIG)) for p in CONFIG.rglob("*")
                   if p.suffix in (".yaml", ".properties"))
    check_equal(found, ["broker.yaml", "cluster/broker-1.yaml", "cluster/broker-2.yaml",
                        "cluster/broker-3.yaml", "combined.yaml", "controller.yaml",
                        "server.properties"], "the samples")


def test_single_nodes(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    for name in ("combined.yaml", "server.properties"):
        samples = Samples(world, name)
        samples.start(name)
        samples.wait_for_brokers("9092", 1)
        samples.stop()


def test_controller_and_broker(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    samples = Samples(world, "controller.yaml", "broker.yaml")
    cluster_id = command([world.millrace, "storage", "random-uuid"]).strip()
    command([world.millrace, "storage", "format", "--standalone", "-t", cluster_id, "-c",
             samples.files["controller.yaml"]])
    command([world.millrace, "storage", "format", "-t", cluster_id, "-c",
             samples.files["broker.yaml"]])
    for name in ("controller.yaml", "broker.yaml"):
        samples.start(name)
    samples.wait_for_brokers("9092", 1)


def test_cluster_of_three(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    names = [f"cluster/broker-{n}.yaml" for n in (1, 2, 3)]
    samples = Samples(world, *names)
    cluster_id = command([world.millrace, "storage", "random-uuid"]).strip()
    for name in names:
        command([world.millrace, "storage", "format", "-t", cluster_id, "-c", samples.files[name]])
    for name in names:
        samples.start(name)
    samples.wait_for_brokers("9092", 3)
    where = ["-b", f"localhost:{samples.ports['9092']}"]
    command([world.millrace, "topic", "create", "t", "-p", "3", *where])
    said = command([world.millrace, "cluster", *where])
    check_in("losing any one fault domain takes no partition offline", said)


if __name__ == "__main__":
    main()
