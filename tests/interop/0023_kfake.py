#!/usr/bin/env python3
# tests/interop/0023_kfake.py: the tests of franz-go's fake cluster, run against a node.
"""kfake's own tests, its in-process cluster replaced by nodes (franz_go/kfake/on_a_node.go)."""
import json
import os
import pathlib
import re
import shutil
import socket
import threading

from harness import CACHE, HERE, READY_SECONDS, Failure, check_equal, command, main, wait_for

PACKAGE = "github.com/twmb/franz-go/pkg/kfake"
GO_MINOR_MIN = 26
SECONDS = int(os.environ.get("MILLRACE_KFAKE_SECONDS", 200))
PARALLEL = {"millrace": 4, "kafka": 1}

# What a test uses that no broker offers its clients, or that is not served: the first that fits is the
# reason why it does not run.
NOT_RUN = (
    ("makes a fault on the wire", r"\.(Control|ControlKey|KeepControl|SleepControl|DropControl|CurrentNode|Fault)\("),
    ("moves partitions or nodes at will",
     r"\.(MoveTopicPartition|SetFollowers|AddNode|RemoveNode|ShufflePartitionLeaders|RehashCoordinators)\("),
    ("runs a cleaner at will", r"\.(Compact|ApplyRetention)\("),
    ("share groups, which are not served", r"[sS]hare(Group|Consumer|Fetch|Ack)|Share\w*Request"),
    ("ACLs and SASL, which are not served", r"\b(EnableACLs|EnableSASL|Superuser|SCRAM|User)\b"),
    ("TLS, a listener or versions of its own", r"(?<!kgo\.)\b(TLS|ListenFn|Ports|MaxVersions|ClusterID)\("),
    ("the fake's own files", r"\b(DataDir|SyncWrites|withFS|newMemFS|newTestMemFS|memFS)\b"),
    ("the fake's own modes", r"\b(SyntheticFetch|BlackholeProduce|SleepOutOfOrder|WithLogger)\("),
    ("a broker of its own", r"\bnet\.(Listen|Pipe)\("),
    ("the fake's memory", r"\bc(luster)?\.[a-z]\w*"),
    ("no cluster at all", None),
)
# Apache Kafka 4.3.1 fails these as well (--broker kafka): the fake is not Kafka there.
DIFFERS = {
    "Test848RebalanceTimeout": "joins with an empty member id, which version 1 does not know",
    "Test848UnsupportedAssignor": "the same",
    "TestGroupMaxSize848": "the same",
    "TestAlterConfigsAppliesAndReadsBack": "alters a config that does not exist",
    "TestAlterReplicaLogDirsMovesPartition": "moves to a directory that is not configured",
    "TestApiVersionsLiteralRequest": "wants ApiVersions version 5",
    "TestClientMetricsSubscriptions": "a null value is INVALID_REQUEST",
    "TestCreateTopicsEdgeCases": "assigns replicas to a broker that does not exist",
    "TestCreateTopicsReplicaAssignment": "the same",
    "TestDescribeProducersAfterCommit": "a producer is described until its id expires",
    "TestDescribeProducersShowsActiveTransaction": "the same",
    "TestDescribeTopicPartitionsCursor": "counts no internal topics",
    "TestElectLeaders": "an election that changes nothing is ELECTION_NOT_NEEDED",
    "TestFenceBeforeProducerCommit": "fencing an open transaction is CONCURRENT_TRANSACTIONS at first",
    "TestTxnInitProducerIDAbortOngoing": "the same",
    "TestFetchSessionEviction": "a cache of eight parts holds no three sessions",
    "TestFetchSessionRecreatedTopic": "the new partition may not be there yet",
    "TestFetchSessionRecreatedTopicResend": "the same",
    "TestIncrementalAlterConfigAppendSubtract": "APPEND to a config that is no list is INVALID_CONFIG",
    "TestIssue1330": "has a coordinator for share groups at once",
    "TestOffsetExpiration": "offset.retention.ms is no config of Kafka's",
    "TestOffsetExpirationActiveGroup": "the same",
    "TestProduceControlBatchRejected": "the transaction is judged before the batch",
    "TestSCRAMValidationErrors": "a user deleted and inserted is not told as twice there",
    "TestTopicLifecycle": "produces without a key to a compacted topic",
    "TestTxnDescribeTransactions": "a committed transaction is CompleteCommit",
    "TestTxnInitProducerIDStaleEpochRecovery": "the epoch before is given the present one again",
    "TestTxnNonTransactionalProduceDuringTx": "a plain batch of a transactional producer is taken",
}
CLUSTER = r"\b(NewCluster|MustCluster|new\w*Cluster)\("


def tests_of(folder):
    """Each test with the reason why it does not run, or None. Helpers count as part of their users."""
    bodies = {}
    for file in sorted(folder.glob("*_test.go")):
        for name, body in re.findall(r"^func (\w+)\((.*?^})$", file.read_text(), re.M | re.S):
            bodies[name] = body

    def whole(name, seen):
        seen.add(name)
        called = [n for n in re.findall(r"\b(\w+)\(", bodies[name]) if n in bodies and n not in seen]
        return bodies[name] + "".join(whole(n, seen) for n in called if n not in seen)
    reasons = {}
    for name in bodies:
        if re.match(r"Test[A-Z0-9]", name):
            text = whole(name, set())
            reasons[name] = next((why for why, what in NOT_RUN if what and re.search(what, text)),
                                 None if re.search(CLUSTER, text) else NOT_RUN[-1][0])
    return reasons


def prepared(source):
    """A copy of the module in which our functions stand in place of its own of the same names."""
    ours = HERE / "franz_go/kfake/on_a_node.go"
    names = re.findall(r"^func (?:\(c \*Cluster\) )?([A-Z]\w*)\(", ours.read_text(), re.M)
    replaced, folder = set(), CACHE / "kfake/module"
    shutil.rmtree(folder, ignore_errors=True)
    for file in (f for f in source.rglob("*") if f.suffix in (".go", ".mod", ".sum")):
        text = file.read_text()
        for name in names if file.parent == source and not file.name.endswith("_test.go") else ():
            text, count = re.subn(rf"^(func (?:\(c \*Cluster\) )?){name}\(", rf"\1fake{name}(", text, flags=re.M)
            replaced |= {name} if count else set()
        copy = folder / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
    check_equal(replaced, set(names), "functions of kfake that are replaced")
    shutil.copy(ours, folder)
    modfile = folder.parent / "go.mod"
    modfile.write_text((HERE / "franz_go/go.mod").read_text() + f"\nreplace {PACKAGE} => {folder}\n")
    shutil.copy(HERE / "franz_go/go.sum", modfile.with_suffix(".sum"))
    return modfile


def go(*arguments):
    return command(["go", *arguments], timeout=230, cwd=HERE / "franz_go",
                   env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"})


class Nodes:
    """Starts and stops nodes for the Go program, over a socket. One thread starts all of them: nodes end
    with the thread that is their parent. Others wait for them to be ready."""

    def __init__(self, world):
        self.world, self.running = world, {}
        self.path = world.folder / "nodes.sock"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()
        world.at_end(lambda: self.socket.shutdown(socket.SHUT_RDWR))

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            stream = connection.makefile("rw")
            request = json.loads(stream.readline())
            broker = None
            if "start" in request:
                broker = self.world.broker(started=False)
                broker.settings.update(request["start"])
                broker.write_config()
                broker.format().start(wait=False)
                self.running[broker.server] = broker
            else:
                self.running.pop(request["stop"]).kill()
            threading.Thread(target=self.answer, args=(connection, stream, broker), daemon=True).start()

    @staticmethod
    def answer(connection, stream, broker):
        answer = {}
        with connection, stream:
            if broker is not None:
                answer["server"] = broker.server
                try:
                    wait_for(broker.ready, broker.name, READY_SECONDS)
                except Failure as error:  # the Go test that asked reports it
                    answer["error"] = str(error)
            stream.write(json.dumps(answer) + "\n")


def run(world, part):
    minor = re.search(r"go1\.(\d+)", command(["go", "version"]))
    if int(minor.group(1)) < GO_MINOR_MIN:
        print(f"not run: kfake needs Go 1.{GO_MINOR_MIN}")
        return
    source = pathlib.Path(go("list", "-m", "-f", "{{.Dir}}", PACKAGE).strip())
    reasons = tests_of(source / part)
    only = os.environ.get("MILLRACE_KFAKE", "")  # part of a name, a regular expression
    wanted = sorted(name for name, why in reasons.items()
                    if why is None and (re.search(only, name) if only else name not in DIFFERS))
    for why, _ in NOT_RUN:
        names = sorted(name for name, reason in reasons.items() if reason == why)
        if names:
            print(f"not run, {why}: {len(names)}: {' '.join(names)}")
    for name in sorted(DIFFERS.keys() & reasons.keys()):
        print(f"not run, not Kafka's way: {name}: {DIFFERS[name]}")
    program = CACHE / f"kfake/{part or 'kfake'}.test"
    go("test", "-c", f"-modfile={prepared(source)}", "-o", program, f"{PACKAGE}/{part}".rstrip("/"))
    nodes = Nodes(world)
    code, out, err = command([program, "-test.v", f"-test.run=^({'|'.join(wanted)})$", f"-test.parallel={PARALLEL[world.kind]}",
                              f"-test.timeout={SECONDS}s"], timeout=SECONDS + 20, code=None,
                             env={**os.environ, "MILLRACE_NODES": str(nodes.path)})
    passed = set(re.findall(r"^--- PASS: (\w+)", out, re.M))
    print(f"kfake {part}: {len(passed)} of {len(wanted)} passed")
    check_equal(passed, set(wanted), f"tests that passed:\n{out[-30000:]}{err}")


def test_kfake(world):
    run(world, "")


def test_kafkas_tests_in_go(world):
    run(world, "kafka_tests")


if __name__ == "__main__":
    main()
