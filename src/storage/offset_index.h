// src/storage/offset_index.h: offset to file position, sparse; the .index file of a segment.
//
// An entry {relative offset int32, position int32} is the last offset of a batch and the place of
// that batch's first byte. Source: Kafka's OffsetIndex.
#pragma once

#include "storage/index_file.h"

namespace millrace::storage {

struct OffsetIndexEntry {
    Offset offset;
    uint64_t position = 0;
};

class OffsetIndex {
  public:
    static constexpr uint32_t kEntryBytes = 8;
    OffsetIndex(FileHome& home, Offset base)
        : file_(home, base, SegmentFile::Index, kEntryBytes), base_(base) {}

    /// The bytes of a preallocated file: whole entries within `index_bytes`.
    static uint64_t full_bytes(int64_t index_bytes) {
        return static_cast<uint64_t>(index_bytes) / kEntryBytes * kEntryBytes;
    }
    bool full(int64_t index_bytes) const {
        return file_.count() >= static_cast<uint64_t>(index_bytes) / kEntryBytes;
    }
    Status append(OffsetIndexEntry entry, int64_t index_bytes);
    /// Largest entry with offset <= `offset`; (base, 0) when there is none.
    Result<OffsetIndexEntry> lookup(Offset offset);
    /// First entry at or behind `position`.
    Result<std::optional<OffsetIndexEntry>> first_at_position(uint64_t position);
    /// Drops entries with offset >= `offset`.
    Status truncate(Offset offset);
    Result<OffsetIndexEntry> last();
    /// Checks what the file of `file_bytes` says against the log's size; false: rebuild it.
    Result<bool> load(uint64_t file_bytes, uint64_t log_bytes);
    IndexFile& file() { return file_; }
    const IndexFile& file() const { return file_; }

  private:
    OffsetIndexEntry decode(const IndexFile::Entry& entry) const;
    IndexFile file_;
    Offset base_;
};

}  // namespace millrace::storage
