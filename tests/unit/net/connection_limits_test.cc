// tests/unit/net/connection_limits_test.cc: counts per address and the creation rate.
#include "net/connection_limits.h"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

TEST(PerAddressLimit, CountsUpAndDown) {
    PerAddressLimit limit(2, {{"10.0.0.9", 0}, {"10.0.0.8", 3}});
    EXPECT_TRUE(limit.add("a"));
    EXPECT_TRUE(limit.add("a"));
    EXPECT_FALSE(limit.add("a"));
    EXPECT_TRUE(limit.add("b"));
    EXPECT_FALSE(limit.add("10.0.0.9"));
    EXPECT_EQ(limit.count("10.0.0.9"), 0U);
    limit.remove("a");
    EXPECT_TRUE(limit.add("a"));
    limit.remove("never seen");
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.add("10.0.0.8"));
    EXPECT_FALSE(limit.add("10.0.0.8"));
}

TEST(CreationRate, WaitsWhenTheSecondIsUsedUp) {
    CreationRate rate(10);
    Instant now = Instant{} + seconds(100);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(rate.take(now).nanos, 0) << i;
    const Duration wait = rate.take(now);
    EXPECT_NEAR(static_cast<double>(wait.nanos), 1e8, 1e6);
    EXPECT_EQ(rate.take(now + seconds(5)).nanos, 0);
}

TEST(CreationRate, ZeroHoldsEverybodyUntilTheLimitChanges) {
    CreationRate rate(0);
    const Instant now = Instant{} + seconds(100);
    EXPECT_EQ(rate.take(now), seconds(1));
    rate.set_limit(10);
    EXPECT_EQ(rate.take(now + seconds(1)).nanos, 0);
}

}  // namespace
}  // namespace millrace::net
