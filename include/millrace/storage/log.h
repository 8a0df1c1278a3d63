// include/millrace/storage/log.h: one partition's log on disk.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/base/uuid.h"
#include "millrace/storage/leader_epochs.h"
#include "millrace/storage/log_config.h"
#include "millrace/storage/log_types.h"

namespace millrace::storage {

/// A partition's log: segments, their indexes, producer state and leader epochs, in Kafka's files.
///
/// Owned by the LogStore of one shard and touched on that shard only. It promises: batch offsets
/// strictly increase; what it serves passed its checks when it was written; an append is one
/// buffered write and becomes durable with a flush; a reopened log is a prefix of what was appended
/// and holds at least everything below the recovery point. log start <= LSO <= HW <= log end.
///
/// Two kinds of failure: an ErrorCode in an outcome is a protocol answer and changes nothing; a
/// failed Status means the disk refused, the log is dead (every later call fails at once) and the
/// caller takes the directory offline. Nothing is retried.
///
/// Sources: UnifiedLog, LocalLog, LogSegment, ProducerStateManager of Kafka 4.3.1.
class Log {
  public:
    struct State;  // src/storage/log_state.h
    explicit Log(std::unique_ptr<State> state);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    // --- identity
    const TopicPartition& partition() const;
    Uuid topic_id() const;  // zero when partition.metadata is missing
    /// Writes partition.metadata. REQUIRES: no topic id yet, or the same.
    Status set_topic_id(Uuid topic_id);
    const std::string& directory() const;
    bool failed() const;  // a Status was returned by some operation; see class comment
    /// Its files are damaged where they were durable: it answers nothing, and nothing touches them.
    bool damaged() const;

    // --- settings
    void set_config(std::shared_ptr<const LogConfig> config);
    const LogConfig& config() const;

    // --- offsets
    Offset log_start_offset() const;
    Offset log_end_offset() const;  // exclusive: offset of the next record
    Offset recovery_point() const;  // everything below is on stable storage
    Offset high_watermark() const;
    /// The partition's replication machine tells its watermark; it bounds LSO, retention and
    /// DeleteRecords. Values outside [log start, log end] are clamped.
    void set_high_watermark(Offset offset);
    Offset last_stable_offset() const;
    std::optional<Offset> first_unstable_offset() const;
    uint64_t size_bytes() const;
    size_t segment_count() const;
    Offset active_segment_base() const;
    /// Position of the log end; with position_of it tells how many bytes lie between two offsets.
    OffsetPosition end_position() const;
    /// Position of the batch that holds `offset` (or the next one). REQUIRES: offset in the log.
    Result<OffsetPosition> position_of(Offset offset);

    // --- append
    /// Leader: checks producer state, rolls, stamps, writes (dataplane rules B.2 11-19).
    /// REQUIRES: the batch passed record validation (length, CRC, magic).
    Result<AppendOutcome> append(AppendInput input);
    /// Writes the appends that were deferred (AppendInput::may_defer), in one call.
    Status write_out();
    size_t deferred_bytes() const;
    /// Follower: whole batches verbatim, in order, checked (length, CRC, offsets). Stops at a batch
    /// cut short or of an epoch above `leader_epoch` (pass the fetch's epoch; -1: no limit).
    Result<FollowerAppendOutcome> append_as_follower(ByteView batches, LeaderEpoch leader_epoch,
                                                     WallMs now);
    /// Leader start: (epoch, log end) enters the epoch cache; its file, with the first batch.
    Status assign_leader_epoch(LeaderEpoch epoch, Offset start);
    /// Starts a new segment at the log end; nothing happens when the active one is empty.
    Status roll(WallMs now);

    // --- read
    /// A zero-copy slice of one segment; sequential readers cost no index lookup.
    Result<ReadOutcome> read(const ReadInput& input);
    /// First record with timestamp >= target at or after the log start.
    Result<std::optional<TimestampOffset>> offset_for_timestamp(WallMs target);
    /// First record that carries the largest timestamp.
    Result<std::optional<TimestampOffset>> max_timestamp();

    // --- leader epochs
    const LeaderEpochs& leader_epochs() const;
    LeaderEpoch latest_epoch() const;  // -1 when none
    EpochEnd end_offset_for(LeaderEpoch epoch) const;

    // --- producers
    /// Guard for the first batch of a transaction; zero when a transaction of this epoch is open.
    /// error is InvalidProducerEpoch when the epoch is older than the stored one.
    struct GuardOutcome {
        ErrorCode error = ErrorCode::None;
        VerificationGuard guard;
    };
    GuardOutcome start_verification(ProducerId id, ProducerEpoch epoch, int32_t sequence,
                                    bool supports_epoch_bump, WallMs now);
    bool has_ongoing_transaction(ProducerId id, ProducerEpoch epoch) const;
    std::optional<ProducerView> producer(ProducerId id) const;
    std::vector<ActiveProducer> active_producers(WallMs now) const;
    void expire_producers(WallMs now);

    // --- shrink
    /// Follower: drops offsets >= `offset`. False when the log already ends there or before.
    Result<bool> truncate_to(Offset offset, WallMs now);
    /// Follower or observer: empties the log and goes on at `offset`.
    Status truncate_fully_and_start_at(Offset offset, WallMs now);
    /// DeleteRecords and the leader's log start. Error OffsetOutOfRange above the high watermark;
    /// at or below the log start nothing happens.
    Result<ErrorCode> advance_start(Offset offset);
    /// Retention by log start, size and time; returns the number of segments taken away.
    Result<size_t> delete_old_segments(WallMs now);

    // --- durability
    /// Syncs up to the present log end; `done` runs on this shard with the recovery point moved,
    /// inside this call when nothing is to be done. Cancelled: the log was closed meanwhile.
    void flush_async(MoveFunction<void(Status)> done);
    /// The same, waiting for the device. For stop and tools.
    Status flush_blocking();
    /// True when flush.messages or flush.ms ask for a flush now.
    bool flush_due(WallMs now);
    /// Clean stop: flushes all, trims indexes, writes the producer snapshot, closes the files. No
    /// call but the destructor may follow.
    Status close(WallMs now);

    /// For the store, recovery, cleaner and tests of this floor.
    State& state() { return *state_; }
    const State& state() const { return *state_; }

  private:
    std::unique_ptr<State> state_;
};

}  // namespace millrace::storage
