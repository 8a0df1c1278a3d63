// include/millrace/record/batch.h: the header of a record batch, format v2: reading and stamping.
//
// A batch is 61 bytes of header and a payload of records (FORMAT.md). The same bytes travel from
// the producer to the disk and to consumers; the broker changes at most the base offset and leader
// epoch (outside the checksum) and, where the topic asks for it, timestamp type and maximum.
// Source: org.apache.kafka.common.record.internal.DefaultRecordBatch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "millrace/base/bytes.h"
#include "millrace/base/endian.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"

namespace millrace::record {

/// Position of each field from the batch's first byte.
inline constexpr size_t kBaseOffsetAt = 0;
inline constexpr size_t kLengthAt = 8;
inline constexpr size_t kLeaderEpochAt = 12;
inline constexpr size_t kMagicAt = 16;
inline constexpr size_t kCrcAt = 17;
inline constexpr size_t kAttributesAt = 21;
inline constexpr size_t kLastOffsetDeltaAt = 23;
inline constexpr size_t kBaseTimestampAt = 27;
inline constexpr size_t kMaxTimestampAt = 35;
inline constexpr size_t kProducerIdAt = 43;
inline constexpr size_t kProducerEpochAt = 51;
inline constexpr size_t kBaseSequenceAt = 53;
inline constexpr size_t kRecordCountAt = 57;
inline constexpr size_t kBatchHeaderBytes = 61;
/// Bytes before the scope of the length field: size of a batch = length + kLogOverheadBytes.
inline constexpr size_t kLogOverheadBytes = 12;
inline constexpr int8_t kMagicV2 = 2;

inline constexpr int16_t kCompressionMask = 0x07;
inline constexpr int16_t kTimestampTypeBit = 0x08;
inline constexpr int16_t kTransactionalBit = 0x10;
inline constexpr int16_t kControlBit = 0x20;
inline constexpr int16_t kDeleteHorizonBit = 0x40;

inline constexpr int32_t kNoSequence = -1;

enum class TimestampType : uint8_t { CreateTime = 0, LogAppendTime = 1 };

/// Kafka's codec numbers, as in the low three attribute bits; 5 to 7 mean nothing.
enum class CompressionType : uint8_t { None = 0, Gzip = 1, Snappy = 2, Lz4 = 3, Zstd = 4 };

/// "none", "gzip", "snappy", "lz4", "zstd".
const char* compression_name(CompressionType type);
std::optional<CompressionType> compression_from_id(int id);
std::optional<CompressionType> compression_from_name(std::string_view name);

/// Read-only view of one whole batch; owns nothing, copies freely, checks nothing but its size.
/// REQUIRES: at least kBatchHeaderBytes bytes, exactly those of the batch (BatchIterator and
/// check_produce_shape give such views). Values are as stored, not judged.
class BatchView {
  public:
    explicit BatchView(ByteView bytes) : bytes_(bytes) {
        MILLRACE_ASSERT(bytes.size >= kBatchHeaderBytes, "a batch view covers the header");
    }

    ByteView bytes() const { return bytes_; }
    size_t size_bytes() const { return bytes_.size; }
    ByteView payload() const { return bytes_.from(kBatchHeaderBytes); }

    Offset base_offset() const { return Offset(load<int64_t>(kBaseOffsetAt)); }
    int32_t length() const { return load<int32_t>(kLengthAt); }
    LeaderEpoch leader_epoch() const { return LeaderEpoch(load<int32_t>(kLeaderEpochAt)); }
    int8_t magic() const { return static_cast<int8_t>(bytes_[kMagicAt]); }
    uint32_t crc() const { return load<uint32_t>(kCrcAt); }
    int16_t attributes() const { return load<int16_t>(kAttributesAt); }
    int32_t last_offset_delta() const { return load<int32_t>(kLastOffsetDeltaAt); }
    Offset last_offset() const { return base_offset() + last_offset_delta(); }
    Offset next_offset() const { return base_offset() + (int64_t{last_offset_delta()} + 1); }
    WallMs base_timestamp() const { return WallMs{load<int64_t>(kBaseTimestampAt)}; }
    WallMs max_timestamp() const { return WallMs{load<int64_t>(kMaxTimestampAt)}; }
    ProducerId producer_id() const { return ProducerId(load<int64_t>(kProducerIdAt)); }
    ProducerEpoch producer_epoch() const { return ProducerEpoch(load<int16_t>(kProducerEpochAt)); }
    int32_t base_sequence() const { return load<int32_t>(kBaseSequenceAt); }
    int32_t record_count() const { return load<int32_t>(kRecordCountAt); }

    /// Nothing for the codec numbers 5 to 7.
    std::optional<CompressionType> compression() const {
        return compression_from_id(attributes() & kCompressionMask);
    }
    bool is_compressed() const { return (attributes() & kCompressionMask) != 0; }
    TimestampType timestamp_type() const {
        return has(kTimestampTypeBit) ? TimestampType::LogAppendTime : TimestampType::CreateTime;
    }
    bool is_transactional() const { return has(kTransactionalBit); }
    bool is_control() const { return has(kControlBit); }
    /// The cleaner put the time when tombstones may go into base_timestamp.
    bool has_delete_horizon() const { return has(kDeleteHorizonBit); }
    bool has_producer_id() const { return producer_id().value > -1; }
    /// Sequence of the last record, wrapping after 2147483647 to 0; kNoSequence without producer.
    int32_t last_sequence() const;

    uint32_t compute_crc() const;
    bool valid_crc() const { return compute_crc() == crc(); }

  private:
    template <class Number>
    Number load(size_t at) const {
        return load_big<Number>(bytes_.data + at);
    }
    bool has(int16_t bit) const { return (attributes() & bit) != 0; }
    ByteView bytes_;
};

/// sequence + increment, wrapping after 2147483647 to 0. REQUIRES: both >= 0.
int32_t increment_sequence(int32_t sequence, int32_t increment);

/// The offset and epoch under which a leader stores the batch; the checksum does not cover them.
/// REQUIRES (both): `batch` starts at a batch of which at least the header is present.
void stamp_base_offset(MutableByteView batch, Offset base_offset);
void stamp_leader_epoch(MutableByteView batch, LeaderEpoch leader_epoch);
/// Sets timestamp type and maximum timestamp when they differ from what is stored, as Kafka does:
/// attribute bits 7 to 15 are cleared then, and the checksum is patched without reading the
/// payload. Returns whether anything changed. REQUIRES: the whole batch, with a valid checksum.
bool stamp_max_timestamp(MutableByteView batch, TimestampType type, WallMs max_timestamp);

}  // namespace millrace::record
