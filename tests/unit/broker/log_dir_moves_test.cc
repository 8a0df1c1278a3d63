// tests/unit/broker/log_dir_moves_test.cc: a node's logs from one directory to another.
#include "broker/log_dir_moves.h"

#include <gtest/gtest.h>

#include <string>

#include "unit/broker/node_world.h"

namespace millrace::broker {
namespace {

class LogDirMovesTest : public ::testing::Test {
  protected:
    LogDirMovesTest() : w({"/data", "/other"}) {
        w.settings["log.dirs"] = "/data,/other";
        w.settings["alter.log.dirs.replication.quota.window.num"] = "2";
        w.start();
        w.create_topic("t", 1, {{"segment.bytes", "1048576"}});
        fill(0, 300);
        alter("/data");
        w.run(seconds(3));
        EXPECT_EQ(where(), "/data/t-0");
    }
    void fill(int first, int count) {
        const std::string value(10'000, 'v');
        for (int i = first; i < first + count; ++i) {
            ASSERT_EQ(w.produce(*w.partition("t", 0), std::to_string(i), value), ErrorCode::None);
        }
    }
    ErrorCode alter(const std::string& path) {
        return w.node->shard().alter_log_dir({"t", PartitionIndex(0)}, path);
    }
    const std::string& where() { return w.partition("t", 0)->log().directory(); }
    std::string assigned() {
        const metadata::TopicImage* topic = w.node->shard().image().topics.find("t");
        const auto id = topic->partition(PartitionIndex(0))->directory_of(NodeId(1));
        const LogDir* dir = w.node->shard().log_dirs().find(*id);
        return dir == nullptr ? "" : dir->path;
    }
    /// Names of folders in a directory that begin with t-0.
    std::vector<std::string> folders(const std::string& path) {
        std::vector<std::string> names;
        const auto listed = w.disk.list(path);
        for (const auto& entry : *listed) {
            if (entry.is_directory && entry.name.starts_with("t-0")) names.push_back(entry.name);
        }
        return names;
    }
    bool copying_to(const std::string& path) {
        const auto names = folders(path);
        return names.size() == 1 && names[0].ends_with("-future");
    }
    void throttle(const char* rate) {
        wire::IncrementalAlterConfigsRequest request;
        auto& resource = request.resources.emplace_back();
        resource.resource_type = 4;
        resource.resource_name = "1";
        auto& config = resource.configs.emplace_back();
        config.name = "replica.alter.log.dirs.io.max.bytes.per.second";
        config.config_operation = 0;
        config.value = rate;
        w.node->shard().controller().run(
            std::move(request), {}, Reply<metadata::ControllerResponse>([](const auto&) {}));
        w.run(seconds(1));
    }

    NodeWorld w;
};

TEST_F(LogDirMovesTest, ChangesOverWhenTheControllerKnows) {
    EXPECT_EQ(alter("/other"), ErrorCode::None);
    w.run(seconds(5));
    EXPECT_EQ(where(), "/other/t-0");
    EXPECT_EQ(assigned(), "/other");
    EXPECT_EQ(w.partition("t", 0)->log().log_end_offset(), Offset(300));
    EXPECT_EQ(folders("/other"), std::vector<std::string>{"t-0"});
    ASSERT_EQ(folders("/data").size(), 1U);
    EXPECT_TRUE(folders("/data")[0].ends_with("-delete"));
    fill(300, 10);
    w.stop();
    w.start();
    EXPECT_EQ(where(), "/other/t-0");
    EXPECT_EQ(w.partition("t", 0)->log().log_end_offset(), Offset(310));
}

TEST_F(LogDirMovesTest, ACrashInTheChangeOverLeavesTheOneThatTheControllerNames) {
    EXPECT_EQ(alter("/other"), ErrorCode::None);
    w.run(seconds(5));
    ASSERT_EQ(where(), "/other/t-0");
    w.kill();
    ASSERT_TRUE(w.disk.rename("/data/" + folders("/data").at(0), "/data/t-0").ok());
    w.start();
    EXPECT_EQ(where(), "/other/t-0");
    EXPECT_EQ(w.partition("t", 0)->log().log_end_offset(), Offset(300));
    ASSERT_EQ(folders("/data").size(), 1U);
    EXPECT_TRUE(folders("/data")[0].ends_with("-stray"));
}

TEST_F(LogDirMovesTest, ALogThatIsCompactedMovesWithItsLine) {
    w.create_topic("c", 1, {{"cleanup.policy", "compact"}, {"segment.bytes", "1048576"},
                            {"min.cleanable.dirty.ratio", "0.01"}});
    Partition& partition = *w.partition("c", 0);
    const std::string from = partition.log().directory() == "/data/c-0" ? "/data" : "/other";
    const std::string to = from == "/data" ? "/other" : "/data";
    const std::string value(10'000, 'v');
    for (int i = 0; i < 400; ++i) {
        ASSERT_EQ(w.produce(partition, std::to_string(i % 7), value), ErrorCode::None);
    }
    w.run(seconds(40));
    const auto cleaned = [&](const std::string& path) {
        return w.disk.contents(path + "/cleaner-offset-checkpoint").find("c 0 ") !=
               std::string::npos;
    };
    ASSERT_TRUE(cleaned(from));
    const uint64_t small = partition.log().size_bytes();
    EXPECT_EQ(w.node->shard().alter_log_dir({"c", PartitionIndex(0)}, to), ErrorCode::None);
    w.run(seconds(40));
    EXPECT_EQ(partition.log().directory(), to + "/c-0");
    EXPECT_LE(partition.log().size_bytes(), small);
    EXPECT_TRUE(cleaned(to));
    EXPECT_FALSE(cleaned(from));
}

TEST_F(LogDirMovesTest, WhatCannotBeAskedFor) {
    EXPECT_EQ(alter("/elsewhere"), ErrorCode::LogDirNotFound);
    EXPECT_EQ(w.node->shard().alter_log_dir({"u", PartitionIndex(0)}, "/other"),
              ErrorCode::UnknownTopicOrPartition);
    EXPECT_EQ(w.node->shard().alter_log_dir({"t", PartitionIndex(7)}, "/other"),
              ErrorCode::UnknownTopicOrPartition);
    EXPECT_EQ(alter("/data"), ErrorCode::None) << "it is there";
    w.run(seconds(2));
    EXPECT_EQ(folders("/other").size(), 0U);
    // What was asked for before the topic came decides where it is made.
    w.create_topic("u", 1, {});
    EXPECT_EQ(w.partition("u", 0)->log().directory(), "/other/u-0");
}

TEST_F(LogDirMovesTest, AThrottledCopyGoesOnAfterAKillAndIsCalledBack) {
    throttle("1000");
    EXPECT_EQ(alter("/other"), ErrorCode::None);
    w.run(milliseconds(500));
    EXPECT_TRUE(copying_to("/other"));
    EXPECT_EQ(where(), "/data/t-0");
    w.kill();
    w.start();
    w.run(milliseconds(500));
    EXPECT_TRUE(copying_to("/other"));
    EXPECT_EQ(where(), "/data/t-0");
    EXPECT_EQ(alter("/data"), ErrorCode::None);
    EXPECT_FALSE(copying_to("/other"));
    w.run(seconds(5));
    EXPECT_EQ(where(), "/data/t-0");
    EXPECT_EQ(assigned(), "/data");
    // And again, to the end.
    EXPECT_EQ(alter("/other"), ErrorCode::None);
    w.run(milliseconds(500));
    throttle("100000000");
    fill(300, 50);
    w.run(seconds(5));
    EXPECT_EQ(where(), "/other/t-0");
    EXPECT_EQ(w.partition("t", 0)->log().log_end_offset(), Offset(350));
}

TEST_F(LogDirMovesTest, AWriteThatWaitsWhileTheLogChangesIsNotLost) {
    EXPECT_EQ(alter("/other"), ErrorCode::None);
    // A small batch waits for the end of the event whenever the mover looks: it was called before.
    for (int i = 0; i < 20'000 && where() != "/other/t-0"; ++i) {
        w.background.run_all();
        w.disk.run_posted();
        ASSERT_EQ(w.produce(*w.partition("t", 0), "k", "v"), ErrorCode::None);
        if (w.timers.run_posted() > 0) continue;
        if (w.timers.next() > w.clock.now()) w.clock.advance(w.timers.next() - w.clock.now());
        w.timers.fire_next();
    }
    ASSERT_EQ(where(), "/other/t-0");
    w.run(milliseconds(1));
    Partition* partition = w.partition("t", 0);
    const ProduceOutcome outcome = w.produce_outcome(*partition, "k", "last");
    ASSERT_EQ(outcome.error, ErrorCode::None);
    w.run(milliseconds(1));
    EXPECT_FALSE(partition->must_wait(outcome.required, 1));
}

TEST_F(LogDirMovesTest, ATopicDeletedInMidMoveTakesItsCopyAlong) {
    throttle("1000");
    EXPECT_EQ(alter("/other"), ErrorCode::None);
    w.run(milliseconds(500));
    EXPECT_TRUE(copying_to("/other"));
    wire::DeleteTopicsRequest request;
    request.topics.emplace_back().name = "t";
    w.node->shard().controller().run(std::move(request), {},
                                     Reply<metadata::ControllerResponse>([](const auto&) {}));
    w.run(seconds(120));
    EXPECT_EQ(folders("/data").size(), 0U);
    EXPECT_EQ(folders("/other").size(), 0U);
}

TEST_F(LogDirMovesTest, TheCopyFollowsCutsAndDeletions) {
    throttle("1000");
    EXPECT_EQ(alter("/other"), ErrorCode::None);
    w.run(milliseconds(500));
    int64_t low = -1;
    EXPECT_EQ(w.partition("t", 0)->delete_records(250, low), ErrorCode::None);
    throttle("100000000");
    w.run(seconds(5));
    EXPECT_EQ(where(), "/other/t-0");
    EXPECT_EQ(w.partition("t", 0)->log().log_start_offset(), Offset(250));
    EXPECT_EQ(w.partition("t", 0)->log().log_end_offset(), Offset(300));
}

}  // namespace
}  // namespace millrace::broker
