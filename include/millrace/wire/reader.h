// include/millrace/wire/reader.h: decodes Kafka's primitives from a frame; latches the first error.
//
// What: a cursor over one frame or record value, with every primitive of the protocol in its
// classic and its compact ("flexible", KIP-482) form. Owner: the decoding function's stack.
// Promises: never throws and never reads outside the frame. After the first bad byte every read
// yields zero or empty and ok() stays false, so generated decoders check once at the end. Nothing
// is allocated that the bytes of the frame do not justify (wire/limits.h).
// Requires: nothing of the bytes. Given a Buffer, bytes and records become slices that share its
// memory; given a ByteView they are copied. Message layouts do not nest themselves, so depth is
// bounded by the schema and needs no counter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/bytes.h"
#include "millrace/base/endian.h"
#include "millrace/base/uuid.h"
#include "millrace/wire/limits.h"
#include "millrace/wire/tags.h"

namespace millrace::wire {

/// One pass over a tagged-field section; see Reader::next_tag.
struct TagCursor {
    uint32_t left = 0;
    uint32_t tag = 0;
    const uint8_t* end = nullptr;  // of the current tag's data
};

class Reader {
  public:
    explicit Reader(Buffer frame);
    /// REQUIRES: the bytes outlive the Reader (not what it returns).
    explicit Reader(ByteView bytes);

    bool ok() const { return error_ == nullptr; }
    /// What was wrong first, e.g. "length beyond the frame"; nullptr when ok().
    const char* error() const { return error_; }
    /// Bytes before the value that was wrong.
    size_t error_position() const { return error_position_; }
    /// "length beyond the frame at byte 17", for logs.
    std::string error_text() const;
    size_t remaining() const { return static_cast<size_t>(end_ - cursor_); }
    size_t position() const { return static_cast<size_t>(cursor_ - begin_); }
    /// Latches `reason` (a literal) unless an error is latched already.
    void fail(const char* reason);

    int8_t i8() { return fixed<int8_t>(); }
    int16_t i16() { return fixed<int16_t>(); }
    uint16_t u16() { return fixed<uint16_t>(); }
    int32_t i32() { return fixed<int32_t>(); }
    uint32_t u32() { return fixed<uint32_t>(); }
    int64_t i64() { return fixed<int64_t>(); }
    double f64();
    bool boolean() { return i8() != 0; }
    Uuid uuid();
    uint32_t uvarint();
    int32_t varint();   // zigzag
    int64_t varlong();  // zigzag

    /// `flexible` chooses the compact form. A null where none is allowed is an error.
    std::string string(bool flexible) { return std::string(text(flexible)); }
    std::optional<std::string> nullable_string(bool flexible);
    Buffer bytes(bool flexible);
    std::optional<Buffer> nullable_bytes(bool flexible);
    BufferChain records(bool flexible) { return BufferChain(bytes(flexible)); }
    std::optional<BufferChain> nullable_records(bool flexible);
    /// A view into the frame, for callers that do not keep it.
    std::string_view text(bool flexible);
    /// Exactly `size` bytes.
    Buffer raw(size_t size);
    void skip(size_t size);

    /// Count of an array, -1 for null. `element_bytes_min` is the smallest encoding of one element
    /// and `element_memory` its size once decoded: both bound the count before any reserve.
    int32_t array_count(bool flexible, size_t element_bytes_min, size_t element_memory);
    /// The presence byte of a nullable struct; inside a tagged field Kafka writes a varint instead.
    bool struct_present() { return i8() >= 0; }
    bool tagged_struct_present() { return static_cast<int32_t>(uvarint()) > 0; }

    /// Starts a tagged-field section: `for (TagCursor t = r.begin_tags(); r.next_tag(t);)`, reading
    /// exactly the data of t.tag in each turn or handing it to keep_tag.
    TagCursor begin_tags();
    bool next_tag(TagCursor& cursor);
    void keep_tag(const TagCursor& cursor, UnknownTags& into);
    /// A section none of whose tags this version defines.
    void unknown_tags(UnknownTags& into);

  private:
    template <class Number>
    Number fixed() {
        if (remaining() < sizeof(Number)) [[unlikely]] {
            fail("ends inside a number");
            return 0;
        }
        const Number value = load_big<Number>(cursor_);
        cursor_ += sizeof(Number);
        return value;
    }
    /// Length of a string or byte run: -1 for null, checked against the frame.
    int64_t length(bool flexible, bool wide);
    Buffer take(size_t size);
    /// Takes `bytes` from what decoded containers may still use.
    bool charge(size_t bytes);
    uint64_t varint_bits(int bytes_max);

    Buffer frame_;
    bool sharing_ = false;
    const uint8_t* begin_ = nullptr;
    const uint8_t* cursor_ = nullptr;
    const uint8_t* end_ = nullptr;
    size_t allowance_ = 0;
    const char* error_ = nullptr;
    size_t error_position_ = 0;
};

}  // namespace millrace::wire
