// include/millrace/record/batch_builder.h: making record batches.
//
// Used by the coordinators, the controller, the cleaner, recompression, tests and tools. A builder
// is reused: start(), append() records, finish(); it keeps its memory between batches.
// Source: org.apache.kafka.common.record.internal.MemoryRecordsBuilder.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/record/batch.h"
#include "millrace/record/batch_iterator.h"
#include "millrace/record/compression.h"

namespace millrace::record {

/// Header fields that do not follow from the records.
struct BatchOptions {
    Offset base_offset{0};
    LeaderEpoch leader_epoch = kNoLeaderEpoch;
    CompressionType compression = CompressionType::None;
    CompressionLevels levels;
    TimestampType timestamp_type = TimestampType::CreateTime;
    WallMs log_append_time = kNoTimestamp;  // becomes max_timestamp under LogAppendTime
    ProducerId producer_id = kNoProducerId;
    ProducerEpoch producer_epoch = kNoProducerEpoch;
    int32_t base_sequence = kNoSequence;
    bool is_transactional = false;
    bool is_control = false;
    std::optional<WallMs> delete_horizon;  // becomes base_timestamp
};

struct RecordHeader {
    std::string_view key;
    std::optional<ByteView> value{};
};

/// What one append takes; views are copied.
struct NewRecord {
    WallMs timestamp = kNoTimestamp;
    std::optional<ByteView> key{};    // nothing: null
    std::optional<ByteView> value{};  // nothing: null, a tombstone
    const RecordHeader* headers = nullptr;
    size_t header_count = 0;
};

class BatchBuilder {
  public:
    /// Begins a batch; what was appended before and not finished is dropped.
    void start(const BatchOptions& options);
    /// Appends at the next offset. REQUIRES: start().
    void append(const NewRecord& record);
    /// Appends at `offset_delta` from the base offset. REQUIRES: greater than the one before.
    void append_at(int32_t offset_delta, const NewRecord& record);
    /// Appends a record decoded from another batch, headers byte for byte.
    void append_copy(int32_t offset_delta, WallMs timestamp, const RecordView& record);

    int32_t record_count() const { return record_count_; }
    /// Bytes the batch has now: exact without compression, else what the codec has put out.
    size_t size_bytes() const { return out_.size() + staged_.size(); }
    /// Bytes that stand already, without records the codec has not seen: a lower bound of the end.
    size_t flushed_bytes() const { return out_.size(); }
    /// Bytes of header and records before compression.
    size_t uncompressed_bytes() const { return uncompressed_bytes_; }
    WallMs max_timestamp() const;

    /// The finished batch with its checksum; the builder is ready for the next start().
    /// `last_offset_delta`: overrides the last record's (compaction keeps the original end).
    /// REQUIRES: at least one record, or last_offset_delta given (then an empty batch, which keeps
    /// `empty_max_timestamp` as Kafka's writeEmptyHeader does).
    Buffer finish(std::optional<int32_t> last_offset_delta = {},
                  WallMs empty_max_timestamp = kNoTimestamp);

  private:
    uint8_t* grow(size_t bytes);
    uint8_t* begin_record(int32_t offset_delta, WallMs timestamp, size_t tail_bytes);
    void flush_staged();

    BatchOptions options_;
    Compressor compressor_;
    std::vector<uint8_t> out_;     // header, then payload (compressed when there is a codec)
    std::vector<uint8_t> staged_;  // records not yet given to the codec
    size_t uncompressed_bytes_ = 0;
    int32_t record_count_ = 0;
    int32_t last_offset_delta_ = -1;
    std::optional<WallMs> base_timestamp_;
    WallMs max_timestamp_ = kNoTimestamp;
};

}  // namespace millrace::record
