// include/millrace/storage/metadata_snapshot.h: the *.checkpoint files of __cluster_metadata-0.
//
// A snapshot is a file of record batches named by the offset it stands for. This floor knows names,
// completeness and batches; what the records mean is the broker's. Sources: Kafka's Snapshots,
// FileRawSnapshotWriter, KafkaRaftLog. Blocking calls.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/env/disk.h"

namespace millrace::storage {

inline constexpr const char* kBootstrapCheckpointName = "bootstrap.checkpoint";

/// End offset (exclusive) and epoch of the last record contained. 0-0 is the one format writes.
struct MetadataSnapshotId {
    Offset end_offset{0};
    LeaderEpoch epoch{0};
    friend auto operator<=>(const MetadataSnapshotId&, const MetadataSnapshotId&) = default;
    bool is_bootstrap() const { return end_offset.value == 0 && epoch.value == 0; }
    /// "00000000000000000045-0000000001"
    std::string to_string() const;
};

/// What a file name in the metadata directory says about a snapshot.
enum class MetadataSnapshotFile { Complete, Partial, Deleted };
struct MetadataSnapshotName {
    MetadataSnapshotId id;
    MetadataSnapshotFile kind = MetadataSnapshotFile::Complete;
};
std::string metadata_snapshot_file_name(const MetadataSnapshotId& id);
/// Nothing for a name that is no snapshot's.
std::optional<MetadataSnapshotName> parse_metadata_snapshot_name(std::string_view file_name);

struct MetadataSnapshotInfo {
    MetadataSnapshotId id;
    uint64_t size_bytes = 0;
    WallMs modified;
};

/// Complete snapshots of `directory`, oldest first. A missing directory has none.
Result<std::vector<MetadataSnapshotInfo>> list_metadata_snapshots(env::FileSystem& files,
                                                                  const std::string& directory);
/// What a start removes: partial and deleted files, and snapshots that end before `log_start`.
Status remove_stale_metadata_snapshots(env::FileSystem& files, const std::string& directory,
                                       Offset log_start);
Status remove_metadata_snapshot(env::FileSystem& files, const std::string& directory,
                                const MetadataSnapshotId& id);

/// Writes one file under a temporary name; it exists under its own name only after finish().
/// Destroying an unfinished writer removes the temporary file. Used by whoever makes a snapshot,
/// by format (also for bootstrap.checkpoint), and by a follower that fetches one.
class MetadataSnapshotWriter {
  public:
    static Result<std::unique_ptr<MetadataSnapshotWriter>> create(env::FileSystem& files,
                                                                  std::string directory,
                                                                  const std::string& final_name,
                                                                  const std::string& part_name);
    /// For a snapshot: <id>-<unique>.checkpoint.part, renamed to <id>.checkpoint.
    static Result<std::unique_ptr<MetadataSnapshotWriter>> create(env::FileSystem& files,
                                                                  std::string directory,
                                                                  const MetadataSnapshotId& id,
                                                                  uint64_t unique);
    MetadataSnapshotWriter(const MetadataSnapshotWriter&) = delete;
    MetadataSnapshotWriter& operator=(const MetadataSnapshotWriter&) = delete;
    ~MetadataSnapshotWriter();

    uint64_t size_bytes() const { return size_bytes_; }
    /// Appends encoded batches (or any part of them, when the bytes come from a leader).
    Status append(ByteView bytes);
    /// Sync, make read-only, rename, sync the directory. The writer is done afterwards.
    Status finish(bool read_only = true);

  private:
    MetadataSnapshotWriter(env::FileSystem& files, std::string directory, std::string part_path,
                           std::string final_path);
    env::FileSystem& files_;
    std::string directory_;
    std::string part_path_;
    std::string final_path_;
    std::shared_ptr<env::File> file_;
    uint64_t size_bytes_ = 0;
};

/// Walks the batches of a complete file in order, one batch in memory at a time.
class MetadataSnapshotReader {
  public:
    static Result<std::unique_ptr<MetadataSnapshotReader>> open(env::FileSystem& files,
                                                                const std::string& path);
    /// The next whole batch, its checksum verified; nothing at the end of the file. A file that
    /// ends inside a batch is Corrupt, with its path and position.
    Result<std::optional<Buffer>> next();
    uint64_t size_bytes() const { return size_bytes_; }
    const std::string& path() const { return path_; }

  private:
    MetadataSnapshotReader(std::string path, std::shared_ptr<env::File> file, uint64_t size);
    std::string path_;
    std::shared_ptr<env::File> file_;
    uint64_t size_bytes_ = 0;
    uint64_t position_ = 0;
};

}  // namespace millrace::storage
