// src/replication/quota.cc: samples, their sum, and when it has run off.
#include "millrace/replication/quota.h"

#include <algorithm>
#include <cmath>

namespace millrace::replication {

namespace {
constexpr double kNanosPerSecond = 1e9;
}

ReplicationQuota::ReplicationQuota(Options options) : options_(options) {
    options_.windows = std::clamp(options_.windows, 1, kWindowsMax);
    options_.window = std::max(options_.window, milliseconds(1));
}

void ReplicationQuota::forget_old(Instant now) {
    const Duration age = options_.window * options_.windows;
    std::erase_if(samples_, [&](const Sample& sample) { return now - sample.last >= age; });
}

void ReplicationQuota::record(Instant now, int64_t bytes) {
    if (bytes <= 0) return;
    forget_old(now);
    if (samples_.empty() || now - samples_.back().start >= options_.window) {
        samples_.push_back({now, now, 0});
        // One more than the windows, for the one that the first instant of the row cuts.
        if (samples_.size() > static_cast<size_t>(options_.windows) + 1) {
            samples_.erase(samples_.begin());
        }
    }
    samples_.back().last = now;
    samples_.back().bytes += std::min(bytes, INT64_MAX / (kWindowsMax + 1) - samples_.back().bytes);
}

Instant ReplicationQuota::free_at(Instant now) {
    if (rate_ == kUnlimited) return now;
    forget_old(now);
    int64_t bytes = 0;
    for (const Sample& sample : samples_) bytes += sample.bytes;
    // Either time makes the rate small enough, or the oldest sample leaves the row before.
    for (const Sample& oldest : samples_) {
        const double nanos = rate_ <= 0 ? HUGE_VAL
                                        : std::ceil(static_cast<double>(bytes) /
                                                    static_cast<double>(rate_) * kNanosPerSecond);
        // The first window counts whole from its first byte on.
        const Duration passed = std::max(now - oldest.start, options_.window);
        if (static_cast<double>(passed.nanos) >= nanos) return now;
        const Instant expiry = oldest.last + options_.window * options_.windows;
        if (nanos < static_cast<double>((expiry - oldest.start).nanos)) {
            return std::max(oldest.start + Duration{static_cast<int64_t>(nanos)}, now);
        }
        bytes -= oldest.bytes;
        now = std::max(now, expiry);
    }
    return now;
}

bool ReplicationQuota::exceeded(Instant now) { return free_at(now) > now; }

}  // namespace millrace::replication
