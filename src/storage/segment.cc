// src/storage/segment.cc: a data file and its three indexes as a unit.
#include "storage/segment.h"

#include <fmt/core.h>

#include <limits>

#include "storage/retention.h"

namespace millrace::storage {

Segment::Segment(FileHome& home, Offset base, WallMs created, int64_t jitter_ms)
    : home_(home), base_(base), created_(created), jitter_ms_(jitter_ms),
      log_(home, base, SegmentFile::Log), offsets_(home, base), times_(home, base),
      txns_(home, base) {}

Status Segment::create(const LogConfig& config, bool folder_new) {
    for (SegmentFile file : kSegmentFiles) {
        if (folder_new) break;
        const Status removed = home_.files->remove(
            join_path(home_.directory, segment_file_name(base_, file, home_.stage)));
        if (!removed.ok() && removed.errc() != Errc::NotFound) return removed;
    }
    MILLRACE_TRY_ASSIGN(auto file, log_.open(env::OpenMode::CreateNew));
    if (config.preallocate) {
        MILLRACE_TRY(file->truncate(static_cast<uint64_t>(config.segment_bytes)));
    }
    largest_ = TimeIndexEntry{kNoTimestamp, base_};
    MILLRACE_TRY(offsets_.file().create(OffsetIndex::full_bytes(config.segment_index_bytes)));
    return times_.file().create(TimeIndex::full_bytes(config.segment_index_bytes));
}

Result<bool> Segment::check_indexes() {
    MILLRACE_TRY_ASSIGN(const auto index, home_.files->stat(offsets_.file().handle().path()));
    MILLRACE_TRY_ASSIGN(const auto times, home_.files->stat(times_.file().handle().path()));
    MILLRACE_TRY_ASSIGN(const auto txns, home_.files->stat(txns_.handle().path()));
    txn_index_good_ = !txns || txns_.load(txns->size_bytes);
    if (!index || !times) return false;
    MILLRACE_TRY_ASSIGN(const bool index_good, offsets_.load(index->size_bytes, size_bytes_));
    if (!index_good) return false;
    MILLRACE_TRY_ASSIGN(const bool times_good, times_.load(times->size_bytes));
    return times_good && txn_index_good_;
}

Result<bool> Segment::indexes_below(Offset end) {
    MILLRACE_TRY_ASSIGN(const OffsetIndexEntry last, offsets_.last());
    return (offsets_.file().count() == 0 || last.offset < end) &&
           (times_.file().count() == 0 || times_.last().offset < end);
}

Status Segment::seal(const LogConfig& config) {
    MILLRACE_TRY_ASSIGN(const TimeIndexEntry largest, largest_timestamp());
    MILLRACE_TRY(times_.maybe_append(largest, config.segment_index_bytes));
    MILLRACE_TRY(offsets_.file().trim());
    MILLRACE_TRY(times_.file().trim());
    if (!config.preallocate) return {};
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    return file->truncate(size_bytes_);
}

void Segment::close_files() {
    log_.close();
    offsets_.file().handle().close();
    times_.file().handle().close();
    txns_.handle().close();
}

Result<std::vector<std::string>> Segment::rename_deleted() {
    close_files();
    std::vector<std::string> paths;
    for (SegmentFile file : kSegmentFiles) {
        const std::string from = join_path(home_.directory, segment_file_name(base_, file));
        std::string to =
            join_path(home_.directory, segment_file_name(base_, file, FileStage::Deleted));
        const Status renamed = home_.files->rename(from, to);
        if (renamed.errc() == Errc::NotFound) continue;
        if (!renamed.ok()) return renamed;
        paths.push_back(std::move(to));
    }
    return paths;
}

Result<bool> Segment::should_roll(const record::BatchView& batch, const Pending& pending,
                                  WallMs now, const LogConfig& config) {
    const uint64_t size = size_bytes_ + pending.bytes;
    if (size + batch.size_bytes() > static_cast<uint64_t>(config.segment_bytes)) return true;
    if (offsets_.full(config.segment_index_bytes) || times_.full(config.segment_index_bytes)) {
        return true;
    }
    const int64_t relative = batch.last_offset() - base_;
    if (relative < 0 || relative > std::numeric_limits<int32_t>::max()) return true;
    if (size == 0) return false;
    int64_t age_max = config.segment_ms;
    if (config.cleanup_compact && config.max_compaction_lag_ms > 0) {
        age_max = std::min(age_max, config.max_compaction_lag_ms);
    }
    // Age counts in record time, so that old data does not roll on every append.
    WallMs first = pending.first_timestamp;
    if (size_bytes_ > 0) {
        MILLRACE_TRY_ASSIGN(first, first_batch_timestamp());
    }
    const int64_t waited = first.value >= 0 ? wrapping_minus(batch.max_timestamp(), first)
                                            : wrapping_minus(now, created_);
    return waited > age_max - jitter_ms_;
}

Result<WallMs> Segment::first_batch_timestamp() {
    if (!first_batch_timestamp_) {
        MILLRACE_TRY_ASSIGN(auto file, log_.open());
        BatchScanner scanner(*file, 0, size_bytes_, record::kBatchHeaderBytes);
        MILLRACE_TRY_ASSIGN(const bool found, scanner.next());
        if (!found) return Status(Errc::Corrupt, log_path() + ": no batch at its start");
        first_batch_timestamp_ = scanner.header().max_timestamp();
    }
    return *first_batch_timestamp_;
}

Status Segment::write(ByteView batches) {
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    MILLRACE_TRY(file->write_at(size_bytes_, batches));
    size_bytes_ += batches.size;
    return {};
}

Status Segment::write_reserved(std::span<const ByteView> parts, uint64_t bytes) {
    MILLRACE_ASSERT(bytes <= size_bytes_, "room was reserved");
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    return file->write_parts_at(size_bytes_ - bytes, parts);
}

Status Segment::note_batch(const record::BatchView& header, uint64_t position,
                           const LogConfig& config) {
    MILLRACE_ASSERT(position < size_bytes_, "index entries point inside the file");
    if (position == 0) first_batch_timestamp_ = header.max_timestamp();
    MILLRACE_TRY_ASSIGN(TimeIndexEntry largest, largest_timestamp());
    if (header.max_timestamp() > largest.timestamp) {
        largest = {header.max_timestamp(), header.last_offset()};
        largest_ = largest;
    }
    if (bytes_since_index_ > static_cast<uint64_t>(config.index_interval_bytes)) {
        MILLRACE_TRY(offsets_.append({header.last_offset(), position}, config.segment_index_bytes));
        MILLRACE_TRY(times_.maybe_append(largest, config.segment_index_bytes));
        bytes_since_index_ = 0;
    }
    bytes_since_index_ +=
        static_cast<uint64_t>(header.length()) + record::kLogOverheadBytes;
    return {};
}

Result<std::optional<BatchPlace>> Segment::find(Offset offset) {
    if (size_bytes_ == 0) return std::optional<BatchPlace>{};
    MILLRACE_TRY_ASSIGN(const OffsetIndexEntry entry, offsets_.lookup(offset));
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    BatchScanner scanner(*file, std::min(entry.position, size_bytes_), size_bytes_,
                         BatchScanner::kLookupChunkBytes);
    while (true) {
        MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
        if (!more) break;
        if (scanner.header().last_offset() >= offset) {
            return std::optional(BatchPlace{scanner.position(), scanner.size_bytes(),
                                            scanner.header().base_offset(),
                                            scanner.header().last_offset()});
        }
    }
    if (scanner.end() != record::WalkEnd::Clean) {
        return Status(Errc::Corrupt, fmt::format("{}: no batch at position {}", log_path(),
                                                 scanner.valid_end()));
    }
    return std::optional<BatchPlace>{};
}

Result<std::optional<BatchPlace>> Segment::batch_at(uint64_t position) {
    if (position >= size_bytes_) return std::optional<BatchPlace>{};
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    BatchScanner scanner(*file, position, size_bytes_, record::kBatchHeaderBytes);
    MILLRACE_TRY_ASSIGN(const bool found, scanner.next());
    if (!found) {
        return Status(Errc::Corrupt,
                      fmt::format("{}: no batch at position {}", log_path(), position));
    }
    return std::optional(BatchPlace{position, scanner.size_bytes(), scanner.header().base_offset(),
                                    scanner.header().last_offset()});
}

Result<Offset> Segment::read_next_offset() {
    if (size_bytes_ == 0) return base_;
    MILLRACE_TRY_ASSIGN(const OffsetIndexEntry entry, offsets_.last());
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    BatchScanner scanner(*file, std::min(entry.position, size_bytes_), size_bytes_,
                         BatchScanner::kLookupChunkBytes);
    Offset next = base_;
    while (true) {
        MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
        if (!more) break;
        next = scanner.header().next_offset();
    }
    if (scanner.end() != record::WalkEnd::Clean) {
        return Status(Errc::Corrupt, fmt::format("{}: no batch at position {}", log_path(),
                                                 scanner.valid_end()));
    }
    return next;
}

Result<uint64_t> Segment::truncate(Offset offset, WallMs now) {
    MILLRACE_TRY_ASSIGN(const auto place, find(offset));
    if (!place) return size_bytes_;
    MILLRACE_TRY(offsets_.truncate(place->base_offset));
    MILLRACE_TRY(times_.truncate(place->base_offset));
    MILLRACE_TRY(txns_.truncate(place->base_offset));
    MILLRACE_TRY(truncate_bytes(place->position));
    largest_.reset();
    bytes_since_index_ = 0;
    if (size_bytes_ == 0) {
        created_ = now;
        first_batch_timestamp_.reset();
    }
    return size_bytes_;
}

Status Segment::truncate_bytes(uint64_t bytes) {
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    MILLRACE_TRY(file->truncate(bytes));
    // Synced at once: bytes that were cut must not come back behind what is appended next.
    MILLRACE_TRY(file->sync());
    size_bytes_ = bytes;
    return {};
}

Result<bool> Segment::indexes_rise() {
    MILLRACE_TRY_ASSIGN(const bool offsets_rise, offsets_.file().rises(0, 4));
    if (!offsets_rise) return false;
    return times_.file().rises(0, 8);
}

Status Segment::reset_indexes(const LogConfig& config, bool with_txn_index) {
    MILLRACE_TRY(offsets_.file().create(OffsetIndex::full_bytes(config.segment_index_bytes)));
    MILLRACE_TRY(times_.file().create(TimeIndex::full_bytes(config.segment_index_bytes)));
    times_.reset();
    largest_ = TimeIndexEntry{kNoTimestamp, base_};
    bytes_since_index_ = 0;
    return with_txn_index ? remove_txn_index() : Status{};
}

Status Segment::clear_indexes(bool with_txn_index) {
    MILLRACE_ASSERT(size_bytes_ == 0, "nothing to index");
    for (IndexFile* file : {&offsets_.file(), &times_.file()}) {
        MILLRACE_TRY_ASSIGN(const auto info, home_.files->stat(file->handle().path()));
        if (!info || info->size_bytes > 0) MILLRACE_TRY(file->create(0));
        file->adopt(0, false);
    }
    times_.reset();
    largest_ = TimeIndexEntry{kNoTimestamp, base_};
    bytes_since_index_ = 0;
    return with_txn_index ? remove_txn_index() : Status{};
}

Status Segment::remove_txn_index() {
    txns_.handle().close();
    const Status removed = home_.files->remove(txns_.handle().path());
    if (!removed.ok() && removed.errc() != Errc::NotFound) return removed;
    txns_.forget();
    txn_index_good_ = true;
    return {};
}

}  // namespace millrace::storage
