// src/coordinator/consumer_pass.cc: subscription, epoch, target and reconciliation of one member.
//
// Source: coordinators.md 4.3, 4.5, 4.6; GroupMetadataManager.consumerGroupHeartbeat.
#include <algorithm>

#include "coordinator/assignor.h"
#include "coordinator/consumer_group.h"
#include "coordinator/reconcile.h"
#include "coordinator/topic_hash.h"

namespace millrace::coordinator {

void ConsumerEdit::add(CoordinatorRecord record) {
    const auto value = record.value ? std::optional<ByteView>(record.value->view()) : std::nullopt;
    // A record that does not replay here does not replay in the core either, which then refuses
    // the whole command.
    static_cast<void>(scratch_.replay({Offset(0), {}, record.key.view(), value}).ok());
    records_.push_back(std::move(record));
}

const ConsumerGroup& ConsumerEdit::group() const {
    static const ConsumerGroup kNew;
    const Group* known = scratch_.find(id_);
    return known != nullptr && known->is_consumer() ? *known->consumer : kNew;
}

Partitions partitions_of(const AssignedPartitions& assigned) {
    Partitions result;
    for (const auto& [topic, epochs] : assigned) {
        for (const auto& [partition, epoch] : epochs)
            result[topic].insert(partition);
    }
    return result;
}

namespace {

const std::vector<std::string>& resolved(const ConsumerGroup& group, const ConsumerMember& member) {
    static const std::vector<std::string> kNone;
    const RegexPtr* regex = group.regexes.find(member.regex());
    return regex == nullptr ? kNone : (*regex)->topics;
}

/// Whether all members see the same topics (coordinators.md 4.5).
bool is_homogeneous(const ConsumerGroup& group) {
    std::set<std::string> regexes;
    size_t by_regex = 0;
    std::map<std::string, size_t> named;
    for (const auto& [id, member] : group.members) {
        if (!member->regex().empty()) {
            ++by_regex;
            regexes.insert(member->regex());
        }
        for (const std::string& name : member->metadata.subscribed_topic_names)
            ++named[name];
    }
    if (by_regex > 0) {
        return by_regex == group.members.size() && regexes.size() == 1 && named.empty();
    }
    return std::all_of(named.begin(), named.end(),
                       [&](const auto& e) { return e.second == group.members.size(); });
}

AssignorInput assignor_input(const metadata::Image& image, const ConsumerGroup& group) {
    AssignorInput input;
    input.homogeneous = is_homogeneous(group);
    for (const auto& [id, member] : group.members) {
        AssignorMember entry;
        entry.id = id;
        entry.instance_id = member->metadata.instance_id;
        entry.topics = subscribed_ids(image, group, *member);
        entry.current = group.target_of(id);
        for (const Uuid& topic : entry.topics) {
            input.partition_counts[topic] =
                static_cast<int32_t>(image.topics.find(topic)->partitions.size());
        }
        input.members.push_back(std::move(entry));
    }
    sort_for_assignor(input.members);
    return input;
}

void write_target(GroupContext& context, const Tick& tick, ConsumerEdit& edit) {
    const ConsumerGroup group = edit.group();
    const Assignor assignor = find_assignor(preferred_assignor(context, group));
    AssignorResult result = assignor(assignor_input(*context.image, group));
    for (auto& [member, target] : result) {
        std::erase_if(target, [](const auto& e) { return e.second.empty(); });
        // A member without partitions has a target too, once.
        if (group.targets.contains(member) && group.target_of(member) == target) continue;
        edit.add(make_target_record(edit.id(), member, target));
    }
    edit.add(make_target_epoch_record(edit.id(), group.epoch, tick.wall.value));
}

/// A bump where the subscriptions or the topics changed.
void update_epoch(GroupContext& context, ConsumerEdit& edit, bool bump) {
    auto fresh = context.fresh_epochs.find(edit.id());
    const bool expired = fresh == context.fresh_epochs.end() || fresh->second > edit.group().epoch;
    if (!bump && !expired) return;
    const int64_t hash = group_hash(*context.image, subscribed_names(edit.group()));
    if (bump || hash != edit.group().metadata_hash) {
        edit.add(make_epoch_record(edit.id(), edit.group().epoch + 1, hash));
        if (edit.group().has_partition_metadata) {
            edit.add(make_partition_metadata_tombstone(edit.id()));
        }
    }
    context.fresh_epochs[edit.id()] = edit.group().epoch;
}

bool regex_used(const ConsumerGroup& group, const std::string& regex, const std::string& except) {
    for (const auto& [id, member] : group.members) {
        if (id != except && member->regex() == regex) return true;
    }
    return false;
}

/// True when the change of the expression is a change of topics now.
bool update_regex(ConsumerEdit& edit, const Pass& pass) {
    const std::string& old_regex = pass.before.regex();
    const std::string& new_regex = pass.updated.regex();
    if (old_regex == new_regex) return false;
    if (!old_regex.empty() && !regex_used(edit.group(), old_regex, pass.updated.id)) {
        edit.add(make_regex_tombstone(edit.id(), old_regex));
    }
    return new_regex.empty() || edit.group().regexes.contains(new_regex);
}

}  // namespace

std::set<std::string> subscribed_names(const ConsumerGroup& group) {
    std::set<std::string> names;
    for (const auto& [id, member] : group.members) {
        const auto& own = member->metadata.subscribed_topic_names;
        names.insert(own.begin(), own.end());
        const auto& matched = resolved(group, *member);
        names.insert(matched.begin(), matched.end());
    }
    return names;
}

std::set<Uuid> subscribed_ids(const metadata::Image& image, const ConsumerGroup& group,
                              const ConsumerMember& member) {
    std::set<Uuid> ids;
    const auto add = [&](const std::vector<std::string>& names) {
        for (const std::string& name : names) {
            const auto* topic = image.topics.find(std::string_view(name));
            if (topic != nullptr) ids.insert(topic->id);
        }
    };
    add(member.metadata.subscribed_topic_names);
    add(resolved(group, member));
    return ids;
}

ConsumerConfigs consumer_configs(const GroupContext& context, const std::string& group) {
    const GroupSettings& s = *context.settings;
    // Text in the image was checked when it was set; another release may have been less strict.
    const auto number_in = [](const metadata::ConfigMap& map, const std::string& key,
                              int32_t otherwise) {
        auto found = map.find(key);
        if (found == map.end() || found->second.empty()) return otherwise;
        int32_t number = 0;
        for (const char c : found->second) {
            if (c < '0' || c > '9' || number > INT32_MAX / 10 - 1) return otherwise;
            number = number * 10 + (c - '0');
        }
        return number;
    };
    const metadata::ConfigMap& own =
        context.image->configs.of({metadata::ConfigResource::Group, group});
    const metadata::ConfigMap& cluster = context.image->configs.broker("");
    const auto value = [&](const std::string& key, int32_t broker, int32_t low, int32_t high) {
        const int32_t set = number_in(own, key, number_in(cluster, "group." + key, broker));
        return std::clamp(set, low, std::max(low, high));
    };
    return {value("consumer.session.timeout.ms", s.consumer_session_timeout_ms,
                  s.consumer_min_session_timeout_ms, s.consumer_max_session_timeout_ms),
            value("consumer.heartbeat.interval.ms", s.consumer_heartbeat_interval_ms,
                  s.consumer_min_heartbeat_interval_ms, s.consumer_max_heartbeat_interval_ms),
            value("consumer.assignment.interval.ms", s.consumer_assignment_interval_ms,
                  s.consumer_min_assignment_interval_ms, s.consumer_max_assignment_interval_ms)};
}

std::string preferred_assignor(const GroupContext& context, const ConsumerGroup& group) {
    std::map<std::string, size_t> votes;
    for (const auto& [id, member] : group.members) {
        const auto& wanted = member->metadata.server_assignor;
        if (wanted) ++votes[*wanted];
    }
    // A tie goes to what is configured first (Kafka's choice depends on a hash order).
    const std::vector<std::string>& configured = context.settings->consumer_assignors;
    std::string chosen = configured.front();
    size_t most = 0;
    for (const std::string& name : configured) {
        auto it = votes.find(name);
        if (it == votes.end() || it->second <= most) continue;
        chosen = name;
        most = it->second;
    }
    return find_assignor(chosen) == nullptr ? "uniform" : chosen;
}

std::optional<ConsumerMember> run_pass(GroupContext& context, const Tick& tick, ConsumerEdit& edit,
                                       const Pass& pass) {
    const ConsumerMember& updated = pass.updated;
    if (pass.is_new || !(pass.before.metadata == updated.metadata)) {
        edit.add(make_member_record(edit.id(), updated));
    }
    const bool names_changed =
        pass.before.metadata.subscribed_topic_names != updated.metadata.subscribed_topic_names;
    const bool regex_changed = pass.before.regex() != updated.regex();
    const bool regex_bump = update_regex(edit, pass);
    update_epoch(context, edit, names_changed || regex_bump);
    const ConsumerGroup& group = edit.group();
    const int32_t interval = consumer_configs(context, edit.id()).assignment_interval_ms;
    const bool due = group.target_timestamp_ms == 0 || interval == 0 ||
                     tick.wall.value >= group.target_timestamp_ms + interval;
    const bool stale = group.epoch > group.target_epoch;
    if (stale && pass.downgrades) {
        const ConsumerMember* member = group.member(updated.id);
        return member == nullptr ? updated : *member;
    }
    if (stale && due) write_target(context, tick, edit);

    const ConsumerGroup after = edit.group();
    const ConsumerMember* stored = after.member(updated.id);
    const ConsumerMember current = stored == nullptr ? updated : *stored;
    const auto next = reconcile(
        {current, after.target_of(updated.id), after.target_epoch, pass.owned, after.owners,
         subscribed_ids(*context.image, after, current), names_changed || regex_changed});
    if (!next) return std::nullopt;
    const bool moved = next->epoch != current.epoch ||
                       next->previous_epoch != current.previous_epoch ||
                       next->state != current.state || next->assigned != current.assigned ||
                       next->pending_revocation != current.pending_revocation;
    if (moved) edit.add(make_current_record(edit.id(), *next));
    return next;
}

void arm_consumer_timers(GroupContext& context, const Tick& tick, const std::string& group,
                         const ConsumerMember& before, const ConsumerMember& after) {
    const int32_t session = after.uses_classic_protocol()
                                ? after.metadata.classic_member_metadata->session_timeout_ms
                                : consumer_configs(context, group).session_timeout_ms;
    context.timers.arm({TimerKind::Session, group, after.id}, tick.now + milliseconds(session));
    if (after.uses_classic_protocol()) return;
    const TimerKey rebalance{TimerKind::Rebalance, group, after.id};
    if (after.state != MemberState::Unrevoked) {
        context.timers.cancel(rebalance);
        context.rebalance_epochs.erase({group, after.id});
    } else if (before.state != MemberState::Unrevoked ||
               before.pending_revocation != after.pending_revocation ||
               !context.timers.armed(rebalance)) {
        context.timers.arm(rebalance, tick.now + milliseconds(after.metadata.rebalance_timeout_ms));
        context.rebalance_epochs[{group, after.id}] = after.epoch;
    }
}

void cancel_consumer_timers(GroupContext& context, const std::string& group,
                            const std::string& member) {
    for (const TimerKind kind : {TimerKind::Session, TimerKind::Rebalance, TimerKind::ClassicJoin,
                                 TimerKind::ClassicSync}) {
        context.timers.cancel({kind, group, member});
    }
    context.rebalance_epochs.erase({group, member});
}

ConsumerMember new_consumer_member(const std::string& id) {
    ConsumerMember member;
    member.id = id;
    member.metadata.instance_id.reset();
    member.metadata.rack_id.reset();
    member.metadata.server_assignor.reset();
    member.metadata.subscribed_topic_regex = "";
    member.metadata.classic_member_metadata.reset();
    return member;
}

ConsumerMember replace_consumer_member(ConsumerEdit& edit, const ConsumerMember& old,
                                       const std::string& id) {
    const ConsumerMember gone = old;
    const Partitions target = edit.group().target_of(gone.id);
    edit.add(make_current_tombstone(edit.id(), gone.id));
    edit.add(make_target_tombstone(edit.id(), gone.id));
    edit.add(make_member_tombstone(edit.id(), gone.id));
    ConsumerMember member = gone;
    member.id = id;
    member.epoch = 0;
    member.previous_epoch = 0;
    edit.add(make_member_record(edit.id(), member));
    edit.add(make_target_record(edit.id(), id, target));
    edit.add(make_current_record(edit.id(), member));
    return member;
}

void append_member_tombstones(ConsumerEdit& edit, const ConsumerMember& member) {
    const ConsumerMember gone = member;  // what it points to goes with the records
    edit.add(make_current_tombstone(edit.id(), gone.id));
    edit.add(make_target_tombstone(edit.id(), gone.id));
    edit.add(make_member_tombstone(edit.id(), gone.id));
    if (!gone.regex().empty() && !regex_used(edit.group(), gone.regex(), gone.id)) {
        edit.add(make_regex_tombstone(edit.id(), gone.regex()));
    }
}

}  // namespace millrace::coordinator
