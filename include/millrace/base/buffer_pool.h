// include/millrace/base/buffer_pool.h: Buffers from memory that is used again while still in cache.
//
// A BufferPool is owned by one shard, which alone calls allocate(). The Buffers it hands out are
// ordinary Buffers: their last reference may be dropped on any thread, also after the pool itself
// is gone. Sizes are rounded up to a power of two between kPoolClassBytesMin and kPoolClassBytesMax;
// anything larger comes from the heap and returns there. Free blocks are kept last in, first out,
// up to the limit of bytes given to the constructor; beyond it they return to the heap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "millrace/base/bytes.h"

namespace millrace {

inline constexpr size_t kPoolClassBytesMin = size_t{4} << 10;
// Above 1 MiB, because a produce request of 1 MiB of records is a little larger than that.
inline constexpr size_t kPoolClassBytesMax = size_t{2} << 20;

class BufferPool {
  public:
    /// Keeps at most `free_bytes_max` bytes of unused blocks.
    explicit BufferPool(size_t free_bytes_max);
    ~BufferPool();
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;

    /// Uninitialised memory of exactly `size` bytes (its class may be larger, see capacity_of).
    Buffer allocate(size_t size);
    /// The bytes that allocate(size) really takes: a slab reader may ask for this much.
    static size_t capacity_of(size_t size);

    /// Unused bytes held now, and how many allocations found a block (for metrics and tests).
    size_t free_bytes() const;
    uint64_t hits() const;
    uint64_t misses() const;

  private:
    struct Core;
    std::shared_ptr<Core> core_;
};

}  // namespace millrace
