// include/millrace/record/batch_validate.h: every check of a produced batch, in Kafka's order.
//
// Two doors: check_produce_shape for what a handler must know before it looks at the partition,
// validate_produce for the append itself. Both judge bytes of a client: no outcome is an assert.
// Source: ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords, LogValidator.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/record/batch.h"
#include "millrace/record/compression.h"

namespace millrace::record {

/// Record errors listed in one verdict at most; more are counted in the message only.
inline constexpr size_t kRecordErrorsMax = 65'536;
/// A single record may be this large when a batch has to be rebuilt from compressed bytes.
inline constexpr size_t kRebuiltRecordBytesMax = size_t{128} << 20;

/// What the first bytes of a partition's records say, before any partition is looked up.
struct ProduceShape {
    ErrorCode error{};  // 0, 87 (none, old magic, second batch), 76, 2, or -1
    /// The first batch cannot even be delimited: Kafka fails the whole request, every partition
    /// with CORRUPT_MESSAGE and this text.
    std::optional<std::string> request_error;
    bool is_transactional = false;  // of the first batch, also when error is set
    ProducerId producer_id = kNoProducerId;
    ProducerEpoch producer_epoch = kNoProducerEpoch;
    size_t batch_bytes = 0;  // the one batch; fewer than a batch's worth of bytes may follow it
};
ProduceShape check_produce_shape(ByteView records, int16_t produce_version);

enum class CompressedValidation : uint8_t {
    Full,    // decompress every batch and check each record, as Kafka does
    Header,  // trust the header of a batch that is kept as sent, where no rule needs its records
};

/// The topic's settings, resolved.
struct ProduceRules {
    TimestampType timestamp_type = TimestampType::CreateTime;
    int64_t timestamp_before_max_ms = std::numeric_limits<int64_t>::max();
    int64_t timestamp_after_max_ms = 3'600'000;
    int32_t max_message_bytes = 1'048'588;
    bool compacted = false;                 // cleanup.policy contains compact
    std::optional<CompressionType> target;  // compression.type; nothing means "producer"
    CompressionLevels levels;
    CompressedValidation compressed_validation = CompressedValidation::Full;
    uint64_t inflated_bytes_max = kInflatedBytesMax;
};

struct RecordError {
    int32_t batch_index = 0;  // position of the record in its batch
    std::string message;
};

struct ProduceVerdict {
    ErrorCode error{};
    std::optional<std::string> error_message;
    std::vector<RecordError> record_errors;
    // The rest is set only without error.
    bool rebuilt = false;  // the batch was recompressed or renumbered into a new Buffer
    WallMs max_timestamp = kNoTimestamp;
    WallMs log_append_time = kNoTimestamp;  // -1 under CreateTime
    /// Offset for the time index, from the base offset: the batch's last (Kafka's shallow rule).
    int32_t offset_delta_of_max_timestamp = 0;
    int32_t record_count = 0;
    bool ok() const { return error == ErrorCode{}; }
};

/// Working memory of validate_produce, owned by the caller (one per shard), reused for each batch.
class ValidateScratch {
  public:
    ValidateScratch();
    ~ValidateScratch();
    struct State;
    State& state() { return *state_; }

  private:
    std::unique_ptr<State> state_;
};

/// Judges one batch for a leader's log, and edits it as the topic asks: timestamp type and maximum
/// in place (checksum patched), or `batch` replaced by a rebuilt one. The caller then stamps base
/// offset and leader epoch. `now` is the time of the append.
/// REQUIRES: `batch` is what check_produce_shape accepted, cut to batch_bytes; nobody else reads
/// its bytes meanwhile.
ProduceVerdict validate_produce(Buffer& batch, const ProduceRules& rules,
                                const TopicPartition& partition, WallMs now,
                                ValidateScratch& scratch);

}  // namespace millrace::record
