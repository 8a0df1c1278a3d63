#!/usr/bin/env python3
# tests/interop/0018_spark.py: Spark Structured Streaming reads and writes, killed and restarted.
"""Spark Structured Streaming with a checkpoint, from topic to topic, through kills of job and broker."""
import collections
import fcntl
import os
import pathlib
import subprocess
import sys

from harness import HERE, check, check_equal, command, die_with_parent, main, wait_for

SPARK, SCALA = "3.5.3", "2.12"
RECORDS_A_ROUND = 500


def kcat(broker, *arguments, stdin=None):
    return command(["kcat", "-b", broker.server, "-m", "20", *arguments], stdin=stdin)


def fetched():
    """pyspark from PyPI (300 MB) and its Kafka connector from Maven Central, once a machine."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    folder = cache / f"millrace/spark-{SPARK}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "ready").exists():
            return folder
        command([sys.executable, "-m", "venv", folder / "venv"], timeout=120)
        command([folder / "venv/bin/pip", "install", "-q", f"pyspark=={SPARK}"], timeout=900)
        (folder / "pom.xml").write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
            "<groupId>millrace</groupId><artifactId>spark</artifactId><version>1</version>"
            "<dependencies><dependency><groupId>org.apache.spark</groupId>"
            f"<artifactId>spark-sql-kafka-0-10_{SCALA}</artifactId><version>{SPARK}</version>"
            "</dependency></dependencies></project>", encoding="utf-8")
        command(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=libs",
                 "-DincludeScope=runtime", "-DexcludeGroupIds=org.scala-lang,org.apache.hadoop"],
                timeout=600, cwd=folder)
        (folder / "ready").touch()
    return folder


class Job:
    def __init__(self, world, broker):
        folder = fetched()
        jars = ",".join(str(jar) for jar in sorted((folder / "libs").glob("*.jar")))
        self.log = open(world.folder / "spark.log", "ab")
        self.process = subprocess.Popen(
            [folder / "venv/bin/spark-submit", "--master", "local[2]", "--driver-memory", "512m",
             "--jars", jars, "--conf", "spark.ui.enabled=false",
             "--conf", "spark.sql.shuffle.partitions=1", HERE / "spark_job.py", broker.server,
             world.folder / "checkpoint"],
            stdout=self.log, stderr=self.log, start_new_session=True, preexec_fn=die_with_parent,
            env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1",
                 "PYSPARK_PYTHON": str(folder / "venv/bin/python3")})
        world.at_end(self.kill)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
        self.process.wait()
        self.log.close()


def results(broker):
    return collections.Counter(
        kcat(broker, "-C", "-t", "out", "-o", "beginning", "-e", "-q").splitlines())


def test_from_topic_to_topic_through_kills(world):
    broker = world.broker()
    for topic in ("in", "out"):
        command([world.millrace, "topic", "create", topic, "-p", "3", "-b", broker.server])
    fetched()
    sent, kills = 0, 0
    job = Job(world, broker)
    for blow in (job.kill, broker.kill, None):
        lines = [f"row {sent + i}" for i in range(RECORDS_A_ROUND)]
        kcat(broker, "-P", "-t", "in", stdin="\n".join(lines) + "\n")
        sent += RECORDS_A_ROUND
        wait_for(lambda: len(results(broker)) > sent - RECORDS_A_ROUND, "rows of this round", 120)
        if blow is None:
            break
        blow()
        kills += 1
        if not broker.process:
            broker.start()
        elif job.process.poll() is not None:
            job = Job(world, broker)
    wait_for(lambda: len(results(broker)) == sent, "every row", 120)
    got = results(broker)
    check_equal(set(got), {f"seen row {i}" for i in range(sent)}, "rows")
    # Spark's Kafka sink writes a batch again that was cut short.
    check(max(got.values()) <= 1 + kills, f"a row came {max(got.values())} times")


if __name__ == "__main__":
    main()
