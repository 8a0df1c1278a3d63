// tests/unit/metadata/heartbeats_test.cc: the state table of heartbeats, sessions and expiry.
#include "metadata/heartbeats.h"

#include <gtest/gtest.h>

namespace millrace::metadata {
namespace {

constexpr Duration kSession = milliseconds(9000);
constexpr Instant kStart{1'000};

ClusterImage cluster_with(int32_t id, bool fenced, int64_t epoch = 7) {
    ClusterImage cluster;
    auto broker = std::make_shared<BrokerImage>();
    broker->id = NodeId(id);
    broker->epoch = BrokerEpoch(epoch);
    broker->fenced = fenced;
    cluster.brokers.set(broker->id, broker);
    return cluster;
}

// kraft.md 2.3, the heartbeat table.
TEST(Heartbeats, NextState) {
    enum class From { Fenced, Unfenced, Leaving };
    const struct {
        From from;
        bool want_fence;
        bool want_shutdown;
        bool caught_up;
        bool leads;
        BrokerState next;
    } cases[] = {
        {From::Fenced, false, true, true, false, BrokerState::ShutdownNow},
        {From::Fenced, true, true, true, false, BrokerState::ShutdownNow},
        {From::Fenced, false, false, true, false, BrokerState::Unfenced},
        {From::Fenced, false, false, false, false, BrokerState::Fenced},
        {From::Fenced, true, false, true, false, BrokerState::Fenced},
        {From::Unfenced, true, false, true, true, BrokerState::Fenced},
        {From::Unfenced, true, true, true, true, BrokerState::ShutdownNow},
        {From::Unfenced, false, true, true, true, BrokerState::ControlledShutdown},
        {From::Unfenced, false, true, true, false, BrokerState::ShutdownNow},
        {From::Unfenced, false, false, true, true, BrokerState::Unfenced},
        {From::Leaving, false, true, true, true, BrokerState::ControlledShutdown},
        {From::Leaving, false, true, true, false, BrokerState::ShutdownNow},
    };
    for (const auto& c : cases) {
        Heartbeats heartbeats(kSession);
        heartbeats.start(kStart, cluster_with(1, c.from == From::Fenced));
        if (c.from == From::Leaving) heartbeats.note_controlled_shutdown(NodeId(1), Offset(50));
        HeartbeatFacts facts;
        facts.want_fence = c.want_fence;
        facts.want_shutdown = c.want_shutdown;
        facts.metadata_offset = Offset(c.caught_up ? 10 : 9);
        facts.register_offset = Offset(10);
        facts.has_leaderships = c.leads;
        EXPECT_EQ(heartbeats.next(NodeId(1), facts), c.next) << (&c - cases);
    }
}

TEST(Heartbeats, ASessionEndsEarlyUnlessTheBrokerWasHeard) {
    Heartbeats heartbeats(kSession);
    heartbeats.start(kStart, cluster_with(1, false));
    const Instant heard = kStart + milliseconds(100);
    heartbeats.contact(heard, NodeId(1), BrokerEpoch(7));
    EXPECT_FALSE(heartbeats.end_session(NodeId(1), BrokerEpoch(7), kStart)) << "heard since";
    EXPECT_FALSE(heartbeats.end_session(NodeId(1), BrokerEpoch(6), heard)) << "another life";
    EXPECT_FALSE(heartbeats.end_session(NodeId(2), BrokerEpoch(7), heard)) << "nobody";
    EXPECT_TRUE(heartbeats.has_valid_session(heard, NodeId(1), BrokerEpoch(7)));
    EXPECT_TRUE(heartbeats.end_session(NodeId(1), BrokerEpoch(7), heard));
    EXPECT_FALSE(heartbeats.has_valid_session(heard, NodeId(1), BrokerEpoch(7)))
        << "its next incarnation may register";
}

TEST(Heartbeats, LeavingWaitsForTheSlowestActiveBroker) {
    ClusterImage cluster = cluster_with(1, false);
    cluster.brokers.set(NodeId(2), *cluster_with(2, false).brokers.find(NodeId(2)));
    Heartbeats heartbeats(kSession);
    heartbeats.start(kStart, cluster);
    heartbeats.note_controlled_shutdown(NodeId(1), Offset(50));
    heartbeats.note_controlled_shutdown(NodeId(1), Offset(99));  // the first one counts
    heartbeats.touch(NodeId(2), false, Offset(49));
    EXPECT_EQ(heartbeats.next(NodeId(1), {}), BrokerState::ControlledShutdown);
    heartbeats.touch(NodeId(2), false, Offset(50));
    EXPECT_EQ(heartbeats.next(NodeId(1), {}), BrokerState::ShutdownNow);
}

TEST(Heartbeats, Sessions) {
    Heartbeats heartbeats(kSession);
    heartbeats.sync(kStart, cluster_with(1, true), NodeId(1));
    EXPECT_FALSE(heartbeats.has_valid_session(kStart, NodeId(1), BrokerEpoch(7)))
        << "registered, but no heartbeat yet";
    heartbeats.contact(kStart, NodeId(1), BrokerEpoch(6));
    EXPECT_FALSE(heartbeats.has_valid_session(kStart, NodeId(1), BrokerEpoch(7)));
    heartbeats.contact(kStart, NodeId(1), BrokerEpoch(7));
    EXPECT_TRUE(heartbeats.has_valid_session(kStart, NodeId(1), BrokerEpoch(7)));
    EXPECT_FALSE(heartbeats.has_valid_session(kStart, NodeId(1), BrokerEpoch(6)));
    EXPECT_FALSE(heartbeats.has_valid_session(kStart + kSession, NodeId(1), BrokerEpoch(7)));
    heartbeats.sync(kStart, cluster_with(1, true, 8), NodeId(1));
    EXPECT_FALSE(heartbeats.has_valid_session(kStart, NodeId(1), BrokerEpoch(8)));
    heartbeats.sync(kStart, ClusterImage{}, NodeId(1));
    EXPECT_EQ(heartbeats.current(NodeId(1)), BrokerState::Fenced);
}

TEST(Heartbeats, ExpiryNamesTheLongestSilent) {
    ClusterImage cluster = cluster_with(1, false);
    cluster.brokers.set(NodeId(2), *cluster_with(2, false).brokers.find(NodeId(2)));
    cluster.brokers.set(NodeId(3), *cluster_with(3, true).brokers.find(NodeId(3)));
    Heartbeats heartbeats(kSession);
    heartbeats.start(kStart, cluster);
    heartbeats.contact(kStart + seconds(1), NodeId(1), BrokerEpoch(7));
    EXPECT_EQ(heartbeats.next_expiry(), kStart + kSession);
    EXPECT_EQ(heartbeats.expired(kStart + milliseconds(8999)), std::nullopt);
    EXPECT_EQ(heartbeats.expired(kStart + seconds(20)), NodeId(2));
    heartbeats.touch(NodeId(2), true, Offset(-1));
    EXPECT_EQ(heartbeats.expired(kStart + seconds(20)), NodeId(1));
    heartbeats.touch(NodeId(1), true, Offset(-1));
    EXPECT_EQ(heartbeats.expired(kStart + seconds(20)), std::nullopt);
    EXPECT_EQ(heartbeats.next_expiry(), Instant::never());
}

}  // namespace
}  // namespace millrace::metadata
