// src/storage/offset_index.cc: offset to file position, sparse; the .index file of a segment.
#include "storage/offset_index.h"

#include "millrace/base/endian.h"

namespace millrace::storage {
namespace {

int64_t offset_key(const uint8_t* entry) { return load_big<int32_t>(entry); }
int64_t position_key(const uint8_t* entry) { return load_big<int32_t>(entry + 4); }

}  // namespace

OffsetIndexEntry OffsetIndex::decode(const IndexFile::Entry& entry) const {
    return {base_ + offset_key(entry.data()),
            static_cast<uint64_t>(static_cast<uint32_t>(position_key(entry.data())))};
}

Status OffsetIndex::append(OffsetIndexEntry entry, int64_t index_bytes) {
    MILLRACE_ASSERT(entry.position <= INT32_MAX, "segments end below 2 GiB");
    uint8_t bytes[kEntryBytes];
    store_big<int32_t>(bytes, static_cast<int32_t>(entry.offset - base_));
    store_big<int32_t>(bytes + 4, static_cast<int32_t>(entry.position));
    return file_.append(bytes, full_bytes(index_bytes));
}

Result<OffsetIndexEntry> OffsetIndex::lookup(Offset offset) {
    MILLRACE_TRY_ASSIGN(const auto at, file_.last_not_above(offset_key, offset - base_));
    if (!at) return OffsetIndexEntry{base_, 0};
    MILLRACE_TRY_ASSIGN(const auto entry, file_.entry(*at));
    return decode(entry);
}

Result<std::optional<OffsetIndexEntry>> OffsetIndex::first_at_position(uint64_t position) {
    MILLRACE_TRY_ASSIGN(const auto at, file_.first_not_below(position_key,
                                                             static_cast<int64_t>(position)));
    if (!at) return std::optional<OffsetIndexEntry>{};
    MILLRACE_TRY_ASSIGN(const auto entry, file_.entry(*at));
    return std::optional(decode(entry));
}

Status OffsetIndex::truncate(Offset offset) {
    MILLRACE_TRY_ASSIGN(const auto at, file_.first_not_below(offset_key, offset - base_));
    return at ? file_.truncate(*at) : Status{};
}

Result<OffsetIndexEntry> OffsetIndex::last() {
    if (file_.count() == 0) return OffsetIndexEntry{base_, 0};
    MILLRACE_TRY_ASSIGN(const auto entry, file_.entry(file_.count() - 1));
    return decode(entry);
}

Result<bool> OffsetIndex::load(uint64_t file_bytes, uint64_t log_bytes) {
    if (file_bytes % kEntryBytes != 0 || file_bytes / kEntryBytes > UINT32_MAX) return false;
    file_.adopt(static_cast<uint32_t>(file_bytes / kEntryBytes), false);
    if (file_bytes == 0) return true;
    MILLRACE_TRY_ASSIGN(const OffsetIndexEntry end, last());
    // A preallocated tail of zeros shows as an entry at the base: the last stop was not clean.
    return end.offset > base_ && end.position < log_bytes;
}

}  // namespace millrace::storage
