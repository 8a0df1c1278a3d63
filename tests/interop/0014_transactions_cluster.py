#!/usr/bin/env python3
# tests/interop/0014_transactions_cluster.py: transactions whose coordinator and partitions lie on several nodes.
"""Transactions in a cluster of three: markers and verification between brokers, kill -9 of each
node, and leadership that goes to and fro between our brokers and a Java one."""
import importlib
import json

from harness import check, check_equal, check_in, main, wait_for

clusters = importlib.import_module("0012_cluster")
txn = importlib.import_module("0010_transactions")

COPIED = 2000
MOVED_ROUNDS = 2


SETTINGS = {
    "transaction.state.log.num.partitions": 3, "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2, "offsets.topic.num.partitions": 3,
    "offsets.topic.replication.factor": 3, "min.insync.replicas": 2}


def cluster_of(world):
    return clusters.Cluster(world, **SETTINGS)


class Server:
    """What the helpers of 0010 want of a broker: where to connect."""

    def __init__(self, cluster):
        self.cluster = cluster

    @property
    def server(self):
        return ",".join(node.server for node in self.cluster.nodes)


def committed(world, cluster, topic):
    return txn.consume(world, Server(cluster), topic, "read_committed")


def test_clients(world):
    cluster = cluster_of(world)
    cluster.create("c-topic", partitions=2)
    cluster.create("java", partitions=2)
    steps = txn.c_program(world, Server(cluster)).splitlines()
    check_equal(steps, ["committed", "aborted", "fifty short transactions", "offsets", "fenced"],
                "steps of the C program")
    check_equal(txn.java(Server(cluster), "life", "java").splitlines(), ["fenced", "done"], "Java")
    values = committed(world, cluster, "java")
    check_equal((values.count("committed"), values.count("winner"), len(values)), (150, 2, 152),
                "read_committed")


def test_copier_under_kill(world):
    cluster = cluster_of(world)
    cluster.create("in", partitions=2)
    cluster.create("out", partitions=2)
    txn.fill(world, Server(cluster), "in", COPIED)
    output = world.folder / "copier.out"
    copier = txn.java(Server(cluster), "copy", "in", "out", "group", 2, COPIED, output=output)
    world.at_end(copier.kill)
    for node in cluster.nodes:
        seen = len(committed(world, cluster, "out"))
        wait_for(lambda: len(committed(world, cluster, "out")) > seen or copier.poll() is not None,
                 "the copier to go on", 90)
        node.kill()
        node.start()
        cluster.wait_for_isr("out", 3)
    copier.wait(timeout=150)
    check_in("copied", output.read_text(errors="replace")[-2000:])
    values = committed(world, cluster, "out")
    check_equal(len(values), COPIED, "records copied")
    check(sorted(values) == sorted(f"{i}!" for i in range(COPIED)), "the values are those of in")


def test_leadership_goes_between_java_and_ours(world):
    """Input, output, offsets and transaction state are led by Java, by us, by Java again, under a
    copying program; then each side is killed while it leads. Nothing lost, nothing twice."""
    cluster = cluster_of(world)
    java = clusters.broker_only(world, "kafka", 4, cluster.nodes, **SETTINGS)
    cluster.wait_for_brokers(4)
    total = 10 * COPIED
    for topic in ("in", "out"):
        cluster.create(topic, partitions=2)
    txn.fill(world, Server(cluster), "in", total)
    output = world.folder / "copier.out"
    copier = txn.java(Server(cluster), "copy", "in", "out", "group", 2, total, output=output)
    world.at_end(copier.kill)

    def copied():
        return sum(int(row.split(":")[2]) for row in cluster.tool(
            "get-offsets", "--topic", "out").splitlines())

    def goes_on(what):
        seen = copied()
        wait_for(lambda: copied() > seen or copier.poll() is not None, f"the copier after {what}", 90)

    goes_on("its start")
    counts = {"in": 2, "out": 2, "__consumer_offsets": 3, "__transaction_state": 3}

    def lead_by(order):
        plan = world.folder / "plan.json"
        plan.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": topic, "partition": p, "replicas": order}
            for topic, count in counts.items() for p in range(count)]}))
        cluster.tool("reassign-partitions", "--reassignment-json-file", plan, "--execute")
        for topic in counts:
            cluster.wait_for_isr(topic, len(order))

        def led():  # a new replica may need a moment until it is in sync
            cluster.tool("leader-election", "--election-type", "preferred",
                         "--all-topic-partitions", code=None)
            return all(p["leader"] == order[0] for topic in counts
                       for p in cluster.partitions(topic))
        wait_for(led, f"leadership of {order[0]}", 60)

    for _ in range(MOVED_ROUNDS):
        for order in ([4, 1, 2], [1, 4, 2]):
            lead_by(order)
            goes_on(f"leadership of {order[0]}")
    for order, leader in (([4, 1, 2], java), ([1, 4, 2], cluster.node(1))):
        if copier.poll() is not None:
            break  # a fast machine has copied all by now
        lead_by(order)
        leader.kill()
        goes_on("a kill")
        leader.start(wait=False)
        cluster.wait_for_brokers(4)
        for topic in counts:
            cluster.wait_for_isr(topic, 3)
    copier.wait(timeout=200)
    check_in("copied", output.read_text(errors="replace")[-2000:])
    values = committed(world, cluster, "out")
    check_equal(len(values), total, "records copied")
    check(sorted(values) == sorted(f"{i}!" for i in range(total)), "the values are those of in")


if __name__ == "__main__":
    main()
