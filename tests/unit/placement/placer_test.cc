// tests/unit/placement/placer_test.cc: new partitions against the rules written a second time.
#include "millrace/placement/placer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "unit/placement/shapes.h"

namespace millrace::placement {
namespace {

using test::Family;

std::vector<Site> sites_of(const std::vector<std::string>& racks,
                           const std::set<int32_t>& fenced = {}) {
    std::vector<Site> sites;
    for (size_t i = 0; i < racks.size(); ++i) {
        const auto id = static_cast<int32_t>(i);
        sites.push_back({id, labels_of_rack(racks[i]), fenced.contains(id), 0, 0});
    }
    return sites;
}

/// A snapshot whose one topic has these partitions; fenced brokers are down.
Snapshot snapshot_of(const std::vector<std::string>& racks, const std::set<int32_t>& fenced,
                     const std::vector<std::vector<int32_t>>& partitions) {
    Snapshot snapshot = test::cluster(racks, partitions);
    for (Broker& broker : snapshot.brokers) {
        if (fenced.contains(broker.id)) broker.state = BrokerState::Down;
    }
    return snapshot;
}

int64_t spread(const std::vector<Site>& sites, int64_t Site::*what) {
    int64_t low = INT64_MAX;
    int64_t high = 0;
    for (const Site& site : sites) {
        if (site.fenced) continue;
        low = std::min(low, site.*what);
        high = std::max(high, site.*what);
    }
    return high - low;
}

TEST(Placer, EveryPartitionIsAtItsBest) {
    for (uint64_t seed = 1; seed <= 400; ++seed) {
        Rng rng(seed);
        const auto count = static_cast<int>(rng.between(3, 20));
        static constexpr int kTwoAxes[] = {0, 1, 2, 4, 5, 6};
        const int shape = kTwoAxes[rng.below(6)];
        std::vector<std::string> racks;
        std::set<int32_t> fenced;
        for (int i = 0; i < count; ++i) {
            racks.push_back(test::rack_of(rng, shape, i));
            if (rng.chance(1, 10)) fenced.insert(i);
        }
        const auto factor = static_cast<int32_t>(rng.between(1, std::min(count, 5)));
        if (static_cast<int>(fenced.size()) + factor > count) continue;
        std::vector<Site> sites = sites_of(racks, fenced);
        ASSERT_TRUE(have_two_axes(sites));
        const auto placed = place_new(sites, 30, factor, rng);
        ASSERT_EQ(placed.size(), 30u);
        const Snapshot snapshot = snapshot_of(racks, fenced, placed);
        const auto& partitions = snapshot.topics[0].partitions;
        const Family family(snapshot, partitions[0], partitions[0].replicas.size());
        for (const Partition& p : partitions) {
            EXPECT_TRUE(family.best(p.replicas)) << "seed " << seed;
            for (const int32_t id : p.replicas)
                EXPECT_FALSE(fenced.contains(id)) << "seed " << seed;
        }
    }
}

/// As even as the planner makes it when it may move everything, but for one copy.
TEST(Placer, EvennessIsThatOfABalancedPlan) {
    for (const auto& [shape, count] : std::vector<std::pair<int, int>>{
             {0, 4}, {0, 6}, {0, 8}, {0, 10}, {0, 12}, {0, 15}, {1, 9}, {1, 12}, {2, 10}, {6, 12}}) {
        Rng rng(7);
        std::vector<std::string> racks;
        for (int i = 0; i < count; ++i)
            racks.push_back(test::rack_of(rng, shape, i));
        std::vector<Site> sites = sites_of(racks);
        const auto placed = place_new(sites, 60, 3, rng);
        Request request;
        request.balance = true;
        const Outcome plan = make_plan(snapshot_of(racks, {}, placed), request);
        ASSERT_FALSE(plan.refusal.has_value());
        EXPECT_EQ(plan.plan.summary.violations_before, 0) << shape << " " << count;
        EXPECT_LE(spread(sites, &Site::replicas), plan.plan.summary.replica_spread.after + 1)
            << shape << " " << count;
        EXPECT_LE(spread(sites, &Site::leaders), 1) << shape << " " << count;
    }
}

TEST(Placer, TopicsBeforeTotals) {
    std::vector<Site> sites = sites_of({"FD0UD0", "FD1UD1", "FD2UD2", "FD0UD1", "FD1UD2", "FD2UD0"});
    for (size_t i = 0; i < 3; ++i)
        sites[i].replicas = sites[i].leaders = 100;
    Rng rng(1);
    // One partition goes to the empty ones; a topic of two is not put onto them twice.
    const auto placed = place_new(sites, 2, 3, rng);
    EXPECT_EQ(std::set<int32_t>(placed[0].begin(), placed[0].end()), (std::set<int32_t>{3, 4, 5}));
    EXPECT_EQ(std::set<int32_t>(placed[1].begin(), placed[1].end()), (std::set<int32_t>{0, 1, 2}));
}

TEST(Placer, SameSeedSamePlaces) {
    const std::vector<std::string> racks = {"/a/0", "/b/1", "/c/0", "/a/1", "/b/0"};
    const auto place = [&](uint64_t seed) {
        std::vector<Site> sites = sites_of(racks);
        Rng rng(seed);
        return place_new(sites, 20, 2, rng);
    };
    EXPECT_EQ(place(5), place(5));
    EXPECT_NE(place(5), place(6));
}

TEST(Placer, WhoHasTwoAxes) {
    EXPECT_TRUE(have_two_axes(sites_of({"FD0UD0", "/1/2"})));
    EXPECT_FALSE(have_two_axes(sites_of({"FD0UD0", ""})));
    EXPECT_FALSE(have_two_axes(sites_of({"r1", "r2"})));
    EXPECT_FALSE(have_two_axes({}));
}

/// A hundred brokers and ten thousand partitions, in a build of any kind.
TEST(Placer, LargeTopicsAreQuick) {
    std::vector<std::string> racks;
    for (int i = 0; i < 100; ++i)
        racks.push_back("FD" + std::to_string(i % 10) + "UD" + std::to_string(i / 10));
    std::vector<Site> sites = sites_of(racks);
    Rng rng(2);
    const auto start = std::chrono::steady_clock::now();
    const auto placed = place_new(sites, 10'000, 3, rng);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    EXPECT_LT(taken.count(), 10.0);
    RecordProperty("seconds", std::to_string(taken.count()));
    EXPECT_LE(spread(sites, &Site::replicas), 1);
    EXPECT_LE(spread(sites, &Site::leaders), 1);
}

}  // namespace
}  // namespace millrace::placement
