// tests/unit/net/timer_heap_test.cc: order, cancel and reuse of timers.
#include "net/timer_heap.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "millrace/base/rng.h"

namespace millrace::net {
namespace {

TEST(TimerHeap, FiresInOrderOfTime) {
    TimerHeap heap;
    std::vector<int> fired;
    for (const int t : {5, 1, 4, 2, 3}) heap.arm({t}, [&fired, t] { fired.push_back(t); });
    EXPECT_EQ(heap.earliest(), Instant{1});
    while (MoveFunction<void()> fire = heap.take_due({4})) fire();
    EXPECT_EQ(fired, (std::vector<int>{1, 2, 3, 4}));
    EXPECT_EQ(heap.earliest(), Instant{5});
}

TEST(TimerHeap, LateCancelHitsNobodyElse) {
    TimerHeap heap;
    const env::TimerId first = heap.arm({1}, [] {});
    heap.take_due({1})();
    const env::TimerId second = heap.arm({2}, [] {});
    EXPECT_NE(first, second);
    EXPECT_NE(first, env::kNoTimer);
    heap.cancel(first);
    heap.cancel(env::kNoTimer);
    heap.cancel(env::TimerId{77} << 32 | 12345);
    EXPECT_EQ(heap.size(), 1U);
    heap.cancel(second);
    heap.cancel(second);
    EXPECT_EQ(heap.earliest(), Instant::never());
}

TEST(TimerHeap, AgreesWithAModel) {
    TimerHeap heap;
    Rng rng(7);
    std::map<env::TimerId, int64_t> armed;
    int64_t fired_key = -1;  // the unique deadline of the one that fired last
    for (int step = 0; step < 20'000; ++step) {
        if (rng.chance(3, 5) || armed.empty()) {
            const int64_t when = rng.between(0, 1000) * 100'000 + step;  // no two are equal
            armed[heap.arm({when}, [&fired_key, when] { fired_key = when; })] = when;
        } else if (rng.chance(1, 2)) {
            auto it = armed.begin();
            std::advance(it, static_cast<long>(rng.below(armed.size())));
            heap.cancel(it->first);
            armed.erase(it);
        } else {
            auto least = armed.begin();
            for (auto it = armed.begin(); it != armed.end(); ++it) {
                if (it->second < least->second) least = it;
            }
            ASSERT_EQ(heap.earliest(), Instant{least->second});
            heap.take_due({least->second})();
            ASSERT_EQ(fired_key, least->second);
            armed.erase(least);
        }
        ASSERT_EQ(heap.size(), armed.size());
    }
}

}  // namespace
}  // namespace millrace::net
