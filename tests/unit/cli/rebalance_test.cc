// tests/unit/cli/rebalance_test.cc: the offline planner as scripts see it: streams, exit codes,
// JSON.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "unit/cli/run_words.h"

namespace millrace::cli {
namespace {

nlohmann::json plan_of(const Outcome& outcome) { return nlohmann::json::parse(outcome.out); }
nlohmann::json error_of(const Outcome& outcome) {
    return nlohmann::json::parse(outcome.err).at("error");
}

class Rebalance : public testing::Test {
  protected:
    void SetUp() override {
        path_ = testing::TempDir() + "millrace_rebalance_" + std::to_string(getpid()) + ".json";
    }
    void TearDown() override { unlink(path_.c_str()); }

    Outcome plan(const std::string& snapshot, std::vector<std::string> more = {},
                 bool json = true) {
        std::ofstream(path_) << snapshot;
        std::vector<std::string> words{"millrace", "rebalance-rackaware", "plan", "--cluster",
                                       path_};
        words.insert(words.end(), more.begin(), more.end());
        if (json) words.insert(words.end(), {"-o", "json"});
        return run_words(words);
    }

    std::string path_;
};

const char* const kBad = R"({"version":1,"metadata_offset":77,"later":[{"a":[1]}],
 "brokers":[{"id":1,"rack":"FD0UD0","port":9092},{"id":2,"rack":"FD0UD1"},
            {"id":3,"rack":"FD1UD1","log_dirs":[{"path":"/d0"},{"path":"/d1","used_bytes":5}]}],
 "topics":[{"name":"t","partitions":[
   {"partition":0,"replicas":[1,2],"isr":[1,2],"leader":1,"size_bytes":1000,"bytes_in_rate":1.5}]}]})";

const char* const kGood = R"({"version":1,"brokers":[{"id":1,"rack":"a"},{"id":2,"rack":"b"}],
 "topics":[{"name":"t","partitions":[{"partition":0,"replicas":[1,2]}]}]})";

TEST_F(Rebalance, PlansAsJson) {
    const Outcome outcome = plan(kBad);
    ASSERT_EQ(outcome.exit_code, kDone) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    const auto json = plan_of(outcome);
    EXPECT_EQ(json["version"], 1);
    EXPECT_EQ(outcome.out.rfind("{\"version\":1,\"partitions\":[", 0), 0u);
    ASSERT_EQ(json["partitions"].size(), 1u);
    const auto& row = json["partitions"][0];
    EXPECT_EQ(row["replicas"].size(), row["log_dirs"].size());
    const auto& move = json["moves"][0];
    EXPECT_EQ(move["from"], nlohmann::json({1, 2}));
    EXPECT_EQ(move["adding"], nlohmann::json({3}));
    EXPECT_EQ(move["bytes"], 1000);
    EXPECT_EQ(move["wave"], 0);
    EXPECT_EQ(json["waves"], nlohmann::json::parse(R"([[{"topic":"t","partition":0}]])"));
    EXPECT_EQ(json["skipped"], nlohmann::json::array());
    EXPECT_EQ(json["summary"]["violations_before"], 1);
    EXPECT_EQ(json["summary"]["violations_after"], 0);
    EXPECT_EQ(json["summary"]["optimal"], true);
    EXPECT_EQ(json["metadata_offset"], 77);
    EXPECT_EQ(json["hash"].get<std::string>().size(), 64u);
}

TEST_F(Rebalance, ChecksForScripts) {
    EXPECT_EQ(plan(kBad, {"--check"}).exit_code, kPending);
    const Outcome good = plan(kGood, {"--check"});
    EXPECT_EQ(good.exit_code, kDone);
    EXPECT_EQ(plan_of(good)["partitions"], nlohmann::json::array());
    EXPECT_EQ(plan_of(good)["moves"], nlohmann::json::array());
    EXPECT_EQ(plan_of(good)["waves"], nlohmann::json::array());
    EXPECT_EQ(plan_of(good)["metadata_offset"], nullptr);
}

TEST_F(Rebalance, PlansForPeople) {
    const Outcome outcome = plan(kBad, {}, false);
    EXPECT_EQ(outcome.exit_code, kDone);
    EXPECT_NE(outcome.out.find("not rack-safe   1 → 0"), std::string::npos) << outcome.out;
    EXPECT_EQ(plan(kGood, {}, false).out, "nothing to move: 1 partition is rack-safe\n");
}

struct WrongCase {
    std::string snapshot;
    std::vector<std::string> options;
    int exit_code;
    const char* rule;
    const char* says;
};

TEST_F(Rebalance, RefusalsAreJsonOnTheErrorStream) {
    const std::string one_topic = R"("topics":[{"name":"t","partitions":[)";
    const std::string brokers =
        R"({"version":1,"brokers":[{"id":1,"rack":"a"},{"id":2,"rack":"b"}],)";
    const WrongCase cases[] = {
        {"{\"version\":1,\n \"brokers\":[}", {}, kUsage, "bad-json", "line 2, column 13"},
        {"", {}, kUsage, "bad-json", "line 1, column 1"},
        {"[]", {}, kUsage, "bad-input", "must not be an array"},
        {R"({"brokers":[],"topics":[]})", {}, kUsage, "bad-input", "version is missing"},
        {R"({"version":2,"brokers":[],"topics":[]})", {}, kUsage, "bad-input", "version must be 1"},
        {R"({"version":1,"topics":[]})", {}, kUsage, "bad-input", "brokers is missing"},
        {R"({"version":1,"brokers":[{"id":1,"state":"gone"}],"topics":[]})",
         {},
         kUsage,
         "bad-input",
         "brokers[0].state must be up, down, dead or cordoned"},
        {brokers + one_topic + R"({"partition":0,"replicas":["1"]}]}]})",
         {},
         kUsage,
         "bad-input",
         "topics[0].partitions[0].replicas"},
        {brokers + one_topic +
             R"({"partition":0,"replicas":[1],"size_bytes":9223372036854775808}]}]})",
         {},
         kUsage,
         "bad-input",
         "63 bits"},
        {brokers + one_topic +
             R"({"partition":0,"replicas":[1,2],"size_bytes":9223372036854775807}]}]})",
         {},
         kUsage,
         "overflow",
         "63 bits"},
        {brokers + "\"topics\":[{\"name\":\"\xff\",\"partitions\":[]}]}",
         {},
         kUsage,
         "bad-json",
         "line 1, column"},
        {brokers + R"("topics":[],"topics":[]})", {}, kUsage, "bad-input", "topics is there twice"},
        {brokers + one_topic + R"({"partition":0,"replicas":[1],"replicas":[2]}]}]})",
         {},
         kUsage,
         "bad-input",
         "topics[0].partitions[0].replicas is there twice"},
        {R"({"version":1,"brokers":[{"id":1,"labels":{"a":"x","a":"y"}}],"topics":[]})",
         {},
         kUsage,
         "bad-input",
         "brokers[0].labels.a is there twice"},
        {brokers + one_topic + R"({"partition":0,"replicas":[1],"leader":-2}]}]})",
         {},
         kUsage,
         "bad-input",
         "leader must be"},
        {kGood, {"--replication-factor", ""}, kUsage, "usage", "--replication-factor"},
        {kGood, {"--replication-factor", "0"}, kUsage, "replication-factor", "below 1"},
        {kGood, {"--replication-factor", "2147483648"}, kUsage, "usage", "2147483648"},
        {kGood,
         {"--replication-factor", "65"},
         kFailed,
         "replication-factor-over-brokers",
         "65 copies"},
        {kGood, {"--max-moves-per-broker", "0"}, kUsage, "usage", "--max-moves-per-broker"},
        {kGood, {"--topics", "\xff"}, kUsage, "unknown-topic", "no topic"},
        {kGood, {"--topics", "x"}, kUsage, "unknown-topic", "no topic 'x'"},
        {kGood, {"--dead", "one"}, kUsage, "usage", "no broker id"},
        {kGood, {"--leaders", "some"}, kUsage, "usage", "leaders"},
        {kGood, {"--leader", "all"}, kUsage, "usage", "--leader"},
        {kGood, {"--disk-high-water", "2"}, kUsage, "usage", "no part"},
        {kGood,
         {"--replication-factor", "3"},
         kFailed,
         "replication-factor-over-brokers",
         "3 copies"},
        {R"({"version":1,"brokers":[{"id":1},{"id":2,"rack":"b"}],"topics":[]})",
         {},
         kFailed,
         "unlabelled-broker",
         "1 (no rack)"},
    };
    for (const WrongCase& one : cases) {
        const Outcome outcome = plan(one.snapshot, one.options);
        EXPECT_EQ(outcome.exit_code, one.exit_code) << outcome.err;
        EXPECT_EQ(outcome.out, "");
        EXPECT_EQ(error_of(outcome)["rule"], one.rule) << outcome.err;
        EXPECT_NE(error_of(outcome)["message"].get<std::string>().find(one.says), std::string::npos)
            << outcome.err;
        EXPECT_EQ(error_of(outcome)["blocking"].size(), error_of(outcome)["blocking_total"]);
    }
    const Outcome blocked = plan(kGood, {"--replication-factor", "3"});
    EXPECT_EQ(error_of(blocked)["blocking"],
              nlohmann::json::parse(R"([{"topic":"t","partition":0}])"));
}

TEST_F(Rebalance, BrokenJsonShowsTheLine) {
    const Outcome outcome = plan("{\"version\":1 \"brokers\":[]}", {}, false);
    EXPECT_EQ(outcome.exit_code, kUsage);
    EXPECT_NE(outcome.err.find("line 1, column"), std::string::npos);
    EXPECT_NE(outcome.err.find("^\n"), std::string::npos) << outcome.err;
}

}  // namespace
}  // namespace millrace::cli
