// src/broker/log_maintenance.cc: when each periodic task runs.
#include "broker/log_maintenance.h"

#include <algorithm>

#include "millrace/env/clock.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

namespace {
/// Files of deleted partitions and segments are looked for at least this often.
constexpr Duration kTickMax = seconds(1);
constexpr Duration kForever = milliseconds(INT64_MAX / 4);
}  // namespace

LogMaintenance::LogMaintenance(Shard& shard) : shard_(shard) {}
LogMaintenance::~LogMaintenance() { stop(); }

void LogMaintenance::add(Duration first, Duration interval, void (LogMaintenance::*run)()) {
    if (interval >= kForever) return;
    tasks_.push_back({interval, shard_.env().clock.now() + first, run});
}

void LogMaintenance::start() {
    const BrokerConfig& config = shard_.config();
    const Duration initial = milliseconds(config.log_initial_task_delay_ms);
    add(initial, milliseconds(config.log_retention_check_interval_ms),
        &LogMaintenance::delete_old_segments);
    add(initial, milliseconds(config.log_flush_scheduler_interval_ms),
        &LogMaintenance::flush_due_logs);
    add(initial, milliseconds(config.log_flush_offset_checkpoint_interval_ms),
        &LogMaintenance::checkpoint_recovery_points);
    add(initial, milliseconds(config.log_flush_start_offset_checkpoint_interval_ms),
        &LogMaintenance::checkpoint_log_starts);
    const Duration watermark_interval =
        milliseconds(config.replica_high_watermark_checkpoint_interval_ms);
    add(watermark_interval, watermark_interval, &LogMaintenance::checkpoint_high_watermarks);
    const Duration expiry = milliseconds(config.producer_id_expiration_check_interval_ms);
    add(expiry, expiry, &LogMaintenance::expire_producers);
    running_ = true;
    arm();
}

void LogMaintenance::stop() {
    running_ = false;
    shard_.env().timers.cancel(timer_);
    timer_ = env::kNoTimer;
}

void LogMaintenance::arm() {
    const Instant now = shard_.env().clock.now();
    Instant when = std::min(shard_.log_dirs().wake_at(), Instant::never());
    // New deletions may come at any time, so the directories are asked again before long.
    when = std::min(std::max(when, now), now + kTickMax);
    for (const Task& task : tasks_) when = std::min(when, task.next);
    timer_ = shard_.env().timers.arm(when, [this] {
        timer_ = env::kNoTimer;
        on_timer();
    });
}

void LogMaintenance::on_timer() {
    if (!running_) return;
    const Instant now = shard_.env().clock.now();
    for (Task& task : tasks_) {
        if (task.next > now) continue;
        task.next = now + task.interval;
        (this->*task.run)();
    }
    shard_.log_dirs().tick();
    arm();
}

void LogMaintenance::delete_old_segments() {
    // The cleaner does it for logs with compact, between its cleanings.
    shard_.for_each_partition([](Partition& partition) {
        if (partition.offline() || partition.log().config().cleanup_compact) return;
        partition.delete_old_segments();
    });
}

void LogMaintenance::flush_due_logs() {
    shard_.for_each_partition([](Partition& partition) { partition.flush_if_due(); });
}

void LogMaintenance::checkpoint_recovery_points() {
    shard_.log_dirs().checkpoint(storage::CheckpointKind::RecoveryPoint);
}

void LogMaintenance::checkpoint_high_watermarks() {
    if (!shard_.take_high_watermarks_moved()) return;
    shard_.log_dirs().checkpoint(storage::CheckpointKind::HighWatermark);
}

void LogMaintenance::checkpoint_log_starts() {
    shard_.log_dirs().checkpoint(storage::CheckpointKind::LogStart);
}

void LogMaintenance::expire_producers() {
    const WallMs now = shard_.env().clock.wall();
    shard_.for_each_partition([now](Partition& partition) {
        if (!partition.offline()) partition.log().expire_producers(now);
    });
}

}  // namespace millrace::broker
