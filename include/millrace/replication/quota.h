// include/millrace/replication/quota.h: bytes a second for replicas that move; pure.
//
// What it is: the rate over a row of windows, and whether it is above its bound. It refuses
//   nothing: the caller asks before it reads and tells afterwards, so that one answer may overshoot
//   and the next ones wait it out.
// Owner: broker/shard; one for what this broker serves as leader, one for what it fetches as
//   follower, one for copies between its own directories.
// Promises: with nothing recorded for all windows the bound is never exceeded, whatever it is.
// Requires: instants in the order they happened.
// Sources: kafka.server.ReplicationQuotaManager, metrics SimpleRate and SampledStat (KIP-73).
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/base/time.h"

namespace millrace::replication {

class ReplicationQuota {
  public:
    static constexpr int64_t kUnlimited = INT64_MAX;
    /// More windows than this are not kept; the rate is then taken over these.
    static constexpr int32_t kWindowsMax = 3600;
    struct Options {
        int32_t windows = 11;          // replication.quota.window.num
        Duration window = seconds(1);  // replication.quota.window.size.seconds
    };
    explicit ReplicationQuota(Options options);

    void set_bytes_per_second(int64_t rate) { rate_ = rate; }
    void record(Instant now, int64_t bytes);
    bool exceeded(Instant now);
    /// The first instant at which exceeded() is false, if nothing more is recorded.
    Instant free_at(Instant now);

  private:
    struct Sample {
        Instant start;
        Instant last;
        int64_t bytes = 0;
    };
    void forget_old(Instant now);

    Options options_;
    int64_t rate_ = kUnlimited;
    std::vector<Sample> samples_;  // by start; none after a silence of all windows
};

}  // namespace millrace::replication
