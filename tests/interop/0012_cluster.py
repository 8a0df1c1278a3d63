#!/usr/bin/env python3
# tests/interop/0012_cluster.py: three processes are one cluster: quorum, replicas, failover.
"""Clusters of three: elections, replication, kill -9 of leaders and controllers, stops and restarts."""
import json
import re
import shutil
import signal
import subprocess
import time

from harness import check, check_equal, check_in, command, die_with_parent, main, wait_for

DIRECTORY_IDS = ["3Db5QLSqSZieL3rJBUUegA", "cFGEuQDYRUOkmNcZyLDAeA", "xNBBTE3tRSyxLjz0aGhqQA"]


class Cluster:
    """Nodes 1 to 3, broker and controller each."""

    def __init__(self, world, static=False, racks=(), release=(), **settings):
        self.world = world
        self.nodes = [world.broker(name=f"node{i}", started=False, **settings) for i in (1, 2, 3)]
        where = [f"127.0.0.1:{node.controller_port}" for node in self.nodes]
        for i, node in enumerate(self.nodes, 1):
            node.settings["node.id"] = str(i)
            if racks:
                node.settings["broker.rack"] = racks[i - 1]
            if static:
                del node.settings["controller.quorum.bootstrap.servers"]
                node.settings["controller.quorum.voters"] = ",".join(
                    f"{n}@{place}" for n, place in enumerate(where, 1))
            else:
                node.settings["controller.quorum.bootstrap.servers"] = ",".join(where)
            node.write_config()
            voters = ",".join(f"{n}@{place}:{uuid}" for n, (place, uuid)
                              in enumerate(zip(where, DIRECTORY_IDS), 1))
            if static:
                node.format(static=True)
            else:
                node.format("--initial-controllers", voters, *release)
        for node in self.nodes:
            node.start(wait=False)
        self.wait_for_brokers(3)

    @property
    def server(self):
        return ",".join(node.server for node in self.nodes)

    def node(self, number):
        return self.nodes[number - 1]

    def listing(self, topic=None, nodes=None):
        """kcat's view by way of any living node; None while there is none."""
        for node in nodes or self.nodes:
            if not node.alive():
                continue
            code, out, _ = command(["kcat", "-b", node.server, "-m", "2", "-L", "-J",
                                    *(["-t", topic] if topic else [])], code=None)
            if code == 0:
                return json.loads(out)
        return None

    def wait_for_brokers(self, count):
        def there():
            listing = self.listing()
            return listing is not None and len(listing["brokers"]) == count
        wait_for(there, f"{count} brokers", 60)

    def partitions(self, topic, nodes=None):
        listing = self.listing(topic, nodes)
        if not listing or not listing["topics"]:
            return []
        return sorted(listing["topics"][0]["partitions"], key=lambda p: p["partition"])

    def wait_for_isr(self, topic, size, seconds=60):
        def right():
            found = self.partitions(topic)
            return found and all(len(p["isrs"]) == size and p["leader"] > 0 for p in found)
        wait_for(right, f"{size} in-sync replicas of {topic}", seconds)

    def tool(self, name, *arguments, **options):
        living = ",".join(node.server for node in self.nodes if node.alive())
        return self.world.java(name, "--bootstrap-server", living, *arguments, **options)

    def controller(self):
        """The active controller's id."""
        out = self.tool("metadata-quorum", "describe", "--status")
        return int(re.search(r"^LeaderId:\s+(\d+)$", out, re.M).group(1))

    def create(self, topic, partitions=3, **configs):
        extra = [part for key, value in configs.items()
                 for part in ("--config", f"{key.replace('_', '.')}={value}")]
        self.tool("topics", "--create", "--topic", topic, "--partitions", partitions,
                  "--replication-factor", 3, *extra)

    def consume(self, topic):
        return command(["kcat", "-b", self.server, "-C", "-t", topic, "-e", "-q"]).split()

    def segments(self, topic, partition):
        """The bytes of a partition's segments on each living node."""
        found = []
        for node in self.nodes:
            if node.alive():
                files = sorted((node.data / f"{topic}-{partition}").glob("*.log"))
                found.append([(f.name, f.read_bytes()) for f in files])
        return found

    def wait_for_identical(self, topic, partitions=3):
        for partition in range(partitions):
            def same():
                one, *others = self.segments(topic, partition)
                return one and all(other == one for other in others)
            wait_for(same, f"the same bytes of {topic}-{partition} on all nodes")


class Producer:
    """kcat with acks=all and idempotence, fed until stop(), which demands that all was acked."""

    def __init__(self, cluster, topic, mark="m"):
        self.sent, self.mark = 0, mark
        self.process = subprocess.Popen(
            ["kcat", "-P", "-b", cluster.server, "-t", topic, "-X", "acks=all",
             "-X", "enable.idempotence=true", "-X", "message.timeout.ms=120000"],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)

    def feed(self, seconds=0.0, until=None):
        """Sends for so long, or until the condition holds."""
        end = time.monotonic() + (seconds if until is None else 60)
        while time.monotonic() < end and not (until is not None and until()):
            for _ in range(20):
                self.process.stdin.write(f"{self.mark}{self.sent}\n".encode())
                self.sent += 1
            self.process.stdin.flush()
            time.sleep(0.02)  # the pace of a producer, not a wait for anything

    def stop(self):
        self.process.stdin.close()
        check_equal(self.process.wait(130), 0, "exit code of the producer")
        return {f"{self.mark}{i}" for i in range(self.sent)}


def check_all_there(cluster, topic, wanted):
    got = cluster.consume(topic)
    check_equal(len(wanted - set(got)), 0, "acknowledged records that are lost")
    check_equal(len(got) - len(set(got)), 0, "records that are there twice")


def test_a_quorum_is_described(world):
    cluster = Cluster(world)
    out = cluster.tool("metadata-quorum", "describe", "--status")
    leader = int(re.search(r"LeaderId:\s+(\d)", out).group(1))
    check(1 <= leader <= 3, out)
    check(re.search(r"LeaderEpoch:\s+[1-9]", out), out)
    for i, uuid in enumerate(DIRECTORY_IDS, 1):
        check_in(f'"id": {i}, "directoryId": "{uuid}"', out)
    check(re.search(r"CurrentObservers:\s+\[\]", out), out)
    wait_for(lambda: re.search(r"MaxFollowerLag:\s+0", cluster.tool(
        "metadata-quorum", "describe", "--status")), "followers to catch up")
    rows = cluster.tool("metadata-quorum", "describe", "--replication").splitlines()[1:]
    check_equal(sorted((r.split()[0], r.split()[1], r.split()[-1]) for r in rows),
                sorted((str(i), uuid, "Leader" if i == leader else "Follower")
                       for i, uuid in enumerate(DIRECTORY_IDS, 1)), "replicas of the quorum")
    # Any broker takes what only the controller can do.
    for i in (1, 2, 3):
        world.java("topics", "--bootstrap-server", cluster.node(i).server, "--create", "--topic",
                   f"by{i}", "--replication-factor", 3)
        world.java("configs", "--bootstrap-server", cluster.node(i).server, "--alter",
                   "--entity-type", "topics", "--entity-name", f"by{i}", "--add-config",
                   f"retention.ms={i}000")
    check_equal(cluster.tool("topics", "--list").split(), ["by1", "by2", "by3"], "topics")


def test_replicas_are_byte_for_byte_the_same(world):
    cluster = Cluster(world)
    cluster.create("birds", segment_bytes=1048576)
    lines = [f"k{i}:{'v' * 700}{i}" for i in range(6000)]
    command(["kcat", "-P", "-b", cluster.server, "-t", "birds", "-K:", "-X", "acks=all"],
            stdin="\n".join(lines) + "\n")
    cluster.wait_for_identical("birds")
    for codec in ("gzip", "lz4", "zstd", "snappy"):
        command(["kcat", "-P", "-b", cluster.server, "-t", "birds", "-K:", "-X", "acks=all",
                 "-z", codec], stdin="\n".join(lines[:300]) + "\n")
    cluster.wait_for_identical("birds")
    check_equal(len(cluster.consume("birds")), 7200, "records")
    out = cluster.tool("topics", "--describe", "--topic", "birds")
    check_equal(len(re.findall(r"Isr: \d,\d,\d\t", out)), 3, "partitions with three in sync")


def test_a_killed_leader_loses_nothing(world):
    cluster = Cluster(world)
    cluster.create("birds", min_insync_replicas=2)
    victim = cluster.node(next(p["leader"] for p in cluster.partitions("birds")
                               if p["leader"] != cluster.controller()))
    producer = Producer(cluster, "birds")
    producer.feed(1)
    victim.kill()
    producer.feed(until=lambda: all(len(p["isrs"]) == 2 and p["leader"] > 0
                                    for p in cluster.partitions("birds")))
    cluster.wait_for_isr("birds", 2)
    producer.feed(1)
    victim.start(wait=False)
    producer.feed(2)
    wanted = producer.stop()
    cluster.wait_for_isr("birds", 3)
    check_all_there(cluster, "birds", wanted)
    cluster.wait_for_identical("birds")


def test_a_killed_controller_loses_nothing(world):
    cluster = Cluster(world)
    cluster.create("birds", min_insync_replicas=2)
    producer = Producer(cluster, "birds")
    producer.feed(1)
    first = cluster.controller()
    cluster.node(first).kill()
    wait_for(lambda: cluster.controller() != first, "another active controller")
    cluster.tool("topics", "--create", "--topic", "later", "--replication-factor", 2)
    producer.feed(until=lambda: all(len(p["isrs"]) == 2 and p["leader"] > 0
                                    for p in cluster.partitions("birds")))
    cluster.node(first).start(wait=False)
    cluster.wait_for_brokers(3)
    wanted = producer.stop()
    cluster.wait_for_isr("birds", 3)
    check_all_there(cluster, "birds", wanted)
    cluster.wait_for_identical("birds")
    check_equal(cluster.tool("topics", "--list").split(), ["birds", "later"], "topics")


def test_a_stopped_node_hands_over_first(world):
    cluster = Cluster(world)
    cluster.create("birds", min_insync_replicas=2)
    producer = Producer(cluster, "birds")
    producer.feed(1)
    for node in cluster.nodes:
        node.stop()
        wait_for(lambda: all(p["leader"] > 0 for p in cluster.partitions("birds")) and
                 cluster.partitions("birds"), "leaders", 10)
        producer.feed(1)
        node.start(wait=False)
        cluster.wait_for_brokers(3)
        cluster.wait_for_isr("birds", 3)
    wanted = producer.stop()
    check_all_there(cluster, "birds", wanted)
    cluster.wait_for_identical("birds")


def test_all_nodes_killed_at_once_come_back(world):
    cluster = Cluster(world, static=True)
    cluster.create("birds", min_insync_replicas=2)
    producer = Producer(cluster, "birds")
    producer.feed(2)
    wanted = producer.stop()
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start(wait=False)
    cluster.wait_for_brokers(3)
    cluster.wait_for_isr("birds", 3)
    check_all_there(cluster, "birds", wanted)
    cluster.wait_for_identical("birds")


def test_a_rolled_back_disk_loses_nothing(world):
    """A node comes back with a copy of its disk from before: its broker epoch betrays it."""
    cluster = Cluster(world)
    cluster.create("birds", min_insync_replicas=2)
    producer = Producer(cluster, "birds")
    producer.feed(1)
    node, copy = cluster.node(3), world.folder / "copy"
    node.stop()
    shutil.copytree(node.data, copy)
    node.start(wait=False)
    cluster.wait_for_isr("birds", 3)
    producer.feed(2)
    wanted = producer.stop()
    node.stop()
    shutil.rmtree(node.data)
    copy.rename(node.data)
    node.start(wait=False)
    cluster.wait_for_isr("birds", 3)
    check_all_there(cluster, "birds", wanted)
    cluster.wait_for_identical("birds")


def test_a_paused_leader_finds_itself_deposed(world):
    """SIGSTOP is a pause and a cut network in one: the node wakes up believing that it leads."""
    cluster = Cluster(world)
    cluster.create("birds", partitions=6, min_insync_replicas=2)
    producer = Producer(cluster, "birds")
    producer.feed(1)
    victim = cluster.node(cluster.controller())
    number = cluster.nodes.index(victim) + 1
    victim.process.send_signal(signal.SIGSTOP)
    try:
        others = [node for node in cluster.nodes if node is not victim]
        producer.feed(until=lambda: all(
            p["leader"] not in (number, -1) and len(p["isrs"]) == 2
            for p in cluster.partitions("birds", others)))
        producer.feed(1)
    finally:
        victim.process.send_signal(signal.SIGCONT)
    producer.feed(1)
    wanted = producer.stop()
    cluster.wait_for_isr("birds", 3)
    check_all_there(cluster, "birds", wanted)
    cluster.wait_for_identical("birds", 6)


def broker_only(world, kind, number, controllers, **settings):
    """A broker without the controller role, under these controllers."""
    node = world.broker(kind=kind, name=f"{kind}{number}", started=False, **settings)
    node.settings.update({
        "process.roles": "broker", "node.id": str(number),
        "listeners": f"PLAINTEXT://{node.server}",
        "advertised.listeners": f"PLAINTEXT://{node.server}",
        "controller.quorum.bootstrap.servers": ",".join(
            f"127.0.0.1:{other.controller_port}" for other in controllers)})
    node.write_config()
    node.format(static=True)
    return node.start(wait=False)


def test_a_java_broker_leads_and_follows(world):
    cluster = Cluster(world)
    java = broker_only(world, "kafka", 4, cluster.nodes)
    cluster.wait_for_brokers(4)
    for topic, replicas in (("theirs", "4:1:2"), ("ours", "1:4:2")):
        cluster.tool("topics", "--create", "--topic", topic, "--replica-assignment", replicas,
                     "--config", "min.insync.replicas=2")
        producer = Producer(cluster, topic)
        producer.feed(2)
        wanted = producer.stop()
        cluster.wait_for_isr(topic, 3)
        check_all_there(cluster, topic, wanted)

        def same():
            files = [(node.data / f"{topic}-0/00000000000000000000.log").read_bytes()
                     for node in (cluster.node(1), cluster.node(2), java)]
            return files[0] == files[1] == files[2]
        wait_for(same, f"the same bytes of {topic}")
    # Leadership goes to and fro while records come: nothing lost, nothing twice.
    producer = Producer(cluster, "theirs", "n")
    producer.feed(1)
    java.kill()
    producer.feed(until=lambda: cluster.partitions("theirs")[0]["leader"] in (1, 2) and
                  cluster.partitions("ours")[0]["leader"] == 1)
    java.start(wait=False)
    cluster.wait_for_brokers(4)
    cluster.wait_for_isr("theirs", 3)
    cluster.tool("leader-election", "--election-type", "preferred", "--all-topic-partitions")
    wait_for(lambda: cluster.partitions("theirs")[0]["leader"] == 4, "leadership to come back")
    producer.feed(1)
    wanted = producer.stop()
    check_all_there(cluster, "theirs", wanted)


def test_metadata_version_is_raised_in_a_mixed_cluster(world):
    cluster = Cluster(world, release=("--release-version", "4.0"))
    java = broker_only(world, "kafka", 4, cluster.nodes)
    cluster.wait_for_brokers(4)

    def level(node):
        out = world.java("features", "--bootstrap-server", node.server, "describe")
        return re.search(r"metadata.version.*FinalizedVersionLevel: (\S+)", out).group(1)

    def works(topic):
        cluster.tool("topics", "--create", "--topic", topic, "--replica-assignment", "4:1:2,1:4:3",
                     "--config", "min.insync.replicas=2")
        producer = Producer(cluster, topic)
        producer.feed(1)
        wanted = producer.stop()
        cluster.wait_for_isr(topic, 3)
        check_all_there(cluster, topic, wanted)
        return wanted

    check_equal([level(node) for node in (java, cluster.node(1))], ["4.0-IV3"] * 2, "level before")
    before = works("before")
    refused = world.java("features", "--bootstrap-server", java.server, "upgrade", "--feature",
                         "metadata.version=99", code=1)
    check_in("Could not upgrade metadata.version to 99", "".join(map(str, refused)))
    # Asked of the Java broker, decided by our controller, followed by all.
    world.java("features", "--bootstrap-server", java.server, "upgrade", "--release-version", "4.3")
    wait_for(lambda: [level(node) for node in (java, *cluster.nodes)] == ["4.3-IV0"] * 4,
             "the new level everywhere")
    works("after")
    java.kill()
    cluster.node(cluster.controller()).kill()
    for node in (java, *cluster.nodes):
        if not node.alive():
            node.start(wait=False)
    cluster.wait_for_brokers(4)
    for topic in ("before", "after"):
        cluster.wait_for_isr(topic, 3)
    check_all_there(cluster, "before", before)
    check_equal([level(node) for node in (java, cluster.node(1))], ["4.3-IV0"] * 2, "level after")


def test_our_brokers_under_a_java_controller(world):
    java = world.broker(kind="kafka")
    ours = [broker_only(world, "millrace", number, [java]) for number in (2, 3)]

    def tool(name, *arguments, **options):
        return world.java(name, "--bootstrap-server", ours[0].server, *arguments, **options)

    def kcat(*arguments, **options):
        return command(["kcat", "-b", ",".join(n.server for n in (java, *ours)), "-m", "20",
                        *arguments], **options)

    def listing():
        code, out, _ = kcat("-L", "-J", code=None)
        return json.loads(out) if code == 0 else {"brokers": [], "topics": []}

    wait_for(lambda: len(listing()["brokers"]) == 3, "three brokers", 60)
    out = tool("metadata-quorum", "describe", "--status")
    check(re.search(r"LeaderId:\s+1", out), out)
    for topic, replicas in (("theirs", "1:2:3"), ("ours", "2:1:3")):
        tool("topics", "--create", "--topic", topic, "--replica-assignment", replicas,
             "--config", "min.insync.replicas=2")
        lines = [f"{topic}{i}" for i in range(2000)]
        kcat("-P", "-t", topic, "-X", "acks=all", stdin="\n".join(lines) + "\n")
        check_equal(sorted(kcat("-C", "-t", topic, "-e", "-q").split()), sorted(lines), "records")

        def same():
            files = [(node.data / f"{topic}-0/00000000000000000000.log").read_bytes()
                     for node in (java, *ours)]
            return files[0] == files[1] == files[2]
        wait_for(same, f"the same bytes of {topic}")
    tool("configs", "--alter", "--entity-type", "topics", "--entity-name", "ours",
         "--add-config", "retention.ms=1234000")
    wait_for(lambda: "retention.ms=1234000" in tool("topics", "--describe", "--topic", "ours"),
             "the new configuration")
    ours[0].kill()
    wait_for(lambda: any(t["topic"] == "ours" and t["partitions"][0]["leader"] in (1, 3)
                         for t in listing()["topics"]), "another leader of ours", 30)
    kcat("-P", "-t", "ours", "-X", "acks=all", stdin="late\n")
    ours[0].start(wait=False)
    wait_for(lambda: any(t["topic"] == "ours" and len(t["partitions"][0]["isrs"]) == 3
                         for t in listing()["topics"]), "it to be in sync again", 60)
    check_in("late", kcat("-C", "-t", "ours", "-e", "-q"))


def test_what_java_tools_write_is_carried_to_java_brokers(world):
    """SCRAM keys, quotas and features of Kafka's tools: each record replays on a Java broker."""
    ours = world.broker(name="ours")
    java = broker_only(world, "kafka", 4, [ours])

    def tool(name, *arguments, **options):
        return world.java(name, "--bootstrap-server", ours.server, *arguments, **options)
    wait_for(java.ready, "the Java broker", 60)
    for user, mechanism in (("alice", "SCRAM-SHA-256"), ("bob", "SCRAM-SHA-512")):
        tool("configs", "--alter", "--entity-type", "users", "--entity-name", user,
             "--add-config", f"{mechanism}=[iterations=4096,password=secret]")
    tool("configs", "--alter", "--entity-type", "users", "--entity-name", "alice",
         "--add-config", "producer_byte_rate=1024")
    tool("features", "upgrade", "--feature", "share.version=1", code=None)
    tool("features", "downgrade", "--feature", "group.version=0")
    tool("features", "upgrade", "--feature", "group.version=1")
    code, out, err = tool("features", "upgrade", "--feature", "group.version=7", code=None)
    check(code != 0 and "group.version" in out + err, out + err)
    code, out, err = tool("features", "upgrade", "--metadata", "3.3-IV3", code=None)
    check(code != 0, out + err)
    check_in("4.3-IV0", tool("features", "describe"))

    # The Java broker answers from the image that our records made.
    def there():
        out = world.java("configs", "--bootstrap-server", java.server, "--describe",
                         "--entity-type", "users")
        return ("'alice'" in out and "'bob'" in out and "producer_byte_rate=1024" in out and
                "SCRAM-SHA-256=iterations=4096" in out)
    wait_for(there, "the users on the Java broker")
    check(re.search(r"group\.version.*FinalizedVersionLevel: 1", world.java(
        "features", "--bootstrap-server", java.server, "describe")), "group.version there")
    tool("configs", "--alter", "--entity-type", "users", "--entity-name", "bob",
         "--delete-config", "SCRAM-SHA-512")
    wait_for(lambda: "'bob'" not in world.java(
        "configs", "--bootstrap-server", java.server, "--describe", "--entity-type", "users"),
        "bob to be gone there too")
    check(java.alive(), "the Java broker replayed everything")


def test_our_node_observes_a_java_quorum_while_topics_change(world):
    java = world.broker(kind="kafka")
    ours = broker_only(world, "millrace", 2, [java])
    wait_for(ours.ready, "our broker", 60)

    def both(name, *arguments):
        return [sorted(re.sub(r"\s+", " ", line) for line in world.java(
            name, "--bootstrap-server", node.server, *arguments).splitlines())
            for node in (java, ours)]
    for i in range(6):
        world.java("topics", "--bootstrap-server", java.server, "--create", "--topic", f"t{i}",
                   "--partitions", i + 1, "--config", f"retention.ms={i + 1}000")
        if i % 2:
            world.java("topics", "--bootstrap-server", java.server, "--delete", "--topic",
                       f"t{i - 1}")
            world.java("topics", "--bootstrap-server", ours.server, "--alter", "--topic", f"t{i}",
                       "--partitions", i + 3)

    def same():
        described = both("topics", "--describe")
        return described[0] == described[1] and len(described[0]) > 3
    wait_for(same, "the same topics by both", 60)
    java.kill()
    java.start(wait=False)
    wait_for(java.ready, "the Java quorum to be back", 60)
    world.java("topics", "--bootstrap-server", java.server, "--create", "--topic", "after")
    wait_for(same, "the same topics after a restart of the quorum", 60)


def test_a_dev_cluster_in_one_command(world):
    if world.kind == "kafka":
        return  # Kafka has no such command
    data = world.folder / "dev"

    def start():
        output = (world.folder / "dev.out").open("w+")
        process = subprocess.Popen([world.millrace, "dev", "--brokers", "4", "--racks", "2x2",
                                    "--port", "0", "--data", data], stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT,
                                   preexec_fn=die_with_parent)
        world.at_end(process.kill)

        def ready():
            output.seek(0)
            text = output.read()
            check(process.poll() is None, text)
            return re.search(r"Bootstrap +(\S+)", text)
        return process, wait_for(ready, "the cluster", 60).group(1)

    process, servers = start()
    command([world.millrace, "topic", "create", "birds", "-p", "4", "-r", "3", "-b",
             servers.split(",")[0]])
    listing = json.loads(command(["kcat", "-b", servers, "-L", "-J", "-t", "birds"]))
    check_equal([len(p["isrs"]) for p in listing["topics"][0]["partitions"]], [3] * 4, "ISRs")
    command([world.millrace, "dev", "kill", "1004", "--data", data])
    lines = [f"v{i}" for i in range(500)]
    command(["kcat", "-P", "-b", servers, "-t", "birds", "-X", "acks=all"],
            stdin="\n".join(lines) + "\n")
    process.send_signal(signal.SIGINT)
    check_equal(process.wait(60), 0, "exit code")
    process, servers = start()
    got = command(["kcat", "-b", servers, "-C", "-t", "birds", "-e", "-q"]).split()
    check_equal(sorted(got), sorted(lines), "records after a restart of everything")
    process.send_signal(signal.SIGINT)
    check_equal(process.wait(60), 0, "exit code")


if __name__ == "__main__":
    main()
