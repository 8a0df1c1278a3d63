// src/coordinator/assignor.cc: the range assignor, and the uniform one for equal subscriptions.
#include "coordinator/assignor.h"

#include <algorithm>
#include <tuple>

namespace millrace::coordinator {

void sort_for_assignor(std::vector<AssignorMember>& members) {
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
        const auto rank = [](const AssignorMember& m) {
            return std::tuple(!m.instance_id.has_value(), m.instance_id.value_or(""), m.id);
        };
        return rank(a) < rank(b);
    });
}

Assignor find_assignor(const std::string& name) {
    if (name == "uniform") return assign_uniform;
    if (name == "range") return assign_range;
    return nullptr;
}

AssignorResult assign_range(const AssignorInput& input) {
    AssignorResult result;
    for (const AssignorMember& member : input.members)
        result[member.id];
    for (const auto& [topic, count] : input.partition_counts) {
        std::vector<const AssignorMember*> subscribers;
        for (const AssignorMember& member : input.members) {
            if (member.topics.contains(topic)) subscribers.push_back(&member);
        }
        if (subscribers.empty()) continue;
        const auto members = static_cast<int32_t>(subscribers.size());
        int32_t next = 0;
        for (int32_t i = 0; i < members; ++i) {
            const int32_t share = count / members + (i < count % members ? 1 : 0);
            for (int32_t taken = 0; taken < share; ++taken)
                result[subscribers[static_cast<size_t>(i)]->id][topic].insert(next++);
        }
    }
    return result;
}

namespace {

/// Sizes differ by one at most, and as little moves as the members' order allows.
class UniformBuilder {
  public:
    explicit UniformBuilder(const AssignorInput& input)
        : input_(input), subscribed_(input.members.front().topics) {}

    AssignorResult build() {
        size_t total = 0;
        for (const Uuid& topic : subscribed_)
            total += count_of(topic);
        quota_ = total / input_.members.size();
        extras_ = total % input_.members.size();
        collect_unowned();
        for (size_t i = 0; i < input_.members.size(); ++i)
            trim(i);
        fill();
        MILLRACE_ASSERT(extras_ == 0, "everybody who must take one more has it");
        return std::move(result_);
    }

  private:
    struct Unfilled {
        std::string member;
        size_t room;
    };

    size_t count_of(const Uuid& topic) const {
        auto it = input_.partition_counts.find(topic);
        return it == input_.partition_counts.end() ? 0 : static_cast<size_t>(it->second);
    }
    void collect_unowned() {
        std::set<PartitionKey> owned;
        for (const AssignorMember& member : input_.members) {
            for (const auto& [topic, partitions] : member.current) {
                for (const int32_t partition : partitions)
                    owned.emplace(topic, partition);
            }
        }
        for (const Uuid& topic : subscribed_) {
            for (int32_t p = 0; p < static_cast<int32_t>(count_of(topic)); ++p) {
                if (!owned.contains({topic, p})) unassigned_.emplace_back(topic, p);
            }
        }
    }
    /// Keeps what the member may keep of its partitions; the rest is free.
    void trim(size_t index) {
        const AssignorMember& member = input_.members[index];
        Partitions& kept = result_[member.id];
        bool has_extra = extras_ > 0;
        size_t room = quota_ + (has_extra ? 1 : 0);
        for (const auto& [topic, partitions] : member.current) {
            if (!subscribed_.contains(topic)) continue;
            for (const int32_t partition : partitions) {
                if (room == 0) {
                    unassigned_.emplace_back(topic, partition);
                    continue;
                }
                --room;
                kept[topic].insert(partition);
            }
        }
        // Somebody who has more may keep one more, unless all that are left must take one.
        if (room > 0 && has_extra && input_.members.size() - index > extras_) {
            --room;
            has_extra = false;
        }
        if (room > 0) unfilled_.push_back({member.id, room});
        if (has_extra) --extras_;
    }
    void fill() {
        size_t at = 0;
        for (const PartitionKey& free : unassigned_) {
            while (at < unfilled_.size() && unfilled_[at].room == 0)
                ++at;
            if (at == unfilled_.size()) return;
            --unfilled_[at].room;
            result_[unfilled_[at].member][free.first].insert(free.second);
        }
    }

    const AssignorInput& input_;
    const std::set<Uuid>& subscribed_;
    size_t quota_ = 0;
    size_t extras_ = 0;  // members that still may get one more than the quota
    std::vector<PartitionKey> unassigned_;
    std::vector<Unfilled> unfilled_;
    AssignorResult result_;
};

}  // namespace

AssignorResult assign_uniform(const AssignorInput& input) {
    if (input.members.empty()) return {};
    return input.homogeneous ? UniformBuilder(input).build() : assign_uniform_heterogeneous(input);
}

}  // namespace millrace::coordinator
