// src/coordinator/group_records.h: the records of __consumer_offsets, made in one place.
#pragma once

#include <string>

#include "coordinator/group_state.h"
#include "millrace/wire/gen/group_metadata_value.h"
#include "millrace/wire/record_frame.h"

namespace millrace::coordinator {

/// Keys and values are small: one chunk holds most of them.
inline constexpr size_t kRecordChunkBytes = 128;

template <class Key>
Buffer key_bytes(const Key& key) {
    wire::Writer writer(kRecordChunkBytes);
    wire::encode_coordinator_key(writer, key);
    return writer.finish_flat();
}
template <class Key, class Value>
CoordinatorRecord make_record(const Key& key, const Value& value, int16_t version = 0) {
    wire::Writer writer(kRecordChunkBytes);
    wire::encode_coordinator_value(writer, value, version);
    MILLRACE_ASSERT(writer.ok(), "our own record can be encoded");
    return {key_bytes(key), writer.finish_flat()};
}
template <class Key>
CoordinatorRecord make_tombstone(const Key& key) {
    return {key_bytes(key), std::nullopt};
}

/// v1 with an expire timestamp of its own, else v4.
CoordinatorRecord make_offset_record(const std::string& group, const TopicPartition& partition,
                                     const CommittedOffset& offset);
CoordinatorRecord make_offset_tombstone(const std::string& group, const TopicPartition& partition);
CoordinatorRecord make_classic_record(const std::string& group,
                                      const wire::GroupMetadataValue& value);
CoordinatorRecord make_classic_tombstone(const std::string& group);

}  // namespace millrace::coordinator
