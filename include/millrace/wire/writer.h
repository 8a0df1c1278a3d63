// include/millrace/wire/writer.h: encodes Kafka's primitives into a chain of memory and references.
//
// What: appends primitives to chunks that grow, and records by reference. Owner: the encoding
// function's stack. Promises: finish() yields exactly the bytes written, in order. A small response
// costs one chunk; records (memory or file slices) are not copied, except tiny ones
// (kCopyBytesMax). What cannot be encoded (a string too long, a field this version lacks: Kafka's
// UnsupportedVersionException) latches an error and the result must not be sent.
// Requires: the caller looks at ok() before using the chain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/assert.h"
#include "millrace/base/bytes.h"
#include "millrace/base/endian.h"
#include "millrace/base/uuid.h"
#include "millrace/wire/limits.h"
#include "millrace/wire/tags.h"

namespace millrace::wire {

class Writer {
  public:
    /// Nothing is allocated before the first byte.
    explicit Writer(size_t first_chunk_bytes = kWriterChunkFirstBytes)
        : chunk_bytes_(first_chunk_bytes) {}
    /// Counts bytes instead of keeping them.
    static Writer measuring();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    Writer(Writer&&) = default;

    bool ok() const { return error_ == nullptr; }
    /// What could not be encoded first; nullptr when ok().
    const char* error() const { return error_; }
    /// Latches `reason` (a literal) unless an error is latched already.
    void fail(const char* reason) {
        if (error_ == nullptr) error_ = reason;
    }
    size_t size() const {
        return done_bytes_ + static_cast<size_t>(cursor_ - start_);
    }
    /// All that was written; the Writer is empty afterwards.
    BufferChain finish();
    /// Like finish, as one Buffer. REQUIRES: no file slices were appended.
    Buffer finish_flat();
    /// Leaves room for the i32 size that frames bytes on a connection. REQUIRES: no bytes yet.
    void begin_frame();
    /// Like finish, with that size filled in. REQUIRES: begin_frame.
    BufferChain finish_frame();

    void i8(int8_t n) { fixed(n); }
    void i16(int16_t n) { fixed(n); }
    void u16(uint16_t n) { fixed(n); }
    void i32(int32_t n) { fixed(n); }
    void u32(uint32_t n) { fixed(n); }
    void i64(int64_t n) { fixed(n); }
    void f64(double n);
    void boolean(bool b) { fixed(static_cast<int8_t>(b ? 1 : 0)); }
    void uuid(const Uuid& id);
    void uvarint(uint32_t n);
    void varint(int32_t n);   // zigzag
    void varlong(int64_t n);  // zigzag

    /// `flexible` chooses the compact form (KIP-482).
    void string(std::string_view text, bool flexible);
    void nullable_string(const std::optional<std::string>& text, bool flexible);
    void bytes(const Buffer& data, bool flexible);
    void nullable_bytes(const std::optional<Buffer>& data, bool flexible);
    void records(const BufferChain& data, bool flexible);
    void nullable_records(const std::optional<BufferChain>& data, bool flexible);
    void raw(ByteView data);

    void array_count(size_t count, bool flexible);
    void null_array(bool flexible);
    /// The presence byte of a nullable struct; inside a tagged field Kafka writes a varint instead.
    void struct_present(bool present) { i8(present ? 1 : -1); }
    void tagged_struct_present(bool present) { uvarint(present ? 1 : 0); }

    /// One tagged field: `body(Writer&)` is run twice, to learn its size and to write it.
    template <class Body>
    void tagged(uint32_t tag, Body body) {
        Writer measure = measuring();
        body(measure);
        uvarint(tag);
        uvarint(static_cast<uint32_t>(measure.size()));
        const size_t before = size();
        body(*this);
        MILLRACE_ASSERT(size() - before == measure.size(), "encoded size equals computed size");
    }
    /// A tagged-field section with nothing but unknown tags.
    void unknown_tags(const UnknownTags& tags) {
        uvarint(tags.count());
        if (!tags.empty()) tags_before(tags, 0, UINT64_MAX);
    }
    /// Writes the unknown tags from `next` on that sort before `tag`; returns the next index.
    uint32_t tags_before(const UnknownTags& tags, uint32_t next, uint64_t tag);

  private:
    template <class Number>
    void fixed(Number n) {
        store_big(room(sizeof n), n);
        cursor_ += sizeof n;
    }
    /// At least `size` writable bytes at the returned place, where cursor_ stands.
    uint8_t* room(size_t size) {
        if (static_cast<size_t>(end_ - cursor_) < size) [[unlikely]] grow(size);
        return cursor_;
    }
    void grow(size_t size);
    /// Moves what is written of the chunk into the chain; the rest of the chunk stays usable.
    void seal();
    void length(size_t size, bool flexible, bool wide);
    void reference(const BufferChain& data);

    bool measuring_ = false;
    bool framed_ = false;
    size_t chunk_bytes_;
    Buffer chunk_;
    uint8_t* start_ = nullptr;   // first byte not yet in chain_
    uint8_t* cursor_ = nullptr;
    uint8_t* end_ = nullptr;
    BufferChain chain_;
    size_t done_bytes_ = 0;  // bytes in chain_, or counted
    const char* error_ = nullptr;
    uint8_t measure_room_[16];  // where a measuring Writer puts its bytes; the widest primitive
};

}  // namespace millrace::wire
