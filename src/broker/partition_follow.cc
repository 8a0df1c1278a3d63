// src/broker/partition_follow.cc: copying a leader's log, and what this leader hears of followers.
#include <algorithm>
#include <utility>

#include "broker/follow_rules.h"
#include "millrace/base/log.h"
#include "millrace/broker/partition.h"
#include "millrace/env/clock.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"replica"};
}

Status Partition::become_follower(const metadata::PartitionImage& image) {
    if (leader_) stop(ErrorCode::NotLeaderOrFollower);
    const bool new_epoch = image.leader_epoch != leader_epoch_ || image.leader != leader_id_;
    leader_epoch_ = image.leader_epoch;
    partition_epoch_ = image.partition_epoch;
    leader_id_ = image.leader;
    if (!new_epoch) return {};
    // Without epochs the leader cannot tell where the logs part: only what is committed is sure.
    if (log_->latest_epoch() == kNoLeaderEpoch && log_->log_end_offset() > log_->high_watermark()) {
        if (cut_to(log_->high_watermark(), "its batches name no leader epoch") ==
            FollowResult::Failed) {
            return {Errc::IoError, name_.to_string() + " cannot be truncated"};
        }
    }
    follower_watches_.notify(kWakeEveryFetch);
    return {};
}

std::optional<NodeId> Partition::followed_leader() const {
    if (offline_ || leader_ || leader_id_ == kNoNode || leader_id_ == host_.node_id) {
        return std::nullopt;
    }
    return leader_id_;
}

replication::FetchPosition Partition::follow_position() const {
    return {leader_epoch_, log_->log_end_offset(), log_->latest_epoch(), log_->log_start_offset()};
}

FollowResult Partition::cut_to(Offset offset, const char* why) {
    const Offset end = log_->log_end_offset();
    // Also where nothing is to be cut: an epoch without records at the end would name an epoch in
    // the next fetch that the leader never had, and be told of divergence again, for ever.
    if (offset < log_->high_watermark()) {
        log_warn(kLog, "{}: cut to {}, below its high watermark {}: {}", name_.to_string(),
                 offset.value, log_->high_watermark().value, why);
    } else if (offset < end) {
        log_info(kLog, "{}: cut from {} to {}: {}", name_.to_string(), end.value, offset.value,
                 why);
    }
    const Result<bool> cut = log_->truncate_to(offset, host_.clock.wall());
    if (!cut.ok()) {
        fail(cut.status());
        return FollowResult::Failed;
    }
    if (!*cut) return FollowResult::Done;
    host_.high_watermarks_moved = true;
    watches_.notify(kWakeEveryFetch);
    return FollowResult::Done;
}

FollowResult Partition::on_fetched(const replication::FetchPosition& asked,
                                   FetchedRecords fetched) {
    if (!followed_leader().has_value() || !continues(asked, follow_position())) {
        return FollowResult::Done;
    }
    if (fetched.diverging.has_value()) {
        const storage::EpochEnd local = log_->end_offset_for(fetched.diverging->epoch);
        const Offset cut = replication::divergence_cut(
            *fetched.diverging, {local.epoch, local.end_offset}, log_->log_end_offset());
        return cut_to(std::max(cut, log_->log_start_offset()), "the leader's log differs there");
    }
    if (!fetched.records.empty()) {
        if (const FollowResult result = append_fetched(fetched); result != FollowResult::Done) {
            return result;
        }
    }
    follow_marks(fetched);
    return offline_ ? FollowResult::Failed : FollowResult::Done;
}

FollowResult Partition::append_fetched(const FetchedRecords& fetched) {
    const Result<Buffer> bytes = fetched.records.flatten();
    if (!bytes.ok()) return FollowResult::Pause;
    if (const auto base = begins_within(bytes->view(), log_->log_start_offset(),
                                        log_->log_end_offset())) {
        log_info(kLog, "{}: the leader's log starts within its batch at {}: starting anew there",
                 name_.to_string(), base->value);
        const Status status = log_->truncate_fully_and_start_at(*base, host_.clock.wall());
        if (!status.ok()) {
            fail(status);
            return FollowResult::Failed;
        }
        host_.high_watermarks_moved = true;
    }
    const auto appended =
        log_->append_as_follower(bytes->view(), leader_epoch_, host_.clock.wall());
    if (!appended.ok()) {
        fail(appended.status());
        return FollowResult::Failed;
    }
    if (appended->error == ErrorCode::None) return FollowResult::Done;
    log_warn(kLog, "{}: the leader's bytes at offset {} are refused: {}", name_.to_string(),
             log_->log_end_offset().value, appended->reason);
    return FollowResult::Pause;
}

/// The leader's high watermark and log start, as far as this log reaches.
void Partition::follow_marks(const FetchedRecords& fetched) {
    const Offset mark = std::min(fetched.high_watermark, log_->log_end_offset());
    if (mark > log_->high_watermark()) {
        log_->set_high_watermark(mark);
        host_.high_watermarks_moved = true;
        const uint64_t size = log_->size_bytes();
        if (!watches_.empty()) watches_.notify(kWakeEveryFetch);
        bytes_told_ = size;
    }
    const Offset start = std::min(fetched.log_start, log_->high_watermark());
    if (start <= log_->log_start_offset()) return;
    const Result<ErrorCode> moved = log_->advance_start(start);
    if (!moved.ok()) fail(moved.status());
}

FollowResult Partition::reposition(Offset leader_start, Offset leader_end) {
    using Kind = replication::Reposition::Kind;
    if (!followed_leader().has_value()) return FollowResult::Done;
    const auto where =
        replication::reposition(leader_start, leader_end, log_->log_end_offset());
    switch (where.kind) {
        case Kind::Keep: return FollowResult::Pause;  // the leader may think better of it
        case Kind::Truncate:
            return cut_to(std::max(where.offset, log_->log_start_offset()),
                          "the leader's log ends there");
        case Kind::StartAt: break;
    }
    log_info(kLog, "{}: the leader's log starts at {}, behind the end here: starting anew there",
             name_.to_string(), where.offset.value);
    const Status status = log_->truncate_fully_and_start_at(where.offset, host_.clock.wall());
    if (!status.ok()) {
        fail(status);
        return FollowResult::Failed;
    }
    host_.high_watermarks_moved = true;
    return FollowResult::Done;
}

ErrorCode Partition::note_follower(const PartitionFetch& fetch) {
    if (!leader_) return ErrorCode::NotLeaderOrFollower;
    const ErrorCode error = leader_->on_follower_fetch(
        host_.clock.now(),
        {fetch.replica, Offset(fetch.fetch_offset), fetch.replica_epoch, fetch.replica_eligible},
        output_);
    carry_out(output_);
    return error;
}

void Partition::on_isr_decision(const replication::IsrDecision& decision) {
    if (!leader_ || leader_->epoch() != leader_epoch_) return;
    if (decision.error != ErrorCode::None) {
        log_info(kLog, "{}: the change of its ISR was answered with {}", name_.to_string(),
                 error_code_name(decision.error));
    }
    leader_->on_isr_decision(host_.clock.now(), decision, output_);
    // The image with this decision is still to come, and may say more (a reassignment's end).
    carry_out(output_);
}

void Partition::on_broker_changed(NodeId broker, bool eligible) {
    if (!leader_) return;
    leader_->on_eligibility(host_.clock.now(), broker, eligible, output_);
    carry_out(output_);
}

}  // namespace millrace::broker
