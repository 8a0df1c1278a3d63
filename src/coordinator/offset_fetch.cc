// src/coordinator/offset_fetch.cc: OffsetFetch of one group, stable or as committed.
//
// Source: coordinators.md 5.3; OffsetMetadataManager.fetchOffsets and fetchAllOffsets.
#include "coordinator/group_context.h"

namespace millrace::coordinator {

namespace {

using Request = wire::OffsetFetchRequest;
using Response = wire::OffsetFetchResponse;
using GroupAnswer = wire::OffsetFetchResponseOffsetFetchResponseGroup;
using PartitionAnswer = wire::OffsetFetchResponseOffsetFetchResponsePartitions;

PartitionAnswer no_offset(int32_t partition, ErrorCode error = ErrorCode::None) {
    PartitionAnswer answer;
    answer.partition_index = partition;
    answer.committed_offset = -1;
    answer.metadata = "";
    answer.error_code = code(error);
    return answer;
}

PartitionAnswer answer_of(int32_t partition, const CommittedOffset& offset) {
    PartitionAnswer answer;
    answer.partition_index = partition;
    answer.committed_offset = offset.offset;
    answer.committed_leader_epoch = offset.leader_epoch;
    answer.metadata = offset.metadata;
    return answer;
}

Response refused(const std::string& group, ErrorCode error) {
    Response response;
    GroupAnswer& answer = response.groups.emplace_back();
    answer.group_id = group;
    answer.error_code = code(error);
    return response;
}

/// KIP-848: a member of a consumer group says who it is.
ErrorCode check_member(const GroupState& state,
                       const wire::OffsetFetchRequestOffsetFetchRequestGroup& request) {
    const Group* group = state.find(request.group_id);
    if (group == nullptr || !group->is_consumer()) return ErrorCode::None;
    if (!request.member_id && request.member_epoch < 0) return ErrorCode::None;
    const ConsumerMember* member = group->consumer->member(request.member_id.value_or(""));
    if (member == nullptr) return ErrorCode::UnknownMemberId;
    if (request.member_epoch == member->epoch) return ErrorCode::None;
    return member->uses_classic_protocol() ? ErrorCode::IllegalGeneration
                                           : ErrorCode::StaleMemberEpoch;
}

void answer_named(const OffsetTable& table, bool stable,
                  const wire::OffsetFetchRequestOffsetFetchRequestGroup& request,
                  GroupAnswer& into) {
    for (const auto& topic : *request.topics) {
        auto& answers = into.topics.emplace_back();
        answers.name = topic.name;
        answers.topic_id = topic.topic_id;
        for (const int32_t partition : topic.partition_indexes) {
            const TopicPartition key{topic.name, PartitionIndex(partition)};
            const OffsetPtr* found = table.committed.find(key);
            // An offset of an earlier topic of that name is none of this one.
            const bool other_topic = found != nullptr && (*found)->topic_id != Uuid() &&
                                     topic.topic_id != Uuid() &&
                                     (*found)->topic_id != topic.topic_id;
            if (stable && table.is_pending(key)) {
                answers.partitions.push_back(no_offset(partition, ErrorCode::UnstableOffsetCommit));
            } else if (found == nullptr || other_topic) {
                answers.partitions.push_back(no_offset(partition));
            } else {
                answers.partitions.push_back(answer_of(partition, **found));
            }
        }
    }
}

void answer_all(const OffsetTable& table, bool stable, GroupAnswer& into) {
    for (const auto& [key, offset] : table.committed) {
        if (into.topics.empty() || into.topics.back().name != key.topic) {
            into.topics.emplace_back().name = key.topic;
        }
        auto& answers = into.topics.back();
        if (answers.topic_id == Uuid()) answers.topic_id = offset->topic_id;
        const int32_t partition = key.partition.value;
        answers.partitions.push_back(stable && table.is_pending(key)
                                         ? no_offset(partition, ErrorCode::UnstableOffsetCommit)
                                         : answer_of(partition, *offset));
    }
}

}  // namespace

void fetch_offsets(GroupContext& context, const Tick& tick, RequestId id, const Request& request,
                   GroupOutput& out) {
    const auto& group = request.groups.front();
    // Stable offsets are read as a write would be: everything before them shows.
    const bool stable = request.require_stable;
    const GroupState& state = stable ? context.state() : context.core.committed();
    const ErrorCode wrong = check_member(state, group);
    Response response;
    if (wrong != ErrorCode::None) {
        response = refused(group.group_id, wrong);
    } else {
        GroupAnswer& answer = response.groups.emplace_back();
        answer.group_id = group.group_id;
        static const OffsetTable kNone;
        const OffsetTable& table =
            state.find(group.group_id) == nullptr ? kNone : state.offsets_of(group.group_id);
        if (group.topics) {
            answer_named(table, stable, group, answer);
        } else {
            answer_all(table, stable, answer);
        }
    }
    if (!stable) {
        out.replies.push_back({id, std::move(response)});
        return;
    }
    context.answer(
        tick, id, std::move(response),
        [group_id = group.group_id](ErrorCode e) -> GroupResponse {
            const bool elsewhere = e == ErrorCode::CoordinatorNotAvailable;
            return refused(group_id, elsewhere ? ErrorCode::NotCoordinator : e);
        },
        out);
}

}  // namespace millrace::coordinator
