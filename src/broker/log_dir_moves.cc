// src/broker/log_dir_moves.cc: copies, flushes and changes over, one replica after the other.
#include "broker/log_dir_moves.h"

#include <algorithm>
#include <utility>

#include "broker/follow_rules.h"
#include "millrace/base/log.h"
#include "millrace/broker/controller_link.h"
#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

using replication::DirectoryMove;
using replication::FetchKey;

namespace {
constexpr LogChannel kLog{"move"};
/// Bytes read at a time (Kafka: replica.fetch.max.bytes).
constexpr size_t kChunkBytes = 1024 * 1024;
/// A throttle is looked at this often: its rate may be raised meanwhile.
constexpr Duration kThrottleCheck = seconds(1);
/// Chunks of the last step; what is left then waits for the next event.
constexpr int kLastChunksMax = 16;

FetchKey key_of(const Partition& partition) {
    return {partition.topic_id(), partition.name().partition};
}
}  // namespace

/// One read, shared with the background.
struct LogDirMoves::Chunk {
    FetchKey key;
    uint64_t id = 0;
    Offset from;
    BufferChain chain;
    Buffer bytes;
    Status status;
};

LogDirMoves::LogDirMoves(Shard& shard) : shard_(shard) {}

LogDirMoves::~LogDirMoves() {
    *alive_ = false;
    stop();
}

void LogDirMoves::stop() {
    shard_.env().timers.cancel(timer_);
    timer_ = env::kNoTimer;
    moves_.clear();
}

LogDirMoves::Move* LogDirMoves::find(const FetchKey& key, uint64_t id) {
    const auto at = moves_.find(key);
    return at != moves_.end() && at->second.id == id ? &at->second : nullptr;
}

bool LogDirMoves::moving(const Partition& partition) const {
    return moves_.contains(key_of(partition));
}

ErrorCode LogDirMoves::start(Partition& partition, LogDir& to) {
    const auto running = moves_.find(key_of(partition));
    if (running != moves_.end()) {
        if (running->second.to == &to) return ErrorCode::None;
        log_info(kLog, "{}: its move to {} is cancelled", partition.name().to_string(),
                 running->second.to->path);
        const bool told = running->second.machine.told_controller();
        drop(running, true);
        if (told) shard_.report_directory(partition);
    }
    if (partition.directory_id() == to.id) return ErrorCode::None;
    // One of these may hold a copy already.
    if (shard_.log_dirs().any_offline()) return ErrorCode::KafkaStorageError;
    const Result<storage::Log*> future =
        to.store->create_future(partition.name(), partition.topic_id(), partition.settings().log,
                                shard_.env().clock.wall());
    if (!future.ok()) {
        fail(to, future.status());
        return ErrorCode::KafkaStorageError;
    }
    add(partition, to, **future);
    return ErrorCode::None;
}

void LogDirMoves::resume(Partition& partition, LogDir& to, storage::Log& future) {
    add(partition, to, future);
}

void LogDirMoves::add(Partition& partition, LogDir& to, storage::Log& future) {
    log_info(kLog, "{}: moves to {}, from offset {} on", partition.name().to_string(), to.path,
             future.log_end_offset().value);
    moves_.emplace(key_of(partition), Move{next_id_++, &to, &future, DirectoryMove({})});
    schedule();
}

bool LogDirMoves::on_assigned_directory(const Partition& partition, const Uuid& directory) {
    const auto at = moves_.find(key_of(partition));
    if (at == moves_.end()) return false;
    const bool there = at->second.to->id == directory;
    at->second.machine.on_recorded(there);
    schedule();
    return there;
}

void LogDirMoves::drop(Moves::iterator at, bool delete_files) {
    const LogDir* to = at->second.to;
    const TopicPartition name = at->second.future->partition();
    moves_.erase(at);
    if (!delete_files || !to->online) return;
    const Status status = to->store->remove_future(name, shard_.env().clock.now(), Duration{});
    if (!status.ok()) fail(*to, status);
}

void LogDirMoves::forget(const Uuid& topic_id, PartitionIndex index, bool delete_files) {
    const auto at = moves_.find({topic_id, index});
    if (at != moves_.end()) drop(at, delete_files);
}

void LogDirMoves::on_directory_offline(const LogDir& dir) {
    std::erase_if(moves_, [&](const auto& entry) {
        const Partition* partition = shard_.partition(entry.first.topic_id, entry.first.partition);
        return entry.second.to == &dir || partition == nullptr || partition->offline();
    });
}

void LogDirMoves::fail(const LogDir& dir, const Status& status) {
    // After the present event: the directory's end takes moves away that are being looked at.
    shard_.env().timers.post([this, alive = alive_, path = dir.path, status] {
        if (*alive) shard_.log_dirs().fail(path, status);
    });
}

void LogDirMoves::schedule() {
    if (std::exchange(scheduled_, true)) return;
    shard_.env().timers.post([this, alive = alive_] {
        if (!*alive) return;
        scheduled_ = false;
        pump();
    });
}

void LogDirMoves::pump() {
    const Instant now = shard_.env().clock.now();
    Instant wake = Instant::never();
    for (auto at = moves_.begin(); at != moves_.end() && !copying_;) {
        const auto here = at++;  // finishing takes it out
        const FetchKey key = here->first;
        const uint64_t id = here->second.id;
        if (advance(key, here->second)) break;
        if (const Move* move = find(key, id)) wake = std::min(wake, move->machine.wake_at());
    }
    const Instant free_at = shard_.replication_quotas().log_dirs.free_at(now);
    if (free_at > now) wake = std::min(wake, std::min(free_at, now + kThrottleCheck));
    shard_.env().timers.cancel(timer_);
    timer_ = env::kNoTimer;
    if (copying_ || moves_.empty() || wake == Instant::never()) return;
    timer_ = shard_.env().timers.arm(wake, [this] {
        timer_ = env::kNoTimer;
        pump();
    });
}

bool LogDirMoves::advance(const FetchKey& key, Move& move) {
    Partition* partition = shard_.partition(key.topic_id, key.partition);
    const Instant now = shard_.env().clock.now();
    const bool throttled = shard_.replication_quotas().log_dirs.exceeded(now);
    if (partition == nullptr || partition->offline() || !move.to->online || throttled) return false;
    if (!align(*partition, move)) return false;
    switch (move.machine.next(now, behind(*partition, move))) {
        case DirectoryMove::Step::Wait: return false;
        case DirectoryMove::Step::Copy: copy(key, *partition, move); return copying_;
        case DirectoryMove::Step::Flush: flush(key, move); return false;
        case DirectoryMove::Step::Assign: assign(key, move); return false;
        case DirectoryMove::Step::Finish:
            if (!finish(key, *partition, move)) schedule();
            return false;
    }
    return false;
}

int64_t LogDirMoves::behind(Partition& partition, const Move& move) const {
    storage::Log& log = partition.log();
    const Offset at = move.future->log_end_offset();
    if (at >= log.log_end_offset()) return 0;
    const Result<storage::OffsetPosition> from = log.position_of(at);
    const storage::OffsetPosition end = log.end_position();
    if (!from.ok() || from->segment_base != end.segment_base) return INT64_MAX;
    return static_cast<int64_t>(end.position - from->position);
}

/// The copy follows cuts and deletions of the log; false: its directory refused.
bool LogDirMoves::align(Partition& partition, Move& move) {
    storage::Log& log = partition.log();
    storage::Log& future = *move.future;
    const WallMs now = shard_.env().clock.wall();
    Status status;
    if (future.log_end_offset() < log.log_start_offset()) {
        status = future.truncate_fully_and_start_at(log.log_start_offset(), now);
    } else if (const LeaderEpoch epoch = future.latest_epoch(); epoch != kNoLeaderEpoch) {
        const storage::EpochEnd theirs = log.end_offset_for(epoch);
        if (theirs.epoch != epoch || theirs.end_offset < future.log_end_offset()) {
            const storage::EpochEnd ours = future.end_offset_for(theirs.epoch);
            const Offset cut = replication::divergence_cut({theirs.epoch, theirs.end_offset},
                                                           {ours.epoch, ours.end_offset},
                                                           future.log_end_offset());
            status = future.truncate_to(std::max(cut, future.log_start_offset()), now).status();
        }
    } else if (future.log_end_offset() > log.log_end_offset()) {
        status = future.truncate_to(log.log_end_offset(), now).status();
    }
    if (status.ok()) {
        future.set_high_watermark(partition.high_watermark());
        const Offset start = std::min(log.log_start_offset(), future.high_watermark());
        if (start > future.log_start_offset()) status = future.advance_start(start).status();
    }
    if (!status.ok()) fail(*move.to, status);
    return status.ok();
}

void LogDirMoves::copy(const FetchKey& key, Partition& partition, Move& move) {
    storage::ReadInput input;
    input.start_offset = move.future->log_end_offset();
    input.max_bytes = kChunkBytes;
    input.upper_bound = partition.log().log_end_offset();
    input.min_one_message = true;
    Result<storage::ReadOutcome> read = partition.log().read(input);
    if (!read.ok()) {
        if (const LogDir* from = shard_.log_dirs().find(partition.directory_id())) {
            fail(*from, read.status());
        }
        return;
    }
    if (read->error != ErrorCode::None) {
        log_error(kLog, "{}: its log at offset {} cannot be read: {}",
                  partition.name().to_string(), input.start_offset.value,
                  error_code_name(read->error));
        return drop_later(key, move.id);
    }
    auto chunk = std::make_shared<Chunk>();
    chunk->key = key;
    chunk->id = move.id;
    chunk->from = input.start_offset;
    chunk->chain = std::move(read->records);
    copying_ = true;
    shard_.env().background.run(
        [chunk] {
            Result<Buffer> bytes = chunk->chain.flatten();
            chunk->status = bytes.status();
            if (bytes.ok()) chunk->bytes = *std::move(bytes);
        },
        [this, alive = alive_, chunk] {
            if (*alive) on_chunk(chunk);
        });
}

void LogDirMoves::on_chunk(const std::shared_ptr<Chunk>& chunk) {
    copying_ = false;
    schedule();
    Move* move = find(chunk->key, chunk->id);
    const Partition* partition = shard_.partition(chunk->key.topic_id, chunk->key.partition);
    if (move == nullptr || partition == nullptr) return;
    move->machine.on_copied();
    if (!chunk->status.ok()) {
        // A cut under the reader's hands shows as an early end: the next look aligns the copy.
        const LogDir* from = shard_.log_dirs().find(partition->directory_id());
        if (chunk->status.errc() != Errc::Corrupt && from != nullptr) fail(*from, chunk->status);
        return;
    }
    if (chunk->from == move->future->log_end_offset()) {
        static_cast<void>(append(*move, *partition, chunk->bytes.view()));
    }
}

/// False: nothing was taken.
bool LogDirMoves::append(Move& move, const Partition& partition, ByteView bytes) {
    const Instant now = shard_.env().clock.now();
    shard_.replication_quotas().log_dirs.record(now, static_cast<int64_t>(bytes.size));
    if (const auto base = begins_within(bytes, move.future->log_start_offset(),
                                        move.future->log_end_offset())) {
        const Status status =
            move.future->truncate_fully_and_start_at(*base, shard_.env().clock.wall());
        if (!status.ok()) {
            fail(*move.to, status);
            return false;
        }
    }
    const auto done = move.future->append_as_follower(bytes, LeaderEpoch(-1),
                                                      shard_.env().clock.wall());
    if (!done.ok()) {
        fail(*move.to, done.status());
        return false;
    }
    if (done->error != ErrorCode::None) {
        log_error(kLog, "{}: its log at offset {} cannot be copied: {}",
                  partition.name().to_string(), move.future->log_end_offset().value, done->reason);
        drop_later({partition.topic_id(), partition.name().partition}, move.id);
        return false;
    }
    return done->bytes > 0;
}

/// A log with bytes that no follower would take stays where it is.
void LogDirMoves::drop_later(const FetchKey& key, uint64_t id) {
    shard_.env().timers.post([this, alive = alive_, key, id] {
        if (!*alive || find(key, id) == nullptr) return;
        const bool told = find(key, id)->machine.told_controller();
        drop(moves_.find(key), true);
        Partition* partition = shard_.partition(key.topic_id, key.partition);
        if (told && partition != nullptr) shard_.report_directory(*partition);
    });
}

void LogDirMoves::flush(const FetchKey& key, Move& move) {
    move.future->flush_async([this, alive = alive_, key, id = move.id](const Status& status) {
        if (!*alive) return;
        Move* flushed = find(key, id);
        if (flushed == nullptr) return;
        if (!status.ok()) return fail(*flushed->to, status);
        flushed->machine.on_flushed();
        schedule();
    });
}

void LogDirMoves::assign(const FetchKey& key, Move& move) {
    shard_.assign_directory(
        key.topic_id, key.partition, move.to->id,
        [this, alive = alive_, key, id = move.id](ErrorCode error) {
            if (!*alive) return;
            Move* asked = find(key, id);
            if (asked == nullptr) return;
            if (error != ErrorCode::None) {
                log_info(kLog, "{}: the controller answers its new directory with {}",
                         asked->future->partition().to_string(), error_code_name(error));
            }
            asked->machine.on_assigned(shard_.env().clock.now(), error == ErrorCode::None);
            schedule();
        });
}

/// Within one event: nothing comes between the last byte and the change.
Status LogDirMoves::copy_rest(Partition& partition, Move& move) {
    storage::Log& log = partition.log();
    for (int i = 0; i < kLastChunksMax; ++i) {
        if (move.future->log_end_offset() >= log.log_end_offset()) break;
        storage::ReadInput input;
        input.start_offset = move.future->log_end_offset();
        input.max_bytes = kChunkBytes;
        input.upper_bound = log.log_end_offset();
        input.min_one_message = true;
        MILLRACE_TRY_ASSIGN(const storage::ReadOutcome read, log.read(input));
        MILLRACE_TRY_ASSIGN(const Buffer bytes, read.records.flatten());
        if (!append(move, partition, bytes.view())) break;
    }
    return {};
}

bool LogDirMoves::finish(const FetchKey& key, Partition& partition, Move& move) {
    storage::Log& log = partition.log();
    LogDir* from = shard_.log_dirs().find(partition.directory_id());
    if (const Status status = copy_rest(partition, move); !status.ok()) {
        fail(*from, status);
        return true;
    }
    if (move.future->log_end_offset() != log.log_end_offset()) return false;
    // What acknowledgements promised about the device holds for the new one, too.
    const bool promised = partition.settings().topic.flush_messages != INT64_MAX;
    Status status = promised ? move.future->flush_blocking() : Status{};
    // An epoch without records of its own is in no batch.
    const auto epoch = log.leader_epochs().latest();
    if (status.ok() && epoch && epoch->epoch > move.future->latest_epoch()) {
        status = move.future->assign_leader_epoch(epoch->epoch, epoch->start_offset);
    }
    LogDir* to = move.to;
    const TopicPartition name = partition.name();
    moves_.erase(key);
    Result<storage::Log*> promoted = status.ok() ? to->store->promote_future(name) : status;
    if (!promoted.ok()) {
        fail(*to, promoted.status());
        return true;
    }
    partition.switch_log(**promoted, to->id);
    log_info(kLog, "{}: is now in {}", name.to_string(), to->path);
    const Duration delay = milliseconds(partition.settings().topic.file_delete_delay_ms);
    if (Status removed = from->store->remove(name, shard_.env().clock.now(), delay);
        !removed.ok()) {
        fail(*from, removed);
    }
    // Stale lines would be believed after a crash.
    for (const auto kind : {storage::CheckpointKind::RecoveryPoint,
                            storage::CheckpointKind::HighWatermark,
                            storage::CheckpointKind::LogStart}) {
        shard_.log_dirs().checkpoint(kind);
    }
    return true;
}

}  // namespace millrace::broker
