// src/broker/quorum_log.cc: the metadata log and its snapshots over the storage floor.
#include "broker/quorum_log.h"

#include <fmt/core.h>

#include <utility>

#include "millrace/base/log.h"
#include "millrace/env/clock.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::broker {

namespace {

const LogChannel kLog{"quorum"};
/// One record may be as large as a whole batch may be, plus its overhead.
constexpr int64_t kMetadataMessageBytesMax = 64 * 1024 * 1024;

storage::MetadataSnapshotId to_storage(const raft::SnapshotId& id) {
    return {id.end_offset, id.epoch};
}
raft::SnapshotId to_raft(const storage::MetadataSnapshotId& id) {
    return {id.end_offset, id.epoch};
}

std::shared_ptr<const storage::LogConfig> log_config(const QuorumDriverConfig& config) {
    auto settings = std::make_shared<storage::LogConfig>();
    settings->segment_bytes = config.segment_bytes;
    settings->segment_ms = config.segment_ms;
    settings->max_message_bytes = kMetadataMessageBytesMax;
    // Nothing goes by time or size: a prefix goes when a snapshot covers it (clean).
    settings->retention_ms = -1;
    settings->retention_bytes = -1;
    return settings;
}

}  // namespace

QuorumLog::QuorumLog(env::Env& env, const QuorumDriverConfig& config)
    : env_(env),
      config_(config),
      directory_(config.metadata_log_dir + "/" + kClusterMetadataDirectory) {}

Result<std::unique_ptr<QuorumLog>> QuorumLog::open(env::Env& env, const QuorumDriverConfig& config,
                                                   MoveFunction<void(Status)> on_failure) {
    std::unique_ptr<QuorumLog> log(new QuorumLog(env, config));
    MILLRACE_TRY(log->load(std::move(on_failure)));
    return log;
}

Status QuorumLog::load(MoveFunction<void(Status)> on_failure) {
    const WallMs now = env_.clock.wall();
    MILLRACE_TRY(env_.files.make_directories(directory_));
    storage::LogStore::Options options;
    options.path = config_.metadata_log_dir;
    options.default_config = log_config(config_);
    options.on_failure = std::move(on_failure);
    store_ = std::make_unique<storage::LogStore>(env_, std::move(options));
    MILLRACE_TRY(refresh_snapshots());
    // Recovery point 0 and not clean: the metadata log is always read and checked from its start,
    // as Kafka does. What a snapshot covers was committed: damage there is no torn tail, and what
    // lies behind it may be the only copy of committed records.
    storage::LogLoadJob::Input input;
    input.directory = directory_;
    input.partition = {"__cluster_metadata", PartitionIndex(0)};
    input.config = log_config(config_);
    if (!snapshots_.empty()) input.durable_below = snapshots_.back().id.end_offset;
    input.now = now;
    input.seed = env_.seed;
    auto job = store_->make_load_job(std::move(input));
    job->run();
    MILLRACE_TRY_ASSIGN(log_, store_->adopt(std::move(job)));
    if (log_->topic_id().is_zero()) MILLRACE_TRY(log_->set_topic_id(kMetadataTopicId));

    MILLRACE_TRY(
        storage::remove_stale_metadata_snapshots(env_.files, directory_, log_->log_start_offset()));
    MILLRACE_TRY(refresh_snapshots());
    const Offset start = log_->log_start_offset();
    if (start > Offset(0) && (snapshots_.empty() || snapshots_.back().id.end_offset < start)) {
        return {Errc::Corrupt,
                fmt::format("{}: the log starts at offset {} and no snapshot covers what is before",
                            directory_, start.value)};
    }
    if (snapshots_.empty()) return {};
    const storage::MetadataSnapshotId newest = snapshots_.back().id;
    const bool ahead = newest.epoch > last_epoch() ||
                       (newest.epoch == last_epoch() && newest.end_offset > log_end_offset());
    if (!ahead) return {};
    log_info(kLog, "the log ends at {}; continuing behind snapshot {}", log_end_offset().value,
             newest.to_string());
    return log_->truncate_fully_and_start_at(newest.end_offset, now);
}

LeaderEpoch QuorumLog::last_epoch() const {
    const LeaderEpoch epoch = log_->latest_epoch();
    if (epoch.value >= 0) return epoch;
    return snapshots_.empty() ? LeaderEpoch(0) : snapshots_.back().id.epoch;
}

raft::EpochEndOffset QuorumLog::end_offset_for_epoch(LeaderEpoch epoch) const {
    const storage::EpochEnd end = log_->end_offset_for(epoch);
    if (end.epoch.value >= 0) return {end.epoch, end.end_offset};
    // Behind a snapshot and without batches of its own: what the snapshot stands for.
    if (!snapshots_.empty() && snapshots_.front().id.epoch == epoch) {
        return {epoch, snapshots_.front().id.end_offset};
    }
    return {LeaderEpoch(0), Offset(0)};
}

std::optional<raft::SnapshotId> QuorumLog::latest_snapshot() const {
    if (snapshots_.empty()) return std::nullopt;
    return to_raft(snapshots_.back().id);
}

std::optional<raft::SnapshotId> QuorumLog::earliest_snapshot() const {
    if (snapshots_.empty()) return std::nullopt;
    return to_raft(snapshots_.front().id);
}

std::optional<int64_t> QuorumLog::snapshot_size_bytes(const raft::SnapshotId& id) const {
    for (const storage::MetadataSnapshotInfo& info : snapshots_) {
        if (info.id == to_storage(id)) return static_cast<int64_t>(info.size_bytes);
    }
    return std::nullopt;
}

Status QuorumLog::append(const raft::AppendBatch& batch, WallMs now) {
    storage::AppendInput input;
    input.batch = encode_quorum_batch(batch, now);
    input.leader_epoch = batch.epoch;
    input.origin = storage::AppendOrigin::RaftLeader;
    input.now = now;
    MILLRACE_TRY_ASSIGN(const storage::AppendOutcome outcome, log_->append(std::move(input)));
    if (outcome.error != ErrorCode::None || outcome.base_offset != batch.base_offset) {
        return {Errc::Corrupt,
                fmt::format("{}: a batch meant for offset {} went to {} (error {})", directory_,
                            batch.base_offset.value, outcome.base_offset.value,
                            static_cast<int>(outcome.error))};
    }
    return {};
}

Status QuorumLog::append_replicated(ByteView batches, LeaderEpoch epoch, WallMs now) {
    MILLRACE_TRY_ASSIGN(const storage::FollowerAppendOutcome outcome,
                        log_->append_as_follower(batches, epoch, now));
    if (outcome.error != ErrorCode::None || outcome.bytes != batches.size) {
        return {Errc::Corrupt, fmt::format("{}: a batch of the leader does not fit: {}", directory_,
                                           outcome.reason)};
    }
    return {};
}

Status QuorumLog::truncate(const raft::Truncation& truncation, WallMs now) {
    if (truncation.to_snapshot.has_value()) {
        log_info(kLog, "the metadata log goes on behind snapshot {}",
                 to_storage(*truncation.to_snapshot).to_string());
        return log_->truncate_fully_and_start_at(truncation.end_offset, now);
    }
    log_info(kLog, "the metadata log is cut to {}, where the leader's differs",
             truncation.end_offset.value);
    MILLRACE_TRY_ASSIGN(const bool cut, log_->truncate_to(truncation.end_offset, now));
    static_cast<void>(cut);
    return {};
}

Result<std::vector<StoredBatch>> QuorumLog::read(Offset from, Offset end, size_t bytes_max) {
    std::vector<StoredBatch> batches;
    storage::ReadInput input;
    input.start_offset = from;
    input.max_bytes = bytes_max;
    input.upper_bound = end;
    input.min_one_message = true;
    MILLRACE_TRY_ASSIGN(storage::ReadOutcome outcome, log_->read(input));
    if (outcome.error != ErrorCode::None) {
        return {Errc::Corrupt, fmt::format("{}: offset {} cannot be read", directory_, from.value)};
    }
    MILLRACE_TRY_ASSIGN(const Buffer bytes, outcome.records.flatten());
    record::BatchIterator walk(bytes.view());
    while (walk.next()) {
        const record::BatchView view = walk.batch();
        if (view.base_offset() >= end) break;
        if (view.last_offset() < from) continue;
        if (!view.valid_crc()) {
            return {Errc::Corrupt, fmt::format("{}: the batch at offset {} has a bad checksum",
                                               directory_, view.base_offset().value)};
        }
        batches.push_back({view, bytes.slice(walk.start(), view.size_bytes())});
    }
    if (batches.empty()) {
        return {Errc::Corrupt, fmt::format("{}: no batch at offset {}", directory_, from.value)};
    }
    return batches;
}

Result<std::optional<StoredBatch>> QuorumLog::read_batch_at(Offset offset) {
    if (offset < log_start_offset() || offset >= log_end_offset()) {
        return std::optional<StoredBatch>();
    }
    MILLRACE_TRY_ASSIGN(auto batches, read(offset, offset + 1, 1));
    return std::optional<StoredBatch>(std::move(batches.front()));
}

Result<QuorumLog::OpenSnapshot> QuorumLog::open_snapshot(const raft::SnapshotId& id) {
    OpenSnapshot opened;
    const std::string path =
        directory_ + "/" + storage::metadata_snapshot_file_name(to_storage(id));
    MILLRACE_TRY_ASSIGN(opened.reader, storage::MetadataSnapshotReader::open(env_.files, path));
    MILLRACE_TRY_ASSIGN(const std::optional<Buffer> first, opened.reader->next());
    if (!first.has_value()) return {Errc::Corrupt, path + " is empty"};
    auto header = decode_snapshot_header(record::BatchView(first->view()));
    if (!header.ok()) return {header.status().errc(), path + ": " + header.status().message()};
    opened.header = *std::move(header);
    return opened;
}

Result<std::unique_ptr<storage::MetadataSnapshotWriter>> QuorumLog::new_snapshot(
    const raft::SnapshotId& id) {
    return storage::MetadataSnapshotWriter::create(env_.files, directory_, to_storage(id),
                                                   next_unique_++);
}

Result<Buffer> QuorumLog::read_snapshot(const raft::SnapshotId& id, int64_t position,
                                        int32_t bytes) {
    const std::string path =
        directory_ + "/" + storage::metadata_snapshot_file_name(to_storage(id));
    MILLRACE_TRY_ASSIGN(const auto file, env_.files.open(path, env::OpenMode::ReadOnly));
    Buffer part = Buffer::allocate(static_cast<size_t>(bytes));
    MILLRACE_TRY_ASSIGN(const size_t got, file->read_at(static_cast<uint64_t>(position),
                                                        {part.mutable_data(), part.size()}));
    if (got != part.size()) return {Errc::Corrupt, path + " is shorter than it was"};
    return part;
}

Status QuorumLog::refresh_snapshots() {
    MILLRACE_TRY_ASSIGN(snapshots_, storage::list_metadata_snapshots(env_.files, directory_));
    return {};
}

Status QuorumLog::drop_before(const raft::SnapshotId& id, WallMs now) {
    MILLRACE_TRY_ASSIGN(const ErrorCode error, log_->advance_start(id.end_offset));
    if (error != ErrorCode::None) {
        return {Errc::Corrupt, fmt::format("{}: snapshot {} is ahead of what is committed",
                                           directory_, to_storage(id).to_string())};
    }
    MILLRACE_TRY_ASSIGN(const size_t segments, log_->delete_old_segments(now));
    while (!snapshots_.empty() && snapshots_.front().id < to_storage(id)) {
        const storage::MetadataSnapshotId old = snapshots_.front().id;
        MILLRACE_TRY(storage::remove_metadata_snapshot(env_.files, directory_, old));
        log_info(kLog, "removed snapshot {}", old.to_string());
        snapshots_.erase(snapshots_.begin());
    }
    log_info(kLog, "the metadata log starts at {}; {} segments removed", id.end_offset.value,
             segments);
    return {};
}

Result<bool> QuorumLog::clean(WallMs now) {
    bool cleaned = false;
    while (snapshots_.size() > 1) {
        uint64_t bytes = log_->size_bytes();
        for (const storage::MetadataSnapshotInfo& info : snapshots_)
            bytes += info.size_bytes;
        const bool too_large = config_.retention_bytes_max >= 0 &&
                               bytes > static_cast<uint64_t>(config_.retention_bytes_max);
        bool too_old = false;
        if (!too_large && config_.retention_ms_max >= 0) {
            MILLRACE_TRY_ASSIGN(const OpenSnapshot oldest,
                                open_snapshot(to_raft(snapshots_.front().id)));
            too_old = now.value - oldest.header.last_contained_log_timestamp.value >
                      config_.retention_ms_max;
        }
        if (!too_large && !too_old) break;
        MILLRACE_TRY(drop_before(to_raft(snapshots_[1].id), now));
        cleaned = true;
    }
    return cleaned;
}

Status QuorumLog::close(WallMs now) {
    log_ = nullptr;
    return store_->close_all(now);
}

}  // namespace millrace::broker
