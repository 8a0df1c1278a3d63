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
    leader.on_appended(Instant{0}, Offset(5), output);
    EXPECT_TRUE(output.high_watermark_moved);
    EXPECT_EQ(leader.high_watermark(), Offset(5));
}

TEST(Leader, AcksWaitForTheSlowestInSyncReplica) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2), NodeId(3)};
    Leader leader(start_with(all, all, 2));
    LeaderOutput output;
    leader.on_appended(Instant{0}, Offset(10), output);
    leader.park_ack(7, Offset(10), Instant{1000}, Instant{0}, output);
    EXPECT_TRUE(output.acks.empty());
    EXPECT_EQ(output.wake_at, Instant{1000});
    leader.on_follower_fetch(Instant{0}, {NodeId(2), Offset(10)}, output);
    EXPECT_TRUE(output.acks.empty());
    leader.on_follower_fetch(Instant{0}, {NodeId(3), Offset(10)}, output);
    ASSERT_EQ(output.acks.size(), 1U);
    EXPECT_EQ(output.acks[0].waiter, 7U);
    EXPECT_EQ(output.acks[0].error, ErrorCode::None);
}

TEST(Leader, WaiterTimesOutWithKafkasCode) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2)};
    Leader leader(start_with(all, all, 1));
    LeaderOutput output;
    leader.on_appended(Instant{0}, Offset(1), output);
    leader.park_ack(1, Offset(1), Instant{50}, Instant{0}, output);
    output.clear();
    leader.on_tick(Instant{49}, output);
    EXPECT_TRUE(output.acks.empty());
    leader.on_tick(Instant{50}, output);
    ASSERT_EQ(output.acks.size(), 1U);
    EXPECT_EQ(output.acks[0].error, ErrorCode::RequestTimedOut);
}

TEST(Leader, BelowTheMinimumNothingIsCommitted) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2)};
    Leader leader(start_with(all, all, 2));
    LeaderOutput output;
    leader.on_appended(Instant{0}, Offset(1), output);
    leader.park_ack(1, Offset(1), Instant{50}, Instant{0}, output);
    leader.on_partition_change(Instant{0}, 1, all, {NodeId(1)}, output);
    EXPECT_EQ(leader.high_watermark(), Offset(0)) << "KIP-966";
    EXPECT_TRUE(output.acks.empty());
    EXPECT_EQ(leader.check_acks_all(), ErrorCode::NotEnoughReplicas);
    leader.on_tick(Instant{50}, output);
    ASSERT_EQ(output.acks.size(), 1U);
    EXPECT_EQ(output.acks[0].error, ErrorCode::RequestTimedOut);
}

const std::vector<NodeId> kAll{NodeId(1), NodeId(2), NodeId(3)};
const std::vector<NodeId> kTwo{NodeId(1), NodeId(2)};

FollowerFetch fetch_of(int32_t node, int64_t offset, int64_t broker_epoch = -1) {
    return {NodeId(node), Offset(offset), BrokerEpoch(broker_epoch), true};
}
std::vector<NodeId> nodes_of(const IsrProposal& proposal) {
    std::vector<NodeId> nodes;
    for (const ReplicaWithEpoch& replica : proposal.isr) nodes.push_back(replica.id);
    return nodes;
}
Instant at(int64_t ms) { return Instant{} + milliseconds(ms); }

TEST(Leader, AReplicaThatCaughtUpIsProposedAndCountsAtOnce) {
    Leader leader(start_with(kAll, kTwo, 1));
    LeaderOutput output;
    leader.on_appended(at(0), Offset(10), output);
    EXPECT_EQ(leader.on_follower_fetch(at(1), fetch_of(2, 10), output), ErrorCode::None);
    EXPECT_EQ(leader.high_watermark(), Offset(10));
    leader.on_follower_fetch(at(2), fetch_of(3, 4), output);
    EXPECT_FALSE(output.propose.has_value()) << "it lacks committed records";
    leader.on_follower_fetch(at(3), fetch_of(3, 10, 7), output);
    ASSERT_TRUE(output.propose.has_value());
    EXPECT_EQ(nodes_of(*output.propose), kAll);
    EXPECT_EQ(output.propose->isr[2].epoch, BrokerEpoch(7));
    output.clear();
    leader.on_appended(at(4), Offset(12), output);
    leader.on_follower_fetch(at(5), fetch_of(2, 12), output);
    EXPECT_EQ(leader.high_watermark(), Offset(10)) << "the one on its way in is waited for";
    EXPECT_FALSE(output.propose.has_value()) << "one proposal in flight";
    leader.on_isr_decision(at(6), {ErrorCode::None, LeaderEpoch(0), 1, kAll}, output);
    EXPECT_EQ(leader.isr(), kAll);
    leader.on_follower_fetch(at(7), fetch_of(3, 12, 7), output);
    EXPECT_EQ(leader.high_watermark(), Offset(12));
}

TEST(Leader, ItIsKnownWhoseFirstFetchIsAwaited) {
    Leader leader(start_with(kAll, kTwo, 1));
    LeaderOutput output;
    EXPECT_TRUE(leader.awaits_first_fetch());
    leader.on_follower_fetch(at(1), fetch_of(2, 0), output);
    EXPECT_FALSE(leader.awaits_first_fetch()) << "3 is not in the ISR: nobody waits for it";
    EXPECT_FALSE(Leader(start_with({NodeId(1)}, {NodeId(1)}, 1)).awaits_first_fetch());
}

TEST(Leader, DecisionsOnAProposal) {
    struct Case {
        ErrorCode error;
        bool again;      // proposed once more
        bool in_flight;  // still counts as proposed
    };
    const Case cases[] = {
        {ErrorCode::IneligibleReplica, false, false},
        {ErrorCode::OperationNotAttempted, false, false},
        {ErrorCode::FencedLeaderEpoch, false, true},
        {ErrorCode::InvalidUpdateVersion, false, true},
        {ErrorCode::UnknownTopicId, false, true},
        {ErrorCode::RequestTimedOut, true, true},
        {ErrorCode::StaleBrokerEpoch, true, true},
    };
    for (const Case& c : cases) {
        Leader leader(start_with(kAll, kTwo, 1));
        LeaderOutput output;
        leader.on_follower_fetch(at(1), fetch_of(3, 0), output);
        ASSERT_TRUE(output.propose.has_value());
        output.clear();
        leader.on_isr_decision(at(2), {c.error, LeaderEpoch(0), 0, {}}, output);
        EXPECT_EQ(output.propose.has_value(), c.again) << error_code_name(c.error);
        output.clear();
        leader.on_follower_fetch(at(3), fetch_of(3, 0), output);
        EXPECT_EQ(output.propose.has_value(), !c.in_flight) << error_code_name(c.error);
    }
}

TEST(Leader, NewerMetadataSettlesAProposal) {
    Leader leader(start_with(kAll, kTwo, 1));
    LeaderOutput output;
    leader.on_follower_fetch(at(1), fetch_of(3, 0), output);
    output.clear();
    leader.on_partition_change(at(2), 1, kAll, kTwo, output);
    leader.on_follower_fetch(at(3), fetch_of(3, 0), output);
    ASSERT_TRUE(output.propose.has_value());
    EXPECT_EQ(output.propose->partition_epoch, 1);
}

TEST(Leader, WhoFallsBehindLeavesTheIsr) {
    Leader leader(start_with(kAll, kAll, 1));
    LeaderOutput output;
    leader.on_appended(at(0), Offset(5), output);
    for (int64_t now = 1'000; now <= 45'000; now += 1'000) {
        leader.on_follower_fetch(at(now), fetch_of(2, 5), output);
        leader.on_tick(at(now), output);
        if (now < 45'000) {
            EXPECT_FALSE(output.propose.has_value()) << now;
        }
    }
    ASSERT_TRUE(output.propose.has_value()) << "30 s of silence, looked at every 15 s";
    EXPECT_EQ(nodes_of(*output.propose), kTwo);
    EXPECT_EQ(leader.high_watermark(), Offset(0)) << "until it is decided the old ISR counts";
    leader.on_isr_decision(at(45'001), {ErrorCode::None, LeaderEpoch(0), 1, kTwo}, output);
    EXPECT_EQ(leader.high_watermark(), Offset(5));
}

TEST(Leader, ASilentReplicaWithTheWholeLogStays) {
    Leader leader(start_with(kAll, kAll, 1));
    LeaderOutput output;
    leader.on_follower_fetch(at(1), fetch_of(2, 0), output);
    leader.on_follower_fetch(at(1), fetch_of(3, 0), output);
    leader.on_tick(at(60'000), output);
    EXPECT_FALSE(output.propose.has_value()) << "nothing was written meanwhile";
}

TEST(Leader, RefusesStrangersAndOldRegistrations) {
    Leader leader(start_with(kAll, kAll, 1));
    LeaderOutput output;
    EXPECT_EQ(leader.on_follower_fetch(at(1), fetch_of(9, 0), output),
              ErrorCode::UnknownLeaderEpoch);
    EXPECT_EQ(leader.on_follower_fetch(at(1), fetch_of(2, 0, 20), output), ErrorCode::None);
    EXPECT_EQ(leader.on_follower_fetch(at(2), fetch_of(2, 0, 19), output),
              ErrorCode::NotLeaderOrFollower);
}

TEST(Leader, AFencedBrokerIsNeitherProposedNorWaitedFor) {
    Leader leader(start_with(kAll, kTwo, 1));
    LeaderOutput output;
    FollowerFetch fetch = fetch_of(3, 0);
    fetch.eligible = false;
    leader.on_follower_fetch(at(1), fetch, output);
    EXPECT_FALSE(output.propose.has_value());
    leader.on_follower_fetch(at(2), fetch_of(2, 0), output);
    leader.on_appended(at(3), Offset(3), output);
    leader.on_follower_fetch(at(4), fetch_of(2, 3), output);
    EXPECT_EQ(leader.high_watermark(), Offset(3));
}

TEST(Leader, ResignAnswersEveryWaiter) {
    const std::vector<NodeId> all{NodeId(1), NodeId(2)};
    Leader leader(start_with(all, all, 1));
    LeaderOutput output;
    leader.on_appended(Instant{0}, Offset(2), output);
    leader.park_ack(1, Offset(1), Instant{50}, Instant{0}, output);
    leader.park_ack(2, Offset(2), Instant{50}, Instant{0}, output);
    output.clear();
    leader.on_resign(ErrorCode::NotLeaderOrFollower, output);
    ASSERT_EQ(output.acks.size(), 2U);
    EXPECT_EQ(output.acks[1].error, ErrorCode::NotLeaderOrFollower);
}

}  // namespace
}  // namespace millrace::replication
