// src/coordinator/classic_members.cc: heartbeats, leaving, and removal of classic members.
//
// Source: coordinators.md 3.5; GroupMetadataManager.classicGroupHeartbeat, classicGroupLeave.
#include <algorithm>

#include "coordinator/group_context.h"

namespace millrace::coordinator {

namespace {

wire::HeartbeatResponse heartbeat_answer(ErrorCode error) {
    wire::HeartbeatResponse response;
    response.error_code = code(error);
    return response;
}

/// The verdict on a heartbeat; re-arms the timer of a member that is in good standing.
ErrorCode beat(GroupContext& context, const Tick& tick, const wire::HeartbeatRequest& request) {
    const ClassicGroup* group = context.classic(request.group_id);
    if (group == nullptr) return ErrorCode::UnknownMemberId;
    if (group->in(ClassicState::Dead)) return ErrorCode::CoordinatorNotAvailable;
    const ErrorCode wrong =
        check_classic_member(*group, request.member_id, request.group_instance_id);
    if (wrong != ErrorCode::None) return wrong;
    if (request.generation_id != group->generation) return ErrorCode::IllegalGeneration;
    if (group->in(ClassicState::Empty)) return ErrorCode::UnknownMemberId;
    arm_heartbeat(context, tick, *group, *group->member(request.member_id));
    return group->in(ClassicState::PreparingRebalance) ? ErrorCode::RebalanceInProgress
                                                       : ErrorCode::None;
}

ErrorCode leave_one(GroupContext& context, const Tick& tick, ClassicGroup& group,
                    const wire::LeaveGroupRequestMemberIdentity& member, GroupOutput& out) {
    const auto& instance = member.group_instance_id;
    if (member.member_id.empty() && instance) {  // an administrator removes a static member
        const std::string* mapped = group.static_member(*instance);
        if (mapped == nullptr) return ErrorCode::UnknownMemberId;
        remove_classic_member(context, tick, group, std::string(*mapped),
                              ErrorCode::UnknownMemberId, out);
        return ErrorCode::None;
    }
    if (group.pending_members.erase(member.member_id) > 0) {
        context.timers.cancel({TimerKind::Heartbeat, group.id, member.member_id});
        return ErrorCode::None;
    }
    const ErrorCode wrong = check_classic_member(group, member.member_id, instance);
    if (wrong != ErrorCode::None) return wrong;
    remove_classic_member(context, tick, group, member.member_id, ErrorCode::UnknownMemberId, out);
    return ErrorCode::None;
}

}  // namespace

ErrorCode check_classic_member(const ClassicGroup& group, const std::string& member,
                               const std::optional<std::string>& instance) {
    if (instance) {
        const std::string* mapped = group.static_member(*instance);
        if (mapped == nullptr) return ErrorCode::UnknownMemberId;
        if (*mapped != member) return ErrorCode::FencedInstanceId;
    }
    return group.member(member) == nullptr ? ErrorCode::UnknownMemberId : ErrorCode::None;
}

void arm_heartbeat(GroupContext& context, const Tick& tick, const ClassicGroup& group,
                   const ClassicMember& member) {
    context.timers.arm({TimerKind::Heartbeat, group.id, member.id},
                       tick.now + milliseconds(member.session_timeout_ms));
}

void answer_join(GroupContext& context, const Tick& tick, ClassicMember& member,
                 wire::JoinGroupResponse response, GroupOutput& out) {
    MILLRACE_ASSERT(member.join.has_value(), "a join waits to be answered");
    const ParkedRequest parked = *member.join;
    member.join.reset();
    context.answer(
        tick, parked.id, std::move(response),
        [version = parked.version, id = member.id](ErrorCode e) {
            return join_refused(version, id, e);
        },
        out);
}

void answer_sync(GroupContext& context, const Tick& tick, ClassicMember& member,
                 wire::SyncGroupResponse response, GroupOutput& out) {
    MILLRACE_ASSERT(member.sync.has_value(), "a sync waits to be answered");
    const ParkedRequest parked = *member.sync;
    member.sync.reset();
    context.answer(
        tick, parked.id, std::move(response), [](ErrorCode e) { return sync_refused(e); }, out);
}

void remove_classic_member(GroupContext& context, const Tick& tick, ClassicGroup& group,
                           const std::string& member_id, ErrorCode error, GroupOutput& out) {
    ClassicMember* member = group.member(member_id);
    if (member == nullptr) return;
    if (member->join) {
        answer_join(context, tick, *member, join_refused(member->join->version, "", error), out);
    }
    if (member->sync) answer_sync(context, tick, *member, sync_refused(error), out);
    context.timers.cancel({TimerKind::Heartbeat, group.id, member_id});
    group.remove(member_id);
}

void drop_classic_group(GroupContext& context, const Tick& tick, const std::string& id,
                        ErrorCode error, GroupOutput& out) {
    ClassicGroup* group = context.classic(id);
    if (group == nullptr) return;
    for (ClassicMember* m : group->in_order()) {
        if (m->join)
            answer_join(context, tick, *m, join_refused(m->join->version, m->id, error), out);
        if (m->sync) answer_sync(context, tick, *m, sync_refused(error), out);
        context.timers.cancel({TimerKind::Heartbeat, id, m->id});
    }
    for (const std::string& pending : group->pending_members)
        context.timers.cancel({TimerKind::Heartbeat, id, pending});
    context.timers.cancel({TimerKind::Join, id, ""});
    context.timers.cancel({TimerKind::Sync, id, ""});
    context.classic_groups.erase(id);
}

void heartbeat_classic(GroupContext& context, const Tick& tick, RequestId id,
                       const wire::HeartbeatRequest& request, GroupOutput& out) {
    context.answer(
        tick, id, heartbeat_answer(beat(context, tick, request)),
        [](ErrorCode e) { return heartbeat_answer(e); }, out);
}

wire::LeaveGroupResponse leave_classic(GroupContext& context, const Tick& tick,
                                       const wire::LeaveGroupRequest& request, GroupOutput& out) {
    wire::LeaveGroupResponse response;
    ClassicGroup* group = context.classic(request.group_id);
    if (group != nullptr && group->in(ClassicState::Dead)) {
        response.error_code = code(ErrorCode::CoordinatorNotAvailable);
        return response;
    }
    for (const auto& member : request.members) {
        wire::LeaveGroupResponseMemberResponse answer;
        answer.member_id = member.member_id;
        answer.group_instance_id = member.group_instance_id;
        answer.error_code = code(group == nullptr ? ErrorCode::UnknownMemberId
                                                  : leave_one(context, tick, *group, member, out));
        response.members.push_back(std::move(answer));
    }
    if (group == nullptr) return response;
    // One reaction for all that left.
    const bool any_left = std::any_of(response.members.begin(), response.members.end(),
                                      [](const auto& m) { return m.error_code == 0; });
    if (!any_left) return response;
    if (group->in(ClassicState::Stable, ClassicState::CompletingRebalance)) {
        prepare_rebalance(context, tick, *group, out);
    } else {
        maybe_complete_join(context, tick, *group, out);
    }
    return response;
}

void on_classic_heartbeat_timer(GroupContext& context, const Tick& tick, const TimerKey& key,
                                GroupOutput& out) {
    ClassicGroup* group = context.classic(key.group);
    if (group == nullptr || group->in(ClassicState::Dead)) return;
    if (group->pending_members.erase(key.member) > 0) {
        return maybe_complete_join(context, tick, *group, out);
    }
    const ClassicMember* member = group->member(key.member);
    if (member == nullptr) return;
    if (member->waits() && !member->is_new) return;  // waiting is a sign of life
    remove_classic_member(context, tick, *group, key.member, ErrorCode::UnknownMemberId, out);
    if (group->in(ClassicState::Stable, ClassicState::CompletingRebalance)) {
        prepare_rebalance(context, tick, *group, out);
    } else {
        maybe_complete_join(context, tick, *group, out);
    }
}

}  // namespace millrace::coordinator
