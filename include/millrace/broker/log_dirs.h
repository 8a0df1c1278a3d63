// include/millrace/broker/log_dirs.h: the log directories of a node: opening, loading, checkpoints,
// failure.
//
// Owner: broker/node, on the control shard. Promises: a directory is locked while open; the clean
// marker is gone before the first write and back only after every log closed; a directory that
// failed once is never touched again; the loss of the last one or of the metadata one is fatal.
// Sources: kafka.log.LogManager; dataplane.md F.6-F.8, kraft.md 3.1, 3.8, 3.9.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/base/uuid.h"
#include "millrace/broker/config.h"
#include "millrace/env/env.h"
#include "millrace/storage/log_directory.h"
#include "millrace/storage/log_store.h"

namespace millrace::broker {

struct LogDir {
    Uuid id;
    std::string path;
    std::unique_ptr<storage::LogDirectory> directory;  // null when it could not be opened
    std::unique_ptr<storage::LogStore> store;
    bool online = false;
    std::string failure;                               // why it is offline
};

class LogDirs {
  public:
    struct Events {
        MoveFunction<void(LogDir&)> on_offline;          // after a failure while running
        MoveFunction<void(const Status&)> on_fatal;  // nothing left to serve from
    };
    LogDirs(const env::Env& env, const BrokerConfig& config, Events events);
    ~LogDirs();

    /// Locks and scans every directory and reads its meta.properties. Blocking.
    Status open();
    const std::string& cluster_id() const { return cluster_id_; }
    /// Directory that holds the metadata log.
    Uuid metadata_directory_id() const;
    std::vector<std::unique_ptr<LogDir>>& dirs() { return dirs_; }
    LogDir* find(const Uuid& id);
    LogDir* find_path(const std::string& path);
    /// Broker epoch of the last clean stop, when all directories agree on having stopped cleanly.
    int64_t previous_broker_epoch() const;
    std::vector<Uuid> online_ids() const;   // sorted
    std::vector<Uuid> offline_ids() const;  // sorted; those whose id could be read
    bool any_offline() const;

    /// Settings for a log before its topic's are known.
    using ConfigFor =
        std::function<std::shared_ptr<const storage::LogConfig>(const std::string& topic)>;
    /// Loads every partition folder, on env::Background, all directories side by side; `done` on
    /// this shard. A log that cannot be read takes its directory offline; one whose durable bytes
    /// are damaged is kept aside as Log::damaged and the others serve (Kafka: the directory goes).
    void load(ConfigFor config_for, MoveFunction<void()> done);

    /// The directory for a new partition: the online one with the fewest partitions.
    LogDir* choose(const std::vector<std::string>& cordoned);
    void fail(const std::string& path, const Status& status);

    /// Periodic work, called by log_maintenance.
    void checkpoint(storage::CheckpointKind kind);
    void tick();
    Instant wake_at() const;

    /// Clean stop: closes the logs (in the background, all directories side by side), writes
    /// checkpoints and the clean marker; then `done`.
    void close(int64_t broker_epoch, MoveFunction<void()> done);

  private:
    struct Loading;
    void on_damaged(LogDir& dir, std::unique_ptr<storage::LogLoadJob> job);
    void end_close(LogDir& dir, int64_t broker_epoch, Status status,
                   const std::vector<storage::CheckpointEntry>& high_watermarks);
    void take_offline(LogDir& dir, const std::string& reason);
    Status open_one(LogDir& dir);
    void write_next_checkpoint();
    void start_jobs(const std::shared_ptr<Loading>& loading, size_t dir_index);
    void on_batch_loaded(const std::shared_ptr<Loading>& loading, size_t dir_index,
                         std::vector<std::unique_ptr<storage::LogLoadJob>> jobs);

    env::Env env_;
    const BrokerConfig& config_;
    Events events_;
    std::string cluster_id_;
    std::vector<std::unique_ptr<LogDir>> dirs_;
    std::vector<storage::CheckpointKind> queued_;  // checkpoints to write, each kind once
    bool writing_ = false;                         // one is in the background right now
};

}  // namespace millrace::broker
