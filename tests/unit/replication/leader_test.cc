// tests/unit/replication/leader_test.cc: high watermark and acks=all of one leader.
#include "millrace/replication/leader.h"

#include <gtest/gtest.h>

namespace millrace::replication {
namespace {

LeaderStart start_with(std::vector<NodeId> replicas, std::vector<NodeId> isr, int32_t min_isr) {
    LeaderStart start;
    start.self = NodeId(1);
    start.epoch = LeaderEpoch(0);
    start.replicas = std::move(replicas);
    start.isr = std::move(isr);
    start.min_insync_replicas = min_isr;
    start.log_end = Offset(0);
    start.high_watermark = Offset(0);
    return start;
}

TEST(Leader, SoleReplicaCommitsAtAppend) {
    Leader leader(start_with({NodeId(1)}, {NodeId(1)}, 2));
    EXPECT_EQ(leader.check_acks_all(), ErrorCode::None) << "min ISR is capped by the RF";
    LeaderOutput output;
    leader.on_appended(Offset(5), output);
    EXPECT_TRUE(output.high_watermark_moved);
    EXPECT_EQ(leader.high_watermark(), Offset(5));
}

TEST(Leader, AcksWaitForTheSlowestInSyncReplica) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2), NodeId(3)};
    Leader leader(start_with(all, all, 2));
    LeaderOutput output;
    leader.on_appended(Offset(10), output);
    leader.park_ack(7, Offset(10), Instant{1000}, Instant{0}, output);
    EXPECT_TRUE(output.acks.empty());
    EXPECT_EQ(output.wake_at, Instant{1000});
    leader.on_follower_fetch(NodeId(2), Offset(10), output);
    EXPECT_TRUE(output.acks.empty());
    leader.on_follower_fetch(NodeId(3), Offset(10), output);
    ASSERT_EQ(output.acks.size(), 1U);
    EXPECT_EQ(output.acks[0].waiter, 7U);
    EXPECT_EQ(output.acks[0].error, ErrorCode::None);
}

TEST(Leader, WaiterTimesOutWithKafkasCode) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2)};
    Leader leader(start_with(all, all, 1));
    LeaderOutput output;
    leader.on_appended(Offset(1), output);
    leader.park_ack(1, Offset(1), Instant{50}, Instant{0}, output);
    output.clear();
    leader.on_tick(Instant{49}, output);
    EXPECT_TRUE(output.acks.empty());
    leader.on_tick(Instant{50}, output);
    ASSERT_EQ(output.acks.size(), 1U);
    EXPECT_EQ(output.acks[0].error, ErrorCode::RequestTimedOut);
}

TEST(Leader, ShrunkIsrReleasesWithNotEnoughAfterAppend) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2)};
    Leader leader(start_with(all, all, 2));
    LeaderOutput output;
    leader.on_appended(Offset(1), output);
    leader.park_ack(1, Offset(1), Instant{50}, Instant{0}, output);
    leader.on_partition_change(1, all, {NodeId(1)}, output);
    ASSERT_EQ(output.acks.size(), 1U);
    EXPECT_EQ(output.acks[0].error, ErrorCode::NotEnoughReplicasAfterAppend);
    EXPECT_EQ(leader.check_acks_all(), ErrorCode::NotEnoughReplicas);
}

TEST(Leader, ResignAnswersEveryWaiter) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2)};
    Leader leader(start_with(all, all, 1));
    LeaderOutput output;
    leader.on_appended(Offset(2), output);
    leader.park_ack(1, Offset(1), Instant{50}, Instant{0}, output);
    leader.park_ack(2, Offset(2), Instant{50}, Instant{0}, output);
    output.clear();
    leader.on_resign(ErrorCode::NotLeaderOrFollower, output);
    ASSERT_EQ(output.acks.size(), 2U);
    EXPECT_EQ(output.acks[1].error, ErrorCode::NotLeaderOrFollower);
}

}  // namespace
}  // namespace millrace::replication
