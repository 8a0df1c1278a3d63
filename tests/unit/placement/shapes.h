// tests/unit/placement/shapes.h: random clusters, and the rules of separation written a second
// time.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "millrace/base/rng.h"
#include "millrace/placement/planner.h"

namespace millrace::placement::test {

inline Broker broker(int32_t id, const std::string& rack, BrokerState state = BrokerState::Up) {
    return {id, labels_of_rack(rack), state, {}};
}

inline Partition partition(int32_t number, std::vector<int32_t> replicas, int64_t size = 1) {
    Partition p;
    p.partition = number;
    p.replicas = std::move(replicas);
    p.size_bytes = size;
    return p;
}

inline Snapshot cluster(const std::vector<std::string>& racks,
                        const std::vector<std::vector<int32_t>>& partitions) {
    Snapshot snapshot;
    for (size_t i = 0; i < racks.size(); ++i)
        snapshot.brokers.push_back(broker(static_cast<int32_t>(i), racks[i]));
    snapshot.axes = axes_of_labels(snapshot.brokers);
    snapshot.topics.push_back({"t", {}});
    for (size_t p = 0; p < partitions.size(); ++p)
        snapshot.topics[0].partitions.push_back(partition(static_cast<int32_t>(p), partitions[p]));
    return snapshot;
}

inline std::vector<int32_t> sample(Rng& rng, const std::vector<int32_t>& ids, size_t count) {
    std::vector<int32_t> left = ids;
    std::vector<int32_t> out;
    while (out.size() < count && !left.empty()) {
        const size_t i = rng.below(left.size());
        out.push_back(left[i]);
        left.erase(left.begin() + static_cast<int64_t>(i));
    }
    return out;
}

/// vm i in FD i%3 and UD i%5, full and sparse grids, two fault domains, one axis, chance.
inline std::string rack_of(Rng& rng, int shape, int i) {
    const auto grid = [](uint64_t fd, uint64_t ud) {
        return "FD" + std::to_string(fd) + "UD" + std::to_string(ud);
    };
    const auto n = static_cast<uint64_t>(i);
    switch (shape) {
        case 0: return grid(n % 3, n % 5);
        case 1: return grid(n % 3, n / 3 % 3);
        case 2: return grid(n % 2, n % 5);
        case 3: return "rack" + std::to_string(n % 3);
        case 4: return grid(rng.below(4), rng.below(4));
        case 5: return n < 2 ? grid(n, 0) : grid(2, n % 4);  // one fault domain holds nearly all
        default: return "/z" + std::to_string(n % 4) + "/" + std::to_string(n % 3);
    }
}

struct Shape {
    int brokers_min, brokers_max;
    int partitions_max;
    int rf_max;
};

inline Snapshot random_cluster(Rng& rng, const Shape& limits) {
    Snapshot snapshot;
    const auto count = static_cast<int>(rng.between(limits.brokers_min, limits.brokers_max));
    const auto shape = static_cast<int>(rng.below(7));
    std::vector<int32_t> ids;
    for (int i = 0; i < count; ++i) {
        BrokerState state = BrokerState::Up;
        if (rng.chance(1, 10)) state = static_cast<BrokerState>(rng.between(1, 3));
        snapshot.brokers.push_back(broker(100 + i, rack_of(rng, shape, i), state));
        ids.push_back(100 + i);
    }
    snapshot.axes = axes_of_labels(snapshot.brokers);
    const int64_t sizes[] = {0, 1, 3, 5, 10, 100, 12'345};
    for (int t = 0; t < 2; ++t) {
        Topic topic{"t" + std::to_string(t), {}};
        const auto partitions = static_cast<int>(rng.between(1, limits.partitions_max));
        const auto rf = static_cast<size_t>(rng.between(1, std::min(limits.rf_max, count)));
        for (int p = 0; p < partitions; ++p)
            topic.partitions.push_back(partition(p, sample(rng, ids, rf), sizes[rng.below(7)]));
        snapshot.topics.push_back(std::move(topic));
    }
    return snapshot;
}

/// All replica sets of one partition with the greatest score, from the words.
class Family {
  public:
    Family(const Snapshot& snapshot, const Partition& partition, size_t rf) : snapshot_(snapshot) {
        std::vector<int32_t> candidates;
        std::vector<int32_t> pinned;
        for (const Broker& b : snapshot.brokers) {
            const bool own = std::find(partition.replicas.begin(), partition.replicas.end(),
                                       b.id) != partition.replicas.end();
            const bool stays = b.state == BrokerState::Down || b.state == BrokerState::Cordoned;
            if (b.state == BrokerState::Up || (own && stays)) candidates.push_back(b.id);
            if (own && b.state == BrokerState::Down) pinned.push_back(b.id);
        }
        for (const std::string& axis : snapshot.axes) {
            std::set<std::string> values;
            for (const int32_t id : candidates)
                values.insert(label(id, axis));
            const size_t v = std::max<size_t>(values.size(), 1);
            caps_.push_back((rf + v - 1) / v);
        }
        std::vector<int32_t> set;
        walk(candidates, pinned, rf, 0, set);
    }

    bool best(std::vector<int32_t> set) const {
        std::sort(set.begin(), set.end());
        return std::find(sets.begin(), sets.end(), set) != sets.end();
    }

    std::vector<std::vector<int32_t>> sets;

  private:
    std::string label(int32_t id, const std::string& axis) const {
        for (const Broker& b : snapshot_.brokers) {
            for (const Label& l : b.labels) {
                if (b.id == id && l.first == axis) return l.second;
            }
        }
        return "";
    }

    std::pair<size_t, size_t> score(const std::vector<int32_t>& set) const {
        size_t sum = 0;
        size_t first = 0;
        for (size_t a = 0; a < snapshot_.axes.size(); ++a) {
            std::map<std::string, size_t> counts;
            for (const int32_t id : set)
                ++counts[label(id, snapshot_.axes[a])];
            for (const auto& [value, count] : counts)
                sum += std::min(count, caps_[a]);
            if (a == 0) first = sum;
        }
        return {sum, first};
    }

    void walk(const std::vector<int32_t>& from, const std::vector<int32_t>& pinned, size_t rf,
              size_t at, std::vector<int32_t>& set) {
        if (set.size() == rf) {
            for (const int32_t id : pinned) {
                if (std::find(set.begin(), set.end(), id) == set.end()) return;
            }
            const auto now = score(set);
            if (now > best_ || sets.empty()) sets.clear();
            if (sets.empty() || now == best_) {
                best_ = now;
                sets.push_back(set);
            }
            return;
        }
        for (size_t i = at; i < from.size(); ++i) {
            set.push_back(from[i]);
            walk(from, pinned, rf, i + 1, set);
            set.pop_back();
        }
    }

    const Snapshot& snapshot_;
    std::vector<size_t> caps_;
    std::pair<size_t, size_t> best_;
};

/// The planned replicas of a partition.
inline std::vector<int32_t> planned(const Plan& plan, const std::string& topic,
                                    const Partition& p) {
    for (const Change& change : plan.changes) {
        if (change.name.topic == topic && change.name.partition == p.partition) return change.to;
    }
    return p.replicas;
}

}  // namespace millrace::placement::test
