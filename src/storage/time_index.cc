// src/storage/time_index.cc: timestamp to offset, sparse; the .timeindex file of a segment.
#include "storage/time_index.h"

#include "millrace/base/endian.h"

namespace millrace::storage {
namespace {

int64_t timestamp_key(const uint8_t* entry) { return load_big<int64_t>(entry); }
int64_t offset_key(const uint8_t* entry) { return load_big<int32_t>(entry + 8); }

}  // namespace

TimeIndexEntry TimeIndex::decode(const IndexFile::Entry& entry) const {
    return {WallMs{timestamp_key(entry.data())}, base_ + offset_key(entry.data())};
}

Status TimeIndex::maybe_append(TimeIndexEntry entry, int64_t index_bytes) {
    if (entry.timestamp <= last_.timestamp || entry.offset < last_.offset) return {};
    uint8_t bytes[kEntryBytes];
    store_big<int64_t>(bytes, entry.timestamp.value);
    store_big<int32_t>(bytes + 8, static_cast<int32_t>(entry.offset - base_));
    MILLRACE_TRY(file_.append(bytes, full_bytes(index_bytes)));
    last_ = entry;
    return {};
}

Result<TimeIndexEntry> TimeIndex::lookup(WallMs target) {
    MILLRACE_TRY_ASSIGN(const auto at, file_.last_not_above(timestamp_key, target.value));
    if (!at) return TimeIndexEntry{kNoTimestamp, base_};
    MILLRACE_TRY_ASSIGN(const auto entry, file_.entry(*at));
    return decode(entry);
}

Status TimeIndex::truncate(Offset offset) {
    MILLRACE_TRY_ASSIGN(const auto at, file_.first_not_below(offset_key, offset - base_));
    if (!at) return {};
    MILLRACE_TRY(file_.truncate(*at));
    return reload_last();
}

Status TimeIndex::reload_last() {
    reset();
    if (file_.count() == 0) return {};
    MILLRACE_TRY_ASSIGN(const auto entry, file_.entry(file_.count() - 1));
    last_ = decode(entry);
    return {};
}

Result<bool> TimeIndex::load(uint64_t file_bytes) {
    if (file_bytes % kEntryBytes != 0 || file_bytes / kEntryBytes > UINT32_MAX) return false;
    file_.adopt(static_cast<uint32_t>(file_bytes / kEntryBytes), false);
    MILLRACE_TRY(reload_last());
    if (file_bytes == 0) return true;
    if (last_.offset < base_ || last_.timestamp.value < 0) return false;
    MILLRACE_TRY_ASSIGN(const auto first, file_.entry(0));
    // Zeros behind the last entry (no clean stop) make the last look older than the first.
    return decode(first).timestamp <= last_.timestamp &&
           (file_.count() == 1 || last_.timestamp.value > 0);
}

}  // namespace millrace::storage
