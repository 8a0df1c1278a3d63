// tests/unit/base/pending_by_offset_test.cc: release in order, take back after a failure.
#include "millrace/base/pending_by_offset.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

TEST(PendingByOffset, ReleasesBelowTheHighWatermarkInOrder) {
    PendingByOffset<std::string> pending;
    pending.park(Offset(5), "a");
    pending.park(Offset(5), "b");
    pending.park(Offset(9), "c");
    std::vector<std::string> out;
    pending.release(Offset(5), out);
    EXPECT_TRUE(out.empty());
    pending.release(Offset(6), out);
    EXPECT_EQ(out, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(pending.last_offset(), Offset(9));
    pending.release(Offset(100), out);
    EXPECT_EQ(out.size(), 3u);
    EXPECT_TRUE(pending.empty());
}

TEST(PendingByOffset, TakesBackTheTail) {
    PendingByOffset<int> pending;
    for (int i = 0; i < 6; ++i)
        pending.park(Offset(i), i);
    std::vector<int> out;
    pending.take_from(Offset(4), out);
    EXPECT_EQ(out, (std::vector<int>{4, 5}));
    EXPECT_EQ(pending.size(), 4u);
    out.clear();
    pending.take_all(out);
    EXPECT_EQ(out, (std::vector<int>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace millrace
