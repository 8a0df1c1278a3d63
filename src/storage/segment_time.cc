// src/storage/segment_time.cc: timestamps of a segment: the largest, and records found by time.
#include <fmt/core.h>

#include "millrace/record/batch_iterator.h"
#include "storage/segment.h"

namespace millrace::storage {

Result<TimeIndexEntry> Segment::largest_timestamp() {
    if (largest_) return *largest_;
    TimeIndexEntry largest = times_.last();
    if (size_bytes_ > 0) {
        // Batches behind the last time index entry may be younger.
        uint64_t from = 0;
        if (times_.file().count() > 0) {
            MILLRACE_TRY_ASSIGN(const OffsetIndexEntry entry, offsets_.lookup(largest.offset));
            from = std::min(entry.position, size_bytes_);
        }
        MILLRACE_TRY_ASSIGN(auto file, log_.open());
        BatchScanner scanner(*file, from, size_bytes_, BatchScanner::kLookupChunkBytes);
        while (true) {
            MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
            if (!more) break;
            if (scanner.header().max_timestamp() > largest.timestamp) {
                largest = {scanner.header().max_timestamp(), scanner.header().last_offset()};
            }
        }
    }
    largest_ = largest;
    return largest;
}

Result<WallMs> Segment::largest_timestamp_or_modified() {
    MILLRACE_TRY_ASSIGN(const TimeIndexEntry largest, largest_timestamp());
    if (largest.timestamp.value >= 0) return largest.timestamp;
    MILLRACE_TRY_ASSIGN(const auto info, home_.files->stat(log_path()));
    if (!info) return Status(Errc::NotFound, log_path() + ": gone");
    return info->modified;
}

Result<std::optional<TimestampOffset>> Segment::scan_records(uint64_t from, uint64_t end,
                                                             WallMs target, Offset from_offset,
                                                             bool exact) {
    MILLRACE_TRY_ASSIGN(auto file, log_.open());
    BatchScanner scanner(*file, from, end, BatchScanner::kLookupChunkBytes);
    while (true) {
        MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
        if (!more) return std::optional<TimestampOffset>{};
        const record::BatchView header = scanner.header();
        if (header.max_timestamp() < target || header.last_offset() < from_offset) continue;
        Buffer bytes = Buffer::allocate(scanner.size_bytes());
        MILLRACE_TRY_ASSIGN(const size_t got, file->read_at(scanner.position(),
                                                            {bytes.mutable_data(), bytes.size()}));
        if (got != bytes.size()) return Status(Errc::Corrupt, log_path() + ": shorter than known");
        const record::BatchView batch(bytes.view());
        Result<record::BatchRecords> records = record::BatchRecords::open(batch);
        if (!records.ok()) {
            return Status(records.status().errc(), fmt::format("{} at {}: {}", log_path(),
                                                               scanner.position(),
                                                               records.status().message()));
        }
        record::RecordView record;
        while (records->next(record)) {
            const WallMs timestamp = record::record_timestamp(batch, record);
            const Offset offset = record::record_offset(batch, record);
            if (offset >= from_offset && (exact ? timestamp == target : timestamp >= target)) {
                return std::optional(TimestampOffset{timestamp, offset, batch.leader_epoch()});
            }
        }
    }
}

Result<std::optional<TimestampOffset>> Segment::find_timestamp(WallMs target, Offset from) {
    if (size_bytes_ == 0) return std::optional<TimestampOffset>{};
    MILLRACE_TRY_ASSIGN(const TimeIndexEntry entry, times_.lookup(target));
    MILLRACE_TRY_ASSIGN(const OffsetIndexEntry place, offsets_.lookup(std::max(entry.offset, from)));
    return scan_records(std::min(place.position, size_bytes_), size_bytes_, target, from, false);
}

Result<std::optional<TimestampOffset>> Segment::find_record_at(WallMs timestamp,
                                                               Offset batch_last) {
    MILLRACE_TRY_ASSIGN(const auto place, find(batch_last));
    if (!place) return std::optional<TimestampOffset>{};
    return scan_records(place->position, place->position + place->size_bytes, timestamp, base_,
                        true);
}

}  // namespace millrace::storage
