#!/usr/bin/env python3
# tools/dev/tidy.py: fails on the include order of the floors and on the determinism bans; nothing else.
"""The size report of src/ARCHITECTURE.md is printed too, worst first: it is for a reviewer to act on
and never fails. `tidy.py --quiet` prints only failures and the last line."""
import re
import sys

import size_report
from floors import DETERMINISTIC, FLOORS, THIRD_PARTY, TREES, blank, floor_of, read, source_files

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)

# Headers whose very inclusion lets the outside world in.
BANNED_HEADERS = {
    "thread": "threads", "mutex": "threads", "shared_mutex": "threads", "atomic": "threads",
    "condition_variable": "threads", "future": "threads", "semaphore": "threads",
    "latch": "threads", "barrier": "threads", "stop_token": "threads", "pthread.h": "threads",
    "random": "randomness other than base/rng", "chrono": "clocks", "ctime": "clocks",
    "time.h": "clocks", "sys/time.h": "clocks", "fstream": "files", "filesystem": "files",
    "fcntl.h": "files", "unistd.h": "the operating system", "sys/mman.h": "files",
    "sys/stat.h": "files", "sys/uio.h": "files", "dirent.h": "files", "iostream": "files",
    "sys/socket.h": "sockets", "netinet/in.h": "sockets", "netdb.h": "sockets",
    "arpa/inet.h": "sockets", "poll.h": "sockets", "sys/epoll.h": "sockets",
    "coroutine": "coroutines",
}
BANNED_TOKENS = (
    (re.compile(r"::now\s*\("), "reads a clock; take the time as an argument"),
    (re.compile(r"\b(?:clock_gettime|gettimeofday|time\s*\(\s*(?:0|NULL|nullptr)\s*\))"),
     "reads a clock; take the time as an argument"),
    (re.compile(r"\bstd::(?:thread|jthread|mutex|recursive_mutex|shared_mutex|atomic\w*|async|"
                r"condition_variable\w*|this_thread)\b"), "threads live above api"),
    (re.compile(r"\b(?:thread_local|pthread_\w+)\b"), "threads live above api"),
    (re.compile(r"\bstd::random_device\b|\bstd::mt19937|\bs?rand\s*\(|\bgetrandom\s*\("),
     "randomness comes from base/rng.h, seeded by the owner"),
    (re.compile(r"\b(?:secure_)?getenv\s*\("), "the environment is read in app only"),
    (re.compile(r"\b(?:fopen|std::[io]?fstream|std::filesystem|pread|pwrite|sendfile)\b"),
     "files are touched through env/disk.h"),
    (re.compile(r"(?<![\w:])::?(?:socket|connect|accept|listen|send|recv|open|close|fsync)\s*\("),
     "sockets and files are touched through env"),
    (re.compile(r"\basio\b"), "Asio lives in net"),
    (re.compile(r"\bthrow\b"), "no exceptions from base to api"),
    (re.compile(r"\bco_(?:await|yield|return)\b"), "no coroutines from base to api"),
)
# The only exceptions, by file, with the reason. May only shrink.
EXCEPTIONS = {
    "include/millrace/base/buffer_block.h": ("atomic", "Buffers are shared between shards"),
    "include/millrace/base/bytes.h": ("atomic", "Buffers are shared between shards"),
    "src/base/bytes.cc": ("atomic", "Buffers are shared between shards"),
    "src/base/buffer_pool.cc": ("atomic", "blocks come back from other threads"),
    "src/base/log.cc": ("atomic", "the sink is set once and read by every thread"),
    "include/millrace/base/log.h": ("atomic", "the level is read by every thread"),
    "src/replication/fetch_session.cc": ("sessions", "the minimum it looks for is unique"),
    "include/millrace/base/metrics.h": ("atomic", "counters are read by the metrics page"),
    "src/base/metrics.cc": ("atomic", "counters are read by the metrics page"),
}

UNORDERED = re.compile(r"\bunordered_(?:flat_|node_)?(?:map|set|multimap|multiset)\b")
UNORDERED_NAME = re.compile(
    r"\bunordered_(?:flat_|node_)?(?:map|set|multimap|multiset)\s*<[^;{}]*?>\s*&?\s*(\w+)\s*[;={(,)]")


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def third_party_users(header):
    for prefix, users in THIRD_PARTY:
        if header.startswith(prefix):
            return users
    return ()


def check_includes(path, text, failures):
    floor = floor_of(path)
    is_test = path.startswith("tests/")
    allowed = (TREES[floor] if floor in TREES else FLOORS[floor][2]) if floor else None
    for match in INCLUDE.finditer(text):
        quote, header = match.groups()
        where = f"{path}:{line_of(text, match.start())}"
        parts = header.split("/")
        if parts[0] == "millrace" and len(parts) > 2:
            target = parts[1]
            if target not in FLOORS:
                failures.append(f"{where}: <{header}> names no floor")
            elif floor and target != floor and target not in allowed and not is_test:
                failures.append(f"{where}: {floor} may not include {target} (doors it may use: "
                                f"{', '.join(allowed) or 'none'})")
        elif parts[0] in FLOORS and len(parts) > 1:
            if parts[0] != floor:
                failures.append(f"{where}: \"{header}\" is a private header of {parts[0]}; "
                                "use its front doors")
        elif ("/" in header or header.endswith(".h")) and not is_test and floor:
            users = third_party_users(header)
            known = any(header.startswith(p) for p, _ in THIRD_PARTY)
            if known and floor not in users and path not in users:
                failures.append(f"{where}: <{header}> is for {', '.join(users)} only")
            elif header.startswith("boost/") and not known and floor != "base":
                failures.append(f"{where}: <{header}>: no floor lists this library")


def check_determinism(path, text, code, failures, companion):
    excused = EXCEPTIONS.get(path, ("", ""))[0]
    for match in INCLUDE.finditer(text):
        header = match.group(2)
        if header in BANNED_HEADERS and header != excused:
            failures.append(f"{path}:{line_of(text, match.start())}: <{header}> brings in "
                            f"{BANNED_HEADERS[header]}; from base to api the world enters through env")
    for pattern, why in BANNED_TOKENS:
        for match in pattern.finditer(code):
            if excused and excused in match.group(0):
                continue
            failures.append(f"{path}:{line_of(code, match.start())}: '{match.group(0).strip()}': {why}")
    if not UNORDERED.search(code) and not UNORDERED.search(companion):
        return
    for name in sorted(set(UNORDERED_NAME.findall(code) + UNORDERED_NAME.findall(companion))):
        walk = re.compile(rf"\bfor\s*\([^;)]*:\s*(?:\w+(?:\.|->))*{name}\s*\)|\b{name}\.c?begin\s*\(")
        for match in walk.finditer(code):
            if name == excused:
                continue
            failures.append(f"{path}:{line_of(code, match.start())}: walks the unordered container "
                            f"'{name}': its order differs between machines; use flat_map or sort first")


def main():
    failures = []
    files = source_files("include", "src", "tools/cli", "tests/unit", "tests/sim", "tests/support")
    texts = {path: read(path) for path in files}
    for path, text in texts.items():
        check_includes(path, text, failures)
        if floor_of(path) in DETERMINISTIC and not path.startswith("tests/"):
            code = blank(text)
            door = path.replace("src/", "include/millrace/", 1).replace(".cc", ".h")
            room = path.replace(".cc", ".h")
            companion = "".join(blank(texts[p]) for p in (door, room) if p in texts and p != path)
            check_determinism(path, text, code, failures, companion)
    if "--quiet" not in sys.argv:
        size_report.print_report(texts)
    for failure in failures:
        print(failure)
    print(f"tidy: {len(files)} files, " + (f"{len(failures)} failures" if failures else
          "the include order and the determinism bans hold"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
