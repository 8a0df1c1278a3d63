// src/storage/compactor.cc: the work of one cleaning: mapping keys, rewriting groups of segments.
#include "storage/compactor.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

namespace millrace::storage {
namespace {

/// Data, three indexes, and one transaction index read at the start.
constexpr size_t kOpenFiles = 8;
/// Room for one header at least, whatever the setting says.
constexpr size_t kChunkBytesMin = 4096;

}  // namespace

Result<std::unique_ptr<BatchSource>> BatchSource::open(env::FileSystem& files, std::string path,
                                                       uint64_t from, uint64_t size, Offset base,
                                                       Offset end, size_t chunk_bytes) {
    MILLRACE_TRY_ASSIGN(auto file, files.open(path, env::OpenMode::ReadOnly));
    return std::unique_ptr<BatchSource>(new BatchSource(std::move(file), std::move(path), from,
                                                        size, base, end, chunk_bytes));
}

Status BatchSource::corrupt(const char* reason) const {
    return {Errc::Corrupt, fmt::format("{} at {}: {}", path_, scanner_.position(), reason)};
}

Result<std::optional<record::BatchView>> BatchSource::next() {
    MILLRACE_TRY_ASSIGN(const bool more, scanner_.next());
    if (!more) {
        if (scanner_.end() != record::WalkEnd::Clean) return corrupt("no batch behind this one");
        return std::optional<record::BatchView>{};
    }
    MILLRACE_TRY_ASSIGN(ByteView bytes, scanner_.bytes());
    if (bytes.empty()) {
        large_.resize(scanner_.size_bytes());
        MILLRACE_TRY_ASSIGN(const size_t got,
                            file_->read_at(scanner_.position(), {large_.data(), large_.size()}));
        if (got != large_.size()) return corrupt("shorter than known");
        bytes = {large_.data(), large_.size()};
    } else if (!large_.empty()) {
        std::vector<uint8_t>().swap(large_);
    }
    const record::BatchView batch(bytes);
    if (!batch.valid_crc()) return corrupt("wrong checksum");
    if (batch.base_offset() < base_ || batch.last_offset() >= end_) {
        return corrupt("offsets outside of the segment");
    }
    return std::optional(batch);
}

LogCompaction::LogCompaction(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
LogCompaction::~LogCompaction() = default;
Result<LogCompaction::Step> LogCompaction::step(uint64_t budget_bytes) {
    return inner_->step(budget_bytes);
}
Status LogCompaction::swap() { return inner_->swap(); }
bool LogCompaction::overtaken() const { return inner_->overtaken(); }
void LogCompaction::discard() { inner_->discard(); }
Offset LogCompaction::end_offset() const { return inner_->end_offset; }
const CleanerStats& LogCompaction::stats() const { return inner_->stats; }

LogCompaction::Inner::Inner(env::FileSystem& files_in, Log::State& log,
                            const CleaningPlan& plan_in, const CleanerMemory& memory_in,
                            WallMs now_in)
    : files(files_in), plan(plan_in), memory(memory_in), now(now_in), config(log.config),
      token(log.share_token()), generation(log.generation), cache(kOpenFiles),
      live_home{&files_in, &cache, log.home.directory},
      cleaned_home{&files_in, &cache, log.home.directory, FileStage::Cleaned} {}

Result<LogCompaction::Step> LogCompaction::Inner::step(uint64_t budget_bytes) {
    MILLRACE_ASSERT(phase != Phase::AwaitSwap, "a group is swapped before the next step");
    spent_bytes = 0;
    if (directory_dirty) {
        // The swap's renames, before anything that relies on them.
        MILLRACE_TRY(files.sync_directory(live_home.directory));
        directory_dirty = false;
    }
    while (phase != Phase::Done && phase != Phase::AwaitSwap && spent_bytes < budget_bytes) {
        MILLRACE_TRY(advance());
    }
    Step done{Progress::More, spent_bytes};
    if (phase == Phase::AwaitSwap) done.progress = Progress::GroupReady;
    if (phase == Phase::Done) done.progress = Progress::Done;
    return done;
}

Status LogCompaction::Inner::advance() {
    switch (phase) {
        case Phase::Begin:
            MILLRACE_TRY(read_aborted());
            map.emplace(memory.map_bytes, memory.map_load_factor);
            txns.emplace(aborted_since(plan.first_dirty));
            source = first_dirty_source;
            phase = Phase::Map;
            return {};
        case Phase::Map: return map_next();
        case Phase::Clean: return clean_next();
        case Phase::AwaitSwap:
        case Phase::Done: break;
    }
    return {};
}

Status LogCompaction::Inner::read_aborted() {
    for (const TxnFile& file : txn_files) {
        TxnIndex index(live_home, file.base);
        index.load(uint64_t{file.entries} * TxnIndex::kEntryBytes);
        MILLRACE_TRY_ASSIGN(const auto entries, index.entries());
        for (const AbortedEntry& entry : entries) {
            if (entry.first_offset < plan.first_uncleanable) aborted.push_back(entry);
        }
    }
    return {};
}

std::vector<AbortedEntry> LogCompaction::Inner::aborted_since(Offset offset) const {
    // A transaction whose marker lies before the pass would never be seen to end.
    std::vector<AbortedEntry> entries;
    for (const AbortedEntry& entry : aborted) {
        if (entry.last_offset >= offset) entries.push_back(entry);
    }
    return entries;
}

Offset LogCompaction::Inner::end_of_source(size_t index) const {
    return index + 1 < sources.size() ? sources[index + 1].base : plan.first_uncleanable;
}

Result<std::unique_ptr<BatchSource>> LogCompaction::Inner::open_source(size_t index,
                                                                       uint64_t from) {
    const CleanerSegment& segment = sources[index];
    return BatchSource::open(
        files, join_path(live_home.directory, segment_file_name(segment.base, SegmentFile::Log)),
        from, segment.size_bytes, segment.base, end_of_source(index),
        std::max(memory.io_buffer_bytes, kChunkBytesMin));
}

Status LogCompaction::Inner::map_next() {
    if (source == sources.size()) return finish_map();
    if (!reader) {
        const uint64_t from = source == first_dirty_source ? first_dirty_position : 0;
        MILLRACE_TRY_ASSIGN(reader, open_source(source, from));
    }
    MILLRACE_TRY_ASSIGN(const std::optional<record::BatchView> batch, reader->next());
    if (!batch) {
        // What compaction removed at the segment's end has been looked at, too.
        map->set_latest_offset(end_of_source(source) - 1);
        reader.reset();
        ++source;
        return {};
    }
    spent_bytes += batch->size_bytes();
    stats.bytes_read += batch->size_bytes();
    if (batch->is_control()) {
        MILLRACE_TRY_ASSIGN(const auto type, control_type_of(*batch));
        txns->on_control(*batch, type);
    } else if (!txns->on_data(*batch)) {
        bool full = false;
        MILLRACE_TRY(map_records(*batch, full));
        if (full) return finish_map();
    }
    if (batch->last_offset() >= plan.first_dirty) map->set_latest_offset(batch->last_offset());
    return {};
}

Status LogCompaction::Inner::map_records(const record::BatchView& batch, bool& full) {
    MILLRACE_TRY_ASSIGN(record::BatchRecords records, record::BatchRecords::open(batch));
    record::RecordView record;
    while (records.next(record)) {
        const Offset offset = record::record_offset(batch, record);
        if (!record.key || offset < plan.first_dirty) continue;
        if (map->full()) {
            full = true;
            return {};
        }
        map->put(*record.key, offset);
    }
    if (records.end_reason() != record::RecordsEnd::Complete) {
        return {Errc::Corrupt, fmt::format("{}: records at offset {} do not decode",
                                           live_home.directory, batch.base_offset().value)};
    }
    return {};
}

Status LogCompaction::Inner::finish_map() {
    reader.reset();
    end_offset = map->latest_offset() + 1;
    stats.map_keys = map->size();
    stats.map_full = end_offset < plan.first_uncleanable;
    const auto end = std::find_if(sources.begin(), sources.end(), [&](const CleanerSegment& s) {
        return s.base >= end_offset;
    });
    const std::vector<CleanerSegment> chosen(sources.begin(), end);
    groups = group_segments(chosen, *config, plan.first_uncleanable);
    txns.emplace(aborted_since(sources.front().base));
    filter.emplace(FilterRules{plan.first_uncleanable, now, config->delete_retention_ms}, *map,
                   *txns);
    phase = groups.empty() ? Phase::Done : Phase::Clean;
    return {};
}

Status LogCompaction::Inner::begin_group() {
    cleaned = std::make_unique<Segment>(cleaned_home, sources[groups[group].first].base, now, 0);
    cleaned_bytes = 0;
    source = groups[group].first;
    return cleaned->create(*config);
}

Status LogCompaction::Inner::clean_next() {
    if (!cleaned) MILLRACE_TRY(begin_group());
    if (source == groups[group].last) return finish_group();
    if (!reader) {
        MILLRACE_TRY_ASSIGN(reader, open_source(source, 0));
    }
    MILLRACE_TRY_ASSIGN(const std::optional<record::BatchView> batch, reader->next());
    if (!batch) {
        reader.reset();
        ++source;
        return {};
    }
    spent_bytes += batch->size_bytes();
    stats.bytes_read += batch->size_bytes();
    return take(*batch);
}

Status LogCompaction::Inner::take(const record::BatchView& batch) {
    Result<CleanerFilter::Outcome> judged = filter->apply(batch, last_records);
    if (!judged.ok()) {
        return {judged.status().errc(),
                fmt::format("{} at offset {}: {}", live_home.directory, batch.base_offset().value,
                            judged.status().message())};
    }
    stats.records_read += judged->records_read;
    stats.records_kept += judged->records_kept;
    stats.keyless_records += judged->keyless_records;
    if (judged->aborted) MILLRACE_TRY(cleaned->note_aborted(*judged->aborted));
    if (!judged->kept) return {};
    const ByteView kept = *judged->kept;
    // A position in an index is an int32; rebuilt batches may be larger than the old ones.
    if (cleaned_bytes + kept.size > uint64_t{std::numeric_limits<int32_t>::max()}) {
        return {Errc::LimitExceeded, live_home.directory + ": a cleaned segment exceeds 2 GiB"};
    }
    cleaned_bytes += kept.size;
    out.insert(out.end(), kept.begin(), kept.end());
    return out.size() >= memory.io_buffer_bytes ? write_out() : Status{};
}

Status LogCompaction::Inner::write_out() {
    if (out.empty()) return {};
    uint64_t position = cleaned->size_bytes();
    const ByteView bytes(out.data(), out.size());
    MILLRACE_TRY(cleaned->write(bytes));
    record::BatchIterator walk(bytes);
    while (walk.next()) {
        MILLRACE_TRY(cleaned->note_batch(walk.batch(), position, *config));
        position += walk.batch().size_bytes();
    }
    spent_bytes += out.size();
    stats.bytes_written += out.size();
    out.clear();
    return {};
}

Status LogCompaction::Inner::finish_group() {
    MILLRACE_TRY(write_out());
    MILLRACE_TRY(cleaned->seal(*config));
    MILLRACE_TRY_ASSIGN(auto log, cleaned->log_file());
    MILLRACE_TRY(log->sync());
    MILLRACE_TRY_ASSIGN(auto index, cleaned->offsets().file().handle().open());
    MILLRACE_TRY(index->sync());
    MILLRACE_TRY_ASSIGN(auto times, cleaned->times().file().handle().open());
    MILLRACE_TRY(times->sync());
    if (cleaned->txns().exists()) {
        MILLRACE_TRY_ASSIGN(auto aborted_index, cleaned->txns().handle().open());
        MILLRACE_TRY(aborted_index->sync());
    }
    const Offset last = sources[groups[group].last - 1].base;
    MILLRACE_TRY_ASSIGN(const auto info,
                        files.stat(join_path(live_home.directory,
                                             segment_file_name(last, SegmentFile::Log))));
    if (!info) return {Errc::NotFound, live_home.directory + ": a segment is gone"};
    const std::string path = cleaned->log_path();
    cleaned->close_files();
    MILLRACE_TRY(files.set_modified(path, info->modified));
    phase = Phase::AwaitSwap;
    return {};
}

void LogCompaction::Inner::discard() {
    reader.reset();
    if (!cleaned) return;
    cleaned->close_files();
    for (const SegmentFile file : kSegmentFiles) {
        // Left-overs are removed by the next start, too.
        static_cast<void>(files.remove(join_path(
            live_home.directory, segment_file_name(cleaned->base(), file, FileStage::Cleaned))));
    }
    cleaned.reset();
}

}  // namespace millrace::storage
