#!/usr/bin/env python3
# tools/dev/filemap.py: the file map of src/ARCHITECTURE.md, made from the first line of each file.
"""`filemap.py --update` rewrites the map; without it the map is compared (ctest file_map)."""
import os
import re
import sys

from floors import FLOORS, ROOT, read, source_files

DOCUMENT = "src/ARCHITECTURE.md"
BEGIN, END = "<!-- file map: tools/dev/dev map -->", "<!-- end of the file map -->"


def job(path):
    """What the comment's first sentence says after the path; '?' when it says nothing."""
    lines = read(path).split("\n", 5)
    head = f"// {path}: "
    if not lines[0].startswith(head):
        return "?"
    words = lines[0][len(head):]
    for line in lines[1:5]:  # the sentence may run on
        if words.endswith(".") or not line.startswith("// "):
            break
        words += " " + line[3:]
        words = re.split(r"(?<=\.)\s", words)[0]
    return words.rstrip(".")


def rows(floor):
    """One row for a file, or for a header and its source: the door's words count."""
    files = source_files(f"include/millrace/{floor}", f"src/{floor}")
    stems = {}
    for path in files:
        name = path.split(f"/{floor}/", 1)[1]
        stems.setdefault(os.path.splitext(name)[0], []).append(path)
    for stem, paths in sorted(stems.items()):
        paths.sort()  # include/ before src/
        door = "★ " if paths[0].startswith("include/") else ""
        ends = sorted({os.path.splitext(p)[1] for p in paths}, reverse=True)
        name = stem + (ends[0] if len(ends) == 1 else ".{h,cc}")
        yield f"- {door}`{name}` {job(paths[0])}"


def file_map():
    out = []
    for floor in FLOORS:
        lines = list(rows(floor))
        if lines:
            out += [f"**{floor}**", "", *lines, ""]
    return "\n".join(out)


def main():
    text = read(DOCUMENT)
    if BEGIN not in text or END not in text:
        sys.exit(f"{DOCUMENT} has no place for the file map ({BEGIN})")
    head, rest = text.split(BEGIN, 1)
    new = f"{head}{BEGIN}\n\n{file_map()}\n{END}{rest.split(END, 1)[1]}"
    if "--update" in sys.argv:
        with open(os.path.join(ROOT, DOCUMENT), "w", encoding="utf-8") as file:
            file.write(new)
    elif new != text:
        stale = sorted(set(new.splitlines()) ^ set(text.splitlines()))
        print("\n".join(stale[:10]))
        sys.exit(f"the file map of {DOCUMENT} is stale; run tools/dev/dev map")


if __name__ == "__main__":
    main()
