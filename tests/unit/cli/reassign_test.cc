// tests/unit/cli/reassign_test.cc: files of moves as Kafka's tool reads them, and its texts.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/jackson.h"
#include "cli/reassign_json.h"
#include "cli/shim_reassign_text.h"

namespace millrace::cli {
namespace {

/// What --execute prints about the file before it asks a broker; empty when nothing is wrong.
std::string complaint(const std::string& json) {
    try {
        check_reassignment(parse_reassignment(json));
    } catch (const JavaProblem& problem) {
        return problem_text(problem);
    }
    return "";
}

TEST(Reassign, BrokenFilesGetApachesWords) {
    std::ifstream file(MILLRACE_SOURCE_DIR "/tests/golden/reassign/json_errors.json");
    const auto rows = nlohmann::json::parse(file);
    ASSERT_GT(rows.size(), 150U);
    for (const auto& row : rows) {
        const std::string says = row["says"];
        const std::string ours = complaint(row["input"]);
        EXPECT_EQ(ours.substr(0, says.size()), says) << row["input"];
        EXPECT_EQ(ours[says.size()], '\n') << row["input"];
    }
}

TEST(Reassign, PlacesCountLinesAndUtf16Units) {
    JacksonValue value;
    const JacksonProblem problem =
        read_jackson("{\"a\": \"\xF0\x9F\x98\x80\",\r\n \"b\" 1}", value);
    EXPECT_EQ(problem.at.line, 2);
    EXPECT_EQ(problem.at.column, 6);
    const JacksonProblem wide = read_jackson("[\"\xF0\x9F\x98\x80\" 1]", value);
    EXPECT_EQ(wide.at.column, 7);
}

TEST(Reassign, ValuesPrintAsJavaPrintsThem) {
    const std::pair<const char*, const char*> cases[] = {
        {"[1.0, 1e7, 0.001, 1.10e-7, 123456.70, -0.0, 1e400]",
         "[1.0,1.0E7,0.001,1.1E-7,123456.7,-0.0,\"Infinity\"]"},
        {"{\"a\":1,\"b\":[true,null],\"a\":\"\\u0001\\t\"}",
         "{\"a\":\"\\u0001\\t\",\"b\":[true,null]}"},
        {"12345678901234567890", "12345678901234567890"},
        {"", ""},
    };
    for (const auto& [json, text] : cases) {
        JacksonValue value;
        EXPECT_EQ(read_jackson(json, value).message, "") << json;
        EXPECT_EQ(value.to_string(), text);
    }
}

TEST(Reassign, FileKeepsRowsAndNamedDirectories) {
    const ReassignmentFile file = parse_reassignment(
        R"({"partitions":[{"topic":"t","partition":1,"replicas":[3,4],"log_dirs":["any","/d"]},)"
        R"({"topic":"t","partition":0,"replicas":[5]}]})");
    ASSERT_EQ(file.rows.size(), 2U);
    EXPECT_EQ(file.rows[0].first.to_string(), "t-1");
    EXPECT_EQ(file.dirs, (std::map<PartitionReplica, std::string>{{{4, {"t", 1}}, "/d"}}));
    EXPECT_EQ(reassignment_json(file.targets(), file.dirs),
              R"({"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[5],)"
              R"("log_dirs":["any"]},{"topic":"t","partition":1,"replicas":[3,4],)"
              R"("log_dirs":["any","/d"]}]})");
}

TEST(Reassign, BrokerListsAreSplitLikeJava) {
    EXPECT_EQ(parse_broker_list("3,1,+2,"), (std::vector<int32_t>{3, 1, 2}));
    EXPECT_TRUE(parse_broker_list(",").empty());
    for (const char* bad : {"", " 1", "1,,2", "x", "99999999999"})
        EXPECT_THROW(parse_broker_list(bad), JavaProblem) << bad;
}

TEST(Reassign, TellsStates) {
    EXPECT_EQ(states_text({{{"t", 10}, {{1}, {2}, true}},
                           {{"t", 2}, {{1, 2}, {1, 2}, true}},
                           {{"s", 0}, {{1, 2}, {2}, false}}}),
              "Status of partition reassignment:\n"
              "Reassignment of partition s-0 is still in progress.\n"
              "Reassignment of partition t-2 is completed.\n"
              "There is no active reassignment of partition t-10, but replica set is 1 rather "
              "than 2.");
    const std::map<PartitionReplica, std::string> targets = {{{1, {"t", 0}}, "/b"},
                                                             {{2, {"t", 0}}, "/b"},
                                                             {{3, {"t", 0}}, "/b"},
                                                             {{4, {"t", 0}}, "/b"},
                                                             {{5, {"t", 0}}, "/b"}};
    const std::map<PartitionReplica, ReplicaDirs> found = {{{1, {"t", 0}}, {"/b", {}}},
                                                           {{2, {"t", 0}}, {"/a", {}}},
                                                           {{3, {"t", 0}}, {"/a", "/b"}},
                                                           {{4, {"t", 0}}, {"/a", "/c"}},
                                                           {{5, {"t", 0}}, {}}};
    EXPECT_EQ(dir_moves_text(targets, found),
              "Reassignment of replica t-0-1 completed successfully.\n"
              "Partition t-0 on broker 2 is not being moved from log dir /a to /b.\n"
              "Reassignment of replica t-0-3 is still in progress.\n"
              "Partition t-0 on broker 4 is being moved to log dir /c instead of /b.\n"
              "Partition t-0 is not found in any live log dir on broker 5. There is likely an "
              "offline log directory on the broker.");
    EXPECT_EQ(ongoing_text({}), "No partition reassignments found.");
    EXPECT_EQ(ongoing_text({{{"t", 0}, {{1, 2, 3}, {3}, {}}}, {{"t", 1}, {{1}, {}, {}}}}),
              "Current partition reassignments:\nt-0: replicas: 1,2,3. adding: 3.\n"
              "t-1: replicas: 1.");
}

/// "topic: leader list / follower list" of every topic.
std::string lists_of(const ShimMoves& moves) {
    std::string text;
    for (const ResourceChange& topic : throttled_topics(moves))
        text += topic.name + ": " + topic.changes[0].value + " / " + topic.changes[1].value + "\n";
    return text;
}

TEST(Reassign, ThrottlesWhatMovesAndWhatMovedBefore) {
    const std::map<TopicPartition, OngoingReassignment> ongoing = {
        {{"o", 0}, {{1, 2, 9}, {9}, {1}}}, {{"t", 1}, {{4, 5, 6}, {6}, {4}}}};
    const std::map<TopicPartition, std::vector<int32_t>> proposed = {
        {{"t", 1}, {5, 7}}, {{"t", 0}, {1, 3}}, {{"t", 10}, {2, 1}}};
    const std::map<TopicPartition, std::vector<int32_t>> current = {
        {{"t", 1}, {4, 5, 6}}, {{"t", 0}, {1, 2}}, {{"t", 10}, {1, 2}}};
    const ShimMoves moves = proposed_moves(ongoing, proposed, current);
    EXPECT_EQ(lists_of(moves),
              "o: 0:1,0:2 / 0:9\n"
              "t: 0:1,0:2,10:1,10:2,1:4,1:5 / 0:3,1:7\n");
    std::string brokers;
    for (const ResourceChange& broker : throttled_brokers(moves, 50)) {
        EXPECT_EQ(broker.changes[0].value, "50");
        brokers += broker.name + " ";
    }
    EXPECT_EQ(brokers, "1 2 3 4 5 7 9 ");
}

}  // namespace
}  // namespace millrace::cli
