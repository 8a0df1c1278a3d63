// tests/unit/replication/quota_test.cc: the rate over windows, and when it has run off.
#include "millrace/replication/quota.h"

#include <gtest/gtest.h>

namespace millrace::replication {
namespace {

Instant at(int64_t ms) { return Instant{} + milliseconds(1'000'000 + ms); }

ReplicationQuota quota(int64_t rate, int32_t windows = 11) {
    ReplicationQuota made({windows, seconds(1)});
    made.set_bytes_per_second(rate);
    return made;
}

TEST(ReplicationQuota, WithoutABoundNothingIsTooMuch) {
    ReplicationQuota unbounded({11, seconds(1)});
    unbounded.record(at(0), INT64_MAX);
    unbounded.record(at(0), INT64_MAX);
    EXPECT_FALSE(unbounded.exceeded(at(0)));
}

TEST(ReplicationQuota, TheFirstWindowCountsWhole) {
    auto q = quota(1000);
    EXPECT_FALSE(q.exceeded(at(0)));
    q.record(at(0), 1000);
    EXPECT_FALSE(q.exceeded(at(0))) << "1000 bytes in one second";
    q.record(at(10), 1);
    EXPECT_TRUE(q.exceeded(at(10)));
    EXPECT_EQ(q.free_at(at(10)), at(1001));
    EXPECT_FALSE(q.exceeded(at(1001)));
}

TEST(ReplicationQuota, TimeMakesUpForALargeAnswer) {
    auto q = quota(100);
    q.record(at(0), 550);
    EXPECT_EQ(q.free_at(at(0)), at(5500));
    q.record(at(5500), 100);
    EXPECT_EQ(q.free_at(at(5500)), at(6500));
}

TEST(ReplicationQuota, WhatIsOlderThanAllWindowsIsForgotten) {
    auto q = quota(1);
    q.record(at(0), 1'000'000);
    EXPECT_EQ(q.free_at(at(1)), at(11'000));
    q.record(at(5000), 1'000'000);
    EXPECT_EQ(q.free_at(at(5000)), at(16'000));
    EXPECT_TRUE(q.exceeded(at(15'999)));
    EXPECT_FALSE(q.exceeded(at(16'000)));
    auto none = quota(0);
    EXPECT_FALSE(none.exceeded(at(0))) << "as in Kafka: nothing is not more than nothing";
    none.record(at(0), 1);
    EXPECT_EQ(none.free_at(at(0)), at(11'000));
}

TEST(ReplicationQuota, AskingAheadForgetsNothing) {
    auto q = quota(10);
    q.record(at(0), 1000);
    q.record(at(3000), 1000);
    const Instant free = q.free_at(at(3000));
    EXPECT_EQ(q.free_at(at(3000)), free);
    EXPECT_EQ(free, at(14'000));
}

TEST(ReplicationQuota, HoldsARateOverTime) {
    for (const int32_t windows : {2, 11}) {
        auto q = quota(50'000, windows);
        int64_t sent = 0;
        for (Instant now = at(0); now < at(60'000); now = now + milliseconds(10)) {
            if (q.exceeded(now)) continue;
            q.record(now, 20'000);
            sent += 20'000;
        }
        EXPECT_NEAR(static_cast<double>(sent) / 60, 50'000, 5'000) << windows << " windows";
    }
}

TEST(ReplicationQuota, ARaisedBoundFreesAtOnce) {
    auto q = quota(10);
    q.record(at(0), 1000);
    EXPECT_TRUE(q.exceeded(at(500)));
    q.set_bytes_per_second(1000);
    EXPECT_FALSE(q.exceeded(at(500)));
    q.set_bytes_per_second(ReplicationQuota::kUnlimited);
    EXPECT_EQ(q.free_at(at(500)), at(500));
}

}  // namespace
}  // namespace millrace::replication
