// include/millrace/base/varint.h: Kafka's variable-length integers, 7 bits per byte, low bits first.
//
// Unsigned varints carry sizes in flexible requests; the zigzag forms carry record fields. Limits
// are those of org.apache.kafka.common.utils.ByteUtils: a varint has at most 5 bytes, a varlong at
// most 10, and bits beyond the number's width in the last byte are dropped, not refused.
// Readers never look at or past `end` and return nullptr for a cut-off or too long number.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

inline constexpr size_t kVarintBytesMax = 5;
inline constexpr size_t kVarlongBytesMax = 10;

constexpr uint32_t zigzag_encode(int32_t n) {
    return (static_cast<uint32_t>(n) << 1) ^ static_cast<uint32_t>(n >> 31);
}
constexpr int32_t zigzag_decode(uint32_t n) {
    return static_cast<int32_t>((n >> 1) ^ (0U - (n & 1U)));
}
constexpr uint64_t zigzag_encode64(int64_t n) {
    return (static_cast<uint64_t>(n) << 1) ^ static_cast<uint64_t>(n >> 63);
}
constexpr int64_t zigzag_decode64(uint64_t n) {
    return static_cast<int64_t>((n >> 1) ^ (0ULL - (n & 1ULL)));
}

/// Bytes that the number takes when written.
size_t unsigned_varint_size(uint32_t n);
size_t unsigned_varlong_size(uint64_t n);
inline size_t varint_size(int32_t n) { return unsigned_varint_size(zigzag_encode(n)); }
inline size_t varlong_size(int64_t n) { return unsigned_varlong_size(zigzag_encode64(n)); }

/// Write the number and return the place after it. REQUIRES: room for kVarintBytesMax or
/// kVarlongBytesMax, or for the size named by the functions above.
uint8_t* write_unsigned_varint(uint8_t* to, uint32_t n);
uint8_t* write_unsigned_varlong(uint8_t* to, uint64_t n);
inline uint8_t* write_varint(uint8_t* to, int32_t n) {
    return write_unsigned_varint(to, zigzag_encode(n));
}
inline uint8_t* write_varlong(uint8_t* to, int64_t n) {
    return write_unsigned_varlong(to, zigzag_encode64(n));
}

const uint8_t* read_unsigned_varint_slow(const uint8_t* at, const uint8_t* end, uint32_t& out);
const uint8_t* read_unsigned_varlong_slow(const uint8_t* at, const uint8_t* end, uint64_t& out);

/// Read a number at `at` into `out` and return the place after it, or nullptr. Numbers of one or
/// two bytes, nearly all there are in records, are read inline; at one place of a record their
/// length seldom changes, so these branches are predicted.
inline const uint8_t* read_unsigned_varint(const uint8_t* at, const uint8_t* end, uint32_t& out) {
    if (end - at >= 2) {
        if (at[0] < 0x80) {
            out = at[0];
            return at + 1;
        }
        if (at[1] < 0x80) {
            out = (at[0] & 0x7fU) | (static_cast<uint32_t>(at[1]) << 7);
            return at + 2;
        }
    }
    return read_unsigned_varint_slow(at, end, out);
}
inline const uint8_t* read_unsigned_varlong(const uint8_t* at, const uint8_t* end, uint64_t& out) {
    if (end - at >= 2) {
        if (at[0] < 0x80) {
            out = at[0];
            return at + 1;
        }
        if (at[1] < 0x80) {
            out = (at[0] & 0x7fU) | (static_cast<uint64_t>(at[1]) << 7);
            return at + 2;
        }
    }
    return read_unsigned_varlong_slow(at, end, out);
}
inline const uint8_t* read_varint(const uint8_t* at, const uint8_t* end, int32_t& out) {
    uint32_t raw = 0;
    at = read_unsigned_varint(at, end, raw);
    out = zigzag_decode(raw);
    return at;
}
inline const uint8_t* read_varlong(const uint8_t* at, const uint8_t* end, int64_t& out) {
    uint64_t raw = 0;
    at = read_unsigned_varlong(at, end, raw);
    out = zigzag_decode64(raw);
    return at;
}

}  // namespace millrace
