// src/coordinator/consumer_migration.cc: a live classic group becomes a consumer group, and back.
//
// Source: coordinators.md 4.10; ConsumerGroup.fromClassicGroup, ClassicGroup.fromConsumerGroup.
#include <fmt/core.h>

#include <algorithm>

#include "coordinator/consumer_group.h"
#include "coordinator/consumer_protocol.h"
#include "coordinator/group_records.h"

namespace millrace::coordinator {

namespace {

bool may_upgrade(MigrationPolicy policy) {
    return policy == MigrationPolicy::Upgrade || policy == MigrationPolicy::Bidirectional;
}
bool may_downgrade(MigrationPolicy policy) {
    return policy == MigrationPolicy::Downgrade || policy == MigrationPolicy::Bidirectional;
}

Partitions by_id(const metadata::Image& image,
                 const std::vector<wire::ConsumerProtocolAssignmentTopicPartition>& topics) {
    Partitions result;
    for (const auto& topic : topics) {
        const auto* known = image.topics.find(std::string_view(topic.topic));
        if (known == nullptr) continue;
        result[known->id].insert(topic.partitions.begin(), topic.partitions.end());
    }
    return result;
}

ConsumerMember upgraded(const metadata::Image& image, const ClassicGroup& group,
                        const ClassicMember& classic) {
    ConsumerMember member;
    member.id = classic.id;
    member.epoch = group.generation;
    member.previous_epoch = group.generation;
    auto& m = member.metadata;
    m.instance_id = classic.instance_id;
    m.client_id = classic.client_id;
    m.client_host = classic.client_host;
    m.rebalance_timeout_ms = classic.rebalance_timeout_ms;
    m.subscribed_topic_regex = "";
    m.server_assignor.reset();
    const auto subscription = parse_subscription(classic.metadata(*group.protocol));
    m.subscribed_topic_names = subscription->topics;
    std::sort(m.subscribed_topic_names.begin(), m.subscribed_topic_names.end());
    m.rack_id = subscription->rack_id;
    auto& old = m.classic_member_metadata.emplace();
    old.session_timeout_ms = classic.session_timeout_ms;
    for (const ClassicProtocol& protocol : classic.protocols)
        old.supported_protocols.push_back({protocol.name, protocol.metadata, {}});
    if (classic.assignment.empty()) return member;
    const auto assignment = parse_assignment(classic.assignment);
    for (const auto& [topic, partitions] : by_id(image, assignment->assigned_partitions)) {
        for (const int32_t partition : partitions)
            member.assigned[topic][partition] = group.generation;
    }
    return member;
}

ClassicMember downgraded(const metadata::Image& image, const ConsumerMember& member,
                         const Partitions& target) {
    ClassicMember classic;
    classic.id = member.id;
    classic.instance_id = member.metadata.instance_id;
    classic.client_id = member.metadata.client_id;
    classic.client_host = member.metadata.client_host;
    classic.rebalance_timeout_ms = member.metadata.rebalance_timeout_ms;
    const auto& old = *member.metadata.classic_member_metadata;
    classic.session_timeout_ms = old.session_timeout_ms;
    for (const auto& protocol : old.supported_protocols)
        classic.protocols.push_back({protocol.name, protocol.metadata});
    classic.assignment = assignment_bytes(image, member, target);
    return classic;
}

}  // namespace

Buffer assignment_bytes(const metadata::Image& image, const ConsumerMember& member,
                        const Partitions& partitions) {
    wire::ConsumerProtocolAssignment assignment;
    for (const auto& [id, list] : partitions) {
        const auto* topic = image.topics.find(id);
        if (topic == nullptr) continue;
        auto& into = assignment.assigned_partitions.emplace_back();
        into.topic = topic->name;
        into.partitions.assign(list.begin(), list.end());
    }
    const auto& protocols = member.metadata.classic_member_metadata->supported_protocols;
    const int16_t version =
        protocols.empty() ? int16_t{0} : subscription_version(protocols.front().metadata);
    return encode_assignment(assignment, std::max<int16_t>(version, 0));
}

std::optional<std::string> upgrade_problem(const GroupContext& context, const ClassicGroup& group) {
    const auto cannot = [&](const std::string& why) {
        return fmt::format("Cannot upgrade classic group {} to consumer group because {}.",
                           group.id, why);
    };
    if (!may_upgrade(context.settings->consumer_migration_policy)) {
        return cannot("the migration policy does not allow it");
    }
    if (!group.protocol_type || *group.protocol_type != kConsumerProtocolType) {
        return cannot("it does not use the consumer embedded protocol");
    }
    if (group.members.size() > static_cast<size_t>(context.settings->consumer_max_size)) {
        return cannot("the group size exceeds the consumer group maximum size");
    }
    for (const auto& [id, member] : group.members) {
        // Between two generations a member has no bytes of a chosen protocol.
        const auto subscription = parse_subscription(member.metadata(group.protocol.value_or("")));
        if (!subscription) return cannot("a subscription does not parse");
        if (member.assignment.empty()) continue;
        const auto assignment = parse_assignment(member.assignment);
        if (!assignment) return cannot("an assignment does not parse");
        if (assignment->user_data && !assignment->user_data->empty()) {
            return cannot("an unsupported custom assignor is in use");
        }
    }
    return std::nullopt;
}

void append_upgrade(GroupContext& context, const Tick& tick, const ClassicGroup& group,
                    ConsumerEdit& edit) {
    static_cast<void>(tick);
    edit.add(make_classic_tombstone(group.id));
    std::vector<ConsumerMember> members;
    for (const ClassicMember* m : group.in_order())
        members.push_back(upgraded(*context.image, group, *m));
    for (const ConsumerMember& member : members)
        edit.add(make_member_record(group.id, member));
    edit.add(make_epoch_record(group.id, group.generation, 0));
    for (const ConsumerMember& member : members)
        edit.add(make_target_record(group.id, member.id, partitions_of(member.assigned)));
    edit.add(make_target_epoch_record(group.id, group.generation, 0));
    for (const ConsumerMember& member : members)
        edit.add(make_current_record(group.id, member));
}

bool should_downgrade(const GroupContext& context, const ConsumerGroup& group,
                      const std::vector<std::string>& leaving) {
    if (!may_downgrade(context.settings->consumer_migration_policy)) return false;
    size_t staying = 0;
    for (const auto& [id, member] : group.members) {
        if (std::find(leaving.begin(), leaving.end(), id) != leaving.end()) continue;
        if (!member->uses_classic_protocol()) return false;
        ++staying;
    }
    return staying > 0 && staying <= static_cast<size_t>(context.settings->max_size);
}

bool should_downgrade_replacing(const GroupContext& context, const ConsumerGroup& group,
                                const std::string& replaced) {
    if (!may_downgrade(context.settings->consumer_migration_policy)) return false;
    for (const auto& [id, member] : group.members) {
        if (id != replaced && !member->uses_classic_protocol()) return false;
    }
    return group.members.size() <= static_cast<size_t>(context.settings->max_size);
}

void append_downgrade(GroupContext& context, const Tick& tick,
                      const std::vector<std::string>& leaving, ConsumerEdit& edit) {
    const ConsumerGroup group = edit.group();
    MILLRACE_ASSERT(group.members.size() > leaving.size(), "somebody stays");
    ClassicGroup classic;
    classic.id = edit.id();
    classic.protocol_type = kConsumerProtocolType;
    classic.generation = group.epoch;
    classic.state = ClassicState::Stable;
    classic.state_timestamp_ms = tick.wall.value;
    for (const auto& [id, member] : group.members) {
        if (std::find(leaving.begin(), leaving.end(), id) != leaving.end()) continue;
        classic.add(downgraded(*context.image, *member, group.target_of(id)));
    }
    classic.protocol = classic.vote();
    classic.read_subscriptions();
    Records tombstones;
    append_consumer_group_tombstones(edit.id(), group, tombstones);
    for (CoordinatorRecord& record : tombstones)
        edit.add(std::move(record));
    edit.add(make_classic_record(edit.id(), classic.record(nullptr)));
    for (const auto& [id, member] : group.members)
        cancel_consumer_timers(context, edit.id(), id);
    context.forget_consumer_group(edit.id());
    context.downgrades.insert_or_assign(edit.id(), std::move(classic));
}

void settle_downgrade(GroupContext& context, const Tick& tick, const ConsumerEdit& edit,
                      GroupOutput& out, bool rebalance) {
    auto node = context.downgrades.extract(edit.id());
    if (node.empty()) return;
    const Group* known = context.state().find(edit.id());
    if (known == nullptr || known->is_consumer()) return;  // the write was refused
    ClassicGroup& live =
        context.classic_groups.insert_or_assign(edit.id(), std::move(node.mapped())).first->second;
    for (const ClassicMember* m : live.in_order())
        arm_heartbeat(context, tick, live, *m);
    if (rebalance) prepare_rebalance(context, tick, live, out);
}

}  // namespace millrace::coordinator
