// src/base/varint.cc: variable-length integers, the paths that are not inline.
#include "millrace/base/varint.h"

#include <bit>

namespace millrace {

namespace {
template <class Unsigned>
constexpr size_t size_of(Unsigned n) {
    return (static_cast<size_t>(std::bit_width(n | 1)) + 6) / 7;
}

template <class Unsigned>
uint8_t* write_sevens(uint8_t* to, Unsigned n) {
    while (n >= 0x80) {
        *to++ = static_cast<uint8_t>(n | 0x80);
        n >>= 7;
    }
    *to++ = static_cast<uint8_t>(n);
    return to;
}

template <class Unsigned>
const uint8_t* read_sevens(const uint8_t* at, const uint8_t* end, size_t bytes_max,
                           Unsigned& out) {
    Unsigned n = 0;
    for (size_t i = 0; i < bytes_max && at < end; ++i) {
        const uint8_t byte = *at++;
        n |= static_cast<Unsigned>(static_cast<Unsigned>(byte & 0x7f) << (7 * i));
        if (byte < 0x80) {
            out = n;
            return at;
        }
    }
    return nullptr;
}
}  // namespace

size_t unsigned_varint_size(uint32_t n) { return size_of(n); }
size_t unsigned_varlong_size(uint64_t n) { return size_of(n); }

uint8_t* write_unsigned_varint(uint8_t* to, uint32_t n) { return write_sevens(to, n); }
uint8_t* write_unsigned_varlong(uint8_t* to, uint64_t n) { return write_sevens(to, n); }

const uint8_t* read_unsigned_varint_slow(const uint8_t* at, const uint8_t* end, uint32_t& out) {
    return read_sevens(at, end, kVarintBytesMax, out);
}
const uint8_t* read_unsigned_varlong_slow(const uint8_t* at, const uint8_t* end, uint64_t& out) {
    return read_sevens(at, end, kVarlongBytesMax, out);
}

}  // namespace millrace
