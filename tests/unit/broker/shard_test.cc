// tests/unit/broker/shard_test.cc: logs of many new partitions are made a few a turn.
#include "millrace/broker/shard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "unit/broker/node_world.h"

namespace millrace::broker {
namespace {

constexpr int32_t kMany = 300;
constexpr size_t kMostInOneTurn = 64;

struct Watched : NodeWorld {
    std::vector<size_t> counts;  // hosted partitions, turn by turn
    void watch(int turns) {
        counts.push_back(node->shard().partition_count());
        if (turns > 0) timers.post([this, turns] { watch(turns - 1); });
    }
};

TEST(Shard, NewLogsOfAHugeTopicTakeTurns) {
    Watched world;
    world.start();
    world.watch(2000);
    world.create_topic("huge", kMany, {});
    ASSERT_EQ(world.node->shard().partition_count(), kMany);
    size_t most = 0;
    for (size_t i = 1; i < world.counts.size(); ++i) {
        most = std::max(most, world.counts[i] - world.counts[i - 1]);
    }
    EXPECT_LE(most, kMostInOneTurn);
    for (int32_t i = 0; i < kMany; ++i) {
        Partition* partition = world.partition("huge", i);
        ASSERT_NE(partition, nullptr) << i;
        EXPECT_EQ(world.produce(*partition, "k", "v"), ErrorCode::None) << i;
    }
}

TEST(Shard, LogsThatWaitAreMadeForTheImageOfThen) {
    Watched world;
    world.start();
    int16_t deleted = -1;
    // Deleted as soon as its first logs are there, and made anew under the same name.
    std::function<void()> probe = [&] {
        if (world.node->shard().partition_count() == 0) return world.timers.post([&] { probe(); });
        EXPECT_LT(world.node->shard().partition_count(), kMany);
        wire::DeleteTopicsRequest request;
        request.timeout_ms = 1000;
        request.topics.emplace_back().name = "huge";
        world.node->shard().controller().run(
            std::move(request), {}, Reply<metadata::ControllerResponse>([&](auto response) {
                deleted =
                    std::get<wire::DeleteTopicsResponse>(response).responses.at(0).error_code;
            }));
    };
    probe();
    world.create_topic("huge", kMany, {});
    ASSERT_EQ(deleted, 0);
    EXPECT_EQ(world.node->shard().partition_count(), 0U);
    world.create_topic("huge", 100, {});
    EXPECT_EQ(world.node->shard().partition_count(), 100U);
    EXPECT_EQ(world.produce(*world.partition("huge", 99), "k", "v"), ErrorCode::None);
}

}  // namespace
}  // namespace millrace::broker
