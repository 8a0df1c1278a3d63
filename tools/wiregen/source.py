# tools/wiregen/source.py: the C++ encoder and decoder of one message.
#
# The rules are those of Kafka's MessageDataGenerator: a field outside its versions keeps its
# default, encoding a value there is an error unless the field is ignorable, tagged fields are
# written only when they differ from their default, and unknown tags are written back in order.
from header import element_type, has_records, is_nullable, null_default, number_text
from schema import NUMBERS, intersect

READS = {"bool": "boolean", "int8": "i8", "int16": "i16", "uint16": "u16", "int32": "i32",
         "uint32": "u32", "int64": "i64", "float64": "f64", "uuid": "uuid"}


def condition(versions, possible):
    """C++ test for wire_version in `versions`, given that it is in `possible`."""
    inside = intersect(versions, possible)
    if inside is None:
        return "false"
    tests = []
    if inside[0] > possible[0]:
        tests.append(f"wire_version >= {inside[0]}")
    if inside[1] < possible[1]:
        tests.append(f"wire_version <= {inside[1]}")
    return " && ".join(tests) or "true"


class Scope:
    """One struct of a message, with what its generated functions need to know."""

    def __init__(self, message, struct):
        self.message, self.struct = message, struct
        # A shared struct may be used in every version of its message.
        self.possible = struct.versions or message.versions
        self.flexible = condition(message.flexible, self.possible) if message.flexible else "false"
        self.flag = self.flexible if self.flexible in ("true", "false") else "is_flexible"
        self.plain = [f for f in struct.fields if f.tag is None]
        self.tagged = sorted((f for f in struct.fields if f.tag is not None), key=lambda f: f.tag)

    def flag_of(self, field):
        return "false" if field.classic else "true" if field.tag is not None else self.flag

    def name(self):
        return self.struct.cpp_name


def bytes_min(message, struct):
    """The smallest encoding of a struct in any version it can have."""
    possible = struct.versions or message.versions
    return min(bytes_at(message, struct, version)
               for version in range(possible[0], possible[1] + 1))


def bytes_at(message, struct, version):
    flexible = message.flexible is not None and version >= message.flexible[0]
    total = 1 if flexible else 0
    for field in struct.fields:
        if field.tag is None and field.versions[0] <= version <= field.versions[1]:
            total += field_bytes(message, field, version, flexible and not field.classic)
    return total


def field_bytes(message, field, version, flexible):
    if field.array or field.type in ("bytes", "records"):
        return 1 if flexible else 4
    if field.type == "string":
        return 1 if flexible else 2
    if field.is_struct:
        return 1 if is_nullable(field) else bytes_at(message, field.struct, version)
    return {"bool": 1, "uuid": 16}.get(field.type) or NUMBERS[field.type]


def element_bytes(message, field):
    if field.is_struct:
        return bytes_min(message, field.struct)
    if field.type in ("string", "bytes"):
        return 1 if message.flexible else 2
    return {"bool": 1, "uuid": 16}.get(field.type) or NUMBERS[field.type]


def differs(field):
    """C++ test that a field is not at its default."""
    name = field.cpp_name
    if null_default(field):
        return f"{name}.has_value()"
    if is_nullable(field):
        inner = f"*{name} == {element_type(field)}{{}}"
        if field.array or field.type in ("string", "bytes", "records"):
            inner = f"{name}->empty()"
        return f"!({name}.has_value() && {inner})"
    if field.array or field.type in ("bytes", "records"):
        return f"!{name}.empty()"
    if field.type == "string":
        return f'{name} != "{field.default}"' if field.default else f"!{name}.empty()"
    if field.type == "uuid":
        return f"!{name}.is_zero()"
    if field.is_struct:
        return f"!({name} == {element_type(field)}{{}})"
    if field.type == "bool":
        return f"!{name}" if field.default == "true" else name
    return f"{name} != {number_text(field)}"


def allows_null(scope, field):
    where = intersect(intersect(field.versions, scope.possible), scope.message.versions)
    return condition(field.null, where) if is_nullable(field) else "false"


def write_element(field, value, writer, flag):
    if field.is_struct:
        return f"{value}.encode({writer}, wire_version);"
    if field.type in ("string", "bytes", "records"):
        return f"{writer}.{field.type}({value}, {flag});"
    return f"{writer}.{READS[field.type]}({value});"


def presence(field):
    return "struct_present" if field.tag is None else "tagged_struct_present"


def write_field(scope, field, writer="writer"):
    """Statements that write one field in a version that has it."""
    name, flag, null = field.cpp_name, scope.flag_of(field), allows_null(scope, field)
    if field.array:
        each = write_element(field, "element", writer, flag)
        lambda_text = f"[&](const {element_type(field)}& element) {{ {each} }}"
        null_text = f"{null}, " if is_nullable(field) else ""
        call = "encode_nullable_array" if is_nullable(field) else "encode_array"
        return [f"{call}({writer}, {name}, {flag}, {null_text}".rstrip(),
                f"    {lambda_text});"]
    if not is_nullable(field):
        return [write_element(field, name, writer, flag)]
    lines = [] if null == "true" else [f"check_null({writer}, {name}.has_value() || ({null}));"]
    if field.is_struct:
        # The presence byte is there only where the struct may be null.
        present = f"{writer}.{presence(field)}({name}.has_value());"
        lines.append(present if null == "true" else f"if ({null}) {present}")
        lines.append(f"if ({name}.has_value()) {name}->encode({writer}, wire_version);")
    else:
        lines.append(f"{writer}.nullable_{field.type}({name}, {flag});")
    return lines


def read_element(field, target, flag):
    if field.is_struct:
        return f"{target}.decode(reader, wire_version);"
    if field.type in ("string", "bytes", "records"):
        return f"{target} = reader.{field.type}({flag});"
    return f"{target} = reader.{READS[field.type]}();"


def read_field(scope, field):
    name, flag, null = field.cpp_name, scope.flag_of(field), allows_null(scope, field)
    if field.array:
        each = read_element(field, "element", flag)
        extra = f"{null}, " if is_nullable(field) else ""
        call = "decode_nullable_array" if is_nullable(field) else "decode_array"
        return [f"{call}(reader, {name}, {flag}, {extra}{element_bytes(scope.message, field)},",
                f"    [&]({element_type(field)}& element) {{ {each} }});"]
    if not is_nullable(field):
        return [read_element(field, name, flag)]
    if field.is_struct:
        absent = f"!reader.{presence(field)}()"
        test = absent if null == "true" else f"({null}) && {absent}"
        return [f"if ({test}) {{", f"    {name}.reset();", "} else {",
                f"    {name}.emplace().decode(reader, wire_version);", "}"]
    lines = [f"{name} = reader.nullable_{field.type}({flag});"]
    if null != "true":
        lines.append(f"check_null(reader, {name}.has_value() || ({null}));")
    return lines


def indented(lines, by=1):
    return ["    " * by + line for line in lines]


def guarded(test, lines):
    if test == "true":
        return lines
    if test == "false":
        return []
    return [f"if ({test}) {{", *indented(lines), "}"]


def encode_field(scope, field):
    """A plain field: written where it exists, refused or dropped where it does not."""
    test = condition(field.versions, scope.possible)
    write = guarded(test, write_field(scope, field))
    if test == "true" or field.ignorable:
        return write
    refuse = f'check_absent(writer, {differs(field)}, "{field.name}");'
    if test == "false":
        return [refuse]
    return [*write[:-1], "} else {", "    " + refuse, "}"]


def encode_tags(scope):
    lines, tests = [], {}
    for field in scope.tagged:
        test = condition(field.versions, scope.possible)
        tests[field] = test
        if test != "true" and not field.ignorable:
            lines += [f"if (!({test})) check_absent(writer, {differs(field)}, \"{field.name}\");"]
    if not scope.tagged:
        return untagged_section(scope)
    body = ["uint32_t tag_count = unknown_tags.count();"]
    for field in scope.tagged:
        guard = differs(field) if tests[field] == "true" else f"{tests[field]} && {differs(field)}"
        body.append(f"const bool has_{field.name} = {guard};")
        body.append(f"if (has_{field.name}) ++tag_count;")
    body.append("writer.uvarint(tag_count);")
    body.append("uint32_t tag_next = 0;")
    for field in scope.tagged:
        body += [f"if (has_{field.name}) {{",
                 f"    tag_next = writer.tags_before(unknown_tags, tag_next, {field.tag});",
                 f"    writer.tagged({field.tag}, [&](Writer& out) {{",
                 *indented(write_field(scope, field, "out"), 2), "    });", "}"]
    body.append("writer.tags_before(unknown_tags, tag_next, UINT64_MAX);")
    return lines + tag_section(scope, body)


def untagged_section(scope):
    return tag_section(scope, ["writer.unknown_tags(unknown_tags);"])


def tag_section(scope, body):
    if scope.flexible == "true":
        return body
    return ["if (is_flexible) {", *indented(body), "} else {",
            '    check_absent(writer, !unknown_tags.empty(), "unknown tags");', "}"]


def decode_tags(scope):
    if not scope.tagged:
        body = ["reader.unknown_tags(unknown_tags);"]
        return body if scope.flexible == "true" else guarded("is_flexible", body)
    body = ["for (TagCursor tag_cursor = reader.begin_tags(); reader.next_tag(tag_cursor);) {"]
    for i, field in enumerate(scope.tagged):
        test = condition(field.versions, scope.possible)
        test = f"tag_cursor.tag == {field.tag}" + ("" if test == "true" else f" && {test}")
        opening = "if" if i == 0 else "} else if"
        body += [f"    {opening} ({test}) {{", *indented(read_field(scope, field), 2)]
    body += ["    } else {", "        reader.keep_tag(tag_cursor, unknown_tags);", "    }", "}"]
    return body if scope.flexible == "true" else guarded("is_flexible", body)


def version_guard(scope, who, result):
    if scope.struct is not scope.message.root:
        return []
    return ["if (wire_version < kMinVersion || wire_version > kMaxVersion) {",
            f'    {who}.fail("version not defined");', f"    return{result};", "}"]


def function_lines(scope, head, body):
    if any("is_flexible" in line for line in body):
        body = [f"const bool is_flexible = {scope.flexible};", *body]
    return [head, *indented(body), "}", ""]


def struct_source(scope):
    name = scope.name()
    body = version_guard(scope, "writer", "")
    for field in scope.plain:
        body += encode_field(scope, field)
    if scope.flexible != "false":
        body += encode_tags(scope)
    elif scope.message.flexible:
        body.append('check_absent(writer, !unknown_tags.empty(), "unknown tags");')
    lines = function_lines(scope, f"void {name}::encode([[maybe_unused]] Writer& writer, "
                           "[[maybe_unused]] int16_t wire_version) const {", body)
    body = version_guard(scope, "reader", " false")
    for field in scope.plain:
        body += guarded(condition(field.versions, scope.possible), read_field(scope, field))
    if scope.flexible != "false":
        body += decode_tags(scope)
    body.append("return reader.ok();")
    lines += function_lines(scope, f"bool {name}::decode(Reader& reader, "
                            "[[maybe_unused]] int16_t wire_version) {", body)
    if has_records(scope.struct):
        lines += equality_lines(scope, name)
    return lines


def equality_lines(scope, name):
    tests = []
    for field in scope.struct.fields:
        one, other = field.cpp_name, f"other.{field.cpp_name}"
        tests.append(f"same_records({one}, {other})" if field.type == "records"
                     else f"{one} == {other}")
    if scope.message.flexible:
        tests.append("unknown_tags == other.unknown_tags")
    joined = " &&\n           ".join(tests)
    return [f"bool {name}::operator==(const {name}& other) const {{",
            f"    return {joined};", "}", ""]


def source_text(message):
    path = f"millrace/wire/gen/{message.file_stem}"
    lines = [f"// {path}.cc: codec of {message.name}; generated by tools/wiregen, do not edit.",
             f'#include "{path}.h"', "", '#include "wire/gen_support.h"', "",
             "namespace millrace::wire {", ""]
    for struct in message.ordered_structs() + [message.root]:
        lines += struct_source(Scope(message, struct))
    lines += ["}  // namespace millrace::wire", ""]
    return "\n".join(lines)
