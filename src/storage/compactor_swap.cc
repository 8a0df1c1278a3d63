// src/storage/compactor_swap.cc: the shard's side of a cleaning: planning it, and the swap.
#include <fmt/core.h>

#include <algorithm>

#include "millrace/base/log.h"
#include "storage/compactor.h"

namespace millrace::storage {
namespace {

const LogChannel kChannel{"cleaner"};

CleanerSegment describe(Segment& segment) {
    CleanerSegment facts;
    facts.base = segment.base();
    facts.size_bytes = segment.size_bytes();
    facts.offset_index_bytes =
        uint64_t{segment.offsets().file().count()} * OffsetIndex::kEntryBytes;
    facts.time_index_bytes = uint64_t{segment.times().file().count()} * TimeIndex::kEntryBytes;
    return facts;
}

}  // namespace

Result<CleaningPlan> plan_cleaning(Log& log, std::optional<Offset> checkpoint, WallMs now) {
    Log::State& s = log.state();
    MILLRACE_TRY(s.ready());
    CleanerFacts facts;
    facts.log_start = s.log_start;
    facts.log_end = s.log_end;
    facts.last_stable = s.stable_offset();
    facts.recovery_point = s.recovery_point;
    for (const auto& segment : s.segments) facts.segments.push_back(describe(*segment));
    const FirstDirty dirty = first_dirty_offset(s.log_start, s.log_end, checkpoint);
    // Timestamps may cost a read each: only where a lag is asked for.
    const bool largest = s.config->min_compaction_lag_ms > 0;
    const bool first = s.config->max_compaction_lag_ms < LogConfig::kForever;
    const size_t begin = segment_of(facts.segments, dirty.offset);
    for (size_t i = begin; (largest || first) && i + 1 < s.segments.size(); ++i) {
        Segment& segment = *s.segments[i];
        CleanerSegment& known = facts.segments[i];
        if (largest) {
            MILLRACE_TRY_ASSIGN(known.largest_timestamp,
                                s.settle(segment.largest_timestamp_or_modified()));
        }
        if (first && segment.size_bytes() > 0) {
            MILLRACE_TRY_ASSIGN(known.first_batch_timestamp, segment.first_batch_timestamp());
        }
    }
    return decide_cleaning(facts, dirty, *s.config, now);
}

std::optional<Offset> take_lowest_truncation(Log& log) {
    return std::exchange(log.state().lowest_truncation, std::nullopt);
}

Result<std::unique_ptr<LogCompaction>> LogCompaction::create(env::FileSystem& files, Log& log,
                                                             const CleaningPlan& plan,
                                                             const CleanerMemory& memory,
                                                             WallMs now) {
    Log::State& s = log.state();
    MILLRACE_ASSERT(plan.dirty_bytes > 0, "a cleaning has something to clean");
    auto inner = std::make_unique<Inner>(files, s, plan, memory, now);
    for (const auto& segment : s.segments) {
        if (segment->base() < plan.first_uncleanable) inner->sources.push_back(describe(*segment));
        if (segment->txns().count() > 0) {
            inner->txn_files.push_back({segment->base(), segment->txns().count()});
        }
    }
    MILLRACE_ASSERT(inner->sources.size() < s.segments.size(), "the active segment is left alone");
    inner->first_dirty_source = segment_of(inner->sources, plan.first_dirty);
    Segment& dirty = *s.segments[inner->first_dirty_source];
    MILLRACE_TRY_ASSIGN(const auto place, dirty.find(plan.first_dirty));
    inner->first_dirty_position = place ? place->position : dirty.size_bytes();
    inner->refresh_last_records(s);
    return std::unique_ptr<LogCompaction>(new LogCompaction(std::move(inner)));
}

void LogCompaction::Inner::refresh_last_records(const Log::State& log) {
    last_records.clear();
    if (!log.producers) return;
    for (const auto& [id, entry] : log.producers->producers()) {
        last_records[id] = {entry.last_offset(), entry.epoch};
    }
}

std::optional<size_t> LogCompaction::Inner::find_group(const Log::State& log) const {
    const SegmentGroup& wanted = groups[group];
    const size_t count = wanted.last - wanted.first;
    const size_t at = log.segment_index(sources[wanted.first].base);
    if (at + count >= log.segments.size()) return std::nullopt;  // never the active one
    for (size_t i = 0; i < count; ++i) {
        const Segment& segment = *log.segments[at + i];
        const CleanerSegment& source_segment = sources[wanted.first + i];
        if (segment.base() != source_segment.base ||
            segment.size_bytes() != source_segment.size_bytes) {
            return std::nullopt;
        }
    }
    return at;
}

bool LogCompaction::Inner::overtaken() const {
    const Log::State* log = *token;
    if (log == nullptr || log->failed || log->generation != generation) return true;
    if (!log->config->cleanup_compact) return true;
    return group < groups.size() && !find_group(*log);
}

Status LogCompaction::Inner::swap() {
    MILLRACE_ASSERT(phase == Phase::AwaitSwap, "a group waits to be swapped in");
    if (overtaken()) return {Errc::Cancelled, "the log changed while it was cleaned"};
    Log::State& log = **token;
    const Status swapped = swap_files(log, *find_group(log));
    if (!swapped.ok()) return log.fail(swapped);
    cleaned.reset();
    directory_dirty = true;
    ++group;
    refresh_last_records(log);
    phase = group == groups.size() ? Phase::Done : Phase::Clean;
    return {};
}

Status LogCompaction::Inner::swap_files(Log::State& log, size_t at) {
    const SegmentGroup& run = groups[group];
    const size_t count = run.last - run.first;
    const Offset base = cleaned->base();
    const auto path = [&](SegmentFile file, FileStage stage) {
        return join_path(log.home.directory, segment_file_name(base, file, stage));
    };
    // From the moment that all are .swap a crash completes the swap; before, it undoes it. The log
    // goes first when the suffix falls: a start that finds it live has nothing to decide any more.
    const auto rename_all = [&](FileStage from, FileStage to) -> Status {
        for (const SegmentFile file : kSegmentFiles) {
            if (file == SegmentFile::TxnIndex && !cleaned->txns().exists()) continue;
            MILLRACE_TRY(log.home.files->rename(path(file, from), path(file, to)));
        }
        return {};
    };
    MILLRACE_TRY(rename_all(FileStage::Cleaned, FileStage::Swap));
    std::vector<std::string> old_paths;
    std::vector<Offset> old_bases;
    for (size_t i = at; i < at + count; ++i) {
        old_bases.push_back(log.segments[i]->base());
        MILLRACE_TRY_ASSIGN(std::vector<std::string> renamed, log.segments[i]->rename_deleted());
        old_paths.insert(old_paths.end(), renamed.begin(), renamed.end());
    }
    MILLRACE_TRY(rename_all(FileStage::Swap, FileStage::Live));
    auto segment = std::make_unique<Segment>(log.home, base, now, 0);
    segment->adopt(cleaned->size_bytes());
    MILLRACE_TRY_ASSIGN(const bool good, segment->check_indexes());
    if (!good) return {Errc::Corrupt, segment->log_path() + ": the new indexes cannot be read"};
    segment->synced = true;
    log.segments[at] = std::move(segment);
    log.segments.erase(log.segments.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                       log.segments.begin() + static_cast<std::ptrdiff_t>(at + count));
    log.forget_positions();
    // Snapshots live as long as the segment that starts with them.
    MILLRACE_TRY(log.remove_snapshots_if([&](Offset snapshot) {
        return snapshot != base &&
               std::find(old_bases.begin(), old_bases.end(), snapshot) != old_bases.end();
    }));
    log_debug(kChannel, "{}: {} segments from {} became one of {} bytes",
              log.partition.to_string(), count, base.value, cleaned->size_bytes());
    if (log.keeper != nullptr) {
        log.keeper->remove_later(std::move(old_paths), log.config->file_delete_delay_ms);
        return {};
    }
    for (const std::string& old_path : old_paths) MILLRACE_TRY(log.home.files->remove(old_path));
    return {};
}

}  // namespace millrace::storage
