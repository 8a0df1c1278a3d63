// include/millrace/storage/log_directory.h: the root files of one log directory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/uuid.h"
#include "millrace/env/disk.h"
#include "millrace/storage/log_types.h"

namespace millrace::storage {

/// The four text checkpoints in the root of a log directory.
enum class CheckpointKind { RecoveryPoint, HighWatermark, LogStart, Cleaner };

/// What a folder's name says it is.
enum class PartitionFolderKind { Live, Future, Delete, Stray };

struct PartitionFolder {
    std::string name;  // within the log directory
    TopicPartition partition;
    PartitionFolderKind kind = PartitionFolderKind::Live;
    friend bool operator==(const PartitionFolder&, const PartitionFolder&) = default;
};

/// One log directory (an entry of log.dirs): lock, clean-stop marker, checkpoints, list of
/// partition folders.
///
/// Owned by the node's control shard, also when several shards have logs in it: their LogStores
/// give the lines, this writes the file. Blocking calls, some with a sync: run them at start, at
/// stop, or as work on env::Background (calls do not overlap each other). Formats: FORMAT.md.
class LogDirectory {
  public:
    /// Makes the directory when missing and locks it. Busy: another process has it. InvalidInput:
    /// it holds a folder that is no partition's (Kafka refuses to start on one).
    static Result<std::unique_ptr<LogDirectory>> open(env::FileSystem& files, std::string path);

    const std::string& path() const { return path_; }
    /// Partition folders sorted by name; __cluster_metadata and remote-log-index-cache left out.
    const std::vector<PartitionFolder>& folders() const { return folders_; }
    /// Whether the last stop was clean, as found by open.
    bool was_clean() const { return was_clean_; }
    /// Broker epoch in the marker of the last clean stop.
    std::optional<int64_t> clean_broker_epoch() const { return clean_broker_epoch_; }
    /// REQUIRED before the first write to any log of the directory: removes the marker, durably.
    Status remove_clean_marker();
    /// Last act of a clean stop, after every log closed without failure.
    Status write_clean_marker(int64_t broker_epoch);

    /// Missing file: no entries. Corrupt text: the directory is not usable.
    Result<std::map<TopicPartition, Offset>> read_checkpoint(CheckpointKind kind) const;
    /// Replaces the file atomically and durably.
    Status write_checkpoint(CheckpointKind kind, const std::vector<CheckpointEntry>& entries);

    /// Bytes of all files below the directory's folder `name`.
    Result<uint64_t> folder_size_bytes(const std::string& name) const;

  private:
    LogDirectory(env::FileSystem& files, std::string path);
    Status scan();
    env::FileSystem& files_;
    std::string path_;
    std::unique_ptr<env::FileLock> lock_;
    std::vector<PartitionFolder> folders_;
    bool was_clean_ = false;
    std::optional<int64_t> clean_broker_epoch_;
};

}  // namespace millrace::storage
