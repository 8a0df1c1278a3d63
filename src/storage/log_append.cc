// src/storage/log_append.cc: appends as leader and follower, rolling, epochs, snapshots.
//
// Order of a leader's append (dataplane B.2 11-19): size, roll, producer state, one write, index,
// producer state taken over. A batch refused by producer state may leave an empty new segment.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "millrace/record/batch_iterator.h"
#include "storage/checkpoint_file.h"
#include "storage/log_state.h"
#include "storage/producer_snapshot.h"

namespace millrace::storage {
namespace {

constexpr size_t kDeferredMax = 32;  // appends of one write

std::optional<record::EndTxnMarker> marker_of(const record::BatchView& batch) {
    if (!batch.is_control() || !batch.has_producer_id()) return std::nullopt;
    return record::read_end_txn_batch(batch);
}

}  // namespace

ProducerState& Log::State::producer_state() {
    if (!producers) producers = std::make_unique<ProducerState>();
    return *producers;
}

Result<AppendOutcome> Log::State::append_as_leader(AppendInput& input) {
    const record::BatchView batch(input.batch.view());
    MILLRACE_ASSERT(static_cast<int64_t>(batch.size_bytes()) ==
                        int64_t{batch.length()} + int64_t{record::kLogOverheadBytes},
                    "exactly one batch");
    MILLRACE_ASSERT(batch.last_offset_delta() >= 0, "a batch has offsets");
    if (const auto latest = epochs.latest(); latest && input.leader_epoch != kNoLeaderEpoch) {
        MILLRACE_ASSERT(input.leader_epoch >= latest->epoch, "leader epochs do not fall");
    }
    AppendOutcome outcome;
    // The quorum's batches have a bound of their own; a large one gets a segment for itself.
    if (input.origin != AppendOrigin::RaftLeader &&
        batch.size_bytes() > static_cast<uint64_t>(config->segment_bytes)) {
        outcome.error = ErrorCode::RecordListTooLarge;
        return outcome;
    }
    const MutableByteView bytes{input.batch.mutable_data(), input.batch.size()};
    record::stamp_base_offset(bytes, log_end);
    record::stamp_leader_epoch(bytes, input.leader_epoch);
    MILLRACE_TRY(assign_epoch(input.leader_epoch, log_end));
    MILLRACE_TRY_ASSIGN(const bool full, active().should_roll(batch, {}, input.now, *config));
    if (full || deferred.size() == kDeferredMax) MILLRACE_TRY(write_deferred());
    if (full) MILLRACE_TRY(roll_to(log_end, input.now));

    outcome.log_start_offset = log_start;
    std::optional<ProducerChange> change;
    if (batch.has_producer_id() && input.origin != AppendOrigin::RaftLeader) {
        const auto source = input.origin == AppendOrigin::Client ? ProducerState::Source::Client
                                                                 : ProducerState::Source::Coordinator;
        change = producer_state().check({batch, marker_of(batch), source,
                                         config->transaction_verification, input.guard,
                                         input.transaction_version});
        if (change->error != ErrorCode::None) {
            outcome.error = change->error;
            return outcome;
        }
        if (change->duplicate) {
            outcome.duplicate = true;
            outcome.base_offset = change->duplicate->first_offset();
            outcome.last_offset = change->duplicate->last_offset;
            outcome.log_append_time = change->duplicate->timestamp;
            return outcome;
        }
    }
    outcome.base_offset = log_end;
    outcome.last_offset = batch.last_offset();
    if (batch.timestamp_type() == record::TimestampType::LogAppendTime) {
        outcome.log_append_time = batch.max_timestamp();
    }
    const uint64_t position = active().size_bytes();
    if (input.may_defer && active().may_reserve()) {
        active().reserve(input.batch.size());
        deferred_bytes += input.batch.size();
        deferred.push_back(input.batch);  // shares the bytes that `batch` views
    } else {
        MILLRACE_TRY(write_deferred());
        MILLRACE_TRY(active().write(input.batch.view()));
    }
    MILLRACE_TRY(finish_batch(batch, position, change ? &*change : nullptr));
    MILLRACE_ASSERT(log_end == outcome.last_offset + 1, "the end follows the last batch");
    return outcome;
}

Status Log::State::finish_batch(const record::BatchView& batch, uint64_t position,
                                const ProducerChange* change) {
    MILLRACE_ASSERT(batch.base_offset() >= log_end, "batch offsets strictly increase");
    MILLRACE_TRY(active().note_batch(batch, position, *config));
    if (change != nullptr) {
        producers->apply(*change);
        if (change->completes && change->completes->aborted) {
            const CompletedTransaction& done = *change->completes;
            directory_dirty = directory_dirty || !active().txns().exists();
            MILLRACE_TRY(active().note_aborted({done.producer_id, done.first_offset,
                                                done.last_offset,
                                                producers->stable_offset_after(done)}));
        }
    }
    log_end = batch.next_offset();
    producers_end = log_end;
    return {};
}

Status Log::State::write_deferred() {
    if (deferred.empty()) return {};
    MILLRACE_ASSERT(deferred.size() <= kDeferredMax, "appends are written out in time");
    std::array<ByteView, kDeferredMax> parts;
    for (size_t i = 0; i < deferred.size(); ++i) parts[i] = deferred[i].view();
    Status status = active().write_reserved({parts.data(), deferred.size()}, deferred_bytes);
    deferred.clear();
    deferred_bytes = 0;
    return status;
}

Status Log::State::write_run(ByteView run) {
    if (run.empty()) return {};
    uint64_t position = active().size_bytes();
    MILLRACE_TRY(active().write(run));
    record::BatchIterator walk(run);
    while (walk.next()) {
        const record::BatchView batch = walk.batch();
        std::optional<ProducerChange> change;
        if (batch.has_producer_id()) {
            change = producer_state().check({batch, marker_of(batch),
                                             ProducerState::Source::Replication, false, {}, 0});
            MILLRACE_ASSERT(change->error == ErrorCode::None, "replication is never refused");
        }
        MILLRACE_TRY(finish_batch(batch, position, change ? &*change : nullptr));
        position += batch.size_bytes();
    }
    return {};
}

Result<FollowerAppendOutcome> Log::State::append_verbatim(ByteView bytes, LeaderEpoch leader_epoch,
                                                          WallMs now) {
    FollowerAppendOutcome outcome;
    outcome.end_offset = log_end;
    Offset expected = log_end;
    size_t run_start = 0;
    size_t run_end = 0;
    Segment::Pending run;
    const auto refuse = [&](ErrorCode error, std::string reason) {
        outcome.error = error;
        outcome.reason = std::move(reason);
    };
    record::BatchIterator walk(bytes);
    while (walk.next()) {
        const record::BatchView batch = walk.batch();
        if (leader_epoch != kNoLeaderEpoch && batch.leader_epoch() > leader_epoch) break;
        if (batch.base_offset() < expected || batch.base_offset().value > kBaseOffsetMax ||
            batch.last_offset_delta() < 0) {
            refuse(ErrorCode::OffsetOutOfRange,
                   fmt::format("batch at offset {} does not follow log end {}",
                               batch.base_offset().value, expected.value));
            break;
        }
        if (!batch.valid_crc()) {
            refuse(ErrorCode::CorruptMessage, fmt::format("batch at offset {} fails its checksum",
                                                          batch.base_offset().value));
            break;
        }
        if (run_start == run_end) run.first_timestamp = batch.max_timestamp();
        run.bytes = run_end - run_start;
        MILLRACE_TRY_ASSIGN(const bool full, active().should_roll(batch, run, now, *config));
        if (full) {
            MILLRACE_TRY(write_run(bytes.sub(run_start, run_end - run_start)));
            run_start = run_end;
            run.first_timestamp = batch.max_timestamp();
            // Unlike Kafka's, the new segment begins where the log ends even when the leader's offsets
            // have a gap there: a gap between segments then always means lost bytes to recovery.
            const bool far =
                batch.last_offset() - log_end > int64_t{std::numeric_limits<int32_t>::max()};
            MILLRACE_TRY(roll_to(far ? batch.base_offset() : log_end, now));
        }
        MILLRACE_TRY(assign_epoch(batch.leader_epoch(), batch.base_offset()));
        run_end = walk.valid_bytes();
        expected = batch.next_offset();
        if (outcome.batches++ == 0) outcome.first_offset = batch.base_offset();
    }
    if (walk.end() == record::WalkEnd::Corrupt && outcome.error == ErrorCode::None) {
        refuse(ErrorCode::CorruptMessage,
               fmt::format("no batch at byte {} of the fetched bytes", walk.valid_bytes()));
    }
    MILLRACE_TRY(write_run(bytes.sub(run_start, run_end - run_start)));
    outcome.bytes = run_end;
    outcome.end_offset = log_end;
    MILLRACE_ASSERT(log_end == expected, "the end follows the last batch");
    return outcome;
}

Status Log::State::assign_epoch(LeaderEpoch epoch, Offset start) {
    if (!epochs.assign(epoch, start) && !epochs_unwritten) return {};
    return write_epochs();
}

Status Log::State::write_epochs() {
    // Not synced here: batches above the recovery point carry their epoch, and the recovery point
    // moves only after this file is synced with them.
    epochs_unwritten = false;
    epochs_dirty = true;
    directory_dirty = true;
    mark_dirty();
    const std::string text = epochs.to_text();
    return replace_file(*home.files, home.directory, kLeaderEpochFile, ByteView(text),
                        Durability::Buffered);
}

int64_t Log::State::draw_jitter() {
    const int64_t bound = std::min(config->segment_jitter_ms, config->segment_ms);
    return bound <= 0 ? 0 : static_cast<int64_t>(rng.below(static_cast<uint64_t>(bound)));
}

Status Log::State::add_segment(Offset base, WallMs now, bool first_ever) {
    MILLRACE_ASSERT(segments.empty() || segments.back()->base() < base, "segment bases rise");
    auto segment = std::make_unique<Segment>(home, base, now, draw_jitter());
    MILLRACE_TRY(segment->create(*config, first_ever));
    segments.push_back(std::move(segment));
    directory_dirty = true;
    mark_dirty();
    return {};
}

Status Log::State::roll_to(Offset base, WallMs now) {
    MILLRACE_ASSERT(base >= log_end, "a roll goes forward");
    // An empty active segment serves its own base as well as a new one would.
    if (active().base() == base) return {};
    MILLRACE_TRY(active().seal(*config));
    active().synced = false;
    MILLRACE_TRY(add_segment(base, now));
    log_end = base;
    producers_end = base;
    MILLRACE_TRY(take_snapshot());
    flush_in_background();
    return {};
}

Status Log::State::take_snapshot() {
    if (producers_end <= std::max(last_snapshot, Offset(0))) return {};
    const Buffer bytes = encode_producer_snapshot(producers.get());
    const std::string path =
        join_path(home.directory, segment_file_name(producers_end, SegmentFile::Snapshot));
    MILLRACE_TRY_ASSIGN(auto file, home.files->open(path, env::OpenMode::CreateOrOpen));
    MILLRACE_TRY(file->truncate(0));
    MILLRACE_TRY(file->write_at(0, bytes.view()));
    last_snapshot = producers_end;
    std::erase(snapshots, producers_end);
    snapshots.push_back(producers_end);
    snapshots_dirty.push_back(producers_end);
    directory_dirty = true;
    mark_dirty();
    return {};
}

}  // namespace millrace::storage
