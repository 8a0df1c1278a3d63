// include/millrace/replication/leader.h: the leader side of one partition as a pure machine.
//
// What it is: owner of the high watermark, the in-sync replicas and the produce requests that wait
//   for them (acks=all). It never sees bytes; it is told where the log ends.
// Owner: broker/partition, on the partition's shard; one per partition this node leads.
// Promises: the high watermark never moves back within an epoch and never passes the end of any
//   in-sync replica's log; an acks=all waiter is released without error only at or below it.
// Requires: events in the order they happened; the caller carries out the output before the next.
// Sources: kafka.cluster.Partition (maybeIncrementLeaderHW, checkEnoughReplicasReachOffset),
//   KIP-679 (acks), kraft.md 3.4, dataplane.md B.4.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"

namespace millrace::replication {

/// The driver's name for one parked produce request of this partition.
using AckWaiterId = uint64_t;

struct AckDone {
    AckWaiterId waiter = 0;
    ErrorCode error = ErrorCode::None;
};

/// Carried out top to bottom by the driver, then cleared.
struct LeaderOutput {
    bool high_watermark_moved = false;
    std::vector<AckDone> acks;                // answers that became due
    Instant wake_at = Instant::never();       // next deadline; on_tick then

    void clear() {
        high_watermark_moved = false;
        acks.clear();
        wake_at = Instant::never();
    }
};

struct LeaderStart {
    NodeId self;
    LeaderEpoch epoch;
    int32_t partition_epoch = 0;
    std::vector<NodeId> replicas;
    std::vector<NodeId> isr;
    int32_t min_insync_replicas = 1;
    Offset log_end;
    Offset high_watermark;
};

class Leader {
  public:
    explicit Leader(LeaderStart start);

    Offset high_watermark() const { return high_watermark_; }
    LeaderEpoch epoch() const { return epoch_; }
    /// Where this epoch's own records begin; below it the watermark is still inherited.
    Offset epoch_start() const { return epoch_start_; }
    const std::vector<NodeId>& isr() const { return isr_; }

    /// NOT_ENOUGH_REPLICAS when acks=all must be refused before the append.
    ErrorCode check_acks_all() const;
    /// The leader's own log now ends at `log_end`.
    void on_appended(Offset log_end, LeaderOutput& output);
    /// A follower asked for `fetch_offset`, which proves that it has all below.
    void on_follower_fetch(NodeId follower, Offset fetch_offset, LeaderOutput& output);
    /// Parks until the high watermark reaches `required` or `deadline` passes. Answers at once
    /// in `output` when it already has.
    void park_ack(AckWaiterId waiter, Offset required, Instant deadline, Instant now,
                  LeaderOutput& output);
    /// The controller published new replicas, ISR or configuration in the same leader epoch.
    void on_partition_change(int32_t partition_epoch, std::vector<NodeId> replicas,
                             std::vector<NodeId> isr, LeaderOutput& output);
    void set_min_insync_replicas(int32_t count) { min_insync_replicas_ = count; }
    void on_tick(Instant now, LeaderOutput& output);
    /// Leadership or the log is lost: every waiter is answered with `error`.
    void on_resign(ErrorCode error, LeaderOutput& output);

    void check_invariants() const;

  private:
    struct Follower {
        NodeId id;
        Offset log_end;
    };
    struct AckWaiter {
        AckWaiterId id;
        Offset required;
        Instant deadline;
    };

    int32_t effective_min_isr() const;
    bool in_isr(NodeId node) const;
    void maybe_advance(LeaderOutput& output);
    void release_acks(LeaderOutput& output);
    void set_wake(LeaderOutput& output) const;

    NodeId self_;
    LeaderEpoch epoch_;
    int32_t partition_epoch_;
    std::vector<NodeId> replicas_;
    std::vector<NodeId> isr_;
    int32_t min_insync_replicas_;
    Offset log_end_;
    Offset epoch_start_;
    Offset high_watermark_;
    std::vector<Follower> followers_;   // every replica but self
    std::vector<AckWaiter> waiters_;    // sorted by required offset
};

}  // namespace millrace::replication
