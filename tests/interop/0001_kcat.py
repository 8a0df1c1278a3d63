#!/usr/bin/env python3
# tests/interop/0001_kcat.py: kcat lists, produces, consumes and asks for offsets.
"""kcat: metadata, produce, consume, offsets."""
import json

from harness import check_equal, check_in, command, main


def kcat(broker, *arguments, stdin=None):
    return command(["kcat", "-b", broker.server, "-m", "20", *arguments], stdin=stdin)


def test_everything_kcat_does(world):
    broker = world.broker(num_partitions=3)

    # -P creates the topic (auto.create.topics.enable is on by default), three partitions.
    lines = [f"k{i}:v{i}" for i in range(100)]
    kcat(broker, "-P", "-t", "birds", "-K:", stdin="\n".join(lines) + "\n")

    listed = json.loads(kcat(broker, "-L", "-J", "-t", "birds"))
    check_equal([b["name"] for b in listed["brokers"]], [broker.server], "brokers")
    check_equal(listed["controllerid"], 1, "controller")
    check_equal([len(t["partitions"]) for t in listed["topics"]], [3], "partitions of birds")
    check_equal([p["leader"] for p in listed["topics"][0]["partitions"]], [1, 1, 1], "leaders")

    got = kcat(broker, "-C", "-t", "birds", "-o", "beginning", "-e", "-q", "-K:").split()
    check_equal(sorted(got), sorted(lines), "what came back")

    # Each partition by itself: offsets are dense, keys never change their partition.
    total = 0
    for partition in range(3):
        rows = kcat(broker, "-C", "-t", "birds", "-p", partition, "-o", "beginning", "-e", "-q",
                    "-f", "%o %k %s\\n").split("\n")[:-1]
        check_equal([int(row.split()[0]) for row in rows], list(range(len(rows))), "offsets")
        total += len(rows)
        check_in(f"[{partition}] offset {len(rows)}\n", kcat(broker, "-Q", "-t", f"birds:{partition}:-1"))
        check_in(f"[{partition}] offset 0\n", kcat(broker, "-Q", "-t", f"birds:{partition}:-2"))
    check_equal(total, 100, "records in all partitions")


def test_codecs_headers_and_reading_from_an_offset(world):
    broker = world.broker()
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        big = f"{codec} " + "x" * 20000
        kcat(broker, "-P", "-t", "codecs", "-p", "0", "-z", codec, "-H", f"codec={codec}",
             stdin="\n".join([big] * 5) + "\n")
    rows = kcat(broker, "-C", "-t", "codecs", "-p", "0", "-o", "beginning", "-e", "-q", "-f",
                "%o %h %S\\n").split("\n")[:-1]
    check_equal(len(rows), 25, "records")
    check_equal([r.split()[1] for r in rows[::5]],
                ["codec=none", "codec=gzip", "codec=snappy", "codec=lz4", "codec=zstd"], "headers")
    check_equal([int(r.split()[2]) for r in rows[::5]], [20005, 20005, 20007, 20004, 20005], "sizes")
    got = kcat(broker, "-C", "-t", "codecs", "-p", "0", "-o", "20", "-c", "2", "-q", "-f", "%o\\n")
    check_equal(got.split(), ["20", "21"], "from the middle")
    got = kcat(broker, "-C", "-t", "codecs", "-p", "0", "-o", "-3", "-e", "-q", "-f", "%o\\n")
    check_equal(got.split(), ["22", "23", "24"], "the last three")
    # By time: everything since the epoch is everything; nothing lies in the far future.
    got = kcat(broker, "-C", "-t", "codecs", "-p", "0", "-o", "s@1", "-c", "1", "-q", "-f", "%o\\n")
    check_equal(got.split(), ["0"], "from a time")


if __name__ == "__main__":
    main()
