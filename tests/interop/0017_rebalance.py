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
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [world.millrace, "dev", "--brokers", str(brokers), "--racks", racks, "--port", "0"],
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

    def settles(self, look, wanted, what):
        """Brokers learn of the controller's changes a moment later."""
        wait_for(lambda: look() == wanted, f"{what}: {wanted} instead of {look()}", 10)

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

    def moving(driver):
        def found():
            check(driver.poll() is None, f"the driver ended with {driver.poll()}")
            code, out, _ = dev.run("reassign-partitions", "status", "-o", "json", code=None)
            return code == 0 and '"moving"' in out
        wait_for(found, "moves under way")

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
    dev.run("reassign-partitions", "resume")
    check_equal(dev.status()["state"], "done", "state after the resume")
    dev.settles(dev.throttles, [], "throttles after the resume")


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
