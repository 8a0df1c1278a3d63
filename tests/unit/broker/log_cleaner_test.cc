// tests/unit/broker/log_cleaner_test.cc: the cleaner's throttle, as tables.
#include "broker/log_cleaner.h"

#include <gtest/gtest.h>

#include <limits>

namespace millrace::broker {
namespace {

TEST(LogCleaner, PauseHoldsTheRate) {
    struct Case {
        uint64_t bytes;
        double rate;
        int64_t took_ms;
        int64_t pause_ms;
    };
    const Case cases[] = {
        {1'000'000, 1'000'000, 0, 1'000},  {1'000'000, 1'000'000, 400, 600},
        {1'000'000, 1'000'000, 1'500, 0},  {0, 1.0, 0, 0},
        {1'000'000, std::numeric_limits<double>::max(), 0, 0},
        {1'000'000, 0.0001, 0, 3'600'000}, {1'000'000, 0.0, 0, 0},
        {1'000'000, std::numeric_limits<double>::quiet_NaN(), 0, 0},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(cleaner_pause(c.bytes, c.rate, milliseconds(c.took_ms)).millis(), c.pause_ms)
            << c.bytes << " " << c.rate;
    }
}

TEST(LogCleaner, StepsAreBounded) {
    EXPECT_EQ(cleaner_step_bytes(std::numeric_limits<double>::max()), 4U << 20U);
    EXPECT_EQ(cleaner_step_bytes(1'000'000), 300'000U);
    EXPECT_EQ(cleaner_step_bytes(1.0), 64U << 10U);
    EXPECT_EQ(cleaner_step_bytes(std::numeric_limits<double>::quiet_NaN()), 64U << 10U);
}

}  // namespace
}  // namespace millrace::broker
