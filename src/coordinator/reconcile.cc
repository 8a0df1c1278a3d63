// src/coordinator/reconcile.cc: STABLE, UNREVOKED and UNRELEASED, and the steps between them.
#include "coordinator/reconcile.h"

namespace millrace::coordinator {

namespace {

bool contains(const AssignedPartitions& partitions, const Uuid& topic, int32_t partition) {
    auto found = partitions.find(topic);
    return found != partitions.end() && found->second.contains(partition);
}

bool contains(const Partitions& partitions, const Uuid& topic, int32_t partition) {
    auto found = partitions.find(topic);
    return found != partitions.end() && found->second.contains(partition);
}

/// Whether the member still has one of them, as far as it says.
bool still_owns(const std::optional<Partitions>& owned, const AssignedPartitions& partitions) {
    if (partitions.empty()) return false;
    if (!owned) return true;
    for (const auto& [topic, epochs] : partitions) {
        for (const auto& [partition, epoch] : epochs) {
            if (contains(*owned, topic, partition)) return true;
        }
    }
    return false;
}

class Step {
  public:
    explicit Step(const ReconcileInput& input) : input_(input), next_(input.member) {}

    std::optional<ConsumerMember> run() {
        const ConsumerMember& member = input_.member;
        switch (member.state) {
            case MemberState::Stable:
                if (member.epoch != input_.target_epoch) return advance();
                return input_.subscription_changed ? shrink() : next_;
            case MemberState::Unrevoked:
                if (!still_owns(input_.owned, member.pending_revocation)) return advance();
                return input_.subscription_changed ? shrink() : next_;
            case MemberState::Unreleased: return advance();
            case MemberState::Unknown:
                if (!input_.owned || !input_.owned->empty()) return std::nullopt;
                next_.epoch = input_.target_epoch;
                return advance();
        }
        return next_;
    }

  private:
    /// Toward the target: revoke first, then take what is free.
    ConsumerMember advance() {
        const ConsumerMember& member = input_.member;
        AssignedPartitions keep;
        AssignedPartitions revoke;
        for (const auto& [topic, epochs] : member.assigned) {
            for (const auto& [partition, epoch] : epochs) {
                const bool stays = targeted(topic, partition);
                (stays ? keep : revoke)[topic][partition] = epoch;
            }
        }
        if (still_owns(input_.owned, revoke)) {
            next_.state = MemberState::Unrevoked;
            next_.assigned = std::move(keep);
            next_.pending_revocation = std::move(revoke);
            return changed();
        }
        const bool unreleased = take_free(keep);
        next_.epoch = input_.target_epoch;
        next_.state = unreleased ? MemberState::Unreleased : MemberState::Stable;
        next_.assigned = std::move(keep);
        next_.pending_revocation.clear();
        return changed();
    }
    bool targeted(const Uuid& topic, int32_t partition) const {
        return input_.subscribed.contains(topic) && contains(input_.target, topic, partition);
    }
    /// True when some partition of the target is still with somebody else.
    bool take_free(AssignedPartitions& keep) const {
        bool unreleased = false;
        for (const auto& [topic, partitions] : input_.target) {
            if (!input_.subscribed.contains(topic)) continue;
            for (const int32_t partition : partitions) {
                if (contains(keep, topic, partition)) continue;
                const bool own = contains(input_.member.pending_revocation, topic, partition) ||
                                 contains(input_.member.assigned, topic, partition);
                if (!own && input_.owners.contains(PartitionKey{topic, partition})) {
                    unreleased = true;
                    continue;
                }
                keep[topic][partition] = input_.target_epoch;
            }
        }
        return unreleased;
    }
    /// The epoch stays; only what is no longer subscribed goes.
    ConsumerMember shrink() {
        bool moved = false;
        for (auto it = next_.assigned.begin(); it != next_.assigned.end();) {
            if (input_.subscribed.contains(it->first)) {
                ++it;
                continue;
            }
            next_.pending_revocation[it->first].insert(it->second.begin(), it->second.end());
            it = next_.assigned.erase(it);
            moved = true;
        }
        if (!moved) return input_.member;
        if (still_owns(input_.owned, next_.pending_revocation)) {
            next_.state = MemberState::Unrevoked;
        } else {
            next_.pending_revocation = input_.member.pending_revocation;
        }
        return changed();
    }
    ConsumerMember changed() {
        next_.previous_epoch = input_.member.epoch;
        return std::move(next_);
    }

    const ReconcileInput& input_;
    ConsumerMember next_;
};

}  // namespace

std::optional<ConsumerMember> reconcile(const ReconcileInput& input) { return Step(input).run(); }

}  // namespace millrace::coordinator
