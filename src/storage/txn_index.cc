// src/storage/txn_index.cc: the aborted transactions of a segment; its .txnindex file.
#include "storage/txn_index.h"

#include "millrace/base/endian.h"

namespace millrace::storage {

bool TxnIndex::load(uint64_t file_bytes) {
    on_disk_ = true;
    if (file_bytes % kEntryBytes != 0 || file_bytes > kFileBytesMax) return false;
    count_ = static_cast<uint32_t>(file_bytes / kEntryBytes);
    return true;
}

Status TxnIndex::append(const AbortedEntry& entry) {
    uint8_t bytes[kEntryBytes];
    store_big<int16_t>(bytes, 0);
    store_big<int64_t>(bytes + 2, entry.producer_id.value);
    store_big<int64_t>(bytes + 10, entry.first_offset.value);
    store_big<int64_t>(bytes + 18, entry.last_offset.value);
    store_big<int64_t>(bytes + 26, entry.last_stable_offset.value);
    MILLRACE_TRY_ASSIGN(auto file, handle_.open(env::OpenMode::CreateOrOpen));
    on_disk_ = true;
    MILLRACE_TRY(file->write_at(uint64_t{count_} * kEntryBytes, {bytes, sizeof bytes}));
    ++count_;
    return {};
}

Result<std::vector<AbortedEntry>> TxnIndex::entries() {
    std::vector<AbortedEntry> entries;
    if (count_ == 0) return entries;
    std::vector<uint8_t> bytes(size_t{count_} * kEntryBytes);
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    MILLRACE_TRY_ASSIGN(const size_t got, file->read_at(0, {bytes.data(), bytes.size()}));
    if (got != bytes.size()) return Status(Errc::Corrupt, handle_.path() + ": shorter than known");
    entries.reserve(count_);
    for (const uint8_t* at = bytes.data(); at != bytes.data() + bytes.size(); at += kEntryBytes) {
        if (load_big<int16_t>(at) < 0) return Status(Errc::Corrupt, handle_.path() + ": version");
        entries.push_back({ProducerId(load_big<int64_t>(at + 2)), Offset(load_big<int64_t>(at + 10)),
                           Offset(load_big<int64_t>(at + 18)), Offset(load_big<int64_t>(at + 26))});
    }
    return entries;
}

Result<bool> TxnIndex::collect(Offset fetch_offset, Offset upper,
                               std::vector<AbortedTransaction>& out) {
    MILLRACE_TRY_ASSIGN(const auto all, entries());
    for (const AbortedEntry& entry : all) {
        if (entry.last_offset >= fetch_offset && entry.first_offset < upper) {
            out.push_back({entry.producer_id, entry.first_offset});
        }
        if (entry.last_stable_offset >= upper) return true;
    }
    return false;
}

Status TxnIndex::truncate(Offset offset) {
    if (count_ == 0) return {};
    MILLRACE_TRY_ASSIGN(const auto all, entries());
    uint32_t keep = 0;
    while (keep < all.size() && all[keep].last_offset < offset) ++keep;
    if (keep == count_) return {};
    count_ = keep;
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    return file->truncate(uint64_t{count_} * kEntryBytes);
}

}  // namespace millrace::storage
