// tests/unit/broker/fetch_wait_test.cc: parked fetches wake once, unlink, and are never lost.
#include "millrace/broker/fetch_wait.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

namespace millrace::broker {
namespace {

struct ManualTimers final : env::Timers {
    std::map<env::TimerId, MoveFunction<void()>> armed;
    std::deque<MoveFunction<void()>> posted;
    env::TimerId next_id = 1;
    env::TimerId arm(Instant, MoveFunction<void()> fire) override {
        armed.emplace(next_id, std::move(fire));
        return next_id++;
    }
    void cancel(env::TimerId id) override { armed.erase(id); }
    void post(MoveFunction<void()> task) override { posted.push_back(std::move(task)); }
    void run_posted() {
        while (!posted.empty()) {
            MoveFunction<void()> task = std::move(posted.front());
            posted.pop_front();
            task();
        }
    }
    void run_timers() {
        auto due = std::move(armed);
        armed.clear();
        for (auto& [id, fire] : due) fire();
    }
};

struct Parked {
    std::shared_ptr<FetchWait> wait;
    int* wakes = nullptr;
};

Parked park(ManualTimers& timers, int& wakes, int64_t bytes,
            std::initializer_list<FetchWatchList*> lists) {
    auto wait = std::make_shared<FetchWait>(timers, bytes, [&wakes] { ++wakes; });
    wait->reserve(lists.size());
    for (FetchWatchList* list : lists) wait->watch(*list);
    wait->arm(Instant{1000}, wait);  // owns itself, as an operation would
    return {wait, &wakes};
}

TEST(FetchWait, WakesOnceWhenEnoughBytesCame) {
    ManualTimers timers;
    FetchWatchList a;
    FetchWatchList b;
    int wakes = 0;
    park(timers, wakes, 10, {&a, &b});
    a.notify(4);
    timers.run_posted();
    EXPECT_EQ(wakes, 0);
    b.notify(6);
    a.notify(100);
    EXPECT_EQ(wakes, 0) << "never inside the event";
    timers.run_posted();
    EXPECT_EQ(wakes, 1);
    EXPECT_TRUE(a.empty());
    EXPECT_TRUE(b.empty());
    EXPECT_TRUE(timers.armed.empty());
}

TEST(FetchWait, DeadlineWakes) {
    ManualTimers timers;
    FetchWatchList list;
    int wakes = 0;
    park(timers, wakes, 1, {&list});
    timers.run_timers();
    EXPECT_EQ(wakes, 1);
    EXPECT_TRUE(list.empty());
}

TEST(FetchWait, DyingPartitionWakesItsWatchers) {
    ManualTimers timers;
    FetchWatchList other;
    int wakes = 0;
    {
        FetchWatchList list;
        park(timers, wakes, 1, {&list, &other});
    }
    EXPECT_TRUE(other.empty());
    timers.run_posted();
    EXPECT_EQ(wakes, 1);
}

TEST(FetchWait, AbandonedOperationIsFreed) {
    ManualTimers timers;
    FetchWatchList list;
    int wakes = 0;
    std::weak_ptr<FetchWait> alive = park(timers, wakes, 1, {&list}).wait;
    ASSERT_FALSE(alive.expired());
    list.abandon_all();
    EXPECT_TRUE(alive.expired());
    EXPECT_TRUE(timers.armed.empty());
    EXPECT_EQ(wakes, 0);
}

}  // namespace
}  // namespace millrace::broker
