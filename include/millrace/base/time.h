// include/millrace/base/time.h: values of time; no clock lives here.
//
// Instant is monotonic nanoseconds since an arbitrary start and drives every deadline. WallMs is
// what Kafka stores in records and files (milliseconds since 1970) and never drives a deadline.
// Both enter a machine as arguments; env/clock.h is the only place that reads them.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace millrace {

struct Duration {
    int64_t nanos = 0;
    friend constexpr auto operator<=>(const Duration&, const Duration&) = default;
    constexpr int64_t millis() const { return nanos / 1'000'000; }
    friend constexpr Duration operator+(Duration a, Duration b) { return {a.nanos + b.nanos}; }
    friend constexpr Duration operator-(Duration a, Duration b) { return {a.nanos - b.nanos}; }
    friend constexpr Duration operator*(Duration a, int64_t n) { return {a.nanos * n}; }
};

/// Saturates instead of overflowing: Kafka's "for ever" is Long.MAX_VALUE milliseconds.
constexpr Duration milliseconds(int64_t ms) {
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max() / 4'000'000;
    if (ms > kMax) ms = kMax;
    if (ms < -kMax) ms = -kMax;
    return {ms * 1'000'000};
}
constexpr Duration microseconds(int64_t us) { return {us * 1'000}; }
constexpr Duration seconds(int64_t s) { return milliseconds(s * 1'000); }

struct Instant {
    int64_t nanos = 0;
    friend constexpr auto operator<=>(const Instant&, const Instant&) = default;
    /// Later than every real instant: "never".
    static constexpr Instant never() { return {std::numeric_limits<int64_t>::max()}; }
    friend constexpr Instant operator+(Instant a, Duration d) {
        if (d.nanos > 0 && a.nanos > std::numeric_limits<int64_t>::max() - d.nanos) return never();
        return {a.nanos + d.nanos};
    }
    friend constexpr Duration operator-(Instant a, Instant b) { return {a.nanos - b.nanos}; }
};

struct WallMs {
    int64_t value = 0;
    friend constexpr auto operator<=>(const WallMs&, const WallMs&) = default;
};
/// Kafka's "no timestamp".
inline constexpr WallMs kNoTimestamp{-1};

}  // namespace millrace
