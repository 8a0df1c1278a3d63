// tests/unit/base/crc32c_test.cc: known checksums, equal results at every length, combination.
#include "millrace/base/crc32c.h"

#include <gtest/gtest.h>

#include <vector>

#include "millrace/base/rng.h"

namespace millrace {
namespace {

// One bit at a time, straight from the definition.
uint32_t slow_crc32c(ByteView bytes) {
    uint32_t crc = ~0U;
    for (const uint8_t byte : bytes) {
        crc ^= byte;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
        }
    }
    return ~crc;
}

std::vector<uint8_t> random_bytes(size_t size, uint64_t seed) {
    Rng rng(seed);
    std::vector<uint8_t> bytes(size);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
    return bytes;
}

TEST(Crc32c, KnownValues) {  // RFC 3720, B.4
    EXPECT_EQ(crc32c(ByteView()), 0U);
    EXPECT_EQ(crc32c(ByteView("123456789")), 0xe3069283U);
    const std::vector<uint8_t> zeros(32, 0);
    EXPECT_EQ(crc32c({zeros.data(), 32}), 0x8a9136aaU);
    const std::vector<uint8_t> ones(32, 0xff);
    EXPECT_EQ(crc32c({ones.data(), 32}), 0x62a8ab43U);
}

TEST(Crc32c, EveryLengthAndAlignment) {
    const std::vector<uint8_t> bytes = random_bytes(1200, 1);
    for (size_t size = 0; size < 1100; size += size < 300 ? 1 : 37) {
        for (const size_t from : {0, 1, 5, 8}) {
            const ByteView view(bytes.data() + from, size);
            ASSERT_EQ(crc32c(view), slow_crc32c(view)) << size << " from " << from;
        }
    }
}

TEST(Crc32c, ExtendAndCombineEqualTheWhole) {
    const std::vector<uint8_t> bytes = random_bytes(5000, 2);
    const ByteView all(bytes.data(), bytes.size());
    for (const size_t cut : {0U, 1U, 7U, 255U, 256U, 1024U, 4999U, 5000U}) {
        const uint32_t first = crc32c(all.sub(0, cut));
        const uint32_t rest = crc32c(all.from(cut));
        EXPECT_EQ(crc32c_extend(first, all.from(cut)), crc32c(all)) << cut;
        EXPECT_EQ(crc32c_combine(first, rest, bytes.size() - cut), crc32c(all)) << cut;
    }
}

}  // namespace
}  // namespace millrace
