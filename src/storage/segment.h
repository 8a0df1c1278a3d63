// src/storage/segment.h: a data file and its three indexes as a unit.
//
// Owned by its log. The log decides offsets and when to roll; the segment keeps file, indexes and
// their bookkeeping in step. Source: Kafka's LogSegment (dataplane F.1-F.3).
#pragma once

#include <optional>
#include <span>

#include "millrace/record/batch.h"
#include "millrace/storage/log_config.h"
#include "millrace/storage/log_types.h"
#include "storage/batch_scanner.h"
#include "storage/offset_index.h"
#include "storage/time_index.h"
#include "storage/txn_index.h"

namespace millrace::storage {

/// A batch found in a segment.
struct BatchPlace {
    uint64_t position = 0;
    uint64_t size_bytes = 0;
    Offset base_offset;
    Offset last_offset;
};

class Segment {
  public:
    /// `jitter_ms`: drawn by the log, uniform below segment.jitter.ms.
    Segment(FileHome& home, Offset base, WallMs created, int64_t jitter_ms);
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;

    Offset base() const { return base_; }
    uint64_t size_bytes() const { return size_bytes_; }

    // --- life
    /// New empty files; what lies there under these names is replaced. `folder_new`: nothing does.
    Status create(const LogConfig& config, bool folder_new = false);
    /// Takes over existing files: sizes as found; index contents are checked by check_indexes.
    void adopt(uint64_t log_bytes) {
        size_bytes_ = log_bytes;
        if (log_bytes == 0) largest_ = TimeIndexEntry{kNoTimestamp, base_};
    }
    /// Looks at the index files on disk; false: missing or implausible, rebuild them.
    Result<bool> check_indexes();
    /// False when index entries speak of offsets at or behind `end`: rebuild them.
    Result<bool> indexes_below(Offset end);
    /// Becoming inactive: last time index entry, pending entries out, files trimmed.
    Status seal(const LogConfig& config);
    void close_files();
    /// Renames every file of the segment to `.deleted` and returns the new paths.
    Result<std::vector<std::string>> rename_deleted();

    // --- append
    /// Whether `batch` must go to a new segment, when `pending_bytes` of accepted batches are still
    /// to be written before it (the first of them at `pending_first`).
    struct Pending {
        uint64_t bytes = 0;
        WallMs first_timestamp = kNoTimestamp;
    };
    Result<bool> should_roll(const record::BatchView& batch, const Pending& pending, WallMs now,
                             const LogConfig& config);
    /// One write at the end. REQUIRES: whole batches; note_batch for each afterwards.
    Status write(ByteView batches);
    /// The same in two steps: room for `bytes` at the end, and later the writes in their order.
    /// REQUIRES: may_reserve(), or note_batch would look for what is not there yet.
    void reserve(uint64_t bytes) { size_bytes_ += bytes; }
    bool may_reserve() const { return largest_.has_value(); }
    Status write_reserved(std::span<const ByteView> parts, uint64_t bytes);
    Status note_batch(const record::BatchView& header, uint64_t position, const LogConfig& config);
    Status note_aborted(const AbortedEntry& entry) { return txns_.append(entry); }

    // --- find
    /// First batch whose last offset is >= `offset`.
    Result<std::optional<BatchPlace>> find(Offset offset);
    /// The batch that starts at `position`.
    Result<std::optional<BatchPlace>> batch_at(uint64_t position);
    /// Offset after the last batch (scan behind the last index entry).
    Result<Offset> read_next_offset();
    /// Largest record timestamp and the last offset of the first batch with it; (-1, base) if none.
    Result<TimeIndexEntry> largest_timestamp();
    /// Largest record timestamp of the first batch. REQUIRES: not empty.
    Result<WallMs> first_batch_timestamp();
    /// The largest for retention: file modification time when there is no record timestamp.
    Result<WallMs> largest_timestamp_or_modified();
    /// First record with timestamp >= target and offset >= from.
    Result<std::optional<TimestampOffset>> find_timestamp(WallMs target, Offset from);
    /// First record of the batch that ends at `batch_last` with exactly this timestamp.
    Result<std::optional<TimestampOffset>> find_record_at(WallMs timestamp, Offset batch_last);

    // --- cut
    /// Drops batches from the one that holds `offset` on; durable on return. Returns the new end
    /// position. The log's next offset is then min(offset, base of the cut batch).
    Result<uint64_t> truncate(Offset offset, WallMs now);
    Status truncate_bytes(uint64_t bytes);
    /// Empties the indexes before a rebuild.
    Status reset_indexes(const LogConfig& config, bool with_txn_index);
    /// Of a segment without batches: whatever the indexes hold goes; empty files are left alone.
    Status clear_indexes(bool with_txn_index);
    /// Reads all entries: false when they do not rise (pages lost in a crash read as zeros).
    Result<bool> indexes_rise();
    bool txn_index_good() const { return txn_index_good_; }

    Result<std::shared_ptr<env::File>> log_file() { return log_.open(); }
    std::string log_path() const { return log_.path(); }
    OffsetIndex& offsets() { return offsets_; }
    TimeIndex& times() { return times_; }
    TxnIndex& txns() { return txns_; }

    /// Everything of this sealed segment is on stable storage.
    bool synced = false;

  private:
    Status remove_txn_index();
    Result<std::optional<TimestampOffset>> scan_records(uint64_t from, uint64_t end, WallMs target,
                                                        Offset from_offset, bool exact);
    FileHome& home_;
    Offset base_;
    uint64_t size_bytes_ = 0;
    uint64_t bytes_since_index_ = 0;
    WallMs created_;
    int64_t jitter_ms_;
    bool txn_index_good_ = true;
    std::optional<TimeIndexEntry> largest_;      // loaded on demand
    std::optional<WallMs> first_batch_timestamp_;
    SegmentFileHandle log_;
    OffsetIndex offsets_;
    TimeIndex times_;
    TxnIndex txns_;
};

}  // namespace millrace::storage
