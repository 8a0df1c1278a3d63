// include/millrace/replication/leader.h: the leader side of one partition as a pure machine.
//
// What it is: owner of the high watermark, the in-sync replicas and the produce requests that wait
//   for them (acks=all). It never sees bytes; it is told where the log ends, what followers asked
//   for, and what the controller decided.
// Owner: broker/partition, on the partition's shard; one per partition this node leads.
// Promises: the high watermark never moves back within an epoch and never passes the end of any
//   in-sync replica's log, nor of one that is about to join them; an acks=all waiter is released
//   without error only at or below it; at most one proposal of a new ISR is in flight.
// Requires: events in the order they happened; the caller carries out the output before the next.
// Sources: kafka.cluster.Partition (maybeIncrementLeaderHW, maybeExpandIsr, maybeShrinkIsr,
//   checkEnoughReplicasReachOffset), KIP-497 (AlterPartition), KIP-841 (eligible replicas),
//   KIP-966 (strict min ISR), KIP-679 (acks), kraft.md 3.4, dataplane.md B.4.
#pragma once

#include <cstdint>
#include <optional>
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

/// A replica as AlterPartition names it; epoch -1 where it was never told.
struct ReplicaWithEpoch {
    NodeId id;
    BrokerEpoch epoch{-1};
    friend bool operator==(const ReplicaWithEpoch&, const ReplicaWithEpoch&) = default;
};

/// What the controller is to make the ISR (AlterPartition).
struct IsrProposal {
    LeaderEpoch epoch;
    int32_t partition_epoch = 0;
    std::vector<ReplicaWithEpoch> isr;  // the leader's own epoch is the driver's to fill in
    friend bool operator==(const IsrProposal&, const IsrProposal&) = default;
};

/// The controller's answer for one partition.
struct IsrDecision {
    ErrorCode error = ErrorCode::None;
    LeaderEpoch epoch;
    int32_t partition_epoch = 0;
    std::vector<NodeId> isr;
};

/// A fetch of a follower, with what the metadata says of its sender.
struct FollowerFetch {
    NodeId id;
    Offset fetch_offset;        // it has everything below
    BrokerEpoch broker_epoch{-1};  // as it says itself; -1: it does not say
    bool eligible = true;       // unfenced, not stopping, and registered with that epoch
};

/// Carried out top to bottom by the driver, then cleared.
struct LeaderOutput {
    bool high_watermark_moved = false;
    std::vector<AckDone> acks;                // answers that became due
    std::optional<IsrProposal> propose;       // on_isr_decision answers it
    Instant wake_at = Instant::never();       // next deadline; on_tick then

    void clear() {
        high_watermark_moved = false;
        acks.clear();
        propose.reset();
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
    Duration replica_lag_time_max = seconds(30);  // replica.lag.time.max.ms
    Instant now{};
};

/// A follower as the leader sees it; for fetch-from-follower and for printing.
struct FollowerView {
    NodeId id;
    Offset log_end = kNoOffset;
    bool in_isr = false;
};

class Leader {
  public:
    explicit Leader(LeaderStart start);

    Offset high_watermark() const { return high_watermark_; }
    LeaderEpoch epoch() const { return epoch_; }
    int32_t partition_epoch() const { return partition_epoch_; }
    /// Where this epoch's own records begin; below it the watermark is still inherited.
    Offset epoch_start() const { return epoch_start_; }
    /// As the controller last decided.
    const std::vector<NodeId>& isr() const { return isr_; }
    bool has_followers() const { return !followers_.empty(); }
    std::vector<FollowerView> followers() const;
    /// A member of the ISR has not fetched in this epoch: acks=all waits for its first fetch.
    bool awaits_first_fetch() const;

    /// NOT_ENOUGH_REPLICAS when acks=all must be refused before the append.
    ErrorCode check_acks_all() const;
    /// The leader's own log now ends at `log_end`.
    void on_appended(Instant now, Offset log_end, LeaderOutput& output);
    /// A follower was given what lies behind `fetch_offset`. An error is what it gets instead:
    /// UNKNOWN_LEADER_EPOCH when it is not (yet) a replica, NOT_LEADER_OR_FOLLOWER when it speaks
    /// for an earlier registration of its broker.
    ErrorCode on_follower_fetch(Instant now, const FollowerFetch& fetch, LeaderOutput& output);
    /// What the metadata says of a follower changed.
    void on_eligibility(Instant now, NodeId follower, bool eligible, LeaderOutput& output);
    /// Parks until the high watermark reaches `required` or `deadline` passes. Answers at once
    /// in `output` when it already has.
    void park_ack(AckWaiterId waiter, Offset required, Instant deadline, Instant now,
                  LeaderOutput& output);
    /// The controller published new replicas, ISR or configuration in the same leader epoch.
    void on_partition_change(Instant now, int32_t partition_epoch, std::vector<NodeId> replicas,
                             std::vector<NodeId> isr, LeaderOutput& output);
    /// The answer to the proposal in flight.
    void on_isr_decision(Instant now, const IsrDecision& decision, LeaderOutput& output);
    void set_min_insync_replicas(int32_t count) { min_insync_replicas_ = count; }
    void on_tick(Instant now, LeaderOutput& output);
    /// Leadership or the log is lost: every waiter is answered with `error`.
    void on_resign(ErrorCode error, LeaderOutput& output);

    void check_invariants() const;

  private:
    struct Follower {
        NodeId id;
        Offset log_end = kNoOffset;
        BrokerEpoch broker_epoch{-1};
        bool eligible = false;
        std::optional<Instant> last_caught_up;   // nothing: not in this epoch
        Instant last_fetch{};
        Offset leader_end_at_last_fetch = kNoOffset;
    };
    struct AckWaiter {
        AckWaiterId id;
        Offset required;
        Instant deadline;
    };

    int32_t effective_min_isr() const;
    bool in_isr(NodeId node) const;
    /// With a growing ISR in flight its new members count already; a shrinking one counts when it
    /// is decided.
    bool in_maximal_isr(NodeId node) const;
    bool caught_up(Instant now, const Follower& follower) const;
    void maybe_advance(Instant now, LeaderOutput& output);
    void maybe_expand(const Follower& follower, LeaderOutput& output);
    void maybe_shrink(Instant now, LeaderOutput& output);
    void propose(std::vector<NodeId> isr, LeaderOutput& output);
    void release_acks(LeaderOutput& output);
    void set_wake(LeaderOutput& output) const;

    NodeId self_;
    LeaderEpoch epoch_;
    int32_t partition_epoch_;
    std::vector<NodeId> replicas_;
    std::vector<NodeId> isr_;
    std::vector<NodeId> proposed_isr_;  // in flight; empty: nothing is
    int32_t min_insync_replicas_;
    Offset log_end_;
    Offset epoch_start_;
    Offset high_watermark_;
    Duration replica_lag_time_max_;
    Instant next_shrink_check_ = Instant::never();
    std::vector<Follower> followers_;   // every replica but self
    std::vector<AckWaiter> waiters_;    // sorted by required offset
};

}  // namespace millrace::replication
