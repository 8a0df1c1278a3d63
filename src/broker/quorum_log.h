// src/broker/quorum_log.h: __cluster_metadata-0 on disk: the log, its snapshots, their retention.
//
// Owned by the quorum driver. Answers the quorum's questions (raft::LogView), appends and reads
// batches, makes and removes snapshots. Source: org.apache.kafka.raft.internals.KafkaRaftLog.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/quorum_records.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/raft/log_view.h"
#include "millrace/storage/log_store.h"
#include "millrace/storage/metadata_snapshot.h"

namespace millrace::broker {

/// A batch read back, with the bytes it was read from.
struct StoredBatch {
    record::BatchView view;
    Buffer bytes;
};

class QuorumLog : public raft::LogView {
  public:
    /// Opens the log, removes what a crash left of snapshots, moves an empty or lagging log behind
    /// its newest snapshot. Blocking. `on_failure`: a disk failure that no call reports.
    static Result<std::unique_ptr<QuorumLog>> open(env::Env& env, const QuorumDriverConfig& config,
                                                   MoveFunction<void(Status)> on_failure);

    Offset log_start_offset() const override {
        return log_ == nullptr ? Offset(0) : log_->log_start_offset();
    }
    Offset log_end_offset() const override { return log_->log_end_offset(); }
    LeaderEpoch last_epoch() const override;
    raft::EpochEndOffset end_offset_for_epoch(LeaderEpoch epoch) const override;
    std::optional<raft::SnapshotId> latest_snapshot() const override;
    std::optional<raft::SnapshotId> earliest_snapshot() const override;
    std::optional<int64_t> snapshot_size_bytes(const raft::SnapshotId& id) const override;

    const std::string& directory() const { return directory_; }
    Status append(const raft::AppendBatch& batch, WallMs now);
    /// Batches of a leader, byte for byte.
    Status append_replicated(ByteView batches, LeaderEpoch epoch, WallMs now);
    /// Drops the end of the log, or all of it behind a snapshot that has been stored.
    Status truncate(const raft::Truncation& truncation, WallMs now);
    void sync_async(MoveFunction<void(Status)> done) { log_->flush_async(std::move(done)); }
    void set_high_watermark(Offset offset) { log_->set_high_watermark(offset); }
    /// Whole batches from `from` (a batch boundary) up to `end`, about `bytes_max` bytes.
    Result<std::vector<StoredBatch>> read(Offset from, Offset end, size_t bytes_max);
    /// The batch that holds `offset`; nothing when the log does not reach back or on to it.
    Result<std::optional<StoredBatch>> read_batch_at(Offset offset);

    /// Opens a complete snapshot and reads its first batch.
    struct OpenSnapshot {
        SnapshotHeader header;
        std::unique_ptr<storage::MetadataSnapshotReader> reader;  // behind the first batch
    };
    Result<OpenSnapshot> open_snapshot(const raft::SnapshotId& id);
    Result<std::unique_ptr<storage::MetadataSnapshotWriter>> new_snapshot(
        const raft::SnapshotId& id);
    /// Part of a stored snapshot, for a node that fetches it. Corrupt when the file is shorter.
    Result<Buffer> read_snapshot(const raft::SnapshotId& id, int64_t position, int32_t bytes);
    /// After a writer finished.
    Status refresh_snapshots();
    /// Drops old snapshots by size and age, never the newest, and the log below the oldest left.
    /// True when something went.
    Result<bool> clean(WallMs now);

    Status close(WallMs now);

  private:
    QuorumLog(env::Env& env, const QuorumDriverConfig& config);
    Status load(MoveFunction<void(Status)> on_failure);
    Status drop_before(const raft::SnapshotId& id, WallMs now);

    env::Env& env_;
    const QuorumDriverConfig& config_;
    std::string directory_;
    std::unique_ptr<storage::LogStore> store_;
    storage::Log* log_ = nullptr;
    std::vector<storage::MetadataSnapshotInfo> snapshots_;  // oldest first
    uint64_t next_unique_ = 1;
};

}  // namespace millrace::broker
