// src/record/batch_validate.cc: the checks of a produced batch, one function each, and rebuilding.
#include "millrace/record/batch_validate.h"

#include <algorithm>
#include <utility>

#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"
#include "record/record_skim.h"

namespace millrace::record {

namespace {
// LegacyRecord.RECORD_OVERHEAD_V0: the smallest length of any batch format ever.
constexpr int32_t kAnyFormatLengthMin = 14;
constexpr int16_t kZstdSinceVersion = 7;
constexpr size_t kRecordErrorsInMessage = 3;

// Java's long arithmetic wraps.
int64_t wrapping_add(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
int64_t wrapping_sub(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

enum class Delimited : uint8_t { Whole, None, Broken };

// ByteBufferLogInputStream.nextBatch: where the first batch of `bytes` ends.
Delimited delimit(ByteView bytes, size_t& batch_bytes, std::string& what) {
    if (bytes.size < kLogOverheadBytes) return Delimited::None;
    const int32_t length = load_big<int32_t>(bytes.data + kLengthAt);
    if (length < kAnyFormatLengthMin) {
        what = "Record size " + std::to_string(length) +
               " is less than the minimum record overhead (" +
               std::to_string(kAnyFormatLengthMin) + ")";
        return Delimited::Broken;
    }
    if (bytes.size <= kMagicAt) return Delimited::None;
    const auto magic = static_cast<int8_t>(bytes[kMagicAt]);
    if (magic < 0 || magic > kMagicV2) {
        what = "Invalid magic found in record: " + std::to_string(magic);
        return Delimited::Broken;
    }
    batch_bytes = static_cast<size_t>(length) + kLogOverheadBytes;
    return bytes.size < batch_bytes ? Delimited::None : Delimited::Whole;
}

// Old versions look at the codec before anything else; an unknown one has no mapped error.
ErrorCode check_early_codec(int id) {
    const std::optional<CompressionType> codec = compression_from_id(id);
    if (!codec.has_value()) return ErrorCode::UnknownServerError;
    return codec == CompressionType::Zstd ? ErrorCode::UnsupportedCompressionType
                                          : ErrorCode::None;
}
}  // namespace

struct ValidateScratch::State {
    Decompressor decompressor;
    BatchBuilder builder;
    std::vector<uint8_t> record;
};

ValidateScratch::ValidateScratch() : state_(std::make_unique<State>()) {}
ValidateScratch::~ValidateScratch() = default;

ProduceShape check_produce_shape(ByteView records, int16_t produce_version) {
    ProduceShape shape;
    std::string what;
    size_t batch_bytes = 0;
    switch (delimit(records, batch_bytes, what)) {
        case Delimited::Whole: break;
        case Delimited::None: shape.error = ErrorCode::InvalidRecord; return shape;
        case Delimited::Broken:
            shape.error = ErrorCode::CorruptMessage;
            shape.request_error = std::move(what);
            return shape;
    }
    if (records[kMagicAt] != kMagicV2) {
        shape.error = ErrorCode::InvalidRecord;
        return shape;
    }
    // A batch shorter than its header is refused by the append; only what lies inside is read.
    const int16_t attributes = load_big<int16_t>(records.data + kAttributesAt);
    if (batch_bytes >= kBatchHeaderBytes) {
        const BatchView batch(records.sub(0, batch_bytes));
        shape.is_transactional = batch.is_transactional();
        shape.producer_id = batch.producer_id();
        shape.producer_epoch = batch.producer_epoch();
    }
    shape.batch_bytes = batch_bytes;
    if (produce_version < kZstdSinceVersion) {
        shape.error = check_early_codec(attributes & kCompressionMask);
        if (shape.error != ErrorCode::None) return shape;
    }
    size_t second_bytes = 0;
    switch (delimit(records.from(batch_bytes), second_bytes, what)) {
        case Delimited::Whole: shape.error = ErrorCode::InvalidRecord; break;
        case Delimited::None: break;
        case Delimited::Broken: shape.error = ErrorCode::CorruptMessage; break;
    }
    return shape;
}

namespace {

/// One call of validate_produce. Methods named check_* are the rows of the order, each giving the
/// error or None.
class Validation {
  public:
    Validation(Buffer& batch, const ProduceRules& rules, const TopicPartition& partition,
               WallMs now, ValidateScratch::State& scratch)
        : buffer_(batch), rules_(rules), partition_(partition), now_(now), scratch_(scratch) {}

    ProduceVerdict run();

  private:
    BatchView batch() const { return BatchView(buffer_.view()); }
    size_t size_limit() const {
        return static_cast<size_t>(std::max(rules_.max_message_bytes, 0));
    }
    ErrorCode check_header();
    ErrorCode check_base_offset() const;
    ErrorCode check_size() const;
    ErrorCode check_crc() const;
    ErrorCode check_codec();
    ErrorCode check_counts() const;
    ErrorCode check_no_control() const;
    ErrorCode check_sequence() const;
    bool may_trust_header() const;
    ErrorCode check_records();
    ErrorCode check_header_timestamps();
    SkimEnd walk_records();
    void check_record(int32_t index, const SkimmedRecord& record, int64_t timestamp);
    bool check_key(int32_t index, const SkimmedRecord& record);
    bool check_timestamp(int32_t index, const SkimmedRecord& record, int64_t timestamp);
    bool timestamp_in_range(int64_t timestamp) const {
        const int64_t age = wrapping_sub(now_.value, timestamp);
        return age <= rules_.timestamp_before_max_ms &&
               wrapping_sub(0, age) <= rules_.timestamp_after_max_ms;
    }
    void add_key_error(int32_t index);
    void add_range_error(int32_t index, const SkimmedRecord& record, int64_t timestamp);
    void add_type_error(int32_t index, const SkimmedRecord& record, int64_t timestamp);
    void add_error(int32_t index, bool is_timestamp, std::string message);
    ErrorCode report_record_errors();
    ErrorCode check_rebuildable() const;
    ErrorCode rebuild();
    ErrorCode rebuild_records();
    void finish_in_place();
    int64_t timestamp_of(int64_t delta) const {
        return source_log_append_time_ ? source_max_timestamp_
                                       : wrapping_add(source_base_timestamp_, delta);
    }

    Buffer& buffer_;
    const ProduceRules& rules_;
    const TopicPartition& partition_;
    const WallMs now_;
    ValidateScratch::State& scratch_;
    ProduceVerdict verdict_;

    CompressionType source_ = CompressionType::None;
    CompressionType target_ = CompressionType::None;
    bool source_log_append_time_ = false;
    int64_t source_base_timestamp_ = 0;
    int64_t source_max_timestamp_ = 0;
    int64_t max_timestamp_ = kNoTimestamp.value;
    int64_t min_timestamp_ = std::numeric_limits<int64_t>::max();
    bool renumber_ = false;
    size_t error_count_ = 0;
    bool any_timestamp_error_ = false;
};

ErrorCode Validation::check_base_offset() const {
    return batch().base_offset().value == 0 ? ErrorCode::None : ErrorCode::InvalidRecord;
}

ErrorCode Validation::check_size() const {
    return buffer_.size() <= size_limit() ? ErrorCode::None : ErrorCode::MessageTooLarge;
}

ErrorCode Validation::check_crc() const {
    return batch().valid_crc() ? ErrorCode::None : ErrorCode::CorruptMessage;
}

// Kafka meets ids 5 to 7 as an unexpected exception, hence its code.
ErrorCode Validation::check_codec() {
    const std::optional<CompressionType> codec = batch().compression();
    if (!codec.has_value()) return ErrorCode::UnknownServerError;
    source_ = *codec;
    target_ = rules_.target.value_or(source_);
    return ErrorCode::None;
}

ErrorCode Validation::check_counts() const {
    const int64_t from_offsets = int64_t{batch().last_offset_delta()} + 1;
    const int64_t count = batch().record_count();
    const bool fine = from_offsets > 0 && count > 0 && from_offsets == count;
    return fine ? ErrorCode::None : ErrorCode::InvalidRecord;
}

ErrorCode Validation::check_no_control() const {
    return batch().is_control() ? ErrorCode::InvalidRecord : ErrorCode::None;
}

ErrorCode Validation::check_sequence() const {
    const bool missing = batch().has_producer_id() && batch().base_sequence() < 0;
    return missing ? ErrorCode::InvalidRecord : ErrorCode::None;
}

ErrorCode Validation::check_header() {
    if (buffer_.size() < kBatchHeaderBytes) return ErrorCode::CorruptMessage;
    ErrorCode error = check_base_offset();
    if (error == ErrorCode::None) error = check_size();
    if (error == ErrorCode::None) error = check_crc();
    if (error == ErrorCode::None) error = check_codec();
    if (error == ErrorCode::None) error = check_counts();
    if (error == ErrorCode::None) error = check_no_control();
    if (error == ErrorCode::None) error = check_sequence();
    return error;
}

// Header trust is for batches that stay as sent, where neither keys nor an old-record bound matter.
bool Validation::may_trust_header() const {
    return rules_.compressed_validation == CompressedValidation::Header &&
           source_ != CompressionType::None && target_ == source_ && !rules_.compacted &&
           rules_.timestamp_before_max_ms == std::numeric_limits<int64_t>::max();
}

ErrorCode Validation::check_header_timestamps() {
    SkimmedRecord none;
    const int32_t last = batch().last_offset_delta();
    check_timestamp(0, none, timestamp_of(0));
    none.offset_delta = last;
    if (error_count_ == 0) check_timestamp(last, none, source_max_timestamp_);
    max_timestamp_ = source_max_timestamp_;
    return report_record_errors();
}

void Validation::add_error(int32_t index, bool is_timestamp, std::string message) {
    ++error_count_;
    any_timestamp_error_ = any_timestamp_error_ || is_timestamp;
    if (verdict_.record_errors.size() < kRecordErrorsMax) {
        verdict_.record_errors.push_back({index, std::move(message)});
    }
}

bool Validation::check_key(int32_t index, const SkimmedRecord& record) {
    if (!rules_.compacted || record.key_size >= 0) return true;
    add_key_error(index);
    return false;
}

bool Validation::check_timestamp(int32_t index, const SkimmedRecord& record, int64_t timestamp) {
    const bool create_time = rules_.timestamp_type == TimestampType::CreateTime;
    if (create_time && timestamp != kNoTimestamp.value) {
        if (timestamp_in_range(timestamp)) return true;
        add_range_error(index, record, timestamp);
        return false;
    }
    if (!source_log_append_time_) return true;
    add_type_error(index, record, timestamp);
    return false;
}

void Validation::add_key_error(int32_t index) {
    add_error(index, false, "Compacted topic cannot accept message without key in topic partition " +
                                partition_.to_string());
}

void Validation::add_range_error(int32_t index, const SkimmedRecord& record, int64_t timestamp) {
    const int64_t low = wrapping_sub(now_.value, rules_.timestamp_before_max_ms);
    const int64_t high = wrapping_add(now_.value, rules_.timestamp_after_max_ms);
    add_error(index, true,
              "Timestamp " + std::to_string(timestamp) + " of message with offset " +
                  std::to_string(record.offset_delta) +
                  " is out of range. The timestamp should be within [" + std::to_string(low) +
                  ", " + std::to_string(high) + "]");
}

// DefaultRecord.toString of uncompressed and rebuilt batches, PartialDefaultRecord.toString of
// compressed ones, whose sizes say -1 for null.
void Validation::add_type_error(int32_t index, const SkimmedRecord& record, int64_t timestamp) {
    const bool partial = source_ != CompressionType::None && source_ == target_;
    const auto size = [partial](int32_t n) { return std::to_string(partial ? n : std::max(n, 0)); };
    add_error(index, true,
              std::string("Invalid timestamp type in message ") +
                  (partial ? "PartialDefaultRecord" : "DefaultRecord") +
                  "(offset=" + std::to_string(record.offset_delta) +
                  ", timestamp=" + std::to_string(timestamp) + ", key=" + size(record.key_size) +
                  " bytes, value=" + size(record.value_size) +
                  " bytes). Producer should not set timestamp type to LogAppendTime.");
}

void Validation::check_record(int32_t index, const SkimmedRecord& record, int64_t timestamp) {
    if (check_key(index, record)) check_timestamp(index, record, timestamp);
}

// The loop over all records: sums stay in locals, and only a record that may be refused leaves it.
SkimEnd Validation::walk_records() {
    const bool every_time_fits = rules_.timestamp_type == TimestampType::LogAppendTime;
    int64_t max_timestamp = max_timestamp_;
    int64_t min_timestamp = min_timestamp_;
    bool renumber = false;
    const SkimEnd end = skim_records(
        source_, batch().payload(), batch().record_count(), rules_.inflated_bytes_max,
        scratch_.decompressor, [&](int32_t index, const SkimmedRecord& record) {
            const int64_t timestamp = timestamp_of(record.timestamp_delta);
            max_timestamp = std::max(max_timestamp, timestamp);
            min_timestamp = std::min(min_timestamp, timestamp);
            renumber |= record.offset_delta != index;
            const bool fine = (record.key_size >= 0 || !rules_.compacted) &&
                              !source_log_append_time_ &&
                              (every_time_fits || timestamp_in_range(timestamp));
            if (!fine) check_record(index, record, timestamp);
        });
    max_timestamp_ = max_timestamp;
    min_timestamp_ = min_timestamp;
    renumber_ = renumber;
    return end;
}

ErrorCode Validation::report_record_errors() {
    if (error_count_ == 0) return ErrorCode::None;
    if (any_timestamp_error_) {
        verdict_.error_message = "One or more records have been rejected due to invalid timestamp";
        return ErrorCode::InvalidTimestamp;
    }
    std::string text = "One or more records have been rejected due to " +
                       std::to_string(error_count_) +
                       " record errors in total, and only showing the first three errors at most: [";
    const size_t shown = std::min(verdict_.record_errors.size(), kRecordErrorsInMessage);
    for (size_t i = 0; i < shown; ++i) {
        const RecordError& error = verdict_.record_errors[i];
        text += std::string(i == 0 ? "" : ", ") +
                "RecordError(batchIndex=" + std::to_string(error.batch_index) + ", message='" +
                error.message + "')";
    }
    verdict_.error_message = text + "]";
    return ErrorCode::InvalidRecord;
}

// A structural fault is thrown at once in Kafka and hides the errors of single records.
ErrorCode Validation::check_records() {
    const SkimEnd end = walk_records();
    if (end != SkimEnd::Complete) verdict_.record_errors.clear();
    switch (end) {
        case SkimEnd::Complete: return report_record_errors();
        case SkimEnd::Malformed: return ErrorCode::InvalidRecord;
        case SkimEnd::Undecodable: return ErrorCode::UnknownServerError;
        case SkimEnd::LimitReached: return ErrorCode::MessageTooLarge;
    }
    MILLRACE_UNREACHABLE("end of a skim");
}

// Appends the source's records, renumbered from 0. The walk has found them well formed.
ErrorCode Validation::rebuild_records() {
    const BatchView source = batch();
    scratch_.decompressor.start(source_, source.payload(), rules_.inflated_bytes_max);
    InflatedStream stream(scratch_.decompressor);
    std::vector<uint8_t>& bytes = scratch_.record;
    RecordView record;
    for (int32_t i = 0; i < source.record_count(); ++i) {
        const uint8_t* after = decode_record(stream.at(), stream.end(), record);
        if (after != nullptr) {
            stream.move_to(after);
        } else {
            uint64_t room = kVarintBytesMax;
            int32_t body = 0;
            if (!stream_varint(stream, room, body)) return ErrorCode::InvalidRecord;
            if (static_cast<uint64_t>(body) > kRebuiltRecordBytesMax) {
                return ErrorCode::MessageTooLarge;
            }
            bytes.resize(kVarintBytesMax);
            const uint8_t* size_end = write_varint(bytes.data(), body);
            bytes.resize(static_cast<size_t>(size_end - bytes.data()));
            if (!stream.read(static_cast<uint64_t>(body), bytes)) return ErrorCode::InvalidRecord;
            if (decode_record(bytes.data(), bytes.data() + bytes.size(), record) == nullptr) {
                return ErrorCode::InvalidRecord;
            }
        }
        scratch_.builder.append_copy(i, WallMs{timestamp_of(record.timestamp_delta)}, record);
        if (scratch_.builder.flushed_bytes() > size_limit()) return ErrorCode::MessageTooLarge;
    }
    return ErrorCode::None;
}

// MemoryRecordsBuilder refuses such batches with exceptions that nobody maps; kept as sent they
// would be accepted.
ErrorCode Validation::check_rebuildable() const {
    const BatchView source = batch();
    const bool has_producer = source.producer_id() != kNoProducerId;
    const bool half_producer = has_producer && (source.producer_epoch() == kNoProducerEpoch ||
                                                source.base_sequence() < 0);
    const bool transaction_of_nobody = source.is_transactional() && !has_producer;
    const bool fine = min_timestamp_ >= kNoTimestamp.value && !half_producer &&
                      !transaction_of_nobody;
    return fine ? ErrorCode::None : ErrorCode::UnknownServerError;
}

ErrorCode Validation::rebuild() {
    const ErrorCode unfit = check_rebuildable();
    if (unfit != ErrorCode::None) return unfit;
    const BatchView source = batch();
    BatchOptions options;
    options.compression = target_;
    options.levels = rules_.levels;
    options.timestamp_type = rules_.timestamp_type;
    options.log_append_time = now_;
    options.leader_epoch = source.leader_epoch();
    options.producer_id = source.producer_id();
    options.producer_epoch = source.producer_epoch();
    options.base_sequence = source.base_sequence();
    options.is_transactional = source.is_transactional();
    scratch_.builder.start(options);
    const ErrorCode error = rebuild_records();
    if (error != ErrorCode::None) return error;
    Buffer rebuilt = scratch_.builder.finish();
    if (rebuilt.size() > size_limit()) return ErrorCode::MessageTooLarge;
    verdict_.max_timestamp = scratch_.builder.max_timestamp();
    verdict_.rebuilt = true;
    buffer_ = std::move(rebuilt);
    return ErrorCode::None;
}

void Validation::finish_in_place() {
    const bool log_append_time = rules_.timestamp_type == TimestampType::LogAppendTime;
    verdict_.max_timestamp = log_append_time ? now_ : WallMs{max_timestamp_};
    stamp_max_timestamp({buffer_.mutable_data(), buffer_.size()}, rules_.timestamp_type,
                        verdict_.max_timestamp);
}

ProduceVerdict Validation::run() {
    verdict_.error = check_header();
    if (!verdict_.ok()) return std::move(verdict_);
    const BatchView source = batch();
    source_log_append_time_ = source.timestamp_type() == TimestampType::LogAppendTime;
    source_base_timestamp_ = source.base_timestamp().value;
    source_max_timestamp_ = source.max_timestamp().value;
    const int32_t count = source.record_count();

    verdict_.error = may_trust_header() ? check_header_timestamps() : check_records();
    if (!verdict_.ok()) return std::move(verdict_);
    const bool compressed = source_ != CompressionType::None || target_ != CompressionType::None;
    if (compressed && (source_ != target_ || renumber_)) {
        verdict_.error = rebuild();
        if (!verdict_.ok()) return std::move(verdict_);
    } else {
        finish_in_place();
    }
    if (rules_.timestamp_type == TimestampType::LogAppendTime) verdict_.log_append_time = now_;
    verdict_.record_count = count;
    verdict_.offset_delta_of_max_timestamp = count - 1;
    return std::move(verdict_);
}

}  // namespace

ProduceVerdict validate_produce(Buffer& batch, const ProduceRules& rules,
                                const TopicPartition& partition, WallMs now,
                                ValidateScratch& scratch) {
    return Validation(batch, rules, partition, now, scratch.state()).run();
}

}  // namespace millrace::record
