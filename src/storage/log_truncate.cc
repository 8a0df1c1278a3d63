// src/storage/log_truncate.cc: truncation, log start, retention; rebuilding producer state.
#include <fmt/core.h>

#include <algorithm>

#include "millrace/base/log.h"
#include "millrace/record/batch_iterator.h"
#include "storage/checkpoint_file.h"
#include "storage/log_state.h"
#include "storage/producer_snapshot.h"
#include "storage/retention.h"

namespace millrace::storage {
namespace {

const LogChannel kChannel{"storage"};

}  // namespace

Result<bool> Log::State::truncate(Offset offset, WallMs now) {
    if (offset >= log_end) {
        // An epoch in which this replica led and wrote nothing stands behind the end.
        if (epochs.truncate_from_end(log_end)) MILLRACE_TRY(write_epochs());
        return false;
    }
    log_info(kChannel, "{}: truncating from {} to {}", partition.to_string(), log_end.value,
             offset.value);
    if (offset < segments.front()->base()) {
        MILLRACE_TRY(truncate_fully(offset, now));
        return true;
    }
    const size_t index = segment_index(offset);
    MILLRACE_TRY_ASSIGN(const auto cut, segments[index]->find(offset));
    const Offset end = cut ? std::min(offset, cut->base_offset) : offset;
    MILLRACE_TRY(lower_recovery_point(end));
    note_truncation(end);
    if (index + 1 < segments.size()) {
        MILLRACE_TRY(delete_segments(index + 1, segments.size() - index - 1));
    }
    MILLRACE_TRY(active().truncate(offset, now).status());
    active().synced = false;
    log_end = end;
    log_start = std::min(log_start, log_end);
    recovery_point = std::min(recovery_point, log_end);
    update_high_watermark(std::min(high_watermark, log_end));
    if (epochs.truncate_from_end(log_end)) MILLRACE_TRY(write_epochs());
    MILLRACE_TRY(remove_snapshots_if([this](Offset at) { return at > log_end; }));
    MILLRACE_TRY(rebuild_producers(log_end, now, LaterSnapshots::Remove));
    update_high_watermark(high_watermark);
    MILLRACE_TRY(home.files->sync_directory(home.directory));
    return true;
}

Status Log::State::truncate_fully(Offset offset, WallMs now) {
    log_info(kChannel, "{}: dropping everything, starting at {}", partition.to_string(),
             offset.value);
    MILLRACE_TRY(lower_recovery_point(Offset(0)));
    note_truncation(offset);
    MILLRACE_TRY(delete_segments(0, segments.size()));
    MILLRACE_TRY(add_segment(offset, now));
    MILLRACE_TRY(remove_snapshots_if([](Offset) { return true; }));
    producers.reset();
    producers_end = offset;
    last_snapshot = kNoOffset;
    log_start = offset;
    log_end = offset;
    recovery_point = offset;
    high_watermark = offset;
    epochs.clear();
    MILLRACE_TRY(write_epochs());
    return home.files->sync_directory(home.directory);
}

void Log::State::note_truncation(Offset end) {
    ++generation;
    forget_positions();
    lowest_truncation = std::min(lowest_truncation.value_or(end), end);
}

Status Log::State::lower_recovery_point(Offset offset) {
    if (offset >= recovery_point) return {};
    const std::string text = fmt::format("0\n{}\n", offset.value);
    MILLRACE_TRY(replace_file(*home.files, home.directory, kLoweredPointFile, ByteView(text),
                              Durability::Synced));
    stale_recovery_point = std::max(stale_recovery_point, recovery_point);
    return {};
}

Status Log::State::forget_lowered_point() {
    if (stale_recovery_point < Offset(0)) return {};
    stale_recovery_point = kNoOffset;
    const Status removed = home.files->remove(join_path(home.directory, kLoweredPointFile));
    return removed.errc() == Errc::NotFound ? Status{} : removed;
}

Status Log::State::delete_segments(size_t from, size_t count) {
    // From the outer end inwards, so that a crash half-way leaves no hole in the middle.
    std::vector<std::string> paths;
    for (size_t n = 0; n < count; ++n) {
        Segment& segment = *segments[from == 0 ? n : from + count - 1 - n];
        MILLRACE_TRY_ASSIGN(std::vector<std::string> renamed, segment.rename_deleted());
        paths.insert(paths.end(), renamed.begin(), renamed.end());
    }
    const auto first = segments.begin() + static_cast<std::ptrdiff_t>(from);
    segments.erase(first, first + static_cast<std::ptrdiff_t>(count));
    if (keeper != nullptr) {
        keeper->remove_later(std::move(paths), config->file_delete_delay_ms);
        return {};
    }
    for (const std::string& path : paths) MILLRACE_TRY(home.files->remove(path));
    return {};
}

Status Log::State::remove_snapshots_if(MoveFunction<bool(Offset)> condition) {
    std::vector<Offset> kept;
    for (const Offset at : snapshots) {
        if (!condition(at)) {
            kept.push_back(at);
            continue;
        }
        const Status removed = home.files->remove(
            join_path(home.directory, segment_file_name(at, SegmentFile::Snapshot)));
        if (!removed.ok() && removed.errc() != Errc::NotFound) return removed;
        std::erase(snapshots_dirty, at);
    }
    snapshots = std::move(kept);
    last_snapshot = snapshots.empty() ? kNoOffset : snapshots.back();
    return {};
}

Status Log::State::replay_batch(const record::BatchView& batch,
                                std::optional<record::EndTxnMarker> marker, Segment* index_into) {
    if (batch.has_producer_id()) {
        const ProducerChange change = producer_state().check(
            {batch, marker, ProducerState::Source::Replication, false, {}, 0});
        producers->apply(change);
        if (index_into != nullptr && change.completes && change.completes->aborted) {
            const CompletedTransaction& done = *change.completes;
            MILLRACE_TRY(index_into->note_aborted({done.producer_id, done.first_offset,
                                                   done.last_offset,
                                                   producers->stable_offset_after(done)}));
        }
    }
    producers_end = batch.next_offset();
    return {};
}

Status Log::State::rebuild_producers(Offset end, WallMs now, LaterSnapshots later) {
    producers.reset();
    producers_end = std::min(segments.front()->base(), end);
    if (later == LaterSnapshots::Remove) {
        MILLRACE_TRY(remove_snapshots_if([end](Offset at) { return at > end; }));
    }
    // The newest snapshot that can be read; a bad one is removed and the one before it is used.
    const std::vector<Offset> candidates = snapshots;
    for (auto candidate = candidates.rbegin(); candidate != candidates.rend(); ++candidate) {
        const Offset at = *candidate;
        if (at > end) continue;
        if (at < producers_end) break;  // older than the first segment
        const std::string path =
            join_path(home.directory, segment_file_name(at, SegmentFile::Snapshot));
        MILLRACE_TRY_ASSIGN(const auto text, read_small_file(*home.files, path));
        auto entries = decode_producer_snapshot(text ? ByteView(*text) : ByteView{});
        if (entries.ok()) {
            for (const auto& [id, entry] : *entries) {
                if (!ProducerState::expired(entry, now, config->producer_id_expiration_ms)) {
                    producer_state().restore(id, entry);
                }
            }
            producers_end = at;
            break;
        }
        log_warn(kChannel, "{}: {}", path, entries.status().message());
        MILLRACE_TRY(remove_snapshots_if([at](Offset bad) { return bad == at; }));
    }
    last_snapshot = snapshots.empty() ? kNoOffset : snapshots.back();
    for (size_t i = segment_index(producers_end); i < segments.size() && producers_end < end; ++i) {
        Segment& segment = *segments[i];
        if (segment.size_bytes() == 0) continue;
        MILLRACE_TRY_ASSIGN(const auto start, segment.find(producers_end));
        if (!start) continue;
        MILLRACE_TRY_ASSIGN(auto file, segment.log_file());
        BatchScanner scanner(*file, start->position, segment.size_bytes(),
                             BatchScanner::kRecoveryChunkBytes);
        while (true) {
            MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
            if (!more || scanner.header().base_offset() >= end) break;
            std::optional<record::EndTxnMarker> marker;
            if (scanner.header().is_control()) {
                MILLRACE_TRY_ASSIGN(const ByteView bytes, scanner.bytes());
                if (!bytes.empty()) marker = record::read_end_txn_batch(record::BatchView(bytes));
            }
            MILLRACE_TRY(replay_batch(scanner.header(), marker, nullptr));
        }
    }
    producers_end = end;
    return {};
}

Status Log::State::raise_log_start(Offset offset) {
    MILLRACE_ASSERT(offset >= log_start, "the log start moves forward");
    log_start = offset;
    if (high_watermark < log_start) update_high_watermark(log_start);
    if (producers) producers->on_log_start(offset);
    if (epochs.truncate_from_start(offset)) return write_epochs();
    return {};
}

Result<size_t> Log::State::apply_retention(WallMs now) {
    size_t gone = 0;
    int64_t excess = 0;
    for (int pass = 1; pass <= (config->cleanup_delete ? 3 : 1); ++pass) {
        if (pass == 2) {
            for (const auto& segment : segments) {
                excess += static_cast<int64_t>(segment->size_bytes());
            }
            excess -= config->retention_bytes;
        }
        size_t chosen = 0;
        for (; chosen < segments.size(); ++chosen) {
            Segment& segment = *segments[chosen];
            SegmentFacts facts;
            facts.has_next = chosen + 1 < segments.size();
            facts.end_offset = facts.has_next ? segments[chosen + 1]->base() : log_end;
            facts.size_bytes = segment.size_bytes();
            if (!may_delete(facts, high_watermark)) break;
            bool goes = false;
            if (pass == 1) goes = below_log_start(facts, log_start);
            if (pass == 2) goes = exceeds_size(facts, config->retention_bytes, excess);
            if (pass == 3) {
                MILLRACE_TRY_ASSIGN(const WallMs largest, segment.largest_timestamp_or_modified());
                goes = exceeds_age(largest, config->retention_ms, now);
            }
            if (!goes) break;
        }
        if (chosen == 0) continue;
        if (chosen == segments.size()) MILLRACE_TRY(roll_to(log_end, now));
        const Offset first_kept = segments[chosen]->base();
        log_info(kChannel, "{}: {} segments go, log start {}", partition.to_string(), chosen,
                 first_kept.value);
        forget_positions();
        MILLRACE_TRY(delete_segments(0, chosen));
        // Snapshots live as long as the segment that starts with them.
        MILLRACE_TRY(remove_snapshots_if([&](Offset at) { return at < first_kept; }));
        if (first_kept > log_start) MILLRACE_TRY(raise_log_start(first_kept));
        gone += chosen;
    }
    return gone;
}

}  // namespace millrace::storage
