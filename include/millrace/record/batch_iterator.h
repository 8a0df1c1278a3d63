// include/millrace/record/batch_iterator.h: walking batches in a buffer and records in a batch.
//
// Both walkers work on bytes owned by the caller, allocate nothing, and never read outside: every
// length is checked before it is used, whoever wrote it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/record/batch.h"
#include "millrace/record/compression.h"

namespace millrace::record {

enum class WalkEnd : uint8_t {
    NotReached,  // next() gave a batch
    Clean,       // the bytes ended with a batch
    CutOff,      // the last batch is not whole (normal at the end of a fetch or after a crash)
    Corrupt,     // a length below the minimum or a magic that is not 2
};

/// Walks the whole batches of a buffer, a fetch response or a segment. Does not verify checksums
/// (BatchView::valid_crc) nor that offsets increase.
class BatchIterator {
  public:
    explicit BatchIterator(ByteView bytes) : bytes_(bytes) {}
    /// Moves to the next whole batch; false at any end.
    bool next();
    /// REQUIRES: next() returned true.
    BatchView batch() const { return BatchView(bytes_.sub(start_, position_ - start_)); }
    /// Where the current batch starts, and the bytes walked so far, all of whole batches.
    size_t start() const { return start_; }
    size_t valid_bytes() const { return position_; }
    WalkEnd end() const { return end_; }

  private:
    ByteView bytes_;
    size_t start_ = 0;
    size_t position_ = 0;
    WalkEnd end_ = WalkEnd::NotReached;
};

struct HeaderView {
    std::string_view key;
    std::optional<ByteView> value;
};

/// Walks the headers of one record; the record's own decoding has checked them.
class HeaderIterator {
  public:
    HeaderIterator() = default;
    HeaderIterator(ByteView bytes, int32_t count) : bytes_(bytes), left_(count) {}
    bool next(HeaderView& out);

  private:
    ByteView bytes_;
    int32_t left_ = 0;
};

/// One record; views point into the payload. Negative lengths mean null, as in Kafka.
struct RecordView {
    int64_t timestamp_delta = 0;
    int32_t offset_delta = 0;
    int8_t attributes = 0;
    std::optional<ByteView> key;
    std::optional<ByteView> value;
    int32_t header_count = 0;
    ByteView header_bytes;  // the encoded headers, without their count
    size_t size_bytes = 0;  // with the length in front

    HeaderIterator headers() const { return {header_bytes, header_count}; }
};

/// The record's timestamp in its batch: batch maximum under LogAppendTime, else base + delta
/// (wrapping like Java's long).
WallMs record_timestamp(const BatchView& batch, const RecordView& record);
inline Offset record_offset(const BatchView& batch, const RecordView& record) {
    return batch.base_offset() + record.offset_delta;
}

enum class RecordsEnd : uint8_t {
    NotReached,  // next() gave a record
    Complete,    // `count` records filled the payload exactly
    Malformed,   // lengths that do not fit, or bytes left over
};

/// Decodes one record at `at`; nullptr when it is malformed or reaches past `end`.
const uint8_t* decode_record(const uint8_t* at, const uint8_t* end, RecordView& out);

/// Walks the records of an uncompressed (or decompressed) payload.
class RecordIterator {
  public:
    RecordIterator(ByteView payload, int32_t count)
        : at_(payload.data), end_(payload.data + payload.size), left_(count) {}
    /// False at the end; end_reason() says which.
    bool next(RecordView& out);
    RecordsEnd end_reason() const { return reason_; }

  private:
    const uint8_t* at_;
    const uint8_t* end_;
    int32_t left_;
    RecordsEnd reason_ = RecordsEnd::NotReached;
};

/// The records of one batch whatever its codec: owns the decompressed payload when there is one.
/// For readers that need keys and values (coordinators, cleaner, tools), not for the produce path.
class BatchRecords {
  public:
    /// Corrupt: unknown codec or payload that does not decompress. LimitExceeded: it decompresses
    /// to more than `inflated_bytes_max`. REQUIRES: the batch's bytes outlive this object.
    static Result<BatchRecords> open(const BatchView& batch,
                                     uint64_t inflated_bytes_max = kInflatedBytesMax);
    bool next(RecordView& out) { return records_.next(out); }
    RecordsEnd end_reason() const { return records_.end_reason(); }

  private:
    BatchRecords(Buffer inflated, ByteView payload, int32_t count)
        : inflated_(std::move(inflated)), records_(payload, count) {}
    Buffer inflated_;
    RecordIterator records_;
};

}  // namespace millrace::record
