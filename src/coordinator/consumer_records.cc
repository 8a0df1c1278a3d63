// src/coordinator/consumer_records.cc: the records of consumer groups, made in one place.
#include "coordinator/consumer_group.h"
#include "coordinator/group_records.h"
#include "millrace/wire/gen/consumer_group_current_member_assignment_key.h"
#include "millrace/wire/gen/consumer_group_member_metadata_key.h"
#include "millrace/wire/gen/consumer_group_metadata_key.h"
#include "millrace/wire/gen/consumer_group_metadata_value.h"
#include "millrace/wire/gen/consumer_group_partition_metadata_key.h"
#include "millrace/wire/gen/consumer_group_regular_expression_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_member_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_member_value.h"
#include "millrace/wire/gen/consumer_group_target_assignment_metadata_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_metadata_value.h"

namespace millrace::coordinator {

namespace {

template <class Key>
Key group_key(const std::string& group) {
    Key key;
    key.group_id = group;
    return key;
}
template <class Key>
Key member_key(const std::string& group, const std::string& member) {
    Key key;
    key.group_id = group;
    key.member_id = member;
    return key;
}
wire::ConsumerGroupRegularExpressionKey regex_key(const std::string& group,
                                                  const std::string& regex) {
    wire::ConsumerGroupRegularExpressionKey key;
    key.group_id = group;
    key.regular_expression = regex;
    return key;
}

std::vector<wire::ConsumerGroupCurrentMemberAssignmentValueTopicPartitions> with_epochs(
    const AssignedPartitions& partitions) {
    std::vector<wire::ConsumerGroupCurrentMemberAssignmentValueTopicPartitions> topics;
    for (const auto& [topic, epochs] : partitions) {
        auto& into = topics.emplace_back();
        into.topic_id = topic;
        auto& list = into.assignment_epochs.emplace();
        for (const auto& [partition, epoch] : epochs) {
            into.partitions.push_back(partition);
            list.push_back(epoch);
        }
    }
    return topics;
}

}  // namespace

const char* consumer_phase_name(ConsumerGroupPhase phase) {
    switch (phase) {
        case ConsumerGroupPhase::Empty: return "Empty";
        case ConsumerGroupPhase::Assigning: return "Assigning";
        case ConsumerGroupPhase::Reconciling: return "Reconciling";
        case ConsumerGroupPhase::Stable: return "Stable";
    }
    MILLRACE_UNREACHABLE("a state of a consumer group");
}

CoordinatorRecord make_member_record(const std::string& group, const ConsumerMember& member) {
    return make_record(member_key<wire::ConsumerGroupMemberMetadataKey>(group, member.id),
                       member.metadata);
}
CoordinatorRecord make_member_tombstone(const std::string& group, const std::string& member) {
    return make_tombstone(member_key<wire::ConsumerGroupMemberMetadataKey>(group, member));
}

CoordinatorRecord make_epoch_record(const std::string& group, int32_t epoch, int64_t hash) {
    wire::ConsumerGroupMetadataValue value;
    value.epoch = epoch;
    value.metadata_hash = hash;
    return make_record(group_key<wire::ConsumerGroupMetadataKey>(group), value);
}
CoordinatorRecord make_partition_metadata_tombstone(const std::string& group) {
    return make_tombstone(group_key<wire::ConsumerGroupPartitionMetadataKey>(group));
}

CoordinatorRecord make_target_record(const std::string& group, const std::string& member,
                                     const Partitions& target) {
    wire::ConsumerGroupTargetAssignmentMemberValue value;
    for (const auto& [topic, partitions] : target) {
        if (partitions.empty()) continue;
        auto& into = value.topic_partitions.emplace_back();
        into.topic_id = topic;
        into.partitions.assign(partitions.begin(), partitions.end());
    }
    return make_record(member_key<wire::ConsumerGroupTargetAssignmentMemberKey>(group, member),
                       value);
}
CoordinatorRecord make_target_tombstone(const std::string& group, const std::string& member) {
    return make_tombstone(member_key<wire::ConsumerGroupTargetAssignmentMemberKey>(group, member));
}
CoordinatorRecord make_target_epoch_record(const std::string& group, int32_t epoch,
                                           int64_t timestamp_ms) {
    wire::ConsumerGroupTargetAssignmentMetadataValue value;
    value.assignment_epoch = epoch;
    value.assignment_timestamp = timestamp_ms;
    return make_record(group_key<wire::ConsumerGroupTargetAssignmentMetadataKey>(group), value);
}

CoordinatorRecord make_current_record(const std::string& group, const ConsumerMember& member) {
    wire::ConsumerGroupCurrentMemberAssignmentValue value;
    value.member_epoch = member.epoch;
    value.previous_member_epoch = member.previous_epoch;
    value.state = static_cast<int8_t>(member.state);
    value.assigned_partitions = with_epochs(member.assigned);
    value.partitions_pending_revocation = with_epochs(member.pending_revocation);
    return make_record(member_key<wire::ConsumerGroupCurrentMemberAssignmentKey>(group, member.id),
                       value);
}
CoordinatorRecord make_current_tombstone(const std::string& group, const std::string& member) {
    return make_tombstone(member_key<wire::ConsumerGroupCurrentMemberAssignmentKey>(group, member));
}

CoordinatorRecord make_regex_record(const std::string& group, const std::string& regex,
                                    const wire::ConsumerGroupRegularExpressionValue& value) {
    return make_record(regex_key(group, regex), value);
}
CoordinatorRecord make_regex_tombstone(const std::string& group, const std::string& regex) {
    return make_tombstone(regex_key(group, regex));
}

void append_consumer_group_tombstones(const std::string& id, const ConsumerGroup& group,
                                      Records& records) {
    for (const auto& [member, value] : group.members)
        records.push_back(make_current_tombstone(id, member));
    for (const auto& [member, value] : group.members)
        records.push_back(make_target_tombstone(id, member));
    records.push_back(
        make_tombstone(group_key<wire::ConsumerGroupTargetAssignmentMetadataKey>(id)));
    for (const auto& [member, value] : group.members)
        records.push_back(make_member_tombstone(id, member));
    for (const auto& [regex, value] : group.regexes)
        records.push_back(make_regex_tombstone(id, regex));
    records.push_back(make_partition_metadata_tombstone(id));
    records.push_back(make_tombstone(group_key<wire::ConsumerGroupMetadataKey>(id)));
}

}  // namespace millrace::coordinator
