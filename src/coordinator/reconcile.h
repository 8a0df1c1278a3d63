// src/coordinator/reconcile.h: one step of one member from what it has to what it should have.
//
// A partition moves only after its owner has said that it let go (coordinators.md 4.4).
// Source: KIP-848; org.apache.kafka.coordinator.group.modern.consumer.CurrentAssignmentBuilder.
#pragma once

#include <optional>

#include "coordinator/group_state.h"

namespace millrace::coordinator {

struct ReconcileInput {
    const ConsumerMember& member;
    const Partitions& target;
    int32_t target_epoch;
    /// What the member says it has; nothing when it does not say.
    const std::optional<Partitions>& owned;
    /// Who has a partition now.
    const PersistentMap<PartitionKey, int32_t>& owners;
    /// Topics the member subscribes to now: only these may stay with it.
    const std::set<Uuid>& subscribed;
    bool subscription_changed;
};

/// The member after the step, equal to the one given when nothing moves; nothing when a member in
/// a state this release does not know must start anew (FENCED_MEMBER_EPOCH).
std::optional<ConsumerMember> reconcile(const ReconcileInput& input);

}  // namespace millrace::coordinator
