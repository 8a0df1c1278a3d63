// src/storage/time_index.h: timestamp to offset, sparse; the .timeindex file of a segment.
//
// An entry {timestamp int64, relative offset int32} says: no batch up to this offset has a larger
// timestamp; the offset is the last one of the batch with it. Timestamps rise strictly. Source:
// Kafka's TimeIndex.
#pragma once

#include "millrace/base/time.h"
#include "storage/index_file.h"

namespace millrace::storage {

struct TimeIndexEntry {
    WallMs timestamp = kNoTimestamp;
    Offset offset;
};

class TimeIndex {
  public:
    static constexpr uint32_t kEntryBytes = 12;
    TimeIndex(FileHome& home, Offset base)
        : file_(home, base, SegmentFile::TimeIndex, kEntryBytes), base_(base),
          last_{kNoTimestamp, base} {}

    static uint64_t full_bytes(int64_t index_bytes) {
        return static_cast<uint64_t>(index_bytes) / kEntryBytes * kEntryBytes;
    }
    /// One place is kept for the entry made when the segment is sealed.
    bool full(int64_t index_bytes) const {
        return file_.count() + 1 >= static_cast<uint64_t>(index_bytes) / kEntryBytes;
    }
    /// Appends when the timestamp exceeds the last entry's.
    Status maybe_append(TimeIndexEntry entry, int64_t index_bytes);
    /// Largest entry with timestamp <= target; (-1, base) when there is none.
    Result<TimeIndexEntry> lookup(WallMs target);
    /// Drops entries with offset >= `offset`.
    Status truncate(Offset offset);
    const TimeIndexEntry& last() const { return last_; }
    /// Checks what the file of `file_bytes` says; false: rebuild it.
    Result<bool> load(uint64_t file_bytes);
    void reset() { last_ = {kNoTimestamp, base_}; }
    IndexFile& file() { return file_; }
    const IndexFile& file() const { return file_; }

  private:
    TimeIndexEntry decode(const IndexFile::Entry& entry) const;
    Status reload_last();
    IndexFile file_;
    Offset base_;
    TimeIndexEntry last_;
};

}  // namespace millrace::storage
