// src/base/md5.cc: MD5 by the standard's formulas.
#include "millrace/base/md5.h"

#include <bit>
#include <cstring>

namespace millrace {

namespace {

constexpr size_t kBlockBytes = 64;

// Whole parts of 2^32 times the sines of 1 to 64.
constexpr uint32_t kSines[64] = {
    0xd76aa478U, 0xe8c7b756U, 0x242070dbU, 0xc1bdceeeU, 0xf57c0fafU, 0x4787c62aU, 0xa8304613U,
    0xfd469501U, 0x698098d8U, 0x8b44f7afU, 0xffff5bb1U, 0x895cd7beU, 0x6b901122U, 0xfd987193U,
    0xa679438eU, 0x49b40821U, 0xf61e2562U, 0xc040b340U, 0x265e5a51U, 0xe9b6c7aaU, 0xd62f105dU,
    0x02441453U, 0xd8a1e681U, 0xe7d3fbc8U, 0x21e1cde6U, 0xc33707d6U, 0xf4d50d87U, 0x455a14edU,
    0xa9e3e905U, 0xfcefa3f8U, 0x676f02d9U, 0x8d2a4c8aU, 0xfffa3942U, 0x8771f681U, 0x6d9d6122U,
    0xfde5380cU, 0xa4beea44U, 0x4bdecfa9U, 0xf6bb4b60U, 0xbebfbc70U, 0x289b7ec6U, 0xeaa127faU,
    0xd4ef3085U, 0x04881d05U, 0xd9d4d039U, 0xe6db99e5U, 0x1fa27cf8U, 0xc4ac5665U, 0xf4292244U,
    0x432aff97U, 0xab9423a7U, 0xfc93a039U, 0x655b59c3U, 0x8f0ccc92U, 0xffeff47dU, 0x85845dd1U,
    0x6fa87e4fU, 0xfe2ce6e0U, 0xa3014314U, 0x4e0811a1U, 0xf7537e82U, 0xbd3af235U, 0x2ad7d2bbU,
    0xeb86d391U,
};
constexpr int kShifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

uint32_t load_little(const uint8_t* from) {
    return uint32_t{from[0]} | uint32_t{from[1]} << 8 | uint32_t{from[2]} << 16 |
           uint32_t{from[3]} << 24;
}

void store_little(uint8_t* to, uint32_t number) {
    for (int i = 0; i < 4; ++i) to[i] = static_cast<uint8_t>(number >> (8 * i));
}

void mix(uint32_t state[4], const uint8_t* block) {
    uint32_t words[16];
    for (size_t i = 0; i < 16; ++i) words[i] = load_little(block + 4 * i);
    uint32_t a = state[0];
    uint32_t b = state[1];
    uint32_t c = state[2];
    uint32_t d = state[3];
    for (uint32_t i = 0; i < 64; ++i) {
        uint32_t f = 0;
        uint32_t word = 0;
        switch (i / 16) {
            case 0: f = (b & c) | (~b & d); word = i; break;
            case 1: f = (d & b) | (~d & c); word = (5 * i + 1) % 16; break;
            case 2: f = b ^ c ^ d; word = (3 * i + 5) % 16; break;
            default: f = c ^ (b | ~d); word = (7 * i) % 16; break;
        }
        const uint32_t sum = a + f + kSines[i] + words[word];
        a = d;
        d = c;
        c = b;
        b += std::rotl(sum, kShifts[i / 16][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

}  // namespace

std::array<uint8_t, kMd5Bytes> md5(ByteView data) {
    uint32_t state[4] = {0x67452301U, 0xefcdab89U, 0x98badcfeU, 0x10325476U};
    const size_t whole = data.size / kBlockBytes * kBlockBytes;
    for (size_t at = 0; at < whole; at += kBlockBytes) mix(state, data.data + at);
    // The rest, a one bit, zeros, and the length in bits fill one or two blocks.
    uint8_t tail[2 * kBlockBytes] = {};
    const size_t rest = data.size - whole;
    if (rest > 0) std::memcpy(tail, data.data + whole, rest);
    tail[rest] = 0x80;
    const size_t tail_bytes = rest + 9 <= kBlockBytes ? kBlockBytes : 2 * kBlockBytes;
    const uint64_t bits = uint64_t{data.size} * 8;
    store_little(tail + tail_bytes - 8, static_cast<uint32_t>(bits));
    store_little(tail + tail_bytes - 4, static_cast<uint32_t>(bits >> 32));
    for (size_t at = 0; at < tail_bytes; at += kBlockBytes) mix(state, tail + at);
    std::array<uint8_t, kMd5Bytes> digest;
    for (size_t i = 0; i < 4; ++i) store_little(digest.data() + 4 * i, state[i]);
    return digest;
}

}  // namespace millrace
