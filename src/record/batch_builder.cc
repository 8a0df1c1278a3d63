// src/record/batch_builder.cc: encoding of records and of the batch header.
#include "millrace/record/batch_builder.h"

#include <algorithm>
#include <cstring>

#include "millrace/base/assert.h"
#include "millrace/base/crc32c.h"
#include "millrace/base/varint.h"

namespace millrace::record {

namespace {
// Records are handed to the codec in pieces of about this size.
constexpr size_t kStageBytes = size_t{64} << 10;

size_t nullable_size(const std::optional<ByteView>& bytes) {
    if (!bytes.has_value()) return varint_size(-1);
    return varint_size(static_cast<int32_t>(bytes->size)) + bytes->size;
}

uint8_t* write_bytes(uint8_t* to, ByteView bytes) {
    to = write_varint(to, static_cast<int32_t>(bytes.size));
    if (bytes.size > 0) std::memcpy(to, bytes.data, bytes.size);
    return to + bytes.size;
}

uint8_t* write_nullable(uint8_t* to, const std::optional<ByteView>& bytes) {
    return bytes.has_value() ? write_bytes(to, *bytes) : write_varint(to, -1);
}

size_t headers_size(const NewRecord& record) {
    size_t size = varint_size(static_cast<int32_t>(record.header_count));
    for (size_t i = 0; i < record.header_count; ++i) {
        const RecordHeader& header = record.headers[i];
        size += varint_size(static_cast<int32_t>(header.key.size())) + header.key.size() +
                nullable_size(header.value);
    }
    return size;
}

uint8_t* write_headers(uint8_t* to, const NewRecord& record) {
    to = write_varint(to, static_cast<int32_t>(record.header_count));
    for (size_t i = 0; i < record.header_count; ++i) {
        to = write_bytes(to, ByteView(record.headers[i].key));
        to = write_nullable(to, record.headers[i].value);
    }
    return to;
}

int64_t wrapping_difference(WallMs a, WallMs b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a.value) - static_cast<uint64_t>(b.value));
}

int16_t attributes_of(const BatchOptions& options, CompressionType compression) {
    int attributes = static_cast<int>(compression);
    if (options.timestamp_type == TimestampType::LogAppendTime) attributes |= kTimestampTypeBit;
    if (options.is_transactional) attributes |= kTransactionalBit;
    if (options.is_control) attributes |= kControlBit;
    if (options.delete_horizon.has_value()) attributes |= kDeleteHorizonBit;
    return static_cast<int16_t>(attributes);
}
}  // namespace

void BatchBuilder::start(const BatchOptions& options) {
    options_ = options;
    out_.clear();
    out_.resize(kBatchHeaderBytes);
    staged_.clear();
    uncompressed_bytes_ = kBatchHeaderBytes;
    record_count_ = 0;
    last_offset_delta_ = -1;
    base_timestamp_ = options.delete_horizon;
    max_timestamp_ = kNoTimestamp;
    if (options_.compression != CompressionType::None) {
        compressor_.start(options_.compression, options_.levels, out_);
    }
}

uint8_t* BatchBuilder::grow(size_t bytes) {
    const bool compressed = options_.compression != CompressionType::None;
    if (compressed && staged_.size() >= kStageBytes) flush_staged();
    std::vector<uint8_t>& to = compressed ? staged_ : out_;
    to.resize(to.size() + bytes);
    uncompressed_bytes_ += bytes;
    return to.data() + to.size() - bytes;
}

void BatchBuilder::flush_staged() {
    compressor_.append({staged_.data(), staged_.size()});
    staged_.clear();
}

// Writes everything in front of the key; `tail_bytes` is the size of the rest.
uint8_t* BatchBuilder::begin_record(int32_t offset_delta, WallMs timestamp, size_t tail_bytes) {
    MILLRACE_ASSERT(offset_delta > last_offset_delta_, "offsets in a batch increase");
    if (!base_timestamp_.has_value()) base_timestamp_ = timestamp;
    const int64_t timestamp_delta = wrapping_difference(timestamp, *base_timestamp_);
    const size_t body = 1 + varlong_size(timestamp_delta) + varint_size(offset_delta) + tail_bytes;
    MILLRACE_ASSERT(body <= INT32_MAX, "a record is smaller than 2 GiB");
    const int32_t body32 = static_cast<int32_t>(body);
    uint8_t* to = grow(varint_size(body32) + body);
    to = write_varint(to, body32);
    *to++ = 0;  // record attributes: none are defined
    to = write_varlong(to, timestamp_delta);
    to = write_varint(to, offset_delta);
    last_offset_delta_ = offset_delta;
    max_timestamp_ = std::max(max_timestamp_, timestamp);
    ++record_count_;
    return to;
}

void BatchBuilder::append(const NewRecord& record) { append_at(last_offset_delta_ + 1, record); }

void BatchBuilder::append_at(int32_t offset_delta, const NewRecord& record) {
    const size_t tail =
        nullable_size(record.key) + nullable_size(record.value) + headers_size(record);
    uint8_t* to = begin_record(offset_delta, record.timestamp, tail);
    to = write_nullable(to, record.key);
    to = write_nullable(to, record.value);
    write_headers(to, record);
}

void BatchBuilder::append_copy(int32_t offset_delta, WallMs timestamp, const RecordView& record) {
    const size_t tail = nullable_size(record.key) + nullable_size(record.value) +
                        varint_size(record.header_count) + record.header_bytes.size;
    uint8_t* to = begin_record(offset_delta, timestamp, tail);
    to = write_nullable(to, record.key);
    to = write_nullable(to, record.value);
    to = write_varint(to, record.header_count);
    if (record.header_bytes.size > 0) {
        std::memcpy(to, record.header_bytes.data, record.header_bytes.size);
    }
}

WallMs BatchBuilder::max_timestamp() const {
    return options_.timestamp_type == TimestampType::LogAppendTime ? options_.log_append_time
                                                                   : max_timestamp_;
}

Buffer BatchBuilder::finish(std::optional<int32_t> last_offset_delta, WallMs empty_max_timestamp) {
    const bool empty = record_count_ == 0;
    MILLRACE_ASSERT(!empty || last_offset_delta.has_value(), "a batch has records or a given end");
    const int32_t last = last_offset_delta.value_or(last_offset_delta_);
    MILLRACE_ASSERT(last >= last_offset_delta_, "the end of a batch is at or after its records");
    // Kafka's empty batch has neither payload nor codec nor horizon (writeEmptyHeader).
    if (empty) options_.delete_horizon.reset();
    const CompressionType compression = empty ? CompressionType::None : options_.compression;
    if (compression != CompressionType::None) {
        flush_staged();
        compressor_.finish();
    }
    if (empty) out_.resize(kBatchHeaderBytes);

    Buffer batch = Buffer::allocate(out_.size());
    uint8_t* to = batch.mutable_data();
    std::memcpy(to, out_.data(), out_.size());
    const WallMs base = empty ? kNoTimestamp : *base_timestamp_;
    store_big(to + kBaseOffsetAt, options_.base_offset.value);
    store_big(to + kLengthAt, static_cast<int32_t>(out_.size() - kLogOverheadBytes));
    store_big(to + kLeaderEpochAt, options_.leader_epoch.value);
    to[kMagicAt] = static_cast<uint8_t>(kMagicV2);
    store_big(to + kAttributesAt, attributes_of(options_, compression));
    store_big(to + kLastOffsetDeltaAt, last);
    store_big(to + kBaseTimestampAt, base.value);
    store_big(to + kMaxTimestampAt, (empty ? empty_max_timestamp : max_timestamp()).value);
    store_big(to + kProducerIdAt, options_.producer_id.value);
    store_big(to + kProducerEpochAt, options_.producer_epoch.value);
    store_big(to + kBaseSequenceAt, options_.base_sequence);
    store_big(to + kRecordCountAt, record_count_);
    store_big(to + kCrcAt, crc32c(batch.view().from(kAttributesAt)));
    return batch;
}

}  // namespace millrace::record
