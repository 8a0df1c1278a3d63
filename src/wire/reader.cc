// src/wire/reader.cc: primitives, lengths and tagged fields from hostile bytes.
#include "millrace/wire/reader.h"

#include <algorithm>
#include <bit>

namespace millrace::wire {
namespace {

size_t decode_allowance(size_t frame_bytes) {
    if (frame_bytes > kDecodeBytesMax / kDecodeBytesPerFrameByte) return kDecodeBytesMax;
    return std::min(kDecodeBytesMax, kDecodeBytesBase + frame_bytes * kDecodeBytesPerFrameByte);
}

}  // namespace

Reader::Reader(Buffer frame)
    : frame_(std::move(frame)),
      sharing_(true),
      begin_(frame_.data()),
      cursor_(begin_),
      end_(begin_ + frame_.size()),
      allowance_(decode_allowance(frame_.size())) {}

Reader::Reader(ByteView bytes)
    : begin_(bytes.data),
      cursor_(begin_),
      end_(begin_ + bytes.size),
      allowance_(decode_allowance(bytes.size)) {}

void Reader::fail(const char* reason) {
    if (error_ == nullptr) {
        error_ = reason;
        error_position_ = position();
    }
    cursor_ = end_;  // every later read finds nothing and returns zero
}

std::string Reader::error_text() const {
    if (error_ == nullptr) return "ok";
    return std::string(error_) + " at byte " + std::to_string(error_position_);
}

double Reader::f64() { return std::bit_cast<double>(fixed<int64_t>()); }

Uuid Reader::uuid() {
    if (remaining() < 16) {
        fail("ends inside a uuid");
        return {};
    }
    const Uuid id = Uuid::from_bytes(cursor_);
    cursor_ += 16;
    return id;
}

uint64_t Reader::varint_bits(int bytes_max) {
    uint64_t bits = 0;
    for (int i = 0; i < bytes_max; ++i) {
        if (cursor_ == end_) {
            fail("ends inside a varint");
            return 0;
        }
        const uint8_t byte = *cursor_++;
        bits |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) return bits;
    }
    fail("varint too long");
    return 0;
}

// Bits above the width of the type are dropped, as Kafka's ByteUtils drops them.
uint32_t Reader::uvarint() {
    if (cursor_ != end_ && *cursor_ < 0x80) [[likely]] return *cursor_++;
    return static_cast<uint32_t>(varint_bits(5));
}

int32_t Reader::varint() {
    const uint32_t bits = uvarint();
    return static_cast<int32_t>((bits >> 1) ^ (0U - (bits & 1)));
}

int64_t Reader::varlong() {
    const uint64_t bits = varint_bits(10);
    return static_cast<int64_t>((bits >> 1) ^ (0ULL - (bits & 1)));
}

int64_t Reader::length(bool flexible, bool wide) {
    int64_t n = 0;
    if (flexible) {
        n = static_cast<int64_t>(uvarint()) - 1;
        if (!ok()) return -1;
    } else {
        n = wide ? i32() : i16();
        if (n < 0) n = -1;
    }
    if (n > static_cast<int64_t>(remaining())) {
        fail("length beyond the frame");
        return -1;
    }
    return n;
}

std::string_view Reader::text(bool flexible) {
    const int64_t n = length(flexible, false);
    if (n < 0) {
        fail("null string where none is allowed");
        return {};
    }
    if (n > kStringBytesMax) {
        fail("string too long");
        return {};
    }
    const auto* start = reinterpret_cast<const char*>(cursor_);
    cursor_ += n;
    return {start, static_cast<size_t>(n)};
}

std::optional<std::string> Reader::nullable_string(bool flexible) {
    const int64_t n = length(flexible, false);
    if (n < 0) return std::nullopt;
    if (n > kStringBytesMax) {
        fail("string too long");
        return std::nullopt;
    }
    const auto* start = reinterpret_cast<const char*>(cursor_);
    cursor_ += n;
    return std::string(start, static_cast<size_t>(n));
}

Buffer Reader::take(size_t size) {
    const uint8_t* start = cursor_;
    cursor_ += size;
    if (size == 0) return {};
    if (sharing_) return frame_.slice(static_cast<size_t>(start - begin_), size);
    return Buffer::copy_of(ByteView(start, size));
}

Buffer Reader::bytes(bool flexible) {
    const int64_t n = length(flexible, true);
    if (n < 0) {
        fail("null bytes where none are allowed");
        return {};
    }
    return take(static_cast<size_t>(n));
}

std::optional<Buffer> Reader::nullable_bytes(bool flexible) {
    const int64_t n = length(flexible, true);
    if (n < 0) return std::nullopt;
    return take(static_cast<size_t>(n));
}

std::optional<BufferChain> Reader::nullable_records(bool flexible) {
    const int64_t n = length(flexible, true);
    if (n < 0) return std::nullopt;
    return BufferChain(take(static_cast<size_t>(n)));
}

Buffer Reader::raw(size_t size) {
    if (size > remaining()) {
        fail("length beyond the frame");
        return {};
    }
    return take(size);
}

void Reader::skip(size_t size) {
    if (size > remaining()) {
        fail("length beyond the frame");
        return;
    }
    cursor_ += size;
}

bool Reader::charge(size_t bytes) {
    if (bytes > allowance_) {
        fail("decodes to too much memory");
        return false;
    }
    allowance_ -= bytes;
    return true;
}

int32_t Reader::array_count(bool flexible, size_t element_bytes_min, size_t element_memory) {
    const int64_t n = flexible ? static_cast<int64_t>(uvarint()) - 1 : i32();
    if (!ok() || n < 0) return -1;
    if (n > kArrayElementsMax) {
        fail("array too long");
        return -1;
    }
    const size_t count = static_cast<size_t>(n);
    if (count * std::max<size_t>(element_bytes_min, 1) > remaining()) {
        fail("array beyond the frame");
        return -1;
    }
    if (!charge(count * element_memory)) return -1;
    return static_cast<int32_t>(n);
}

TagCursor Reader::begin_tags() {
    TagCursor cursor;
    cursor.left = uvarint();
    if (cursor.left > kTaggedFieldsMax) {
        fail("too many tagged fields");
        cursor.left = 0;
    }
    return cursor;
}

bool Reader::next_tag(TagCursor& cursor) {
    if (cursor.end != nullptr && cursor_ != cursor.end) {
        fail("tagged field has another size than it says");
    }
    if (!ok() || cursor.left == 0) return false;
    --cursor.left;
    cursor.tag = uvarint();
    const uint32_t size = uvarint();
    if (!ok()) return false;
    if (size > remaining()) {
        fail("tagged field beyond the frame");
        return false;
    }
    cursor.end = cursor_ + size;
    return true;
}

void Reader::keep_tag(const TagCursor& cursor, UnknownTags& into) {
    if (!ok() || !charge(sizeof(RawTag))) return;
    into.add(RawTag{cursor.tag, take(static_cast<size_t>(cursor.end - cursor_))});
}

void Reader::unknown_tags(UnknownTags& into) {
    if (cursor_ != end_ && *cursor_ == 0) [[likely]] {
        ++cursor_;
        return;
    }
    for (TagCursor cursor = begin_tags(); next_tag(cursor);) keep_tag(cursor, into);
}

}  // namespace millrace::wire
