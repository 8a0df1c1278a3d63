// tests/unit/replication/fetcher_test.cc: sessions, pauses and positions towards one leader.
#include "millrace/replication/fetcher.h"

#include <gtest/gtest.h>

namespace millrace::replication {
namespace {

const FetchKey kA{Uuid{1, 1}, PartitionIndex(0)};
const FetchKey kB{Uuid{1, 1}, PartitionIndex(1)};

FetchPosition at(int64_t offset, int32_t epoch = 0) {
    return {LeaderEpoch(epoch), Offset(offset), LeaderEpoch(epoch), Offset(0)};
}
Instant ms(int64_t n) { return Instant{} + milliseconds(n); }

TEST(Fetcher, OpensASessionAndSendsOnlyWhatChanged) {
    Fetcher fetcher({});
    EXPECT_FALSE(fetcher.next(ms(0)).has_value()) << "nothing is followed";
    fetcher.follow(kA, at(0));
    fetcher.follow(kB, at(5));
    auto plan = fetcher.next(ms(0));
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->session_id, 0);
    EXPECT_EQ(plan->session_epoch, 0);
    EXPECT_EQ(plan->changed.size(), 2U);
    EXPECT_FALSE(fetcher.next(ms(0)).has_value()) << "one request in flight";
    EXPECT_EQ(fetcher.asked_for(kB), at(5));
    fetcher.on_position(kA, at(3));
    EXPECT_TRUE(fetcher.on_answered(ms(1), ErrorCode::None, 77));

    plan = fetcher.next(ms(1));
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->session_id, 77);
    EXPECT_EQ(plan->session_epoch, 1);
    ASSERT_EQ(plan->changed.size(), 1U);
    EXPECT_EQ(plan->changed[0].second, at(3));
    EXPECT_TRUE(fetcher.on_answered(ms(2), ErrorCode::None, 77));

    fetcher.unfollow(kB);
    plan = fetcher.next(ms(2));
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->session_epoch, 2);
    EXPECT_TRUE(plan->changed.empty());
    EXPECT_EQ(plan->forgotten, std::vector<FetchKey>{kB});
}

TEST(Fetcher, HoldsAThrottledPartitionWhileOthersGoOn) {
    Fetcher fetcher({});
    fetcher.follow(kA, at(0));
    fetcher.follow(kB, at(5));
    fetcher.hold(kA, ms(500));
    auto plan = fetcher.next(ms(0));
    ASSERT_TRUE(plan.has_value());
    ASSERT_EQ(plan->changed.size(), 1U);
    EXPECT_EQ(plan->changed[0].first, kB);
    EXPECT_TRUE(fetcher.on_answered(ms(1), ErrorCode::None, 7));
    fetcher.hold(kB, ms(300));
    fetcher.hold(kB, ms(200));
    EXPECT_FALSE(fetcher.next(ms(299)).has_value());
    EXPECT_EQ(fetcher.wake_at(ms(299)), ms(300));
    fetcher.follow(kA, at(1));
    plan = fetcher.next(ms(299));
    ASSERT_TRUE(plan.has_value()) << "a new leader or epoch starts without a hold";
    EXPECT_EQ(plan->changed.at(0).first, kA);
}

TEST(Fetcher, PausesOnePartitionAndComesBackToIt) {
    Fetcher fetcher({milliseconds(100)});
    fetcher.follow(kA, at(0));
    ASSERT_TRUE(fetcher.next(ms(0)).has_value());
    fetcher.pause(ms(1), kA);
    EXPECT_TRUE(fetcher.on_answered(ms(1), ErrorCode::None, 7));
    EXPECT_FALSE(fetcher.next(ms(1)).has_value());
    EXPECT_EQ(fetcher.wake_at(ms(1)), ms(21));
    EXPECT_TRUE(fetcher.next(ms(21)).has_value());
    fetcher.suspend(kA);
    EXPECT_TRUE(fetcher.on_answered(ms(22), ErrorCode::None, 7));
    EXPECT_EQ(fetcher.wake_at(ms(22)), Instant::never()) << "only follow() takes it up again";
    fetcher.follow(kA, at(9));
    EXPECT_TRUE(fetcher.next(ms(22)).has_value());
}

TEST(Fetcher, PausesGrowAndBeginAgainAfterAGoodWhile) {
    Fetcher fetcher({milliseconds(100)});
    fetcher.follow(kA, at(0));
    int64_t now = 0;
    for (const int64_t wait : {20, 40, 80, 100, 100}) {
        ASSERT_TRUE(fetcher.next(ms(now)).has_value());
        fetcher.pause(ms(now), kA);
        EXPECT_TRUE(fetcher.on_answered(ms(now), ErrorCode::None, 7));
        EXPECT_EQ(fetcher.wake_at(ms(now)), ms(now + wait));
        now += wait;
    }
    now += 100;
    ASSERT_TRUE(fetcher.next(ms(now)).has_value());
    fetcher.pause(ms(now), kA);
    EXPECT_TRUE(fetcher.on_answered(ms(now), ErrorCode::None, 7));
    EXPECT_EQ(fetcher.wake_at(ms(now)), ms(now + 20));
}

TEST(Fetcher, WhatLeavesTheSessionIsForgottenOnceAndWhatComesBackIsSentAgain) {
    Fetcher fetcher({milliseconds(100)});
    fetcher.follow(kA, at(0));
    fetcher.follow(kB, at(0));
    ASSERT_TRUE(fetcher.next(ms(0)).has_value());
    fetcher.unfollow(kA);
    EXPECT_TRUE(fetcher.on_answered(ms(1), ErrorCode::None, 7));
    auto plan = fetcher.next(ms(1));
    ASSERT_TRUE(plan.has_value());
    EXPECT_TRUE(plan->changed.empty());
    EXPECT_EQ(plan->forgotten, std::vector<FetchKey>{kA});
    fetcher.follow(kA, at(0));
    EXPECT_TRUE(fetcher.on_answered(ms(2), ErrorCode::None, 7));
    plan = fetcher.next(ms(2));
    ASSERT_TRUE(plan.has_value());
    ASSERT_EQ(plan->changed.size(), 1U);
    EXPECT_EQ(plan->changed[0].first, kA);
    EXPECT_TRUE(plan->forgotten.empty());
    // Gone and back between two requests: the leader has it, so it is sent as changed.
    fetcher.unfollow(kA);
    fetcher.follow(kA, at(3));
    EXPECT_TRUE(fetcher.on_answered(ms(3), ErrorCode::None, 7));
    plan = fetcher.next(ms(3));
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->changed.size(), 1U);
    EXPECT_TRUE(plan->forgotten.empty());
    // Back, but held: the leader must not go on reading it.
    fetcher.unfollow(kA);
    fetcher.follow(kA, at(3));
    fetcher.hold(kA, ms(100));
    EXPECT_TRUE(fetcher.on_answered(ms(4), ErrorCode::None, 7));
    plan = fetcher.next(ms(4));
    ASSERT_TRUE(plan.has_value());
    EXPECT_TRUE(plan->changed.empty());
    EXPECT_EQ(plan->forgotten, std::vector<FetchKey>{kA});
}

TEST(Fetcher, AForgottenSessionIsOpenedAgainAtOnceAFailureWaits) {
    Fetcher fetcher({milliseconds(100)});
    fetcher.follow(kA, at(0));
    ASSERT_TRUE(fetcher.next(ms(0)).has_value());
    EXPECT_TRUE(fetcher.on_answered(ms(1), ErrorCode::None, 7));
    ASSERT_TRUE(fetcher.next(ms(1)).has_value());
    EXPECT_FALSE(fetcher.on_answered(ms(2), ErrorCode::FetchSessionIdNotFound, 0));
    auto plan = fetcher.next(ms(2));
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->session_id, 0);
    EXPECT_EQ(plan->session_epoch, 0);
    EXPECT_EQ(plan->changed.size(), 1U);
    EXPECT_TRUE(fetcher.on_answered(ms(3), ErrorCode::None, 8));
    ASSERT_TRUE(fetcher.next(ms(3)).has_value());
    fetcher.on_failed(ms(4));
    EXPECT_FALSE(fetcher.next(ms(5)).has_value());
    EXPECT_EQ(fetcher.wake_at(ms(5)), ms(104));
    plan = fetcher.next(ms(104));
    ASSERT_TRUE(plan.has_value());
    EXPECT_EQ(plan->session_id, 8) << "so that the leader closes the old one";
    EXPECT_EQ(plan->session_epoch, 0);
    EXPECT_EQ(plan->changed.size(), 1U);
}

TEST(Fetcher, WhatWasMovedMeanwhileIsNotAnswered) {
    Fetcher fetcher({});
    fetcher.follow(kA, at(0, 1));
    ASSERT_TRUE(fetcher.next(ms(0)).has_value());
    fetcher.follow(kA, at(0, 2));
    EXPECT_FALSE(fetcher.asked_for(kA).has_value()) << "the answer is of the old leadership";
    EXPECT_FALSE(fetcher.asked_for(kB).has_value());
}

}  // namespace
}  // namespace millrace::replication
