// src/storage/txn_index.h: the aborted transactions of a segment; its .txnindex file.
//
// 34 bytes each: version int16 0, producer id, first and last offset, and the last stable offset
// as it was once the transaction ended. In order of last offset. The file exists only when there
// are entries. Source: Kafka's TransactionIndex and AbortedTxn.
#pragma once

#include <vector>

#include "millrace/storage/log_types.h"
#include "storage/file_cache.h"

namespace millrace::storage {

struct AbortedEntry {
    ProducerId producer_id;
    Offset first_offset;
    Offset last_offset;
    Offset last_stable_offset;
    friend bool operator==(const AbortedEntry&, const AbortedEntry&) = default;
};

class TxnIndex {
  public:
    static constexpr size_t kEntryBytes = 34;
    /// One segment of 2 GiB cannot hold more markers than this.
    static constexpr uint64_t kFileBytesMax = uint64_t{1} << 31;
    TxnIndex(FileHome& home, Offset base) : handle_(home, base, SegmentFile::TxnIndex) {}

    bool exists() const { return count_ > 0 || on_disk_; }
    uint32_t count() const { return count_; }
    /// Believes the file of `file_bytes`; false: rebuild it.
    bool load(uint64_t file_bytes);
    /// The file is gone.
    void forget() {
        count_ = 0;
        on_disk_ = false;
    }
    Status append(const AbortedEntry& entry);
    Result<std::vector<AbortedEntry>> entries();
    /// Collects into `out` what a read over [fetch_offset, upper) must know. Returns true when no
    /// later segment can add anything.
    Result<bool> collect(Offset fetch_offset, Offset upper, std::vector<AbortedTransaction>& out);
    /// Drops entries with last offset >= `offset`.
    Status truncate(Offset offset);
    SegmentFileHandle& handle() { return handle_; }

  private:
    SegmentFileHandle handle_;
    uint32_t count_ = 0;
    bool on_disk_ = false;
};

}  // namespace millrace::storage
