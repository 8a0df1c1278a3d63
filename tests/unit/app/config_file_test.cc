// tests/unit/app/config_file_test.cc: properties and YAML in, notes out.
#include "app/config_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace millrace::app {
namespace {

struct ParseCase {
    const char* text;
    std::vector<std::pair<std::string, std::string>> values;
};

TEST(Properties, AreReadAsJavaReadsThem) {
    const ParseCase cases[] = {
        {"a=1\nb = 2 \n", {{"a", "1"}, {"b", "2 "}}},
        {"a:1\nb : 2\nc 3\n", {{"a", "1"}, {"b", "2"}, {"c", "3"}}},
        {"  # comment\n! other\n\n\ta=1", {{"a", "1"}}},
        {"a=x,\\\n   y,\\\n   z\nb=1", {{"a", "x,y,z"}, {"b", "1"}}},
        {"a=x\\\\\nb=1", {{"a", "x\\"}, {"b", "1"}}},
        {"a=\\t\\n\\u0041\\\\\\q", {{"a", "\t\nA\\q"}}},
        {"a\\=b=c", {{"a=b", "c"}}},
        {"a", {{"a", ""}}},
        {"a=", {{"a", ""}}},
        {"a==b", {{"a", "=b"}}},
        {"a = = b", {{"a", "= b"}}},
        {"a=1\r\nb=2\r\n", {{"a", "1"}, {"b", "2"}}},
        {"a=\xE9", {{"a", "\xC3\xA9"}}},
        {"a=\\uD83D\\uDE00", {{"a", "\xF0\x9F\x98\x80"}}},
        {"a=x\\", {{"a", "x"}}},
        {"a=1\n#b=\\\nc=2", {{"a", "1"}, {"c", "2"}}},
        {"listeners=PLAINTEXT://:9092", {{"listeners", "PLAINTEXT://:9092"}}},
    };
    for (const ParseCase& c : cases) {
        const ConfigFile file = parse_config_text("x.properties", c.text);
        EXPECT_TRUE(file.readable()) << c.text;
        EXPECT_EQ(file.values, metadata::ConfigMap(c.values.begin(), c.values.end())) << c.text;
    }
}

TEST(Properties, TheLastDuplicateWinsWithAWarning) {
    const ConfigFile file = parse_config_text("x.properties", "a=1\nb=0\n\na=2\n");
    EXPECT_EQ(file.values.at("a"), "2");
    ASSERT_EQ(file.notes.size(), 1U);
    EXPECT_EQ(file.notes[0].level, NoteLevel::Warning);
    EXPECT_EQ(file.notes[0].line, 4);
    EXPECT_EQ(file.notes[0].text, "'a' is set twice (first at line 1); this one counts");
}

TEST(Properties, AMalformedEscapeIsAnErrorOfItsLine) {
    const ConfigFile file = parse_config_text("x.properties", "a=1\nb=\\u12G4\n");
    EXPECT_FALSE(file.readable());
    EXPECT_EQ(file.notes[0].line, 2);
}

TEST(Yaml, FlatAndNestedKeysMeanTheSame) {
    const ParseCase cases[] = {
        {"log.dirs: /d\nnum.partitions: 3", {{"log.dirs", "/d"}, {"num.partitions", "3"}}},
        {"log:\n  dirs: /d\n  retention:\n    hours: 1",
         {{"log.dirs", "/d"}, {"log.retention.hours", "1"}}},
        {"log.dirs: [/a, /b]\nprocess.roles:\n  - broker\n  - controller",
         {{"log.dirs", "/a,/b"}, {"process.roles", "broker,controller"}}},
        {"listeners: \"PLAINTEXT://:9092\"", {{"listeners", "PLAINTEXT://:9092"}}},
        {"log.retention.ms: 7d\nlog.segment.bytes: 512MiB\nlog.retention.hours: 2d",
         {{"log.retention.ms", "604800000"},
          {"log.segment.bytes", "536870912"},
          {"log.retention.hours", "48"}}},
        {"broker.rack: 7d", {{"broker.rack", "7d"}}},
        {"", {}},
    };
    for (const ParseCase& c : cases) {
        const ConfigFile file = parse_config_text("x.yaml", c.text);
        EXPECT_TRUE(file.readable()) << c.text;
        EXPECT_EQ(file.values, metadata::ConfigMap(c.values.begin(), c.values.end())) << c.text;
    }
}

TEST(Yaml, FaultsNameTheirLine) {
    const std::tuple<const char*, int, const char*> cases[] = {
        {"a: 1\nb: 2\na: 3", 3, "'a' is set twice (first at line 1)"},
        {"log.dirs: /a\nlog:\n  dirs: /b", 3, "'log.dirs' is set twice (first at line 1)"},
        {"a: 1\nb:\n", 2, "'b' has no value; write \"\" for the empty one"},
        {"a: [1, 2\nb: 3", 2, "end of sequence flow not found"},
        {"- a\n- b", 1, "the file must be a map of keys to values"},
    };
    for (const auto& [text, line, message] : cases) {
        const ConfigFile file = parse_config_text("x.yaml", text);
        ASSERT_FALSE(file.notes.empty()) << text;
        EXPECT_EQ(file.notes[0].text, message);
        EXPECT_EQ(file.notes[0].line, line) << text;
    }
}

TEST(ConfigFile, TheFormIsToldByExtensionThenByText) {
    EXPECT_TRUE(parse_config_text("x.yml", "a=1").yaml);
    EXPECT_FALSE(parse_config_text("x.properties", "a: 1").yaml);
    EXPECT_TRUE(parse_config_text("config", "# c\na: 1\n").yaml);
    EXPECT_FALSE(parse_config_text("config", "a=1\n").yaml);
    EXPECT_FALSE(parse_config_text("config", "listeners=PLAINTEXT://:1\n").yaml);
}

constexpr const char* kNode =
    "process.roles: broker,controller\n"
    "node.id: 1\n"
    "controller.listener.names: CONTROLLER\n"
    "listeners: PLAINTEXT://:9092,CONTROLLER://:9093\n"
    "controller.quorum.voters: 1@localhost:9093\n";

TEST(ConfigCheck, AnUnknownKeyIsAnErrorInYamlAndAWarningInProperties) {
    const std::string line = "  log.retention.hour: 168\n";
    const ConfigFile yaml =
        parse_config_text("n.yaml", kNode + std::string("log.retention.hour: 168\n"));
    EXPECT_EQ(print_notes(yaml, check_config_file(yaml, false)),
              "n.yaml:6:1  error    unknown key 'log.retention.hour'\n"
              "    6 | log.retention.hour: 168\n"
              "      | ^^^^^^^^^^^^^^^^^^ did you mean 'log.retention.hours'?\n"
              "server would not start: 1 error, 0 warnings\n");
    const ConfigFile props = parse_config_text("n.properties", kNode + line);
    const auto notes = check_config_file(props, false);
    EXPECT_FALSE(any_error(notes));
    EXPECT_EQ(notes.size(), 1U);
    EXPECT_TRUE(any_error(check_config_file(props, true)));
}

TEST(ConfigCheck, FaultsAreShownAtTheirKeys) {
    const ConfigFile file =
        parse_config_text("n.yaml", kNode + std::string("num.io.threads: many\nlog.roll.ms: x\n"));
    EXPECT_EQ(print_notes(file, check_config_file(file, false)),
              "n.yaml:6:1  error    Invalid value many for configuration num.io.threads: Not a "
              "number of type INT\n"
              "n.yaml:7:1  error    Invalid value x for configuration log.roll.ms: Not a number of "
              "type LONG\n"
              "server would not start: 2 errors, 0 warnings\n");
    const ConfigFile good = parse_config_text("n.yaml", kNode + std::string("num.io.threads: 9\n"));
    EXPECT_EQ(print_notes(good, check_config_file(good, false)),
              "n.yaml:6:1  warning  'num.io.threads' has no effect here; it is kept for Kafka's "
              "tools\n"
              "server would start: 0 errors, 1 warning\n");
}

TEST(ConfigCheck, ADuplicateDoesNotHideTheRest) {
    const ConfigFile file =
        parse_config_text("n.yaml", kNode + std::string("node.id: 2\nnum.partitions: x\n"));
    EXPECT_EQ(print_notes(file, check_config_file(file, false)),
              "n.yaml:6:1  error    'node.id' is set twice (first at line 2)\n"
              "n.yaml:7:1  error    Invalid value x for configuration num.partitions: Not a number "
              "of type INT\n"
              "server would not start: 2 errors, 0 warnings\n");
}

TEST(ConfigCheck, AMissingFileIsOneNote) {
    const ConfigFile file = read_config_file("/nonexistent/x.yaml");
    EXPECT_EQ(print_notes(file, check_config_file(file, false)),
              "/nonexistent/x.yaml  error    the file cannot be opened\n"
              "server would not start: 1 error, 0 warnings\n");
}

TEST(SampleConfigs, AllParseAndWouldStart) {
    for (const char* name :
         {"broker.yaml", "controller.yaml", "combined.yaml", "server.properties"}) {
        const std::string path = std::string(MILLRACE_SOURCE_DIR) + "/config/" + name;
        const ConfigFile file = read_config_file(path);
        const auto notes = check_config_file(file, true);
        EXPECT_TRUE(notes.empty()) << print_notes(file, notes);
    }
}

TEST(ConfigReference, IsFresh) {
    std::ifstream in(std::string(MILLRACE_SOURCE_DIR) + "/config/REFERENCE.md");
    std::ostringstream text;
    text << in.rdbuf();
    EXPECT_TRUE(text.str() == config_reference())
        << "run: millrace config reference > config/REFERENCE.md";
}

}  // namespace
}  // namespace millrace::app
