#!/usr/bin/env python3
# tests/interop/0011_shims.py: Kafka's scripts as our binary plays them, against Apache's own.
"""Every command runs twice against one broker, by Apache's tool and by our shim, and must print the
same text to the same streams with the same exit code. Left out of the comparison: Java's stack
traces, log lines with a time in front, and the list of options behind a usage error."""
import pathlib
import re
import signal
import subprocess

from harness import check, check_equal, command, die_with_parent, main, wait_for

STACK = re.compile(r"^(\tat |\t\.\.\. |Caused by: |java\.lang\.|java\.util\.|joptsimple\.|ToolRunner|Exception in thread|\[\d{4}-)")
USAGE = re.compile(r"^Option( |\s)+Description")


def plain(err):
    """What a script can rely on: no traces, no log lines, no list of options."""
    lines = []
    for line in err.splitlines():
        if USAGE.match(line):
            break
        if line.strip() and not STACK.match(line) and not line.startswith("org.apache.kafka."):
            lines.append(line)
    return lines


class Pair:
    """Apache's tools and ours, on one broker."""

    def __init__(self, world, broker):
        self.world, self.server = world, broker.server
        self.links = world.folder / "bin"
        self.links.mkdir(exist_ok=True)
        self.differences = []

    def ours(self, name, *arguments, stdin="", seconds=60):
        link = self.links / f"kafka-{name}.sh"
        if not link.exists():
            link.symlink_to(pathlib.Path(self.world.millrace).resolve())
        return command([link, "--bootstrap-server", self.server, *arguments], stdin=stdin,
                       timeout=seconds, code=None)

    def theirs(self, name, *arguments, stdin="", seconds=60):
        return self.world.java(name, "--bootstrap-server", self.server, *arguments, stdin=stdin,
                               code=None, seconds=seconds)

    def compare(self, ours, theirs, what):
        for got, wanted, part in zip(ours, theirs, ("exit code", "stdout", "stderr")):
            if got != wanted:
                self.differences.append(f"{part} of {what}:\n  ours   {got!r}\n  theirs {wanted!r}")

    def verdict(self):
        """All differences at once: a run starts two JVMs."""
        check(not self.differences,
              f"{len(self.differences)} differences\n" + "\n".join(self.differences))

    def same(self, name, *arguments, stdin="", sort=False, between=None):
        """Runs both and compares; returns the text. `between` undoes what Apache's tool did."""
        what = f"kafka-{name} {' '.join(str(a) for a in arguments)}"
        code, out, err = self.theirs(name, *arguments, stdin=stdin)
        if between:
            between()
        our_code, our_out, our_err = self.ours(name, *arguments, stdin=stdin)
        if sort:
            out, our_out = sorted(out.splitlines()), sorted(our_out.splitlines())
        self.compare((our_code, our_out, plain(our_err)), (code, out, plain(err)), what)
        return out

    def twins(self, name, *arguments, stdin=""):
        """For what can be done once only: `@` in the arguments stands for a name each."""
        def text(parts, letter):
            return [str(part).replace("@", letter) for part in parts]
        code, out, err = self.theirs(name, *text(arguments, "j"), stdin=stdin)
        our_code, our_out, our_err = self.ours(name, *text(arguments, "m"), stdin=stdin)
        what = f"kafka-{name} {' '.join(str(a) for a in arguments)}"
        self.compare((our_code, our_out.replace("twin-m", "twin-j"),
                      plain(our_err.replace("twin-m", "twin-j"))), (code, out, plain(err)), what)


def millrace(world, broker, *arguments, **options):
    return command([world.millrace, *arguments, "-b", broker.server], **options)


def filled(world, broker, topic="orders", partitions=4, records=100):
    millrace(world, broker, "topic", "create", topic, "-p", partitions)
    lines = "".join(f"k{i}:v{i}\n" for i in range(records))
    millrace(world, broker, "produce", topic, "-k", ":", "-q", stdin=lines)


class Member:
    """A `millrace consume -g` in the background."""

    def __init__(self, world, broker, *arguments):
        self.process = subprocess.Popen(
            [str(a) for a in (world.millrace, "consume", *arguments, "-b", broker.server)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=die_with_parent)
        world.at_end(self.process.kill)

    def leave(self):
        self.process.send_signal(signal.SIGINT)
        check_equal(self.process.wait(20), 130, "exit code after Ctrl-C")
        self.process.stderr.close()


def test_topics(world):
    broker = world.broker()
    pair = Pair(world, broker)
    pair.twins("topics", "--create", "--topic", "twin-@", "--partitions", 3,
               "--config", "segment.bytes=1048576")
    pair.twins("topics", "--create", "--topic", "twin-@")
    pair.twins("topics", "--create", "--topic", "twin-@", "--if-not-exists")
    pair.twins("topics", "--create", "--topic", "twin-@.dot_ted")
    pair.twins("topics", "--alter", "--topic", "twin-@", "--partitions", 5)
    pair.twins("topics", "--create", "--topic", "twin-@-placed", "--replica-assignment", "1,1")
    filled(world, broker)
    millrace(world, broker, "config", "set", "topic", "orders", "retention.ms=100000",
             "cleanup.policy=compact", "max.message.bytes=5000")
    for arguments in (
            ["--list"],
            ["--list", "--topic", "twin.*"],
            ["--list", "--exclude-internal"],
            ["--describe"],
            ["--describe", "--topic", "orders"],
            ["--describe", "--topic", "orders,twin-j"],
            ["--describe", "--topics-with-overrides"],
            ["--describe", "--under-replicated-partitions"],
            ["--describe", "--at-min-isr-partitions"],
            ["--describe", "--under-min-isr-partitions"],
            ["--describe", "--unavailable-partitions"],
            ["--describe", "--topic", "nosuch"],
            ["--describe", "--topic", "nosuch", "--if-exists"],
            ["--describe", "--topic-id", "AAAAAAAAAAAAAAAAAAAAAQ"],
            ["--describe", "--topic", "orders", "--partition-size-limit-per-response", "1"],
            ["--create", "--topic", "bad/name"],
            ["--create", "--topic", "x", "--replication-factor", "3"],
            ["--create", "--topic", "x", "--partitions", "0"],
            ["--create", "--topic", "x", "--replication-factor", "0"],
            ["--create", "--topic", "x", "--config", "nosuch=1"],
            ["--create", "--topic", "x", "--config", "nosuch"],
            ["--create", "--topic", "x", "--replica-assignment", "1:1"],
            ["--create", "--topic", "x", "--partitions", "many"],
            ["--alter", "--topic", "orders", "--partitions", "1"],
            ["--alter", "--topic", "nosuch", "--partitions", "1"],
            ["--alter", "--topic", "nosuch", "--partitions", "1", "--if-exists"],
            ["--alter", "--topic", "orders"],
            ["--delete", "--topic", "nosuch"],
            ["--delete", "--topic", "nosuch", "--if-exists"],
            ["--list", "--create", "--topic", "x"],
            ["--list", "--partitions", "3"],
            ["--list", "--nosuch"],
            ["--topic"],
            ["--version"]):
        pair.same("topics", *arguments)
    pair.twins("topics", "--delete", "--topic", "twin-@")
    pair.verdict()


def test_get_offsets(world):
    broker = world.broker()
    pair = Pair(world, broker)
    filled(world, broker)
    filled(world, broker, "other", 12, 30)
    for arguments in (
            [], ["--topic", "orders"], ["--topic", "orders,other"], ["--topic", "o.*"],
            ["--topic", "orders", "--partitions", "0,2"], ["--time", "-2"], ["--time", "earliest"],
            ["--time", "-3"], ["--time", "max-timestamp"], ["--time", "0"],
            ["--time", "99999999999999"], ["--time", "earliest-local"],
            ["--topic-partitions", "orders:0,other:2-4"], ["--topic-partitions", ":1-,orders:-1"],
            ["--topic-partitions", "orders"], ["--exclude-internal-topics"],
            ["--topic", "nosuch"], ["--time", "soon"], ["--partitions", "x"],
            ["--topic", "orders", "--topic-partitions", "orders:1"],
            ["--topic-partitions", "orders:a"], ["--nosuch"], ["--topic"]):
        pair.same("get-offsets", *arguments)
    pair.verdict()


def test_groups_without_members(world):
    broker = world.broker()
    pair = Pair(world, broker)
    filled(world, broker)
    filled(world, broker, "other", 12, 30)
    for group, protocol in (("classic-group", "classic"), ("consumer-group", "consumer"),
                            ("ax", "classic"), ("a-group-with-a-rather-long-name", "classic")):
        millrace(world, broker, "consume", "orders", "other", "-g", group, "--protocol", protocol,
                 "-e")
    pair.same("consumer-groups", "--describe", "--group", "nosuch")
    for arguments in (
            ["--list"], ["--list", "--state"], ["--list", "--type"], ["--list", "--type", "classic"],
            ["--list", "--state", "stable,empty"], ["--list", "--state", "stable"],
            ["--list", "--type", "consumer", "--state"],
            *[["--describe", *which, *how, *more]
              for which in (["--group", "classic-group"], ["--group", "consumer-group"],
                            ["--all-groups"])
              for how in ([], ["--offsets"], ["--members"], ["--state"])
              for more in ([], ["--verbose"])],
            ["--describe", "--group", "ax", "--group", "classic-group"],
            ["--describe", "--group", "nosuch", "--state"],
            ["--describe", "--group", "nosuch", "--members"],
            ["--list", "--group", "x"], ["--list", "--verbose"], ["--nosuch"],
            ["--delete", "--group", "nosuch"],
            ["--delete", "--group", "ax", "--topic", "orders"],
            ["--list", "--describe", "--all-groups"],
            ["--validate-regex", "a.*"], ["--version"]):
        pair.same("consumer-groups", *arguments)
    for letter in "jm":
        millrace(world, broker, "consume", "orders", "-g", f"twin-{letter}", "-e")
    pair.twins("consumer-groups", "--delete", "--group", "twin-@")
    pair.twins("consumer-groups", "--delete", "--group", "twin-@")
    pair.verdict()


def test_reset(world):
    broker = world.broker()
    pair = Pair(world, broker)
    filled(world, broker)
    filled(world, broker, "other", 12, 30)
    millrace(world, broker, "consume", "orders", "other", "-g", "g", "-e")
    millrace(world, broker, "consume", "orders", "-g", "g2", "-e")

    # Rows of several topics that fall into one bucket of Java's map stand in the order in which
    # the broker answered.
    def reset(*arguments):
        return pair.same("consumer-groups", "--reset-offsets", *arguments,
                         sort="--all-topics" in arguments)
    topic = ["--group", "g", "--topic", "orders"]
    for spec in (["--to-earliest"], ["--to-latest"], ["--to-current"], ["--to-offset", "5"],
                 ["--to-offset", "5000"], ["--shift-by", "-3"], ["--shift-by", "1000"],
                 ["--to-datetime", "2001-01-01T00:00:00.000"],
                 ["--to-datetime", "2101-01-01T00:00:00.000"],
                 ["--to-datetime", "2001-01-01T00:00:00.000+02:00"],
                 ["--by-duration", "PT1H"], ["--by-duration", "P2D"], ["--by-duration", "PT0S"]):
        reset(*topic, *spec, "--dry-run")
        reset("--group", "g", "--all-topics", *spec)
    reset("--all-groups", "--all-topics", "--to-earliest", "--dry-run")
    reset("--all-groups", "--topic", "orders:1,3", "--to-earliest", "--dry-run", "--export")
    plan = reset(*topic, "--to-offset", "7", "--dry-run", "--export")
    check_equal(len(plan.split()), 4, "lines of the exported plan")
    path = world.folder / "plan.csv"
    path.write_text(plan.strip() + "\n")
    reset("--group", "g", "--from-file", str(path), "--dry-run")
    reset("--group", "new", "--topic", "orders:0", "--to-latest", "--dry-run")
    reset(*topic, "--to-earliest", "--execute")
    reset("--group", "g", "--topic", "other:1,2", "--topic", "orders", "--to-offset", "1",
          "--execute")
    pair.same("consumer-groups", "--describe", "--group", "g")
    for wrong in ([*topic, "--to-earliest", "--to-latest"],
                  ["--group", "g", "--topic", "nosuch", "--to-earliest"],
                  ["--group", "g", "--topic", "orders:99", "--to-earliest"],
                  ["--group", "g", "--topic", "orders:x", "--to-earliest"],
                  ["--group", "g2", "--topic", "other:0", "--shift-by", "1"],
                  [*topic, "--to-earliest", "--execute", "--dry-run"],
                  [*topic, "--to-offset", "x"]):
        reset(*wrong)

    def commit_again():
        millrace(world, broker, "group", "reset", "g", "--topic", "orders", "--to-offset", "1",
                 "--yes")
    delete = ("consumer-groups", "--delete-offsets", "--group", "g", "--topic")
    pair.same(*delete, "orders", between=commit_again)
    pair.same(*delete, "orders:0,1", between=commit_again)
    pair.same("consumer-groups", "--delete-offsets", "--group", "nosuch", "--topic", "orders")
    pair.verdict()


def test_groups_with_members(world):
    broker = world.broker()
    pair = Pair(world, broker)
    filled(world, broker)
    for protocol in ("classic", "consumer"):
        group = f"{protocol}-group"
        members = [Member(world, broker, "orders", "-g", group, "--protocol", protocol),
                   Member(world, broker, "orders", "-g", group, "--protocol", protocol,
                          "--instance", "static-one")]

        def settled():
            _, out, _ = pair.ours("consumer-groups", "--describe", "--group", group, "--members")
            return len(re.findall(r" 2 +$", out, re.M)) == 2
        wait_for(settled, f"two members with two partitions each in {group}")
        wait_for(lambda: " 0 " in pair.ours("consumer-groups", "--describe", "--group", group)[1]
                 and not re.search(r" - +\d+ +- ", pair.ours("consumer-groups", "--describe",
                                                           "--group", group)[1]),
                 "commits of every partition")
        for how in ([], ["--members"], ["--state"]):
            for more in ([], ["--verbose"]):
                pair.same("consumer-groups", "--describe", "--group", group, *how, *more)
        pair.same("consumer-groups", "--list", "--state")
        pair.same("consumer-groups", "--delete", "--group", group)
        pair.same("consumer-groups", "--reset-offsets", "--group", group, "--topic", "orders",
                  "--to-earliest", "--execute")
        pair.same("consumer-groups", "--delete-offsets", "--group", group, "--topic", "orders")
        for member in members:
            member.leave()
    pair.verdict()


def test_console_producer(world):
    broker = world.broker()
    pair = Pair(world, broker)
    for letter in "jm":
        millrace(world, broker, "topic", "create", f"twin-{letter}", "-p", 3)
    keyed = "".join(f"k{i}\tvalue {i}\n" for i in range(50))
    key = ["--reader-property", "parse.key=true"]
    for arguments, stdin in (
            ([*key], keyed),
            ([*key, "--reader-property", "key.separator=:", "--compression-codec"], "a:b\nc:d:e\n"),
            (["--property", "parse.key=true", "--property", "ignore.error=true"], "no key\n"),
            ([*key, "--reader-property", "parse.headers=true", "--sync"],
             "h1:v1,h2:v2\tkey\tvalue\n"),
            ([*key, "--reader-property", "null.marker=NULL"], "k\tNULL\nNULL\tv\n"),
            ([*key, "--compression-codec", "zstd", "--request-required-acks", "1"], "z\tlast"),
            ([*key], "good\tone\nno separator\n"),
            (["--reader-property", "headers.separator=\t"], "x\n"),
            (["--nosuch"], "")):
        pair.twins("console-producer", "--topic", "twin-@", *arguments, stdin=stdin)
    pair.same("console-producer")
    what = ["--formatter-property", "print.key=true", "--formatter-property", "print.headers=true",
            "--formatter-property", "print.partition=true", "--from-beginning",
            "--timeout-ms", "3000"]
    # A record without key goes to a partition of the producer's choice.
    reads = [sorted(re.sub(r"Partition:\d+(\tNO_HEADERS\tnull\t)", r"\1", pair.ours(
        "console-consumer", "--topic", f"twin-{letter}", *what)[1]).split("\n")) for letter in "jm"]
    check(len(reads[0]) > 50, f"only {len(reads[0])} records came")
    check_equal([line for line in reads[1] if line not in reads[0]],
                [line for line in reads[0] if line not in reads[1]],
                "records that only our producer and only Apache's wrote")
    check_equal(len(reads[1]), len(reads[0]), "records by our producer and by Apache's")
    pair.verdict()


def test_console_consumer(world):
    broker = world.broker()
    pair = Pair(world, broker)
    millrace(world, broker, "topic", "create", "one", "-p", 1)
    millrace(world, broker, "produce", "one", "-k", ":", "-q", "-H", "a=1", "-H", "b=2",
             stdin="".join(f"k{i}:v{i}\n" for i in range(20)))
    millrace(world, broker, "produce", "one", "-q", "--null-empty", stdin="\nplain\n")
    read = ["--topic", "one", "--timeout-ms", "3000"]
    everything = [word for name in ("timestamp", "key", "offset", "partition", "headers", "epoch",
                                    "delivery") for word in ("--formatter-property",
                                                             f"print.{name}=true")]
    for arguments in (
            ["--from-beginning", "--max-messages", "5"],
            ["--from-beginning", "--max-messages", "22", *everything],
            ["--from-beginning", "--max-messages", "3", "--group", "fresh-@"],
            ["--partition", "0", "--offset", "7", "--max-messages", "3", *everything],
            ["--partition", "0", "--offset", "earliest", "--max-messages", "3",
             "--formatter-property", "print.key=true",
             "--formatter-property", "key.separator= = ",
             "--formatter-property", "line.separator=;\n"],
            ["--from-beginning", "--max-messages", "22", "--property", "print.value=true",
             "--property", "null.literal=NIL", "--property", "print.key=true"],
            ["--from-beginning", "--max-messages", "4", "--isolation-level", "read_committed"],
            ["--from-beginning", "--max-messages", "4",
             "--command-property", "group.protocol=consumer"],
            ["--partition", "0", "--from-beginning", "--max-messages", "2",
             "--formatter", "org.apache.kafka.tools.consumer.NoOpMessageFormatter"],
            ["--from-beginning", "--max-messages", "1", "--value-deserializer",
             "org.apache.kafka.common.serialization.StringDeserializer"],
            ["--include", "x"], ["--offset", "1"], ["--partition", "0", "--offset", "soon"],
            ["--partition", "0", "--group", "g"], ["--nosuch"]):
        pair.twins("console-consumer", *read, *arguments)
    pair.same("console-consumer")
    # A group goes on where the other tool left it.
    check_equal(pair.theirs("console-consumer", *read, "--group", "g", "--from-beginning",
                            "--max-messages", "5")[1].split(), [f"v{i}" for i in range(5)], "first")
    check_equal(pair.ours("console-consumer", *read, "--group", "g", "--max-messages", "5")[1].split(),
                [f"v{i}" for i in range(5, 10)], "second")
    check_equal(pair.theirs("console-consumer", *read, "--group", "g",
                            "--max-messages", "5")[1].split(), [f"v{i}" for i in range(10, 15)],
                "third")
    pair.verdict()


if __name__ == "__main__":
    main()
