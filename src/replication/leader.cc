// src/replication/leader.cc: when the high watermark moves and which acks it releases.
#include "millrace/replication/leader.h"

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::replication {

Leader::Leader(LeaderStart start)
    : self_(start.self),
      epoch_(start.epoch),
      partition_epoch_(start.partition_epoch),
      replicas_(std::move(start.replicas)),
      isr_(std::move(start.isr)),
      min_insync_replicas_(start.min_insync_replicas),
      log_end_(start.log_end),
      epoch_start_(start.log_end),
      high_watermark_(start.high_watermark) {
    MILLRACE_ASSERT(high_watermark_ <= log_end_, "the watermark lies inside the log");
    for (const NodeId replica : replicas_) {
        if (replica != self_) followers_.push_back({replica, kNoOffset});
    }
    // A sole in-sync replica has nobody to wait for: its whole log is committed.
    LeaderOutput ignored;
    maybe_advance(ignored);
    check_invariants();
}

int32_t Leader::effective_min_isr() const {
    return std::min(min_insync_replicas_, static_cast<int32_t>(replicas_.size()));
}

bool Leader::in_isr(NodeId node) const {
    return std::find(isr_.begin(), isr_.end(), node) != isr_.end();
}

ErrorCode Leader::check_acks_all() const {
    return static_cast<int32_t>(isr_.size()) < effective_min_isr() ? ErrorCode::NotEnoughReplicas
                                                                    : ErrorCode::None;
}

void Leader::on_appended(Offset log_end, LeaderOutput& output) {
    MILLRACE_ASSERT(log_end >= log_end_, "a leader's log only grows");
    log_end_ = log_end;
    maybe_advance(output);
    if (!waiters_.empty()) set_wake(output);
}

void Leader::on_follower_fetch(NodeId follower, Offset fetch_offset, LeaderOutput& output) {
    for (Follower& known : followers_) {
        if (known.id != follower) continue;
        known.log_end = std::min(fetch_offset, log_end_);
        maybe_advance(output);
        break;
    }
    set_wake(output);
}

void Leader::park_ack(AckWaiterId waiter, Offset required, Instant deadline, Instant now,
                      LeaderOutput& output) {
    if (high_watermark_ >= required) {
        output.acks.push_back({waiter, check_acks_all() == ErrorCode::None
                                           ? ErrorCode::None
                                           : ErrorCode::NotEnoughReplicasAfterAppend});
    } else if (deadline <= now) {
        output.acks.push_back({waiter, ErrorCode::RequestTimedOut});
    } else {
        const auto place = std::upper_bound(
            waiters_.begin(), waiters_.end(), required,
            [](Offset offset, const AckWaiter& w) { return offset < w.required; });
        waiters_.insert(place, {waiter, required, deadline});
    }
    set_wake(output);
}

void Leader::on_partition_change(int32_t partition_epoch, std::vector<NodeId> replicas,
                                 std::vector<NodeId> isr, LeaderOutput& output) {
    if (partition_epoch < partition_epoch_) return;
    partition_epoch_ = partition_epoch;
    replicas_ = std::move(replicas);
    isr_ = std::move(isr);
    std::vector<Follower> followers;
    for (const NodeId replica : replicas_) {
        if (replica == self_) continue;
        Offset end = kNoOffset;
        for (const Follower& known : followers_) {
            if (known.id == replica) end = known.log_end;
        }
        followers.push_back({replica, end});
    }
    followers_ = std::move(followers);
    maybe_advance(output);
    set_wake(output);
}

void Leader::maybe_advance(LeaderOutput& output) {
    Offset committed = log_end_;
    for (const Follower& follower : followers_) {
        if (in_isr(follower.id)) committed = std::min(committed, follower.log_end);
    }
    if (committed > high_watermark_) {
        high_watermark_ = committed;
        output.high_watermark_moved = true;
        if (!waiters_.empty()) release_acks(output);
    }
    MILLRACE_ASSERT(high_watermark_ <= log_end_, "HW <= LEO");
}

void Leader::release_acks(LeaderOutput& output) {
    const ErrorCode error = check_acks_all() == ErrorCode::None
                                ? ErrorCode::None
                                : ErrorCode::NotEnoughReplicasAfterAppend;
    auto end = waiters_.begin();
    while (end != waiters_.end() && end->required <= high_watermark_) {
        output.acks.push_back({end->id, error});
        ++end;
    }
    waiters_.erase(waiters_.begin(), end);
}

void Leader::on_tick(Instant now, LeaderOutput& output) {
    auto kept = waiters_.begin();
    for (AckWaiter& waiter : waiters_) {
        if (waiter.deadline <= now) {
            output.acks.push_back({waiter.id, ErrorCode::RequestTimedOut});
        } else {
            *kept++ = waiter;
        }
    }
    waiters_.erase(kept, waiters_.end());
    set_wake(output);
}

void Leader::on_resign(ErrorCode error, LeaderOutput& output) {
    for (const AckWaiter& waiter : waiters_) output.acks.push_back({waiter.id, error});
    waiters_.clear();
}

void Leader::set_wake(LeaderOutput& output) const {
    for (const AckWaiter& waiter : waiters_) {
        output.wake_at = std::min(output.wake_at, waiter.deadline);
    }
}

void Leader::check_invariants() const {
    MILLRACE_ASSERT(high_watermark_ <= log_end_, "HW <= LEO");
    for (const AckWaiter& waiter : waiters_) {
        MILLRACE_ASSERT(waiter.required > high_watermark_, "a satisfied waiter was kept");
    }
}

}  // namespace millrace::replication
