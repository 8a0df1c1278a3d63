#!/usr/bin/env python3
# tests/unit/dev/tidy_test.py: tidy refuses what it must and lets pass what it may.
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../tools/dev"))
import tidy  # noqa: E402
from floors import FLOORS, blank  # noqa: E402
from size_report import functions  # noqa: E402


def includes(path, *lines):
    failures = []
    tidy.check_includes(path, "".join(f"#include {line}\n" for line in lines), failures)
    return failures


def bans(code, path="src/storage/log.cc", companion=""):
    failures = []
    tidy.check_determinism(path, code, blank(code), failures, blank(companion))
    return failures


class IncludeOrder(unittest.TestCase):
    def test_doors_of_allowed_floors_pass(self):
        self.assertEqual(includes("src/storage/log.cc", '"millrace/storage/log.h"', '"millrace/base/ids.h"',
                                  '"millrace/env/disk.h"', '"storage/segment.h"', "<fmt/core.h>", "<vector>"), [])

    def test_upward_sideways_and_private_includes_fail(self):
        for path, header in (("src/storage/log.cc", '"millrace/broker/node.h"'),
                             ("src/storage/log.cc", '"millrace/raft/quorum.h"'),
                             ("include/millrace/raft/quorum.h", '"millrace/wire/reader.h"'),
                             ("src/api/fetch.cc", '"broker/node.h"'),
                             ("src/broker/node.cc", '"storage/segment.h"'),
                             ("tests/unit/api/fetch_test.cc", '"storage/segment.h"'),
                             ("src/base/bytes.cc", '"millrace/env/disk.h"')):
            self.assertEqual(len(includes(path, header)), 1, f"{path} {header}")

    def test_third_party_stays_in_its_floor(self):
        for path, header in (("src/api/session.cc", "<boost/asio.hpp>"), ("src/net/server.cc", "<yaml-cpp/yaml.h>"),
                             ("src/base/bytes.cc", "<spdlog/spdlog.h>"), ("src/record/batch.cc", "<lz4frame.h>")):
            self.assertEqual(len(includes(path, header)), 1, f"{path} {header}")
        for path, header in (("src/net/server.cc", "<boost/asio.hpp>"), ("src/app/config_yaml.cc", "<yaml-cpp/yaml.h>"),
                             ("src/base/log.cc", "<spdlog/spdlog.h>"), ("src/record/compression.cc", "<zstd.h>")):
            self.assertEqual(includes(path, header), [], f"{path} {header}")

    def test_every_floor_includes_only_lower_ones(self):
        for floor, (level, _, allowed) in FLOORS.items():
            for other in allowed:
                self.assertLess(FLOORS[other][0], level, f"{floor} -> {other}")


class Determinism(unittest.TestCase):
    def test_the_world_outside_is_refused(self):
        for code in ("auto t = std::chrono::steady_clock::now();", "std::mutex m;", "std::thread t(f);",
                     "std::random_device d;", "int r = rand();", 'getenv("HOME");', 'fopen("x", "r");',
                     "::fsync(fd);", "throw 1;", "co_await f();", "#include <chrono>\n", "#include <fcntl.h>\n",
                     "std::this_thread::yield();", "std::filesystem::path p;", "time(nullptr);"):
            self.assertEqual(len(bans(code)), 1, code)

    def test_words_in_comments_strings_and_longer_names_pass(self):
        for code in ("// throw it away; now() is a clock\n", '"rand() and std::thread"', "file.open();", "strand(1);",
                     "thrown = true;", "timer.time(now);", "known::nowhere();", "log.send(x);"):
            self.assertEqual(bans(code), [], code)

    def test_walks_over_unordered_containers_fail(self):
        door = "std::unordered_map<int, std::string> logs_;"
        self.assertEqual(len(bans("for (auto& [k, v] : logs_) f(v);", companion=door)), 1)
        self.assertEqual(len(bans("auto it = logs_.begin();", companion=door)), 1)
        self.assertEqual(bans("logs_.find(3); for (int i : order_) f(i);", companion=door), [])

    def test_the_operating_system_floors_are_free(self):
        self.assertNotIn("net", tidy.DETERMINISTIC)
        self.assertNotIn("app", tidy.DETERMINISTIC)


class Sizes(unittest.TestCase):
    def test_functions_are_found_with_their_lengths(self):
        code = ("namespace a {\nclass B : public C<D(E)> {\n  void f() { g(); }\n};\n"
                "int B::h(int x)\n{\n    if (x) {\n        return 1;\n    }\n    return 2;\n}\n}\n")
        self.assertEqual([(name, length) for name, _, length in functions(code)], [("f", 1), ("B::h", 6)])


if __name__ == "__main__":
    unittest.main()
