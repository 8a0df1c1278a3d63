// src/storage/log_load.cc: opening a partition folder: after a clean stop, after a crash, Kafka's.
#include "storage/log_load.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "millrace/base/log.h"
#include "storage/checkpoint_file.h"
#include "storage/segment_recovery.h"

namespace millrace::storage {
namespace {

const LogChannel kChannel{"storage"};

/// A small file of the folder that a crash kept from being renamed over the old one.
bool is_left_over(std::string_view name) {
    if (!name.ends_with(kTemporarySuffix)) return false;
    name.remove_suffix(kTemporarySuffix.size());
    return name == kLeaderEpochFile || name == kPartitionMetadataFile || name == kLoweredPointFile;
}

class LogLoader {
  public:
    LogLoader(env::FileSystem& files, FileCache& cache, const LogLoadJob::Input& input,
              LoadReport& report, LogLoadJob::Progress* progress)
        : files_(files), input_(input), report_(report), progress_(progress),
          state_(std::make_unique<Log::State>(input.partition, input.directory, files, cache,
                                              input.config, input.seed)),
          durable_below_(input.durable_below) {}

    Result<std::unique_ptr<Log>> run() {
        Log::State& s = *state_;
        MILLRACE_TRY(settle_stages());
        MILLRACE_TRY(read_metadata());
        MILLRACE_TRY(open_segments());
        MILLRACE_TRY(load_epochs());
        MILLRACE_TRY(read_recovery_point());
        MILLRACE_TRY(repair_indexes());
        MILLRACE_TRY(input_.clean ? find_end() : recover());
        MILLRACE_TRY(settle_start());
        MILLRACE_TRY(settle_snapshots());
        MILLRACE_TRY(load_producers());
        s.update_high_watermark(std::max(input_.high_watermark, s.log_start));
        s.last_flush = input_.now;
        for (size_t i = 0; i + 1 < s.segments.size(); ++i) {
            s.segments[i]->synced = s.segments[i + 1]->base() <= s.recovery_point;
        }
        doubt_names();
        MILLRACE_TRY(sync_recovered());
        s.check_invariants();
        return std::make_unique<Log>(std::move(state_));
    }

  private:
    std::string path(Offset base, SegmentFile file, FileStage stage = FileStage::Live) const {
        return join_path(input_.directory, segment_file_name(base, file, stage));
    }
    /// What a killed process made and did not sync is there, but a crash may still take it: the
    /// next flush syncs it. An empty log is closed without syncing its folder (begin_close).
    void doubt_names() {
        Log::State& s = *state_;
        s.folder_new = !input_.clean || s.log_end == Offset(0);
        s.directory_dirty = s.folder_new;
        s.metadata_dirty = s.epochs_dirty = s.folder_new;
    }
    /// With flush.messages the high watermark stands for what is on the device. What a killed
    /// process left in the page cache is served again from here on: it has to be there first.
    Status sync_recovered() {
        Log::State& s = *state_;
        const bool promised = s.config->flush_messages < LogConfig::kForever;
        if (input_.clean || !promised || s.recovery_point >= s.log_end) return {};
        MILLRACE_TRY_ASSIGN(const FlushWork work, s.plan_flush(false));
        MILLRACE_TRY(work.run());
        return s.flushed(work);
    }
    Status settle_stages();
    Result<Offset> swap_end(Offset base) const;
    Status complete_swaps(const std::vector<SegmentFileName>& swaps);
    Status read_metadata();
    Status open_segments();
    Status load_epochs();
    Status rebuild_epochs();
    Status read_recovery_point();
    Status repair_indexes();
    Status repair(Segment& segment);
    Status find_end();
    Status recover();
    Status recover_segment(size_t index, uint64_t& done, uint64_t total, bool& cut);
    bool gap_behind(size_t index, Offset end) const;
    Status cut_tail(size_t index, const SegmentRecovery::Outcome& found);
    Status settle_start();
    Status settle_snapshots();
    Status load_producers();
    Status corrupt(const Segment& segment, uint64_t position, std::string reason);

    env::FileSystem& files_;
    const LogLoadJob::Input& input_;
    LoadReport& report_;
    LogLoadJob::Progress* progress_;
    std::unique_ptr<Log::State> state_;
    Offset durable_below_;
    std::vector<Offset> bases_;
};

Status LogLoader::corrupt(const Segment& segment, uint64_t position, std::string reason) {
    report_.corruption = Corruption{segment.log_path(), position, reason};
    return {Errc::Corrupt, fmt::format("{} at {}: {}", segment.log_path(), position, reason)};
}

Status LogLoader::settle_stages() {
    MILLRACE_TRY_ASSIGN(const auto entries, files_.list(input_.directory));
    std::vector<SegmentFileName> live;
    std::vector<SegmentFileName> swaps;
    std::optional<Offset> lowest_cleaned;
    for (const env::DirectoryEntry& entry : entries) {
        if (is_left_over(entry.name)) {
            MILLRACE_TRY(files_.remove(join_path(input_.directory, entry.name)));
        }
        const auto name = parse_segment_file_name(entry.name);
        if (!name || entry.is_directory) continue;
        switch (name->stage) {
            case FileStage::Live: live.push_back(*name); break;
            case FileStage::Swap: swaps.push_back(*name); break;
            case FileStage::Cleaned:
                lowest_cleaned = std::min(lowest_cleaned.value_or(name->base), name->base);
                [[fallthrough]];
            case FileStage::Deleted:
                MILLRACE_TRY(files_.remove(join_path(input_.directory, entry.name)));
                break;
        }
    }
    // Renaming .cleaned to .swap goes from the highest base down: swaps at or above a .cleaned are
    // of a compaction that had not decided yet.
    std::vector<SegmentFileName> complete;
    for (const SegmentFileName& swap : swaps) {
        if (lowest_cleaned && swap.base >= *lowest_cleaned) {
            MILLRACE_TRY(files_.remove(path(swap.base, swap.file, FileStage::Swap)));
        } else {
            complete.push_back(swap);
        }
    }
    if (!complete.empty()) {
        MILLRACE_TRY(complete_swaps(complete));
        return settle_stages();
    }
    for (const SegmentFileName& name : live) {
        if (name.file == SegmentFile::Log) bases_.push_back(name.base);
        if (name.file == SegmentFile::Snapshot) state_->snapshots.push_back(name.base);
    }
    for (const SegmentFileName& name : live) {
        const bool index = name.file != SegmentFile::Log && name.file != SegmentFile::Snapshot;
        if (index && !std::binary_search(bases_.begin(), bases_.end(), name.base)) {
            log_warn(kChannel, "{}: index without log", path(name.base, name.file));
            MILLRACE_TRY(files_.remove(path(name.base, name.file)));
        }
    }
    return {};
}

Result<Offset> LogLoader::swap_end(Offset base) const {
    MILLRACE_TRY_ASSIGN(auto file, files_.open(path(base, SegmentFile::Log, FileStage::Swap),
                                               env::OpenMode::ReadOnly));
    MILLRACE_TRY_ASSIGN(const uint64_t size, file->size());
    BatchScanner scanner(*file, 0, size, BatchScanner::kRecoveryChunkBytes);
    Offset end = base;
    while (true) {
        MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
        if (!more) return end;
        end = scanner.header().next_offset();
    }
}

Status LogLoader::complete_swaps(const std::vector<SegmentFileName>& swaps) {
    std::optional<Offset> low;
    Offset high = kNoOffset;
    for (const SegmentFileName& swap : swaps) {
        if (swap.file != SegmentFile::Log) continue;
        MILLRACE_TRY_ASSIGN(const Offset end, swap_end(swap.base));
        low = std::min(low.value_or(swap.base), swap.base);
        // Also of an empty segment, the files of the old one must not stay (a transaction index).
        high = std::max({high, end, swap.base + 1});
    }
    MILLRACE_TRY_ASSIGN(const auto entries, files_.list(input_.directory));
    for (const env::DirectoryEntry& entry : entries) {
        const auto name = parse_segment_file_name(entry.name);
        if (!name || name->stage != FileStage::Live || name->file == SegmentFile::Snapshot) continue;
        if (low && name->base >= *low && name->base < high) {
            MILLRACE_TRY(files_.remove(join_path(input_.directory, entry.name)));
        }
    }
    for (const SegmentFileName& swap : swaps) {
        MILLRACE_TRY(files_.rename(path(swap.base, swap.file, FileStage::Swap),
                                   path(swap.base, swap.file)));
    }
    return files_.sync_directory(input_.directory);
}

Status LogLoader::read_metadata() {
    MILLRACE_TRY_ASSIGN(const auto text,
                        read_small_file(files_, join_path(input_.directory,
                                                          kPartitionMetadataFile)));
    if (!text) return {};
    std::string_view rest = *text;
    std::string_view line;
    constexpr std::string_view kTopicId = "topic_id:";
    while (next_line(rest, line)) {
        if (!line.starts_with(kTopicId)) continue;
        line.remove_prefix(kTopicId.size());
        while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
        if (const auto id = Uuid::parse(line)) state_->topic_id = report_.topic_id = *id;
    }
    if (state_->topic_id.is_zero()) {
        log_warn(kChannel, "{}: unreadable partition.metadata", input_.directory);
    }
    return {};
}

Status LogLoader::open_segments() {
    Log::State& s = *state_;
    for (const Offset base : bases_) {
        MILLRACE_TRY_ASSIGN(const auto info, files_.stat(path(base, SegmentFile::Log)));
        if (!info) return Status(Errc::NotFound, path(base, SegmentFile::Log) + ": gone");
        auto segment = std::make_unique<Segment>(s.home, base, input_.now, s.draw_jitter());
        segment->adopt(info->size_bytes);
        s.segments.push_back(std::move(segment));
    }
    if (s.segments.empty()) MILLRACE_TRY(s.add_segment(Offset(0), input_.now));
    s.log_start = s.segments.front()->base();
    s.log_end = s.log_start;
    s.last_snapshot = s.snapshots.empty() ? kNoOffset : s.snapshots.back();
    return {};
}

Status LogLoader::load_epochs() {
    MILLRACE_TRY_ASSIGN(const auto text,
                        read_small_file(files_, join_path(input_.directory, kLeaderEpochFile)));
    if (!text) return {};
    Result<LeaderEpochs> epochs = LeaderEpochs::from_text(*text);
    const bool cut_off = text->empty() && !input_.clean;
    if (epochs.ok() && !cut_off) {
        state_->epochs = std::move(epochs).value();
        return {};
    }
    log_warn(kChannel, "{}: leader-epoch-checkpoint is unreadable, reading the log's epochs",
             input_.directory);
    return rebuild_epochs();
}

Status LogLoader::rebuild_epochs() {
    Log::State& s = *state_;
    for (const auto& segment : s.segments) {
        MILLRACE_TRY_ASSIGN(auto file, segment->log_file());
        BatchScanner scanner(*file, 0, segment->size_bytes(), BatchScanner::kRecoveryChunkBytes);
        while (true) {
            MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
            if (!more) break;
            const auto latest = s.epochs.latest();
            if (!latest || scanner.header().leader_epoch() > latest->epoch) {
                s.epochs.assign(scanner.header().leader_epoch(), scanner.header().base_offset());
            }
        }
    }
    return s.write_epochs();
}

Status LogLoader::read_recovery_point() {
    Log::State& s = *state_;
    s.recovery_point = std::max(input_.recovery_point, Offset(0));
    MILLRACE_TRY_ASSIGN(const auto text,
                        read_small_file(files_, join_path(input_.directory, kLoweredPointFile)));
    if (!text) return {};
    s.stale_recovery_point = s.recovery_point;
    if (input_.clean) return s.forget_lowered_point();  // a clean stop wrote the checkpoints
    std::string_view rest = *text;
    std::string_view line;
    int64_t version = 0;
    int64_t point = 0;
    const bool good = next_line(rest, line) && parse_number(line, version) && version == 0 &&
                      next_line(rest, line) && parse_number(line, point) && point >= 0;
    // Synced before it was used: if it cannot be read, nothing of the log is taken for synced.
    s.recovery_point = good ? std::min(s.recovery_point, Offset(point)) : Offset(0);
    durable_below_ = s.recovery_point;
    return {};
}

Status LogLoader::repair_indexes() {
    Log::State& s = *state_;
    const size_t floor = input_.clean ? s.segments.size() : s.segment_index(s.recovery_point);
    for (size_t i = 0; i < floor; ++i) {
        Segment& segment = *s.segments[i];
        MILLRACE_TRY_ASSIGN(bool good, segment.check_indexes());
        if (good && i + 1 < s.segments.size()) {
            MILLRACE_TRY_ASSIGN(good, segment.indexes_below(s.segments[i + 1]->base()));
        }
        if (good && !input_.clean && i + 1 == floor) {
            // Sealed when it was flushed already: its indexes may not have reached the disk.
            MILLRACE_TRY_ASSIGN(good, segment.indexes_rise());
        }
        if (!good) MILLRACE_TRY(repair(segment));
    }
    return {};
}

Status LogLoader::repair(Segment& segment) {
    Log::State& s = *state_;
    log_warn(kChannel, "{}: rebuilding indexes", segment.log_path());
    ++report_.rebuilt_indexes;
    const bool with_txns = !segment.txn_index_good();
    if (with_txns) {
        MILLRACE_TRY(s.rebuild_producers(segment.base(), input_.now,
                                         Log::State::LaterSnapshots::Keep));
    }
    SegmentRecovery recovery(s, segment, {.verify = false, .epochs = false, .txns = with_txns});
    MILLRACE_TRY_ASSIGN(const SegmentRecovery::Outcome found, recovery.run());
    report_.scanned_bytes += found.valid_bytes;
    if (!found.reason.empty()) return corrupt(segment, found.valid_bytes, found.reason);
    const bool active = &segment == s.segments.back().get();
    return active ? Status{} : segment.seal(*s.config);
}

Status LogLoader::find_end() {
    Log::State& s = *state_;
    Result<Offset> next = s.active().read_next_offset();
    if (!next.ok() && next.status().errc() == Errc::Corrupt) {
        // An index entry that points between batches, or a log that is bad: the repair tells.
        MILLRACE_TRY(repair(s.active()));
        next = s.active().read_next_offset();
    }
    MILLRACE_TRY_ASSIGN(s.log_end, std::move(next));
    MILLRACE_TRY_ASSIGN(const bool good, s.active().indexes_below(s.log_end));
    if (!good) MILLRACE_TRY(repair(s.active()));
    s.recovery_point = s.log_end;
    return {};
}

Status LogLoader::recover() {
    Log::State& s = *state_;
    report_.recovered = true;
    const size_t first = s.segment_index(s.recovery_point);
    // Snapshots behind the recovery point may be of a past that was truncated: not to be used.
    MILLRACE_TRY(s.rebuild_producers(s.segments[first]->base(), input_.now,
                                     Log::State::LaterSnapshots::Remove));
    uint64_t total = 0;
    for (size_t i = first; i < s.segments.size(); ++i) total += s.segments[i]->size_bytes();
    uint64_t done = 0;
    bool cut = false;
    s.log_end = s.segments[first]->base();
    for (size_t i = first; i < s.segments.size() && !cut; ++i) {
        MILLRACE_TRY(recover_segment(i, done, total, cut));
    }
    s.recovery_point = std::min(s.recovery_point, s.log_end);
    return {};
}

bool LogLoader::gap_behind(size_t index, Offset end) const {
    const Log::State& s = *state_;
    if (index + 1 == s.segments.size() || s.segments[index + 1]->base() <= end) return false;
    if (input_.cleaned_to) return end >= *input_.cleaned_to;
    return !s.config->cleanup_compact;
}

Status LogLoader::recover_segment(size_t index, uint64_t& done, uint64_t total, bool& cut) {
    Log::State& s = *state_;
    Segment& segment = *s.segments[index];
    SegmentRecovery recovery(s, segment, {.verify = true, .epochs = true, .txns = true});
    MILLRACE_TRY_ASSIGN(SegmentRecovery::Outcome found, recovery.run());
    report_.scanned_bytes += found.valid_bytes;
    done += segment.size_bytes();
    if (progress_ != nullptr) (*progress_)(done, total);
    s.log_end = std::max(found.next_offset, segment.base());
    if (found.reason.empty() && gap_behind(index, s.log_end)) {
        found.reason = "the file ends before the next segment begins";
    }
    if (found.reason.empty() && index + 1 < s.segments.size() &&
        s.segments[index + 1]->base() < s.log_end) {
        found.reason = "the next segment begins before this one ends";
        found.affected = s.segments[index + 1]->base();
    }
    if (!found.reason.empty()) {
        cut = true;
        return cut_tail(index, found);
    }
    if (index + 1 < s.segments.size()) {
        MILLRACE_TRY(segment.seal(*s.config));
        s.producers_end = std::max(s.producers_end, s.segments[index + 1]->base());
        MILLRACE_TRY(s.take_snapshot());
    }
    return {};
}

Status LogLoader::cut_tail(size_t index, const SegmentRecovery::Outcome& found) {
    Log::State& s = *state_;
    Segment& segment = *s.segments[index];
    const Offset durable = std::max(s.recovery_point, durable_below_);
    if (std::min(s.log_end, found.affected) < durable) {
        return corrupt(segment, found.valid_bytes, found.reason);
    }
    uint64_t dropped = segment.size_bytes() - found.valid_bytes;
    for (size_t i = index + 1; i < s.segments.size(); ++i) dropped += s.segments[i]->size_bytes();
    MILLRACE_TRY(segment.truncate_bytes(found.valid_bytes));
    MILLRACE_TRY(s.delete_segments(index + 1, s.segments.size() - index - 1));
    MILLRACE_TRY(files_.sync_directory(input_.directory));
    report_.truncated_bytes += dropped;
    log_warn(kChannel, "{} at {}: {}; {} bytes cut, log end {}", segment.log_path(),
             found.valid_bytes, found.reason, dropped, s.log_end.value);
    return {};
}

Status LogLoader::settle_start() {
    Log::State& s = *state_;
    s.log_start = std::max(s.segments.front()->base(), input_.log_start);
    if (s.log_end < s.log_start) {
        log_warn(kChannel, "{}: log end {} below log start {}, starting empty", input_.directory,
                 s.log_end.value, s.log_start.value);
        MILLRACE_TRY(s.truncate_fully(s.log_start, input_.now));
        return {};
    }
    size_t below = 0;
    while (below + 1 < s.segments.size() && s.segments[below + 1]->base() <= s.log_start) ++below;
    if (below > 0) MILLRACE_TRY(s.delete_segments(0, below));
    const bool from_end = s.epochs.truncate_from_end(s.log_end);
    const bool from_start = s.epochs.truncate_from_start(s.log_start);
    return from_end || from_start ? s.write_epochs() : Status{};
}

Status LogLoader::settle_snapshots() {
    Log::State& s = *state_;
    // Kept: those at a segment's base, and the newest when it lies behind all bases.
    const Offset newest = s.snapshots.empty() ? kNoOffset : s.snapshots.back();
    return s.remove_snapshots_if([&](Offset at) {
        if (at > s.log_end) return true;
        if (at == newest && at > s.active().base()) return false;
        return s.segments[s.segment_index(at)]->base() != at;
    });
}

Status LogLoader::load_producers() {
    Log::State& s = *state_;
    if (report_.recovered) {
        s.producers_end = s.log_end;
        return {};
    }
    if (s.snapshots.empty() && input_.clean && s.segments.size() > 1) {
        // Written before snapshots existed, or they were removed: Kafka starts without producers.
        s.producers_end = s.log_end;
        return {};
    }
    return s.rebuild_producers(s.log_end, input_.now, Log::State::LaterSnapshots::Remove);
}

}  // namespace

Result<std::unique_ptr<Log>> load_log(
    env::FileSystem& files, FileCache& cache, const LogLoadJob::Input& input, LoadReport& report,
    LogLoadJob::Progress* progress) {
    LogLoader loader(files, cache, input, report, progress);
    return loader.run();
}

}  // namespace millrace::storage
