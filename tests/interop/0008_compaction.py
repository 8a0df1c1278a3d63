#!/usr/bin/env python3
# tests/interop/0008_compaction.py: both cleaners make the same files of the same log.
"""One directory, written with the cleaner off, is cleaned once by Kafka and once by us."""
import shutil
import struct
import time
import zlib

from harness import ROOT, check, check_equal, command, main, wait_for

TOPIC = "table"
HORIZON = 0x40
HEADER = struct.Struct(">qiibIhiqqqhii")


def batches(data):
    """Each batch as a comparable value. The horizon is the cleaner's clock: with it differ the base
    timestamp, the deltas in the payload, the sizes and the checksum."""
    found, at = [], 0
    while at < len(data):
        (base, length, epoch, magic, _, attributes, last, first_time, max_time, producer, producer_epoch,
         sequence, count) = HEADER.unpack_from(data, at)
        size = length + 12
        fields = (base, epoch, magic, attributes, last, max_time, producer, producer_epoch, sequence, count)
        found.append(fields if attributes & HORIZON else fields + (first_time, zlib.crc32(data[at:at + size])))
        at += size
    check_equal(at, len(data), "whole batches")
    return found


def files(broker):
    folder = broker.data / f"{TOPIC}-0"
    return {path.name: batches(path.read_bytes()) for path in sorted(folder.glob("*.log"))}


def produce(broker, lines, idempotent="true"):
    command(["kcat", "-b", broker.server, "-P", "-t", TOPIC, "-p", "0", "-K:", "-Z", "-X",
             f"enable.idempotence={idempotent}", "-X", "batch.size=8000"], stdin="".join(lines))


def filled(world):
    broker = world.broker(kind=world.kind, log_cleaner_enable="false", log_cleaner_backoff_ms=200)
    command([world.millrace, "topic", "create", TOPIC, "-p", "1", "-b", broker.server, "-c",
             "cleanup.policy=compact", "-c", "segment.bytes=1048576", "-c", "index.interval.bytes=2048",
             "-c", "min.cleanable.dirty.ratio=0.01"])
    for producer in range(6):
        produce(broker, (f"key-{(i * 7919 + producer) % 997}:value-{producer}-{i}-{'x' * 80}\n"
                         for i in range(8000)))
    produce(broker, (f"key-{i}:\n" for i in range(0, 500, 3)))  # tombstones
    produce(broker, (f"more-{i % 5000}:{'y' * 60}-{i}\n" for i in range(30000)))
    return broker.stop()


def cleaned(broker, kind):
    broker.kind = kind
    broker.settings["log.cleaner.enable"] = "true"
    broker.write_config()
    active = sorted((broker.data / f"{TOPIC}-0").glob("*.log"))[-1].name
    wanted = f"{TOPIC} 0 {int(active.split('.')[0])}\n"
    broker.start()
    checkpoint = broker.data / "cleaner-offset-checkpoint"
    wait_for(lambda: checkpoint.exists() and wanted in checkpoint.read_text(), f"{kind} to clean", 90)
    broker.stop()
    return files(broker)


def test_both_cleaners_make_the_same_files(world):
    broker = filled(world)
    before = files(broker)
    check(len(before) > 4, "the log has few segments")
    saved = broker.directory / "saved"
    shutil.copytree(broker.data, saved)
    ours = cleaned(broker, world.kind)
    shutil.rmtree(broker.data)
    shutil.copytree(saved, broker.data)
    kafkas = cleaned(broker, "kafka")
    check(sum(map(len, ours.values())) < sum(map(len, before.values())) / 2, "hardly anything was removed")
    check_equal(sorted(ours), sorted(kafkas), "segments")
    for name, wanted in kafkas.items():
        check_equal(len(ours[name]), len(wanted), f"batches of {name}")
        for got, expected in zip(ours[name], wanted):
            check_equal(got, expected, f"a batch of {name}")


def index_entries(broker):
    """What the transaction indexes say, all segments together."""
    return [path.read_bytes() for path in sorted((broker.data / f"{TOPIC}-0").glob("*.txnindex"))]


def clean_in_rounds(broker, kind, rounds):
    """After every round the newest segment is the active one and all before it was cleaned; between
    them delete horizons run out."""
    broker.kind = kind
    broker.start()
    checkpoint = broker.data / "cleaner-offset-checkpoint"
    results = []

    def all_cleaned():
        bases = [int(path.stem) for path in (broker.data / f"{TOPIC}-0").glob("*.log")]
        return checkpoint.exists() and f"{TOPIC} 0 {max(bases)}\n" in checkpoint.read_text()
    # Or a quick producer would seal the golden active segment before the first cleaning began.
    wait_for(all_cleaned, f"{kind} to clean what is sealed", 60)
    for number in range(rounds):
        produce(broker, [f"round:{number}\n"], idempotent="false")  # its producer ids are taken
        wait_for(all_cleaned, f"{kind} to clean in round {number}", 60)
        # Records behind the golden ones carry the time of this run.
        results.append({name: [batch[:6] + batch[8:10] if batch[0] < 19 else batch[0] for batch in found]
                        for name, found in files(broker).items()})
        results.append(index_entries(broker))
        time.sleep(0.5)  # longer than delete.retention.ms
    broker.stop()
    return results


def test_transactions_of_a_golden_log(world):
    broker = world.broker(kind=world.kind, log_cleaner_enable="false", log_cleaner_backoff_ms=100)
    command([world.millrace, "topic", "create", TOPIC, "-p", "1", "-b", broker.server, "-c",
             "cleanup.policy=compact", "-c", "segment.ms=50", "-c", "min.cleanable.dirty.ratio=0", "-c",
             "delete.retention.ms=200"])
    broker.stop()
    for path in (ROOT / "tests/golden/log_dir/txn-0").iterdir():
        if path.name != "partition.metadata":
            shutil.copyfile(path, broker.data / f"{TOPIC}-0" / path.name)
    broker.settings["log.cleaner.enable"] = "true"
    broker.write_config()
    saved = broker.directory / "saved"
    shutil.copytree(broker.data, saved)
    ours = clean_in_rounds(broker, world.kind, 5)
    shutil.rmtree(broker.data)
    shutil.copytree(saved, broker.data)
    kafkas = clean_in_rounds(broker, "kafka", 5)
    for step, (got, wanted) in enumerate(zip(ours, kafkas)):
        check_equal(got, wanted, f"step {step}")


if __name__ == "__main__":
    main()
