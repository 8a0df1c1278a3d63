// tests/unit/coordinator/timer_queue_test.cc: deadlines that move, cancel and come due.
#include "coordinator/timer_queue.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace::coordinator {
namespace {

constexpr Instant at(int64_t ms) { return Instant{} + milliseconds(ms); }

std::string due(TimerQueue<std::string>& timers, int64_t now) {
    std::string all;
    for (std::string key; timers.pop_due(at(now), key);)
        all += key;
    return all;
}

TEST(TimerQueue, FiresInOrderOnce) {
    TimerQueue<std::string> timers;
    EXPECT_EQ(timers.wake_at(), Instant::never());
    timers.arm("b", at(20));
    timers.arm("a", at(10));
    timers.arm("c", at(30));
    EXPECT_EQ(timers.wake_at(), at(10));
    EXPECT_EQ(due(timers, 9), "");
    EXPECT_EQ(due(timers, 20), "ab");
    EXPECT_EQ(due(timers, 20), "");
    EXPECT_EQ(timers.size(), 1u);
}

TEST(TimerQueue, TheNewestDeadlineCounts) {
    TimerQueue<std::string> timers;
    timers.arm("a", at(10));
    timers.arm("a", at(50));  // later: the queue learns of it when the old place comes up
    EXPECT_EQ(due(timers, 49), "");
    EXPECT_TRUE(timers.armed("a"));
    timers.arm("a", at(20));  // earlier again
    EXPECT_EQ(timers.wake_at(), at(20));
    EXPECT_EQ(due(timers, 20), "a");
    EXPECT_FALSE(timers.armed("a"));
}

TEST(TimerQueue, WhatIsCancelledDoesNotFire) {
    TimerQueue<std::string> timers;
    timers.arm("a", at(10));
    timers.arm("b", at(10));
    timers.arm("a", at(90));
    timers.cancel("a");
    timers.cancel("nobody");
    EXPECT_EQ(due(timers, 1000), "b");
    timers.arm("a", at(5));
    timers.clear();
    EXPECT_EQ(timers.wake_at(), Instant::never());
}

}  // namespace
}  // namespace millrace::coordinator
