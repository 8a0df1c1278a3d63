#!/usr/bin/env python3
# tests/interop/0042_compose.py: docker/ without Docker: its syntax, its paths, its commands.
"""Compose files and Dockerfile; the services' commands run as processes on free ports."""
import re
import subprocess

import yaml

from harness import ROOT, check, check_equal, check_in, command, die_with_parent, free_ports, main, wait_for

DOCKER = ROOT / "docker"
CLUSTERS = {"compose.yaml": 3, "compose.nine.yaml": 9}


def load(name):
    return yaml.safe_load((DOCKER / name).read_text())


def test_every_path_is_there(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    for name in (*CLUSTERS, "compose.single.yaml"):
        compose = load(name)
        for service, what in compose["services"].items():
            check_equal((DOCKER / what["build"]["context"]).resolve(), ROOT, f"context of {service}")
            check((ROOT / what["build"]["dockerfile"]).is_file(), f"{service}: no Dockerfile")
            for volume in what.get("volumes", []):
                source = volume.split(":")[0]
                there = (DOCKER / source).exists() if source[0] in "./" else (
                    source in compose["volumes"])
                check(there, f"{name}: {service} names {source}, which is not there")
    for line in (DOCKER / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                check((ROOT / source).exists(), f"Dockerfile copies {source}, which is not there")


def test_the_image(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    text = (DOCKER / "Dockerfile").read_text()
    last = text[text.rindex("\nFROM "):]
    check_in("USER millrace", last, "the last stage")
    check("slim" in last.splitlines()[1], "the last stage is a slim image")
    check_in("HEALTHCHECK", last, "the last stage")
    # Every library that the binary needs comes from a package that the image installs.
    needed = command(["ldd", world.millrace])
    packages = {"libspdlog": "libspdlog1.10", "libfmt": "libfmt9", "libyaml-cpp": "libyaml-cpp0.7",
                "liblz4": "liblz4-1", "libzstd": "libzstd1", "libsnappy": "libsnappy1v5",
                "libz": "zlib1g", "libisal": "libisal2", "libre2": "libre2-9"}
    base = {"libstdc++", "libm", "libgcc_s", "libc"}  # of the base image
    installed = last + " libstdc++6"
    for library in re.findall(r"^\s*(lib[\w+-]+)\.so", needed, re.M):
        name = re.sub(r"-[\d.]+$", "", library)
        if name in base:
            continue
        check_in(packages.get(name, f"a package for {library}"), installed, "the image")


def test_the_commands_make_clusters(world):
    if world.kind == "kafka":
        return  # files and commands of ours
    for name, count in CLUSTERS.items():
        run_cluster(world, name, count)


def run_cluster(world, name, count):
    services = load(name)["services"]
    check_equal(len(services), count, f"brokers of {name}")
    racks = {a for s in services.values() for a in s["command"] if "broker.rack" in a}
    check_equal(len(racks), count, f"racks of {name}")
    ports = {}

    def port(service, number):
        if (service, number) not in ports:
            ports[service, number] = free_ports(1)[0]
        return str(ports[service, number])

    def localize(text, service):
        text = re.sub(r"(?<=OUTSIDE://localhost:)\d+", lambda m: port(service, m[0]), text)
        text = re.sub(r"(broker-\d+):(\d+)", lambda m: "localhost:" + port(m[1], m[2]), text)
        return re.sub(r"://:(\d+)", lambda m: "://localhost:" + port(service, m[1]), text)

    processes = []
    for service, what in services.items():
        config = world.folder / f"{name}-{service}.yaml"
        data = world.folder / f"{name}-{service}"
        text = (DOCKER / "cluster.yaml").read_text().replace("/var/lib/millrace", str(data))
        config.write_text(localize(text, service))
        arguments = [localize(a, service).replace("/etc/millrace/cluster.yaml", str(config))
                     for a in what["command"]]
        processes.append(subprocess.Popen([world.millrace, *arguments], preexec_fn=die_with_parent,
                                          stderr=subprocess.DEVNULL))
    world.at_end(lambda: [p.kill() for p in processes])
    inside = f"localhost:{port('broker-1', '9092')}"

    def healthy():
        check(all(p.poll() is None for p in processes), f"a node of {name} ended")
        return command([world.millrace, "health", "-q", "--brokers", count, "-b", inside,
                        "--timeout", "2s"], code=None)[0] == 0
    wait_for(healthy, f"{count} brokers of {name}", 90)
    probe = services["broker-1"]["healthcheck"]["test"]
    check_equal(probe[:2], ["CMD", "millrace"], "the health check")
    command([world.millrace, *probe[2:], "-b", inside])
    for process in processes:
        process.kill()


if __name__ == "__main__":
    main()
