# tests/unit/wire/wiregen_test.py: the generator against a small golden message, and its refusals.
#
#   python3 tests/unit/wire/wiregen_test.py [--update]
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
GOLDEN = os.path.join(ROOT, "tests", "golden", "wire", "wiregen")
sys.path.insert(0, os.path.join(ROOT, "tools", "wiregen"))
import header  # noqa: E402
import schema  # noqa: E402
import source  # noqa: E402
import wiregen  # noqa: E402

HEAD = "request FooRequest key 1 versions 0-1 flexible 1+ listeners broker\n"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def generated():
    message = schema.parse(read(os.path.join(GOLDEN, "sample_request.schema")), "sample")
    return {"sample_request.h.golden": header.header_text(message),
            "sample_request.cc.golden": source.source_text(message)}


class WiregenTest(unittest.TestCase):
    maxDiff = None

    def test_golden(self):
        for name, text in generated().items():
            self.assertEqual(text, read(os.path.join(GOLDEN, name)), name)

    def test_refuses_bad_schemas(self):
        for body, reason in (
                ("    a int32\n", "name, type and versions"),
                ("    a int32 0+ nul 0+\n", "unknown word"),
                ("    a int32 0+\n    a int32 0+\n", "defined twice"),
                ("    a Missing 0+\n", "no struct"),
                ("    a int32 1+ tag 1\n", "not 0..n"),
                ("    a int32 x+\n", "bad versions")):
            with self.assertRaisesRegex(schema.SchemaError, reason):
                schema.parse(HEAD + body, "test")
        with self.assertRaisesRegex(schema.SchemaError, "unknown kind"):
            schema.parse("reqest Foo versions 0\n", "test")
        with self.assertRaisesRegex(schema.SchemaError, "closed range"):
            schema.parse("request Foo versions 0+\n", "test")

    def test_names(self):
        for camel, expected in (("TopicId", "topic_id"), ("KRaftVersion", "k_raft_version"),
                                ("V3AndBelowTopics", "v3_and_below_topics"),
                                ("LogStartOffset", "log_start_offset")):
            self.assertEqual(schema.snake(camel), expected)

    def test_conditions(self):
        self.assertEqual(source.condition((0, 5), (0, 5)), "true")
        self.assertEqual(source.condition((3, schema.INFINITY), (0, 5)), "wire_version >= 3")
        self.assertEqual(source.condition((1, 2), (0, 5)), "wire_version >= 1 && wire_version <= 2")
        self.assertEqual(source.condition((6, 9), (0, 5)), "false")
        self.assertEqual(source.condition(None, (0, 5)), "false")

    def test_unchanged_output_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "deep", "file.h")
            self.assertTrue(wiregen.write_if_changed(path, "one"))
            self.assertFalse(wiregen.write_if_changed(path, "one"))
            self.assertTrue(wiregen.write_if_changed(path, "two"))
            self.assertEqual(os.listdir(os.path.dirname(path)), ["file.h"])


if __name__ == "__main__":
    if "--update" in sys.argv:
        for golden_name, golden_text in generated().items():
            with open(os.path.join(GOLDEN, golden_name), "w", encoding="utf-8") as out:
                out.write(golden_text)
    else:
        unittest.main()
