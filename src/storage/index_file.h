// src/storage/index_file.h: fixed-size entries in a file, the newest of them still in memory.
//
// Appends cost no system call: entries wait in a small vector until write_pending() (at roll, flush
// and close, or when kPendingMax wait). Lookups see both parts. A fresh file is preallocated
// (sparse zeros) to its full size, as Kafka's are, and trimmed to its entries when its segment is
// sealed; entries beyond count() are never read. What the last run left on disk is trusted only
// after a clean stop or below the recovery point; otherwise the segment's recovery rebuilds it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "storage/file_cache.h"

namespace millrace::storage {

class IndexFile {
  public:
    static constexpr size_t kEntryBytesMax = 12;
    static constexpr size_t kPendingMax = 512;
    using Entry = std::array<uint8_t, kEntryBytesMax>;
    /// Number to search by; rises with the entries (not strictly for some).
    using Key = int64_t (*)(const uint8_t* entry);

    IndexFile(FileHome& home, Offset base, SegmentFile file, uint32_t entry_bytes)
        : handle_(home, base, file), entry_bytes_(entry_bytes) {}

    uint32_t count() const { return written_ + pending_count(); }
    /// Believes that the file holds `entries` good ones, as found when loading.
    void adopt(uint32_t entries, bool preallocated) {
        written_ = entries;
        preallocated_ = preallocated;
        pending_.clear();
    }
    /// Creates the file, empty, with `bytes` of zeros (none when 0).
    Status create(uint64_t bytes);
    Status append(const uint8_t* entry, uint64_t preallocate_bytes);
    Status write_pending(uint64_t preallocate_bytes);
    /// Writes what is pending and cuts the file to its entries.
    Status trim();
    /// Drops all entries from index `entries` on.
    Status truncate(uint32_t entries);
    Result<Entry> entry(uint32_t index);

    /// Index of the last entry whose key is <= target.
    Result<std::optional<uint32_t>> last_not_above(Key key, int64_t target);
    /// Index of the first entry whose key is >= target.
    Result<std::optional<uint32_t>> first_not_below(Key key, int64_t target);

    /// Whether the big-endian number of `bytes` (4 or 8) at `at` rises strictly over the written
    /// entries. Reads them all.
    Result<bool> rises(size_t at, size_t bytes);

    SegmentFileHandle& handle() { return handle_; }
    bool preallocated() const { return preallocated_; }

  private:
    uint32_t pending_count() const {
        return static_cast<uint32_t>(pending_.size() / entry_bytes_);
    }
    /// Number of entries whose key is < target (or <= target when `inclusive`).
    Result<uint32_t> count_below(Key key, int64_t target, bool inclusive);
    Result<uint32_t> count_below_on_disk(Key key, int64_t target, bool inclusive);

    SegmentFileHandle handle_;
    uint32_t entry_bytes_;
    uint32_t written_ = 0;
    bool preallocated_ = false;
    std::vector<uint8_t> pending_;
};

}  // namespace millrace::storage
