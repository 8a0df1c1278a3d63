// src/coordinator/classic_join.cc: JoinGroup of a classic group, and the rebalance it may start.
//
// Source: coordinators.md 3.2, 3.3, 3.6; GroupMetadataManager.classicGroupJoin*.
#include <algorithm>

#include "coordinator/group_context.h"
#include "coordinator/group_records.h"

namespace millrace::coordinator {

namespace {

constexpr int32_t kNewMemberTimeoutMs = 300'000;  // for a new member that is still joining
constexpr int16_t kMemberIdRequiredFrom = 4;      // KIP-394
constexpr int16_t kNullProtocolFrom = 7;
constexpr int16_t kSkipAssignmentFrom = 9;  // KIP-814

/// What one JoinGroup carries through the rules below.
struct Join {
    RequestId id;
    const GroupCaller& caller;
    const wire::JoinGroupRequest& request;
    std::vector<ClassicProtocol> protocols;

    int32_t rebalance_timeout_ms() const {
        return caller.version == 0 ? request.session_timeout_ms : request.rebalance_timeout_ms;
    }
};

void refuse(GroupContext& context, const Tick& tick, const Join& join, const std::string& member,
            ErrorCode error, GroupOutput& out) {
    const int16_t version = join.caller.version;
    context.answer(
        tick, join.id, join_refused(version, member, error),
        [version, member](ErrorCode e) { return join_refused(version, member, e); }, out);
}

/// Puts what the request says into the member and parks it. An earlier join of the same member
/// is answered, or it would never be (KAFKA-20938).
void park_join(GroupContext& context, const Tick& tick, ClassicGroup& group, ClassicMember& member,
               const Join& join, GroupOutput& out) {
    if (member.join) {
        answer_join(context, tick, member,
                    join_refused(member.join->version, member.id, ErrorCode::RebalanceInProgress),
                    out);
    }
    group.set_protocols(member, join.protocols);
    member.session_timeout_ms = join.request.session_timeout_ms;
    member.rebalance_timeout_ms = join.rebalance_timeout_ms();
    member.join = ParkedRequest{join.id, join.caller.version};
}

void add_member(GroupContext& context, const Tick& tick, ClassicGroup& group, const Join& join,
                const std::string& member_id, GroupOutput& out) {
    ClassicMember member;
    member.id = member_id;
    member.instance_id = join.request.group_instance_id;
    member.client_id = join.caller.client_id;
    member.client_host = join.caller.client_host;
    member.is_new = true;
    park_join(context, tick, group, member, join, out);
    if (group.members.empty()) group.protocol_type = join.request.protocol_type;
    if (group.in(ClassicState::PreparingRebalance) && group.previous_state == ClassicState::Empty) {
        group.new_member_added = true;
    }
    // The wait for the others may be longer than the session; this ends it if the client is gone.
    context.timers.arm({TimerKind::Heartbeat, group.id, member_id},
                       tick.now + milliseconds(kNewMemberTimeoutMs));
    group.add(std::move(member));
    if (group.in(ClassicState::Empty)) {
        const int32_t delay = context.settings->initial_rebalance_delay_ms;
        group.delay = milliseconds(delay);
        group.delay_remaining =
            milliseconds(std::max<int64_t>(int64_t{join.rebalance_timeout_ms()} - delay, 0));
    }
    prepare_or_complete(context, tick, group, out);
}

void update_and_rebalance(GroupContext& context, const Tick& tick, ClassicGroup& group,
                          ClassicMember& member, const Join& join, GroupOutput& out) {
    park_join(context, tick, group, member, join, out);
    member.client_id = join.caller.client_id;
    member.client_host = join.caller.client_host;
    prepare_or_complete(context, tick, group, out);
}

wire::JoinGroupResponse join_answer(const ClassicGroup& group, const std::string& member) {
    wire::JoinGroupResponse response;
    response.generation_id = group.generation;
    response.protocol_type = group.protocol_type;
    response.protocol_name = group.protocol.value_or("");
    response.leader = group.leader.value_or("");
    response.member_id = member;
    return response;
}

/// The member knows what the group knows: it gets the running generation at once.
void answer_current(GroupContext& context, const Tick& tick, const ClassicGroup& group,
                    const std::string& member, bool with_members, const Join& join,
                    GroupOutput& out) {
    wire::JoinGroupResponse response = join_answer(group, member);
    if (with_members) response.members = group.join_members();
    const int16_t version = join.caller.version;
    context.answer(
        tick, join.id, std::move(response),
        [version, member](ErrorCode e) { return join_refused(version, member, e); }, out);
}

/// Whether group.max.size leaves a place for this member.
bool has_room(const GroupContext& context, const ClassicGroup& group, const std::string& member) {
    const auto limit = static_cast<size_t>(context.settings->max_size);
    const ClassicMember* known = group.member(member);
    switch (group.state) {
        case ClassicState::Empty:
        case ClassicState::Dead: return true;
        case ClassicState::PreparingRebalance:
            return (known != nullptr && known->join) || group.members.size() < limit ||
                   group.joined_count() < limit;
        case ClassicState::CompletingRebalance:
        case ClassicState::Stable: return known != nullptr || group.members.size() < limit;
    }
    return true;
}

/// What a failed append of a replacement puts back.
struct Replaced {
    std::string old_id;
    std::string new_id;
    ClassicMember before;
};

void answer_replacement(GroupContext& context, const Tick& tick, ClassicGroup& group,
                        const Replaced& replaced, const Join& join,
                        const std::string& leader_before, GroupOutput& out) {
    wire::JoinGroupResponse response = join_answer(group, replaced.new_id);
    const bool leads = group.is_leader(replaced.new_id);
    if (join.caller.version >= kSkipAssignmentFrom) {
        response.skip_assignment = leads;
        if (leads) response.members = group.join_members();
    } else {
        // The old id as leader keeps the client from computing an assignment nobody waits for.
        response.leader = leader_before;
    }
    const int16_t version = join.caller.version;
    const RequestId id = join.id;
    context.core.write(
        tick, {make_classic_record(group.id, group.record(nullptr))},
        [&context, id, version, replaced, group_id = group.id, response = std::move(response)](
            const Tick& then, ErrorCode error, GroupOutput& to) mutable {
            if (error == ErrorCode::None) {
                to.replies.push_back({id, std::move(response)});
                return;
            }
            to.replies.push_back({id, join_refused(version, "", error)});
            ClassicGroup* live = context.classic(group_id);
            if (live == nullptr || live->member(replaced.new_id) == nullptr) return;
            context.timers.cancel({TimerKind::Heartbeat, group_id, replaced.new_id});
            live->rename(replaced.new_id, replaced.old_id);
            ClassicMember& member = *live->member(replaced.old_id);
            live->set_protocols(member, replaced.before.protocols);
            member.session_timeout_ms = replaced.before.session_timeout_ms;
            member.rebalance_timeout_ms = replaced.before.rebalance_timeout_ms;
            arm_heartbeat(context, then, *live, member);
        },
        out);
}

/// A static member is back under a new id (KIP-345).
void replace_static(GroupContext& context, const Tick& tick, ClassicGroup& group, const Join& join,
                    const std::string& old_id, const std::string& new_id, GroupOutput& out) {
    const std::string leader_before = group.leader.value_or("");
    ClassicMember& old = *group.member(old_id);
    if (old.join) {
        answer_join(context, tick, old,
                    join_refused(old.join->version, old_id, ErrorCode::FencedInstanceId), out);
    }
    if (old.sync) answer_sync(context, tick, old, sync_refused(ErrorCode::FencedInstanceId), out);
    context.timers.cancel({TimerKind::Heartbeat, group.id, old_id});
    const Replaced replaced{old_id, new_id, old};
    group.rename(old_id, new_id);
    ClassicMember& member = *group.member(new_id);
    park_join(context, tick, group, member, join, out);
    member.client_id = join.caller.client_id;
    member.client_host = join.caller.client_host;
    arm_heartbeat(context, tick, group, member);
    if (group.in(ClassicState::Stable) && group.protocol == group.vote()) {
        member.join.reset();  // answered below, in the same generation
        answer_replacement(context, tick, group, replaced, join, leader_before, out);
        return;
    }
    prepare_or_complete(context, tick, group, out);
}

void join_unknown(GroupContext& context, const Tick& tick, ClassicGroup& group, const Join& join,
                  GroupOutput& out) {
    const auto& instance = join.request.group_instance_id;
    const std::string member = context.new_member_id(instance ? *instance : join.caller.client_id);
    if (instance) {
        const std::string* mapped = group.static_member(*instance);
        if (mapped != nullptr) {
            return replace_static(context, tick, group, join, std::string(*mapped), member, out);
        }
        return add_member(context, tick, group, join, member, out);
    }
    if (join.caller.version < kMemberIdRequiredFrom) {
        return add_member(context, tick, group, join, member, out);
    }
    group.pending_members.insert(member);
    context.timers.arm({TimerKind::Heartbeat, group.id, member},
                       tick.now + milliseconds(join.request.session_timeout_ms));
    refuse(context, tick, join, member, ErrorCode::MemberIdRequired, out);
}

void join_known(GroupContext& context, const Tick& tick, ClassicGroup& group, const Join& join,
                GroupOutput& out) {
    const std::string& member_id = join.request.member_id;
    if (group.pending_members.contains(member_id) && !join.request.group_instance_id) {
        return add_member(context, tick, group, join, member_id, out);
    }
    const ErrorCode wrong = check_classic_member(group, member_id, join.request.group_instance_id);
    if (wrong != ErrorCode::None) return refuse(context, tick, join, member_id, wrong, out);
    ClassicMember& member = *group.member(member_id);
    const bool same = member.protocols == join.protocols;
    switch (group.state) {
        case ClassicState::PreparingRebalance:
            return update_and_rebalance(context, tick, group, member, join, out);
        case ClassicState::CompletingRebalance:
            if (!same) return update_and_rebalance(context, tick, group, member, join, out);
            // It lost the answer of this generation.
            return answer_current(context, tick, group, member_id, group.is_leader(member_id), join,
                                  out);
        case ClassicState::Stable:
            // A leader that joins again asks for a new assignment.
            if (!same || group.is_leader(member_id)) {
                return update_and_rebalance(context, tick, group, member, join, out);
            }
            return answer_current(context, tick, group, member_id, false, join, out);
        case ClassicState::Empty:
        case ClassicState::Dead:
            return refuse(context, tick, join, member_id, ErrorCode::UnknownMemberId, out);
    }
}

}  // namespace

wire::JoinGroupResponse join_refused(int16_t version, const std::string& member, ErrorCode error) {
    wire::JoinGroupResponse response;
    response.error_code = code(error);
    response.member_id = member;
    if (version >= kNullProtocolFrom) {
        response.protocol_name.reset();
    } else {
        response.protocol_name = "";
    }
    return response;
}

void join_classic(GroupContext& context, const Tick& tick, RequestId id, const GroupCaller& caller,
                  const wire::JoinGroupRequest& request, Records before, GroupOutput& out) {
    const Join join{id, caller, request, protocols_of(request)};
    ClassicGroup* group = context.classic(request.group_id);
    if (group == nullptr && !request.member_id.empty()) {
        return refuse(context, tick, join, request.member_id, ErrorCode::UnknownMemberId, out);
    }
    if (group == nullptr) {
        // A new group is in the log even when its first member is only told its id.
        ClassicGroup created;
        created.id = request.group_id;
        created.state_timestamp_ms = tick.wall.value;
        before.push_back(make_classic_record(request.group_id, created.record(nullptr)));
        group = &context.classic_groups.insert_or_assign(request.group_id, std::move(created))
                     .first->second;
        context.write(tick, std::move(before), out);
    }
    if (!has_room(context, *group, request.member_id)) {
        remove_classic_member(context, tick, *group, request.member_id,
                              ErrorCode::GroupMaxSizeReached, out);
        return refuse(context, tick, join, "", ErrorCode::GroupMaxSizeReached, out);
    }
    if (group->in(ClassicState::Dead)) {
        return refuse(context, tick, join, request.member_id, ErrorCode::CoordinatorNotAvailable,
                      out);
    }
    if (!group->accepts(request.protocol_type, join.protocols)) {
        return refuse(context, tick, join, request.member_id, ErrorCode::InconsistentGroupProtocol,
                      out);
    }
    if (request.member_id.empty()) return join_unknown(context, tick, *group, join, out);
    join_known(context, tick, *group, join, out);
}

namespace {

/// Clients choose their rebalance timeout; a timer that is due when it is armed would never rest.
Duration rebalance_wait(const ClassicGroup& group) {
    constexpr int32_t kWaitMinMs = 100;
    return milliseconds(std::max(group.max_rebalance_timeout_ms(), kWaitMinMs));
}

/// Ends the join phase: the generation begins, or the group is empty.
void complete_join(GroupContext& context, const Tick& tick, ClassicGroup& group, GroupOutput& out) {
    MILLRACE_ASSERT(group.in(ClassicState::PreparingRebalance), "a join phase is running");
    context.timers.cancel({TimerKind::Join, group.id, ""});
    for (const ClassicMember* m : group.in_order()) {
        if (m->join || m->instance_id) continue;  // static members may stay away for a while
        const std::string gone = m->id;
        remove_classic_member(context, tick, group, gone, ErrorCode::UnknownMemberId, out);
    }
    if (!group.members.empty() && group.joined_count() == 0) {
        context.timers.arm({TimerKind::Join, group.id, ""}, tick.now + rebalance_wait(group));
        return;
    }
    const ClassicMember* leader = group.leader ? group.member(*group.leader) : nullptr;
    if (!group.members.empty() && (leader == nullptr || !leader->join)) {
        for (const ClassicMember* m : group.in_order()) {
            if (!m->join) continue;
            group.leader = m->id;
            break;
        }
    }
    group.generation += 1;
    group.new_member_added = false;
    if (group.members.empty()) {
        group.protocol.reset();
        group.transition(ClassicState::Empty, tick.wall);
        group.read_subscriptions();
        context.write(tick, {make_classic_record(group.id, group.record(nullptr))}, out);
        return;
    }
    group.protocol = group.vote();
    MILLRACE_ASSERT(group.leader.has_value(), "a generation has a leader");
    group.transition(ClassicState::CompletingRebalance, tick.wall);
    group.read_subscriptions();
    for (ClassicMember* m : group.in_order()) {
        wire::JoinGroupResponse response = join_answer(group, m->id);
        if (group.is_leader(m->id)) response.members = group.join_members();
        if (m->join) answer_join(context, tick, *m, std::move(response), out);
        m->is_new = false;
        arm_heartbeat(context, tick, group, *m);
        group.pending_sync.insert(m->id);
    }
    context.timers.arm({TimerKind::Sync, group.id, ""}, tick.now + rebalance_wait(group));
}

}  // namespace

void prepare_rebalance(GroupContext& context, const Tick& tick, ClassicGroup& group,
                       GroupOutput& out) {
    if (group.in(ClassicState::CompletingRebalance)) {
        for (ClassicMember* m : group.in_order()) {
            m->assignment = Buffer();
            if (m->sync) {
                answer_sync(context, tick, *m, sync_refused(ErrorCode::RebalanceInProgress), out);
            }
        }
    }
    group.pending_sync.clear();
    context.timers.cancel({TimerKind::Sync, group.id, ""});
    const bool initial = group.in(ClassicState::Empty);
    group.transition(ClassicState::PreparingRebalance, tick.wall);
    if (initial) {
        context.timers.arm({TimerKind::Join, group.id, ""}, tick.now + group.delay);
    } else if (group.all_joined()) {
        complete_join(context, tick, group, out);
    } else {
        context.timers.arm({TimerKind::Join, group.id, ""}, tick.now + rebalance_wait(group));
    }
}

void maybe_complete_join(GroupContext& context, const Tick& tick, ClassicGroup& group,
                         GroupOutput& out) {
    // The initial rebalance is never cut short: others may be starting too.
    if (!group.in(ClassicState::PreparingRebalance) || !group.all_joined() ||
        group.previous_state == ClassicState::Empty) {
        return;
    }
    complete_join(context, tick, group, out);
}

void prepare_or_complete(GroupContext& context, const Tick& tick, ClassicGroup& group,
                         GroupOutput& out) {
    if (group.in(ClassicState::PreparingRebalance)) {
        maybe_complete_join(context, tick, group, out);
    } else if (!group.in(ClassicState::Dead)) {
        prepare_rebalance(context, tick, group, out);
    }
}

void on_join_timer(GroupContext& context, const Tick& tick, const std::string& id,
                   GroupOutput& out) {
    ClassicGroup* group = context.classic(id);
    if (group == nullptr || !group->in(ClassicState::PreparingRebalance)) return;
    if (group->previous_state == ClassicState::Empty && group->new_member_added &&
        group->delay_remaining.nanos > 0) {
        const Duration ended = group->delay;
        group->new_member_added = false;
        group->delay = std::min(milliseconds(context.settings->initial_rebalance_delay_ms),
                                group->delay_remaining);
        group->delay_remaining = std::max(group->delay_remaining - ended, Duration{});
        context.timers.arm({TimerKind::Join, id, ""}, tick.now + group->delay);
        return;
    }
    complete_join(context, tick, *group, out);
}

}  // namespace millrace::coordinator
