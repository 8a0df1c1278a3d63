// include/millrace/storage/cleaner.h: compaction of one log: the decision, the work, the swap.
//
// Sources: Kafka's LogCleaner, LogCleanerManager, Cleaner, CleanedTransactionMetadata; dataplane
// F.9. Who chooses the log and drives the steps is the broker (src/broker/log_cleaner.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "millrace/base/result.h"
#include "millrace/env/disk.h"
#include "millrace/storage/log.h"

namespace millrace::storage {

/// What cleaning a log would do. Offsets below first_dirty were compacted before; whole segments
/// from there up to first_uncleanable are read for the latest offset of every key.
struct CleaningPlan {
    Offset first_dirty;
    Offset first_uncleanable;  // base of the segment that may not be touched
    uint64_t clean_bytes = 0;
    uint64_t dirty_bytes = 0;
    bool must_clean = false;          // max.compaction.lag.ms is over
    bool checkpoint_invalid = false;  // first_dirty is to be written to the checkpoint

    double dirty_ratio() const;
    bool worth_it(const LogConfig& config) const;
};

/// `checkpoint`: the partition's line in cleaner-offset-checkpoint. On the log's shard.
Result<CleaningPlan> plan_cleaning(Log& log, std::optional<Offset> checkpoint, WallMs now);
/// The lowest end to which the log was truncated since the last call; checkpoints above it must
/// come down to it. On the log's shard.
std::optional<Offset> take_lowest_truncation(Log& log);

struct CleanerMemory {
    uint64_t map_bytes = 134'217'728;  // log.cleaner.dedupe.buffer.size / threads
    double map_load_factor = 0.9;      // log.cleaner.io.buffer.load.factor
    size_t io_buffer_bytes = 262'144;  // log.cleaner.io.buffer.size / threads / 2
};

struct CleanerStats {
    uint64_t bytes_read = 0;
    uint64_t bytes_written = 0;
    uint64_t records_read = 0;
    uint64_t records_kept = 0;
    uint64_t keyless_records = 0;  // dropped: they cannot be compacted
    uint64_t map_keys = 0;
    bool map_full = false;         // the range was cut short
};

/// One cleaning of one log, resumable between steps.
///
/// Made on the log's shard from a plan. step() runs anywhere (env::Background), one at a time, and
/// reads sealed segments through files of its own; it writes `.cleaned` files. Whenever it says
/// GroupReady, swap() runs on the log's shard, between events, and puts the new segment in the
/// place of the old ones. It may outlive the log: swap() then says so.
///
/// Failures of step(): Corrupt, LimitExceeded, Unsupported: this log cannot be cleaned (Kafka marks
/// it uncleanable); Cancelled: the log changed; NotFound after the log was removed; anything else:
/// the disk refused, the directory goes offline. After a failure call discard(), then destroy.
class LogCompaction {
  public:
    /// REQUIRES: plan.dirty_bytes > 0.
    static Result<std::unique_ptr<LogCompaction>> create(env::FileSystem& files, Log& log,
                                                         const CleaningPlan& plan,
                                                         const CleanerMemory& memory, WallMs now);
    ~LogCompaction();
    LogCompaction(const LogCompaction&) = delete;
    LogCompaction& operator=(const LogCompaction&) = delete;

    enum class Progress { More, GroupReady, Done };
    struct Step {
        Progress progress = Progress::More;
        uint64_t io_bytes = 0;  // read and written by this step
    };
    /// Works until about `budget_bytes` were read or written. REQUIRES: no group waits for swap().
    Result<Step> step(uint64_t budget_bytes);
    /// On the log's shard. Cancelled: the log was truncated, shrunk, closed or is compacted no
    /// more; nothing was changed. Another failure is the log's own and final.
    Status swap();
    /// Whether going on makes no sense, for the reasons of Cancelled. On the log's shard.
    bool overtaken() const;
    /// Removes unfinished files, as far as possible. Anywhere.
    void discard();

    /// After Done: where the dirty part begins now, to be written to the checkpoint.
    Offset end_offset() const;
    const CleanerStats& stats() const;

    struct Inner;  // src/storage/compactor.h

  private:
    explicit LogCompaction(std::unique_ptr<Inner> inner);
    std::unique_ptr<Inner> inner_;
};

}  // namespace millrace::storage
