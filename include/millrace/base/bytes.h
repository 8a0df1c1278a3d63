// include/millrace/base/bytes.h: views, shared slices of memory, and chains of memory and file
// slices: the shapes in which record bytes travel from socket to disk and back without copies.
//
// A Buffer is a reference-counted slice; copies share the bytes. Whoever allocated a Buffer may
// write through mutable_data() until it hands a copy to somebody else. The count is atomic
// because a slice may be released on another thread (the disk's helper) than it was made on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/assert.h"
#include "millrace/base/result.h"

namespace millrace {

/// Read-only bytes owned by somebody else.
struct ByteView {
    const uint8_t* data = nullptr;
    size_t size = 0;

    constexpr ByteView() = default;
    constexpr ByteView(const uint8_t* d, size_t n) : data(d), size(n) {}
    explicit ByteView(std::string_view text)
        : data(reinterpret_cast<const uint8_t*>(text.data())), size(text.size()) {}
    bool empty() const { return size == 0; }
    uint8_t operator[](size_t i) const { return data[i]; }
    const uint8_t* begin() const { return data; }
    const uint8_t* end() const { return data + size; }
    ByteView sub(size_t from, size_t count) const {
        MILLRACE_ASSERT(from <= size && count <= size - from, "sub view inside its view");
        return {data + from, count};
    }
    ByteView from(size_t start) const { return sub(start, size - start); }
    std::string_view text() const { return {reinterpret_cast<const char*>(data), size}; }
    friend bool operator==(ByteView a, ByteView b) {
        return a.size == b.size && (a.size == 0 || std::memcmp(a.data, b.data, a.size) == 0);
    }
};

/// Writable bytes owned by somebody else.
struct MutableByteView {
    uint8_t* data = nullptr;
    size_t size = 0;
};

/// The memory behind Buffers. `release` gives it back to where it came from (heap or pool).
class BufferBlock;

class Buffer {
  public:
    Buffer() noexcept = default;
    Buffer(const Buffer& other) noexcept;
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(const Buffer& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;
    ~Buffer();

    /// Uninitialised memory from the heap.
    static Buffer allocate(size_t size);
    static Buffer copy_of(ByteView bytes);
    static Buffer copy_of(std::string_view text) { return copy_of(ByteView(text)); }
    /// Takes one reference of `block` that the caller owns.
    static Buffer adopt(BufferBlock* block, uint8_t* data, size_t size);

    const uint8_t* data() const { return data_; }
    uint8_t* mutable_data() const { return data_; }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    ByteView view() const { return {data_, size_}; }
    operator ByteView() const { return view(); }  // NOLINT(google-explicit-constructor)
    std::string_view text() const { return view().text(); }
    /// Shares the same memory.
    Buffer slice(size_t from, size_t count) const;
    /// True when no other Buffer shares the memory.
    bool unique() const;
    friend bool operator==(const Buffer& a, const Buffer& b) { return a.view() == b.view(); }

  private:
    BufferBlock* block_ = nullptr;
    uint8_t* data_ = nullptr;
    size_t size_ = 0;
};

/// A file whose bytes may be sent without passing through user space. env::File derives from it.
class FileSource {
  public:
    virtual ~FileSource() = default;
    /// Fills `out` from `offset`; returns the bytes read, less than asked only at end of file.
    virtual Result<size_t> read_at(uint64_t offset, MutableByteView out) = 0;
    /// A descriptor for sendfile, or -1 where there is none (simulator): then read_at serves.
    virtual int descriptor() const = 0;
};

/// `size` bytes of a file from `offset`; the shared pointer keeps the file open.
struct FileSlice {
    std::shared_ptr<FileSource> file;
    uint64_t offset = 0;
    size_t size = 0;
};

/// One link of a chain: memory or a part of a file.
struct ChainPiece {
    Buffer memory;
    FileSlice file;  // used when file.file is set
    bool is_file() const { return file.file != nullptr; }
    size_t size() const { return is_file() ? file.size : memory.size(); }
};

/// Bytes in order, some in memory, some in files. Copying shares, never copies bytes.
class BufferChain {
  public:
    BufferChain() = default;
    explicit BufferChain(Buffer memory) { append(std::move(memory)); }
    void append(Buffer memory) {
        if (memory.empty()) return;
        size_ += memory.size();
        pieces_.push_back(ChainPiece{std::move(memory), {}});
    }
    void append(FileSlice slice) {
        if (slice.size == 0) return;
        size_ += slice.size;
        pieces_.push_back(ChainPiece{{}, std::move(slice)});
    }
    void append(const BufferChain& other) {
        size_ += other.size_;
        pieces_.insert(pieces_.end(), other.pieces_.begin(), other.pieces_.end());
    }
    void append(BufferChain&& other) {
        if (pieces_.empty()) {
            pieces_.swap(other.pieces_);
        } else {
            for (ChainPiece& piece : other.pieces_) pieces_.push_back(std::move(piece));
        }
        size_ += other.size_;
        other.clear();
    }
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    /// Appends all pieces to `into`; the chain is empty afterwards and keeps its storage.
    void move_pieces_to(std::vector<ChainPiece>& into) {
        for (ChainPiece& piece : pieces_) into.push_back(std::move(piece));
        clear();
    }
    const std::vector<ChainPiece>& pieces() const { return pieces_; }
    void clear() {
        pieces_.clear();
        size_ = 0;
    }
    /// All bytes in one Buffer: shares when the chain is one memory piece, else copies and reads.
    Result<Buffer> flatten() const;

  private:
    std::vector<ChainPiece> pieces_;
    size_t size_ = 0;
};

}  // namespace millrace
