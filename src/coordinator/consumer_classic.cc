// src/coordinator/consumer_classic.cc: members that speak the classic protocol to a consumer group.
//
// Source: coordinators.md 4.10; GroupMetadataManager.classicGroupJoinToConsumerGroup.
#include <algorithm>

#include "coordinator/consumer_group.h"
#include "coordinator/consumer_protocol.h"

namespace millrace::coordinator {

namespace {

constexpr int16_t kMemberIdRequiredFrom = 4;

void refuse_join(GroupContext& context, const Tick& tick, RequestId id, int16_t version,
                 const std::string& member, ErrorCode error, GroupOutput& out) {
    context.answer(
        tick, id, join_refused(version, member, error),
        [version, member](ErrorCode e) -> GroupResponse {
            return join_refused(version, member, e);
        },
        out);
}

bool has_common_protocol(const ConsumerGroup& group, const wire::JoinGroupRequest& request) {
    return std::any_of(request.protocols.begin(), request.protocols.end(), [&](const auto& wanted) {
        for (const auto& [id, member] : group.members) {
            if (!member->uses_classic_protocol() || id == request.member_id) continue;
            const auto& known = member->metadata.classic_member_metadata->supported_protocols;
            const bool shared = std::any_of(known.begin(), known.end(),
                                            [&](const auto& p) { return p.name == wanted.name; });
            if (!shared) return false;
        }
        return true;
    });
}

Partitions owned_ids(const metadata::Image& image,
                     const wire::ConsumerProtocolSubscription& subscription) {
    Partitions owned;
    for (const auto& topic : subscription.owned_partitions) {
        const auto* known = image.topics.find(std::string_view(topic.topic));
        if (known == nullptr) continue;
        owned[known->id].insert(topic.partitions.begin(), topic.partitions.end());
    }
    return owned;
}

ConsumerMember updated_member(const ConsumerMember& before, const wire::JoinGroupRequest& request,
                              const GroupCaller& caller,
                              const wire::ConsumerProtocolSubscription& subscription) {
    ConsumerMember member = before;
    auto& m = member.metadata;
    m.instance_id = request.group_instance_id;
    m.rack_id = subscription.rack_id;
    m.client_id = caller.client_id;
    m.client_host = caller.client_host;
    m.subscribed_topic_names = subscription.topics;
    std::sort(m.subscribed_topic_names.begin(), m.subscribed_topic_names.end());
    m.subscribed_topic_regex = "";
    m.server_assignor.reset();
    m.rebalance_timeout_ms =
        caller.version == 0 ? request.session_timeout_ms : request.rebalance_timeout_ms;
    auto& classic = m.classic_member_metadata.emplace();
    classic.session_timeout_ms = request.session_timeout_ms;
    for (const ClassicProtocol& protocol : protocols_of(request))
        classic.supported_protocols.push_back({protocol.name, protocol.metadata, {}});
    return member;
}

/// The member of a SyncGroup or Heartbeat, or the error that it is not one.
ErrorCode find_classic(const ConsumerGroup& group, const std::string& id,
                       const std::optional<std::string>& instance, int32_t generation,
                       const ConsumerMember*& member) {
    if (instance) {
        const std::string* mapped = group.static_members.find(*instance);
        if (mapped == nullptr) return ErrorCode::UnknownMemberId;
        if (*mapped != id) return ErrorCode::FencedInstanceId;
    }
    member = group.member(id);
    if (member == nullptr || !member->uses_classic_protocol() ||
        member->metadata.classic_member_metadata->supported_protocols.empty()) {
        return ErrorCode::UnknownMemberId;
    }
    return generation == member->epoch ? ErrorCode::None : ErrorCode::IllegalGeneration;
}

void arm_member_timer(GroupContext& context, const Tick& tick, TimerKind kind,
                      const std::string& group, const ConsumerMember& member) {
    context.timers.arm({kind, group, member.id},
                       tick.now + milliseconds(member.metadata.rebalance_timeout_ms));
}

/// Whether the member has to join again to get on.
bool must_rejoin(const ConsumerGroup& group, const ConsumerMember& member) {
    if (member.epoch < group.target_epoch || member.state == MemberState::Unrevoked) return true;
    if (member.state != MemberState::Unreleased) return false;
    for (const auto& [topic, partitions] : group.target_of(member.id)) {
        for (const int32_t partition : partitions) {
            if (!group.owners.contains(PartitionKey{topic, partition})) return true;
        }
    }
    return false;
}

/// A member that joined has to sync within its rebalance timeout.
void arm_joined(GroupContext& context, const Tick& tick, const std::string& group,
                const ConsumerMember& before, const ConsumerMember& after) {
    arm_consumer_timers(context, tick, group, before, after);
    context.timers.cancel({TimerKind::ClassicJoin, group, after.id});
    arm_member_timer(context, tick, TimerKind::ClassicSync, group, after);
}

wire::JoinGroupResponse joined(const ConsumerMember& member, const std::string& protocol) {
    wire::JoinGroupResponse response;
    response.generation_id = member.epoch;
    response.protocol_type = kConsumerProtocolType;
    response.protocol_name = protocol;
    response.member_id = member.id;
    return response;
}

wire::HeartbeatResponse heartbeat_answer(ErrorCode error) {
    wire::HeartbeatResponse response;
    response.error_code = code(error);
    return response;
}

ErrorCode leave_one(const ConsumerGroup& group, const wire::LeaveGroupRequestMemberIdentity& who,
                    std::string& leaving) {
    leaving = who.member_id;
    if (who.group_instance_id) {
        const std::string* mapped = group.static_members.find(*who.group_instance_id);
        if (mapped == nullptr) return ErrorCode::UnknownMemberId;
        if (!who.member_id.empty() && *mapped != who.member_id) return ErrorCode::FencedInstanceId;
        leaving = *mapped;
    }
    const ConsumerMember* member = group.member(leaving);
    if (member == nullptr) return ErrorCode::UnknownMemberId;
    // An administrator may remove a static member of either protocol.
    const bool by_instance = who.member_id.empty() && who.group_instance_id;
    return member->uses_classic_protocol() || by_instance ? ErrorCode::None
                                                          : ErrorCode::UnknownMemberId;
}

}  // namespace

void join_consumer(GroupContext& context, const Tick& tick, RequestId id, const GroupCaller& caller,
                   const wire::JoinGroupRequest& request, GroupOutput& out) {
    const auto refuse = [&](ErrorCode error, const std::string& member) {
        refuse_join(context, tick, id, caller.version, member, error, out);
    };
    ConsumerEdit edit(context.state(), request.group_id);
    const ConsumerGroup& group = edit.group();
    const auto& instance = request.group_instance_id;
    if (context.settings->consumer_migration_policy == MigrationPolicy::Disabled ||
        request.protocol_type != kConsumerProtocolType || request.protocols.empty() ||
        !has_common_protocol(group, request)) {
        return refuse(ErrorCode::InconsistentGroupProtocol, request.member_id);
    }
    const std::string* mapped = instance ? group.static_members.find(*instance) : nullptr;
    const bool known = group.members.contains(request.member_id) || mapped != nullptr;
    if (!known &&
        group.members.size() >= static_cast<size_t>(context.settings->consumer_max_size)) {
        return refuse(ErrorCode::GroupMaxSizeReached, "");
    }
    const auto subscription = parse_subscription(request.protocols.front().metadata);
    if (!subscription) return refuse(ErrorCode::InconsistentGroupProtocol, request.member_id);
    if (instance && !request.member_id.empty()) {
        if (mapped == nullptr) return refuse(ErrorCode::UnknownMemberId, request.member_id);
        if (*mapped != request.member_id) {
            return refuse(ErrorCode::FencedInstanceId, request.member_id);
        }
    }
    std::string member_id = request.member_id;
    if (member_id.empty()) {
        member_id = context.new_member_id(instance ? *instance : caller.client_id);
        if (!instance && caller.version >= kMemberIdRequiredFrom) {
            return refuse(ErrorCode::MemberIdRequired, member_id);
        }
    }
    Pass pass;
    const std::string old = mapped != nullptr ? *mapped : "";
    pass.downgrades = mapped != nullptr && should_downgrade_replacing(context, group, old);
    const ConsumerMember* stored = group.member(member_id);
    if (stored != nullptr) {
        pass.before = *stored;
    } else if (mapped != nullptr) {
        pass.before = replace_consumer_member(edit, *group.member(old), member_id);
        cancel_consumer_timers(context, request.group_id, old);
    } else {
        pass.before = new_consumer_member(member_id);
        pass.is_new = true;
    }
    pass.updated = updated_member(pass.before, request, caller, *subscription);
    // Version 0 does not say what a member owns.
    if (subscription_version(request.protocols.front().metadata) >= 1) {
        pass.owned = owned_ids(*context.image, *subscription);
    }
    const auto after = run_pass(context, tick, edit, pass);
    if (!after) return refuse(ErrorCode::UnknownMemberId, member_id);
    const bool stale = edit.group().epoch > edit.group().target_epoch;
    if (pass.downgrades) {
        append_downgrade(context, tick, {}, edit);
    } else {
        arm_joined(context, tick, request.group_id, pass.before, *after);
    }
    const int16_t version = caller.version;
    context.write(
        tick, id, edit.take(), joined(*after, request.protocols.front().name),
        [version, member_id](ErrorCode e) -> GroupResponse {
            return join_refused(version, member_id, e);
        },
        out);
    if (!pass.downgrades) return;
    settle_downgrade(context, tick, edit, out, stale);
    restore_timers(context, tick, request.group_id, {old});
}

void sync_consumer(GroupContext& context, const Tick& tick, RequestId id,
                   const wire::SyncGroupRequest& request, GroupOutput& out) {
    const ConsumerGroup& group = *context.state().find(request.group_id)->consumer;
    const ConsumerMember* member = nullptr;
    ErrorCode error = find_classic(group, request.member_id, request.group_instance_id,
                                   request.generation_id, member);
    wire::SyncGroupResponse response;
    if (error == ErrorCode::None) {
        const auto& protocol = member->metadata.classic_member_metadata->supported_protocols;
        if ((request.protocol_type && *request.protocol_type != kConsumerProtocolType) ||
            (request.protocol_name && *request.protocol_name != protocol.front().name)) {
            error = ErrorCode::InconsistentGroupProtocol;
        } else if (group.target_epoch > member->epoch && member->state != MemberState::Unrevoked) {
            error = ErrorCode::RebalanceInProgress;
            arm_member_timer(context, tick, TimerKind::ClassicJoin, request.group_id, *member);
        } else {
            context.timers.cancel({TimerKind::ClassicSync, request.group_id, member->id});
            response.protocol_type = kConsumerProtocolType;
            response.protocol_name = protocol.front().name;
            response.assignment =
                assignment_bytes(*context.image, *member, partitions_of(member->assigned));
        }
    }
    if (error != ErrorCode::None) response = sync_refused(error);
    context.answer(
        tick, id, std::move(response), [](ErrorCode e) -> GroupResponse { return sync_refused(e); },
        out);
}

void heartbeat_classic_in_consumer(GroupContext& context, const Tick& tick, RequestId id,
                                   const wire::HeartbeatRequest& request, GroupOutput& out) {
    const ConsumerGroup& group = *context.state().find(request.group_id)->consumer;
    const ConsumerMember* member = nullptr;
    ErrorCode error = find_classic(group, request.member_id, request.group_instance_id,
                                   request.generation_id, member);
    if (error == ErrorCode::None) {
        arm_consumer_timers(context, tick, request.group_id, *member, *member);
        if (must_rejoin(group, *member)) {
            error = ErrorCode::RebalanceInProgress;
            const TimerKey key{TimerKind::ClassicJoin, request.group_id, member->id};
            if (!context.timers.armed(key)) {
                arm_member_timer(context, tick, TimerKind::ClassicJoin, request.group_id, *member);
            }
        }
    }
    context.answer(
        tick, id, heartbeat_answer(error),
        [](ErrorCode e) -> GroupResponse { return heartbeat_answer(e); }, out);
}

void leave_consumer(GroupContext& context, const Tick& tick, RequestId id, bool single,
                    const wire::LeaveGroupRequest& request, GroupOutput& out) {
    ConsumerEdit edit(context.state(), request.group_id);
    wire::LeaveGroupResponse response;
    std::vector<std::string> leaving;
    for (const auto& who : request.members) {
        std::string member;
        ErrorCode error = leave_one(edit.group(), who, member);
        const bool twice = std::find(leaving.begin(), leaving.end(), member) != leaving.end();
        if (error == ErrorCode::None && twice) error = ErrorCode::UnknownMemberId;
        if (error == ErrorCode::None) leaving.push_back(member);
        response.members.push_back({who.member_id, who.group_instance_id, code(error), {}});
    }
    for (const std::string& member : leaving)
        cancel_consumer_timers(context, request.group_id, member);
    if (!leaving.empty()) remove_consumer_members(context, tick, edit, leaving);
    if (single) {
        response.error_code = response.members.front().error_code;
        response.members.clear();
    }
    context.write(
        tick, id, edit.take(), std::move(response),
        [](ErrorCode e) -> GroupResponse {
            wire::LeaveGroupResponse refused;
            refused.error_code = code(e);
            return refused;
        },
        out);
    settle_downgrade(context, tick, edit, out);
    restore_timers(context, tick, request.group_id, leaving);
}

}  // namespace millrace::coordinator
