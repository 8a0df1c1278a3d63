// tests/unit/placement/planner_test.cc: the rules of the issue, one by one.
#include "millrace/placement/planner.h"

#include <gtest/gtest.h>

#include "unit/placement/shapes.h"

namespace millrace::placement {
namespace {

using test::broker;
using test::cluster;
using test::partition;

Plan plan_of(const Snapshot& snapshot, const Request& request = {}) {
    Outcome outcome = make_plan(snapshot, request);
    EXPECT_FALSE(outcome.refusal.has_value()) << outcome.refusal->message;
    return std::move(outcome.plan);
}

struct RackCase {
    const char* rack;
    std::vector<Label> labels;
};

TEST(Rack, TextsBecomeLabels) {
    const RackCase cases[] = {
        {"FD0UD1", {{"fd", "0"}, {"ud", "1"}}},
        {"FD12UD03", {{"fd", "12"}, {"ud", "3"}}},
        {"/a/b", {{"fd", "a"}, {"ud", "b"}}},
        {"/a", {{"rack", "/a"}}},
        {"/a/b/c", {{"rack", "/a/b/c"}}},
        {"eu-1a", {{"rack", "eu-1a"}}},
        {"FD0", {{"rack", "FD0"}}},
        {"FD0UD", {{"rack", "FD0UD"}}},
        {"FD0UD1x", {{"rack", "FD0UD1x"}}},
        {"", {}},
    };
    for (const RackCase& one : cases)
        EXPECT_EQ(labels_of_rack(one.rack), one.labels) << one.rack;
}

TEST(Planner, HealthyPartitionsAreNotInThePlan) {
    const Plan plan = plan_of(cluster({"a", "b", "c"}, {{0, 1}, {1, 2}, {0, 0 + 2}}));
    EXPECT_TRUE(plan.changes.empty());
    EXPECT_TRUE(plan.waves.empty());
    EXPECT_EQ(plan.summary.violations_before, 0);
}

TEST(Planner, OneCopyMovesOutOfASharedDomain) {
    const Plan plan = plan_of(cluster({"FD0UD0", "FD1UD1", "FD1UD2", "FD2UD2"}, {{0, 1, 2}}));
    ASSERT_EQ(plan.changes.size(), 1u);
    const Change& change = plan.changes[0];
    EXPECT_EQ(change.adding, std::vector<int32_t>{3});
    EXPECT_EQ(change.removing, std::vector<int32_t>{2});
    EXPECT_EQ(change.bytes, 1);
    EXPECT_EQ(change.reason, "FD 2/3 → 3/3");
}

TEST(Planner, FourCopiesInTwoDomainsAreTwoAndTwo) {
    const Plan plan = plan_of(cluster({"a", "a", "a", "b", "b"}, {{0, 1, 2, 3}}));
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].adding, std::vector<int32_t>{4});
}

TEST(Planner, TiesGoToTheFirstAxis) {
    // Two copies: 0 and 1 differ in ud alone, 0 and 2 in fd alone; nobody differs in both.
    const Plan plan = plan_of(cluster({"FD0UD0", "FD0UD1", "FD1UD0"}, {{0, 1}}));
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].adding, std::vector<int32_t>{2});
}

TEST(Planner, ADeadBrokersReplicasAreReplacedEvenWithAShortIsr) {
    Snapshot snapshot = cluster({"a", "b", "c", "c"}, {{0, 1, 2}});
    snapshot.brokers[2].state = BrokerState::Dead;
    snapshot.topics[0].partitions[0].isr = std::vector<int32_t>{0};
    const Plan plan = plan_of(snapshot);
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].to, (std::vector<int32_t>{0, 1, 3}));
    EXPECT_EQ(plan.changes[0].reason, "dead 2");
    EXPECT_EQ(plan.summary.violations_before, 1);
    EXPECT_EQ(plan.summary.violations_after, 0);
}

TEST(Planner, ADeadBrokerNeedsNoEntry) {
    Snapshot snapshot = cluster({"a", "b", "c"}, {{0, 9}});
    Outcome outcome = make_plan(snapshot, {});
    ASSERT_TRUE(outcome.refusal.has_value());
    EXPECT_EQ(outcome.refusal->rule, "unknown-broker");
    Request request;
    request.dead = {9};
    EXPECT_EQ(plan_of(snapshot, request).changes.size(), 1u);
}

TEST(Planner, ADownBrokersReplicasStayAndItDoesNotLead) {
    Snapshot snapshot = cluster({"a", "a", "b", "c"}, {{0, 1, 2}});
    snapshot.brokers[0].state = BrokerState::Down;
    const Plan plan = plan_of(snapshot);
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].removing, std::vector<int32_t>{1});
    EXPECT_NE(plan.changes[0].to.front(), 0);
    EXPECT_EQ(std::count(plan.changes[0].to.begin(), plan.changes[0].to.end(), 0), 1);
}

TEST(Planner, ADownBrokerCannotBeEmptied) {
    Snapshot snapshot = cluster({"a", "b", "c"}, {{0, 1}});
    snapshot.brokers[0].state = BrokerState::Down;
    Request request;
    request.away_from = {0};
    const Outcome outcome = make_plan(snapshot, request);
    ASSERT_TRUE(outcome.refusal.has_value());
    EXPECT_FALSE(outcome.refusal->bad_input);
    EXPECT_EQ(outcome.refusal->rule, "down-broker");
}

TEST(Planner, ACordonedBrokerKeepsWhatItHas) {
    Snapshot snapshot = cluster({"a", "b", "c", "c"}, {{0, 1, 2}, {0, 1, 2}});
    snapshot.brokers[2].state = BrokerState::Cordoned;
    EXPECT_TRUE(plan_of(snapshot).changes.empty());
    Request request;
    request.leaders = Leaders::All;
    for (const Change& change : plan_of(snapshot, request).changes)
        EXPECT_NE(change.to.front(), 2);
}

TEST(Planner, BrokersAreEmptied) {
    Request request;
    request.away_from = {0};
    const Plan plan = plan_of(cluster({"a", "a", "b", "c"}, {{0, 2, 3}, {1, 2, 3}}), request);
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].adding, std::vector<int32_t>{1});
    EXPECT_EQ(plan.changes[0].removing, std::vector<int32_t>{0});
    EXPECT_EQ(plan.summary.violations_before, 1);
}

TEST(Planner, UnhealthyPartitionsAreSkippedWithAReason) {
    Snapshot snapshot = cluster({"a", "a", "b"}, {{0, 1}, {0, 1}, {0, 1}});
    snapshot.topics[0].partitions[0].isr = std::vector<int32_t>{0};
    snapshot.topics[0].partitions[1].leader = -1;
    const Plan plan = plan_of(snapshot);
    ASSERT_EQ(plan.skipped.size(), 2u);
    EXPECT_EQ(plan.skipped[0].reason, "not in sync: 1; let it catch up first");
    EXPECT_EQ(plan.skipped[1].reason, "it has no leader: bring a replica of it back first");
    EXPECT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.summary.violations_before, 3);
    EXPECT_EQ(plan.summary.violations_after, 2);
}

TEST(Planner, ReplicationFactorChangesOnlyWhenAsked) {
    const Snapshot snapshot = cluster({"a", "b", "c"}, {{0}, {0, 1}, {0, 1, 2}});
    EXPECT_TRUE(plan_of(snapshot).changes.empty());
    Request request;
    request.replication_factor = 2;
    const Plan plan = plan_of(snapshot, request);
    ASSERT_EQ(plan.changes.size(), 2u);
    EXPECT_EQ(plan.changes[0].to.size(), 2u);
    EXPECT_EQ(plan.changes[1].to.size(), 2u);
    EXPECT_EQ(plan.changes[1].bytes, 0);
    EXPECT_EQ(plan.summary.violations_before, 2);
    EXPECT_EQ(plan.summary.bytes_moved, 1);
}

TEST(Planner, TooFewBrokersAreRefused) {
    for (const int32_t factor : {4, 64, 65, 1'000'000, std::numeric_limits<int32_t>::max()}) {
        Request request;
        request.replication_factor = factor;
        const Outcome outcome = make_plan(cluster({"a", "b", "c"}, {{0}, {1}}), request);
        ASSERT_TRUE(outcome.refusal.has_value());
        EXPECT_FALSE(outcome.refusal->bad_input);
        EXPECT_EQ(outcome.refusal->rule, "replication-factor-over-brokers");
        EXPECT_NE(outcome.refusal->message.find(std::to_string(factor)), std::string::npos);
        EXPECT_EQ(outcome.refusal->blocking_total, 2);
        EXPECT_EQ(outcome.refusal->blocking[0], (PartitionName{"t", 0}));
    }
}

/// Broker 0 is down: its copy stays, and alone it would be no partition at all.
TEST(Planner, TheOnlyLiveCopyIsNotTakenAway) {
    Snapshot snapshot = cluster({"a", "b", "c"}, {{0, 1}, {1, 2}});
    snapshot.brokers[0].state = BrokerState::Down;
    Request request;
    request.replication_factor = 1;
    const Plan plan = plan_of(snapshot, request);
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].name, (PartitionName{"t", 1}));
    ASSERT_EQ(plan.skipped.size(), 1u);
    EXPECT_EQ(plan.skipped[0].reason,
              "only copies on brokers that are down would be left: bring one back first");
    EXPECT_EQ(plan.summary.violations_after, 1);
}

struct ReasonCase {
    const char* reason;
    Snapshot snapshot;
    Request request;
};

TEST(Planner, ReasonsSayWhatChanges) {
    Request balance, fewer, away;
    balance.balance = true;
    fewer.replication_factor = 1;
    away.away_from = {1};
    ReasonCase cases[] = {
        {"RACK 3+1 → 2+2", cluster({"a", "a", "a", "b", "b"}, {{0, 1, 2, 3}}), {}},
        {"RACK 1/2 → 2/2", cluster({"a", "a", "a", "b"}, {{0, 1, 2}}), {}},
        {"FD 1/2 → 2/2, UD 2/2 → 1/2, leader 0 → 2",
         cluster({"FD0UD0", "FD0UD1", "FD1UD0"}, {{0, 1}}),
         {}},
        {"balance, leader 0 → 1", cluster({"a", "a"}, {{0}, {0}}), balance},
        {"RF 2 → 1", cluster({"a", "b"}, {{0, 1}}), fewer},
        {"away from 1", cluster({"a", "b", "b"}, {{0, 1}}), away},
    };
    cases[2].snapshot.brokers[0].state = BrokerState::Down;
    for (const ReasonCase& one : cases) {
        const Plan plan = plan_of(one.snapshot, one.request);
        ASSERT_EQ(plan.changes.size(), 1u) << one.reason;
        EXPECT_EQ(plan.changes[0].reason, one.reason);
    }
}

TEST(Planner, UnlabelledBrokersAreNamedUnlessTheAxisIsSoft) {
    Snapshot snapshot = cluster({"FD0UD0", "FD1UD1", "FD2UD2"}, {{0, 1, 2}});
    snapshot.brokers[1].labels = {{"fd", "1"}};
    const Outcome outcome = make_plan(snapshot, {});
    ASSERT_TRUE(outcome.refusal.has_value());
    EXPECT_EQ(outcome.refusal->rule, "unlabelled-broker");
    EXPECT_NE(outcome.refusal->message.find("1 (no ud)"), std::string::npos);
    EXPECT_FALSE(outcome.refusal->bad_input);
    Request request;
    request.soft_axes = {"ud"};
    EXPECT_TRUE(plan_of(snapshot, request).changes.empty());
}

TEST(Planner, ASoftAxisIsPreferredButCostsNothing) {
    // 1 leaves the domain of 0; of the two candidates in fd 1 the one in another ud is taken.
    const Snapshot snapshot = cluster({"FD0UD0", "FD0UD1", "FD1UD0", "FD1UD1"}, {{0, 1}, {0, 2}});
    Request request;
    request.soft_axes = {"ud"};
    const Plan plan = plan_of(snapshot, request);
    ASSERT_EQ(plan.changes.size(), 1u);
    const auto& to = plan.changes[0].to;
    EXPECT_TRUE((std::count(to.begin(), to.end(), 0) && std::count(to.begin(), to.end(), 3)) ||
                (std::count(to.begin(), to.end(), 1) && std::count(to.begin(), to.end(), 2)));
}

/// Balancing takes one copy from broker 0 to 3; both partitions may give it, and only one of them
/// comes to lie in two update domains.
TEST(Planner, ASoftAxisRanksAfterBytesWhenBalancing) {
    const Snapshot snapshot =
        cluster({"FD0UD0", "FD1UD0", "FD1UD1", "FD0UD1"}, {{0, 2}, {0, 1}, {1}, {2}});
    Request request;
    request.soft_axes = {"ud"};
    request.balance = true;
    const Plan plan = plan_of(snapshot, request);
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].name.partition, 1);
    EXPECT_EQ(plan.changes[0].adding, std::vector<int32_t>{3});
}

TEST(Planner, AddedBrokersFillUpOnlyWhenBalancing) {
    std::vector<std::vector<int32_t>> partitions(12, {0, 1, 2});
    const Snapshot snapshot = cluster({"a", "b", "c", "a", "b", "c"}, partitions);
    EXPECT_TRUE(plan_of(snapshot).changes.empty());
    Request request;
    request.balance = true;
    const Plan plan = plan_of(snapshot, request);
    EXPECT_EQ(plan.summary.replica_spread.after, 0);
    EXPECT_EQ(plan.summary.replica_moves, 18);
    EXPECT_TRUE(plan.summary.optimal);
}

TEST(Planner, OtherTopicsCountTowardsBalance) {
    Snapshot snapshot = cluster({"a", "a", "b"}, {{0, 1}});
    snapshot.brokers.push_back(broker(3, "b"));
    snapshot.topics.push_back({"u", {partition(0, {0, 2}), partition(1, {1, 2})}});
    Request request;
    request.topics = {"t"};
    const Plan plan = plan_of(snapshot, request);
    ASSERT_EQ(plan.changes.size(), 1u);
    EXPECT_EQ(plan.changes[0].adding, std::vector<int32_t>{3});
}

TEST(Planner, LeadersAsAsked) {
    const std::vector<std::vector<int32_t>> partitions(6, {0, 1, 2});
    const Snapshot snapshot = cluster({"a", "b", "c"}, partitions);
    Request request;
    EXPECT_TRUE(plan_of(snapshot, request).changes.empty());
    request.leaders = Leaders::All;
    const Plan plan = plan_of(snapshot, request);
    EXPECT_EQ(plan.changes.size(), 4u);
    EXPECT_EQ(plan.summary.leader_changes, 4);
    EXPECT_EQ(plan.summary.bytes_moved, 0);
    EXPECT_EQ(plan.summary.leader_spread.after, 0);
    EXPECT_EQ(plan.summary.topic_leader_spread.after, 0);
    request.leaders = Leaders::Keep;
    request.away_from = {2};
    const Outcome refused = make_plan(snapshot, request);
    EXPECT_TRUE(refused.refusal.has_value());
}

/// A set with the leader that would make all even, somewhere in it.
std::vector<int32_t> hidden(Rng& rng, int topic, int number) {
    const int32_t leader = (number + 3 * topic) % 6;
    for (;;) {
        std::vector<int32_t> set = test::sample(rng, {0, 1, 2, 3, 4, 5}, 2);
        if (std::count(set.begin(), set.end(), leader) > 0) continue;
        set.insert(set.begin() + rng.between(0, 2), leader);
        return set;
    }
}

/// The hand-over that evens the totals goes through a topic whose counts must not change: each of
/// its steps by itself is illegal. Too many partitions for trying everything.
TEST(Planner, LeadersAreEvenInTotalThoughEveryTopicStaysEven) {
    std::vector<std::string> racks;
    for (int i = 0; i < 6; ++i)
        racks.push_back(std::to_string(i));
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        Rng rng(seed);
        Snapshot snapshot = cluster(racks, {});
        snapshot.topics.clear();
        for (int t = 0; t < 12; ++t) {
            snapshot.topics.push_back({"t" + std::to_string(t), {}});
            for (int p = 0; p < 9; ++p)
                snapshot.topics.back().partitions.push_back(partition(p, hidden(rng, t, p)));
        }
        Request request;
        request.leaders = Leaders::All;
        const Plan plan = plan_of(snapshot, request);
        EXPECT_EQ(plan.summary.topic_leader_spread.after, 1) << seed;
        EXPECT_EQ(plan.summary.leader_spread.after, 0) << seed;
    }
}

TEST(Planner, TrafficIsEvenedAmongEqualLeaders) {
    Snapshot snapshot = cluster({"a", "b"}, {{0, 1}, {0, 1}, {1, 0}, {1, 0}});
    const int64_t rates[] = {100, 90, 10, 20};
    for (size_t p = 0; p < 4; ++p)
        snapshot.topics[0].partitions[p].bytes_in_rate = rates[p];
    Request request;
    request.leaders = Leaders::All;
    const Plan plan = plan_of(snapshot, request);
    int64_t traffic[2] = {0, 0};
    for (const Partition& p : snapshot.topics[0].partitions)
        traffic[test::planned(plan, "t", p).front()] += p.bytes_in_rate;
    EXPECT_LE(std::abs(traffic[0] - traffic[1]), 20);
}

TEST(Planner, DirectoriesAreChosenByFreeSpace) {
    Snapshot snapshot = cluster({"a", "a", "b"}, {{0, 1}});
    snapshot.topics[0].partitions[0].size_bytes = 50;
    snapshot.brokers[2].log_dirs = {{"/d0", 1'000, 800}, {"/d1", 1'000, 100}};
    const Plan plan = plan_of(snapshot);
    ASSERT_EQ(plan.changes.size(), 1u);
    const auto& dirs = plan.changes[0].log_dirs;
    ASSERT_EQ(dirs.size(), 2u);
    EXPECT_EQ(std::count(dirs.begin(), dirs.end(), "/d1"), 1);
    EXPECT_EQ(std::count(dirs.begin(), dirs.end(), "any"), 1);
}

struct MarkCase {
    int64_t used;
    int64_t ppm;
    bool fits;
};

TEST(Planner, TheHighWaterMarkIsInclusiveAndGivesNoCredit) {
    const MarkCase cases[] = {
        {800, 900'000, true}, {801, 900'000, false}, {801, 910'000, true}, {900, 1'000'000, true}};
    for (const MarkCase& one : cases) {
        Snapshot snapshot = cluster({"a", "a", "b"}, {{0, 1}});
        snapshot.topics[0].partitions[0].size_bytes = 100;
        snapshot.brokers[2].log_dirs = {{"/d0", 1'000, one.used}};
        Request request;
        request.disk_high_water_ppm = one.ppm;
        const Outcome outcome = make_plan(snapshot, request);
        EXPECT_EQ(!outcome.refusal.has_value(), one.fits) << one.used;
    }
}

struct BadCase {
    const char* rule;
    void (*spoil)(Snapshot&, Request&);
};

TEST(Planner, BadInputIsNamed) {
    const BadCase cases[] = {
        {"duplicate-broker", [](Snapshot& s, Request&) { s.brokers.push_back(s.brokers[0]); }},
        {"duplicate-topic", [](Snapshot& s, Request&) { s.topics.push_back(s.topics[0]); }},
        {"duplicate-partition",
         [](Snapshot& s, Request&) {
             s.topics[0].partitions.push_back(s.topics[0].partitions[0]);
         }},
        {"unknown-broker",
         [](Snapshot& s, Request&) { s.topics[0].partitions[0].replicas[0] = 7; }},
        {"unknown-broker", [](Snapshot&, Request& r) { r.away_from = {7}; }},
        {"unknown-topic", [](Snapshot&, Request& r) { r.topics = {"x"}; }},
        {"unknown-axis", [](Snapshot&, Request& r) { r.soft_axes = {"ud"}; }},
        {"replicas",
         [](Snapshot& s, Request&) {
             s.topics[0].partitions[0].replicas = {0, 0};
         }},
        {"replicas", [](Snapshot& s, Request&) { s.topics[0].partitions[0].replicas = {}; }},
        {"isr", [](Snapshot& s, Request&) { s.topics[0].partitions[0].isr = {{2}}; }},
        {"leader", [](Snapshot& s, Request&) { s.topics[0].partitions[0].leader = 2; }},
        {"size", [](Snapshot& s, Request&) { s.topics[0].partitions[0].size_bytes = -1; }},
        {"overflow",
         [](Snapshot& s, Request&) {
             s.topics[0].partitions[0].size_bytes = std::numeric_limits<int64_t>::max();
         }},
        {"overflow",
         [](Snapshot& s, Request&) {
             const LogDir huge{"", std::numeric_limits<int64_t>::max(), 0};
             s.brokers[0].log_dirs = {huge};
             s.brokers[1].log_dirs = {huge};
             s.brokers[0].log_dirs[0].path = s.brokers[1].log_dirs[0].path = "/d";
         }},
        {"overflow",
         [](Snapshot& s, Request&) {
             s.topics[0].partitions.push_back(partition(1, {0, 1}));
             for (Partition& p : s.topics[0].partitions)
                 p.bytes_in_rate = std::numeric_limits<int64_t>::max();
         }},
        {"overflow",
         [](Snapshot& s, Request&) {
             const int64_t half = std::numeric_limits<int64_t>::max() / 2 + 1;
             s.brokers[0].log_dirs = {{"/a", {}, half}, {"/b", {}, half}};
         }},
        {"replication-factor", [](Snapshot&, Request& r) { r.replication_factor = 0; }},
        {"axes",
         [](Snapshot& s, Request&) {
             s.axes = {"rack", "rack"};
         }},
    };
    for (const BadCase& one : cases) {
        Snapshot snapshot = cluster({"a", "b", "c"}, {{0, 1}});
        Request request;
        one.spoil(snapshot, request);
        const Outcome outcome = make_plan(snapshot, request);
        ASSERT_TRUE(outcome.refusal.has_value()) << one.rule;
        EXPECT_EQ(outcome.refusal->rule, one.rule) << outcome.refusal->message;
        EXPECT_TRUE(outcome.refusal->bad_input);
    }
}

TEST(Planner, AnEmptyClusterNeedsNothing) {
    EXPECT_TRUE(plan_of({}).changes.empty());
    EXPECT_TRUE(plan_of(cluster({}, {})).changes.empty());
}

}  // namespace
}  // namespace millrace::placement
