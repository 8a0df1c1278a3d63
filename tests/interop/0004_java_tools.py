#!/usr/bin/env python3
# tests/interop/0004_java_tools.py: Apache Kafka's own command line tools, unmodified.
"""Apache's tools: topics, configs, console clients, perf test, offsets, dirs, quorum, features, files."""
import json
import re

from harness import CLUSTER_ID, check, check_equal, check_in, main, wait_for


def tool_of(world, broker):
    def tool(name, *arguments, **options):
        return world.java(name, "--bootstrap-server", broker.server, *arguments, **options)
    return tool


def test_topics(world):
    broker = world.broker(broker_rack="r1")
    tool = tool_of(world, broker)

    out = tool("topics", "--create", "--topic", "orders", "--partitions", 3,
               "--config", "segment.bytes=1048576")
    check_equal(out, "Created topic orders.\n", "create")
    _, out, _ = tool("topics", "--create", "--topic", "orders", code=None)
    check_in("Topic 'orders' already exists.", out)
    tool("topics", "--create", "--topic", "orders", "--if-not-exists")
    code, out, _ = tool("topics", "--create", "--topic", "wide", "--replication-factor", 3, code=None)
    check_equal(code, 1, "exit code of too many replicas")
    check_in("Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot "
             "be reached because only 1 broker(s) are registered", out)
    _, out, _ = tool("topics", "--create", "--topic", "odd", "--config", "nosuch=1", code=None)
    check_in("Unknown topic config name: nosuch", out)
    tool("topics", "--create", "--topic", "placed", "--replica-assignment", "1,1,1,1")
    check_equal(tool("topics", "--list").split(), ["orders", "placed"], "topics")

    lines = tool("topics", "--describe", "--topic", "orders").splitlines()
    check(re.match(r"Topic: orders\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: "
                   r"min\.insync\.replicas=1,segment\.bytes=1048576$", lines[0]), lines[0])
    check_equal(lines[1:], [f"\tTopic: orders\tPartition: {p}\tLeader: 1\tReplicas: 1\tIsr: 1\t"
                            "Elr: \tLastKnownElr: " for p in range(3)], "partitions")

    tool("topics", "--alter", "--topic", "orders", "--partitions", 4)
    check_in("PartitionCount: 4", tool("topics", "--describe", "--topic", "orders"))
    _, out, _ = tool("topics", "--alter", "--topic", "orders", "--partitions", 2, code=None)
    check_in("The topic orders currently has 4 partition(s); 2 would not be an increase.", out)

    tool("topics", "--delete", "--topic", "placed")
    wait_for(lambda: tool("topics", "--list").split() == ["orders"], "placed to be gone")
    _, out, _ = tool("topics", "--delete", "--topic", "placed", code=None)
    check_in("Topic 'placed' does not exist as expected", out)


def test_configs(world):
    broker = world.broker()
    tool = tool_of(world, broker)
    tool("topics", "--create", "--topic", "orders", "--config", "segment.bytes=1048576")
    topic = ("--entity-type", "topics", "--entity-name", "orders")

    out = tool("configs", "--alter", *topic, "--add-config",
               "retention.ms=3600000,cleanup.policy=[compact,delete]")
    check_equal(out, "Completed updating config for topic orders.\n", "alter")
    check_equal(tool("configs", "--describe", *topic).splitlines(), [
        "Dynamic configs for topic orders are:",
        "  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:"
        "cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}",
        "  retention.ms=3600000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=3600000}",
        "  segment.bytes=1048576 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:segment.bytes=1048576,"
        " DEFAULT_CONFIG:log.segment.bytes=1073741824}"], "describe")
    everything = tool("configs", "--describe", *topic, "--all").splitlines()
    for line in (
            "  compression.type=producer sensitive=false synonyms={DEFAULT_CONFIG:compression.type=producer}",
            "  max.message.bytes=1048588 sensitive=false synonyms={DEFAULT_CONFIG:message.max.bytes=1048588}",
            "  min.insync.replicas=1 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:"
            "min.insync.replicas=1, DEFAULT_CONFIG:min.insync.replicas=1}",
            "  segment.ms=604800000 sensitive=false synonyms={}",
            "  flush.messages=9223372036854775807 sensitive=false synonyms={DEFAULT_CONFIG:"
            "log.flush.interval.messages=9223372036854775807}"):
        check(line in everything, f"--all lacks {line!r}")
    check_equal(len(everything), 34, "lines of --all")

    tool("configs", "--alter", *topic, "--delete-config", "retention.ms")
    check("retention.ms" not in tool("configs", "--describe", *topic), "retention.ms is still there")
    code, _, err = tool("configs", "--alter", *topic, "--add-config", "retention.ms=-5", code=None)
    check_equal(code, 1, "exit code of a bad value")
    check_in("Invalid value -5 for configuration retention.ms: Value must be at least -1", err)

    one, default = ("--entity-type", "brokers", "--entity-name", "1"), ("--entity-type", "brokers",
                                                                        "--entity-default")
    tool("configs", "--alter", *one, "--add-config", "log.cleaner.threads=2")
    tool("configs", "--alter", *default, "--add-config", "message.max.bytes=2000000")
    check_in("  log.cleaner.threads=2 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:"
             "log.cleaner.threads=2, DEFAULT_CONFIG:log.cleaner.threads=1}\n",
             tool("configs", "--describe", *one))
    check_in("  message.max.bytes=2000000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:"
             "message.max.bytes=2000000}\n", tool("configs", "--describe", *default))
    # A topic without its own value follows the cluster's default at once.
    wait_for(lambda: "max.message.bytes=2000000" in tool("configs", "--describe", *topic, "--all"),
             "the topic to follow message.max.bytes")
    code, _, err = tool("configs", "--alter", *one, "--add-config", "log.dirs=/tmp/x", code=None)
    check_equal(code, 1, "exit code of a read-only key")
    check_in("Cannot update these configs dynamically: [log.dirs]", err)


def test_users_quotas_and_acls(world):
    broker = world.broker()
    tool = tool_of(world, broker)

    tool("configs", "--alter", "--entity-type", "users", "--entity-name", "alice", "--add-config",
         "SCRAM-SHA-256=[iterations=5000,password=alice-secret]")
    tool("configs", "--alter", "--entity-type", "users", "--entity-name", "alice",
         "--entity-type", "clients", "--entity-default", "--add-config", "producer_byte_rate=1024")
    tool("configs", "--alter", "--entity-type", "ips", "--entity-name", "127.0.0.9", "--add-config",
         "connection_creation_rate=7")
    out = tool("configs", "--describe", "--entity-type", "users", "--entity-name", "alice")
    check_equal(out, "SCRAM credential configs for user-principal 'alice' are SCRAM-SHA-256="
                "iterations=5000\n", "credentials")
    out = tool("configs", "--describe", "--entity-type", "users", "--entity-name", "alice",
               "--entity-type", "clients")
    check_equal(out, "Quota configs for user-principal 'alice', the default client-id are "
                "producer_byte_rate=1024.0\n", "quotas")
    out = tool("configs", "--describe", "--entity-type", "ips")
    check_equal(out, "Quota configs for ip '127.0.0.9' are connection_creation_rate=7.0\n", "ips")
    _, out, _ = tool("configs", "--describe", "--entity-type", "users", "--entity-name", "nobody",
                     code=None)
    check_equal(out, "", "nobody")
    tool("configs", "--alter", "--entity-type", "users", "--entity-name", "alice",
         "--delete-config", "SCRAM-SHA-256")
    check_equal(tool("configs", "--describe", "--entity-type", "users", "--entity-name", "alice"), "",
                "credentials after deletion")

    principal = ("--allow-principal", "User:alice", "--operation", "Read", "--topic", "orders")
    for arguments, text in ((("--list",), "No Authorizer is configured on the broker"),
                            (("--add", *principal), "No Authorizer is configured on the broker"),
                            (("--remove", "--force", *principal), "No Authorizer is configured.")):
        _, out, err = tool("acls", *arguments, code=None)
        check_in(f"SecurityDisabledException: {text}\n", out + err)


def test_records_and_offsets(world):
    broker = world.broker(broker_rack="r1")
    tool = tool_of(world, broker)
    tool("topics", "--create", "--topic", "orders", "--partitions", 2)
    tool("console-producer", "--topic", "orders", "--reader-property", "parse.key=true",
         "--reader-property", "key.separator=:", stdin="".join(f"k{i}:v{i}\n" for i in range(20)))
    got = []
    ends = [int(line.split(":")[2]) for line in tool("get-offsets", "--topic", "orders").split()]
    check_equal(sum(ends), 20, "records by offsets")
    for partition in range(2):
        lines = tool("console-consumer", "--topic", "orders", "--partition", partition, "--offset",
                     "earliest", "--max-messages", ends[partition], "--timeout-ms", 20000,
                     "--formatter-property", "print.key=true",
                     "--formatter-property", "print.offset=true").splitlines()
        check_equal([line.split("\t")[0] for line in lines],
                    [f"Offset:{o}" for o in range(ends[partition])], "offsets")
        got += [tuple(line.split("\t")[1:]) for line in lines]
    check_equal(sorted(got), sorted((f"k{i}", f"v{i}") for i in range(20)), "records")

    out = tool("producer-perf-test", "--topic", "orders", "--num-records", 20000, "--record-size", 100,
               "--throughput", -1, "--command-property", "acks=all", "compression.type=lz4")
    check_in("20000 records sent", out)
    ends = [int(line.split(":")[2]) for line in tool("get-offsets", "--topic", "orders").split()]
    check_equal(sum(ends), 20020, "records by offsets after the perf test")
    check_equal(tool("get-offsets", "--topic", "orders", "--time", "earliest"),
                "orders:0:0\norders:1:0\n", "earliest")
    newest = [int(line.split(":")[2]) for line in
              tool("get-offsets", "--topic", "orders", "--time", "max-timestamp").split()]
    check(all(0 <= n < e for n, e in zip(newest, ends)), f"max-timestamp {newest}, ends {ends}")

    out = tool("log-dirs", "--describe", "--topic-list", "orders").splitlines()
    check_equal(out[1], "Received log directory information from brokers 1", "log-dirs")
    directory = json.loads(out[2])["brokers"][0]["logDirs"][0]
    check_equal((directory["logDir"], directory["error"]), (str(broker.data), None), "log dir")
    sizes = {p["partition"]: p["size"] for p in directory["partitions"]}
    check_equal(sizes, {f"orders-{p}": (broker.data / f"orders-{p}/00000000000000000000.log").stat().st_size
                        for p in range(2)}, "sizes")

    wish = world.folder / "delete.json"
    wish.write_text('{"partitions":[{"topic":"orders","partition":0,"offset":5}],"version":1}')
    check_in("partition: orders-0\tlow_watermark: 5", tool("delete-records", "--offset-json-file", wish))
    check_equal(tool("get-offsets", "--topic-partitions", "orders:0", "--time", "earliest"),
                "orders:0:5\n", "start after delete-records")
    wish.write_text('{"partitions":[{"topic":"orders","partition":0,"offset":9999999}],"version":1}')
    code, out, err = tool("delete-records", "--offset-json-file", wish, code=None)
    check_in("OffsetOutOfRangeException", out + err)


def test_cluster(world):
    broker = world.broker(broker_rack="r1")
    tool = tool_of(world, broker)
    check_equal(world.java("cluster", "cluster-id", "--bootstrap-server", broker.server),
                f"Cluster ID: {CLUSTER_ID}\n", "cluster id")
    rows = world.java("cluster", "list-endpoints", "--bootstrap-server", broker.server).splitlines()
    check_equal(rows[1].split(), ["1", "127.0.0.1", str(broker.port), "r1", "unfenced", "broker"], "endpoints")

    out = tool("broker-api-versions")
    check_in(f"{broker.server} (id: 1 rack: r1 isFenced: false) -> (", out)
    served = {int(key): (int(low), int(high or low)) for key, low, high in
              re.findall(r"\w+\((\d+)\): (\d+)(?: to (\d+))? \[usable: \d+\]", out)}
    # Produce says 0 so that librdkafka goes on with snappy and gzip; everything else is what is served.
    wanted = {0: (0, 13), 1: (4, 18), 2: (1, 11), 3: (0, 13), 18: (0, 4), 19: (2, 7), 20: (1, 6),
              21: (0, 2), 23: (2, 4), 32: (1, 4), 33: (0, 2), 37: (0, 3), 44: (0, 1), 55: (0, 2),
              57: (0, 2), 60: (0, 2), 61: (0, 0), 74: (0, 1), 75: (0, 0)}
    check_equal({key: served.get(key) for key in wanted}, wanted, "served versions")
    check("UNKNOWN" not in out, f"an unknown key is advertised:\n{out}")

    out = tool("metadata-quorum", "describe", "--status")
    status = dict(re.findall(r"^(\w+):\s+(.*)$", out, re.M))
    check_equal((status["ClusterId"], status["LeaderId"], status["MaxFollowerLag"]),
                (CLUSTER_ID, "1", "0"), "quorum status")
    check(int(status["LeaderEpoch"]) >= 1 and int(status["HighWatermark"]) > 5, out)
    voters = json.loads(status["CurrentVoters"])
    check_equal([(v["id"], v["endpoints"]) for v in voters],
                [(1, [f"CONTROLLER://127.0.0.1:{broker.controller_port}"])], "voters")
    rows = tool("metadata-quorum", "describe", "--replication").splitlines()
    check_equal((rows[1].split()[0], rows[1].split()[1], rows[1].split()[-1]),
                ("1", voters[0]["directoryId"], "Leader"), "replication")

    features = {line.split()[1]: re.sub(r"\s+", " ", line).split("SupportedMinVersion")[1]
                for line in tool("features", "describe").splitlines()}
    check_in("FinalizedVersionLevel: 4.3-IV0", features["metadata.version"])
    check_in("FinalizedVersionLevel: 1", features["kraft.version"])


def test_files(world):
    """kafka-dump-log and kafka-metadata-shell read the directory of a stopped node."""
    broker = world.broker()
    tool = tool_of(world, broker)
    tool("topics", "--create", "--topic", "orders", "--partitions", 2, "--config", "retention.ms=7200000")
    tool("console-producer", "--topic", "orders", stdin="a\nb\nc\n")
    tool("topics", "--create", "--topic", "big")
    tool("producer-perf-test", "--topic", "big", "--num-records", 5000, "--record-size", 200,
         "--throughput", -1)
    broker.stop()
    log = broker.data / "__cluster_metadata-0/00000000000000000000.log"
    dump = world.java("dump-log", "--cluster-metadata-decoder", "--files", log)
    check("isvalid: false" not in dump, "an invalid batch")
    for kind in ("LeaderChange", "KRaftVersion", "KRaftVoters", '"type":"FEATURE_LEVEL_RECORD"',
                 '"type":"REGISTER_BROKER_RECORD"', '"type":"TOPIC_RECORD","version":0,"data":{"name":"orders"',
                 '"type":"PARTITION_RECORD"', '"resourceName":"orders","name":"retention.ms","value":"7200000"'):
        check_in(kind, dump, "the dump of the metadata log")

    def shell(*command):
        return world.java("metadata-shell", "--snapshot", log, *command)
    # The shell may run its command before it has read the file to the end.
    wait_for(lambda: shell("ls", "/image/topics/byName").split() == ["big", "orders"],
             "both topics in the shell")
    check_equal(shell("ls", "/image").split(),
                ["acls", "clientQuotas", "cluster", "configs", "delegationToken", "features",
                 "producerIds", "provenance", "scram", "topics"], "image in the shell")
    parts = sorted(broker.data.glob("orders-*/*.log"))
    dump = world.java("dump-log", "--print-data-log", "--files", ",".join(map(str, parts)))
    check_equal(sorted(re.findall(r"payload: (\w)$", dump, re.M)), ["a", "b", "c"], "payloads")
    for name in ("index", "timeindex"):
        dump = world.java("dump-log", "--index-sanity-check", "--files",
                          broker.data / f"big-0/00000000000000000000.{name}")
        check_in("passed sanity check", dump)


if __name__ == "__main__":
    main()
