# tests/interop/harness.py: starts brokers on temporary directories, waits for them, and always cleans up.
"""A test file defines functions named test_*(world) and calls main(). The same test runs against
Millrace and against Apache Kafka (`--broker kafka`), the oracle: a test that Kafka fails is wrong.

No sleep stands for a condition: every wait polls for what it waits for, with a deadline."""
import argparse
import ctypes
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import wire

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KAFKA = ROOT / "tools/dev/kafka"
CACHE = ROOT / "build/interop"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
READY_SECONDS = 60
TEST_SECONDS = 240
LOG_TAIL_LINES = 30


class Failure(AssertionError):
    """A check that did not hold."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def shorten(value, limit=600):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def check_equal(got, wanted, what):
    check(got == wanted, f"{what}: got {shorten(got)}, wanted {shorten(wanted)}")


def check_in(part, whole, what="output"):
    check(part in whole, f"{what} lacks {part!r}:\n{whole}")


def wait_for(condition, what, seconds=30):
    """Polls until the condition returns something true; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < deadline, f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


def free_ports(count):
    """Ports below the range from which the kernel takes those of clients, so that no client of a
    test that runs beside this one can take a port between this look and the broker's bind."""
    found = []
    while len(found) < count:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                pass
    return found


def die_with_parent():
    """Runs in the child: whatever happens to this test, its brokers do not outlive it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def command(arguments, stdin=None, timeout=60, code=0, **options):
    """Runs a program; returns its standard output. `code` None accepts any exit code."""
    if isinstance(stdin, str):
        stdin = stdin.encode()
    done = subprocess.run([str(a) for a in arguments], input=stdin if stdin is not None else b"",
                          capture_output=True, timeout=timeout, check=False, **options)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    check(code is None or done.returncode == code,
          f"{' '.join(str(a) for a in arguments)}: exit {done.returncode}\n{out}{err}")
    return out if code is not None else (done.returncode, out, err)


def compiled(output, source, arguments):
    """Runs a compiler unless its output is newer than the source; parallel tests take turns."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with open(output.parent / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists() or output.stat().st_mtime < source.stat().st_mtime:
            command(arguments, timeout=120)
    return output


class Broker:
    """One node on one directory. The kind may change between a stop and the next start: that is
    how the hand-over tests let Kafka open what Millrace wrote, and the other way round."""

    def __init__(self, world, kind, name, settings):
        self.world, self.kind, self.name = world, kind, name
        self.directory = world.folder / name
        self.data = self.directory / "data"
        self.directory.mkdir()
        self.port, self.controller_port = free_ports(2)
        self.config = self.directory / "server.properties"
        self.log = self.directory / "broker.log"
        self.process = None
        self.settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
                         f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
                                    f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.data),
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **settings,
        }
        self.write_config()

    @property
    def server(self):
        return f"127.0.0.1:{self.port}"

    def write_config(self):
        self.config.write_text("".join(f"{k}={v}\n" for k, v in self.settings.items()))

    def format(self, *arguments, static=False):
        """A node that is its own quorum, unless the arguments or static voters say otherwise."""
        if not static:
            arguments = arguments or ("--standalone",)
        if self.kind == "kafka":
            command([KAFKA, "format", self.config, CLUSTER_ID, *arguments])
        else:
            command([self.world.millrace, "storage", "format", "-t", CLUSTER_ID, "-c", self.config,
                     *arguments])
        return self

    def start(self, wait=True, limits=None):
        check(self.process is None, f"{self.name} runs already")
        program = [KAFKA, "start"] if self.kind == "kafka" else [self.world.millrace, "start"]

        def prepare_child():
            die_with_parent()
            if limits:
                limits()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(p) for p in program] + [str(self.config)],
                                            stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, cwd=self.directory,
                                            preexec_fn=prepare_child, start_new_session=True)
        if wait:
            wait_for(self.ready, f"{self.kind} on {self.server} to be ready", READY_SECONDS)
        return self

    def ready(self):
        check(self.process.poll() is None,
              f"{self.kind} ended with exit {self.process.returncode} before it was ready")
        try:
            with wire.Connection(self.port, timeout=5) as connection:
                return bool(connection.metadata([])["brokers"])
        except (OSError, wire.Closed):
            return False

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def _end(self, number, seconds):
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure(f"{self.kind} did not stop within {seconds} s") from None
        finally:
            self.process = None
        return code

    def stop(self):
        """SIGTERM; the clean-shutdown path."""
        code = self._end(signal.SIGTERM, 60)
        check(code in (0, 143), f"{self.kind} stopped with exit {code}")
        return self

    def kill(self):
        self._end(signal.SIGKILL, 30)
        return self

    def resident_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def tail(self):
        if not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join(line[:300] for line in lines)


class JavaTools:
    """Apache's command line tools, many mains in one JVM (java/ToolRunner.java)."""

    def __init__(self):
        libs = command([KAFKA, "libs"]).strip()
        source = HERE / "java/ToolRunner.java"
        classes = CACHE / "java"
        compiled(classes / "ToolRunner.class", source,
                 ["javac", "-d", classes, "-cp", f"{libs}/*", source])
        self.stderr = tempfile.TemporaryFile()
        logging = pathlib.Path(libs).parent / "tool-log4j2.properties"
        self.process = subprocess.Popen(
            ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             f"-Dlog4j2.configurationFile={logging}", "-cp", f"{classes}:{libs}/*", "ToolRunner"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr,
            preexec_fn=die_with_parent)

    def __call__(self, name, *arguments, stdin="", code=0, seconds=60):
        """Runs a tool by its script's name without `kafka-`; returns its standard output, or
        (code, out, err) when `code` is None."""
        request = {"tool": name, "args": [str(a) for a in arguments], "stdin": stdin,
                   "seconds": seconds}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, "the JVM of the tools ended:\n" + self.stderr_text())
        answer = json.loads(line)
        if code is None:
            return answer["code"], answer["out"], answer["err"]
        check(answer["code"] == code, f"kafka-{name} {' '.join(str(a) for a in arguments)}: exit "
              f"{answer['code']}\n{answer['out']}{answer['err']}")
        return answer["out"]

    def stderr_text(self):
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")[-4000:]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class World:
    """What one test function owns; everything in it is gone when the test ends."""

    def __init__(self, options):
        self.kind, self.millrace = options.broker, os.path.abspath(options.millrace)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-interop-"))
        self.brokers, self._java, self._closers = [], None, []

    def broker(self, kind=None, name=None, started=True, **settings):
        settings = {key.replace("__", "-").replace("_", "."): str(v) for key, v in settings.items()}
        broker = Broker(self, kind or self.kind, name or f"node{len(self.brokers)}", settings)
        self.brokers.append(broker)
        return broker.format().start() if started else broker

    @property
    def java(self):
        if self._java is None:
            self._java = JavaTools()
        return self._java

    def decoded(self, topic, path):
        """What kafka-dump-log says of a log with its decoder for `topic`; ours must say the same. The log
        may grow meanwhile."""
        text = self.java("dump-log", f"--{topic}-decoder", "--files", path)
        ours = command([self.millrace, "log", "dump", f"--{topic}-decoder", path])
        for mine, theirs in zip(ours.splitlines(), text.splitlines()):
            check_equal(mine, theirs, f"a line of `log dump --{topic}-decoder`")
        check(len(ours) >= len(text), f"`log dump --{topic}-decoder` says less than Kafka's")
        return text

    def at_end(self, function):
        self._closers.append(function)

    def close(self):
        for closer in [*reversed(self._closers), *[b.kill for b in self.brokers],
                       *([self._java.close] if self._java else [])]:
            try:
                closer()
            except Exception as error:  # the others must be closed all the same
                print(f"while cleaning up: {error}", file=sys.stderr)
        for where, folders, _ in os.walk(self.folder):
            for folder in folders:
                path = os.path.join(where, folder)
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        shutil.rmtree(self.folder, ignore_errors=True)


def run_one(name, function, options):
    def on_alarm(*_):
        raise Failure(f"took longer than {options.seconds} s")
    world = World(options)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(options.seconds)
    started = time.monotonic()
    try:
        function(world)
        print(f"ok    {name} ({time.monotonic() - started:.1f} s)", flush=True)
        return True
    except Exception as error:
        signal.alarm(0)
        print(f"FAIL  {name} ({time.monotonic() - started:.1f} s): {error}", flush=True)
        if not isinstance(error, Failure):
            traceback.print_exc()
        for broker in world.brokers:
            print(f"---- end of the log of {broker.name} ({broker.kind}) ----\n{broker.tail()}\n----")
        if options.keep:
            print(f"kept: {world.folder}")
            world.folder = world.folder / "nothing"
        return False
    finally:
        signal.alarm(0)
        world.close()


def main():
    """Runs every test_* of the calling file, in the order in which they stand."""
    names = vars(sys.modules["__main__"])
    parser = argparse.ArgumentParser(description=names["__doc__"])
    parser.add_argument("--broker", choices=("millrace", "kafka"), default="millrace")
    parser.add_argument("--millrace", default=str(ROOT / "build/release/millrace"))
    parser.add_argument("--only", default="", help="part of a test's name")
    parser.add_argument("--seconds", type=int, default=TEST_SECONDS, help="limit of each test")
    parser.add_argument("--keep", action="store_true", help="keep the directory of a failed test")
    options = parser.parse_args()
    if options.broker == "millrace" and not os.access(options.millrace, os.X_OK):
        sys.exit(f"no broker at {options.millrace}; build it with tools/dev/dev build")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tests = [(n, f) for n, f in names.items() if n.startswith("test_") and options.only in n]
    results = [run_one(name, function, options) for name, function in tests]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    sys.exit(0 if results and all(results) else 1)
