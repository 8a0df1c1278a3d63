// src/coordinator/group_offsets.cc: OffsetCommit, TxnOffsetCommit and OffsetDelete.
//
// Source: coordinators.md 5.1, 5.2, 5.4; org.apache.kafka.coordinator.group.OffsetMetadataManager.
#include <algorithm>

#include "coordinator/group_context.h"
#include "coordinator/group_records.h"
#include "coordinator/utf16.h"

namespace millrace::coordinator {

namespace {

constexpr int16_t kConsumerProtocolFrom = 9;  // of OffsetCommit

/// Who commits, in either API.
struct Committer {
    int32_t epoch;  // generation or member epoch
    const std::string& member;
    const std::optional<std::string>& instance;
    bool anonymous() const { return epoch < 0 && member.empty() && !instance; }
};

/// KIP-1251: a member that lags behind may commit what it has had since then.
template <class Topics>
bool held_since(const ConsumerMember& member, int32_t epoch, const Topics& topics) {
    const auto holds = [epoch](const AssignedPartitions& partitions, const Uuid& topic,
                               int32_t partition) {
        auto found = partitions.find(topic);
        if (found == partitions.end()) return false;
        auto at = found->second.find(partition);
        return at != found->second.end() && at->second <= epoch;
    };
    return std::all_of(topics.begin(), topics.end(), [&](const auto& entry) {
        const auto& [topic, partition] = entry;
        return holds(member.assigned, topic, partition) ||
               holds(member.pending_revocation, topic, partition);
    });
}

using TopicPartitions = std::vector<std::pair<Uuid, int32_t>>;

ErrorCode check_consumer_epoch(const ConsumerMember& member, int32_t epoch,
                               const TopicPartitions& partitions, ErrorCode stale) {
    if (epoch == member.epoch) return ErrorCode::None;
    if (epoch > member.epoch || !held_since(member, epoch, partitions)) return stale;
    return ErrorCode::None;
}

/// Re-arms the heartbeat of a classic member: a commit is a sign of life.
ErrorCode check_classic_commit(GroupContext& context, const Tick& tick, const ClassicGroup& group,
                               const Committer& who) {
    if (group.in(ClassicState::Dead)) return ErrorCode::CoordinatorNotAvailable;
    if (who.epoch < 0 && group.in(ClassicState::Empty)) return ErrorCode::None;
    if (who.anonymous()) return ErrorCode::UnknownMemberId;
    const ErrorCode wrong = check_classic_member(group, who.member, who.instance);
    if (wrong != ErrorCode::None) return wrong;
    if (who.epoch != group.generation) return ErrorCode::IllegalGeneration;
    if (group.in(ClassicState::CompletingRebalance)) return ErrorCode::RebalanceInProgress;
    arm_heartbeat(context, tick, group, *group.member(who.member));
    return ErrorCode::None;
}

ErrorCode check_consumer_commit(const ConsumerGroup& group, const Committer& who, int16_t version,
                                const TopicPartitions& partitions) {
    if (who.epoch < 0 && group.members.empty()) return ErrorCode::None;
    const ConsumerMember* member = group.member(who.member);
    if (member == nullptr) return ErrorCode::UnknownMemberId;
    const bool classic = member->uses_classic_protocol();
    if (!classic && version < kConsumerProtocolFrom) return ErrorCode::UnsupportedVersion;
    return check_consumer_epoch(
        *member, who.epoch, partitions,
        classic ? ErrorCode::IllegalGeneration : ErrorCode::StaleMemberEpoch);
}

template <class Request>
TopicPartitions partitions_of(const metadata::Image& image, const Request& request) {
    TopicPartitions result;
    for (const auto& topic : request.topics) {
        Uuid id;
        if constexpr (requires { topic.topic_id; }) {
            id = topic.topic_id;
        } else {
            const auto* known = image.topics.find(topic.name);
            if (known != nullptr) id = known->id;
        }
        for (const auto& partition : topic.partitions)
            result.emplace_back(id, partition.partition_index);
    }
    return result;
}

ErrorCode check_commit(GroupContext& context, const Tick& tick, int16_t version,
                       const wire::OffsetCommitRequest& request) {
    const Committer who{request.generation_id_or_member_epoch, request.member_id,
                        request.group_instance_id};
    const Group* group = context.state().find(request.group_id);
    if (group == nullptr) {
        if (who.epoch < 0) return ErrorCode::None;  // a simple group is made by its first offset
        return version >= kConsumerProtocolFrom ? ErrorCode::GroupIdNotFound
                                                : ErrorCode::IllegalGeneration;
    }
    if (group->is_consumer()) {
        return check_consumer_commit(*group->consumer, who, version,
                                     partitions_of(*context.image, request));
    }
    return check_classic_commit(context, tick, *context.classic(request.group_id), who);
}

ErrorCode check_txn_commit(GroupContext& context, const wire::TxnOffsetCommitRequest& request) {
    const Committer who{request.generation_id, request.member_id, request.group_instance_id};
    const Group* group = context.state().find(request.group_id);
    if (group == nullptr) {
        return who.epoch < 0 ? ErrorCode::None : ErrorCode::IllegalGeneration;
    }
    if (who.anonymous()) return ErrorCode::None;
    if (group->is_consumer()) {
        const ConsumerMember* member = group->consumer->member(who.member);
        if (member == nullptr) return ErrorCode::UnknownMemberId;
        return check_consumer_epoch(*member, who.epoch, partitions_of(*context.image, request),
                                    ErrorCode::IllegalGeneration);
    }
    const ClassicGroup& classic = *context.classic(request.group_id);
    if (classic.in(ClassicState::Dead)) return ErrorCode::CoordinatorNotAvailable;
    const ErrorCode wrong = check_classic_member(classic, who.member, who.instance);
    if (wrong != ErrorCode::None) return wrong;
    return who.epoch == classic.generation ? ErrorCode::None : ErrorCode::IllegalGeneration;
}

/// One record per partition that may be committed; the others get their error.
template <class Response, class Request>
Response make_commit(const GroupContext& context, const Tick& tick, const Request& request,
                     int64_t expire_timestamp_ms, Records& records) {
    Response response = every_partition<Response>(request, ErrorCode::None);
    for (size_t t = 0; t < request.topics.size(); ++t) {
        const auto& topic = request.topics[t];
        for (size_t p = 0; p < topic.partitions.size(); ++p) {
            const auto& partition = topic.partitions[p];
            CommittedOffset offset;
            offset.metadata = partition.committed_metadata.value_or("");
            const auto limit = static_cast<size_t>(context.settings->offset_metadata_max_bytes);
            if (offset.metadata.size() > limit && utf16_size(offset.metadata) > limit) {
                response.topics[t].partitions[p].error_code =
                    code(ErrorCode::OffsetMetadataTooLarge);
                continue;
            }
            offset.offset = partition.committed_offset;
            offset.leader_epoch = partition.committed_leader_epoch;
            offset.commit_timestamp_ms = tick.wall.value;
            offset.expire_timestamp_ms = expire_timestamp_ms;
            if constexpr (requires { topic.topic_id; }) offset.topic_id = topic.topic_id;
            records.push_back(make_offset_record(
                request.group_id, {topic.name, PartitionIndex(partition.partition_index)}, offset));
        }
    }
    return response;
}

}  // namespace

void commit_offsets(GroupContext& context, const Tick& tick, RequestId id,
                    const GroupCaller& caller, const wire::OffsetCommitRequest& request,
                    GroupOutput& out) {
    using Response = wire::OffsetCommitResponse;
    auto shape = [request](ErrorCode e) -> GroupResponse {
        return every_partition<Response>(request, e);
    };
    const ErrorCode wrong = check_commit(context, tick, caller.version, request);
    if (wrong != ErrorCode::None) {
        return context.answer(tick, id, every_partition<Response>(request, wrong), shape, out);
    }
    const int64_t expires = request.retention_time_ms == -1
                                ? -1
                                : tick.wall.value + std::max<int64_t>(request.retention_time_ms, 0);
    Records records;
    Response response = make_commit<Response>(context, tick, request, expires, records);
    context.write(tick, id, std::move(records), std::move(response), std::move(shape), out);
}

void commit_txn_offsets(GroupContext& context, const Tick& tick, RequestId id,
                        const wire::TxnOffsetCommitRequest& request, GroupOutput& out) {
    using Response = wire::TxnOffsetCommitResponse;
    auto shape = [request](ErrorCode e) -> GroupResponse {
        return every_partition<Response>(request, e);
    };
    const ErrorCode wrong = check_txn_commit(context, request);
    if (wrong != ErrorCode::None) {
        return context.answer(tick, id, every_partition<Response>(request, wrong), shape, out);
    }
    Records records;
    Response response = make_commit<Response>(context, tick, request, -1, records);
    context.write(tick, id, std::move(records), std::move(response), std::move(shape), out,
                  {ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch)});
}

namespace {

wire::OffsetDeleteResponse delete_refused(ErrorCode error) {
    wire::OffsetDeleteResponse response;
    response.error_code = code(error);
    return response;
}

ErrorCode check_delete(GroupContext& context, const std::string& id, const Group* group) {
    if (group == nullptr) return ErrorCode::GroupIdNotFound;
    if (group->is_consumer()) return ErrorCode::None;
    const ClassicGroup& classic = *context.classic(id);
    if (classic.in(ClassicState::Dead)) return ErrorCode::GroupIdNotFound;
    if (classic.in(ClassicState::Empty)) return ErrorCode::None;
    // What a group of consumers does not subscribe to may go while it runs.
    const bool consumers = classic.protocol_type == kConsumerProtocolType;
    return consumers ? ErrorCode::None : ErrorCode::NonEmptyGroup;
}

bool subscribed(GroupContext& context, const std::string& id, const Group& group,
                const std::string& topic) {
    if (!group.is_consumer()) return context.classic(id)->subscribes_to(topic);
    for (const auto& [member_id, member] : group.consumer->members) {
        const auto& names = member->metadata.subscribed_topic_names;
        if (std::find(names.begin(), names.end(), topic) != names.end()) return true;
        const RegexPtr* regex = group.consumer->regexes.find(member->regex());
        if (regex == nullptr) continue;
        const auto& matched = (*regex)->topics;
        if (std::find(matched.begin(), matched.end(), topic) != matched.end()) return true;
    }
    return false;
}

}  // namespace

void delete_offsets(GroupContext& context, const Tick& tick, RequestId id,
                    const wire::OffsetDeleteRequest& request, GroupOutput& out) {
    auto shape = [](ErrorCode e) -> GroupResponse { return delete_refused(e); };
    const Group* group = context.state().find(request.group_id);
    const ErrorCode wrong = check_delete(context, request.group_id, group);
    if (wrong != ErrorCode::None) {
        return context.answer(tick, id, delete_refused(wrong), shape, out);
    }
    const OffsetTable& table = context.state().offsets_of(request.group_id);
    wire::OffsetDeleteResponse response;
    Records records;
    for (const auto& topic : request.topics) {
        auto& into = response.topics.emplace_back();
        into.name = topic.name;
        const bool busy = subscribed(context, request.group_id, *group, topic.name);
        for (const auto& partition : topic.partitions) {
            auto& answer = into.partitions.emplace_back();
            answer.partition_index = partition.partition_index;
            const TopicPartition key{topic.name, PartitionIndex(partition.partition_index)};
            if (busy) {
                answer.error_code = code(ErrorCode::GroupSubscribedToTopic);
            } else if (table.committed.contains(key) || table.is_pending(key)) {
                records.push_back(make_offset_tombstone(request.group_id, key));
            }
        }
    }
    context.write(tick, id, std::move(records), std::move(response), shape, out);
}

}  // namespace millrace::coordinator
