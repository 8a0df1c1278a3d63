// tests/unit/storage/offset_map_test.cc: the table of latest offsets against a plain map.
#include "storage/offset_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "millrace/base/rng.h"

namespace millrace::storage {
namespace {

TEST(OffsetMap, LastPutWinsAndUnknownKeysAreAbsent) {
    OffsetMap map(24 * 100, 0.9);
    EXPECT_EQ(map.slots(), 100U);
    EXPECT_EQ(map.keys_max(), 90U);
    EXPECT_EQ(map.latest_offset(), kNoOffset);
    map.put(ByteView("a"), Offset(3));
    map.put(ByteView("b"), Offset(4));
    map.put(ByteView("a"), Offset(9));
    EXPECT_EQ(map.get(ByteView("a")), Offset(9));
    EXPECT_EQ(map.get(ByteView("b")), Offset(4));
    EXPECT_EQ(map.get(ByteView("c")), kNoOffset);
    EXPECT_EQ(map.size(), 2U);
    EXPECT_EQ(map.latest_offset(), Offset(9));
    map.set_latest_offset(Offset(12));
    EXPECT_EQ(map.latest_offset(), Offset(12));
}

TEST(OffsetMap, DefaultMemoryHoldsAsManyKeysAsKafkas) {
    EXPECT_EQ(OffsetMap(134'217'728, 0.9).keys_max(), 5'033'164U);
}

TEST(OffsetMap, AnySettingLeavesRoomForOneKeyAndOneGap) {
    struct Case {
        uint64_t memory;
        double load;
        uint64_t keys;
    };
    for (const Case& c : {Case{0, 0.9, 1}, Case{24, 5.0, 1}, Case{72, 1.0, 2}, Case{240, 0.0, 1},
                          Case{240, -1.0, 1}, Case{240, 99.0, 9}}) {
        OffsetMap map(c.memory, c.load);
        EXPECT_EQ(map.keys_max(), c.keys) << c.memory << " " << c.load;
        for (uint64_t i = 0; i < c.keys; ++i) map.put(ByteView(std::to_string(i)), Offset(1));
        EXPECT_TRUE(map.full());
        EXPECT_EQ(map.get(ByteView("none")), kNoOffset);
    }
}

TEST(OffsetMap, AgreesWithAMap) {
    OffsetMap map(24 * 512, 1.0);
    std::map<std::string, int64_t> model;
    Rng rng(7);
    for (int64_t i = 0; i < 5000; ++i) {
        const std::string key = "key-" + std::to_string(rng.next() % 500);
        map.put(ByteView(key), Offset(i));
        model[key] = i;
    }
    EXPECT_EQ(map.size(), model.size());
    for (const auto& [key, offset] : model) EXPECT_EQ(map.get(ByteView(key)), Offset(offset));
}

}  // namespace
}  // namespace millrace::storage
