// src/coordinator/offset_expiry.cc: which offsets are too old, and what goes with a topic or group.
//
// Source: coordinators.md 5.5, 1.8; OffsetMetadataManager.cleanupExpiredOffsets.
#include <algorithm>

#include "coordinator/group_context.h"
#include "coordinator/group_records.h"

namespace millrace::coordinator {

namespace {

/// From when on an offset of this topic counts; nothing: it does not expire now.
std::optional<int64_t> base_timestamp(GroupContext& context, const std::string& id,
                                      const Group& group, const std::string& topic,
                                      const CommittedOffset& offset) {
    if (group.is_consumer()) {
        for (const auto& [member_id, member] : group.consumer->members) {
            const auto& names = member->metadata.subscribed_topic_names;
            if (std::find(names.begin(), names.end(), topic) != names.end()) return std::nullopt;
            const RegexPtr* regex = group.consumer->regexes.find(member->regex());
            if (regex != nullptr && std::find((*regex)->topics.begin(), (*regex)->topics.end(),
                                              topic) != (*regex)->topics.end()) {
                return std::nullopt;
            }
        }
        return offset.commit_timestamp_ms;
    }
    const ClassicGroup& classic = *context.classic(id);
    if (!classic.protocol_type) return offset.commit_timestamp_ms;
    if (classic.in(ClassicState::Empty)) {
        return classic.state_timestamp_ms.value_or(offset.commit_timestamp_ms);
    }
    const bool may_expire = classic.in(ClassicState::Stable) &&
                            *classic.protocol_type == kConsumerProtocolType &&
                            !classic.subscribes_to(topic);
    if (!may_expire) return std::nullopt;
    return offset.commit_timestamp_ms;
}

bool is_empty_group(GroupContext& context, const std::string& id, const Group& group) {
    if (group.is_consumer()) return group.consumer->members.empty();
    const ClassicGroup& classic = *context.classic(id);
    return classic.in(ClassicState::Empty) && classic.pending_members.empty();
}

/// Tombstones of one group's expired offsets, and of the group when none is left.
void expire_group(GroupContext& context, const Tick& tick, const std::string& id,
                  const Group& group, Records& records, std::vector<std::string>& dead) {
    const OffsetTable& table = context.state().offsets_of(id);
    size_t kept = 0;
    for (const auto& [key, offset] : table.committed) {
        bool expired = false;
        if (offset->expire_timestamp_ms >= 0) {
            expired = tick.wall.value >= offset->expire_timestamp_ms;
        } else if (const auto base = base_timestamp(context, id, group, key.topic, *offset)) {
            expired = tick.wall.value - *base >= context.settings->offsets_retention_ms;
        }
        if (!expired || table.is_pending(key)) {
            ++kept;
            continue;
        }
        records.push_back(make_offset_tombstone(id, key));
    }
    if (kept > 0 || !table.pending.empty() || !is_empty_group(context, id, group)) return;
    append_group_tombstones(context, id, records);
    dead.push_back(id);
}

}  // namespace

void expire_offsets(GroupContext& context, const Tick& tick, GroupOutput& out) {
    Records records;
    std::vector<std::string> dead;
    const auto groups = context.state().groups;
    for (const auto& [id, group] : groups)
        expire_group(context, tick, id, group, records, dead);
    for (const std::string& id : dead)
        drop_classic_group(context, tick, id, ErrorCode::UnknownMemberId, out);
    context.write(tick, std::move(records), out, false);
}

void append_offset_tombstones(const GroupState& state, const std::string& group, Records& records) {
    const OffsetTable& table = state.offsets_of(group);
    std::set<TopicPartition> keys;
    for (const auto& [key, offset] : table.committed)
        keys.insert(key);
    for (const auto& [producer, offsets] : table.pending) {
        for (const auto& [key, offset] : offsets)
            keys.insert(key);
    }
    for (const TopicPartition& key : keys)
        records.push_back(make_offset_tombstone(group, key));
}

void forget_deleted_topics(GroupContext& context, const Tick& tick,
                           const std::map<Uuid, std::string>& deleted, GroupOutput& out) {
    std::map<std::string, Uuid> by_name;
    for (const auto& [topic, name] : deleted)
        by_name.emplace(name, topic);
    Records records;
    for (const auto& [group, table] : context.state().offsets) {
        std::set<TopicPartition> gone;
        const auto look = [&](const OffsetMap& offsets) {
            for (const auto& [key, offset] : offsets) {
                auto found = by_name.find(key.topic);
                if (found == by_name.end()) continue;
                const Uuid& stored = offset->topic_id;
                if (stored == Uuid() || stored == found->second) gone.insert(key);
            }
        };
        look(table->committed);
        for (const auto& [producer, offsets] : table->pending)
            look(offsets);
        for (const TopicPartition& key : gone)
            records.push_back(make_offset_tombstone(group, key));
    }
    context.write(tick, std::move(records), out, false);
}

}  // namespace millrace::coordinator
