// tests/unit/placement/brute_force_test.cc: plans of small clusters against every possible plan.
#include <gtest/gtest.h>

#include <array>

#include "unit/placement/shapes.h"

namespace millrace::placement {
namespace {

using test::Family;

/// What plans are compared by, least first.
using Goal = std::array<int64_t, 3>;

struct Choice {
    std::vector<int32_t> set;
    int64_t bytes;
    int64_t moves;
};

class BruteForce {
  public:
    BruteForce(const Snapshot& snapshot, bool balance, size_t rf)
        : snapshot_(snapshot), balance_(balance) {
        for (const Topic& topic : snapshot.topics) {
            for (const Partition& p : topic.partitions)
                gather(p, rf == 0 ? p.replicas.size() : rf);
        }
    }

    bool feasible() const { return feasible_; }
    double plans() const {
        double product = 1;
        for (const auto& choices : choices_)
            product *= static_cast<double>(choices.size());
        return product;
    }
    Goal best() {
        search(0, 0, 0);
        return best_;
    }

    /// Partitions that are left alone: of fewer copies only those on absent brokers could stay.
    int64_t held() const { return held_; }

  private:
    bool only_absent_would_stay(const Partition& p, size_t rf) const {
        size_t down = 0;
        size_t live = 0;
        for (const Broker& b : snapshot_.brokers) {
            if (std::find(p.replicas.begin(), p.replicas.end(), b.id) == p.replicas.end()) continue;
            down += b.state == BrokerState::Down ? 1 : 0;
            live += b.state == BrokerState::Up || b.state == BrokerState::Cordoned ? 1 : 0;
        }
        return rf < p.replicas.size() && down == rf && live > 0;
    }

    void gather(const Partition& p, size_t rf) {
        if (only_absent_would_stay(p, rf)) {
            ++held_;
            choices_.push_back({{p.replicas, 0, 0}});
            return;
        }
        const Family family(snapshot_, p, rf);
        feasible_ = feasible_ && !family.sets.empty();
        std::vector<int32_t> now = p.replicas;
        std::sort(now.begin(), now.end());
        std::vector<Choice> choices;
        for (const auto& set : family.sets) {
            const auto moves = std::count_if(set.begin(), set.end(), [&](int32_t id) {
                return !std::binary_search(now.begin(), now.end(), id);
            });
            choices.push_back({set, p.size_bytes * moves, moves});
        }
        if (!balance_ && !choices.empty()) {
            const auto least =
                std::min_element(choices.begin(), choices.end(),
                                 [](const Choice& a, const Choice& b) { return a.moves < b.moves; })
                    ->moves;
            std::erase_if(choices, [least](const Choice& c) { return c.moves > least; });
            // A healthy partition is not in the plan.
            if (family.best(now))
                std::erase_if(choices, [&](const Choice& c) { return c.set != now; });
        }
        choices_.push_back(std::move(choices));
    }

    int64_t spread() const {
        int64_t low = std::numeric_limits<int64_t>::max();
        int64_t high = 0;
        for (const Broker& b : snapshot_.brokers) {
            if (b.state != BrokerState::Up) continue;
            const auto at = load_.find(b.id);
            const int64_t load = at == load_.end() ? 0 : at->second;
            low = std::min(low, load);
            high = std::max(high, load);
        }
        return std::max<int64_t>(0, high - std::min(low, high));
    }

    void search(size_t depth, int64_t bytes, int64_t moves) {
        if (depth == choices_.size()) {
            const Goal goal =
                balance_ ? Goal{spread(), bytes, moves} : Goal{bytes, moves, spread()};
            if (!found_ || goal < best_) best_ = goal;
            found_ = true;
            return;
        }
        for (const Choice& choice : choices_[depth]) {
            for (const int32_t id : choice.set)
                ++load_[id];
            search(depth + 1, bytes + choice.bytes, moves + choice.moves);
            for (const int32_t id : choice.set)
                --load_[id];
        }
    }

    const Snapshot& snapshot_;
    bool balance_;
    std::vector<std::vector<Choice>> choices_;
    std::map<int32_t, int64_t> load_;
    bool feasible_ = true;
    int64_t held_ = 0;
    bool found_ = false;
    Goal best_{};
};

void compare(bool balance, uint64_t seeds) {
    int compared = 0;
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        Rng rng(seed);
        const Snapshot snapshot = test::random_cluster(rng, {3, 6, 2, 3});
        Request request;
        request.balance = balance;
        if (rng.chance(1, 5)) request.replication_factor = static_cast<int32_t>(rng.between(1, 3));
        BruteForce all(snapshot, balance,
                       static_cast<size_t>(request.replication_factor.value_or(0)));
        const Outcome outcome = make_plan(snapshot, request);
        ASSERT_EQ(outcome.refusal.has_value(), !all.feasible()) << "seed " << seed;
        if (outcome.refusal) {
            EXPECT_FALSE(outcome.refusal->bad_input);
            EXPECT_GT(outcome.refusal->blocking_total, 0);
            continue;
        }
        const Summary& sum = outcome.plan.summary;
        ASSERT_EQ(sum.violations_after, all.held()) << "seed " << seed;
        if (all.plans() > 30'000) continue;
        ++compared;
        const Goal goal = balance
                              ? Goal{sum.replica_spread.after, sum.bytes_moved, sum.replica_moves}
                              : Goal{sum.bytes_moved, sum.replica_moves, sum.replica_spread.after};
        ASSERT_EQ(goal, all.best()) << "seed " << seed;
        EXPECT_TRUE(sum.optimal) << "seed " << seed;
        EXPECT_EQ(sum.gap_bytes, 0);
    }
    EXPECT_GT(compared, static_cast<int>(seeds / 2));
}

TEST(BruteForce, NoPlanMovesLessOrSpreadsBetter) { compare(false, 4'000); }

TEST(BruteForce, NoPlanIsEvenerOrCheaperWhenBalancing) { compare(true, 2'000); }

/// Every assignment of new copies to directories under the high-water mark.
struct DiskCase {
    std::vector<int64_t> rooms;  // of brokers 3, 4, ...; each may take from dead broker 0
    std::vector<int64_t> sizes;
    bool fits;
};

TEST(BruteForce, DisksAreFilledWheneverTheyCanBe) {
    const DiskCase cases[] = {
        {{10, 10}, {5, 5, 5, 5}, true},        {{10, 10}, {6, 6, 6}, false},
        {{9, 11}, {4, 5, 5, 6}, true},         {{7, 7, 7}, {5, 4, 3, 3, 2, 2, 2}, true},
        {{6, 6, 6}, {4, 4, 4, 2, 2, 2}, true}, {{3, 3}, {4}, false},
        {{12, 8}, {7, 5, 4, 4}, true},         {{10}, {3, 3, 4}, true},
    };
    for (const DiskCase& one : cases) {
        Snapshot snapshot;
        snapshot.axes = {"rack"};
        snapshot.brokers = {test::broker(0, "a", BrokerState::Dead), test::broker(1, "b")};
        for (size_t i = 0; i < one.rooms.size(); ++i) {
            snapshot.brokers.push_back(test::broker(3 + static_cast<int32_t>(i), "a"));
            snapshot.brokers.back().log_dirs = {{"/d", 1'000, 900 - one.rooms[i]}};
        }
        snapshot.topics = {{"t", {}}};
        for (size_t p = 0; p < one.sizes.size(); ++p)
            snapshot.topics[0].partitions.push_back(
                test::partition(static_cast<int32_t>(p), {0, 1}, one.sizes[p]));
        const Outcome outcome = make_plan(snapshot, {});
        ASSERT_EQ(outcome.refusal.has_value(), !one.fits) << testing::PrintToString(one.rooms);
        if (outcome.refusal) {
            EXPECT_EQ(outcome.refusal->rule, "disk-high-water");
            EXPECT_GT(outcome.refusal->blocking_total, 0);
            continue;
        }
        std::map<int32_t, int64_t> incoming;
        for (const Change& change : outcome.plan.changes) {
            for (const int32_t id : change.adding)
                incoming[id] += change.bytes;
        }
        for (size_t i = 0; i < one.rooms.size(); ++i)
            EXPECT_LE(incoming[3 + static_cast<int32_t>(i)], one.rooms[i]);
    }
}

}  // namespace
}  // namespace millrace::placement
