// src/coordinator/consumer_heartbeat.cc: ConsumerGroupHeartbeat, leaving, and who stays silent.
//
// Source: coordinators.md 4.2, 4.6, 4.7; GroupMetadataManager.consumerGroupHeartbeat, KIP-848.
#include <fmt/core.h>

#include <algorithm>

#include "coordinator/assignor.h"
#include "coordinator/consumer_group.h"
#include "coordinator/group_records.h"
#include "coordinator/regex.h"
#include "coordinator/topic_hash.h"

namespace millrace::coordinator {

namespace {

using Request = wire::ConsumerGroupHeartbeatRequest;
using Response = wire::ConsumerGroupHeartbeatResponse;

/// A refusal with Kafka's sentence.
struct Refusal {
    ErrorCode error = ErrorCode::None;
    std::string message;
    bool refused() const { return error != ErrorCode::None; }
};

Response refusal(ErrorCode error, std::string message = "") {
    Response response;
    response.error_code = code(error);
    response.error_message =
        message.empty() ? std::string(error_code_message(error)) : std::move(message);
    return response;
}

bool is_blank(const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\t'; });
}

Refusal invalid(std::string message) { return {ErrorCode::InvalidRequest, std::move(message)}; }

Refusal check_shape(const GroupContext& context, int16_t version, const Request& r) {
    if (is_blank(r.group_id)) return invalid("GroupId can't be empty.");
    if (r.instance_id && is_blank(*r.instance_id)) return invalid("InstanceId can't be empty.");
    if (r.rack_id && is_blank(*r.rack_id)) return invalid("RackId can't be empty.");
    const bool id_needed = version >= 1 || r.member_epoch > 0 || r.member_epoch == kLeaveEpoch;
    if (id_needed && is_blank(r.member_id)) return invalid("MemberId can't be empty.");
    if (r.member_epoch == 0) {
        if (r.rebalance_timeout_ms == -1) {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if (!r.topic_partitions || !r.topic_partitions->empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if (!r.subscribed_topic_names && !r.subscribed_topic_regex) {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null "
                "when (re-)joining.");
        }
    } else if (r.member_epoch == kLeaveStaticEpoch) {
        if (!r.instance_id) return invalid("InstanceId can't be null.");
    } else if (r.member_epoch < kLeaveStaticEpoch) {
        return invalid("MemberEpoch is invalid.");
    }
    const auto& assignors = context.settings->consumer_assignors;
    if (r.server_assignor &&
        std::find(assignors.begin(), assignors.end(), *r.server_assignor) == assignors.end()) {
        std::string list;
        for (const std::string& name : assignors)
            list += (list.empty() ? "" : ", ") + name;
        return {ErrorCode::UnsupportedAssignor,
                fmt::format("ServerAssignor {} is not supported. Supported assignors: {}.",
                            *r.server_assignor, list)};
    }
    return {};
}

bool owns_no_more_than(const std::optional<Partitions>& owned, const AssignedPartitions& assigned) {
    if (!owned) return false;
    for (const auto& [topic, partitions] : *owned) {
        auto found = assigned.find(topic);
        if (found == assigned.end()) return false;
        for (const int32_t partition : partitions) {
            if (!found->second.contains(partition)) return false;
        }
    }
    return true;
}

/// A member that is one epoch behind lost the answer of its last heartbeat.
ErrorCode check_epoch(const ConsumerMember& member, int32_t received,
                      const std::optional<Partitions>& owned) {
    if (received == 0 || received == member.epoch) return ErrorCode::None;
    if (received > member.epoch || received != member.previous_epoch ||
        !owns_no_more_than(owned, member.assigned)) {
        return ErrorCode::FencedMemberEpoch;
    }
    return ErrorCode::None;
}

std::optional<Partitions> owned_of(const Request& request) {
    if (!request.topic_partitions) return std::nullopt;
    Partitions owned;
    for (const auto& topic : *request.topic_partitions)
        owned[topic.topic_id].insert(topic.partitions.begin(), topic.partitions.end());
    return owned;
}

ConsumerMember updated_member(const ConsumerMember& member, const Request& request,
                              const GroupCaller& caller) {
    ConsumerMember next = member;
    auto& m = next.metadata;
    if (request.instance_id) m.instance_id = request.instance_id;
    if (request.rack_id) m.rack_id = request.rack_id;
    if (request.rebalance_timeout_ms != -1) m.rebalance_timeout_ms = request.rebalance_timeout_ms;
    if (request.server_assignor) m.server_assignor = request.server_assignor;
    if (request.subscribed_topic_names) {
        m.subscribed_topic_names = *request.subscribed_topic_names;
        std::sort(m.subscribed_topic_names.begin(), m.subscribed_topic_names.end());
    }
    if (request.subscribed_topic_regex) m.subscribed_topic_regex = request.subscribed_topic_regex;
    m.client_id = caller.client_id;
    m.client_host = caller.client_host;
    m.classic_member_metadata.reset();
    return next;
}

class Heartbeat {
  public:
    Heartbeat(GroupContext& context, const Tick& tick, RequestId id, const GroupCaller& caller,
              const Request& request, GroupOutput& out)
        : context_(context),
          tick_(tick),
          id_(id),
          caller_(caller),
          request_(request),
          out_(out),
          edit_(context.state(), request.group_id) {}

    void run() {
        const Refusal wrong = check_shape(context_, caller_.version, request_);
        if (wrong.refused()) return refuse(wrong.error, wrong.message);
        const Group* group = context_.state().find(request_.group_id);
        if (request_.member_epoch < 0) return leave(group);
        if (group == nullptr || !group->is_consumer()) {
            const Refusal cannot = begin_group(group);
            if (cannot.refused()) return refuse(cannot.error, cannot.message);
        }
        beat();
    }

  private:
    void refuse(ErrorCode error, std::string message = "") {
        context_.answer(
            tick_, id_, refusal(error, std::move(message)),
            [](ErrorCode e) -> GroupResponse { return refusal(e); }, out_);
    }

    /// There is no consumer group of that id yet.
    Refusal begin_group(const Group* group) {
        const std::string& id = request_.group_id;
        const Refusal missing{ErrorCode::GroupIdNotFound,
                              group == nullptr
                                  ? fmt::format("Consumer group {} not found.", id)
                                  : fmt::format("Group {} is not a consumer group.", id)};
        if (request_.member_epoch != 0) return missing;
        if (group == nullptr) return {};
        const ClassicGroup& classic = *context_.classic(id);
        if (classic.in(ClassicState::Empty) && classic.pending_members.empty()) {
            edit_.add(make_classic_tombstone(id));
            converts_ = true;
            return {};
        }
        const auto problem = upgrade_problem(context_, classic);
        if (problem) return {ErrorCode::GroupIdNotFound, *problem};
        append_upgrade(context_, tick_, classic, edit_);
        converts_ = true;
        return {};
    }

    /// The member as stored, replaced or new; an error when it may not speak.
    ErrorCode find_member() {
        const ConsumerGroup& group = edit_.group();
        const ConsumerMember* known = group.member(request_.member_id);
        if (!request_.instance_id) {
            if (known == nullptr && request_.member_epoch != 0) return ErrorCode::UnknownMemberId;
            pass_.is_new = known == nullptr;
            pass_.before = known == nullptr ? new_consumer_member(member_id()) : *known;
            return ErrorCode::None;
        }
        const std::string* mapped = group.static_members.find(*request_.instance_id);
        if (mapped == nullptr) {
            if (request_.member_epoch != 0) return ErrorCode::UnknownMemberId;
            pass_.is_new = known == nullptr;
            pass_.before = known == nullptr ? new_consumer_member(member_id()) : *known;
            return ErrorCode::None;
        }
        const ConsumerMember& holder = *group.member(*mapped);
        if (request_.member_epoch == 0) {
            if (holder.epoch != kLeaveStaticEpoch && !holder.uses_classic_protocol()) {
                return ErrorCode::UnreleasedInstanceId;
            }
            replaced_ = holder.id;
            pass_.before = replace_consumer_member(edit_, holder, member_id());
            return ErrorCode::None;
        }
        if (*mapped != request_.member_id) return ErrorCode::FencedInstanceId;
        pass_.before = holder;
        return ErrorCode::None;
    }
    const std::string& member_id() {
        if (drawn_id_.empty()) {
            drawn_id_ = request_.member_id.empty() ? context_.random_uuid() : request_.member_id;
        }
        return drawn_id_;
    }

    void beat() {
        const ConsumerGroup& group = edit_.group();
        const bool known = group.members.contains(request_.member_id);
        if (!known &&
            group.members.size() >= static_cast<size_t>(context_.settings->consumer_max_size)) {
            return refuse(ErrorCode::GroupMaxSizeReached);
        }
        const ErrorCode stranger = find_member();
        if (stranger != ErrorCode::None) return refuse(stranger);
        pass_.owned = owned_of(request_);
        const ErrorCode stale = check_epoch(pass_.before, request_.member_epoch, pass_.owned);
        if (stale != ErrorCode::None) return refuse(stale);
        pass_.updated = updated_member(pass_.before, request_, caller_);
        const std::string& regex = pass_.updated.regex();
        if (!regex.empty() && regex != pass_.before.regex()) {
            const auto problem = regex_problem(regex);
            if (problem) {
                return refuse(ErrorCode::InvalidRegularExpression,
                              fmt::format("SubscribedTopicRegex `{}` is not a valid regular "
                                          "expression: {}.",
                                          regex, *problem));
            }
        }
        const auto after = run_pass(context_, tick_, edit_, pass_);
        if (!after) return refuse(ErrorCode::FencedMemberEpoch);
        if (!replaced_.empty()) cancel_consumer_timers(context_, request_.group_id, replaced_);
        arm_consumer_timers(context_, tick_, request_.group_id, pass_.before, *after);
        request_regex_resolution(context_, tick_, edit_);
        answer(*after);
    }

    void answer(const ConsumerMember& after) {
        Response response;
        response.member_id = after.id;
        response.member_epoch = after.epoch;
        response.heartbeat_interval_ms =
            consumer_configs(context_, request_.group_id).heartbeat_interval_ms;
        const bool full = request_.rebalance_timeout_ms != -1 &&
                          (request_.subscribed_topic_names || request_.subscribed_topic_regex) &&
                          request_.topic_partitions;
        const bool moved = partitions_of(pass_.before.assigned) != partitions_of(after.assigned);
        if (request_.member_epoch == 0 || full || moved) {
            auto& assignment = response.assignment.emplace();
            for (const auto& [topic, partitions] : partitions_of(after.assigned)) {
                auto& into = assignment.topic_partitions.emplace_back();
                into.topic_id = topic;
                into.partitions.assign(partitions.begin(), partitions.end());
            }
        }
        finish(std::move(response));
    }
    void finish(Response response) {
        if (converts_) {
            drop_classic_group(context_, tick_, request_.group_id, ErrorCode::RebalanceInProgress,
                               out_);
            arm_all_members();
        }
        context_.write(
            tick_, id_, edit_.take(), std::move(response),
            [](ErrorCode e) -> GroupResponse { return refusal(e); }, out_);
        // Refused at once, as too large for a batch: the group is what it was.
        if (converts_) {
            context_.reconcile_classic_groups(tick_, ErrorCode::UnknownServerError, out_);
        }
    }
    /// After an upgrade the classic members have their own sessions.
    void arm_all_members() {
        const ConsumerGroup group = edit_.group();
        for (const auto& [member_id, member] : group.members) {
            if (member_id != drawn_id_) {
                arm_consumer_timers(context_, tick_, request_.group_id, *member, *member);
            }
        }
    }

    void leave(const Group* group) {
        if (group == nullptr || !group->is_consumer()) {
            return refuse(
                ErrorCode::GroupIdNotFound,
                group == nullptr
                    ? fmt::format("Consumer group {} not found.", request_.group_id)
                    : fmt::format("Group {} is not a consumer group.", request_.group_id));
        }
        const ConsumerMember* member = group->consumer->member(request_.member_id);
        if (request_.instance_id) {
            const std::string* mapped = group->consumer->static_members.find(*request_.instance_id);
            if (mapped == nullptr) return refuse(ErrorCode::UnknownMemberId);
            if (*mapped != request_.member_id) return refuse(ErrorCode::FencedInstanceId);
        }
        if (member == nullptr) return refuse(ErrorCode::UnknownMemberId);
        if (request_.member_epoch == kLeaveStaticEpoch) {
            edit_.add(make_current_record(request_.group_id, away(*member)));
            // The session goes on: a member that does not return is fenced by it.
            context_.timers.cancel({TimerKind::Rebalance, request_.group_id, member->id});
        } else {
            cancel_consumer_timers(context_, request_.group_id, member->id);
            remove_consumer_members(context_, tick_, edit_, {member->id});
        }
        Response response;
        response.member_id = request_.member_id;
        response.member_epoch = request_.member_epoch;
        finish(std::move(response));
        settle_downgrade(context_, tick_, edit_, out_);
        restore_timers(context_, tick_, request_.group_id, {request_.member_id});
    }
    static ConsumerMember away(const ConsumerMember& member) {
        ConsumerMember result = member;
        result.epoch = kLeaveStaticEpoch;
        result.pending_revocation.clear();
        for (auto& [topic, epochs] : result.assigned) {
            for (auto& [partition, epoch] : epochs)
                epoch = 0;
        }
        return result;
    }

    GroupContext& context_;
    const Tick& tick_;
    RequestId id_;
    const GroupCaller& caller_;
    const Request& request_;
    GroupOutput& out_;
    ConsumerEdit edit_;
    Pass pass_;
    bool converts_ = false;  // a classic group ceases to be one
    std::string replaced_;
    std::string drawn_id_;
};

/// After a fence that was refused at once (Kafka's coordinator timer waits as long).
constexpr Duration kFenceRetry = milliseconds(500);

void fence(GroupContext& context, const Tick& tick, const TimerKey& key, GroupOutput& out) {
    const Group* group = context.state().find(key.group);
    if (group == nullptr || !group->is_consumer()) return;
    if (group->consumer->member(key.member) == nullptr) return;
    ConsumerEdit edit(context.state(), key.group);
    cancel_consumer_timers(context, key.group, key.member);
    remove_consumer_members(context, tick, edit, {key.member});
    context.write(tick, edit.take(), out);
    settle_downgrade(context, tick, edit, out);
    if (restore_timers(context, tick, key.group, {key.member})) {
        context.timers.arm({TimerKind::Session, key.group, key.member}, tick.now + kFenceRetry);
    }
}

}  // namespace

void heartbeat_consumer(GroupContext& context, const Tick& tick, RequestId id,
                        const GroupCaller& caller, const Request& request, GroupOutput& out) {
    Heartbeat(context, tick, id, caller, request, out).run();
}

void on_session_timer(GroupContext& context, const Tick& tick, const TimerKey& key,
                      GroupOutput& out) {
    fence(context, tick, key, out);
}

void on_rebalance_timer(GroupContext& context, const Tick& tick, const TimerKey& key,
                        GroupOutput& out) {
    auto remembered = context.rebalance_epochs.find({key.group, key.member});
    if (remembered == context.rebalance_epochs.end()) return;
    const Group* group = context.state().find(key.group);
    if (group == nullptr || !group->is_consumer()) return;
    const ConsumerMember* member = group->consumer->member(key.member);
    if (member == nullptr || member->epoch != remembered->second) return;
    fence(context, tick, key, out);
}

void arm_all_consumer_timers(GroupContext& context, const Tick& tick) {
    for (const auto& [id, group] : context.state().groups) {
        if (!group.is_consumer()) continue;
        for (const auto& [member_id, member] : group.consumer->members)
            arm_consumer_timers(context, tick, id, *member, *member);
    }
}

bool restore_timers(GroupContext& context, const Tick& tick, const std::string& group,
                    const std::vector<std::string>& leaving) {
    const Group* known = context.state().find(group);
    if (known == nullptr || !known->is_consumer()) return false;
    const auto& members = known->consumer->members;
    const bool refused = std::any_of(leaving.begin(), leaving.end(),
                                     [&](const auto& id) { return members.contains(id); });
    if (!refused) return false;
    for (const auto& [id, member] : members) {
        if (context.timers.armed({TimerKind::Session, group, id})) continue;
        arm_consumer_timers(context, tick, group, *member, *member);
    }
    return true;
}

void remove_consumer_members(GroupContext& context, const Tick& tick, ConsumerEdit& edit,
                             const std::vector<std::string>& members) {
    if (should_downgrade(context, edit.group(), members)) {
        append_downgrade(context, tick, members, edit);
        return;
    }
    for (const std::string& id : members) {
        const ConsumerMember* member = edit.group().member(id);
        if (member != nullptr) append_member_tombstones(edit, *member);
    }
    // The assignment epoch stays, also of an empty group (KAFKA-20442 is later than 4.3).
    const int64_t hash = group_hash(*context.image, subscribed_names(edit.group()));
    edit.add(make_epoch_record(edit.id(), edit.group().epoch + 1, hash));
}

void refresh_consumer_groups(GroupContext& context, const metadata::Image& before,
                             const metadata::Image& after) {
    if (before.topics.by_id.same_version(after.topics.by_id)) return;
    std::set<std::string> changed;
    for (const auto& [id, topic] : before.topics.by_id) {
        const auto* now = after.topics.by_id.find(id);
        if (now == nullptr || *now != topic) changed.insert(topic->name);
    }
    for (const auto& [id, topic] : after.topics.by_id) {
        if (!before.topics.by_id.contains(id)) changed.insert(topic->name);
    }
    for (const auto& [id, group] : context.state().groups) {
        if (!group.is_consumer()) continue;
        const std::set<std::string> names = subscribed_names(*group.consumer);
        const bool touched = std::any_of(changed.begin(), changed.end(),
                                         [&](const auto& name) { return names.contains(name); });
        if (touched) context.fresh_epochs.erase(id);
    }
}

}  // namespace millrace::coordinator
