# tools/wiregen/schema.py: reads src/wire/schema/*.schema into messages, structs and fields.
#
# A file is one message. Its first line names it, the indented lines are fields in wire order,
# deeper lines are the fields of that field's struct, and `struct` lines define shared structs:
#
#   request FetchRequest key 1 versions 4-18 flexible 12+ listeners broker controller
#       replica_id int32 0-14 default -1 ignorable
#       topics []FetchTopic 0+
#           topic string 0-12 ignorable
#
# A field is: name type versions [null VERSIONS] [tag N] [default VALUE], then any of: ignorable,
# key (of a keyed collection), classic (never in compact form).
import os
import re

INFINITY = 32767
NUMBERS = {"int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8}
KINDS = ("request", "response", "header", "metadata", "data", "coordinator-key",
         "coordinator-value")
CPP_KEYWORDS = {"register", "namespace", "delete", "default", "operator", "public", "private",
                "class", "new", "template", "this", "union", "short", "long", "int", "export"}
LOCALS = {"reader", "writer", "wire_version", "is_flexible", "tag_count", "tag_cursor", "tag_next",
          "element", "out", "encode", "decode", "unknown_tags"}


class SchemaError(Exception):
    pass


def parse_versions(text):
    """'3+', '0-5', '2' or 'none' as an inclusive pair, or None."""
    if text == "none":
        return None
    found = re.fullmatch(r"(\d+)(\+|-(\d+))?", text)
    if not found:
        raise SchemaError(f"bad versions '{text}'")
    low = int(found[1])
    if found[2] is None:
        return (low, low)
    return (low, INFINITY if found[2] == "+" else int(found[3]))


def intersect(a, b):
    if a is None or b is None:
        return None
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None


class Struct:
    def __init__(self, name, versions):
        self.name, self.versions, self.fields = name, versions, []
        # The C++ name at namespace level; the message gives it its short name as an alias. (Truly
        # nested structs with default members trip clang's checks of optional and vector.)
        self.cpp_name = name


class Field:
    def __init__(self, name, type_text, versions):
        self.name, self.versions = name, versions
        self.array = type_text.startswith("[]")
        self.type = type_text[2:] if self.array else type_text
        self.null, self.tag, self.default = None, None, None
        self.ignorable = self.key = self.classic = False
        self.struct = None

    @property
    def is_struct(self):
        return self.type[0].isupper()

    @property
    def cpp_name(self):
        return self.name + "_" if self.name in CPP_KEYWORDS | LOCALS else self.name


class Message:
    def __init__(self, kind, name):
        self.kind, self.name = kind, name
        self.key, self.versions, self.flexible = None, None, None
        self.listeners, self.unstable = [], False
        self.root, self.structs = None, {}

    @property
    def file_stem(self):
        return snake(self.name)

    def ordered_structs(self):
        """Structs so that each follows those it holds."""
        done = []

        def visit(struct):
            for field in struct.fields:
                if field.struct is not None:
                    visit(field.struct)
            if struct not in done and struct is not self.root:
                done.append(struct)

        visit(self.root)
        for struct in self.structs.values():
            visit(struct)
        return done


def snake(name):
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()


def parse_head(words):
    if words[0] not in KINDS:
        raise SchemaError(f"unknown kind '{words[0]}'")
    message = Message(words[0], words[1])
    i = 2
    while i < len(words):
        word = words[i]
        if word == "key":
            message.key = int(words[i + 1])
        elif word == "versions":
            message.versions = parse_versions(words[i + 1])
        elif word == "flexible":
            message.flexible = parse_versions(words[i + 1])
        elif word == "listeners":
            message.listeners = words[i + 1:]
            break
        elif word == "unstable":
            message.unstable = True
            i += 1
            continue
        else:
            raise SchemaError(f"unknown word '{word}'")
        i += 2
    if message.versions is None or message.versions[1] == INFINITY:
        raise SchemaError("a message needs a closed range of versions")
    return message


def parse_field(words):
    if len(words) < 3:
        raise SchemaError("a field needs name, type and versions")
    field = Field(words[0], words[1], parse_versions(words[2]))
    i = 3
    while i < len(words):
        word = words[i]
        if word in ("ignorable", "key", "classic"):
            setattr(field, word, True)
            i += 1
        elif word in ("null", "tag", "default"):
            value = words[i + 1]
            setattr(field, word, parse_versions(value) if word == "null"
                    else int(value) if word == "tag" else value)
            i += 2
        else:
            raise SchemaError(f"unknown word '{word}'")
    return field


def parse(text, where):
    message, stack = None, []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.split("#")[0].rstrip()
        if not bare:
            continue
        try:
            words, indent = bare.split(), len(bare) - len(bare.lstrip())
            if message is None:
                message = parse_head(words)
                message.root = Struct(message.name, message.versions)
                stack = [(0, message.root)]
            elif indent == 0 and words[0] == "struct":
                struct = Struct(words[1], intersect(parse_versions(words[2]), message.versions))
                add_struct(message, struct)
                stack = [(0, struct)]
            else:
                while stack[-1][0] >= indent:
                    stack.pop()
                if not stack:
                    raise SchemaError("bad indentation")
                add_field(message, stack, indent, parse_field(words))
        except (SchemaError, ValueError, IndexError) as problem:
            raise SchemaError(f"{where}:{number}: {problem}") from problem
    if message is None:
        raise SchemaError(f"{where}: empty")
    resolve(message, where)
    return message


def add_struct(message, struct):
    if struct.name in message.structs:
        raise SchemaError(f"struct {struct.name} defined twice")
    message.structs[struct.name] = struct


def add_field(message, stack, indent, field):
    parent = stack[-1][1]
    if isinstance(parent, Field):  # the first field of an inline struct
        struct = Struct(parent.type, intersect(parent.versions, parent.parent_versions))
        add_struct(message, struct)
        stack[-1] = (stack[-1][0], struct)
        parent = struct
    if any(other.name == field.name for other in parent.fields):
        raise SchemaError(f"field {field.name} defined twice")
    field.parent_versions = parent.versions
    parent.fields.append(field)
    if field.is_struct:
        stack.append((indent, field))


def resolve(message, where):
    for struct in message.structs.values():
        struct.cpp_name = message.name + struct.name
    for struct in [message.root, *message.structs.values()]:
        tags = sorted(f.tag for f in struct.fields if f.tag is not None)
        if tags != list(range(len(tags))):
            raise SchemaError(f"{where}: tags of {struct.name} are not 0..n")
        for field in struct.fields:
            if field.is_struct:
                if field.type not in message.structs:
                    raise SchemaError(f"{where}: no struct {field.type}")
                field.struct = message.structs[field.type]


def load_folder(folder):
    messages = []
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".schema"):
            continue
        path = os.path.join(folder, name)
        with open(path, encoding="utf-8") as file:
            message = parse(file.read(), path)
        if message.file_stem + ".schema" != name:
            raise SchemaError(f"{path}: should be named {message.file_stem}.schema")
        messages.append(message)
    return messages
