# tools/wiregen/import_schema.py: writes src/wire/schema/ from the layouts inside Kafka's jars.
#
#   python3 tools/wiregen/import_schema.py LIBS_FOLDER SCHEMA_FOLDER
#
# Run by hand when a new Kafka release is followed. Only facts are taken over: names, types,
# versions, null rules, tags and defaults.
import glob
import json
import os
import re
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from schema import NUMBERS, snake  # noqa: E402

# Kept as files by Kafka and read as JSON there, so never on the wire.
NOT_WIRE = {"QuorumStateData"}


def read_layouts(libs):
    for jar in sorted(glob.glob(os.path.join(libs, "kafka*.jar"))):
        with zipfile.ZipFile(jar) as archive:
            for name in sorted(archive.namelist()):
                if re.fullmatch(r"common/(message|metadata)/\w+\.json", name):
                    text = archive.read(name).decode()
                    yield json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.M))


def default_text(field):
    """The default where it differs from zero, false or empty."""
    value = field.get("default")
    if value is None or value == "":
        return None
    text = str(value)
    if field["type"] in NUMBERS:
        number = float(text) if field["type"] == "float64" else int(text, 0)
        return None if number == 0 else str(number)
    if field["type"] == "bool":
        return "true" if text.lower() == "true" else None
    return text


def field_line(field, indent):
    versions = field.get("versions") or field["taggedVersions"]
    assert field.get("taggedVersions") in (None, versions), field
    parts = [snake(field["name"]), field["type"], versions]
    if field.get("nullableVersions", "none") != "none":
        parts += ["null", field["nullableVersions"]]
    if "tag" in field:
        parts += ["tag", str(field["tag"])]
    if default_text(field) is not None:
        parts += ["default", default_text(field)]
    if str(field.get("ignorable", False)).lower() == "true":
        parts.append("ignorable")
    if str(field.get("mapKey", False)).lower() == "true":
        parts.append("key")
    if field.get("flexibleVersions") == "none":
        parts.append("classic")
    return " " * indent + " ".join(parts)


def emit_fields(fields, indent, lines):
    for field in fields:
        lines.append(field_line(field, indent))
        emit_fields(field.get("fields", []), indent + 4, lines)


def schema_text(layout):
    name = layout["name"]
    head = [layout["type"], name]
    if "apiKey" in layout:
        head += ["key", str(layout["apiKey"])]
    head += ["versions", layout["validVersions"]]
    if layout.get("flexibleVersions", "none") != "none":
        head += ["flexible", layout["flexibleVersions"]]
    if layout.get("latestVersionUnstable"):
        head.append("unstable")
    if layout.get("listeners"):
        head += ["listeners", *layout["listeners"]]
    lines = [f"# src/wire/schema/{snake(name)}.schema: layout of {name}.", " ".join(head)]
    emit_fields(layout["fields"], 4, lines)
    for struct in layout.get("commonStructs", []):
        lines.append(f"struct {struct['name']} {struct['versions']}")
        emit_fields(struct["fields"], 4, lines)
    return "\n".join(lines) + "\n"


def main():
    libs, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    count = 0
    for layout in read_layouts(libs):
        if layout["validVersions"] == "none" or layout["name"] in NOT_WIRE:
            continue
        path = os.path.join(folder, snake(layout["name"]) + ".schema")
        with open(path, "w", encoding="utf-8") as file:
            file.write(schema_text(layout))
        count += 1
    print(f"{count} schema files")


if __name__ == "__main__":
    main()
