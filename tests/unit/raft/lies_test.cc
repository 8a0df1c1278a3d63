// tests/unit/raft/lies_test.cc: peers and strangers that lie about epochs, offsets and leaders.
//
// Each lie gets Kafka's error, and the quorum goes on as if it had not been said.
#include <gtest/gtest.h>

#include <optional>

#include "unit/raft/quorum_world.h"

namespace millrace::raft {
namespace {

/// Three voters with a leader; `tell` gives one of them a request from nobody in particular.
class Lies : public ::testing::Test {
  protected:
    QuorumWorld world{3, true, 5};
    int leader = 0;
    int follower = 0;

    void SetUp() override {
        world.auto_sync = true;
        for (int id = 1; id <= 3; ++id) world.start(id);
        world.run(seconds(4));
        for (auto& [id, node] : world.nodes()) {
            (node.quorum->role() == QuorumRole::Leader ? leader : follower) = id;
        }
        ASSERT_NE(leader, 0);
        ASSERT_NE(follower, 0);
    }
    Quorum& at(int id) { return *world.node(id).quorum; }
    LeaderEpoch epoch() { return at(leader).epoch(); }

    template <class Response, class Send>
    Response tell(Send send) {
        QuorumOutput out;
        send(RequestId{9999}, out);
        EXPECT_FALSE(out.fatal.has_value()) << *out.fatal;
        EXPECT_FALSE(out.truncate.has_value());
        for (PeerReply& reply : out.send_after_persist) {
            if (reply.id == 9999) return std::get<Response>(reply.response);
        }
        ADD_FAILURE() << "no answer";
        return {};
    }
    ErrorCode vote(int to, VoteRequest request) {
        return tell<VoteResponse>([&](RequestId id, QuorumOutput& out) {
                   at(to).on_vote(world.now(), id, request, out);
               })
            .error;
    }
    ErrorCode begin(int to, NodeId claims, LeaderEpoch in) {
        return tell<EpochResponse>([&](RequestId id, QuorumOutput& out) {
                   at(to).on_begin_quorum_epoch(
                       world.now(), id, {{NodeId(to), {}}, claims, in, test_endpoints(1)}, out);
               })
            .error;
    }
    FetchResponse fetch(FetchRequest request) {
        request.max_wait = {};
        return tell<FetchResponse>([&](RequestId id, QuorumOutput& out) {
            at(leader).on_fetch(world.now(), id, request, out);
        });
    }
    FetchRequest honest() {
        FetchRequest request;
        request.replica = {NodeId(77), test_directory(77)};
        request.current_leader_epoch = epoch();
        request.fetch_offset = Offset(0);
        request.last_fetched_epoch = LeaderEpoch(0);
        return request;
    }
};

TEST_F(Lies, AboutEpochsInVotes) {
    const ReplicaKey stranger{NodeId(77), test_directory(77)};
    const VoteRequest good{stranger, {NodeId(follower), {}}, epoch(), LeaderEpoch(0), Offset(0)};
    const LeaderEpoch before = epoch();
    auto with = [&](auto change) {
        VoteRequest request = good;
        change(request);
        return vote(follower, request);
    };
    EXPECT_EQ(with([](auto& r) {
                  r.epoch = LeaderEpoch(0);
                  r.pre_vote = true;
              }),
              ErrorCode::FencedLeaderEpoch);
    EXPECT_EQ(with([](auto& r) { r.epoch = LeaderEpoch(INT32_MAX); }), ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) { r.last_epoch = r.epoch; }), ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) { r.last_epoch = LeaderEpoch(-1); }), ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) { r.end_offset = Offset(-1); }), ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) { r.candidate.id = NodeId(-1); }), ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) { r.voter.directory_id = test_directory(50); }),
              ErrorCode::InvalidVoterKey);
    EXPECT_EQ(with([](auto&) {}), ErrorCode::None) << "asking costs nothing";
    EXPECT_EQ(at(follower).epoch(), before);
    EXPECT_EQ(at(follower).leader_id(), NodeId(leader));
}

TEST_F(Lies, AboutTheLeader) {
    EXPECT_EQ(begin(follower, NodeId(77), epoch()), ErrorCode::InvalidRequest);
    EXPECT_EQ(begin(leader, NodeId(77), epoch()), ErrorCode::InvalidRequest);
    EXPECT_EQ(begin(follower, NodeId(follower), epoch()), ErrorCode::InvalidRequest);
    EXPECT_EQ(begin(follower, NodeId(-1), epoch()), ErrorCode::InvalidRequest);
    EXPECT_EQ(begin(follower, NodeId(leader), LeaderEpoch(0)), ErrorCode::FencedLeaderEpoch);
    EXPECT_EQ(begin(follower, NodeId(leader), epoch()), ErrorCode::None);
    EXPECT_EQ(at(follower).leader_id(), NodeId(leader));
    EXPECT_EQ(at(leader).role(), QuorumRole::Leader);
}

TEST_F(Lies, AboutPositions) {
    auto with = [&](auto change) {
        FetchRequest request = honest();
        change(request);
        return fetch(request);
    };
    EXPECT_EQ(with([](auto& r) { r.fetch_offset = Offset(-1); }).error, ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) { r.last_fetched_epoch = LeaderEpoch(-1); }).error,
              ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) {
                  r.last_fetched_epoch = LeaderEpoch(r.current_leader_epoch.value + 1);
              }).error,
              ErrorCode::InvalidRequest);
    EXPECT_EQ(with([](auto& r) { r.current_leader_epoch = LeaderEpoch(0); }).error,
              ErrorCode::FencedLeaderEpoch);
    EXPECT_EQ(with([](auto& r) { r.current_leader_epoch = LeaderEpoch(500); }).error,
              ErrorCode::UnknownLeaderEpoch);
    EXPECT_EQ(with([&](auto& r) { r.replica = {NodeId(leader), test_directory(50)}; }).error,
              ErrorCode::UnknownServerError)
        << "two nodes with one id";
    const FetchResponse ahead = with([](auto& r) {
        r.fetch_offset = Offset(1'000'000);
        r.last_fetched_epoch = r.current_leader_epoch;
    });
    EXPECT_EQ(ahead.error, ErrorCode::None);
    ASSERT_TRUE(ahead.diverging_epoch.has_value()) << "a follower ahead of the leader cuts";
    EXPECT_EQ(ahead.diverging_epoch->end_offset, world.node(leader).log.log_end_offset());
}

TEST_F(Lies, OfAVoterAboutWhatItHasCommitNothing) {
    const Offset committed = world.node(leader).committed;
    FetchRequest request = honest();
    request.replica = {NodeId(follower), test_directory(50)};  // the voter's id, another disk
    request.fetch_offset = world.node(leader).log.log_end_offset();
    request.last_fetched_epoch = epoch();
    world.auto_sync = false;
    world.cut_off = {1, 2, 3};
    world.cut_off.erase(leader);
    world.propose(leader, 1);
    world.sync(leader);
    request.fetch_offset = world.node(leader).log.log_end_offset();
    fetch(request);
    EXPECT_EQ(at(leader).high_watermark(), committed);
}

}  // namespace
}  // namespace millrace::raft
