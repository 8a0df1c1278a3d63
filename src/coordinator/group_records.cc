// src/coordinator/group_records.cc: which version each record is written in.
#include "coordinator/group_records.h"

#include "millrace/wire/gen/group_metadata_key.h"
#include "millrace/wire/gen/offset_commit_key.h"
#include "millrace/wire/gen/offset_commit_value.h"

namespace millrace::coordinator {

namespace {

constexpr int16_t kOffsetVersion = 4;
constexpr int16_t kOffsetVersionWithExpiry = 1;  // later ones lost the field
constexpr int16_t kClassicVersion = 3;           // v4 is read, never written

wire::OffsetCommitKey offset_key(const std::string& group, const TopicPartition& partition) {
    wire::OffsetCommitKey key;
    key.group = group;
    key.topic = partition.topic;
    key.partition = partition.partition.value;
    return key;
}
wire::GroupMetadataKey classic_key(const std::string& group) {
    wire::GroupMetadataKey key;
    key.group = group;
    return key;
}

}  // namespace

CoordinatorRecord make_offset_record(const std::string& group, const TopicPartition& partition,
                                     const CommittedOffset& offset) {
    const bool expires = offset.expire_timestamp_ms >= 0;
    wire::OffsetCommitValue value;
    value.offset = offset.offset;
    value.metadata = offset.metadata;
    value.commit_timestamp = offset.commit_timestamp_ms;
    if (expires) {
        value.expire_timestamp = offset.expire_timestamp_ms;
    } else {
        value.leader_epoch = offset.leader_epoch;
        value.topic_id = offset.topic_id;
    }
    return make_record(offset_key(group, partition), value,
                       expires ? kOffsetVersionWithExpiry : kOffsetVersion);
}

CoordinatorRecord make_offset_tombstone(const std::string& group, const TopicPartition& partition) {
    return make_tombstone(offset_key(group, partition));
}

CoordinatorRecord make_classic_record(const std::string& group,
                                      const wire::GroupMetadataValue& value) {
    return make_record(classic_key(group), value, kClassicVersion);
}

CoordinatorRecord make_classic_tombstone(const std::string& group) {
    return make_tombstone(classic_key(group));
}

}  // namespace millrace::coordinator
