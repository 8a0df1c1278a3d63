// tests/unit/broker/broker_lifecycle_test.cc: from registration to the end of a controlled shutdown.
#include "broker/broker_lifecycle.h"

#include <gtest/gtest.h>

namespace millrace::broker {
namespace {

constexpr ErrorCode kOk = ErrorCode::None;

Instant at(int64_t ms) { return Instant{} + milliseconds(ms); }

TEST(BrokerLifecycle, RegistersCatchesUpLoadsAndServes) {
    BrokerLifecycle life({});
    LifecycleOutput out;
    life.on_start(at(0), out);
    EXPECT_TRUE(out.send_registration);
    out.clear();
    life.on_registration_answer(at(1), kOk, 12, out);
    EXPECT_TRUE(out.send_heartbeat);
    EXPECT_TRUE(life.want_fence());
    out.clear();
    life.on_heartbeat_answer(at(2), kOk, false, true, false, out);
    EXPECT_EQ(out.wake_at, at(12)) << "asks again every 10 ms until caught up";
    out.clear();
    life.on_image(at(3), out);
    EXPECT_TRUE(out.send_heartbeat) << "and at once when newer metadata is there";
    out.clear();
    life.on_heartbeat_answer(at(4), kOk, true, true, false, out);
    EXPECT_EQ(life.state(), BrokerLifecycle::State::Recovery);
    EXPECT_FALSE(out.became_running) << "the logs are not loaded";
    out.clear();
    life.on_logs_loaded(at(5), out);
    EXPECT_TRUE(out.send_heartbeat);
    EXPECT_FALSE(life.want_fence());
    out.clear();
    life.on_heartbeat_answer(at(6), kOk, true, false, false, out);
    EXPECT_TRUE(out.became_running);
    EXPECT_EQ(out.wake_at, at(2006));
}

TEST(BrokerLifecycle, RefusedRegistrationIsTriedAgain) {
    BrokerLifecycle life({});
    LifecycleOutput out;
    life.on_start(at(0), out);
    out.clear();
    life.on_registration_answer(at(1), ErrorCode::InvalidRegistration, -1, out);
    EXPECT_EQ(out.wake_at, at(2001));
    out.clear();
    life.on_tick(at(2001), out);
    EXPECT_TRUE(out.send_registration);
}

BrokerLifecycle running() {
    BrokerLifecycle life({});
    LifecycleOutput out;
    life.on_start(at(0), out);
    life.on_registration_answer(at(0), kOk, 7, out);
    life.on_logs_loaded(at(0), out);
    life.on_heartbeat_answer(at(0), kOk, true, false, false, out);
    EXPECT_TRUE(out.became_running);
    // The news of the loaded logs came while a heartbeat was in flight: one more follows.
    out.clear();
    life.on_heartbeat_answer(at(0), kOk, true, false, false, out);
    return life;
}

TEST(BrokerLifecycle, StopWaitsForTheControllersWord) {
    BrokerLifecycle life = running();
    LifecycleOutput out;
    life.on_stop_wanted(at(100), out);
    EXPECT_TRUE(out.send_heartbeat);
    EXPECT_TRUE(life.want_shut_down());
    out.clear();
    life.on_heartbeat_answer(at(101), kOk, true, false, false, out);
    EXPECT_FALSE(out.may_stop);
    EXPECT_EQ(out.wake_at, at(151));
    out.clear();
    life.on_tick(at(151), out);
    EXPECT_TRUE(out.send_heartbeat);
    out.clear();
    life.on_heartbeat_answer(at(152), kOk, true, true, true, out);
    EXPECT_TRUE(out.may_stop);
}

TEST(BrokerLifecycle, StopDoesNotWaitForEver) {
    BrokerLifecycle life = running();
    LifecycleOutput out;
    life.on_stop_wanted(at(0), out);
    out.clear();
    life.on_tick(at(300'000), out);
    EXPECT_TRUE(out.may_stop);
}

TEST(BrokerLifecycle, StopBeforeServingIsImmediate) {
    BrokerLifecycle life({});
    LifecycleOutput out;
    life.on_start(at(0), out);
    out.clear();
    life.on_stop_wanted(at(1), out);
    EXPECT_TRUE(out.may_stop);
}

TEST(BrokerLifecycle, NewsDuringAHeartbeatSendsAnother) {
    BrokerLifecycle life = running();
    LifecycleOutput out;
    life.on_news(at(10), out);
    EXPECT_TRUE(out.send_heartbeat);
    out.clear();
    life.on_news(at(11), out);
    EXPECT_FALSE(out.send_heartbeat) << "one is unanswered";
    life.on_heartbeat_answer(at(12), kOk, true, false, false, out);
    EXPECT_TRUE(out.send_heartbeat);
}

}  // namespace
}  // namespace millrace::broker
