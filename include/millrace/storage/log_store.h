// include/millrace/storage/log_store.h: the logs that one shard has in one log directory.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/move_function.h"
#include "millrace/base/rng.h"
#include "millrace/base/time.h"
#include "millrace/env/env.h"
#include "millrace/storage/log.h"
#include "millrace/storage/log_directory.h"

namespace millrace::storage {

/// Why a log was not opened: bytes that were once synced cannot be read back.
struct Corruption {
    std::string file;
    uint64_t position = 0;
    std::string reason;
};

/// What loading one partition found.
struct LoadReport {
    bool recovered = false;         // segments were scanned
    uint64_t scanned_bytes = 0;
    uint64_t truncated_bytes = 0;   // torn tail cut off (never below the recovery point)
    uint32_t rebuilt_indexes = 0;
    Uuid topic_id;                  // as far as partition.metadata told
    std::optional<Corruption> corruption;  // set when the load failed with Corrupt
};

/// Loads one partition folder; self-contained, so that run() may execute on env::Background while
/// the shard works on. Make it, run it once, give it back to LogStore::adopt on the shard.
class LogLoadJob {
  public:
    struct Input {
        std::string directory;  // full path of the partition folder
        TopicPartition partition;
        std::shared_ptr<const LogConfig> config;
        bool clean = false;        // the directory's clean marker was there
        Offset recovery_point{0};  // from the checkpoints; 0 when absent
        /// Damage below it is reported, never cut. The recovery point when that is higher; for a
        /// log that has none (the metadata log), what its newest snapshot covers.
        Offset durable_below{0};
        Offset log_start{0};
        Offset high_watermark{0};
        /// Below it gaps between segments are no damage: compaction left them. A log with a line in
        /// cleaner-offset-checkpoint may have them anywhere (a cleaning that was cut short).
        /// Absent: none for a log without compact, anywhere for one with it.
        std::optional<Offset> cleaned_to;
        WallMs now;
        uint64_t seed = 0;
    };
    LogLoadJob(env::FileSystem& files, Input input);
    ~LogLoadJob();
    /// Blocking. `progress` (may be empty) is told the bytes scanned and to scan, now and then.
    using Progress = MoveFunction<void(uint64_t done_bytes, uint64_t total_bytes)>;
    void run(Progress* progress = nullptr);
    const Input& input() const { return input_; }
    const Status& status() const { return status_; }
    const LoadReport& report() const { return report_; }

  private:
    friend class LogStore;
    env::FileSystem& files_;
    Input input_;
    Status status_;
    LoadReport report_;
    std::unique_ptr<Log> log_;
};

/// The logs of one shard in one directory: load, create, rename away, delete later; the lines of
/// the directory's checkpoints; the open-file limit.
///
/// Owned by its shard. `on_failure` is called once, with the first disk failure of any log or of
/// the store's own work that no caller is waiting for (flush after a roll, removal of files); the
/// driver then takes the directory offline.
class LogStore {
  public:
    struct Options {
        std::string path;               // the log directory
        size_t open_files_max = 4'000;  // of this store; the least recently used are closed
        std::shared_ptr<const LogConfig> default_config;
        MoveFunction<void(Status)> on_failure;
    };
    LogStore(const env::Env& env, Options options);
    ~LogStore();

    /// A job for the folder; run it here or on env::Background.
    std::unique_ptr<LogLoadJob> make_load_job(LogLoadJob::Input input) const;
    /// Takes the loaded log in; the job's failure comes back as the Status. REQUIRES: job ran.
    Result<Log*> adopt(std::unique_ptr<LogLoadJob> job);
    /// The same for the future copy of a partition whose log is in another directory.
    Result<Log*> adopt_future(std::unique_ptr<LogLoadJob> job);
    /// Keeps the place of a log whose load failed with Corrupt: a failed Log that guards the folder
    /// and hands on what the checkpoints said, so that the next start finds the damage again.
    Log* adopt_damaged(std::unique_ptr<LogLoadJob> job);
    /// While true no clean-shutdown marker may be written: it would vouch for these logs, too.
    bool any_damaged() const;
    /// New empty partition with partition.metadata; AlreadyExists when the folder is there.
    Result<Log*> create(const TopicPartition& partition, Uuid topic_id,
                        std::shared_ptr<const LogConfig> config, WallMs now);
    Log* find(const TopicPartition& partition);
    size_t size() const;
    /// In order of topic and partition; future copies not among them.
    void for_each(MoveFunction<void(Log&)> visit);

    /// A copy that is to replace the partition's log in another directory: T-p.<hex>-future. Its
    /// offsets are in this directory's checkpoints, it is closed with the others.
    /// REQUIRES: this store has no log of the partition, and no copy.
    Result<Log*> create_future(const TopicPartition& partition, Uuid topic_id,
                               std::shared_ptr<const LogConfig> config, WallMs now);
    Log* find_future(const TopicPartition& partition);
    void for_each_future(MoveFunction<void(Log&)> visit);
    /// The copy becomes the partition's log: its folder gets the plain name, durably.
    Result<Log*> promote_future(const TopicPartition& partition);
    Status remove_future(const TopicPartition& partition, Instant now, Duration delay);

    /// Renames the folder to ...-delete at once; files go after `delay`. The Log dies here.
    Status remove(const TopicPartition& partition, Instant now, Duration delay);
    /// Renames the folder to ...-stray and forgets the log (kept on disk).
    Status set_aside(const TopicPartition& partition);
    /// Deletes left-over folders of earlier runs (kind Delete), in the background.
    void remove_leftover(const std::string& folder_name);

    /// Lines for LogDirectory::write_checkpoint.
    std::vector<CheckpointEntry> recovery_points() const;
    std::vector<CheckpointEntry> high_watermarks() const;
    /// Only partitions whose log start lies inside a segment (Kafka leaves the others out).
    std::vector<CheckpointEntry> log_starts() const;
    uint64_t size_bytes() const;

    /// When tick has something to do: removal of files whose delay is over.
    Instant wake_at() const;
    void tick(Instant now);
    /// Closes every log (clean stop); the first failure is returned, the others are closed too.
    Status close_all(WallMs now);
    /// The same with the syncs in the background, up to `parallel` tasks of them side by side;
    /// `done` when every log is closed. REQUIRES: nothing else is asked of the store meanwhile.
    void close_all_async(WallMs now, size_t parallel, MoveFunction<void(Status)> done);

    struct Inner;  // src/storage/log_store.cc

  private:
    std::unique_ptr<Inner> inner_;
};

}  // namespace millrace::storage
