#!/usr/bin/env python3
# tests/interop/0014_transactions_cluster.py: transactions whose coordinator and partitions lie on several nodes.
"""Transactions in a cluster of three: markers and verification between brokers, kill -9 of each node."""
import importlib

from harness import check, check_equal, check_in, main, wait_for

clusters = importlib.import_module("0012_cluster")
txn = importlib.import_module("0010_transactions")

COPIED = 2000


def cluster_of(world):
    return clusters.Cluster(world, **{
        "transaction.state.log.num.partitions": 3, "transaction.state.log.replication.factor": 3,
        "transaction.state.log.min.isr": 2, "offsets.topic.num.partitions": 3,
        "offsets.topic.replication.factor": 3, "min.insync.replicas": 2})


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


if __name__ == "__main__":
    main()
