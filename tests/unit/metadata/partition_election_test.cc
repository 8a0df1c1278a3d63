// tests/unit/metadata/partition_election_test.cc: elections, ELR, reassignment, by table.
#include "metadata/partition_election.h"

#include <gtest/gtest.h>

namespace millrace::metadata {
namespace {

using Nodes = std::vector<NodeId>;

Nodes nodes(std::initializer_list<int32_t> ids) {
    Nodes out;
    for (int32_t id : ids)
        out.emplace_back(id);
    return out;
}

/// Brokers 1..5, one directory each; those in `fenced` are fenced.
ClusterImage cluster(std::initializer_list<int32_t> fenced) {
    ClusterImage image;
    for (int32_t id = 1; id <= 5; ++id) {
        auto broker = std::make_shared<BrokerImage>();
        broker->id = NodeId(id);
        broker->fenced = std::find(fenced.begin(), fenced.end(), id) != fenced.end();
        broker->directories = {Uuid{500, static_cast<uint64_t>(id)}};
        image.brokers.set(broker->id, broker);
    }
    return image;
}

PartitionImage partition(Nodes replicas, Nodes isr, int32_t leader) {
    PartitionImage image;
    for (NodeId node : replicas) {
        image.directories.push_back(Uuid{500, static_cast<uint64_t>(node.value)});
    }
    image.replicas = std::move(replicas);
    image.isr = std::move(isr);
    image.leader = NodeId(leader);
    return image;
}

struct Case {
    const char* what;
    PartitionImage start;
    std::initializer_list<int32_t> fenced;
    PartitionTargets targets;
    ElectionRules rules;
    std::optional<PartitionChange> expected;
};

PartitionTargets with_isr(Nodes isr, ElectionMode mode = ElectionMode::Online) {
    PartitionTargets targets;
    targets.isr = std::move(isr);
    targets.election = mode;
    return targets;
}
PartitionTargets with_mode(ElectionMode mode) {
    PartitionTargets targets;
    targets.election = mode;
    return targets;
}

void check(const Case& c) {
    const ClusterImage brokers = cluster(c.fenced);
    const auto change = decide_partition_change(c.start, c.targets, {brokers, c.start}, c.rules);
    ASSERT_EQ(change.has_value(), c.expected.has_value()) << c.what;
    if (!change) return;
    EXPECT_EQ(change->isr, c.expected->isr) << c.what;
    EXPECT_EQ(change->leader, c.expected->leader) << c.what;
    EXPECT_EQ(change->elr, c.expected->elr) << c.what;
    EXPECT_EQ(change->last_known_elr, c.expected->last_known_elr) << c.what;
    EXPECT_EQ(change->recovery, c.expected->recovery) << c.what;
    EXPECT_EQ(change->replicas, c.expected->replicas) << c.what;
    EXPECT_EQ(change->adding, c.expected->adding) << c.what;
    EXPECT_EQ(change->removing, c.expected->removing) << c.what;
}

constexpr ElectionRules kPlain{30, false, 1};
constexpr ElectionRules kElr1{30, true, 1};
constexpr ElectionRules kElr2{30, true, 2};

PartitionChange change_of(std::optional<Nodes> isr, NodeId leader = kLeaderUnchanged,
                          std::optional<Nodes> elr = std::nullopt,
                          std::optional<Nodes> last_known = std::nullopt,
                          std::optional<LeaderRecoveryState> recovery = std::nullopt) {
    PartitionChange change;
    change.isr = std::move(isr);
    change.leader = leader;
    change.elr = std::move(elr);
    change.last_known_elr = std::move(last_known);
    change.recovery = recovery;
    return change;
}

TEST(PartitionElection, LosingAMember) {
    const PartitionImage full = partition(nodes({1, 2, 3}), nodes({1, 2, 3}), 1);
    check({"follower leaves", full, {}, with_isr(nodes({1, 2})), kPlain, change_of(nodes({1, 2}))});
    check({"before 3.6 a shrink bumps the leader epoch",
           full,
           {},
           with_isr(nodes({1, 2})),
           {11, false, 1},
           change_of(nodes({1, 2}), NodeId(1))});
    check({"leader leaves: next in replica order",
           full,
           {1},
           with_isr(nodes({2, 3})),
           kPlain,
           change_of(nodes({2, 3}), NodeId(2))});
    check({"leader leaves: fenced ones are passed over",
           full,
           {1, 2},
           with_isr(nodes({2, 3})),
           kPlain,
           change_of(nodes({2, 3}), NodeId(3))});
    check({"nothing to do", full, {}, {}, kPlain, std::nullopt});
}

TEST(PartitionElection, LastMemberLeaves) {
    const PartitionImage last = partition(nodes({1, 2}), nodes({1}), 1);
    check({"without ELR the last member stays in the ISR",
           last,
           {1},
           with_isr({}),
           kPlain,
           change_of(std::nullopt, kNoNode)});
    check({"with ELR it becomes eligible and remembered",
           last,
           {1},
           with_isr({}),
           kElr1,
           change_of(Nodes{}, kNoNode, nodes({1}), nodes({1}))});
    check({"unclean: another replica leads, recovering",
           last,
           {1},
           with_isr({}, ElectionMode::Unclean),
           kElr1,
           change_of(nodes({2}), NodeId(2), std::nullopt, std::nullopt,
                     LeaderRecoveryState::Recovering)});
}

TEST(PartitionElection, EligibleLeaderReplicas) {
    const PartitionImage full = partition(nodes({1, 2, 3}), nodes({1, 2, 3}), 1);
    check({"at or above min ISR nobody is eligible",
           full,
           {3},
           with_isr(nodes({1, 2})),
           kElr2,
           change_of(nodes({1, 2}))});
    check({"below it those who left are",
           full,
           {2, 3},
           with_isr(nodes({1})),
           kElr2,
           change_of(nodes({1}), kLeaderUnchanged, nodes({2, 3}))});

    PartitionImage below = partition(nodes({1, 2, 3}), nodes({1}), 1);
    below.elr = nodes({2, 3});
    check({"ISR back at min clears",
           below,
           {},
           with_isr(nodes({1, 2})),
           kElr2,
           change_of(nodes({1, 2}), kLeaderUnchanged, Nodes{})});
    PartitionTargets unclean = with_isr(nodes({1}));
    unclean.unclean_shutdown = NodeId(2);
    check({"an unclean shutdown leaves ELR",
           below,
           {2},
           unclean,
           kElr2,
           change_of(std::nullopt, kLeaderUnchanged, nodes({3}))});

    PartitionImage gone = partition(nodes({1, 2}), {}, -1);
    gone.elr = nodes({1, 2});
    gone.last_known_elr = nodes({1});
    check({"an eligible replica comes back and leads alone",
           gone,
           {1},
           {},
           kElr2,
           change_of(nodes({2}), NodeId(2), nodes({1}), Nodes{})});
    PartitionImage lost = partition(nodes({1, 2}), {}, -1);
    lost.last_known_elr = nodes({1});
    check(
        {"the last known leader is elected unclean",
         lost,
         {2},
         {},
         kElr2,
         change_of(nodes({1}), NodeId(1), std::nullopt, Nodes{}, LeaderRecoveryState::Recovering)});
    check({"but not without ELR", lost, {2}, {}, kPlain, std::nullopt});
}

TEST(PartitionElection, Preferred) {
    const PartitionImage moved = partition(nodes({1, 2, 3}), nodes({1, 2, 3}), 2);
    check({"preferred takes over",
           moved,
           {},
           with_mode(ElectionMode::Preferred),
           kElr1,
           change_of(std::nullopt, NodeId(1))});
    check({"the present leader stays otherwise",
           moved,
           {1},
           with_mode(ElectionMode::Preferred),
           kElr1,
           std::nullopt});
    check({"online keeps a valid leader",
           moved,
           {},
           with_mode(ElectionMode::Online),
           kElr1,
           std::nullopt});
}

TEST(PartitionElection, OfflineDirectoryBarsALeader) {
    PartitionImage on_lost = partition(nodes({1, 2}), nodes({1, 2}), 1);
    on_lost.directories[0] = kDirectoryLost;
    check({"LOST", on_lost, {}, with_isr(nodes({2})), kPlain, change_of(nodes({2}), NodeId(2))});
    PartitionImage unassigned = partition(nodes({1, 2}), nodes({1, 2}), -1);
    unassigned.directories[0] = kDirectoryUnassigned;
    check({"UNASSIGNED is fine", unassigned, {}, {}, kPlain, change_of(std::nullopt, NodeId(1))});
}

TEST(PartitionElection, Reassignment) {
    PartitionImage moving = partition(nodes({4, 5, 1, 2}), nodes({1, 2}), 1);
    moving.adding = nodes({4, 5});
    moving.removing = nodes({1, 2});
    check({"waits for every added replica",
           moving,
           {},
           with_isr(nodes({1, 2, 4})),
           kElr1,
           change_of(nodes({1, 2, 4}))});
    PartitionChange done = change_of(nodes({4, 5}), NodeId(4));
    done.replicas = nodes({4, 5});
    done.adding = Nodes{};
    done.removing = Nodes{};
    check(
        {"completes and moves the leader", moving, {}, with_isr(nodes({1, 2, 4, 5})), kElr1, done});

    PartitionImage shrinking = partition(nodes({1, 2, 3}), nodes({1, 3}), 1);
    shrinking.removing = nodes({3});
    check({"a move to fewer waits for all that stay",
           shrinking,
           {},
           with_isr(nodes({1})),
           kElr1,
           change_of(nodes({1}))});
    PartitionChange shrunk = change_of(nodes({1, 2}), NodeId(1));
    shrunk.replicas = nodes({1, 2});
    shrunk.removing = Nodes{};
    check({"and raises the leader epoch when done",
           shrinking,
           {},
           with_isr(nodes({1, 2, 3})),
           kElr1,
           shrunk});
}

TEST(PartitionElection, DirectoriesFollowReplicas) {
    const PartitionImage start = partition(nodes({1, 2}), nodes({1, 2}), 1);
    const ClusterImage brokers = cluster({});
    PartitionTargets targets;
    targets.replicas = nodes({3, 1, 2});
    targets.adding = nodes({3});
    auto change = decide_partition_change(start, targets, {brokers, start}, kElr1);
    ASSERT_TRUE(change && change->directories);
    EXPECT_EQ(*change->directories, (std::vector<Uuid>{{500, 3}, {500, 1}, {500, 2}}));
    change = decide_partition_change(start, targets, {brokers, start}, {16, false, 1});
    EXPECT_FALSE(change->directories.has_value()) << "before 3.7 there are none";
    PartitionTargets assign;
    assign.directory = {NodeId(2), kDirectoryLost};
    change = decide_partition_change(start, assign, {brokers, start}, kElr1);
    EXPECT_EQ(*change->directories, (std::vector<Uuid>{{500, 1}, kDirectoryLost}));
}

TEST(PartitionElection, RecoveryIsClearedByTheLeader) {
    PartitionImage recovering = partition(nodes({1, 2}), nodes({1}), 1);
    recovering.recovery = LeaderRecoveryState::Recovering;
    PartitionTargets targets = with_isr(nodes({1}));
    targets.recovery = LeaderRecoveryState::Recovered;
    check({"recovered",
           recovering,
           {},
           targets,
           kElr1,
           change_of(std::nullopt, kLeaderUnchanged, std::nullopt, std::nullopt,
                     LeaderRecoveryState::Recovered)});
}

TEST(PartitionElection, MergeCountsEpochs) {
    const PartitionImage start = partition(nodes({1, 2}), nodes({1, 2}), 1);
    PartitionChange same_leader;
    same_leader.leader = NodeId(1);
    PartitionImage next = merge_partition(start, same_leader);
    EXPECT_EQ(next.leader_epoch, LeaderEpoch(1)) << "a present Leader field always counts";
    EXPECT_EQ(next.partition_epoch, 1);
    PartitionChange only_isr;
    only_isr.isr = nodes({1});
    next = merge_partition(next, only_isr);
    EXPECT_EQ(next.leader_epoch, LeaderEpoch(1));
    EXPECT_EQ(next.partition_epoch, 2);
    PartitionChange no_directories;
    no_directories.directories.emplace();
    EXPECT_EQ(merge_partition(start, no_directories).directories,
              (std::vector<Uuid>{kDirectoryMigrating, kDirectoryMigrating}));
}

}  // namespace
}  // namespace millrace::metadata
