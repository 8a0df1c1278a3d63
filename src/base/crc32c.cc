// src/base/crc32c.cc: CRC-32C by table, by SSE4.2 and by isa-l; and arithmetic on checksums.
#include "millrace/base/crc32c.h"

#include <algorithm>
#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <isa-l/crc.h>
#include <nmmintrin.h>
#endif

namespace millrace {

namespace {
constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, bits reversed: bit 31 is x^0

constexpr std::array<uint32_t, 256> make_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
        table[i] = crc;
    }
    return table;
}
constexpr std::array<uint32_t, 256> kTable = make_table();

uint32_t raw_by_table(uint32_t crc, const uint8_t* at, size_t size) {
    for (const uint8_t* end = at + size; at < end; ++at) {
        crc = kTable[(crc ^ *at) & 0xff] ^ (crc >> 8);
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t raw_by_sse42(uint32_t crc, const uint8_t* at,
                                                        size_t size) {
    uint64_t wide = crc;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        std::memcpy(&word, at, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = static_cast<uint32_t>(wide);
    for (; size > 0; ++at, --size) crc = _mm_crc32_u8(crc, *at);
    return crc;
}

// Below this the set-up of isa-l's folding costs more than the plain loop.
constexpr size_t kIsalBytesMin = 384;
constexpr size_t kIsalBytesMax = size_t{1} << 30;  // its length is an int

uint32_t raw_by_isal(uint32_t crc, const uint8_t* at, size_t size) {
    while (size > 0) {
        const size_t part = std::min(size, kIsalBytesMax);
        // The library takes no const and does not write.
        crc = crc32_iscsi(const_cast<unsigned char*>(at), static_cast<int>(part), crc);
        at += part;
        size -= part;
    }
    return crc;
}

const bool kHasSse42 = __builtin_cpu_supports("sse4.2") != 0;

uint32_t raw(uint32_t crc, const uint8_t* at, size_t size) {
    if (size >= kIsalBytesMin) return raw_by_isal(crc, at, size);
    return kHasSse42 ? raw_by_sse42(crc, at, size) : raw_by_table(crc, at, size);
}
#else
uint32_t raw(uint32_t crc, const uint8_t* at, size_t size) { return raw_by_table(crc, at, size); }
#endif

// Product of two polynomials modulo the checksum's.
constexpr uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (; a != 0; a <<= 1) {
        if ((a & 0x80000000U) != 0) product ^= b;
        b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
    }
    return product;
}

// Entry k is x^(8 * 2^k): the shift by 2^k bytes.
constexpr std::array<uint32_t, 64> make_shifts() {
    std::array<uint32_t, 64> shifts{};
    shifts[0] = 0x80000000U >> 8;
    for (size_t k = 1; k < shifts.size(); ++k) shifts[k] = multiply(shifts[k - 1], shifts[k - 1]);
    return shifts;
}
constexpr std::array<uint32_t, 64> kShifts = make_shifts();
}  // namespace

uint32_t crc32c_extend(uint32_t crc, ByteView bytes) { return ~raw(~crc, bytes.data, bytes.size); }

uint32_t crc32c(ByteView bytes) { return crc32c_extend(0, bytes); }

uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b) {
    for (size_t k = 0; size_b != 0; ++k, size_b >>= 1) {
        if ((size_b & 1) != 0) crc_a = multiply(kShifts[k], crc_a);
    }
    return crc_a ^ crc_b;
}

}  // namespace millrace
