#!/usr/bin/env python3
# tests/interop/0015_reassign.py: Apache's kafka-reassign-partitions moves replicas of our cluster.
"""Reassignments over up to six processes: grow, shrink, cancel, override, failover."""
import importlib
import json
import pathlib
import re
import time

from harness import check, check_equal, check_in, command, main, wait_for

clusters = importlib.import_module("0012_cluster")


class Movable(clusters.Cluster):
    """Nodes 1 to 3 and brokers without the controller role beside them."""

    def __init__(self, world, brokers, **settings):
        super().__init__(world, **settings)
        controllers = list(self.nodes)
        for number in range(4, brokers + 1):
            self.nodes.append(clusters.broker_only(world, world.kind, number, controllers))
        self.wait_for_brokers(brokers)
        self.files = 0

    def plan(self, topic, replicas, **more):
        """A reassignment JSON file: one list of brokers per partition."""
        self.files += 1
        path = self.world.folder / f"plan{self.files}.json"
        path.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": topic, "partition": number, "replicas": brokers, **more}
            for number, brokers in enumerate(replicas)]}))
        return path

    def reassign(self, action, plan=None, *arguments, **options):
        if plan is not None:
            arguments = ("--reassignment-json-file", plan, *arguments)
        return self.tool("reassign-partitions", action, *arguments, **options)

    def replicas(self, topic):
        return [[r["id"] for r in p["replicas"]] for p in self.partitions(topic)]

    def wait_until_done(self, plan, seconds=60):
        """--verify until nothing is in progress; its last text."""
        def done():
            out = self.reassign("--verify", plan)
            return out if "is still in progress" not in out else None
        return wait_for(done, "the reassignment to complete", seconds)

    def size(self, topic, number, partition=0):
        """Bytes of a partition's segments on one node."""
        return sum(f.stat().st_size for f in
                   (self.node(number).data / f"{topic}-{partition}").glob("*.log"))

    def folders(self, topic):
        """For each node, the partitions of the topic whose folders it holds."""
        return [sorted(int(folder.name.rsplit("-", 1)[1]) for folder in node.data.iterdir()
                       if re.fullmatch(re.escape(topic) + r"-\d+", folder.name))
                for node in self.nodes]


def test_grow_and_shrink_under_load(world):
    cluster = Movable(world, 6)
    start = [[1, 2, 3], [2, 3, 1], [3, 1, 2], [1, 3, 2], [2, 1, 3], [3, 2, 1]]
    cluster.tool("topics", "--create", "--topic", "birds", "--replica-assignment",
                 ",".join(":".join(map(str, row)) for row in start),
                 "--config", "min.insync.replicas=2")
    producer = clusters.Producer(cluster, "birds")
    producer.feed(1)
    grown = [[1, 4, 3], [2, 5, 6], [6, 1, 2], [4, 5, 6], [5, 1, 3], [3, 2, 4]]
    plan = cluster.plan("birds", grown)
    out = cluster.reassign("--execute", plan)
    check_in("Successfully started partition reassignments for birds-0,birds-1,birds-2,birds-3,"
             "birds-4,birds-5", out)
    producer.feed(until=lambda: "is still in progress" not in cluster.reassign("--verify", plan))
    out = cluster.wait_until_done(plan)
    for number in range(6):
        check_in(f"Reassignment of partition birds-{number} is completed.", out)
    check_equal(cluster.replicas("birds"), grown, "replicas")
    cluster.wait_for_isr("birds", 3)
    shrunk = [[1, 4], [2, 1], [4, 1, 2], [4, 3], [1, 3], [3, 2, 4]]
    plan = cluster.plan("birds", shrunk)
    cluster.reassign("--execute", plan)
    producer.feed(until=lambda: "is still in progress" not in cluster.reassign("--verify", plan))
    out = cluster.wait_until_done(plan)
    check_equal(cluster.replicas("birds"), shrunk, "replicas")
    producer.feed(1)
    wanted = producer.stop()
    clusters.check_all_there(cluster, "birds", wanted)
    for partition in cluster.partitions("birds"):
        check_in(partition["leader"], shrunk[partition["partition"]], "leader's place")
    holders = [[p for p, row in enumerate(shrunk) if n in row] for n in range(1, 7)]
    wait_for(lambda: cluster.folders("birds") == holders, "logs to be where the replicas are")
    check_equal(cluster.reassign("--list").strip(), "No partition reassignments found.", "--list")


def throttles(cluster):
    """What kafka-configs says of throttles anywhere."""
    out = "".join(cluster.tool("configs", "--describe", "--entity-type", kind, *all_of)
                  for kind, all_of in (("brokers", ()), ("topics", ())))
    return sorted(set(re.findall(r"^ +((?:leader|follower|replica)\.\S*(?:throttled|io\.max)\S*"
                                 r"=\S*)", out, re.M)))


def test_a_throttle_holds_and_goes(world):
    cluster = Movable(world, 4)
    cluster.tool("topics", "--create", "--topic", "birds", "--replica-assignment", "1:2,2:3")
    command(["kcat", "-P", "-b", cluster.server, "-t", "birds", "-p", "0", "-X", "acks=all"],
            stdin="".join(f"{i}:{'v' * 1000}\n" for i in range(4000)))
    plan = cluster.plan("birds", [[1, 4], [4, 3]])
    out = cluster.reassign("--execute", plan, "--throttle", 1000000)
    check_in("The inter-broker throttle limit was set to 1000000 B/s", out)
    started = time.monotonic()
    wait_for(lambda: throttles(cluster) == [
        "follower.replication.throttled.rate=1000000",
        "follower.replication.throttled.replicas=0:4,1:4",
        "leader.replication.throttled.rate=1000000",
        "leader.replication.throttled.replicas=0:1,0:2,1:2,1:3"], "the throttles")
    wait_for(lambda: cluster.replicas("birds") == [[1, 4], [4, 3]], "the move to complete", 30)
    passed = time.monotonic() - started
    check(2 <= passed <= 10, f"4 MB at 1 MB/s took {passed} s")
    check_in("Clearing broker-level throttles on brokers 1,2,3,4\n"
             "Clearing topic-level throttles on topic birds", cluster.reassign("--verify", plan))
    wait_for(lambda: not throttles(cluster), "every throttle to be gone")
    # A throttle that would take hours is raised, by the same plan once more.
    plan = cluster.plan("birds", [[1, 3], [4, 3]])
    cluster.reassign("--execute", plan, "--throttle", 1000)
    wait_for(lambda: cluster.size("birds", 3) > 0, "the first bytes")
    check_in("still in progress", cluster.reassign("--verify", plan))
    # Those in sync are not throttled, whatever is listed: acks=all goes on.
    cluster.tool("configs", "--alter", "--entity-type", "topics", "--entity-name", "birds",
                 "--add-config", "leader.replication.throttled.replicas=*,"
                 "follower.replication.throttled.replicas=*")
    for _ in range(3):
        command(["kcat", "-P", "-b", cluster.server, "-t", "birds", "-p", "1", "-X", "acks=all",
                 "-X", "message.timeout.ms=5000"], stdin=f"{'v' * 100000}\n" * 3)
    cluster.wait_for_isr("birds", 2)
    cluster.reassign("--execute", plan, "--additional", "--throttle", 100000000)
    cluster.wait_until_done(plan)
    check_equal(cluster.replicas("birds"), [[1, 3], [4, 3]], "replicas")
    wait_for(lambda: not throttles(cluster), "every throttle to be gone")


def test_cancel_override_delete_and_failover(world):
    cluster = Movable(world, 5)
    cluster.tool("topics", "--create", "--topic", "birds", "--replica-assignment", "1:2,2:3")
    cluster.tool("topics", "--create", "--topic", "fish", "--replica-assignment", "1:2,2:3")
    producer = clusters.Producer(cluster, "birds")
    producer.feed(0.5)
    code, out, _ = cluster.reassign("--execute", cluster.plan("birds", [[1, 9]]), code=None)
    check_equal((code, "Error: Unknown broker id 9" in out), (1, True), f"unknown broker: {out}")
    # A target that just died holds the move open.
    away = cluster.plan("birds", [[5, 2], [2, 5, 3]])
    cluster.node(5).kill()
    cluster.reassign("--execute", away)
    check_in("birds-0: replicas: 5,2,1. adding: 5. removing: 1.\n"
             "birds-1: replicas: 2,5,3. adding: 5.\n", cluster.reassign("--list"))
    check_in("is still in progress", cluster.reassign("--verify", away))
    # Without --additional the tool refuses, with it the running one is overridden.
    code, out, _ = cluster.reassign("--execute", away, code=None)
    check_equal((code, "there is an existing partition assignment" in out), (1, True), out)
    cluster.wait_for_brokers(4)
    cluster.reassign("--execute", cluster.plan("birds", [[4, 2]]), "--additional")
    wait_for(lambda: cluster.replicas("birds")[0] == [4, 2], "the new target to win")
    # The tool would ask the dead broker to forget its throttle, and wait for it.
    out = cluster.reassign("--cancel", away, "--preserve-throttles")
    check_in("Successfully cancelled partition reassignment for: birds-1", out)
    check_equal(cluster.replicas("birds"), [[4, 2], [2, 3]], "replicas")
    check_in("None of the specified partition reassignments are active.",
             cluster.reassign("--cancel", away, "--preserve-throttles"))
    # A topic deleted in mid-move leaves the list; the active controller dies in mid-move, and the
    # next one completes what is left.
    cluster.node(5).start(wait=False)
    cluster.wait_for_brokers(5)
    first = cluster.controller()
    cluster.node(5).kill()
    cluster.reassign("--execute", away)
    cluster.reassign("--execute", cluster.plan("fish", [[5, 1], [5, 4]]), "--additional")
    check_in("fish-1", cluster.reassign("--list"))
    cluster.tool("topics", "--delete", "--topic", "fish")
    wait_for(lambda: "fish" not in cluster.reassign("--list"), "fish to be gone")
    cluster.node(first).kill()
    wait_for(lambda: cluster.controller() != first, "another active controller")
    check_in("birds-1: replicas: 2,5,3. adding: 5.", cluster.reassign("--list"))
    cluster.node(first).start(wait=False)
    cluster.node(5).start(wait=False)
    cluster.wait_for_brokers(5)
    wait_for(lambda: cluster.replicas("birds") == [[5, 2], [2, 5, 3]], "the move to complete")
    check_equal(cluster.reassign("--list").strip(), "No partition reassignments found.", "--list")
    wanted = producer.stop()
    clusters.check_all_there(cluster, "birds", wanted)
    holders = [[], [0, 1], [1], [], [0, 1]]
    wait_for(lambda: cluster.folders("birds") == holders, "logs to be where the replicas are")
    wait_for(lambda: cluster.folders("fish") == [[]] * 5, "no log of fish")


def test_elections(world):
    cluster = Movable(world, 5)
    cluster.tool("topics", "--create", "--topic", "birds", "--replica-assignment", "4:5")
    cluster.wait_for_isr("birds", 2)

    def elect(kind):
        _, out, err = cluster.tool("leader-election", "--election-type", kind, "--topic", "birds",
                                   "--partition", "0", code=None)
        return out + err

    def leader():
        return cluster.partitions("birds")[0]["leader"]
    check_in("Valid replica already elected for partitions birds-0", elect("preferred"))
    cluster.node(4).stop()
    wait_for(lambda: leader() == 5, "the other one to lead")
    check_in("PreferredLeaderNotAvailable", elect("preferred"))
    cluster.node(4).start()
    cluster.wait_for_isr("birds", 2)
    check_in("Successfully completed leader election (PREFERRED) for partitions birds-0",
             elect("preferred"))
    check_equal(leader(), 4, "leader")
    # When the last in-sync replica is gone only an unclean election brings a leader back.
    cluster.node(5).stop()
    cluster.wait_for_isr("birds", 1)
    cluster.node(4).stop()
    wait_for(lambda: leader() == -1, "nobody to lead")
    check_in("EligibleLeadersNotAvailable", elect("unclean"))
    cluster.node(5).start()
    check_equal(leader(), -1, "leader")
    check_in("Successfully completed leader election (UNCLEAN) for partitions birds-0",
             elect("unclean"))
    wait_for(lambda: leader() == 5, "the other one to lead")


class TwoDirectories:
    """One node with two log directories, and Apache's tool on it."""

    def __init__(self, world, **settings):
        self.world, self.files = world, 0
        self.dirs = [world.folder / "a", world.folder / "b"]
        self.node = world.broker(log_dirs=",".join(str(d) for d in self.dirs), **settings)

    def tool(self, name, *arguments, **options):
        return self.world.java(name, "--bootstrap-server", self.node.server, *arguments, **options)

    def reassign(self, action, topic, partitions, where, *arguments, **options):
        path = self.world.folder / "dirs.json"
        path.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": topic, "partition": number, "replicas": [1],
             "log_dirs": [str(self.dirs[where])]} for number in range(partitions)]}))
        return self.tool("reassign-partitions", action, "--reassignment-json-file", path,
                         *arguments, **options)

    def logs(self, topic):
        """(directory, partition, is future, lag) of every log that DescribeLogDirs tells."""
        out = self.tool("log-dirs", "--describe", "--topic-list", topic)
        return sorted((self.dirs.index(pathlib.Path(d["logDir"])),
                       int(p["partition"].rsplit("-", 1)[1]), p["isFuture"],
                       p["offsetLag"]) for b in json.loads(out.splitlines()[-1])["brokers"]
                      for d in b["logDirs"] for p in d["partitions"])

    def produce(self, topic, partition, count, first=0):
        lines = [f"{i}:{'v' * 500}" for i in range(first, first + count)]
        command(["kcat", "-P", "-b", self.node.server, "-t", topic, "-p", partition, "-X",
                 "acks=all"], stdin="\n".join(lines) + "\n")
        return lines

    def consume(self, topic, partition):
        return command(["kcat", "-C", "-b", self.node.server, "-t", topic, "-p", partition, "-e",
                        "-q"]).split()


def test_between_directories(world):
    here = TwoDirectories(world)
    here.tool("topics", "--create", "--topic", "birds", "--partitions", 2,
              "--config", "segment.bytes=1048576")
    lines = here.produce("birds", 0, 6000)
    here.reassign("--execute", "birds", 2, 0)  # one of them is there already
    wait_for(lambda: [log[:3] for log in here.logs("birds")] == [(0, 0, False), (0, 1, False)],
             "both in the first directory")
    # Slowly: a copy is seen on its way, and goes on after kill -9.
    out = here.reassign("--execute", "birds", 2, 1, "--replica-alter-log-dirs-throttle", 700000)
    check_in("The replica-alter-dir throttle limit was set to 700000 B/s", out)
    for number in (0, 1):
        check_in(f"Successfully started moving log directory to {here.dirs[1]} for replica "
                 f"birds-{number} with broker 1 ", out)
    future = wait_for(lambda: [log for log in here.logs("birds") if log[2]], "a future log")
    check(future[0][0] == 1 and future[0][3] > 0, f"a copy that lags: {future}")
    check_in("Reassignment of replica birds-0-1 is still in progress.",
             here.reassign("--verify", "birds", 2, 1))
    wait_for(lambda: here.logs("birds")[-1][3] < 6000, "some of it to be copied")
    if world.kind == "millrace":  # Kafka 4.3.1 drops the front of the log that it had copied
        here.node.kill()
        here.node.start()
    lines += here.produce("birds", 0, 500, 6000)
    wait_for(lambda: [log[:3] for log in here.logs("birds")] == [(1, 0, False), (1, 1, False)],
             "both in the second directory", 60)
    out = here.reassign("--verify", "birds", 2, 1)
    check_in("Reassignment of replica birds-0-1 completed successfully.", out)
    check_in("Clearing broker-level throttles on broker 1", out)
    wait_for(lambda: not throttles(here), "every throttle to be gone")
    check_equal(here.consume("birds", 0), lines, "records")
    # Back at full speed while records come in.
    here.reassign("--execute", "birds", 2, 0)
    lines += here.produce("birds", 0, 3000, 6500)
    wait_for(lambda: [log[:3] for log in here.logs("birds")] == [(0, 0, False), (0, 1, False)],
             "both in the first directory again", 60)
    lines += here.produce("birds", 0, 10, 9500)
    check_equal(here.consume("birds", 0), lines, "records")
    # A move that is called back leaves nothing.
    here.reassign("--execute", "birds", 2, 1, "--replica-alter-log-dirs-throttle", 1000)
    wait_for(lambda: [log for log in here.logs("birds") if log[2]], "a future log")
    here.reassign("--execute", "birds", 2, 0, "--additional")
    check_equal([log[:3] for log in here.logs("birds") if log[1] == 0], [(0, 0, False)], "logs")
    check_equal(list(here.dirs[1].glob("*-future")), [], "copies")
    here.node.stop()
    here.node.start()
    check_equal(here.consume("birds", 0), lines, "records after a clean stop")
    check_equal(here.logs("birds")[0], (0, 0, False, 0), "the log")
    # A partition that is yet to come, a directory that nobody has.
    code, out, _ = here.reassign("--execute", "birds", 1, 1, code=None, seconds=30)
    check_equal(code, 0, out)


def test_the_nearest_replica(world):
    """KIP-392: a consumer reads from its rack, and from the leader when nobody is there."""
    cluster = clusters.Cluster(world, racks=("a", "b", "c"), **{
        "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"})
    cluster.tool("topics", "--create", "--topic", "birds", "--replica-assignment", "1:2:3")
    cluster.wait_for_isr("birds", 3)
    lines = [f"v{i}" for i in range(2000)]
    command(["kcat", "-P", "-b", cluster.server, "-t", "birds", "-X", "acks=all"],
            stdin="\n".join(lines) + "\n")

    def consume(rack):
        """The nodes that records came from."""
        _, out, err = command(["kcat", "-C", "-b", cluster.server, "-t", "birds", "-e", "-q", "-X",
                               f"client.rack={rack}", "-d", "fetch"], code=None)
        check_equal(out.split(), lines, f"records read in rack {rack}")
        return set(re.findall(r"/(\d+): Enqueue \d+ message", err))
    for rack, node in (("a", "1"), ("b", "2"), ("c", "3"), ("d", "1")):
        check_equal(consume(rack), {node}, f"nodes that serve rack {rack}")
    cluster.node(2).stop()
    check_equal(consume("b"), {"1"}, "nodes that serve a rack without a replica")


if __name__ == "__main__":
    main()
