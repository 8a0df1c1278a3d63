// src/storage/batch_scanner.h: walks the batches of a file, reading ahead in chunks.
#pragma once

#include <limits>
#include <memory>
#include <string>

#include "millrace/base/bytes.h"
#include "millrace/record/batch.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::storage {

/// Above it the last offset of a batch might not be a number.
inline constexpr int64_t kBaseOffsetMax = std::numeric_limits<int64_t>::max() - (int64_t{1} << 32);

/// Used to find one batch behind an index entry (small chunk) and to recover a segment (large
/// chunk, checksums verified). Never allocates by what a header claims: batches above the chunk
/// are checked in pieces.
class BatchScanner {
  public:
    static constexpr size_t kLookupChunkBytes = 8U << 10U;
    static constexpr size_t kRecoveryChunkBytes = 1U << 20U;

    /// Walks [from, end) of `file`, which outlives this.
    BatchScanner(FileSource& file, uint64_t from, uint64_t end, size_t chunk_bytes)
        : file_(file), next_(from), end_(end), chunk_(chunk_bytes) {}

    /// Moves on; false at any end (see end()); a failed read is a Status.
    Result<bool> next();
    /// The header's fields of the current batch; its payload is not part of the view.
    record::BatchView header() const { return record::BatchView({header_, sizeof header_}); }
    uint64_t position() const { return position_; }
    uint64_t size_bytes() const { return next_ - position_; }
    /// Behind the last whole batch seen.
    uint64_t valid_end() const { return next_; }
    record::WalkEnd end() const { return end_reason_; }

    /// Whether the current batch's checksum holds.
    Result<bool> verify_crc();
    /// The whole current batch in memory; nothing when it exceeds the chunk.
    Result<ByteView> bytes();

  private:
    /// Makes [position, position + size) available; REQUIRES: size <= chunk, inside [.., end).
    Result<const uint8_t*> window(uint64_t position, size_t size);

    FileSource& file_;
    uint64_t position_ = 0;
    uint64_t next_;
    uint64_t end_;
    size_t chunk_;
    std::unique_ptr<uint8_t[]> buffer_;
    uint64_t window_start_ = 0;
    size_t window_size_ = 0;
    record::WalkEnd end_reason_ = record::WalkEnd::NotReached;
    uint8_t header_[record::kBatchHeaderBytes] = {};
};

}  // namespace millrace::storage
