// src/base/buffer_pool.cc: free lists of power-of-two blocks, returned from any thread.
#include "millrace/base/buffer_pool.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

#include "millrace/base/buffer_block.h"

namespace millrace {

namespace {
constexpr size_t kHeaderBytes = 64;
constexpr size_t kClassCount =
    static_cast<size_t>(std::countr_zero(kPoolClassBytesMax / kPoolClassBytesMin)) + 1;

size_t class_of(size_t size) {
    if (size <= kPoolClassBytesMin) return 0;
    return static_cast<size_t>(std::bit_width((size - 1) / kPoolClassBytesMin));
}
constexpr size_t class_bytes(size_t index) { return kPoolClassBytesMin << index; }
}  // namespace

// Releases push onto one atomic stack; the owner takes the whole stack at once and sorts it into
// its own lists. Nobody pops single blocks from the shared stack, so it has no ABA problem.
struct BufferPool::Core {
    // A block holds the core only while it is out; a free one would keep the core alive for ever.
    struct Block : BufferBlock {
        Block(size_t index, std::shared_ptr<Core> owner)
            : BufferBlock(&Core::give_back), core(std::move(owner)), class_index(index) {}
        Block* next = nullptr;
        std::shared_ptr<Core> core;
        size_t class_index;
    };
    static_assert(sizeof(Block) <= kHeaderBytes);

    explicit Core(size_t limit) : free_bytes_max(limit) {}
    ~Core() {
        take_returned();
        for (Block* list : local) destroy_list(list);
    }

    static void destroy_list(Block* block) {
        while (block != nullptr) destroy(std::exchange(block, block->next));
    }
    static void destroy(Block* block) {
        block->~Block();
        std::free(static_cast<void*>(block));
    }
    static void give_back(BufferBlock* base) noexcept {
        auto* block = static_cast<Block*>(base);
        // Declared here so that a core whose pool is gone dies after the block is on its stack.
        const std::shared_ptr<Core> core = std::move(block->core);
        const size_t bytes = class_bytes(block->class_index);
        if (core->free_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes >
            core->free_bytes_max) {
            core->free_bytes.fetch_sub(bytes, std::memory_order_relaxed);
            destroy(block);
            return;
        }
        block->next = core->returned.load(std::memory_order_relaxed);
        while (!core->returned.compare_exchange_weak(block->next, block, std::memory_order_release,
                                                     std::memory_order_relaxed)) {
        }
    }

    // The newest block comes off the shared stack first; putting them on the lists in reverse
    // keeps it on top there too.
    void take_returned() {
        if (returned.load(std::memory_order_relaxed) == nullptr) return;
        Block* newest_first = returned.exchange(nullptr, std::memory_order_acquire);
        Block* oldest_first = nullptr;
        while (newest_first != nullptr) {
            Block* block = std::exchange(newest_first, newest_first->next);
            block->next = std::exchange(oldest_first, block);
        }
        while (oldest_first != nullptr) {
            Block* block = std::exchange(oldest_first, oldest_first->next);
            block->next = std::exchange(local[block->class_index], block);
        }
    }

    size_t free_bytes_max;
    std::atomic<size_t> free_bytes{0};
    std::atomic<Block*> returned{nullptr};
    std::array<Block*, kClassCount> local{};
    uint64_t hits = 0;
    uint64_t misses = 0;
};

BufferPool::BufferPool(size_t free_bytes_max) : core_(std::make_shared<Core>(free_bytes_max)) {}
BufferPool::~BufferPool() = default;

Buffer BufferPool::allocate(size_t size) {
    if (size == 0) return {};
    if (size > kPoolClassBytesMax) return Buffer::allocate(size);
    const size_t index = class_of(size);
    core_->take_returned();
    Core::Block* block = core_->local[index];
    if (block != nullptr) {
        ++core_->hits;
        core_->local[index] = block->next;
        core_->free_bytes.fetch_sub(class_bytes(index), std::memory_order_relaxed);
        block->core = core_;
        block->reset_to_one();
    } else {
        ++core_->misses;
        void* room = std::malloc(kHeaderBytes + class_bytes(index));
        MILLRACE_ASSERT(room != nullptr, "out of memory");
        block = ::new (room) Core::Block(index, core_);
    }
    return Buffer::adopt(block, reinterpret_cast<uint8_t*>(block) + kHeaderBytes, size);
}

size_t BufferPool::capacity_of(size_t size) {
    if (size == 0 || size > kPoolClassBytesMax) return size;
    return class_bytes(class_of(size));
}

size_t BufferPool::free_bytes() const {
    return core_->free_bytes.load(std::memory_order_relaxed);
}
uint64_t BufferPool::hits() const { return core_->hits; }
uint64_t BufferPool::misses() const { return core_->misses; }

}  // namespace millrace
