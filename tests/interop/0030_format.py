#!/usr/bin/env python3
# tests/interop/0030_format.py: storage format writes what kafka-storage writes, and Kafka starts on it.
"""Format, info and the metadata log against Apache's StorageTool and DumpLogSegments."""
import re
import stat

import wire
from harness import CLUSTER_ID, check, check_equal, check_in, command, main

SECOND_DIR = "DncJ8rZqQ8uKx2hWNSkZ3w"


def storage_format(world, broker, kind, *arguments, code=0):
    if kind == "kafka":
        return world.java("storage", "format", "-t", CLUSTER_ID, "-c", broker.config, *arguments, code=code)
    return command([world.millrace, "storage", "format", "-t", CLUSTER_ID, "-c", broker.config, *arguments],
                   code=code)


def files_below(folder):
    return {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}


def neutral(text, *paths):
    """The dump without what differs from run to run: times, checksums, random ids, ports."""
    for path in paths:
        text = text.replace(str(path), "DATA")
    text = re.sub(r'"lastContainedLogTimestamp":[1-9]\d+', '"lastContainedLogTimestamp":T', text)
    text = re.sub(r'"voterDirectoryId":"[\w-]+"', '"voterDirectoryId":"ID"', text)
    text = re.sub(r'"port":\d+', '"port":P', text)
    text = re.sub(r"CreateTime: \d+", "CreateTime: T", text)
    return re.sub(r"crc: \d+", "crc: C", text)


def dump(world, path):
    return world.java("dump-log", "--cluster-metadata-decoder", "--files", path)


def check_same_folder(world, ours, theirs, what):
    mine, kafkas = files_below(ours), files_below(theirs)
    check_equal(sorted(mine), sorted(kafkas), f"{what}: files")
    for name, path in kafkas.items():
        check_equal(mine[name].stat().st_size, path.stat().st_size, f"{what}: size of {name}")
        if name.endswith(".checkpoint"):
            check_equal(neutral(dump(world, mine[name]), ours), neutral(dump(world, path), theirs),
                        f"{what}: dump of {name}")
        if name.startswith("__cluster_metadata-0/"):
            writable = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
            check_equal(mine[name].stat().st_mode & writable, path.stat().st_mode & writable,
                        f"{what}: who may write {name}")
        if name == "meta.properties":
            lines = [p.read_text().splitlines() for p in (mine[name], path)]
            keys = [[line.split("=")[0] for line in some[2:]] for some in lines]
            check_equal(keys[0], keys[1], f"{what}: order of meta.properties")
            check(re.fullmatch(r"#\w{3} \w{3} \d\d \d\d:\d\d:\d\d \w+ \d{4}", lines[0][1]), lines[0][1])


def lines_of(text, *folders):
    for folder in folders:
        text = text.replace(str(folder), "DATA")
    return sorted(text.splitlines())  # Kafka goes through its directories in the order of a hash table


def test_same_files_for_every_kind_of_quorum(world):
    voters = f"1@localhost:9093:{SECOND_DIR},2@[::1]:9094:{CLUSTER_ID}"
    cases = {
        "standalone": ((), ("--standalone",)),
        "older": ((), ("--standalone", "--release-version", "3.9")),
        "features": ((), ("--standalone", "--feature", "transaction.version=1", "--feature", "share.version=0")),
        "voters": ((), ("--initial-controllers", voters)),
        "joining": ((), ("--no-initial-controllers",)),
        "static": (("controller.quorum.bootstrap.servers",), ()),
    }
    for case, (drop, arguments) in cases.items():
        results = {}
        for kind in (world.kind, "kafka"):
            name = f"{case}-{kind}-{len(world.brokers)}"
            broker = world.broker(kind=kind, name=name, started=False)
            for key in drop:
                broker.settings.pop(key)
            if case == "static":
                broker.settings["controller.quorum.voters"] = "1@localhost:9093"
            broker.settings["log.dirs"] = f"{broker.data}/a,{broker.data}/b"
            broker.settings["metadata.log.dir"] = f"{broker.data}/b"
            broker.write_config()
            results[len(results)] = broker, storage_format(world, broker, kind, *arguments)
        (ours, said), (kafka, kafka_said) = results[0], results[1]
        check_same_folder(world, ours.data, kafka.data, case)
        check_equal(lines_of(said, ours.data), lines_of(kafka_said, kafka.data), f"{case}: output")


def test_same_refusals(world):
    broker = world.broker(kind="kafka", name="refused", started=False)
    static = world.broker(kind="kafka", name="static", started=False)
    static.settings.pop("controller.quorum.bootstrap.servers")
    static.settings["controller.quorum.voters"] = "1@localhost:9093"
    static.write_config()
    for node, arguments in (
            (broker, ()),
            (broker, ("--standalone", "--release-version", "9.9")),
            (broker, ("--standalone", "--feature", "foo=1")),
            (broker, ("--standalone", "--feature", "kraft.version=0")),
            (broker, ("--standalone", "--release-version", "4.2", "--feature", "metadata.version=29")),
            (broker, ("--standalone", "--release-version", "3.4", "--add-scram",
                      "SCRAM-SHA-256=[name=a,password=b]")),
            (broker, ("--standalone", "--add-scram", "SCRAM-SHA-256=[name=a]")),
            (static, ("--standalone",)),
            (static, ("--feature", "kraft.version=1"))):
        code, _, error = storage_format(world, node, "kafka", *arguments, code=None)
        our_code, _, our_error = storage_format(world, node, "millrace", *arguments, code=None)
        check_equal(our_code, code, f"exit code of {arguments}")
        check_equal(our_error.splitlines()[0], "error: " + error.strip(), f"words about {arguments}")
        check_in("fix: ", our_error, "our error")
        check(not broker.data.exists() or not any(broker.data.iterdir()), "a refusal left files behind")


def test_formatted_twice_and_info(world):
    broker = world.broker(kind="kafka", name="twice", started=False)
    arguments = [world.millrace, "storage", "info", "-c", broker.config]
    check_in(f"{broker.data} does not exist", command(arguments, code=1))
    storage_format(world, broker, world.kind, "--standalone")
    for kind in (world.kind, "kafka"):
        code, _, error = storage_format(world, broker, kind, "--standalone", code=None)
        check_equal(code, 1, "exit code")
        check_in(f"Log directory {broker.data} is already formatted. Use --ignore-formatted to ignore "
                 "this directory and format the others.", error)
        check_in("All of the log directories are already formatted.",
                 storage_format(world, broker, kind, "--standalone", "--ignore-formatted"))
    check_equal(command(arguments), world.java("storage", "info", "-c", broker.config), "info")


def test_releases_and_feature_dependencies(world):
    for arguments in (("version-mapping",), ("version-mapping", "-r", "4.0"),
                      ("version-mapping", "--release-version", "3.3-IV3"),
                      ("feature-dependencies", "-f", "eligible.leader.replicas.version=1", "-f", "share.version=1",
                       "-f", "metadata.version=25")):
        check_equal(command([world.millrace, "storage", *arguments]), world.java("storage", *arguments), arguments)


def test_scram_credentials_work_in_kafka(world):
    """Kafka reads the credentials out of our bootstrap.checkpoint."""
    broker = world.broker(kind="kafka", name="scram", started=False)
    storage_format(world, broker, world.kind, "--standalone", "--add-scram",
                   "SCRAM-SHA-256=[name=alice,password=alice-secret]", "--add-scram",
                   'SCRAM-SHA-512=[name=bob,iterations=8192,salt="N3E=",saltedpassword="YCE="]')
    broker.start()
    text = world.java("configs", "--bootstrap-server", broker.server, "--describe", "--entity-type", "users")
    check_in("SCRAM-SHA-256=iterations=4096", text)
    check_in("SCRAM-SHA-512=iterations=8192", text)


def test_kafka_starts_on_ours_and_we_on_kafkas(world):
    for first, second in ((world.kind, "kafka"), ("kafka", world.kind)):
        broker = world.broker(kind=first, name=f"{first}-then-{second}-{len(world.brokers)}", started=False)
        storage_format(world, broker, first, "--standalone")
        broker.kind = second
        broker.start()
        with wire.Connection(broker.port) as connection:
            check_equal(connection.create_topic("made")[0], 0, "create a topic")
        broker.stop()


def metadata_files(broker):
    folder = broker.data / "__cluster_metadata-0"
    return [p for p in sorted(folder.iterdir()) if p.suffix in (".log", ".checkpoint", ".index", ".timeindex")]


def test_kafka_reads_the_metadata_log(world):
    """Every record and control record that we wrote, snapshots included, also after kill -9."""
    broker = world.broker(metadata_log_max_record_bytes_between_snapshots=2000)
    for end in (broker.kill, broker.stop):
        with wire.Connection(broker.port) as connection:
            for i in range(12):
                check_equal(connection.create_topic(f"topic-{len(world.brokers)}-{end.__name__}-{i}")[0], 0, "create")
        end()
        text = world.java("dump-log", "--cluster-metadata-decoder", "--files",
                          ",".join(map(str, metadata_files(broker))))
        check("isvalid: false" not in text, "Kafka finds a damaged batch")
        check_in("LeaderChange: {", text)
        check_in("KRaftVoters {", text)
        check_in('"type":"TOPIC_RECORD"', text)
        snapshots = [p for p in metadata_files(broker) if p.suffix == ".checkpoint"]
        check(len(snapshots) > 1, "no snapshot besides the one of format")
        check(all(not p.stat().st_mode & 0o222 for p in snapshots), "a snapshot is writable")
        check(not list((broker.data / "__cluster_metadata-0").glob("*.tmp")), "a temporary file is left")
        broker.start()
    broker.stop()


if __name__ == "__main__":
    main()
