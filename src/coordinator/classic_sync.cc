// src/coordinator/classic_sync.cc: SyncGroup of a classic group, and members that never sync.
//
// Source: coordinators.md 3.3 (8), 3.4; GroupMetadataManager.classicGroupSync.
#include "coordinator/group_context.h"
#include "coordinator/group_records.h"

namespace millrace::coordinator {

namespace {

void refuse(GroupContext& context, const Tick& tick, RequestId id, ErrorCode error,
            GroupOutput& out) {
    context.answer(
        tick, id, sync_refused(error), [](ErrorCode e) { return sync_refused(e); }, out);
}

wire::SyncGroupResponse sync_answer(const ClassicGroup& group, const ClassicMember& member) {
    wire::SyncGroupResponse response;
    response.protocol_type = group.protocol_type;
    response.protocol_name = group.protocol;
    response.assignment = member.assignment;
    return response;
}

void drop_sync_timer_when_complete(GroupContext& context, const ClassicGroup& group) {
    if (group.pending_sync.empty()) context.timers.cancel({TimerKind::Sync, group.id, ""});
}

/// The leader's assignment is in the log, or is not.
void assignment_written(GroupContext& context, const Tick& tick, const std::string& id,
                        int32_t generation, const std::map<std::string, Buffer>& assignments,
                        ErrorCode error, GroupOutput& out) {
    ClassicGroup* group = context.classic(id);
    if (group == nullptr || !group->in(ClassicState::CompletingRebalance) ||
        group->generation != generation) {
        return;  // who waited has been answered by what came in between
    }
    if (error != ErrorCode::None) {
        for (ClassicMember* m : group->in_order()) {
            m->assignment = Buffer();
            if (m->sync) answer_sync(context, tick, *m, sync_refused(error), out);
        }
        if (context.core.active()) prepare_rebalance(context, tick, *group, out);
        return;
    }
    for (ClassicMember* m : group->in_order()) {
        auto given = assignments.find(m->id);
        m->assignment = given == assignments.end() ? Buffer() : given->second;
    }
    group->transition(ClassicState::Stable, tick.wall);
    for (ClassicMember* m : group->in_order()) {
        if (!m->sync) continue;
        answer_sync(context, tick, *m, sync_answer(*group, *m), out);
        arm_heartbeat(context, tick, *group, *m);
    }
    drop_sync_timer_when_complete(context, *group);
}

void sync_completing(GroupContext& context, const Tick& tick, ParkedRequest parked,
                     ClassicGroup& group, const wire::SyncGroupRequest& request, GroupOutput& out) {
    ClassicMember& member = *group.member(request.member_id);
    if (member.sync) {
        // A second sync takes the place of the first, which must not wait for ever (KAFKA-20938).
        answer_sync(context, tick, member, sync_refused(ErrorCode::RebalanceInProgress), out);
    }
    member.sync = parked;
    group.pending_sync.erase(member.id);
    if (!group.is_leader(member.id)) return;
    std::map<std::string, Buffer> assignments;
    for (const auto& entry : request.assignments) {
        if (group.member(entry.member_id) == nullptr) continue;
        assignments[entry.member_id] = Buffer::copy_of(entry.assignment.view());
    }
    CoordinatorRecord record = make_classic_record(group.id, group.record(&assignments));
    Records records;
    records.push_back(std::move(record));
    context.core.write(
        tick, std::move(records),
        [&context, id = group.id, generation = group.generation,
         assignments = std::move(assignments)](const Tick& then, ErrorCode error, GroupOutput& to) {
            assignment_written(context, then, id, generation, assignments, error, to);
        },
        out);
}

}  // namespace

wire::SyncGroupResponse sync_refused(ErrorCode error) {
    wire::SyncGroupResponse response;
    response.error_code = code(error);
    return response;
}

void sync_classic(GroupContext& context, const Tick& tick, RequestId id, const GroupCaller& caller,
                  const wire::SyncGroupRequest& request, GroupOutput& out) {
    ClassicGroup* group = context.classic(request.group_id);
    if (group == nullptr || group->in(ClassicState::Empty)) {
        return refuse(context, tick, id, ErrorCode::UnknownMemberId, out);
    }
    if (group->in(ClassicState::Dead)) {
        return refuse(context, tick, id, ErrorCode::CoordinatorNotAvailable, out);
    }
    const ErrorCode wrong =
        check_classic_member(*group, request.member_id, request.group_instance_id);
    if (wrong != ErrorCode::None) return refuse(context, tick, id, wrong, out);
    if (request.generation_id != group->generation) {
        return refuse(context, tick, id, ErrorCode::IllegalGeneration, out);
    }
    if ((request.protocol_type && request.protocol_type != group->protocol_type) ||
        (request.protocol_name && request.protocol_name != group->protocol)) {
        return refuse(context, tick, id, ErrorCode::InconsistentGroupProtocol, out);
    }
    switch (group->state) {
        case ClassicState::Empty:
        case ClassicState::Dead: return;  // answered above
        case ClassicState::PreparingRebalance:
            return refuse(context, tick, id, ErrorCode::RebalanceInProgress, out);
        case ClassicState::CompletingRebalance:
            return sync_completing(context, tick, {id, caller.version}, *group, request, out);
        case ClassicState::Stable: {
            group->pending_sync.erase(request.member_id);
            drop_sync_timer_when_complete(context, *group);
            context.answer(
                tick, id, sync_answer(*group, *group->member(request.member_id)),
                [](ErrorCode e) { return sync_refused(e); }, out);
            return;
        }
    }
}

void on_sync_timer(GroupContext& context, const Tick& tick, const std::string& id,
                   GroupOutput& out) {
    ClassicGroup* group = context.classic(id);
    if (group == nullptr || !group->in(ClassicState::CompletingRebalance, ClassicState::Stable)) {
        return;
    }
    const std::set<std::string> late = group->pending_sync;
    if (late.empty()) return;
    for (const std::string& member : late) {
        remove_classic_member(context, tick, *group, member, ErrorCode::UnknownMemberId, out);
    }
    group->pending_sync.clear();
    prepare_rebalance(context, tick, *group, out);
}

}  // namespace millrace::coordinator
