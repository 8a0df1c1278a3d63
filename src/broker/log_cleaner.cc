// src/broker/log_cleaner.cc: compaction of the shard's logs, one cleaning after the other.
#include "broker/log_cleaner.h"

#include <algorithm>
#include <utility>

#include "millrace/base/log.h"
#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"cleaner"};
/// A step never holds a background thread for long, nor is it too small to be worth the hand-over.
constexpr double kStepBytesMin = 64.0 * 1024;
constexpr double kStepBytesMax = 4.0 * 1024 * 1024;
constexpr double kThrottleWindowSeconds = 0.3;

/// Failures that are the log's own; every other is the disk's.
bool is_uncleanable(const Status& status) {
    switch (status.errc()) {
        case Errc::Corrupt:
        case Errc::LimitExceeded:
        case Errc::Unsupported:
        case Errc::InvalidInput: return true;
        case Errc::Ok:
        case Errc::IoError:
        case Errc::NotFound:
        case Errc::AlreadyExists:
        case Errc::NoSpace:
        case Errc::Permission:
        case Errc::Busy:
        case Errc::Cancelled:
        case Errc::Disconnected:
        case Errc::TimedOut: break;
    }
    return false;
}
}  // namespace

Duration cleaner_pause(uint64_t bytes, double bytes_per_second, Duration took) {
    if (!(bytes_per_second > 0)) return {};
    const double allowed_seconds = static_cast<double>(bytes) / bytes_per_second;
    // An hour per step is for ever already; it also keeps the number within an integer.
    const auto allowed =
        milliseconds(static_cast<int64_t>(std::min(allowed_seconds, 3600.0) * 1e3));
    return std::max(allowed - took, Duration{});
}

uint64_t cleaner_step_bytes(double bytes_per_second) {
    const double wanted = bytes_per_second * kThrottleWindowSeconds;
    if (!(wanted > kStepBytesMin)) return static_cast<uint64_t>(kStepBytesMin);
    return static_cast<uint64_t>(std::min(wanted, kStepBytesMax));
}

/// One cleaning; shared with the background so that it outlives this object if it must.
struct LogCleaner::Work {
    LogDir* dir = nullptr;
    TopicPartition partition;
    Uuid topic_id;
    std::string folder;
    std::unique_ptr<storage::LogCompaction> job;
    Result<storage::LogCompaction::Step> outcome{storage::LogCompaction::Step{}};
    Instant step_started{};
    Instant started{};
};

LogCleaner::LogCleaner(Shard& shard) : shard_(shard) {}
LogCleaner::~LogCleaner() {
    stop();
    *alive_ = false;
}

void LogCleaner::start() {
    for (const auto& dir : shard_.log_dirs().dirs()) {
        if (!dir->online) continue;
        auto read = dir->directory->read_checkpoint(storage::CheckpointKind::Cleaner);
        if (read.ok()) {
            for (const auto& [partition, offset] : *read) {
                lines_[dir->id][partition] = {offset, kZeroUuid};
            }
        } else if (read.status().errc() == Errc::Corrupt) {
            log_warn(kLog, "{}: every log counts as dirty", read.status().to_string());
        } else {
            shard_.log_dirs().fail(dir->path, read.status());
        }
    }
    // Behind the recovery point a start may have found another past than the one that was cleaned.
    shard_.for_each_partition([this](Partition& partition) {
        if (partition.offline() && !partition.log().damaged()) return;
        Lines& lines = lines_[partition.directory_id()];
        const auto line = lines.find(partition.name());
        if (line == lines.end()) return;
        line->second.topic_id = partition.topic_id();
        line->second.offset = std::min(line->second.offset, partition.log().recovery_point());
    });
    running_ = true;
    arm({}, &LogCleaner::round);
}

void LogCleaner::stop() {
    running_ = false;
    shard_.env().timers.cancel(timer_);
    timer_ = env::kNoTimer;
}

void LogCleaner::arm(Duration wait, void (LogCleaner::*run)()) {
    if (!running_) return;
    timer_ = shard_.env().timers.arm(shard_.env().clock.now() + wait, [this, run] {
        timer_ = env::kNoTimer;
        (this->*run)();
    });
}

void LogCleaner::set_line(LogDir& dir, const TopicPartition& partition, Line line) {
    lines_[dir.id][partition] = line;
    changed_.insert(dir.id);
}

void LogCleaner::settle_lines() {
    std::map<Uuid, Lines> kept;
    std::map<std::pair<Uuid, TopicPartition>, Uuid> kept_uncleanable;
    shard_.for_each_partition([&](Partition& partition) {
        // A damaged log keeps its line: mended, it has its gaps still.
        if (partition.offline() && !partition.log().damaged()) return;
        const Uuid dir = partition.directory_id();
        const auto truncated = storage::take_lowest_truncation(partition.log());
        const auto bad = uncleanable_.find({dir, partition.name()});
        if (bad != uncleanable_.end() && bad->second == partition.topic_id()) {
            kept_uncleanable.insert(*bad);
        }
        auto line = lines_[dir].find(partition.name());
        for (auto other = lines_.begin(); other != lines_.end() && line == lines_[dir].end();
             ++other) {
            // It moved, and was not compacted meanwhile: its line goes with it.
            const auto found = other->second.find(partition.name());
            if (found == other->second.end()) continue;
            line = lines_[dir].insert(*found).first;
            changed_.insert(dir);
        }
        if (line == lines_[dir].end() || line->second.topic_id != partition.topic_id()) return;
        Line settled = line->second;
        if (truncated && *truncated < settled.offset) {
            settled.offset = *truncated;
            changed_.insert(dir);
        }
        kept[dir][partition.name()] = settled;
    });
    for (const auto& [dir, lines] : lines_) {
        if (lines.size() != kept[dir].size()) changed_.insert(dir);
    }
    lines_ = std::move(kept);
    uncleanable_ = std::move(kept_uncleanable);
}

void LogCleaner::round() {
    settle_lines();
    work_ = shard_.dynamic_settings().log_cleaner_threads > 0 ? choose() : nullptr;
    write_lines(work_ ? &LogCleaner::step : &LogCleaner::rest);
}

std::shared_ptr<LogCleaner::Work> LogCleaner::choose() {
    const WallMs now = shard_.env().clock.wall();
    Partition* best = nullptr;
    storage::CleaningPlan best_plan;
    shard_.for_each_partition([&](Partition& partition) {
        if (partition.offline() || !partition.log().config().cleanup_compact) return;
        if (shard_.moving_directory(partition)) return;
        LogDir* dir = shard_.log_dirs().find(partition.directory_id());
        if (dir == nullptr || !dir->online || uncleanable_.contains({dir->id, partition.name()})) {
            return;
        }
        const Lines& lines = lines_[dir->id];
        const auto line = lines.find(partition.name());
        std::optional<Offset> checkpoint;
        if (line != lines.end()) checkpoint = line->second.offset;
        Result<storage::CleaningPlan> plan =
            storage::plan_cleaning(partition.log(), checkpoint, now);
        if (!plan.ok()) {
            if (!is_uncleanable(plan.status())) {
                shard_.log_dirs().fail(partition.log().directory(), plan.status());
                return;
            }
            log_error(kLog, "{} cannot be cleaned: {}", partition.name().to_string(),
                      plan.status().to_string());
            uncleanable_[{dir->id, partition.name()}] = partition.topic_id();
            return;
        }
        if (plan->checkpoint_invalid) {
            set_line(*dir, partition.name(), {plan->first_dirty, partition.topic_id()});
        }
        if (!plan->worth_it(partition.log().config())) return;
        if (best == nullptr || plan->dirty_ratio() > best_plan.dirty_ratio()) {
            best = &partition;
            best_plan = *plan;
        }
    });
    if (best == nullptr || best->offline()) return nullptr;
    return make_work(*best, *shard_.log_dirs().find(best->directory_id()), best_plan);
}

storage::CleanerMemory LogCleaner::memory() const {
    const DynamicSettings& settings = shard_.dynamic_settings();
    const auto threads = static_cast<uint64_t>(std::max(settings.log_cleaner_threads, 1));
    storage::CleanerMemory memory;
    memory.map_bytes = std::min<uint64_t>(
        static_cast<uint64_t>(std::max<int64_t>(settings.log_cleaner_dedupe_buffer_size, 0)) /
            threads,
        INT32_MAX);
    memory.map_load_factor = settings.log_cleaner_io_buffer_load_factor;
    memory.io_buffer_bytes =
        static_cast<size_t>(std::max(settings.log_cleaner_io_buffer_size, 0)) / threads / 2;
    return memory;
}

std::shared_ptr<LogCleaner::Work> LogCleaner::make_work(Partition& partition, LogDir& dir,
                                                        const storage::CleaningPlan& plan) {
    auto job = storage::LogCompaction::create(shard_.env().files, partition.log(), plan, memory(),
                                              shard_.env().clock.wall());
    if (!job.ok()) {
        log_error(kLog, "{}: {}", partition.name().to_string(), job.status().to_string());
        if (is_uncleanable(job.status())) {
            uncleanable_[{dir.id, partition.name()}] = partition.topic_id();
        } else {
            shard_.log_dirs().fail(dir.path, job.status());
        }
        return nullptr;
    }
    // From the first swap on the log has gaps: its line says so, whatever its policy becomes.
    if (!lines_[dir.id].contains(partition.name())) {
        set_line(dir, partition.name(), {plan.first_dirty, partition.topic_id()});
    }
    auto work = std::make_shared<Work>();
    work->dir = &dir;
    work->partition = partition.name();
    work->topic_id = partition.topic_id();
    work->folder = partition.log().directory();
    work->job = std::move(job).value();
    work->started = shard_.env().clock.now();
    log_debug(kLog, "{}: cleaning from {} to {}, {:.0f}% dirty", work->partition.to_string(),
              plan.first_dirty.value, plan.first_uncleanable.value, plan.dirty_ratio() * 100);
    return work;
}

void LogCleaner::write_lines(void (LogCleaner::*next)()) {
    struct Write {
        LogDir* dir;
        std::vector<storage::CheckpointEntry> entries;
        Status status;
    };
    auto writes = std::make_shared<std::vector<Write>>();
    for (const Uuid& id : changed_) {
        LogDir* dir = shard_.log_dirs().find(id);
        if (dir == nullptr || !dir->online) continue;
        Write& write = writes->emplace_back(Write{dir, {}, {}});
        for (const auto& [partition, line] : lines_[id]) {
            write.entries.push_back({partition, line.offset});
        }
    }
    changed_.clear();
    if (writes->empty()) return (this->*next)();
    shard_.env().background.run(
        [writes] {
            for (Write& write : *writes) {
                write.status = write.dir->directory->write_checkpoint(
                    storage::CheckpointKind::Cleaner, write.entries);
            }
        },
        [this, guard = alive_, writes, next] {
            if (!*guard || !running_) return;
            for (const Write& write : *writes) {
                if (!write.status.ok()) shard_.log_dirs().fail(write.dir->path, write.status);
            }
            (this->*next)();
        });
}

void LogCleaner::step() {
    const Partition* partition = shard_.partition(work_->topic_id, work_->partition.partition);
    const bool moving = partition != nullptr && shard_.moving_directory(*partition);
    if (work_->job->overtaken() || moving || !work_->dir->online) {
        return give_up({Errc::Cancelled, "the log changed"});
    }
    work_->step_started = shard_.env().clock.now();
    const uint64_t budget =
        cleaner_step_bytes(shard_.dynamic_settings().log_cleaner_io_max_bytes_per_second);
    shard_.env().background.run([work = work_, budget] { work->outcome = work->job->step(budget); },
                                [this, guard = alive_] {
                                    if (*guard && running_) on_step();
                                });
}

void LogCleaner::on_step() {
    Work& work = *work_;
    if (!work.outcome.ok()) return give_up(work.outcome.status());
    const storage::LogCompaction::Step done = *work.outcome;
    switch (done.progress) {
        case storage::LogCompaction::Progress::More: break;
        case storage::LogCompaction::Progress::GroupReady: {
            const Status swapped = work.job->swap();
            if (swapped.ok()) break;
            if (swapped.errc() != Errc::Cancelled) shard_.log_dirs().fail(work.folder, swapped);
            return give_up({Errc::Cancelled, swapped.message()});
        }
        case storage::LogCompaction::Progress::Done: return finish();
    }
    const Duration took = shard_.env().clock.now() - work.step_started;
    arm(cleaner_pause(done.io_bytes,
                      shard_.dynamic_settings().log_cleaner_io_max_bytes_per_second, took),
        &LogCleaner::step);
}

void LogCleaner::finish() {
    const std::shared_ptr<Work> work = std::exchange(work_, nullptr);
    if (!work->job->overtaken()) {
        const storage::CleanerStats& stats = work->job->stats();
        log_info(kLog, "{}: cleaned up to {}: {} of {} records kept, {} keys, {} bytes read, {} "
                       "written, {} ms",
                 work->partition.to_string(), work->job->end_offset().value, stats.records_kept,
                 stats.records_read, stats.map_keys, stats.bytes_read, stats.bytes_written,
                 (shard_.env().clock.now() - work->started).millis());
        if (stats.keyless_records > 0) {
            log_warn(kLog, "{}: {} records without a key were dropped",
                     work->partition.to_string(), stats.keyless_records);
        }
        set_line(*work->dir, work->partition, {work->job->end_offset(), work->topic_id});
    }
    apply_retention();
    arm({}, &LogCleaner::round);
}

void LogCleaner::give_up(const Status& status) {
    const std::shared_ptr<Work> work = std::exchange(work_, nullptr);
    // A log that was removed or truncated has no such files, or shorter ones.
    const bool expected = is_uncleanable(status) || status.errc() == Errc::NotFound;
    if (status.errc() == Errc::Cancelled || (expected && work->job->overtaken())) {
        log_debug(kLog, "{}: cleaning given up: {}", work->partition.to_string(),
                  status.to_string());
    } else if (is_uncleanable(status)) {
        log_error(kLog, "{} cannot be cleaned until the next start: {}",
                  work->partition.to_string(), status.to_string());
        uncleanable_[{work->dir->id, work->partition}] = work->topic_id;
    } else if (work->dir->online) {
        shard_.log_dirs().fail(work->folder, status);
    }
    if (work->dir->online) {
        shard_.env().background.run([work] { work->job->discard(); }, [] {});
    }
    rest();
}

void LogCleaner::rest() {
    apply_retention();
    arm(milliseconds(shard_.dynamic_settings().log_cleaner_backoff_ms), &LogCleaner::round);
}

void LogCleaner::apply_retention() {
    shard_.for_each_partition([](Partition& partition) {
        if (partition.offline() || !partition.log().config().cleanup_compact) return;
        partition.delete_old_segments();
    });
}

}  // namespace millrace::broker
