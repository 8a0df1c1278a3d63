# tools/dev/size_report.py: the numbers the tree should keep, worst first; a report, never a failure.
"""Limits and their reasons: src/ARCHITECTURE.md, "Sizes"."""
import os
import re

from floors import FLOORS, ROOT, blank, floor_of, read, source_files

SHOWN = 8  # rows printed per measure
FILE_LINES, DOOR_LINES, DOORS, FUNCTION_LINES, LINE_CHARS = 500, 250, 8, 70, 100
PARAMETERS, INCLUDES_SOURCE, INCLUDES_HEADER = 6, 20, 10


def functions(code):
    """Yields (name, first line, length) of every function body, by brace matching."""
    stack, line, start = [], 1, 0
    for position, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == "{":
            head = re.sub(r"^\s*#[^\n]*$", "", code[start:position], flags=re.M).strip()
            bare = re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", head))  # without template arguments
            outside = all(kind == "outer" for kind, _, _ in stack)
            name = ""
            if re.search(r"\b(?:namespace|class|struct|union|enum|extern)\b[^()=]*$", bare):
                kind = "outer"
            elif outside and ")" in head and not head.endswith("="):
                kind = "function"
                found = re.search(r"([\w~:]+(?:operator\s*\S+)?)\s*\(", head)
                name = found.group(1) if found else "?"
            else:
                kind = "inner"
            stack.append((kind, name, line))
            start = position + 1
        elif char == "}":
            if stack:
                kind, name, first = stack.pop()
                if kind == "function":
                    yield name, first, line - first + 1
            start = position + 1
        elif char == ";":
            start = position + 1


def constructor_parameters(code):
    for match in re.finditer(r"\b([A-Z]\w+)\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*(?:noexcept)?\s*[;:{]", code):
        if re.search(rf"\b(?:class|struct)\s+{match.group(1)}\b", code) and match.group(2).strip():
            depth, count = 0, 1
            for char in match.group(2):
                depth += char in "<([{"
                depth -= char in ">)]}"
                count += char == "," and depth == 0
            yield match.group(1), count


def section(title, limit, rows, total=None):
    rows = sorted(rows, key=lambda row: (-row[0], row[1]))
    if not rows:
        return
    print(f"  {title} (limit {limit}): {len(rows)} over" if limit != "" else f"  {title}: {len(rows)}")
    for value, what in rows[:SHOWN]:
        print(f"    {value:>6}  {what}" if limit != "" else f"    {what}")
    if len(rows) > SHOWN:
        print(f"    ... and {len(rows) - SHOWN} more")


def comment_share(text, code):
    lines = [l for l in text.splitlines() if l.strip()]
    comment = sum(1 for l in lines if l.lstrip().startswith(("//", "/*", "*")))
    return 100 * comment // max(1, len(lines))


def missing_pieces(product):
    listed = "".join(read(p) for p in source_files("src", "tools/cli", suffixes=("CMakeLists.txt",)))
    have_tests = {p for p in source_files("tests/unit", suffixes=("_test.cc",))}
    unlisted, untested = [], []
    for path in product:
        if not path.endswith(".cc"):
            continue
        floor, name = floor_of(path), os.path.basename(path)
        if not re.search(rf"\b{re.escape(name)}\b", listed):
            unlisted.append((0, path))
        if floor in FLOORS and FLOORS[floor][1] == "pure":
            test = f"tests/unit/{floor}/{name[:-3]}_test.cc"
            nested = f"tests/unit/{'/'.join(path.split('/')[1:])[:-3]}_test.cc"
            if test not in have_tests and nested not in have_tests:
                untested.append((0, path))
    floors = [f for f in FLOORS if os.path.isdir(os.path.join(ROOT, "src", f))]
    no_readme = [(0, f"src/{f}/README.md") for f in floors
                 if not os.path.exists(os.path.join(ROOT, "src", f, "README.md"))]
    no_format = [(0, f"src/{f}/FORMAT.md") for f in ("record", "storage") if f in floors and
                 not os.path.exists(os.path.join(ROOT, "src", f, "FORMAT.md"))]
    return unlisted, untested, no_readme + no_format


def print_report(texts):
    product = [p for p in texts if p.startswith(("src/", "include/", "tools/cli/"))]
    codes = {p: blank(texts[p]) for p in product}
    lines = {p: texts[p].count("\n") for p in texts}
    doors = {f: [p for p in product if p.startswith(f"include/millrace/{f}/")] for f in FLOORS}
    product_lines, test_lines = sum(lines[p] for p in product), sum(
        n for p, n in lines.items() if p not in codes)
    print(f"size report: {len(product)} product files, {product_lines} lines; tests {test_lines} lines"
          " (advice, not failures)")
    section("file length", FILE_LINES, [(n, p) for p, n in lines.items() if n > FILE_LINES])
    long_functions, total = [], 0
    for path, code in codes.items():
        for name, first, length in functions(code):
            total += 1
            if length > FUNCTION_LINES:
                long_functions.append((length, f"{path}:{first} {name}"))
    section(f"function length, of {total}", FUNCTION_LINES, long_functions)
    section("front door length", DOOR_LINES,
            [(lines[p], p) for ps in doors.values() for p in ps if lines[p] > DOOR_LINES])
    section("front doors of a floor", DOORS,
            [(len(ps), f) for f, ps in doors.items() if len(ps) > DOORS and f != "base"])
    section("constructor parameters", PARAMETERS,
            [(n, f"{p} {name}") for p, c in codes.items() for name, n in constructor_parameters(c)
             if n > PARAMETERS])
    counts = {p: len(re.findall(r"^#include", t, re.M)) for p, t in texts.items() if p in codes}
    section("includes of a source", INCLUDES_SOURCE,
            [(n, p) for p, n in counts.items() if p.endswith(".cc") and n > INCLUDES_SOURCE])
    section("includes of a header", INCLUDES_HEADER,
            [(n, p) for p, n in counts.items() if p.endswith(".h") and n > INCLUDES_HEADER])
    section("line length", LINE_CHARS,
            [(len(l), f"{p}:{i}") for p, t in texts.items() for i, l in enumerate(t.splitlines(), 1)
             if len(l) > LINE_CHARS])
    section("first line is not '// <path>: <job>.'", "",
            [(0, p) for p, t in texts.items() if not t.startswith(f"// {p}: ")])
    section("doors with little comment, percent", 30,
            [(s, p) for ps in doors.values() for p in ps
             if (s := comment_share(texts[p], codes[p])) < 20 and lines[p] > 40])
    section("code lines per assert in pure floors", 15, assert_density(product, codes))
    unlisted, untested, readmes = missing_pieces(product)
    section("source listed in no CMakeLists.txt", "", unlisted)
    section("pure source without its own test file", "", untested)
    section("missing document", "", readmes)
    section("naked new outside unique_ptr(...)", "",
            [(0, p) for p, c in codes.items()
             if re.search(r"(?<![\w:(<])new\s+[A-Za-z_]", re.sub(r"[({<]\s*new\b", "", c))])
    section("FIXME or TODO without a number", "",
            [(0, p) for p, t in texts.items() if re.search(r"FIXME|TODO(?!\(#\d+\))", t)])


def assert_density(product, codes):
    rows = []
    for floor, (_, ring, _) in FLOORS.items():
        own = [codes[p] for p in product if floor_of(p) == floor]
        size = sum(len([l for l in c.splitlines() if l.strip()]) for c in own)
        asserts = sum(len(re.findall(r"\bMILLRACE_(?:ASSERT|VERIFY)\b", c)) for c in own)
        if ring == "pure" and size > 300 and size > 15 * asserts:
            rows.append((size // max(1, asserts), f"{floor} ({asserts} in {size} lines)"))
    return rows
