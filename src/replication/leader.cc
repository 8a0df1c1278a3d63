// src/replication/leader.cc: when the high watermark moves, which acks it releases, who is in sync.
#include "millrace/replication/leader.h"

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::replication {

namespace {
bool contains(const std::vector<NodeId>& nodes, NodeId node) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}
}  // namespace

Leader::Leader(LeaderStart start)
    : self_(start.self),
      epoch_(start.epoch),
      partition_epoch_(start.partition_epoch),
      replicas_(std::move(start.replicas)),
      isr_(std::move(start.isr)),
      min_insync_replicas_(start.min_insync_replicas),
      log_end_(start.log_end),
      epoch_start_(start.log_end),
      high_watermark_(start.high_watermark),
      replica_lag_time_max_(start.replica_lag_time_max) {
    MILLRACE_ASSERT(high_watermark_ <= log_end_, "the watermark lies inside the log");
    for (const NodeId replica : replicas_) {
        if (replica == self_) continue;
        Follower& follower = followers_.emplace_back();
        follower.id = replica;
        // Members of the ISR have one whole period to show up.
        if (in_isr(replica)) follower.last_caught_up = start.now;
    }
    if (!followers_.empty()) next_shrink_check_ = start.now + Duration{replica_lag_time_max_.nanos / 2};
    // A sole in-sync replica has nobody to wait for: its whole log is committed.
    LeaderOutput ignored;
    maybe_advance(start.now, ignored);
    check_invariants();
}

std::vector<FollowerView> Leader::followers() const {
    std::vector<FollowerView> views;
    for (const Follower& follower : followers_) {
        views.push_back({follower.id, follower.log_end, in_isr(follower.id)});
    }
    return views;
}

int32_t Leader::effective_min_isr() const {
    return std::min(min_insync_replicas_, static_cast<int32_t>(replicas_.size()));
}

bool Leader::in_isr(NodeId node) const { return contains(isr_, node); }

bool Leader::in_maximal_isr(NodeId node) const {
    return in_isr(node) || contains(proposed_isr_, node);
}

bool Leader::awaits_first_fetch() const {
    return std::any_of(followers_.begin(), followers_.end(), [this](const Follower& follower) {
        return follower.log_end == kNoOffset && in_isr(follower.id);
    });
}

ErrorCode Leader::check_acks_all() const {
    return static_cast<int32_t>(isr_.size()) < effective_min_isr() ? ErrorCode::NotEnoughReplicas
                                                                    : ErrorCode::None;
}

bool Leader::caught_up(Instant now, const Follower& follower) const {
    return follower.log_end == log_end_ ||
           (follower.last_caught_up.has_value() &&
            now - *follower.last_caught_up <= replica_lag_time_max_);
}

void Leader::on_appended(Instant now, Offset log_end, LeaderOutput& output) {
    MILLRACE_ASSERT(log_end >= log_end_, "a leader's log only grows");
    log_end_ = log_end;
    maybe_advance(now, output);
    set_wake(output);
}

ErrorCode Leader::on_follower_fetch(Instant now, const FollowerFetch& fetch,
                                    LeaderOutput& output) {
    const auto found = std::find_if(followers_.begin(), followers_.end(),
                                    [&](const Follower& known) { return known.id == fetch.id; });
    // Perhaps a new replica whose assignment this node has not heard of yet.
    if (found == followers_.end()) return ErrorCode::UnknownLeaderEpoch;
    Follower& follower = *found;
    if (fetch.broker_epoch.value >= 0) {
        if (fetch.broker_epoch < follower.broker_epoch) return ErrorCode::NotLeaderOrFollower;
        follower.broker_epoch = fetch.broker_epoch;
    }
    follower.eligible = fetch.eligible;
    // To be where the leader was at the last fetch means to have been in sync then.
    if (fetch.fetch_offset >= log_end_) {
        follower.last_caught_up = now;
    } else if (follower.leader_end_at_last_fetch != kNoOffset &&
               fetch.fetch_offset >= follower.leader_end_at_last_fetch) {
        follower.last_caught_up =
            std::max(follower.last_caught_up.value_or(follower.last_fetch), follower.last_fetch);
    }
    follower.log_end = std::min(fetch.fetch_offset, log_end_);
    follower.last_fetch = now;
    follower.leader_end_at_last_fetch = log_end_;
    maybe_expand(follower, output);
    maybe_advance(now, output);
    set_wake(output);
    return ErrorCode::None;
}

void Leader::on_eligibility(Instant now, NodeId id, bool eligible, LeaderOutput& output) {
    for (Follower& follower : followers_) {
        if (follower.id == id) follower.eligible = eligible;
    }
    maybe_advance(now, output);
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

void Leader::on_partition_change(Instant now, int32_t partition_epoch,
                                 std::vector<NodeId> replicas, std::vector<NodeId> isr,
                                 LeaderOutput& output) {
    if (partition_epoch < partition_epoch_) return;
    if (partition_epoch > partition_epoch_) proposed_isr_.clear();
    partition_epoch_ = partition_epoch;
    replicas_ = std::move(replicas);
    isr_ = std::move(isr);
    std::vector<Follower> followers;
    for (const NodeId replica : replicas_) {
        if (replica == self_) continue;
        Follower& follower = followers.emplace_back();
        follower.id = replica;
        if (in_isr(replica)) follower.last_caught_up = now;
        for (const Follower& known : followers_) {
            if (known.id == replica) follower = known;
        }
    }
    followers_ = std::move(followers);
    if (followers_.empty()) {
        next_shrink_check_ = Instant::never();
    } else if (next_shrink_check_ == Instant::never()) {
        next_shrink_check_ = now + Duration{replica_lag_time_max_.nanos / 2};
    }
    maybe_advance(now, output);
    // A shrunk ISR may be below the minimum: who waits hears of it when the watermark moves.
    set_wake(output);
}

void Leader::on_isr_decision(Instant now, const IsrDecision& decision, LeaderOutput& output) {
    if (proposed_isr_.empty()) return;  // newer metadata has settled it
    switch (decision.error) {
        case ErrorCode::None:
            if (decision.epoch != epoch_ || decision.partition_epoch <= partition_epoch_) break;
            on_partition_change(now, decision.partition_epoch, replicas_, decision.isr, output);
            break;
        case ErrorCode::OperationNotAttempted:
        case ErrorCode::IneligibleReplica:
            proposed_isr_.clear();  // back to what is decided
            maybe_advance(now, output);
            break;
        case ErrorCode::UnknownTopicOrPartition:
        case ErrorCode::UnknownTopicId:
        case ErrorCode::FencedLeaderEpoch:
        case ErrorCode::InvalidUpdateVersion:
        case ErrorCode::InvalidRequest:
        case ErrorCode::NewLeaderElected:
            break;  // metadata that says why is on its way
        default: {  // of the protocol's many codes: the controller could not, ask again
            const std::vector<NodeId> again = std::exchange(proposed_isr_, {});
            propose(again, output);
        }
    }
    set_wake(output);
}

void Leader::propose(std::vector<NodeId> isr, LeaderOutput& output) {
    MILLRACE_ASSERT(proposed_isr_.empty(), "one proposal at a time");
    IsrProposal proposal;
    proposal.epoch = epoch_;
    proposal.partition_epoch = partition_epoch_;
    for (const NodeId node : isr) {
        ReplicaWithEpoch entry{node};
        for (const Follower& follower : followers_) {
            if (follower.id == node) entry.epoch = follower.broker_epoch;
        }
        proposal.isr.push_back(entry);
    }
    proposed_isr_ = std::move(isr);
    output.propose = std::move(proposal);
}

/// All of the log's committed part and this epoch's start: a member that lacked either could lose
/// records that were acknowledged if it were elected.
void Leader::maybe_expand(const Follower& follower, LeaderOutput& output) {
    if (!proposed_isr_.empty() || in_isr(follower.id) || !follower.eligible) return;
    if (follower.log_end < high_watermark_ || follower.log_end < epoch_start_) return;
    std::vector<NodeId> larger = isr_;
    larger.push_back(follower.id);
    propose(std::move(larger), output);
}

void Leader::maybe_shrink(Instant now, LeaderOutput& output) {
    if (!proposed_isr_.empty()) return;
    std::vector<NodeId> smaller = isr_;
    for (const Follower& follower : followers_) {
        if (!caught_up(now, follower)) std::erase(smaller, follower.id);
    }
    if (smaller.size() < isr_.size()) propose(std::move(smaller), output);
}

void Leader::maybe_advance(Instant now, LeaderOutput& output) {
    // Below the minimum nothing is committed, whatever the acks (KIP-966).
    if (static_cast<int32_t>(isr_.size()) < effective_min_isr()) return;
    Offset committed = log_end_;
    for (const Follower& follower : followers_) {
        // One that is as good as in sync is waited for, lest it never gets in under load.
        if (in_maximal_isr(follower.id) || (follower.eligible && caught_up(now, follower))) {
            committed = std::min(committed, follower.log_end);
        }
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
    if (next_shrink_check_ <= now) {
        next_shrink_check_ = now + Duration{replica_lag_time_max_.nanos / 2};
        maybe_shrink(now, output);
        // Who was waited for as almost in sync may be so no more.
        maybe_advance(now, output);
    }
    set_wake(output);
}

void Leader::on_resign(ErrorCode error, LeaderOutput& output) {
    for (const AckWaiter& waiter : waiters_) output.acks.push_back({waiter.id, error});
    waiters_.clear();
}

void Leader::set_wake(LeaderOutput& output) const {
    output.wake_at = std::min(output.wake_at, next_shrink_check_);
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
