// tests/unit/placement/properties_test.cc: what holds of every plan, over thousands of random
// shapes.
#include <gtest/gtest.h>

#include "unit/placement/shapes.h"

namespace millrace::placement {
namespace {

using test::Family;

void check_rows(const Snapshot& snapshot, const Plan& plan, uint64_t seed) {
    for (const Topic& topic : snapshot.topics) {
        for (const Partition& p : topic.partitions) {
            const Family family(snapshot, p, p.replicas.size());
            const std::vector<int32_t> to = test::planned(plan, topic.name, p);
            EXPECT_TRUE(family.best(to)) << "seed " << seed << " " << topic.name << p.partition;
        }
    }
    EXPECT_TRUE(std::is_sorted(plan.changes.begin(), plan.changes.end(),
                               [](const Change& a, const Change& b) { return a.name < b.name; }));
}

void check_waves(const Plan& plan, const Request& request) {
    std::map<PartitionName, int32_t> wave_of;
    for (size_t w = 0; w < plan.waves.size(); ++w) {
        EXPECT_FALSE(plan.waves[w].empty());
        for (const PartitionName& name : plan.waves[w])
            EXPECT_TRUE(wave_of.emplace(name, static_cast<int32_t>(w)).second);
    }
    EXPECT_EQ(wave_of.size(), plan.changes.size());
    std::map<std::pair<int32_t, int32_t>, int32_t> incoming;
    std::map<int32_t, std::pair<int64_t, int>> flying;
    for (const Change& change : plan.changes) {
        EXPECT_EQ(wave_of[change.name], change.wave);
        for (const int32_t id : change.adding)
            EXPECT_LE(++incoming[std::pair(change.wave, id)], request.max_moves_per_broker);
        if (change.bytes > 0) {
            flying[change.wave].first += change.bytes;
            ++flying[change.wave].second;
        }
    }
    for (const auto& [wave, sum] : flying)
        EXPECT_TRUE(sum.first <= request.max_bytes_in_flight || sum.second == 1);
}

void check_leaders(const Snapshot& snapshot, const Plan& plan) {
    std::map<int32_t, BrokerState> states;
    for (const Broker& b : snapshot.brokers)
        states[b.id] = b.state;
    for (const Change& change : plan.changes) {
        const bool some_up = std::any_of(change.to.begin(), change.to.end(),
                                         [&](int32_t id) { return states[id] == BrokerState::Up; });
        EXPECT_TRUE(!some_up || states[change.to.front()] == BrokerState::Up);
    }
}

TEST(Properties, EveryPlanSeparatesAndNothingIsMovedTwice) {
    int plans = 0;
    for (uint64_t seed = 1; seed <= 1'200; ++seed) {
        Rng rng(seed * 7919);
        const Snapshot snapshot = test::random_cluster(rng, {4, 14, 12, 4});
        Request request;
        request.balance = rng.chance(1, 8);
        request.leaders = static_cast<Leaders>(rng.below(2));
        request.max_moves_per_broker = static_cast<int32_t>(rng.between(1, 4));
        request.max_bytes_in_flight = rng.between(1, 20'000);
        const Outcome outcome = make_plan(snapshot, request);
        if (outcome.refusal) {
            EXPECT_FALSE(outcome.refusal->bad_input) << outcome.refusal->message;
            continue;
        }
        ++plans;
        const Plan& plan = outcome.plan;
        EXPECT_EQ(plan.summary.violations_after, 0) << "seed " << seed;
        check_rows(snapshot, plan, seed);
        check_waves(plan, request);
        check_leaders(snapshot, plan);
        EXPECT_TRUE(request.balance || plan.summary.optimal) << "seed " << seed;
        if (HasFailure()) return;
    }
    EXPECT_GT(plans, 1'000);
}

/// The plan carried out is a cluster that needs no plan.
TEST(Properties, APlannedClusterIsAtRest) {
    for (uint64_t seed = 1; seed <= 400; ++seed) {
        Rng rng(seed * 104'729);
        Snapshot snapshot = test::random_cluster(rng, {4, 10, 10, 3});
        const Outcome first = make_plan(snapshot, {});
        if (first.refusal) continue;
        for (Topic& topic : snapshot.topics) {
            for (Partition& p : topic.partitions)
                p.replicas = test::planned(first.plan, topic.name, p);
        }
        const Outcome second = make_plan(snapshot, {});
        ASSERT_FALSE(second.refusal.has_value());
        EXPECT_TRUE(second.plan.changes.empty()) << "seed " << seed;
        EXPECT_EQ(second.plan.summary.violations_before, 0);
    }
}

TEST(Properties, EqualInputMakesAnEqualPlan) {
    for (uint64_t seed = 1; seed <= 100; ++seed) {
        Rng rng(seed);
        Snapshot snapshot = test::random_cluster(rng, {4, 10, 10, 3});
        Request request;
        request.balance = seed % 2 == 0;
        const Outcome first = make_plan(snapshot, request);
        std::reverse(snapshot.brokers.begin(), snapshot.brokers.end());
        std::reverse(snapshot.topics.begin(), snapshot.topics.end());
        const Outcome second = make_plan(snapshot, request);
        EXPECT_EQ(first.plan.hash, second.plan.hash) << "seed " << seed;
    }
}

/// Availability sets of 4 to 20 machines, where today's tool leaves a quarter of all in violation.
TEST(Properties, AvailabilitySets) {
    for (int brokers = 4; brokers <= 20; ++brokers) {
        Rng rng(static_cast<uint64_t>(brokers));
        std::vector<std::string> racks;
        std::vector<int32_t> ids;
        for (int i = 0; i < brokers; ++i) {
            racks.push_back(test::rack_of(rng, 0, i));
            ids.push_back(i);
        }
        std::vector<std::vector<int32_t>> partitions;
        for (int p = 0; p < 60; ++p)
            partitions.push_back(test::sample(rng, ids, 3));
        const Snapshot snapshot = test::cluster(racks, partitions);
        const Outcome outcome = make_plan(snapshot, {});
        ASSERT_FALSE(outcome.refusal.has_value());
        EXPECT_EQ(outcome.plan.summary.violations_after, 0);
        EXPECT_TRUE(outcome.plan.summary.optimal);
        check_rows(snapshot, outcome.plan, static_cast<uint64_t>(brokers));
    }
}

/// Directories that hold all they could ever get are no reason for a worse plan, or a worse proof.
TEST(Properties, RoomyDirectoriesChangeNothing) {
    for (uint64_t seed = 1; seed <= 120; ++seed) {
        Rng rng(seed * 15'485'863);
        Snapshot snapshot = test::random_cluster(rng, {4, 12, 30, 3});
        Request request;
        request.balance = seed % 4 != 0;
        const Outcome without = make_plan(snapshot, request);
        for (Broker& b : snapshot.brokers)
            b.log_dirs = {{"/d0", 10'000'000, 1'000}, {"/d1", 10'000'000, 5'000'000}};
        const Outcome with = make_plan(snapshot, request);
        ASSERT_EQ(with.refusal.has_value(), without.refusal.has_value()) << "seed " << seed;
        if (with.refusal) continue;
        const Summary& a = without.plan.summary;
        const Summary& b = with.plan.summary;
        EXPECT_EQ(b.bytes_moved, a.bytes_moved) << "seed " << seed;
        EXPECT_EQ(b.optimal, a.optimal) << "seed " << seed;
        EXPECT_EQ(b.gap_bytes, a.gap_bytes) << "seed " << seed;
        ASSERT_EQ(with.plan.changes.size(), without.plan.changes.size());
        for (size_t i = 0; i < with.plan.changes.size(); ++i) {
            const Change& change = with.plan.changes[i];
            EXPECT_EQ(change.to, without.plan.changes[i].to) << "seed " << seed;
            EXPECT_EQ(change.log_dirs.empty(), change.adding.empty());
        }
    }
}

TEST(Properties, AHundredBrokersAndAHundredThousandPartitions) {
    Rng rng(1);
    Snapshot snapshot;
    std::vector<int32_t> ids;
    for (int i = 0; i < 100; ++i) {
        snapshot.brokers.push_back(test::broker(i, test::rack_of(rng, 0, i)));
        ids.push_back(i);
    }
    snapshot.axes = {"fd", "ud"};
    for (int t = 0; t < 1'000; ++t) {
        Topic topic{"t" + std::to_string(t), {}};
        for (int p = 0; p < 100; ++p)
            topic.partitions.push_back(
                test::partition(p, test::sample(rng, ids, 3), rng.between(1, 1'000'000)));
        snapshot.topics.push_back(std::move(topic));
    }
    const Outcome outcome = make_plan(snapshot, {});
    ASSERT_FALSE(outcome.refusal.has_value());
    EXPECT_GT(outcome.plan.summary.violations_before, 50'000);
    EXPECT_EQ(outcome.plan.summary.violations_after, 0);
    EXPECT_TRUE(outcome.plan.summary.optimal);
    // 34, 33 and 33 brokers share a copy of each partition: 3030 - 2941, and one for the remainder.
    EXPECT_LE(outcome.plan.summary.replica_spread.after, 90);
}

}  // namespace
}  // namespace millrace::placement
