// src/coordinator/group_state.cc: replay of offsets, classic groups and transaction markers.
#include "coordinator/group_state.h"

#include <fmt/core.h>

#include "millrace/base/log.h"
#include "millrace/wire/gen/group_metadata_key.h"
#include "millrace/wire/gen/legacy_offset_commit_value.h"
#include "millrace/wire/gen/offset_commit_key.h"
#include "millrace/wire/gen/offset_commit_value.h"
#include "millrace/wire/record_frame.h"

namespace millrace::coordinator {

namespace {

Status corrupt(const ReplayedRecord& record, const char* what) {
    return Status(Errc::Corrupt, fmt::format("offset {}: {}", record.offset.value, what));
}

/// The value of an offset record, of either type.
bool decode_offset(int16_t type, ByteView bytes, CommittedOffset& into) {
    wire::Reader reader(bytes);
    if (type == wire::LegacyOffsetCommitValue::kRecordType) {
        wire::LegacyOffsetCommitValue value;
        if (!wire::decode_coordinator_value(reader, value)) return false;
        into.offset = value.offset;
        into.metadata = std::move(value.metadata);
        into.commit_timestamp_ms = value.commit_timestamp;
        return true;
    }
    wire::OffsetCommitValue value;
    if (!wire::decode_coordinator_value(reader, value)) return false;
    into.offset = value.offset;
    into.leader_epoch = value.leader_epoch;
    into.metadata = std::move(value.metadata);
    into.commit_timestamp_ms = value.commit_timestamp;
    into.expire_timestamp_ms = value.expire_timestamp;
    into.topic_id = value.topic_id;
    return true;
}

void store(GroupState& state, const std::string& group, OffsetTable table) {
    if (table.empty()) {
        state.offsets.erase(group);
    } else {
        state.offsets.set(group, std::make_shared<const OffsetTable>(std::move(table)));
    }
}

/// A tombstone removes the committed offset and every pending one of the partition.
void forget_offset(GroupState& state, const std::string& group, const TopicPartition& partition) {
    OffsetTable table = state.offsets_of(group);
    table.committed.erase(partition);
    const auto pending = table.pending;
    for (const auto& [producer, offsets] : pending) {
        if (!offsets.contains(partition)) continue;
        OffsetMap rest = offsets;
        rest.erase(partition);
        if (rest.empty()) {
            table.pending.erase(producer);
        } else {
            table.pending.set(producer, std::move(rest));
        }
    }
    store(state, group, std::move(table));
}

void note_transaction(GroupState& state, ProducerId producer, const std::string& group) {
    const auto* known = state.transactions.find(producer);
    if (known != nullptr && (*known)->contains(group)) return;
    auto groups = std::make_shared<std::set<std::string>>();
    if (known != nullptr) *groups = **known;
    groups->insert(group);
    state.transactions.set(producer, std::move(groups));
}

Status replay_offset(GroupState& state, int16_t type, wire::Reader& reader,
                     const ReplayedRecord& record) {
    wire::OffsetCommitKey key;
    if (!key.decode(reader, 0)) return corrupt(record, "the key of an offset does not parse");
    const TopicPartition partition{key.topic, PartitionIndex(key.partition)};
    if (!record.value) {
        forget_offset(state, key.group, partition);
        return Status();
    }
    auto offset = std::make_shared<CommittedOffset>();
    offset->record_offset = record.offset;
    if (!decode_offset(type, *record.value, *offset)) {
        return corrupt(record, "the value of an offset does not parse");
    }
    // Offsets may come before the record of their group, or without one.
    if (state.find(key.group) == nullptr) state.groups.set(key.group, Group{});
    OffsetTable table = state.offsets_of(key.group);
    if (record.producer.transactional()) {
        const OffsetMap* open = table.pending.find(record.producer.id);
        OffsetMap offsets = open == nullptr ? OffsetMap() : *open;
        offsets.set(partition, std::move(offset));
        table.pending.set(record.producer.id, std::move(offsets));
        note_transaction(state, record.producer.id, key.group);
    } else {
        table.committed.set(partition, std::move(offset));
    }
    store(state, key.group, std::move(table));
    return Status();
}

Status replay_classic(GroupState& state, wire::Reader& reader, const ReplayedRecord& record) {
    wire::GroupMetadataKey key;
    if (!key.decode(reader, 0)) return corrupt(record, "the key of a group does not parse");
    const Group* known = state.find(key.group);
    if (!record.value) {
        // A tombstone left by a conversion must not remove what the group has become.
        if (known != nullptr && !known->is_consumer()) state.groups.erase(key.group);
        return Status();
    }
    auto value = std::make_shared<wire::GroupMetadataValue>();
    wire::Reader body(*record.value);
    if (!wire::decode_coordinator_value(body, *value)) {
        return corrupt(record, "the value of a group does not parse");
    }
    state.groups.set(key.group, Group{std::move(value), nullptr});
    return Status();
}

}  // namespace

bool OffsetTable::is_pending(const TopicPartition& partition) const {
    for (const auto& [producer, offsets] : pending) {
        if (offsets.contains(partition)) return true;
    }
    return false;
}

const OffsetTable& GroupState::offsets_of(const std::string& group) const {
    static const OffsetTable kNone;
    const OffsetTablePtr* table = offsets.find(group);
    return table == nullptr ? kNone : **table;
}

Status GroupState::replay(const ReplayedRecord& record) {
    wire::Reader reader(record.key);
    const int16_t type = reader.i16();
    if (!reader.ok()) return corrupt(record, "the key has no type");
    if (type == wire::LegacyOffsetCommitValue::kRecordType ||
        type == wire::OffsetCommitValue::kRecordType) {
        return replay_offset(*this, type, reader, record);
    }
    if (type == wire::GroupMetadataValue::kRecordType) {
        return replay_classic(*this, reader, record);
    }
    if (is_consumer_record(type)) {
        return replay_consumer_record(*this, type, reader, record.value);
    }
    // A newer release wrote it, or it is of a kind of group not served here: it stays in the log.
    return Status();
}

void GroupState::end_transaction(const Marker& marker) {
    const auto* touched = transactions.find(marker.producer.id);
    if (touched == nullptr) return;
    const std::shared_ptr<const std::set<std::string>> groups_touched = *touched;
    for (const std::string& group : *groups_touched) {
        OffsetTable table = offsets_of(group);
        const OffsetMap* open = table.pending.find(marker.producer.id);
        if (open == nullptr) continue;
        if (marker.commit) {
            for (const auto& [partition, offset] : *open) {
                const OffsetPtr* known = table.committed.find(partition);
                // The later record wins, not the later marker (KAFKA-14505).
                if (known == nullptr || (*known)->record_offset < offset->record_offset) {
                    table.committed.set(partition, offset);
                }
            }
        }
        table.pending.erase(marker.producer.id);
        store(*this, group, std::move(table));
    }
    transactions.erase(marker.producer.id);
}

}  // namespace millrace::coordinator
