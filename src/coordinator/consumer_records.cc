// src/coordinator/consumer_records.cc: the records of consumer groups, made in one place.
#include "coordinator/consumer_group.h"
#include "coordinator/group_records.h"
#include "millrace/wire/gen/consumer_group_current_member_assignment_key.h"
#include "millrace/wire/gen/consumer_group_member_metadata_key.h"
#include "millrace/wire/gen/consumer_group_metadata_key.h"
#include "millrace/wire/gen/consumer_group_partition_metadata_key.h"
#include "millrace/wire/gen/consumer_group_regular_expression_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_member_key.h"
#include "millrace/wire/gen/consumer_group_target_assignment_metadata_key.h"

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

void append_consumer_group_tombstones(const std::string& id, const ConsumerGroup& group,
                                      std::vector<CoordinatorRecord>& records) {
    for (const auto& [member, value] : group.members) {
        records.push_back(
            make_tombstone(member_key<wire::ConsumerGroupCurrentMemberAssignmentKey>(id, member)));
    }
    for (const auto& [member, value] : group.members) {
        records.push_back(
            make_tombstone(member_key<wire::ConsumerGroupTargetAssignmentMemberKey>(id, member)));
    }
    records.push_back(
        make_tombstone(group_key<wire::ConsumerGroupTargetAssignmentMetadataKey>(id)));
    for (const auto& [member, value] : group.members) {
        records.push_back(
            make_tombstone(member_key<wire::ConsumerGroupMemberMetadataKey>(id, member)));
    }
    for (const auto& [regex, value] : group.regexes) {
        wire::ConsumerGroupRegularExpressionKey key;
        key.group_id = id;
        key.regular_expression = regex;
        records.push_back(make_tombstone(key));
    }
    records.push_back(make_tombstone(group_key<wire::ConsumerGroupPartitionMetadataKey>(id)));
    records.push_back(make_tombstone(group_key<wire::ConsumerGroupMetadataKey>(id)));
}

}  // namespace millrace::coordinator
