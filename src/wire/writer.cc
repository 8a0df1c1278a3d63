// src/wire/writer.cc: chunks, references and the protocol's length prefixes.
#include "millrace/wire/writer.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace millrace::wire {
Writer Writer::measuring() {
    Writer writer(0);
    writer.measuring_ = true;
    return writer;
}

void Writer::grow(size_t size) {
    if (measuring_) {
        MILLRACE_ASSERT(size <= sizeof measure_room_, "only primitives are measured by room()");
        done_bytes_ += static_cast<size_t>(cursor_ - start_);
        start_ = cursor_ = measure_room_;
        end_ = start_ + sizeof measure_room_;
        return;
    }
    seal();
    const size_t bytes = std::max(size, chunk_bytes_);
    chunk_ = Buffer::allocate(bytes);
    start_ = cursor_ = chunk_.mutable_data();
    end_ = start_ + bytes;
    chunk_bytes_ = std::min(std::max(bytes * 4, kWriterChunkFirstBytes), kWriterChunkMaxBytes);
}

void Writer::seal() {
    const size_t used = static_cast<size_t>(cursor_ - start_);
    if (used == 0) return;
    chain_.append(chunk_.slice(static_cast<size_t>(start_ - chunk_.data()), used));
    done_bytes_ += used;
    start_ = cursor_;
}

BufferChain Writer::finish() {
    MILLRACE_ASSERT(!measuring_, "a measuring writer keeps no bytes");
    seal();
    BufferChain out = std::move(chain_);
    chain_.clear();
    chunk_ = Buffer{};
    start_ = cursor_ = end_ = nullptr;
    done_bytes_ = 0;
    return out;
}

Buffer Writer::finish_flat() {
    Result<Buffer> flat = finish().flatten();
    MILLRACE_ASSERT(flat.ok(), "finish_flat has only memory to join");
    return std::move(flat).value();
}

void Writer::begin_frame() {
    MILLRACE_ASSERT(size() == 0, "the frame's size comes first");
    framed_ = true;
    i32(0);
}

BufferChain Writer::finish_frame() {
    MILLRACE_ASSERT(framed_, "begin_frame was called");
    framed_ = false;
    const size_t body = size() - 4;
    if (body > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
        fail("frame longer than its size field can say");
    }
    BufferChain out = finish();
    // The first piece starts with the four bytes of begin_frame and nobody else has seen it yet.
    store_big(out.pieces().front().memory.mutable_data(), static_cast<int32_t>(body));
    return out;
}

void Writer::f64(double n) { fixed(std::bit_cast<int64_t>(n)); }

void Writer::uuid(const Uuid& id) {
    uint8_t* to = room(16);
    store_big(to, id.high);
    store_big(to + 8, id.low);
    cursor_ += 16;
}

void Writer::uvarint(uint32_t n) {
    uint8_t* to = room(5);
    while (n >= 0x80) {
        *to++ = static_cast<uint8_t>(n | 0x80);
        n >>= 7;
    }
    *to++ = static_cast<uint8_t>(n);
    cursor_ = to;
}

void Writer::varint(int32_t n) {
    uvarint((static_cast<uint32_t>(n) << 1) ^ static_cast<uint32_t>(n >> 31));
}

void Writer::varlong(int64_t n) {
    uint64_t bits = (static_cast<uint64_t>(n) << 1) ^ static_cast<uint64_t>(n >> 63);
    uint8_t* to = room(10);
    while (bits >= 0x80) {
        *to++ = static_cast<uint8_t>(bits | 0x80);
        bits >>= 7;
    }
    *to++ = static_cast<uint8_t>(bits);
    cursor_ = to;
}

void Writer::length(size_t size, bool flexible, bool wide) {
    if (size > static_cast<size_t>(wide ? std::numeric_limits<int32_t>::max() - 1
                                        : kStringBytesMax)) {
        fail(wide ? "bytes too long" : "string too long");
    }
    if (flexible) {
        uvarint(static_cast<uint32_t>(size + 1));
    } else if (wide) {
        i32(static_cast<int32_t>(size));
    } else {
        i16(static_cast<int16_t>(size));
    }
}

void Writer::raw(ByteView data) {
    if (data.empty()) return;
    if (measuring_) {
        done_bytes_ += data.size;
        return;
    }
    std::memcpy(room(data.size), data.data, data.size);
    cursor_ += data.size;
}

void Writer::string(std::string_view text, bool flexible) {
    length(text.size(), flexible, false);
    raw(ByteView(text));
}

void Writer::nullable_string(const std::optional<std::string>& text, bool flexible) {
    if (text.has_value()) return string(*text, flexible);
    if (flexible) return uvarint(0);
    i16(-1);
}

void Writer::bytes(const Buffer& data, bool flexible) {
    length(data.size(), flexible, true);
    if (data.size() <= kCopyBytesMax) return raw(data);
    reference(BufferChain(data));
}

void Writer::nullable_bytes(const std::optional<Buffer>& data, bool flexible) {
    if (data.has_value()) return bytes(*data, flexible);
    null_array(flexible);
}

void Writer::reference(const BufferChain& data) {
    if (measuring_) {
        done_bytes_ += data.size();
        return;
    }
    if (data.size() <= kCopyBytesMax && data.pieces().size() == 1 && !data.pieces()[0].is_file()) {
        // A tiny batch costs less copied than as one more piece to write.
        raw(data.pieces()[0].memory);
        return;
    }
    seal();
    chain_.append(data);
    done_bytes_ += data.size();
}

void Writer::records(const BufferChain& data, bool flexible) {
    length(data.size(), flexible, true);
    if (!data.empty()) reference(data);
}

void Writer::nullable_records(const std::optional<BufferChain>& data, bool flexible) {
    if (data.has_value()) return records(*data, flexible);
    null_array(flexible);
}

void Writer::array_count(size_t count, bool flexible) {
    if (count > static_cast<size_t>(std::numeric_limits<int32_t>::max() - 1)) {
        fail("array too long");
    }
    if (flexible) return uvarint(static_cast<uint32_t>(count + 1));
    i32(static_cast<int32_t>(count));
}

void Writer::null_array(bool flexible) {
    if (flexible) return uvarint(0);
    i32(-1);
}

uint32_t Writer::tags_before(const UnknownTags& tags, uint32_t next, uint64_t tag) {
    while (next < tags.count() && tags[next].tag < tag) {
        uvarint(tags[next].tag);
        uvarint(static_cast<uint32_t>(tags[next].data.size()));
        raw(tags[next].data);
        ++next;
    }
    return next;
}

}  // namespace millrace::wire
