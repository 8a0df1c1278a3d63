// tests/unit/raft/parts_test.cc: tally, accumulator, voter history and links by themselves.
#include <gtest/gtest.h>

#include "raft/accumulator.h"
#include "raft/peer_links.h"
#include "raft/vote_tally.h"
#include "raft/voter_history.h"
#include "unit/raft/quorum_world.h"

namespace millrace::raft {
namespace {

TEST(VoteTally, CountsEachVoterOnce) {
    VoteTally tally(test_voters(5, true), NodeId(1));
    EXPECT_FALSE(tally.is_granted());
    tally.record(NodeId(2), true);
    tally.record(NodeId(2), true);
    tally.record(NodeId(9), true);
    EXPECT_FALSE(tally.is_granted());
    tally.record(NodeId(3), false);
    tally.record(NodeId(3), true);
    EXPECT_FALSE(tally.is_granted());
    tally.record(NodeId(4), true);
    EXPECT_TRUE(tally.is_granted());
    EXPECT_FALSE(tally.is_rejected());
    EXPECT_EQ(tally.unrecorded(), std::vector<NodeId>{NodeId(5)});
}

TEST(VoteTally, IsLostWhenAMajorityIsOutOfReach) {
    VoteTally tally(test_voters(4, true), NodeId(1));
    tally.record(NodeId(2), false);
    EXPECT_FALSE(tally.is_rejected());
    tally.record(NodeId(3), false);
    EXPECT_TRUE(tally.is_rejected());
    EXPECT_TRUE(VoteTally(test_voters(1, true), NodeId(1)).is_granted());
}

TEST(Accumulator, SplitsAtTheLargestBatchAndNeverWithinAProposal) {
    Accumulator accumulator(LeaderEpoch(3), Offset(10));
    const Buffer big = Buffer::allocate(3 * 1024 * 1024);
    EXPECT_EQ(accumulator.add(Instant{0}, milliseconds(25), {big, big}), Offset(11));
    EXPECT_EQ(accumulator.add(Instant{5}, milliseconds(25), {big}), Offset(12));
    EXPECT_EQ(accumulator.add(Instant{9}, milliseconds(25), {Buffer::copy_of("x")}), Offset(13));
    EXPECT_EQ(accumulator.deadline(), Instant{0} + milliseconds(25));
    const auto batches = accumulator.take();
    ASSERT_EQ(batches.size(), 2u);
    EXPECT_EQ(batches[0].base_offset, Offset(10));
    EXPECT_EQ(batches[0].last_offset, Offset(11));
    EXPECT_EQ(batches[1].base_offset, Offset(12));
    EXPECT_EQ(batches[1].last_offset, Offset(13));
    EXPECT_EQ(batches[1].epoch, LeaderEpoch(3));
    EXPECT_TRUE(accumulator.empty());
    EXPECT_EQ(accumulator.next_offset(), Offset(14));
    EXPECT_EQ(accumulator.deadline(), Instant::never());
}

TEST(VoterHistory, HoldsFromTheRecordOnAndIsUndoneByTruncation) {
    VoterHistory history(VoterSet{});
    history.load_snapshot(Offset(-1), int16_t{1}, test_voters(1, true));
    EXPECT_EQ(history.last_offset(), Offset(-1));
    history.add(Offset(0),
                {LeaderChange{}, KRaftVersionChange{1}, VotersChange{test_voters(2, true)}});
    history.add(Offset(50), {VotersChange{test_voters(3, true)}});
    EXPECT_EQ(history.last().size(), 3u);
    EXPECT_EQ(history.at(Offset(49)).size(), 2u);
    EXPECT_EQ(history.at(Offset(1)).size(), 1u);
    EXPECT_EQ(history.last_kraft_version(), 1);
    history.truncate_new(Offset(50));
    EXPECT_EQ(history.last().size(), 2u);
    EXPECT_EQ(history.last_offset(), Offset(2));
    history.truncate_old(Offset(40));
    EXPECT_EQ(history.at(Offset(40)).size(), 2u) << "what is in force stays";
}

TEST(PeerLinks, OneRequestAtATimeAndBackOff) {
    PeerLinks links;
    const Instant now{1000};
    EXPECT_TRUE(links.is_ready(NodeId(2), now));
    const uint64_t first = links.start(NodeId(2), RequestKind::Fetch, LeaderEpoch(1));
    EXPECT_FALSE(links.is_ready(NodeId(2), now));
    EXPECT_TRUE(links.has_fetch_in_flight());
    EXPECT_EQ(links.ready_at(NodeId(2), now), Instant::never());
    ASSERT_TRUE(links.finish(first).has_value());
    EXPECT_FALSE(links.finish(first).has_value()) << "an answer counts once";
    EXPECT_FALSE(links.has_fetch_in_flight());
    links.back_off(NodeId(2), now + milliseconds(20));
    EXPECT_FALSE(links.is_ready(NodeId(2), now));
    EXPECT_EQ(links.ready_at(NodeId(2), now), now + milliseconds(20));
    EXPECT_TRUE(links.is_ready(NodeId(2), now + milliseconds(20)));
}

}  // namespace
}  // namespace millrace::raft
