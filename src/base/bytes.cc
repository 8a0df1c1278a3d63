// src/base/bytes.cc: ownership of Buffers, flattening of chains.
#include "millrace/base/bytes.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "millrace/base/buffer_block.h"

namespace millrace {

namespace {
// Header and bytes in one allocation; 64 keeps record bytes on a cache line of their own.
constexpr size_t kBlockHeaderBytes = 64;
static_assert(sizeof(BufferBlock) <= kBlockHeaderBytes);

void destroy_heap_block(BufferBlock* block) noexcept {
    block->~BufferBlock();
    std::free(static_cast<void*>(block));
}
}  // namespace

Buffer::Buffer(const Buffer& other) noexcept
    : block_(other.block_), data_(other.data_), size_(other.size_) {
    if (block_ != nullptr) block_->retain();
}

Buffer::Buffer(Buffer&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(const Buffer& other) noexcept {
    Buffer copy(other);
    *this = std::move(copy);
    return *this;
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    if (this != &other) {
        if (block_ != nullptr) block_->release();
        block_ = std::exchange(other.block_, nullptr);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
    }
    return *this;
}

Buffer::~Buffer() {
    if (block_ != nullptr) block_->release();
}

Buffer Buffer::allocate(size_t size) {
    if (size == 0) return {};
    void* room = std::malloc(kBlockHeaderBytes + size);
    MILLRACE_ASSERT(room != nullptr, "out of memory");
    auto* block = ::new (room) BufferBlock(&destroy_heap_block);
    return adopt(block, static_cast<uint8_t*>(room) + kBlockHeaderBytes, size);
}

Buffer Buffer::copy_of(ByteView bytes) {
    Buffer copy = allocate(bytes.size);
    if (bytes.size > 0) std::memcpy(copy.data_, bytes.data, bytes.size);
    return copy;
}

Buffer Buffer::adopt(BufferBlock* block, uint8_t* data, size_t size) {
    Buffer buffer;
    buffer.block_ = block;
    buffer.data_ = data;
    buffer.size_ = size;
    return buffer;
}

Buffer Buffer::slice(size_t from, size_t count) const {
    MILLRACE_ASSERT(from <= size_ && count <= size_ - from, "slice inside its buffer");
    Buffer part(*this);
    part.data_ += from;
    part.size_ = count;
    return part;
}

bool Buffer::unique() const { return block_ == nullptr || block_->unique(); }

Result<Buffer> BufferChain::flatten() const {
    if (pieces_.empty()) return Buffer{};
    if (pieces_.size() == 1 && !pieces_[0].is_file()) return pieces_[0].memory;
    Buffer all = Buffer::allocate(size_);
    size_t at = 0;
    for (const ChainPiece& piece : pieces_) {
        uint8_t* to = all.mutable_data() + at;
        if (piece.is_file()) {
            MILLRACE_TRY_ASSIGN(const size_t got,
                                piece.file.file->read_at(piece.file.offset, {to, piece.file.size}));
            if (got != piece.file.size)
                return Status(Errc::Corrupt, "a file slice reaches past the end of its file");
        } else {
            std::memcpy(to, piece.memory.data(), piece.memory.size());
        }
        at += piece.size();
    }
    return all;
}

}  // namespace millrace
