// src/record/batch_iterator.cc: bounds-checked walking of batches, records and headers.
#include "millrace/record/batch_iterator.h"

#include <utility>

#include "millrace/base/varint.h"

namespace millrace::record {

namespace {
// Reads a nullable byte string; nullptr when it reaches past `end`.
const uint8_t* read_nullable(const uint8_t* at, const uint8_t* end, std::optional<ByteView>& out) {
    int32_t size = 0;
    at = read_varint(at, end, size);
    if (at == nullptr) return nullptr;
    if (size < 0) {
        out.reset();
        return at;
    }
    if (size > end - at) return nullptr;
    out = ByteView(at, static_cast<size_t>(size));
    return at + size;
}

// Reads one header; nullptr when it does not fit or its key is null.
const uint8_t* read_header(const uint8_t* at, const uint8_t* end, HeaderView& out) {
    std::optional<ByteView> key;
    at = read_nullable(at, end, key);
    if (at == nullptr || !key.has_value()) return nullptr;
    out.key = key->text();
    return read_nullable(at, end, out.value);
}

// Reads count and headers, which must end exactly at `end`.
bool read_headers(const uint8_t* at, const uint8_t* end, RecordView& out) {
    at = read_varint(at, end, out.header_count);
    // A header takes two bytes at least; Kafka compares with one, the walk below finds the rest.
    if (at == nullptr || out.header_count < 0 || out.header_count > end - at) return false;
    out.header_bytes = {at, static_cast<size_t>(end - at)};
    HeaderView header;
    for (int32_t i = 0; i < out.header_count; ++i) {
        at = read_header(at, end, header);
        if (at == nullptr) return false;
    }
    return at == end;
}
}  // namespace

bool BatchIterator::next() {
    if (end_ != WalkEnd::NotReached) return false;
    start_ = position_;
    const size_t left = bytes_.size - position_;
    if (left == 0) {
        end_ = WalkEnd::Clean;
        return false;
    }
    const uint8_t* at = bytes_.data + position_;
    end_ = WalkEnd::CutOff;
    if (left < kLogOverheadBytes) return false;
    const int32_t length = load_big<int32_t>(at + kLengthAt);
    if (length < static_cast<int32_t>(kBatchHeaderBytes - kLogOverheadBytes) ||
        (left > kMagicAt && at[kMagicAt] != kMagicV2)) {
        end_ = WalkEnd::Corrupt;
        return false;
    }
    const size_t size = static_cast<size_t>(length) + kLogOverheadBytes;
    if (left < size) return false;
    end_ = WalkEnd::NotReached;
    position_ += size;
    return true;
}

bool HeaderIterator::next(HeaderView& out) {
    if (left_ <= 0) return false;
    const uint8_t* after = read_header(bytes_.begin(), bytes_.end(), out);
    if (after == nullptr) {
        left_ = 0;
        return false;
    }
    --left_;
    bytes_ = bytes_.from(static_cast<size_t>(after - bytes_.begin()));
    return true;
}

WallMs record_timestamp(const BatchView& batch, const RecordView& record) {
    if (batch.timestamp_type() == TimestampType::LogAppendTime) return batch.max_timestamp();
    return WallMs{static_cast<int64_t>(static_cast<uint64_t>(batch.base_timestamp().value) +
                                       static_cast<uint64_t>(record.timestamp_delta))};
}

const uint8_t* decode_record(const uint8_t* at, const uint8_t* end, RecordView& out) {
    const uint8_t* start = at;
    int32_t body = 0;
    at = read_varint(at, end, body);
    if (at == nullptr || body < 1 || body > end - at) return nullptr;
    const uint8_t* stop = at + body;
    out.attributes = static_cast<int8_t>(*at);
    at = read_varlong(at + 1, stop, out.timestamp_delta);
    if (at == nullptr) return nullptr;
    at = read_varint(at, stop, out.offset_delta);
    if (at == nullptr) return nullptr;
    at = read_nullable(at, stop, out.key);
    if (at == nullptr) return nullptr;
    at = read_nullable(at, stop, out.value);
    if (at == nullptr) return nullptr;
    if (!read_headers(at, stop, out)) return nullptr;
    out.size_bytes = static_cast<size_t>(stop - start);
    return stop;
}

bool RecordIterator::next(RecordView& out) {
    if (reason_ != RecordsEnd::NotReached) return false;
    if (left_ <= 0) {
        reason_ = left_ == 0 && at_ == end_ ? RecordsEnd::Complete : RecordsEnd::Malformed;
        return false;
    }
    const uint8_t* after = decode_record(at_, end_, out);
    if (after == nullptr) {
        reason_ = RecordsEnd::Malformed;
        return false;
    }
    at_ = after;
    --left_;
    return true;
}

Result<BatchRecords> BatchRecords::open(const BatchView& batch, uint64_t inflated_bytes_max) {
    const std::optional<CompressionType> codec = batch.compression();
    if (!codec.has_value()) return Status(Errc::Corrupt, "a batch names an unknown codec");
    // An emptied batch keeps its codec bits but has no payload at all.
    if (*codec == CompressionType::None || batch.record_count() == 0) {
        return BatchRecords(Buffer(), batch.payload(), batch.record_count());
    }
    MILLRACE_TRY_ASSIGN(Buffer inflated,
                        decompress_all(*codec, batch.payload(), inflated_bytes_max));
    const ByteView payload = inflated.view();
    return BatchRecords(std::move(inflated), payload, batch.record_count());
}

}  // namespace millrace::record
