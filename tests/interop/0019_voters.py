#!/usr/bin/env python3
# tests/interop/0019_voters.py: controllers come and go by Apache's tools, and kraft.version is raised.
"""KIP-853 against our nodes: kafka-metadata-quorum add-controller and remove-controller, auto-join,
removal of the leader itself, kafka-features upgrade of kraft.version."""
import re

from harness import check, check_equal, check_in, command, main, wait_for


def meta(node, key):
    text = (node.data / "meta.properties").read_text()
    return re.search(rf"^{key}=(.*)$", text, re.M).group(1)


def controller_only(world, number, known, **settings):
    """A controller beside those known, which nobody has made a voter yet."""
    node = world.broker(name=f"node{number}", started=False, **settings)
    node.settings.update({
        "process.roles": "controller", "node.id": str(number),
        "listeners": f"CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"CONTROLLER://127.0.0.1:{node.controller_port}",
        "controller.quorum.bootstrap.servers": ",".join(
            f"127.0.0.1:{n.controller_port}" for n in known)})
    del node.settings["inter.broker.listener.name"]
    node.write_config()
    node.format("--no-initial-controllers")
    return node.start(wait=False)


class Quorum:
    """Node 1 is broker and controller; others join as controllers alone."""

    def __init__(self, world):
        self.world = world
        self.nodes = {1: world.broker()}

    def tool(self, name, *arguments, by=1, controllers=False, **options):
        where = (("--bootstrap-controller", f"127.0.0.1:{self.nodes[by].controller_port}")
                 if controllers else ("--bootstrap-server", self.nodes[1].server))
        return self.world.java(name, *where, *arguments, **options)

    def status(self, **how):
        return self.tool("metadata-quorum", "describe", "--status", **how)

    def voters(self):
        found = re.search(r"CurrentVoters:\s+(.*)", self.status()).group(1)
        return sorted(int(i) for i in re.findall(r'"id": (\d+)', found))

    def leader(self):
        return int(re.search(r"^LeaderId:\s+(-?\d+)$", self.status(), re.M).group(1))

    def join(self, number, **settings):
        node = controller_only(self.world, number, self.nodes.values(), **settings)
        self.nodes[number] = node
        wait_for(lambda: re.search(rf'"id": {number}, ', self.status()), f"{number} to be seen")
        return node

    def add(self, number, **how):
        node = self.nodes[number]
        return self.world.java(
            "metadata-quorum",
            *(("--bootstrap-controller", f"127.0.0.1:{self.nodes[how['by']].controller_port}")
              if how.get("by") else ("--bootstrap-server", self.nodes[1].server)),
            "--command-config", node.config, "add-controller", code=how.get("code", 0))

    def remove(self, number, **options):
        return self.tool("metadata-quorum", "remove-controller", "--controller-id", number,
                         "--controller-directory-id", meta(self.nodes[number], "directory.id"),
                         **options)


def test_controllers_come_and_go(world):
    quorum = Quorum(world)
    quorum.join(2)
    check_in("Added controller 2", quorum.add(2))
    check_equal(quorum.voters(), [1, 2], "voters")
    code, out, err = quorum.add(2, code=None)
    check(code != 0 and "already" in out + err, out + err)
    quorum.join(3)
    quorum.add(3, by=2)  # a controller that does not lead names the one that does
    check_equal(quorum.voters(), [1, 2, 3], "voters")
    wait_for(lambda: re.search(r"MaxFollowerLag:\s+0$", quorum.status(controllers=True), re.M),
             "all to be caught up")
    rows = quorum.tool("metadata-quorum", "describe", "--replication").splitlines()[1:]
    check_equal(sorted((int(r.split()[0]), r.split()[1], r.split()[-1]) for r in rows),
                sorted((n, meta(node, "directory.id"), "Leader" if n == 1 else "Follower")
                       for n, node in quorum.nodes.items()), "rows of --replication")
    # The leader takes itself out; the broker beside it goes on under another controller.
    quorum.remove(1)
    wait_for(lambda: quorum.leader() in (2, 3), "another leader")
    check_equal(quorum.voters(), [2, 3], "voters")
    quorum.tool("topics", "--create", "--topic", "birds")
    check(re.search(r"^1\s.*Observer", quorum.tool("metadata-quorum", "describe",
                                                   "--replication"), re.M), "node 1 observes")
    code, out, err = quorum.remove(1, code=None)
    check(code != 0 and "not a voter" in out + err, out + err)
    wait_for(lambda: re.search(r'"id": 1, ', quorum.status().split("CurrentObservers")[1]),
             "node 1 to be an observer")
    quorum.add(1)
    check_equal(quorum.voters(), [1, 2, 3], "voters")
    # A restart reads the voters from the log, whatever the file says.
    for number in (2, 3):
        quorum.nodes[number].kill()
        quorum.nodes[number].start(wait=False)
        wait_for(lambda: quorum.leader() > 0, "a leader")
    check_equal(quorum.voters(), [1, 2, 3], "voters after restarts")
    check_equal(quorum.tool("topics", "--list").split(), ["birds"], "topics")


def test_a_controller_joins_by_itself(world):
    quorum = Quorum(world)
    quorum.join(2, controller_quorum_auto_join_enable="true")
    wait_for(lambda: quorum.voters() == [1, 2], "node 2 to join")
    # A new disk: its former self goes, then it comes back under its new directory id.
    quorum.join(3, controller_quorum_auto_join_enable="true")
    wait_for(lambda: quorum.voters() == [1, 2, 3], "node 3 to join")
    node = quorum.nodes[3]
    former = meta(node, "directory.id")
    node.kill()
    command(["rm", "-r", node.data])
    node.format("--no-initial-controllers").start(wait=False)
    mine = meta(node, "directory.id")
    check(mine != former, "a new directory id")
    wait_for(lambda: mine in quorum.status().split("CurrentObservers")[0], "the new disk to vote")
    check(former not in quorum.status(), "the old disk is forgotten")


def test_kraft_version_is_raised(world):
    if world.kind == "kafka":
        return
    nodes = [world.broker(name=f"node{i}", started=False) for i in (1, 2, 3)]
    where = ",".join(f"{i}@127.0.0.1:{n.controller_port}" for i, n in enumerate(nodes, 1))
    for i, node in enumerate(nodes, 1):
        node.settings.update({"node.id": str(i), "controller.quorum.voters": where})
        del node.settings["controller.quorum.bootstrap.servers"]
        node.write_config()
        node.format(static=True).start(wait=False)
    server = ",".join(node.server for node in nodes)
    wait_for(lambda: all(node.ready() for node in nodes), "three brokers")

    def features(*arguments, **options):
        return world.java("features", "--bootstrap-server", server, *arguments, **options)

    def level():
        return re.search(r"kraft.version.*FinalizedVersionLevel: (\d)", features("describe"))

    check_equal(level().group(1), "0", "kraft.version")
    code, out, err = world.java("metadata-quorum", "--bootstrap-server", server,
                                "remove-controller", "--controller-id", 3,
                                "--controller-directory-id", meta(nodes[2], "directory.id"),
                                code=None)
    check(code != 0 and "kraft.version" in out + err, out + err)
    wait_for(lambda: features("upgrade", "--feature", "kraft.version=1", code=None)[0] == 0,
             "the voters to tell their directories")
    wait_for(lambda: level().group(1) == "1", "kraft.version 1")
    out = world.java("metadata-quorum", "--bootstrap-server", server, "describe", "--status")
    for node in nodes:
        check_in(meta(node, "directory.id"), out)
    # Who leads goes, and starts again with a file that says that it led.
    leader = int(re.search(r"^LeaderId:\s+(\d+)$", out, re.M).group(1))
    world.java("metadata-quorum", "--bootstrap-server", server, "remove-controller",
               "--controller-id", leader,
               "--controller-directory-id", meta(nodes[leader - 1], "directory.id"))
    for node in nodes:
        node.kill()
    for node in nodes:
        node.start(wait=False)
    wait_for(lambda: all(node.ready() for node in nodes), "three brokers after a restart", 60)
    out = world.java("metadata-quorum", "--bootstrap-server", server, "describe", "--status")
    check_equal(len(re.findall('"id"', out.split("CurrentVoters")[1].split("CurrentObservers")[0])),
                2, "voters")


if __name__ == "__main__":
    main()
