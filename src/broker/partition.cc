// src/broker/partition.cc: produce, acks and state changes of one partition.
#include "millrace/broker/partition.h"

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"
#include "millrace/base/log.h"
#include "millrace/env/clock.h"
#include "millrace/record/control_record.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"partition"};
// Larger batches gain nothing from sharing a write; more bytes than this are not held back.
constexpr size_t kDeferredBatchBytesMax = 32U << 10;
constexpr size_t kDeferredBytesMax = 256U << 10;
}

Partition::Partition(PartitionHost& host, TopicPartition name, Uuid topic_id, storage::Log& log,
                     Uuid directory_id, std::shared_ptr<const TopicSettings> settings)
    : host_(host),
      name_(std::move(name)),
      topic_id_(topic_id),
      directory_id_(directory_id),
      log_(&log) {
    set_settings(std::move(settings));
}

Partition::~Partition() {
    host_.timers.cancel(timer_);
    stop(ErrorCode::NotLeaderOrFollower);
    if (alive_) *alive_ = false;
}

void Partition::set_settings(std::shared_ptr<const TopicSettings> settings) {
    settings_ = std::move(settings);
    log_->set_config(settings_->log);
    const NodeId self = host_.node_id;
    leader_throttled_ = settings_->leader_throttled.contains(name_.partition, self);
    follower_throttled_ = settings_->follower_throttled.contains(name_.partition, self);
    if (leader_) leader_->set_min_insync_replicas(settings_->topic.min_insync_replicas);
}

void Partition::switch_log(storage::Log& log, Uuid directory_id) {
    log.set_high_watermark(high_watermark());
    log_ = &log;
    directory_id_ = directory_id;
    log_->set_config(settings_->log);
    bytes_told_ = log_->size_bytes();
    // A flush of the old log says nothing about this one, and a write posted for it is done: its
    // bytes were copied. Those who wait are told by a new one.
    if (alive_) *alive_ = false;
    alive_.reset();
    write_posted_ = false;
    if (std::exchange(flushing_, false)) {
        start_flush();
    } else {
        write_later();
    }
}

Offset Partition::high_watermark() const {
    return leader_ ? leader_->high_watermark() : log_->high_watermark();
}

Status Partition::apply(const metadata::PartitionImage& image) {
    if (offline_) return {};
    if (image.leader != host_.node_id) return become_follower(image);
    if (!leader_ || image.leader_epoch != leader_epoch_) return become_leader(image);
    if (image.partition_epoch != partition_epoch_) {
        partition_epoch_ = image.partition_epoch;
        leader_->on_partition_change(host_.clock.now(), image.partition_epoch, image.replicas,
                                     image.isr, output_);
        carry_out(output_);
    }
    return {};
}

Status Partition::become_leader(const metadata::PartitionImage& image) {
    if (leader_) stop(ErrorCode::NotLeaderOrFollower);
    leader_epoch_ = image.leader_epoch;
    partition_epoch_ = image.partition_epoch;
    leader_id_ = image.leader;
    if (image.recovery == metadata::LeaderRecoveryState::Recovering) {
        log_warn(kLog,
                 "{}: unclean election: this replica leads in epoch {} although it was not in sync; "
                 "what was acknowledged after its log end, offset {}, is lost; to prefer waiting for "
                 "an in-sync replica set unclean.leader.election.enable=false",
                 name_.to_string(), leader_epoch_.value, log_->log_end_offset().value);
    }
    if (Status status = log_->assign_leader_epoch(leader_epoch_, log_->log_end_offset());
        !status.ok()) {
        fail(status);
        return status;
    }
    replication::LeaderStart start;
    start.self = host_.node_id;
    start.epoch = leader_epoch_;
    start.partition_epoch = partition_epoch_;
    start.replicas = image.replicas;
    start.isr = image.isr;
    start.min_insync_replicas = settings_->topic.min_insync_replicas;
    start.log_end = log_->log_end_offset();
    start.high_watermark = std::min(log_->high_watermark(), start.log_end);
    start.replica_lag_time_max = host_.replica_lag_time_max;
    start.now = host_.clock.now();
    leader_ = std::make_unique<replication::Leader>(std::move(start));
    told_end_ = follower_told_end_ = log_->log_end_offset();
    bytes_told_ = log_->size_bytes();
    log_->set_high_watermark(leader_->high_watermark());
    host_.high_watermarks_moved = true;
    if (leader_->has_followers()) {
        // Arms the check of who falls behind.
        leader_->on_tick(host_.clock.now(), output_);
        carry_out(output_);
    }
    return {};
}

void Partition::stop(ErrorCode error) {
    if (leader_) {
        leader_->on_resign(error, output_);
        leader_.reset();
        carry_out(output_);
    }
    std::vector<PendingFlush> flushes = std::move(flushes_);
    flushes_.clear();
    for (PendingFlush& pending : flushes) pending.done(error);
    watches_.notify(kWakeEveryFetch);
    follower_watches_.notify(kWakeEveryFetch);
}

void Partition::go_offline() {
    if (offline_) return;
    offline_ = true;
    stop(ErrorCode::KafkaStorageError);
}

void Partition::fail(const Status& status) {
    if (offline_) return;
    log_error(kLog, "{}: {}; the log directory goes offline", name_.to_string(),
              status.to_string());
    const std::string directory = log_->directory();
    go_offline();
    host_.on_disk_failure(directory, status);
}

ErrorCode Partition::check_epoch(int32_t current_leader_epoch, bool leader_needed) const {
    if (offline_) return ErrorCode::KafkaStorageError;
    if (current_leader_epoch >= 0) {
        if (current_leader_epoch < leader_epoch_.value) return ErrorCode::FencedLeaderEpoch;
        if (current_leader_epoch > leader_epoch_.value) return ErrorCode::UnknownLeaderEpoch;
    }
    if (leader_needed && !leader_) return ErrorCode::NotLeaderOrFollower;
    return ErrorCode::None;
}

ProduceOutcome Partition::produce(Buffer batch, int16_t acks, storage::VerificationGuard guard) {
    ProduceOutcome outcome;
    outcome.error = check_epoch(-1, true);
    if (outcome.error != ErrorCode::None) return outcome;
    if (acks == -1) {
        outcome.error = leader_->check_acks_all();
        if (outcome.error != ErrorCode::None) {
            outcome.log_start_offset = log_->log_start_offset().value;
            return outcome;
        }
    }
    const WallMs now = host_.clock.wall();
    record::ProduceVerdict verdict =
        record::validate_produce(batch, settings_->produce, name_, now, host_.scratch);
    if (!verdict.ok()) {
        outcome.error = verdict.error;
        outcome.error_message = std::move(verdict.error_message);
        outcome.record_errors = std::move(verdict.record_errors);
        // MESSAGE_TOO_LARGE and CORRUPT_MESSAGE are found before Kafka knows the log's start.
        if (verdict.error != ErrorCode::MessageTooLarge &&
            verdict.error != ErrorCode::CorruptMessage) {
            outcome.log_start_offset = log_->log_start_offset().value;
        }
        return outcome;
    }
    storage::AppendInput input;
    input.batch = std::move(batch);
    input.guard = guard;
    input.now = now;
    // With acks=0 nobody waits for the write, and its failure has to close the connection now.
    input.may_defer = acks != 0 && input.batch.size() <= kDeferredBatchBytesMax;
    append(std::move(input), outcome);
    return outcome;
}

void Partition::append(storage::AppendInput input, ProduceOutcome& outcome) {
    input.leader_epoch = leader_epoch_;
    Result<storage::AppendOutcome> appended = log_->append(std::move(input));
    if (!appended.ok()) {
        fail(appended.status());
        outcome.error = ErrorCode::KafkaStorageError;
        return;
    }
    outcome.error = appended->error;
    if (outcome.error != ErrorCode::RecordListTooLarge) {
        outcome.log_start_offset = log_->log_start_offset().value;
    }
    if (outcome.error != ErrorCode::None) return;
    outcome.base_offset = appended->base_offset.value;
    outcome.log_append_time_ms = appended->log_append_time.value;
    outcome.required = appended->last_offset + 1;
    if (appended->duplicate) return;
    on_appended();
    // The flush that it started, or a deferred write in it, may have failed at once: then nothing
    // may be acknowledged.
    if (!offline_) return;
    outcome.error = ErrorCode::KafkaStorageError;
    outcome.base_offset = -1;
}

ProduceOutcome Partition::append_internal(Buffer batch, storage::VerificationGuard guard) {
    ProduceOutcome outcome;
    outcome.error = check_epoch(-1, true);
    if (outcome.error == ErrorCode::None) outcome.error = leader_->check_acks_all();
    if (outcome.error != ErrorCode::None) return outcome;
    if (batch.size() > static_cast<size_t>(settings_->topic.max_message_bytes)) {
        outcome.error = ErrorCode::MessageTooLarge;
        return outcome;
    }
    storage::AppendInput input;
    input.batch = std::move(batch);
    input.origin = storage::AppendOrigin::Coordinator;
    input.guard = guard;
    input.now = host_.clock.wall();
    append(std::move(input), outcome);
    return outcome;
}

ProduceOutcome Partition::append_marker(const MarkerAppend& marker) {
    ProduceOutcome outcome;
    outcome.error = check_epoch(-1, true);
    if (outcome.error == ErrorCode::None) outcome.error = leader_->check_acks_all();
    if (outcome.error != ErrorCode::None) return outcome;
    storage::AppendInput input;
    input.now = host_.clock.wall();
    input.batch = record::make_end_txn_batch(marker.producer_id, marker.producer_epoch,
                                             {marker.commit, marker.coordinator_epoch}, input.now);
    input.origin = storage::AppendOrigin::Coordinator;
    input.transaction_version = marker.transaction_version;
    append(std::move(input), outcome);
    return outcome;
}

void Partition::on_appended() {
    // With flush.messages the watermark may pass a record only once it is on the device.
    if (flushing_ || log_->flush_due(host_.clock.wall())) {
        start_flush();
    } else if (log_->deferred_bytes() > kDeferredBytesMax) {
        on_write_due();
    } else if (log_->deferred_bytes() > 0) {
        write_later();
    } else {
        advance_to(log_->log_end_offset());
    }
}

// Batches of several connections that arrive together are one write.
void Partition::write_later() {
    if (write_posted_) return;
    write_posted_ = true;
    if (!alive_) alive_ = std::make_shared<bool>(true);
    host_.timers.post([this, alive = alive_] {
        if (!*alive) return;
        write_posted_ = false;
        on_write_due();
    });
}

void Partition::on_write_due() {
    if (offline_) return;
    if (const Status status = log_->write_out(); !status.ok()) return fail(status);
    if (!leader_ || flushing_) return;  // the end of the flush tells
    const std::shared_ptr<bool> alive = alive_;
    advance_to(log_->log_end_offset());
    if (!alive || *alive) release_written();
}

void Partition::release_written() {
    std::vector<PendingFlush> ready;
    std::erase_if(flushes_, [&](PendingFlush& pending) {
        if (pending.required > told_end_) return false;
        ready.push_back(std::move(pending));
        return true;
    });
    for (PendingFlush& pending : ready) pending.done(ErrorCode::None);
}

void Partition::advance_to(Offset end) {
    told_end_ = end;
    if (leader_) {
        leader_->on_appended(host_.clock.now(), end, output_);
        if (leader_->awaits_first_fetch()) host_.on_first_fetch_awaited();
        carry_out(output_);
    }
    if (!follower_watches_.empty() && end > follower_told_end_) {
        // At least one byte per record: followers ask for one byte, not for so many.
        follower_watches_.notify(end - follower_told_end_);
    }
    follower_told_end_ = end;
}

void Partition::start_flush() {
    if (flushing_) return;  // the running flush is followed by another where one is due
    flushing_ = true;
    flush_target_ = log_->log_end_offset();
    flush_epoch_ = leader_epoch_;
    if (!alive_) alive_ = std::make_shared<bool>(true);
    log_->flush_async([this, alive = alive_](const Status& status) {
        if (*alive) on_flushed(status);
    });
}

void Partition::on_flushed(const Status& status) {
    flushing_ = false;
    if (!status.ok()) {
        fail(status);
        return;
    }
    if (offline_ || !leader_) return;
    if (const Status written = log_->write_out(); !written.ok()) return fail(written);
    // In another epoch the log may have been cut below the target and written anew.
    const bool stale = flush_epoch_ != leader_epoch_;
    const bool again = log_->flush_due(host_.clock.wall()) || stale;
    const std::shared_ptr<bool> alive = alive_;
    const Offset durable = stale ? told_end_ : std::max(told_end_, flush_target_);
    advance_to(again ? durable : log_->log_end_offset());
    if (!*alive) return;
    if (again) start_flush();
    if (*alive) release_written();
}

bool Partition::must_wait(Offset required, int16_t acks) const {
    if (offline_ || !leader_) return true;  // when_acked says why it failed
    return (acks == -1 ? leader_->high_watermark() : told_end_) < required;
}

void Partition::when_acked(Offset required, int16_t acks, Instant deadline,
                           MoveFunction<void(ErrorCode)> done) {
    if (offline_ || !leader_) {
        done(offline_ ? ErrorCode::KafkaStorageError : ErrorCode::NotLeaderOrFollower);
        return;
    }
    if (acks != -1) {
        if (must_wait(required, acks)) {
            flushes_.push_back({required, std::move(done)});
        } else {
            done(ErrorCode::None);
        }
        return;
    }
    const uint64_t id = next_ack_++;
    acks_.push_back({id, std::move(done)});
    leader_->park_ack(id, required, deadline, host_.clock.now(), output_);
    carry_out(output_);
}

void Partition::carry_out(replication::LeaderOutput& output) {
    if (output.high_watermark_moved) {
        host_.high_watermarks_moved = true;
        if (leader_) log_->set_high_watermark(leader_->high_watermark());
        const uint64_t size = log_->size_bytes();
        if (!watches_.empty()) {
            watches_.notify(size > bytes_told_ ? static_cast<int64_t>(size - bytes_told_)
                                               : kWakeEveryFetch);
        }
        bytes_told_ = size;
        if (on_high_watermark_) on_high_watermark_();
    }
    std::vector<MoveFunction<void(ErrorCode)>> ready;
    std::vector<ErrorCode> errors;
    for (const replication::AckDone& done : output.acks) {
        const auto found = std::find_if(acks_.begin(), acks_.end(), [&](const PendingAck& ack) {
            return ack.id == done.waiter;
        });
        MILLRACE_ASSERT(found != acks_.end(), "an ack of an unknown waiter");
        ready.push_back(std::move(found->done));
        errors.push_back(done.error);
        acks_.erase(found);
    }
    const Instant wake_at = output.wake_at;
    std::optional<replication::IsrProposal> proposal = std::move(output.propose);
    output.clear();
    arm_timer(wake_at);
    if (proposal.has_value()) host_.on_isr_proposal(*this, *std::move(proposal));
    for (size_t i = 0; i < ready.size(); ++i) ready[i](errors[i]);
}

/// An earlier wake-up that is armed stays: the machine says then what comes next.
void Partition::arm_timer(Instant wake_at) {
    if (wake_at == Instant::never() || (timer_ != env::kNoTimer && timer_at_ <= wake_at)) return;
    host_.timers.cancel(timer_);
    timer_at_ = wake_at;
    timer_ = host_.timers.arm(wake_at, [this] {
        timer_ = env::kNoTimer;
        if (!leader_) return;
        leader_->on_tick(host_.clock.now(), output_);
        carry_out(output_);
    });
}

void Partition::delete_old_segments() {
    if (offline_) return;
    Result<size_t> deleted = log_->delete_old_segments(host_.clock.wall());
    if (!deleted.ok()) {
        fail(deleted.status());
    } else if (*deleted > 0) {
        log_info(kLog, "{}: {} segments deleted by retention, log start is {}", name_.to_string(),
                 *deleted, log_->log_start_offset().value);
    }
}

void Partition::flush_if_due() {
    if (!offline_ && !flushing_ && log_->flush_due(host_.clock.wall())) start_flush();
}

}  // namespace millrace::broker
