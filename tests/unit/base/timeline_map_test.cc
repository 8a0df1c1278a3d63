// tests/unit/base/timeline_map_test.cc: speculative writes vanish, committed ones stay.
#include "millrace/base/timeline_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "millrace/base/rng.h"

namespace millrace {
namespace {

TEST(Timeline, RevertsToAnyMark) {
    Timeline timeline;
    TimelineMap<std::string, int> map(timeline);
    TimelineValue<int> epoch(timeline, 0);
    timeline.mark_committed(Offset(0));
    map.set("kept", 1);
    epoch.set(1);
    EXPECT_EQ(timeline.undo_size(), 0u);

    timeline.mark(Offset(10));
    map.set("kept", 2);
    map.set("new", 3);
    epoch.set(2);
    timeline.mark(Offset(20));
    map.erase("kept");
    map.update("new", [](int& value) { ++value; });
    epoch.set(3);
    EXPECT_FALSE(map.contains("kept"));
    EXPECT_EQ(*map.find("new"), 4);

    timeline.revert_to(Offset(20));
    EXPECT_EQ(*map.find("kept"), 2);
    EXPECT_EQ(*map.find("new"), 3);
    EXPECT_EQ(epoch.get(), 2);
    timeline.revert_to(Offset(10));
    EXPECT_EQ(*map.find("kept"), 1);
    EXPECT_FALSE(map.contains("new"));
    EXPECT_EQ(epoch.get(), 1);
}

TEST(Timeline, CommittedPartIsFinal) {
    Timeline timeline;
    TimelineMap<int, int> map(timeline);
    timeline.mark(Offset(1));
    map.set(1, 1);
    timeline.mark(Offset(2));
    map.set(2, 2);
    timeline.forget_below(Offset(2));
    timeline.revert_to(Offset(0));
    EXPECT_TRUE(map.contains(1));
    EXPECT_FALSE(map.contains(2));
}

TEST(Timeline, ClearCanBeReverted) {
    Timeline timeline;
    TimelineMap<int, int> map(timeline);
    for (int i = 0; i < 5; ++i)
        map.set(i, i);
    timeline.mark(Offset(1));
    map.clear();
    EXPECT_TRUE(map.empty());
    timeline.revert_to(Offset(1));
    EXPECT_EQ(map.size(), 5u);
}

TEST(Timeline, AgreesWithSavedCopies) {
    Rng rng(11);
    Timeline timeline;
    TimelineMap<int, int> map(timeline);
    std::map<int64_t, std::map<int, int>> saved;
    int64_t at = 0;
    for (int step = 0; step < 3000; ++step) {
        if (rng.chance(1, 20)) {
            timeline.mark(Offset(++at));
            saved[at] = {map.begin(), map.end()};
        }
        if (at > 0 && rng.chance(1, 200)) {
            const int64_t back = rng.between(1, at);
            timeline.revert_to(Offset(back));
            EXPECT_EQ((std::map<int, int>(map.begin(), map.end())), saved[back]);
            at = back;
            timeline.mark(Offset(at));
            saved.erase(saved.upper_bound(back), saved.end());
        }
        const int key = static_cast<int>(rng.below(50));
        if (rng.chance(1, 3)) {
            map.erase(key);
        } else {
            map.set(key, step);
        }
    }
}

}  // namespace
}  // namespace millrace
