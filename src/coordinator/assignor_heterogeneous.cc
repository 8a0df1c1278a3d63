// src/coordinator/assignor_heterogeneous.cc: the uniform assignor for different subscriptions.
//
// Source: coordinators.md 4.5; UniformHeterogeneousAssignmentBuilder.
#include <algorithm>
#include <tuple>

#include "coordinator/assignor.h"

namespace millrace::coordinator {

namespace {

constexpr int kBalancePassesMax = 16;

class HeterogeneousBuilder {
  public:
    explicit HeterogeneousBuilder(const AssignorInput& input)
        : input_(input), load_(input.members.size()), assigned_(input.members.size()) {}

    AssignorResult build() {
        find_subscribers();
        keep_current();
        for (const Uuid& topic : topics_)
            deal(topic);
        balance();
        AssignorResult result;
        for (size_t i = 0; i < input_.members.size(); ++i)
            result[input_.members[i].id] = std::move(assigned_[i]);
        return result;
    }

  private:
    int32_t count_of(const Uuid& topic) const { return input_.partition_counts.at(topic); }

    /// Topics with the most partitions per subscriber first.
    void find_subscribers() {
        for (size_t i = 0; i < input_.members.size(); ++i) {
            for (const Uuid& topic : input_.members[i].topics) {
                if (input_.partition_counts.contains(topic)) subscribers_[topic].push_back(i);
            }
        }
        for (const auto& [topic, members] : subscribers_)
            topics_.push_back(topic);
        std::sort(topics_.begin(), topics_.end(), [&](const Uuid& a, const Uuid& b) {
            const auto rank = [&](const Uuid& t) {
                const double members = static_cast<double>(subscribers_[t].size());
                return std::tuple(-static_cast<double>(count_of(t)) / members,
                                  subscribers_[t].size(), static_cast<int64_t>(t.high),
                                  static_cast<int64_t>(t.low));
            };
            return rank(a) < rank(b);
        });
    }
    void keep_current() {
        for (size_t i = 0; i < input_.members.size(); ++i) {
            for (const auto& [topic, partitions] : input_.members[i].current) {
                if (!input_.members[i].topics.contains(topic) || !subscribers_.contains(topic))
                    continue;
                for (const int32_t partition : partitions) {
                    if (partition >= count_of(topic)) continue;
                    if (owner_.emplace(PartitionKey{topic, partition}, i).second)
                        give(i, topic, partition);
                }
            }
        }
    }
    void give(size_t member, const Uuid& topic, int32_t partition) {
        assigned_[member][topic].insert(partition);
        owner_[{topic, partition}] = member;
        ++load_[member];
    }
    void take(size_t member, const Uuid& topic, int32_t partition) {
        auto it = assigned_[member].find(topic);
        it->second.erase(partition);
        if (it->second.empty()) assigned_[member].erase(it);
        --load_[member];
    }
    std::vector<size_t> by_load(const Uuid& topic) const {
        std::vector<size_t> members = subscribers_.at(topic);
        std::stable_sort(members.begin(), members.end(), [&](size_t a, size_t b) {
            return std::tuple(load_[a], a) < std::tuple(load_[b], b);
        });
        return members;
    }
    /// Deals what nobody has to the least loaded, level by level.
    void deal(const Uuid& topic) {
        const std::vector<size_t> members = by_load(topic);
        size_t level_members = 0;  // the first so many share the lowest load
        size_t next = 0;
        for (int32_t partition = 0; partition < count_of(topic); ++partition) {
            if (owner_.contains({topic, partition})) continue;
            if (next == level_members) {
                next = 0;
                level_members = 1;
                while (level_members < members.size() &&
                       load_[members[level_members]] <= load_[members[0]]) {
                    ++level_members;
                }
            }
            give(members[next++], topic, partition);
        }
    }
    /// Moves partitions from the most to the least loaded until no topic can be made fairer.
    void balance() {
        for (int pass = 0; pass < kBalancePassesMax; ++pass) {
            bool moved = false;
            for (const Uuid& topic : topics_) {
                if (subscribers_[topic].size() > 1) moved = balance_topic(topic) || moved;
            }
            if (!moved) return;
        }
    }
    bool balance_topic(const Uuid& topic) {
        bool moved = false;
        // Each turn moves one partition of the topic, so their number bounds the loop.
        for (int32_t turn = 0; turn < count_of(topic); ++turn) {
            const std::vector<size_t> members = by_load(topic);
            const size_t least = members.front();
            const auto most = std::find_if(members.rbegin(), members.rend(),
                                           [&](size_t m) { return assigned_[m].contains(topic); });
            if (most == members.rend() || load_[*most] <= load_[least] + 1) break;
            const int32_t last = *assigned_[*most][topic].rbegin();
            take(*most, topic, last);
            give(least, topic, last);
            moved = true;
        }
        return moved;
    }

    const AssignorInput& input_;
    std::map<Uuid, std::vector<size_t>> subscribers_;
    std::vector<Uuid> topics_;
    std::vector<size_t> load_;
    std::vector<Partitions> assigned_;
    std::map<PartitionKey, size_t> owner_;
};

}  // namespace

AssignorResult assign_uniform_heterogeneous(const AssignorInput& input) {
    return HeterogeneousBuilder(input).build();
}

}  // namespace millrace::coordinator
