// tests/unit/base/varint_test.cc: sizes, round trips and refusals of variable-length integers.
#include "millrace/base/varint.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace millrace {
namespace {

TEST(Varint, KnownBytes) {
    struct Row {
        int32_t number;
        std::vector<uint8_t> bytes;
    };
    const Row rows[] = {
        {0, {0x00}}, {-1, {0x01}}, {1, {0x02}}, {63, {0x7e}}, {-64, {0x7f}}, {64, {0x80, 0x01}},
        {8191, {0xfe, 0x7f}}, {-8193, {0x81, 0x80, 0x01}},
        {std::numeric_limits<int32_t>::max(), {0xfe, 0xff, 0xff, 0xff, 0x0f}},
        {std::numeric_limits<int32_t>::min(), {0xff, 0xff, 0xff, 0xff, 0x0f}},
    };
    for (const Row& row : rows) {
        uint8_t room[kVarintBytesMax];
        uint8_t* end = write_varint(room, row.number);
        EXPECT_EQ(std::vector<uint8_t>(room, end), row.bytes) << row.number;
        EXPECT_EQ(varint_size(row.number), row.bytes.size()) << row.number;
        int32_t back = 0;
        EXPECT_EQ(read_varint(room, end, back), end);
        EXPECT_EQ(back, row.number);
        for (size_t cut = 0; cut < row.bytes.size(); ++cut) {
            EXPECT_EQ(read_varint(room, room + cut, back), nullptr) << row.number;
        }
    }
}

TEST(Varint, LongRoundTripAtEveryBitWidth) {
    for (int bit = 0; bit < 64; ++bit) {
        for (const int64_t number : {static_cast<int64_t>(1ULL << bit),
                                     static_cast<int64_t>(~(1ULL << bit)),
                                     static_cast<int64_t>((1ULL << bit) - 1)}) {
            uint8_t room[kVarlongBytesMax];
            uint8_t* end = write_varlong(room, number);
            EXPECT_EQ(static_cast<size_t>(end - room), varlong_size(number));
            int64_t back = 0;
            ASSERT_EQ(read_varlong(room, end, back), end);
            EXPECT_EQ(back, number);
        }
    }
}

TEST(Varint, RefusesTooLongNumbers) {
    const std::vector<uint8_t> eleven(11, 0x80);
    uint32_t small = 0;
    uint64_t large = 0;
    EXPECT_EQ(read_unsigned_varint(eleven.data(), eleven.data() + 11, small), nullptr);
    EXPECT_EQ(read_unsigned_varlong(eleven.data(), eleven.data() + 11, large), nullptr);
}

TEST(Varint, DropsBitsBeyondTheWidth) {
    const uint8_t wide[] = {0xff, 0xff, 0xff, 0xff, 0x7f};  // 35 bits of ones
    uint32_t n = 0;
    EXPECT_EQ(read_unsigned_varint(wide, wide + 5, n), wide + 5);
    EXPECT_EQ(n, 0xffffffffU);
}

}  // namespace
}  // namespace millrace
