// include/millrace/base/buffer_block.h: the counted memory that Buffers share.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace {

/// Made with one reference. The last release() calls `destroy`, which may run on any thread.
class BufferBlock {
  public:
    using Destroy = void (*)(BufferBlock*) noexcept;
    explicit BufferBlock(Destroy destroy) : destroy_(destroy) {}
    void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy_(this);
    }
    bool unique() const noexcept { return references_.load(std::memory_order_acquire) == 1; }
    /// A pool that hands the block out again starts it with one reference.
    void reset_to_one() noexcept { references_.store(1, std::memory_order_relaxed); }

  private:
    std::atomic<uint32_t> references_{1};
    Destroy destroy_;
};

}  // namespace millrace
