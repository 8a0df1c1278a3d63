#!/usr/bin/env python3
# tests/interop/0043_operate.py: the commands of who runs a cluster, on nine nodes in 3x3 racks.
"""cluster, doctor, health, broker, rack, leader and quorum commands; dev kill-rack and start."""
import json
import re
import subprocess
import time

from harness import check, check_equal, check_in, command, die_with_parent, main, wait_for

LOST = "FD2"


class Nine:
    def __init__(self, world):
        self.world, self.data = world, world.folder / "dev"
        output = (world.folder / "dev.out").open("w+")
        self.process = subprocess.Popen(
            [world.millrace, "dev", "--brokers", "9", "--racks", "3x3", "--data", str(self.data),
             "--port", "0", "--override", "broker.session.timeout.ms=3000", "--override",
             "broker.heartbeat.interval.ms=500"],
            preexec_fn=die_with_parent, stdout=output, stderr=subprocess.STDOUT)
        world.at_end(self.stop)

        def ready():
            output.seek(0)
            text = output.read()
            check(self.process.poll() is None, text)
            return "Ctrl-C stops" in text and dict(re.findall(r"(100\d)  (localhost:\d+)", text))
        places = wait_for(ready, "nine nodes", 60)
        # Of the two domains that are never lost here.
        self.server = ",".join(places[node] for node in ("1001", "1002", "1004", "1005"))
        self.run("health", "--wait", "60s", "--brokers", "9")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def run(self, *arguments, code=0):
        return command([self.world.millrace, *arguments, "-b", self.server], code=code)

    def dev(self, *arguments):
        command([self.world.millrace, "dev", *arguments, "--data", self.data])

    def items(self, *arguments, code=0):
        out = self.run(*arguments, "-o", "json", code=None)
        check_equal(out[0], code, f"exit of {arguments}: {out[2]}")
        return json.loads(out[1])["items"]

    def replicas_on(self, broker):
        topics = json.loads(self.run("cluster", "snapshot", "-o", "json"))["topics"]
        return {(t["name"], p["partition"]) for t in topics for p in t["partitions"]
                if broker in p["replicas"]}

    def cordoned(self, broker):
        values = {c["key"]: c["value"] for c in self.items("config", "get", "broker", broker)}
        return values.get("cordoned.log.dirs")

    def states(self):
        return {b["id"]: b["state"] for b in self.items("broker", "list")}


def check_placement(nine):
    planned = nine.items("topic", "create", "t", "-p", "9", "-r", "3", "--dry-run")[0]["placement"]
    nine.run("topic", "create", "t", "-p", "9", "-r", "3", "-c", "min.insync.replicas=2")
    made = nine.items("topic", "describe", "t")[0]["partitions"]
    check_equal([p["replicas"] for p in made], [p["replicas"] for p in planned],
                "replicas, planned and made")
    for row in planned:
        for axis in (r"FD\d", r"UD\d"):
            check_equal(len({re.search(axis, rack)[0] for rack in row["racks"]}), 3,
                        f"{axis} of partition {row['partition']}")
    more = nine.items("topic", "add-partitions", "t", "-p", "12", "--dry-run")[0]["placement"]
    nine.run("topic", "add-partitions", "t", "-p", "12")
    made = nine.items("topic", "describe", "t")[0]["partitions"]
    check_equal([p["replicas"] for p in made[9:]], [p["replicas"] for p in more], "added ones")


def check_healthy(nine):
    state = nine.items("cluster")[0]
    check_equal((state["healthy"], state["notRackSafePartitions"], len(state["domains"])),
                (True, 0, 6), "the cluster")
    for domain in state["domains"]:
        check_equal(domain["ifLost"], {"offline": [], "underMinIsr": []}, domain["name"])
        check_equal(domain["replicas"], 12, f"replicas in {domain['name']}")
    text = nine.run("cluster")
    check_in("losing any one fault domain takes no partition offline", text)
    check_in("UD2", text)
    check_equal({f["state"] for f in nine.items("doctor")}, {"ok"}, "the doctor's findings")


def check_lost_domain(nine):
    nine.dev("kill-rack", LOST)
    wait_for(lambda: list(nine.states().values()).count("down") == 3, f"{LOST} is fenced", 30)
    state = nine.items("cluster")[0]
    check_equal((state["healthy"], state["offlinePartitions"], state["underMinIsrPartitions"]),
                (False, 0, 0), "without one domain")
    check_equal(len(state["domains"][0]["ifLost"]["underMinIsr"]), 12, "loss of a second one")
    problems = [f for f in nine.items("doctor", code=10) if f["state"] == "problem"]
    check(len(problems) >= 4, f"three brokers and replication: {problems}")
    nine.run("health", code=10)
    nine.dev("start", LOST)
    nine.run("health", "--wait", "60s", "--brokers", "9")
    nine.run("leader", "elect")
    check_equal(sum(b["leaders"] for b in nine.items("broker", "list")), 12, "leaders")
    check_equal({f["state"] for f in nine.items("doctor")}, {"ok"}, "the doctor's findings")


def check_repair(nine):
    nine.run("config", "set", "broker", "all", "dead.broker.repair.delay.ms=4000")
    nine.dev("kill", "1006")
    wait_for(lambda: nine.items("broker", "describe", "1006")[0]["replicas"] == 0,
             "replicas of a dead broker are made anew", 40)
    nine.run("config", "unset", "broker", "all", "dead.broker.repair.delay.ms")
    nine.dev("start", "1006")
    nine.run("health", "--wait", "60s", "--brokers", "9")
    check_equal(nine.items("cluster")[0]["notRackSafePartitions"], 0, "violations after a repair")


def check_drain(nine):
    out = nine.run("broker", "decommission", "1009", "--yes", code=None)
    check_equal(out[0], 6, "a broker that has replicas stays")
    plan = nine.items("broker", "drain", "1009", "--dry-run")[0]["plan"]
    check_equal(nine.states()[1009], "up", "after a dry run")
    check_equal({1009} & {r for p in plan["partitions"] for r in p["replicas"]}, set(), "the plan")
    before = nine.replicas_on(1009)
    drained = nine.items("broker", "drain", "1009", "--yes", "--throttle", "50MB/s")[0]
    check_equal((drained["replicas"], drained["state"]), (0, "done"), "the drain")
    check_equal(nine.states()[1009], "cordoned", "state")
    shown = json.loads(nine.run("reassign-partitions", "status", "-o", "json"))
    check_equal((shown["id"], shown["done"]), (drained["id"], len(before)), "a plan like others")
    # The controller hears of the cordon by the broker's next heartbeat.
    wait_for(lambda: places_nothing(nine, 1009), "no new replica on a drained broker", 10)
    nine.run("broker", "undrain", "1009")
    check_equal(nine.states()[1009], "up", "state after undrain")
    # An operator's own list comes back with undrain, and with the rollback of a drain.
    own = nine.items("broker", "describe", "1009")[0]["logDirs"][0]["path"]
    nine.run("reassign-partitions", "rollback", "--yes")
    wait_for(lambda: nine.replicas_on(1009) == before, f"{before} on 1009 again", 10)
    nine.run("config", "set", "broker", "1009", f"cordoned.log.dirs={own}")
    nine.run("broker", "drain", "1009", "--yes")
    check_equal(nine.cordoned(1009), "*", "while drained")
    nine.run("broker", "undrain", "1009")
    check_equal(nine.cordoned(1009), own, "after undrain")
    nine.run("reassign-partitions", "rollback", "--yes")
    nine.run("broker", "drain", "1009", "--yes")
    nine.run("reassign-partitions", "rollback", "--yes")
    check_equal(nine.cordoned(1009), own, "after the rollback of a drain")
    nine.run("config", "unset", "broker", "1009", "cordoned.log.dirs")

    nine.dev("kill", "1009")
    wait_for(lambda: nine.states()[1009] == "down", "the end of 1009", 30)
    code, _, err = nine.run("broker", "drain", "1009", "--yes", code=None)
    check_equal(code, 6, "a broker that is down may come back")
    check_in("--dead", err)
    nine.run("broker", "drain", "1009", "--dead", "--yes")
    check_equal(nine.replicas_on(1009), set(), "replicas of a dead broker")
    nine.dev("start", "1009")
    wait_for(lambda: nine.states()[1009] == "up", "1009 is back", 30)

    # One that is forgotten leaves no cordon to the next broker of its id.
    nine.run("broker", "drain", "1009", "--yes")
    nine.dev("kill", "1009")
    wait_for(lambda: nine.states()[1009] == "down", "the end of 1009", 30)
    nine.run("broker", "decommission", "1009", "--yes")
    check(1009 not in nine.states(), "1009 is forgotten")
    nine.dev("start", "1009")
    wait_for(lambda: nine.states().get(1009) == "up", "a new 1009 takes replicas", 40)
    check_equal(nine.items("cluster")[0]["notRackSafePartitions"], 0, "violations at the end")


def places_nothing(nine, broker):
    name = f"probe-{time.monotonic_ns()}"
    nine.run("topic", "create", name, "-p", "9", "-r", "3")
    rows = nine.items("topic", "describe", name)[0]["partitions"]
    nine.run("topic", "delete", name, "--yes")
    return all(broker not in row["replicas"] for row in rows)


def test_a_day_of_an_operator(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    nine = Nine(world)
    check_placement(nine)
    check_healthy(nine)
    quorum = nine.items("quorum", "status")[0]
    roles = sorted(r["role"] for r in quorum["replicas"])
    check_equal(roles, ["leader"] + ["observer"] * 6 + ["voter"] * 2, "the quorum")
    racks = {r["broker"]: r["labels"] for r in nine.items("rack", "list")}
    check_equal(racks[1006], {"fd": "2", "ud": "0"}, "labels")
    check_lost_domain(nine)
    check_repair(nine)
    check_drain(nine)


def test_a_vote_is_given_and_taken(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    first = world.broker(name="first", started=False)
    second = world.broker(name="second", started=False)
    second.settings["node.id"] = "2"
    second.settings["controller.quorum.bootstrap.servers"] = f"127.0.0.1:{first.controller_port}"
    second.write_config()
    first.format()
    second.format("--no-initial-controllers")
    for node in (first, second):
        node.start(wait=False)

    def run(*arguments):
        return command([world.millrace, *arguments, "-b", first.server])
    run("health", "--wait", "60s", "--brokers", "2")

    def roles():
        rows = json.loads(run("quorum", "status", "-o", "json"))["items"][0]["replicas"]
        return {row["id"]: row["role"] for row in rows}
    wait_for(lambda: roles().get(2) == "observer", "the second controller as observer", 30)
    run("quorum", "add-voter", "2", "--endpoint",
        f"CONTROLLER://127.0.0.1:{second.controller_port}")
    check_equal(roles(), {1: "leader", 2: "voter"}, "after add-voter")
    run("quorum", "remove-voter", "2", "--yes")
    check(roles().get(2) != "voter", "2 votes no more")
    text = command([world.millrace, "quorum", "add-voter", "7", "--endpoint", "CONTROLLER://h:1",
                    "-b", first.server], code=None)
    check_equal(text[0], 5, "a controller that nobody knows")


def test_racks_in_files(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    config = world.folder / "broker.properties"
    config.write_text("node.id=1\n# rack\nbroker.rack=x\n")
    command([world.millrace, "rack", "set", "FD0UD1", "-c", config])
    check_equal(config.read_text(), "node.id=1\n# rack\nbroker.rack=FD0UD1\n", "the file")
    topology = world.folder / "clusterTopology.json"
    topology.write_text(json.dumps({"hostGroups": {"workernode": [
        {"vmId": 0, "fqdn": "wn0.example.com", "faultDomain": 0, "updateDomain": 4},
        {"vmId": 1, "fqdn": "wn1.example.com", "faultDomain": 1, "updateDomain": 0}]}}))
    rows = json.loads(command([world.millrace, "rack", "import", topology, "-o", "json"]))["items"]
    check_equal(rows[0], {"host": "wn0.example.com", "rack": "FD0UD4"}, "the topology")
    command([world.millrace, "rack", "import", topology, "-c", config, "--host", "wn1"])
    check_in("broker.rack=FD1UD0", config.read_text(), "the file")
    check_equal(command([world.millrace, "rack", "import", topology, "-c", config, "--host", "wn7"],
                        code=None)[0], 5, "a host that is not there")


if __name__ == "__main__":
    main()
