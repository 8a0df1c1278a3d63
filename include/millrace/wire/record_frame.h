// include/millrace/wire/record_frame.h: how generated records are wrapped inside record batches.
//
// Metadata records: uvarint frame version (1), uvarint record type, uvarint version, then the body
// (Kafka's MetadataRecordSerde). Coordinator keys: i16 record type, then the body in version 0;
// coordinator values: i16 version, then the body (CoordinatorRecordSerde). Raft control records:
// the body alone, with an i16 version field of its own inside.
#pragma once

#include <cstdint>
#include <limits>

#include "millrace/base/bytes.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::wire {

inline constexpr uint32_t kMetadataFrameVersion = 1;

struct RecordFrame {
    int16_t type = 0;
    int16_t version = 0;
};

/// Reads the wrapping of a metadata record; the Reader then stands at the body. False (with the
/// error latched) on another frame version or numbers outside int16.
inline bool decode_record_frame(Reader& reader, RecordFrame& frame) {
    constexpr uint32_t kMax = std::numeric_limits<int16_t>::max();
    const uint32_t frame_version = reader.uvarint();
    if (reader.ok() && frame_version != kMetadataFrameVersion) {
        reader.fail("unknown frame version of a metadata record");
    }
    const uint32_t type = reader.uvarint();
    const uint32_t version = reader.uvarint();
    if (type > kMax || version > kMax) reader.fail("metadata record type or version too large");
    if (!reader.ok()) return false;
    frame.type = static_cast<int16_t>(type);
    frame.version = static_cast<int16_t>(version);
    return true;
}

/// Record is a generated metadata record (it has kRecordType).
template <class Record>
void encode_metadata_record(Writer& writer, const Record& record, int16_t version) {
    writer.uvarint(kMetadataFrameVersion);
    writer.uvarint(static_cast<uint32_t>(Record::kRecordType));
    writer.uvarint(static_cast<uint32_t>(version));
    record.encode(writer, version);
}

/// Key is a generated coordinator-key message. Keys have only version 0.
template <class Key>
void encode_coordinator_key(Writer& writer, const Key& key) {
    writer.i16(Key::kRecordType);
    key.encode(writer, 0);
}

/// Value is a generated coordinator-value message.
template <class Value>
void encode_coordinator_value(Writer& writer, const Value& value, int16_t version) {
    writer.i16(version);
    value.encode(writer, version);
}

/// Reads the i16 version and the body; false (latched) when the version is not one we know.
template <class Value>
bool decode_coordinator_value(Reader& reader, Value& value) {
    const int16_t version = reader.i16();
    return reader.ok() && value.decode(reader, version);
}

}  // namespace millrace::wire
