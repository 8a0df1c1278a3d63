// src/coordinator/consumer_replay.cc: replay of the records of consumer groups (types 3-8, 16).
#include <fmt/core.h>

#include <algorithm>

#include "coordinator/group_state.h"
#include "millrace/wire/gen/consumer_group_current_member_assignment_key.h"
#include "millrace/wire/gen/consumer_group_member_metadata_key.h"
#include "millrace/wire/gen/consumer_group_metadata_key.h"
#include "millrace/wire/gen/consumer_group_metadata_value.h"
#include "millrace/wire/gen/consumer_group_partition_metadata_key.h"
#include "millrace/wire/gen/consumer_group_partition_metadata_value.h"
#include "millrace/wire/gen/consumer_group_regular_expression_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_member_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_member_value.h"
#include "millrace/wire/gen/consumer_group_target_assignment_metadata_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_metadata_value.h"
#include "millrace/wire/record_frame.h"

namespace millrace::coordinator {

namespace {

using Bytes = std::optional<ByteView>;

Status bad(const std::string& group, const char* what) {
    return Status(Errc::Corrupt, fmt::format("consumer group {}: {}", group, what));
}

template <class Value>
bool decode(const Bytes& bytes, Value& into) {
    wire::Reader reader(*bytes);
    return wire::decode_coordinator_value(reader, into);
}

/// A copy of the group to edit. A value creates the group, or replaces a simple classic one;
/// nothing for a group of another kind, and for a tombstone of a group that is not there.
std::shared_ptr<ConsumerGroup> editable(const GroupState& state, const std::string& group,
                                        bool create) {
    const Group* known = state.find(group);
    if (known != nullptr && known->is_consumer()) {
        return std::make_shared<ConsumerGroup>(*known->consumer);
    }
    if (!create || (known != nullptr && !known->is_simple())) return nullptr;
    return std::make_shared<ConsumerGroup>();
}

void store(GroupState& state, const std::string& group, std::shared_ptr<ConsumerGroup> edited) {
    state.groups.set(group, Group{nullptr, std::move(edited)});
}

ConsumerMember member_of(const ConsumerGroup& group, const std::string& id) {
    const ConsumerMemberPtr* known = group.members.find(id);
    if (known != nullptr) return **known;
    ConsumerMember member;
    member.id = id;
    return member;
}

/// Compaction may have hidden records in between, so only what is as expected is removed
/// (KAFKA-19862); taking a partition from a live owner is an error.
void disown(ConsumerGroup& group, const AssignedPartitions& partitions, int32_t epoch) {
    for (const auto& [topic, owned] : partitions) {
        for (const auto& [partition, assigned_at] : owned) {
            const PartitionKey key{topic, partition};
            const int32_t* owner = group.owners.find(key);
            if (owner != nullptr && *owner == epoch) group.owners.erase(key);
        }
    }
}
bool own(ConsumerGroup& group, const AssignedPartitions& partitions, int32_t epoch) {
    for (const auto& [topic, owned] : partitions) {
        for (const auto& [partition, assigned_at] : owned) {
            const PartitionKey key{topic, partition};
            const int32_t* owner = group.owners.find(key);
            if (owner != nullptr && *owner >= epoch) return false;
            group.owners.set(key, epoch);
        }
    }
    return true;
}
bool replace_ownership(ConsumerGroup& group, const ConsumerMember& before,
                       const ConsumerMember& after) {
    disown(group, before.assigned, before.epoch);
    disown(group, before.pending_revocation, before.epoch);
    return own(group, after.assigned, after.epoch) &&
           own(group, after.pending_revocation, after.epoch);
}

AssignedPartitions partitions_of(
    const std::vector<wire::ConsumerGroupCurrentMemberAssignmentValueTopicPartitions>& topics,
    int32_t epoch_default) {
    AssignedPartitions result;
    for (const auto& topic : topics) {
        PartitionEpochs& into = result[topic.topic_id];
        const bool epochs =
            topic.assignment_epochs && topic.assignment_epochs->size() == topic.partitions.size();
        for (size_t i = 0; i < topic.partitions.size(); ++i) {
            into[topic.partitions[i]] = epochs ? (*topic.assignment_epochs)[i] : epoch_default;
        }
    }
    return result;
}

MemberState state_of(int8_t code) {
    return code >= 0 && code <= 2 ? static_cast<MemberState>(code) : MemberState::Unknown;
}

Status replay_group(GroupState& state, const std::string& id, const Bytes& bytes) {
    auto group = editable(state, id, bytes.has_value());
    if (!bytes) {
        if (!group) return Status();
        if (!group->members.empty()) return bad(id, "removed while it has members");
        if (!group->targets.empty()) return bad(id, "removed while it has a target assignment");
        state.groups.erase(id);
        return Status();
    }
    if (!group) return bad(id, "is of another kind");
    wire::ConsumerGroupMetadataValue value;
    if (!decode(bytes, value)) return bad(id, "its metadata does not parse");
    group->epoch = value.epoch;
    group->metadata_hash = value.metadata_hash;
    store(state, id, std::move(group));
    return Status();
}

Status replay_partition_metadata(GroupState& state, const std::string& id, const Bytes& bytes) {
    auto group = editable(state, id, bytes.has_value());
    if (!group) return bytes ? bad(id, "is of another kind") : Status();
    group->has_partition_metadata = bytes.has_value();
    store(state, id, std::move(group));
    return Status();
}

Status replay_member(GroupState& state, const std::string& id, const std::string& member_id,
                     const Bytes& bytes) {
    auto group = editable(state, id, bytes.has_value());
    if (!group) return bytes ? bad(id, "is of another kind") : Status();
    ConsumerMember member = member_of(*group, member_id);
    if (member.metadata.instance_id) {
        const std::string* owner = group->static_members.find(*member.metadata.instance_id);
        if (owner != nullptr && *owner == member_id) {
            group->static_members.erase(*member.metadata.instance_id);
        }
    }
    if (!bytes) {
        if (!group->members.contains(member_id)) return Status();
        if (!member.assigned.empty() || !member.pending_revocation.empty()) {
            return bad(id, "a member left with an assignment");
        }
        if (group->targets.contains(member_id)) return bad(id, "a member left with a target");
        group->members.erase(member_id);
        store(state, id, std::move(group));
        return Status();
    }
    wire::ConsumerGroupMemberMetadataValue value;
    if (!decode(bytes, value)) return bad(id, "a member does not parse");
    member.metadata = std::move(value);
    if (member.metadata.instance_id) {
        group->static_members.set(*member.metadata.instance_id, member_id);
    }
    group->members.set(member_id, std::make_shared<const ConsumerMember>(std::move(member)));
    store(state, id, std::move(group));
    return Status();
}

Status replay_target_metadata(GroupState& state, const std::string& id, const Bytes& bytes) {
    auto group = editable(state, id, bytes.has_value());
    if (!group) return bytes ? bad(id, "is of another kind") : Status();
    if (!bytes) {
        if (!group->targets.empty()) return bad(id, "its target lost its epoch");
        group->target_epoch = -1;
        group->target_timestamp_ms = 0;
    } else {
        wire::ConsumerGroupTargetAssignmentMetadataValue value;
        if (!decode(bytes, value)) return bad(id, "its target does not parse");
        group->target_epoch = value.assignment_epoch;
        group->target_timestamp_ms = value.assignment_timestamp;
    }
    store(state, id, std::move(group));
    return Status();
}

Status replay_target_member(GroupState& state, const std::string& id, const std::string& member_id,
                            const Bytes& bytes) {
    auto group = editable(state, id, bytes.has_value());
    if (!group) return bytes ? bad(id, "is of another kind") : Status();
    if (!bytes) {
        group->targets.erase(member_id);
    } else {
        wire::ConsumerGroupTargetAssignmentMemberValue value;
        if (!decode(bytes, value)) return bad(id, "the target of a member does not parse");
        auto target = std::make_shared<Partitions>();
        for (const auto& topic : value.topic_partitions) {
            (*target)[topic.topic_id].insert(topic.partitions.begin(), topic.partitions.end());
        }
        group->targets.set(member_id, std::move(target));
    }
    store(state, id, std::move(group));
    return Status();
}

Status replay_current(GroupState& state, const std::string& id, const std::string& member_id,
                      const Bytes& bytes) {
    auto group = editable(state, id, bytes.has_value());
    if (!group) return bytes ? bad(id, "is of another kind") : Status();
    if (!bytes && !group->members.contains(member_id)) return Status();
    const ConsumerMember before = member_of(*group, member_id);
    ConsumerMember after = before;
    if (!bytes) {
        after.epoch = kLeaveEpoch;
        after.previous_epoch = kLeaveEpoch;
        after.state = MemberState::Stable;
        after.assigned.clear();
        after.pending_revocation.clear();
    } else {
        wire::ConsumerGroupCurrentMemberAssignmentValue value;
        if (!decode(bytes, value)) return bad(id, "the assignment of a member does not parse");
        const int32_t epoch_default = std::max(value.member_epoch, 0);
        after.epoch = value.member_epoch;
        after.previous_epoch = value.previous_member_epoch;
        after.state = state_of(value.state);
        after.assigned = partitions_of(value.assigned_partitions, epoch_default);
        after.pending_revocation =
            partitions_of(value.partitions_pending_revocation, epoch_default);
    }
    if (!replace_ownership(*group, before, after)) return bad(id, "a partition has two owners");
    group->members.set(member_id, std::make_shared<const ConsumerMember>(std::move(after)));
    store(state, id, std::move(group));
    return Status();
}

Status replay_regex(GroupState& state, const std::string& id, const std::string& regex,
                    const Bytes& bytes) {
    auto group = editable(state, id, bytes.has_value());
    if (!group) return bytes ? bad(id, "is of another kind") : Status();
    if (!bytes) {
        group->regexes.erase(regex);
    } else {
        auto value = std::make_shared<wire::ConsumerGroupRegularExpressionValue>();
        if (!decode(bytes, *value)) return bad(id, "a regular expression does not parse");
        group->regexes.set(regex, std::move(value));
    }
    store(state, id, std::move(group));
    return Status();
}

constexpr int16_t kGroup = wire::ConsumerGroupMetadataKey::kRecordType;
constexpr int16_t kPartitionMetadata = wire::ConsumerGroupPartitionMetadataKey::kRecordType;
constexpr int16_t kMember = wire::ConsumerGroupMemberMetadataKey::kRecordType;
constexpr int16_t kTargetMetadata = wire::ConsumerGroupTargetAssignmentMetadataKey::kRecordType;
constexpr int16_t kTargetMember = wire::ConsumerGroupTargetAssignmentMemberKey::kRecordType;
constexpr int16_t kCurrent = wire::ConsumerGroupCurrentMemberAssignmentKey::kRecordType;
constexpr int16_t kRegex = wire::ConsumerGroupRegularExpressionKey::kRecordType;

}  // namespace

const std::string& ConsumerMember::regex() const {
    static const std::string kNone;
    return metadata.subscribed_topic_regex ? *metadata.subscribed_topic_regex : kNone;
}

const ConsumerMember* ConsumerGroup::member(const std::string& id) const {
    const ConsumerMemberPtr* found = members.find(id);
    return found == nullptr ? nullptr : found->get();
}

const Partitions& ConsumerGroup::target_of(const std::string& member_id) const {
    static const Partitions kNone;
    const PartitionsPtr* found = targets.find(member_id);
    return found == nullptr ? kNone : **found;
}

ConsumerGroupPhase ConsumerGroup::phase() const {
    if (members.empty()) return ConsumerGroupPhase::Empty;
    if (epoch > target_epoch) return ConsumerGroupPhase::Assigning;
    for (const auto& [id, member] : members) {
        if (!member->reconciled_to(target_epoch)) return ConsumerGroupPhase::Reconciling;
    }
    return ConsumerGroupPhase::Stable;
}

bool is_consumer_record(int16_t type) {
    return (type >= kGroup && type <= kCurrent) || type == kRegex;
}

Status replay_consumer_record(GroupState& state, int16_t type, wire::Reader& key,
                              const std::optional<ByteView>& value) {
    // Every key begins with the group; half of them go on with a member or an expression.
    const std::string group = key.string(false);
    const bool two_parts =
        type == kMember || type == kTargetMember || type == kCurrent || type == kRegex;
    const std::string part = two_parts ? key.string(false) : std::string();
    if (!key.ok()) return bad(group, "a key does not parse");
    switch (type) {
        case kGroup: return replay_group(state, group, value);
        case kPartitionMetadata: return replay_partition_metadata(state, group, value);
        case kMember: return replay_member(state, group, part, value);
        case kTargetMetadata: return replay_target_metadata(state, group, value);
        case kTargetMember: return replay_target_member(state, group, part, value);
        case kCurrent: return replay_current(state, group, part, value);
        case kRegex: return replay_regex(state, group, part, value);
    }
    return Status();
}

}  // namespace millrace::coordinator
