// src/coordinator/group_state.h: what the records of one __consumer_offsets partition mean.
//
// A value (base/persistent_map.h), changed by replay alone, from our own commands and from the
// log alike. What is not in the log (parked joins, timers, the live classic group) is elsewhere.
// Source: coordinators.md 2.5; OffsetMetadataManager.replay, GroupMetadataManager.replay.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "millrace/base/persistent_map.h"
#include "millrace/base/uuid.h"
#include "millrace/coordinator/coordinator.h"
#include "millrace/wire/gen/consumer_group_current_member_assignment_value.h"
#include "millrace/wire/gen/consumer_group_member_metadata_value.h"
#include "millrace/wire/gen/consumer_group_regular_expression_value.h"
#include "millrace/wire/gen/group_metadata_value.h"

namespace millrace::wire {
class Reader;
}

namespace millrace::coordinator {

struct CommittedOffset {
    Offset record_offset;  // of the record, which decides between two commits
    int64_t offset = -1;
    int32_t leader_epoch = -1;
    std::string metadata;
    int64_t commit_timestamp_ms = -1;
    int64_t expire_timestamp_ms = -1;  // -1: by the broker's retention
    Uuid topic_id;
};
using OffsetPtr = std::shared_ptr<const CommittedOffset>;
using OffsetMap = PersistentMap<TopicPartition, OffsetPtr>;

/// The offsets of one group.
struct OffsetTable {
    OffsetMap committed;
    PersistentMap<ProducerId, OffsetMap> pending;  // by the open transaction they are part of

    bool is_pending(const TopicPartition& partition) const;
    bool empty() const { return committed.empty() && pending.empty(); }
};
using OffsetTablePtr = std::shared_ptr<const OffsetTable>;

/// Partition -> the epoch at which the member got it.
using PartitionEpochs = std::map<int32_t, int32_t>;
using AssignedPartitions = std::map<Uuid, PartitionEpochs>;
using Partitions = std::map<Uuid, std::set<int32_t>>;

enum class MemberState : int8_t { Stable = 0, Unrevoked = 1, Unreleased = 2, Unknown = 127 };

inline constexpr int32_t kLeaveEpoch = -1;
inline constexpr int32_t kLeaveStaticEpoch = -2;

/// A member of a consumer group: its metadata record and its current-assignment record.
struct ConsumerMember {
    std::string id;
    wire::ConsumerGroupMemberMetadataValue metadata;
    int32_t epoch = 0;
    int32_t previous_epoch = -1;
    MemberState state = MemberState::Stable;
    AssignedPartitions assigned;
    AssignedPartitions pending_revocation;

    bool uses_classic_protocol() const { return metadata.classic_member_metadata.has_value(); }
    const std::string& regex() const;  // "": none
    bool reconciled_to(int32_t target_epoch) const {
        return state == MemberState::Stable && epoch == target_epoch;
    }
};
using ConsumerMemberPtr = std::shared_ptr<const ConsumerMember>;
using PartitionsPtr = std::shared_ptr<const Partitions>;
using RegexPtr = std::shared_ptr<const wire::ConsumerGroupRegularExpressionValue>;
using PartitionKey = std::pair<Uuid, int32_t>;

enum class ConsumerGroupPhase { Empty, Assigning, Reconciling, Stable };

struct ConsumerGroup {
    int32_t epoch = 1;  // the first subscription raises it: a first member starts at 2
    int64_t metadata_hash = 0;
    bool has_partition_metadata = false;  // a legacy record that the next bump removes
    int32_t target_epoch = 1;
    int64_t target_timestamp_ms = 0;
    PersistentMap<std::string, ConsumerMemberPtr> members;
    PersistentMap<std::string, PartitionsPtr> targets;
    PersistentMap<PartitionKey, int32_t> owners;  // epoch of the owner
    PersistentMap<std::string, std::string> static_members;
    PersistentMap<std::string, RegexPtr> regexes;

    const ConsumerMember* member(const std::string& id) const;
    const Partitions& target_of(const std::string& member_id) const;
    ConsumerGroupPhase phase() const;
};
using ConsumerGroupPtr = std::shared_ptr<const ConsumerGroup>;

/// One group. Exactly one kind: a consumer group has `consumer`; a classic one may have a record,
/// and is "simple" as long as only its offsets are known.
struct Group {
    std::shared_ptr<const wire::GroupMetadataValue> classic;
    ConsumerGroupPtr consumer;
    bool is_consumer() const { return consumer != nullptr; }
    /// Empty, no protocol type: may turn into any kind when a typed record is replayed.
    bool is_simple() const {
        return !consumer &&
               (!classic || (classic->protocol_type.empty() && classic->members.empty()));
    }
};

class GroupState {
  public:
    Status replay(const ReplayedRecord& record);
    void end_transaction(const Marker& marker);

    PersistentMap<std::string, Group> groups;
    PersistentMap<std::string, OffsetTablePtr> offsets;

    const Group* find(const std::string& group) const { return groups.find(group); }
    /// Never null; an empty table for a group without offsets.
    const OffsetTable& offsets_of(const std::string& group) const;
    /// The open transactions that hold pending offsets: which groups they touch.
    PersistentMap<ProducerId, std::shared_ptr<const std::set<std::string>>> transactions;
};

/// Record types of __consumer_offsets that belong to consumer groups (consumer_replay.cc).
bool is_consumer_record(int16_t type);
/// `key` stands behind the type.
Status replay_consumer_record(GroupState& state, int16_t type, wire::Reader& key,
                              const std::optional<ByteView>& value);

}  // namespace millrace::coordinator
