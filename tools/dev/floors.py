# tools/dev/floors.py: the house as data: floors, who may include whom, and what each may use.
"""Shared by tidy.py (which enforces it), filemap.py (which prints it) and dev (floor names)."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# floor: (level, ring, floors whose front doors it may include). Bottom up.
FLOORS = {
    "base": (0, "pure", ()),
    "env": (1, "ports", ("base",)),
    "record": (2, "pure", ("base",)),
    "wire": (2, "pure", ("base",)),
    "raft": (3, "pure", ("base",)),
    "placement": (3, "pure", ("base",)),
    "storage": (3, "ports", ("base", "env", "record")),
    "metadata": (4, "pure", ("base", "wire", "placement")),
    "replication": (5, "pure", ("base", "metadata")),
    "coordinator": (5, "pure", ("base", "wire", "metadata")),
    "broker": (6, "ports", ("base", "env", "record", "wire", "raft", "storage", "placement",
                            "metadata", "replication", "coordinator")),
    # env: handlers read the shard's clock, arm the deadline of a request, and ask a disk for its room.
    "api": (7, "ports", ("base", "env", "record", "wire", "metadata", "broker")),
    "net": (8, "os", ("base", "env", "wire", "api")),
    "app": (9, "os", ("base", "env", "storage", "broker", "api", "net")),
}
# Other trees, which are no floors but obey the doors too.
TREES = {
    "tools/cli": ("base", "record", "wire", "placement", "storage", "app"),
}
# From base to api nothing may know a clock, thread, socket, file or random source.
DETERMINISTIC = tuple(f for f, (level, _, _) in FLOORS.items() if level <= 7)

# Third party: include prefix -> who may use it (floor, or one file of the tree). base exports fmt
# to everybody because its log door does.
THIRD_PARTY = (
    ("fmt/", tuple(FLOORS) + tuple(TREES)),
    ("spdlog/", ("src/base/log.cc",)),
    ("isa-l", ("base",)),
    ("crc.h", ("base",)),
    ("lz4", ("src/record/compression.cc", "src/record/codec_lz4.cc")),
    ("zstd", ("src/record/compression.cc", "src/record/codec_zstd.cc")),
    ("snappy", ("src/record/compression.cc", "src/record/codec_snappy.cc")),
    ("zlib", ("src/record/compression.cc", "src/record/codec_gzip.cc")),
    ("igzip", ("src/record/compression.cc", "src/record/codec_gzip.cc")),
    ("re2/", ("src/coordinator/regex.cc", "src/api/txn_admin.cc")),
    ("xxhash.h", ("src/coordinator/topic_hash.cc",)),
    ("boost/asio", ("net", "tools/cli")),
    ("boost/system", ("net", "tools/cli")),
    ("openssl/", ("net",)),
    ("yaml-cpp/", ("app",)),
    ("CLI/", ("app", "tools/cli")),
    ("nlohmann/", ("app", "tools/cli")),
)

COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^()\s\\]{0,16})\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])*'", re.S)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def blank(text):
    """The code without comments and the contents of strings; line numbers stay."""
    def keep_lines(match):
        return "\n" * match.group(0).count("\n") if match.group(0)[0] == "/" else (
            '""' + "\n" * match.group(0).count("\n"))
    return COMMENT_OR_STRING.sub(keep_lines, text)


def source_files(*folders, suffixes=(".h", ".cc")):
    """Tracked-looking files below the folders, sorted, as paths relative to the root."""
    found = []
    for folder in folders:
        for where, dirs, names in os.walk(os.path.join(ROOT, folder)):
            dirs[:] = sorted(d for d in dirs if d not in ("__pycache__", "node_modules"))
            found += [os.path.relpath(os.path.join(where, n), ROOT) for n in names
                      if n.endswith(suffixes) and not n.startswith(".")]
    return sorted(found)


def floor_of(path):
    """The floor or tree that owns a file, or None (tests/support, tests/sim, generated)."""
    parts = path.split("/")
    if parts[0] == "src" and len(parts) > 2 and parts[1] in FLOORS:
        return parts[1]
    if parts[:2] == ["include", "millrace"] and len(parts) > 3 and parts[2] in FLOORS:
        return parts[2]
    if parts[:2] == ["tests", "unit"] and len(parts) > 3 and parts[2] in FLOORS:
        return parts[2]
    tree = "/".join(parts[:2])
    return tree if tree in TREES else None
