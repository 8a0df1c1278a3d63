#!/usr/bin/env python3
# tests/interop/0017_rebalance.py: a badly placed topic is planned, moved, verified and put back.
"""Six nodes in 3x2 racks of `millrace dev`, and our own commands: what they leave behind is checked
by other commands than those that did it."""
import json
import os
import pathlib
import re
import signal
import subprocess

from harness import check, check_equal, check_in, command, die_with_parent, main, wait_for

RUNBOOK = pathlib.Path(__file__).resolve().parents[2] / "tools/rebalance_rackaware.py"
# Two copies in one fault domain each: 1001 and 1004 are FD1, 1002 and 1005 FD2, 1003 and 1006 FD3.
BAD = [[1001, 1004], [1002, 1005], [1003, 1006], [1004, 1001], [1005, 1002], [1006, 1003]]


class Dev:
    """`millrace dev` and the commands against it."""

    def __init__(self, world, brokers=6, racks="3x2"):
        self.world = world
        self.log = world.folder / "dev.log"
        self.data = world.folder / "dev"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [world.millrace, "dev", "--brokers", str(brokers), "--port", "0", "--data", self.data,
                 *(["--racks", racks] if racks else [])],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=world.folder, preexec_fn=die_with_parent)
        world.at_end(self.end)
        found = wait_for(lambda: re.search(r"Bootstrap\s+(\S+)", self.log.read_text()),
                         "the dev cluster", 60)
        self.server = found.group(1)
        self.servers = self.server.split(",")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def run(self, *arguments, code=0, server=None, **options):
        """Standard output; with `code` None all three."""
        return command([self.world.millrace, *arguments, "-b", server or self.server], code=code,
                       cwd=self.world.folder, **options)

    def start(self, *arguments):
        return subprocess.Popen([str(a) for a in (self.world.millrace, *arguments, "-b", self.server)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd=self.world.folder, text=True,
                                preexec_fn=die_with_parent)

    def create(self, topic, assignment, records=0):
        text = ",".join(":".join(str(i) for i in replicas) for replicas in assignment)
        command([self.world.millrace, "shim", "kafka-topics.sh", "--bootstrap-server", self.server,
                 "--create", "--topic", topic, "--replica-assignment", text])
        if records:
            line = "x" * 1000 + "\n"
            self.run("produce", topic, "-q", stdin=line * records)

    def snapshot(self):
        return json.loads(self.run("cluster", "snapshot", "-o", "json"))

    def replicas(self, topic):
        for found in self.snapshot()["topics"]:
            if found["name"] == topic:
                return [p["replicas"] for p in found["partitions"]]
        return None

    def throttles(self):
        """Every dynamic throttle of brokers and topics, as text."""
        lines = []
        for kind, names in (("broker", [b["id"] for b in self.snapshot()["brokers"]]),
                            ("topic", [t["name"] for t in self.snapshot()["topics"]])):
            for name in names:
                shown = self.run("config", "get", kind, name)
                lines += [f"{kind} {name} {' '.join(line.split()[:2])}"
                          for line in shown.splitlines() if "throttled" in line]
        return lines

    def moving(self, driver=None):
        """Waits until something is under way; a driver must not have ended before."""
        def found():
            if driver:
                check(driver.poll() is None, f"the driver ended with {driver.poll()}")
            code, out, _ = self.run("reassign-partitions", "status", "-o", "json", code=None)
            return code == 0 and '"moving"' in out
        wait_for(found, "moves under way")

    def file_of(self, **topics):
        """A file of moves: topic=[replicas of partition 0, ...]."""
        rows = [{"topic": t, "partition": p, "replicas": r}
                for t, partitions in topics.items() for p, r in enumerate(partitions)]
        path = self.world.folder / f"{'-'.join(topics)}.json"
        path.write_text(json.dumps({"partitions": rows}))
        return path

    def leader(self, topic):
        found = json.loads(self.run("topic", "describe", topic, "-o", "json"))
        return found["items"][0]["partitions"][0]["leader"]

    def settles(self, look, wanted, what):
        """Brokers learn of the controller's changes a moment later."""
        wait_for(lambda: look() == wanted, f"{what}: {wanted} instead of {look()}", 10)

    def dev(self, *arguments):
        command([self.world.millrace, "dev", *arguments, "--data", self.data])

    def status(self, *arguments, **options):
        return json.loads(self.run("reassign-partitions", "status", *arguments, "-o", "json",
                                   **options))


def test_plan_execute_verify_rollback(world):
    dev = Dev(world)
    dev.create("orders", BAD, records=3000)
    code, out, _ = dev.run("rebalance-rackaware", "--topics", "orders", "--check", code=None)
    check_equal(code, 11, "exit code of --check with changes pending")
    check_in("6 → 0", out, "the plan's summary")
    plan = json.loads((world.folder / "kafkaRebalancePlan.json").read_text())
    check_equal(len(plan["partitions"]), 6, "partitions of the plan")
    check_equal(plan["summary"]["violations_after"], 0, "violations after")

    dev.run("config", "set", "broker", 1001, "follower.replication.throttled.rate=77000000")
    dev.run("config", "set", "topic", "orders", "leader.replication.throttled.replicas=0:1001")
    out = dev.run("rebalance-rackaware", "--execute", "--throttle", "50000000")
    check_in("Successfully started partition reassignments for orders-0,orders-1", out)
    dev.settles(dev.throttles, ["broker 1001 follower.replication.throttled.rate 77000000",
                                  "topic orders leader.replication.throttled.replicas 0:1001"], "throttles: the operator's own and no others")
    out = dev.run("rebalance-rackaware", "--verify")
    check_equal(out.count("is completed."), 6, "completed partitions")
    check_in("not rack-safe: 0 partitions", out)
    dev.settles(lambda: dev.replicas("orders"), [p["replicas"] for p in plan["partitions"]], "replicas")
    check_equal(dev.status()["state"], "done", "state of the plan")
    out = dev.run("rebalance-rackaware", "--topics", "orders", "--check")
    check_in("nothing to move", out)
    undo = json.loads((world.folder / "kafkaRebalancePlan.undo.json").read_text())
    check_equal([p["replicas"] for p in undo["partitions"]], BAD, "the undo file")

    done = dev.status()["id"]
    dev.run("reassign-partitions", "rollback", "--yes", "--throttle", "50MB/s",
            server=dev.servers[-1])
    dev.settles(lambda: dev.replicas("orders"), BAD, "replicas after the rollback")
    check_equal(dev.status()["undo_of"], done, "what the newest plan undoes")
    dev.settles(lambda: len(dev.throttles()), 2, "throttles after the rollback")
    code, _, err = dev.run("reassign-partitions", "cancel", code=None)
    check_equal((code, err.split(" is ")[1].split("\n")[0]), (6, "done"), "cancel of a plan that is over")


def test_interrupt_cancel_resume(world):
    dev = Dev(world)
    dev.create("big", BAD[:3], records=12000)
    dev.run("rebalance-rackaware", "--topics", "big", "--rebalancePlanDir", "plans")
    plan = world.folder / "plans/kafkaRebalancePlan.json"

    moving = dev.moving
    slow = ["reassign-partitions", "apply", plan, "--yes", "--throttle", "20000"]
    driver = dev.start(*slow)
    moving(driver)
    check(len(dev.throttles()) > 4, "throttles are set while it moves")
    driver.send_signal(signal.SIGINT)
    _, err = driver.communicate(timeout=30)
    check_equal(driver.returncode, 130, f"exit code after Ctrl-C\n{err}")
    check_in("resume r-", err)
    dev.settles(dev.throttles, [], "throttles after Ctrl-C")
    dev.settles(lambda: dev.replicas("big"), BAD[:3], "replicas after Ctrl-C")
    state = dev.status(server=dev.servers[-1])
    check_equal((state["state"], state["done"]), ("paused", 0), "state after Ctrl-C")

    driver = dev.start("reassign-partitions", "resume")
    moving(driver)
    code, _, err = dev.run(*slow, code=None)
    check_equal(code, 6, f"exit code of a second plan beside one under way\n{err}")
    said = json.loads(dev.run("reassign-partitions", "cancel", "-o", "json",
                              server=dev.servers[-1]))
    check_equal(said["state"], "cancelled", "what cancel says")
    _, err = driver.communicate(timeout=30)
    check_equal(driver.returncode, 1, f"exit code of a driver whose plan was cancelled\n{err}")
    dev.settles(dev.throttles, [], "throttles after the cancel")
    dev.settles(lambda: dev.replicas("big"), BAD[:3], "replicas after the cancel")
    check_equal(dev.status()["state"], "cancelled", "state after the cancel")

    # Pause lets the wave end; the throttle command reaches a driver elsewhere.
    driver = dev.start(*slow)
    moving(driver)
    check_in("pauses when wave 1", dev.run("reassign-partitions", "pause"))
    dev.run("reassign-partitions", "throttle", "50MB/s")
    _, err = driver.communicate(timeout=40)
    check_equal((driver.returncode, dev.status()["state"]), (0, "paused"), f"after the pause\n{err}")
    dev.settles(dev.throttles, [], "throttles while paused")
    dev.run("reassign-partitions", "resume")
    check_equal(dev.status()["state"], "done", "state after the pause")
    dev.run("reassign-partitions", "rollback", "--yes", "--throttle", "50MB/s")
    dev.settles(lambda: dev.replicas("big"), BAD[:3], "replicas after the rollback")

    # A driver that is killed leaves everything; any machine goes on from there.
    driver = dev.start(*slow)
    moving(driver)
    driver.kill()
    driver.wait()
    check(dev.throttles() != [], "a killed driver cannot clear")
    dev.run("reassign-partitions", "throttle", "50MB/s")
    wait_for(lambda: "moving" not in dev.run("reassign-partitions", "status", "-o", "json"),
             "the end of the moves")
    # The cluster takes them away without any command, and finds nothing else to take.
    wait_for(lambda: dev.throttles() == [], "throttles of a killed driver are removed", 30)
    dev.run("reassign-partitions", "resume")
    check_equal(dev.status()["state"], "done", "state after the resume")
    dev.settles(dev.throttles, [], "throttles after the resume")


def test_brokers_and_controllers_die_in_mid_plan(world):
    dev = Dev(world)
    dev.create("big", [[1004, 1005]], records=4000)
    driver = dev.start("reassign-partitions", "apply", dev.file_of(big=[[1004, 1006]]), "--yes",
                       "--throttle", "20000")
    dev.moving(driver)
    active = json.loads(dev.run("quorum", "status", "-o", "json"))["items"][0]["leader"]
    dev.dev("kill", active)
    dev.run("reassign-partitions", "throttle", "50MB/s")
    _, err = driver.communicate(timeout=60)
    check_equal(driver.returncode, 0, f"exit code of a plan over a controller's failover\n{err}")
    dev.settles(lambda: dev.replicas("big"), [[1004, 1006]], "replicas")
    dev.dev("start", active)
    dev.run("health", "--wait", "60s", "--brokers", "6")
    dev.settles(dev.throttles, [], "throttles after the failover")

    # Driver, leader of the plans and a throttled broker are killed: the next leader clears, also
    # what the broker that is down had set.
    keeper = dev.leader("__millrace_plans")
    lost = next(i for i in (1004, 1005, 1006) if i != keeper)
    here, there = [i for i in range(1001, 1007) if i not in (keeper, lost)][:2]
    dev.create("more", [[here, lost]], records=4000)
    driver = dev.start("reassign-partitions", "apply", dev.file_of(more=[[here, there]]), "--yes",
                       "--throttle", "20000")
    dev.moving(driver)
    check(len([line for line in dev.throttles() if f"broker {lost} " in line]) == 2, "throttled")
    driver.kill()
    driver.wait()
    dev.dev("kill", lost)
    dev.run("reassign-partitions", "throttle", "50MB/s")
    dev.dev("kill", keeper)
    living = ",".join(dev.servers[i - 1001] for i in (here, there))

    def cleared():
        """Of the records of notes, the last one is a tombstone; none of a lost leader's answers."""
        code, out, _ = dev.run("consume", "__millrace_plans", "--from", "earliest", "-o", "json",
                               "-e", server=living, code=None)
        notes = [json.loads(line) for line in out.splitlines() if "/throttles/" in line]
        return code == 0 and notes and notes[-1]["value"] is None
    wait_for(cleared, "the notes are gone", 60)
    dev.settles(lambda: [p["replicas"] for t in json.loads(dev.run(
        "cluster", "snapshot", "-o", "json", server=living))["topics"] if t["name"] == "more"
        for p in t["partitions"]], [[here, there]], "replicas without a driver")
    dev.dev("start", lost)
    dev.dev("start", keeper)
    dev.run("health", "--wait", "60s", "--brokers", "6")
    dev.settles(dev.throttles, [], "throttles, also of the broker that was down")


def test_what_changes_under_a_plan(world):
    dev = Dev(world, brokers=4, racks=None)
    # Without racks the fix line says how; a drain then goes by brokers alone.
    for words in (["rebalance-rackaware"], ["broker", "drain", 1004, "--yes"]):
        code, _, err = dev.run(*words, code=None)
        check_equal(code, 1, f"exit code of {words} without racks\n{err}")
        check_in("--soft rack", err)
    dev.create("stays", [[1001, 1004]], records=3000)
    dev.create("goes", [[1001, 1004]], records=3000)
    dev.run("broker", "drain", 1004, "--yes", "--soft", "rack")
    check(1004 not in sum(dev.replicas("stays") + dev.replicas("goes"), []), "1004 is drained")
    dev.run("broker", "undrain", 1004)

    # Drift between the plan and its execution, and dry runs, which change nothing.
    now = dev.replicas("stays")[0]
    move = {"topic": "stays", "partition": 0, "from": [1002, 1004], "to": [1004], "wave": 0}
    (world.folder / "old.json").write_text(json.dumps({"partitions": [
        {"topic": "stays", "partition": 0, "replicas": [1004, 1002]}], "moves": [move]}))
    apply = ["reassign-partitions", "apply", "old.json"]
    code, _, err = dev.run(*apply, "--yes", code=None)
    check_equal(code, 6, f"exit code of a plan for another cluster\n{err}")
    check_in("--force", err)
    check_in("would move 1 partition", dev.run(*apply, "--force", "--dry-run"))
    check_equal(dev.replicas("stays"), [now], "replicas after a dry run")
    check_in("would move", dev.run("reassign-partitions", "rollback", "--dry-run"))

    # A topic that is deleted in mid-plan is no failure of the plan.
    target = [now[0], 1004]
    driver = dev.start("reassign-partitions", "apply", dev.file_of(stays=[target], goes=[target]),
                       "--yes", "--throttle", "20000")
    dev.moving(driver)
    check_in("would take back", dev.run("reassign-partitions", "cancel", "--dry-run"))
    dev.run("topic", "delete", "goes", "--yes")
    dev.run("reassign-partitions", "throttle", "50MB/s")
    _, err = driver.communicate(timeout=60)
    check_equal(driver.returncode, 0, f"exit code of a plan of which a topic is gone\n{err}")
    dev.settles(dev.throttles, [], "throttles")
    out = dev.run("reassign-partitions", "verify")
    check_in("Partition goes-0 does not exist any more.", out)
    check_in("Reassignment of partition stays-0 is completed.", out)

    # A cancel that would leave too few in-sync copies is refused, and done with --force.
    dev.create("safe", [[1001, 1002]], records=2000)
    dev.run("config", "set", "topic", "safe", "min.insync.replicas=2",
            "follower.replication.throttled.replicas=0:1004")
    dev.run("config", "set", "broker", 1004, "follower.replication.throttled.rate=1")
    driver = dev.start("reassign-partitions", "apply", dev.file_of(safe=[[1003, 1004]]), "--yes")
    isr = lambda: json.loads(dev.run("topic", "describe", "safe", "-o", "json"))["items"][0][
        "partitions"][0]["isr"]
    wait_for(lambda: 1003 in isr(), "1003 is in sync")
    dev.dev("kill", 1002)
    wait_for(lambda: sorted(isr()) == [1001, 1003], "1002 is out", 40)
    code, _, err = dev.run("reassign-partitions", "cancel", code=None)
    check_equal(code, 1, f"exit code of a cancel below min.insync.replicas\n{err}")
    check_in("--force", err)
    check_equal(sorted(isr()), [1001, 1003], "in sync after the refusal")
    check_in("is cancelled", dev.run("reassign-partitions", "cancel", "--force"))
    driver.communicate(timeout=60)
    dev.dev("start", 1002)
    dev.run("health", "--wait", "60s", "--brokers", "4")
    dev.settles(lambda: sorted(dev.replicas("safe")[0]), [1001, 1002], "replicas after the cancel")


def test_refusals_and_the_runbooks_name(world):
    dev = Dev(world, brokers=3, racks="3x1")
    dev.create("hot", [[1001], [1001]], records=10)
    move = json.dumps({"partitions": [{"topic": "hot", "partition": 0, "replicas": [1002]}]})
    (world.folder / "move.json").write_text(move)
    writer = subprocess.Popen(
        ["sh", "-c", f"while :; do head -c 40000 /dev/zero | tr '\\0' x; echo; sleep 0.05; done | "
                     f"'{world.millrace}' produce hot -p 0 -q -b {dev.server}"],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
        start_new_session=True)
    world.at_end(lambda: os.killpg(writer.pid, signal.SIGKILL))
    apply = ["reassign-partitions", "apply", "move.json", "--yes", "--throttle"]
    wait_for(lambda: dev.snapshot()["topics"][0]["partitions"][0]["size_bytes"] > 100_000, "writes")
    still = dev.snapshot()
    check(still["metadata_offset"] > 0, "no metadata offset")
    check("bytes_in_rate" not in still["topics"][0]["partitions"][0], "a rate that nobody measured")
    rates = {p["partition"]: p["bytes_in_rate"] for p in json.loads(
        dev.run("cluster", "snapshot", "--rate-window", "2", "-o", "json"))["topics"][0]["partitions"]}
    check(rates[0] > 10_000 and rates[1] == 0, f"rates {rates}")
    code, _, err = dev.run(*apply, "20kB/s", code=None)
    check_equal(code, 2, f"exit code of a throttle below the write rate\n{err}")
    enough = re.search(r"--throttle (\d+) would finish", err)
    check(enough, f"the figure that would do:\n{err}")
    dev.settles(dev.throttles, [], "throttles after the refusal")
    dev.run(*apply, enough.group(1))
    dev.settles(lambda: dev.replicas("hot")[0], [1002], "replicas under load")

    for text, code, part in (
            ("{\n \"partitions\" 3}", 2, "line 2, column 15"),
            ('{"partitions":[{"topic":"hit","partition":0,"replicas":[1001]}]}', 5, "'hot'"),
            ('{"partitions":[{"topic":"hot","partition":0,"replicas":[9]}]}', 5, "broker 9")):
        (world.folder / "bad.json").write_text(text)
        got, _, err = dev.run("reassign-partitions", "apply", "bad.json", "--yes", code=None)
        check_equal(got, code, f"exit code for {text}")
        check_in(part, err)
    old = {"MILLRACE": world.millrace, "MILLRACE_BOOTSTRAP": dev.server}
    code, out, err = command([RUNBOOK, "-topics", "hot", "-rebalancePlanDir", "old", "-username",
                              "root", "-password", "x", "-computeStorageCost"], code=None,
                             cwd=world.folder, env={**os.environ, **old})
    check_equal(code, 0, f"exit code of the old name\n{err}")
    check_in("ignored", err)
    check((world.folder / "old/kafkaRebalancePlan.json").exists(), "its plan file")


main()
