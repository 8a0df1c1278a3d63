// tests/unit/cli/cli_test.cc: what the command line prints, and how it ends.
#include "cli/cli.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "cli/interrupt.h"
#include "cli/murmur2.h"
#include "cli/output.h"
#include "cli/report.h"
#include "millrace/base/error_code.h"
#include "unit/cli/run_words.h"

namespace millrace::cli {
namespace {

struct ErrorCase {
    std::vector<std::string> words;
    int exit_code;
    const char* err;
};

TEST(CliErrors, SayWhatAndHow) {
    const ErrorCase cases[] = {
        {{"topik", "describe", "orders"},
         kUsage,
         "error: no command 'topik'\n"
         "  fix: did you mean 'topic'?   millrace topic describe orders\n"},
        {{"topic", "creat", "x"},
         kUsage,
         "error: no command 'creat'\n"
         "  fix: did you mean 'create'?   millrace topic create x\n"},
        {{"xyzzy"},
         kUsage,
         "error: no command 'xyzzy'\n  fix: millrace --help lists the commands\n"},
        {{"topic", "list", "--bootsrap-server", "x"},
         kUsage,
         "error: no option '--bootsrap-server' for millrace topic list\n"
         "  fix: did you mean '--bootstrap-server'?\n"},
        {{"topic", "create"},
         kUsage,
         "error: name is required\n  fix: millrace topic create --help\n"},
        {{"topic", "list", "-b", "localhost:http"},
         kUsage,
         "error: 'localhost:http' is no host:port\n"
         "  fix: give -b host:port, for example -b localhost:9092\n"},
        {{"topic", "trim", "t", "--before", "x"},
         kUsage,
         "error: 'x' is no offset\n  fix: give --before N or --before latest\n"},
        {{"config", "get", "topik", "t"},
         kUsage,
         "error: no kind of resource 'topik'\n  fix: did you mean 'topic'?\n"},
        {{"config", "set", "broker", "one", "a=b"},
         kUsage,
         "error: 'one' is no broker id\n"
         "  fix: give a number, or all for the cluster's default\n"},
        {{"config", "set", "topic", "t", "retention.ms"},
         kUsage,
         "error: 'retention.ms' is not key=value\n  fix: write key=value\n"},
        {{"completion", "tcsh"}, kUsage, "error: no script for 'tcsh'\n  fix: bash, zsh or fish\n"},
        {{"log", "dump", "/nonexistent/00000000000000000000.log"},
         kNotFound,
         "error: cannot read /nonexistent/00000000000000000000.log: No such file or directory\n"
         "  fix: give the path of a file that is there and readable\n"},
        {{"log", "dump", "/nonexistent", "-o", "json"},
         kNotFound,
         "{\"apiVersion\":\"v1\",\"kind\":\"Error\",\"error\":\"cannot read /nonexistent: No such "
         "file or directory\",\"fix\":\"give the path of a file that is there and readable\","
         "\"exitCode\":5}\n"},
        // Found before the options were read.
        {{"topik", "list", "-o", "json"},
         kUsage,
         "{\"apiVersion\":\"v1\",\"kind\":\"Error\",\"error\":\"no command 'topik'\",\"fix\":\"did "
         "you mean 'topic'?   millrace topic list -o json\",\"exitCode\":2}\n"},
        {{"topic", "create", "--output=json"},
         kUsage,
         "{\"apiVersion\":\"v1\",\"kind\":\"Error\",\"error\":\"name is required\",\"fix\":"
         "\"millrace topic create --help\",\"exitCode\":2}\n"},
        // Nothing listens on port 1 of this machine.
        {{"topic", "list", "-b", "127.0.0.1:1", "-o", "json"},
         kNoConnection,
         "{\"apiVersion\":\"v1\",\"kind\":\"Error\",\"error\":\"cannot connect to 127.0.0.1:1: "
         "Connection refused\",\"fix\":\"is the broker running there? start one with: millrace "
         "dev\",\"exitCode\":3}\n"},
    };
    for (const ErrorCase& c : cases) {
        const Outcome outcome = run_millrace(c.words);
        EXPECT_EQ(outcome.exit_code, c.exit_code) << c.err;
        EXPECT_EQ(outcome.err, c.err);
    }
}

TEST(CliErrors, AFixForThoseThatSayNone) {
    const struct {
        Failure failure;
        const char* fix;
    } cases[] = {
        {{kFailed, "", "", static_cast<int16_t>(ErrorCode::InvalidTopicException)},
         "a name has 1 to 249 letters, digits, dots, underscores and dashes"},
        {{kFailed, "", "", static_cast<int16_t>(ErrorCode::InvalidReplicationFactor)},
         "ask for no more replicas than there are brokers: millrace cluster shows them"},
        {{kUsage, "", ""}, "millrace topic list --help"},
        {{kNotFound, "", "", static_cast<int16_t>(ErrorCode::UnknownTopicOrPartition)},
         "check the name; the list commands show what there is"},
        {{kFailed, "", ""}, "the broker's log says more; millrace health looks at the cluster"},
    };
    for (const auto& c : cases) EXPECT_EQ(usual_fix(c.failure, "millrace topic list"), c.fix);
}

TEST(CliInterrupt, TwoSignalsAreRememberedTheThirdEnds) {
    {
        const InterruptGuard guard;
        EXPECT_FALSE(interrupted());
        std::raise(SIGHUP);
        EXPECT_TRUE(interrupted());
        std::raise(SIGINT);
    }
    const auto thrice = [] {
        const InterruptGuard guard;
        for (const int signal : {SIGINT, SIGHUP, SIGTERM})
            std::raise(signal);
    };
    EXPECT_EXIT(thrice(), testing::KilledBySignal(SIGTERM), "");
}

TEST(CliInterrupt, NohupHolds) {
    const auto before = std::signal(SIGHUP, SIG_IGN);
    {
        const InterruptGuard guard;
        std::raise(SIGHUP);
        EXPECT_FALSE(interrupted());
    }
    EXPECT_EQ(std::signal(SIGHUP, before), SIG_IGN);
}

TEST(CliHelp, ListsTheCommands) {
    const Outcome help = run_millrace({"--help"});
    EXPECT_EQ(help.exit_code, kDone);
    for (const char* command : {"topic", "produce", "consume", "cluster", "config", "log", "health",
                                "version", "completion"}) {
        EXPECT_NE(help.out.find(std::string("\n  ") + command + " "), std::string::npos) << command;
    }
    EXPECT_EQ(help.out.find("__complete"), std::string::npos);
    EXPECT_EQ(run_millrace({}).exit_code, kUsage);
    const Outcome create = run_millrace({"topic", "create", "--help"});
    EXPECT_EQ(create.exit_code, kDone);
    EXPECT_NE(create.out.find("Usage: millrace topic create [OPTIONS] name..."), std::string::npos)
        << create.out;
}

TEST(CliVersion, ForPeopleAndPrograms) {
    EXPECT_EQ(run_millrace({"version"}).out, "millrace 0.1.0 (speaks Apache Kafka 4.3)\n");
    EXPECT_EQ(run_millrace({"--version"}).out, "millrace 0.1.0 (speaks Apache Kafka 4.3)\n");
    EXPECT_EQ(nlohmann::json::parse(run_millrace({"version", "-o", "json"}).out)["kind"], "Version");
}

TEST(CliCompletion, KnowsCommandsAndOptions) {
    EXPECT_EQ(run_millrace({"__complete", "--", "topic", "d"}).out, "describe\ndelete\n");
    EXPECT_EQ(run_millrace({"__complete", "--", "c"}).out, "consume\ncluster\nconfig\ncompletion\n");
    EXPECT_EQ(run_millrace({"__complete", "--", "topic", "create", "--par"}).out, "--partitions\n");
    EXPECT_EQ(run_millrace({"__complete", "--", "completion", ""}).out, "bash\nzsh\nfish\n");
    EXPECT_NE(run_millrace({"completion", "bash"}).out.find("__complete"), std::string::npos);
    const auto zsh = nlohmann::json::parse(run_millrace({"completion", "zsh", "-o", "json"}).out);
    EXPECT_EQ(zsh["items"][0]["shell"], "zsh");
    EXPECT_NE(zsh["items"][0]["script"].get<std::string>().find("compdef"), std::string::npos);
}

/// The files and the dumps were made by Kafka 4.3.1 (tests/golden/log_dir).
TEST(CliLogDump, PrintsWhatKafkasDumperPrints) {
    const std::string folder = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/log_dir/";
    for (const char* name : {"codecs-0", "txn-0", "open-0"}) {
        std::ifstream file(folder + "dump/" + name + ".txt");
        std::vector<std::string> words{"log", "dump", "--print-data-log"};
        std::string expected;
        for (std::string line; std::getline(file, line);) {
            constexpr std::string_view kStart = "Dumping data/";
            if (line.starts_with(kStart)) {
                words.push_back(folder + line.substr(kStart.size()));
                line = "Dumping " + words.back();
            }
            // "data/x.index is empty."
            if (line.starts_with("data/")) line = folder + line.substr(5);
            expected += line + "\n";
        }
        ASSERT_GT(words.size(), 3U) << name;
        const Outcome outcome = run_millrace(words);
        EXPECT_EQ(outcome.exit_code, kDone);
        EXPECT_EQ(outcome.out, expected) << name;
    }
}

TEST(CliLogDump, SpeaksJsonToo) {
    const std::string folder = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/log_dir/";
    std::vector<std::string> words{"log", "dump", "--print-data-log", "-o", "json"};
    for (const char* end : {".log", ".index", ".timeindex"}) {
        words.push_back(folder + "codecs-0/00000000000000000000" + end);
    }
    words.push_back(folder + "open-0/00000000000000000002.snapshot");
    const Outcome outcome = run_millrace(words);
    EXPECT_EQ(outcome.exit_code, kDone) << outcome.err;
    const auto items = nlohmann::json::parse(outcome.out)["items"];
    ASSERT_EQ(items.size(), 4U);
    EXPECT_EQ(items[0]["entries"][0]["baseOffset"], 0);
    EXPECT_EQ(items[0]["entries"][0]["records"][1]["headerKeys"][0], "h1");
    EXPECT_EQ(items[0]["entries"][0]["records"][0]["key"], "none-k0");
    EXPECT_EQ(items[1]["entries"][0]["position"], 439);
    EXPECT_EQ(items[2]["entries"][0]["offset"], 7);
    EXPECT_EQ(items[3]["entries"][0]["currentTxnFirstOffset"], 0);
}

TEST(CliLogVerify, FindsWhatIsDamaged) {
    const std::string folder = std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/log_dir/";
    const Outcome good = run_millrace({"log", "verify", folder});
    EXPECT_EQ(good.exit_code, kDone) << good.out << good.err;
    EXPECT_NE(good.out.find(": all is well\n"), std::string::npos);

    std::ifstream in(folder + "codecs-0/00000000000000000000.log", std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    std::string damaged = bytes.str();
    damaged[100] = static_cast<char>(damaged[100] ^ 1);
    damaged.resize(damaged.size() - 1);
    const std::string copy = testing::TempDir() + "/00000000000000000000.log";
    std::ofstream(copy, std::ios::binary) << damaged;
    const Outcome bad = run_millrace({"log", "verify", copy});
    EXPECT_EQ(bad.exit_code, kUnhealthy);
    EXPECT_NE(bad.out.find("batch at offset 0, position 0: wrong checksum"), std::string::npos);
    EXPECT_NE(bad.out.find("are no whole batch"), std::string::npos);
    std::remove(copy.c_str());
}

/// Values of org.apache.kafka.common.utils.UtilsTest.
TEST(Murmur2, EqualsJavas) {
    const std::pair<const char*, int32_t> cases[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107}};
    for (const auto& [text, hash] : cases) {
        EXPECT_EQ(static_cast<int32_t>(murmur2(text)), hash) << text;
    }
}

TEST(CliOutput, NumbersTimesAndTables) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(1296), "1,296");
    EXPECT_EQ(grouped(-1234567), "-1,234,567");
    EXPECT_EQ(bytes_text(512), "512 B");
    EXPECT_EQ(bytes_text(8'815'411'200), "8.21 GiB");
    EXPECT_EQ(counted(1, "partition"), "1 partition");
    EXPECT_EQ(time_text(1795252442118), "2026-11-21 09:14:02.118");
    EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(base64("f"), "Zg==");
    EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
    EXPECT_TRUE(is_utf8("gr\xC3\xBC\xC3\x9F"));
    EXPECT_FALSE(is_utf8("\xC3("));
    Table table({"NAME", ">N"});
    table.add({"a", "1"});
    table.add({"long", "100"});
    EXPECT_EQ(table.to_string(), "NAME    N\na       1\nlong  100\n");
}

}  // namespace
}  // namespace millrace::cli
