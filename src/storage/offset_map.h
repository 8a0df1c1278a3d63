// src/storage/offset_map.h: the latest offset of every key in a range of a log, in bounded memory.
//
// Open addressing over entries of 24 bytes: MD5 of the key and the offset. Keys themselves are not
// kept: two keys of one hash would be taken for one (as in Kafka's SkimpyOffsetMap, the source).
// Owned by one cleaning; used by one thread at a time. Memory is untouched zero pages until used.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"

namespace millrace::storage {

class OffsetMap {
  public:
    static constexpr size_t kEntryBytes = 24;
    /// Takes `memory_bytes` (at least room for two entries) and is full at `load_factor` of it.
    OffsetMap(uint64_t memory_bytes, double load_factor);

    uint64_t slots() const { return slots_; }
    uint64_t size() const { return size_; }
    /// No further put is allowed, not even of a known key (the caller ends its range here).
    bool full() const { return size_ >= keys_max_; }
    uint64_t keys_max() const { return keys_max_; }

    /// The last put of a key wins; the offset becomes the latest. REQUIRES: not full.
    void put(ByteView key, Offset offset);
    /// -1 when the key was never put.
    Offset get(ByteView key) const;
    /// Everything up to here has been looked at.
    Offset latest_offset() const { return latest_; }
    void set_latest_offset(Offset offset) { latest_ = offset; }

  private:
    struct Free {
        void operator()(uint8_t* memory) const { std::free(memory); }
    };
    /// The key's entry, or the empty one where it would go.
    uint8_t* find(const uint8_t* hash) const;

    std::unique_ptr<uint8_t, Free> entries_;
    uint64_t slots_;
    uint64_t keys_max_;
    uint64_t size_ = 0;
    Offset latest_ = kNoOffset;
};

}  // namespace millrace::storage
