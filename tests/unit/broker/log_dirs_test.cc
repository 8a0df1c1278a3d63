// tests/unit/broker/log_dirs_test.cc: damaged logs, clean stops of many partitions.
#include "millrace/broker/log_dirs.h"

#include <gtest/gtest.h>

#include <string>

#include "unit/broker/node_world.h"

namespace millrace::broker {
namespace {

constexpr const char* kMarker = "/data/.kafka_cleanshutdown";

TEST(LogDirs, ADamagedLogIsOnePartitionOfflineUntilItIsMended) {
    NodeWorld w;
    w.start();
    w.create_topic("t", 3, {});
    for (int i = 0; i < 3; ++i) {
        for (int n = 0; n < 10; ++n) {
            ASSERT_EQ(w.produce(*w.partition("t", i), "k", "v"), ErrorCode::None);
        }
    }
    w.stop();
    ASSERT_TRUE(w.disk.stat(kMarker)->has_value());
    const std::string file = "/data/t-1/00000000000000000000.log";
    const std::string sound = w.disk.contents(file);
    // The marker would vouch for it: a machine that crashed later has none.
    ASSERT_TRUE(w.disk.remove(kMarker).ok());
    w.disk.flip_bit(file, 30, 2);
    const std::string damaged = w.disk.contents(file);

    for (int start = 0; start < 2; ++start) {
        w.start();
        w.run(seconds(1));
        EXPECT_EQ(w.fatal, "");
        EXPECT_EQ(w.produce(*w.partition("t", 0), "k", "v"), ErrorCode::None);
        EXPECT_EQ(w.produce(*w.partition("t", 2), "k", "v"), ErrorCode::None);
        EXPECT_EQ(w.produce(*w.partition("t", 1), "k", "v"), ErrorCode::KafkaStorageError);
        const metadata::TopicImage* topic = w.node->shard().image().topics.find("t");
        EXPECT_EQ(topic->partition(PartitionIndex(1))->leader, NodeId(-1));
        EXPECT_EQ(topic->partition(PartitionIndex(2))->leader, NodeId(1));
        w.stop();
        // Not clean: the damage must be found again.
        EXPECT_FALSE(w.disk.stat(kMarker)->has_value());
        EXPECT_EQ(w.disk.contents(file), damaged);
    }
    w.disk.put(file, sound);
    w.start();
    w.run(seconds(1));
    const metadata::TopicImage* topic = w.node->shard().image().topics.find("t");
    EXPECT_EQ(topic->partition(PartitionIndex(1))->leader, NodeId(1));
    EXPECT_EQ(w.partition("t", 1)->log().log_end_offset(), Offset(10));
    EXPECT_EQ(w.produce(*w.partition("t", 1), "k", "v"), ErrorCode::None);
    EXPECT_EQ(w.partition("t", 2)->log().log_end_offset(), Offset(12));
    w.stop();
    EXPECT_TRUE(w.disk.stat(kMarker)->has_value());
}

TEST(LogDirs, ADamagedLogGoesWithItsTopic) {
    NodeWorld w;
    w.start();
    w.create_topic("t", 1, {});
    for (int n = 0; n < 10; ++n) {
        ASSERT_EQ(w.produce(*w.partition("t", 0), "k", "v"), ErrorCode::None);
    }
    w.stop();
    ASSERT_TRUE(w.disk.remove(kMarker).ok());
    w.disk.flip_bit("/data/t-0/00000000000000000000.log", 30, 2);
    w.start();
    wire::DeleteTopicsRequest request;
    request.timeout_ms = 1000;
    request.topic_names.push_back("t");
    w.node->shard().controller().run(std::move(request), {},
                                     Reply<metadata::ControllerResponse>([](const auto&) {}));
    w.run(seconds(2));
    EXPECT_FALSE(w.disk.stat("/data/t-0")->has_value());
    w.stop();
    EXPECT_TRUE(w.disk.stat(kMarker)->has_value());
}

TEST(LogDirs, PartitionsWithoutNewDataCostNoSyncAtAStop) {
    NodeWorld w;
    w.start();
    w.create_topic("many", 50, {});
    w.stop();
    w.start();  // leads all of them in a new epoch
    int in_partitions = 0;
    w.disk.set_hook([&](support::DiskOp op, const std::string& path) -> std::optional<Status> {
        const bool sync = op == support::DiskOp::Sync || op == support::DiskOp::SyncAsync ||
                          op == support::DiskOp::SyncDirectory;
        if (sync && path.find("/many-") != std::string::npos) ++in_partitions;
        return std::nullopt;
    });
    w.stop();
    EXPECT_EQ(in_partitions, 0);
}

}  // namespace
}  // namespace millrace::broker
