// src/storage/index_file.cc: fixed-size entries in a file, the newest of them still in memory.
#include "storage/index_file.h"

#include <algorithm>
#include <cstring>

#include "millrace/base/endian.h"

namespace millrace::storage {
namespace {

constexpr uint32_t kPageBytes = 4096;

bool below(int64_t key, int64_t target, bool inclusive) {
    return inclusive ? key <= target : key < target;
}

}  // namespace

Status IndexFile::create(uint64_t bytes) {
    MILLRACE_TRY_ASSIGN(auto file, handle_.open(env::OpenMode::CreateOrOpen));
    MILLRACE_TRY(file->truncate(0));
    if (bytes > 0) MILLRACE_TRY(file->truncate(bytes));
    adopt(0, bytes > 0);
    return {};
}

Status IndexFile::append(const uint8_t* entry, uint64_t preallocate_bytes) {
    pending_.insert(pending_.end(), entry, entry + entry_bytes_);
    if (pending_count() >= kPendingMax) return write_pending(preallocate_bytes);
    return {};
}

Status IndexFile::write_pending(uint64_t preallocate_bytes) {
    if (pending_.empty()) return {};
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    const uint64_t at = uint64_t{written_} * entry_bytes_;
    if (!preallocated_ && preallocate_bytes > at + pending_.size()) {
        // First write after a clean stop trimmed the file.
        MILLRACE_TRY(file->truncate(preallocate_bytes));
        preallocated_ = true;
    }
    MILLRACE_TRY(file->write_at(at, {pending_.data(), pending_.size()}));
    written_ += pending_count();
    pending_.clear();
    pending_.shrink_to_fit();
    return {};
}

Status IndexFile::trim() {
    MILLRACE_TRY(write_pending(0));
    if (!preallocated_) return {};
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    MILLRACE_TRY(file->truncate(uint64_t{written_} * entry_bytes_));
    preallocated_ = false;
    return {};
}

Status IndexFile::truncate(uint32_t entries) {
    if (entries >= count()) return {};
    if (entries >= written_) {
        pending_.resize(size_t{entries - written_} * entry_bytes_);
        return {};
    }
    pending_.clear();
    written_ = entries;
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    // Stale entries behind the count would be taken for real ones by the next start.
    MILLRACE_TRY(file->truncate(uint64_t{written_} * entry_bytes_));
    preallocated_ = false;
    return {};
}

Result<IndexFile::Entry> IndexFile::entry(uint32_t index) {
    MILLRACE_ASSERT(index < count(), "an index entry that exists");
    Entry entry{};
    if (index >= written_) {
        std::memcpy(entry.data(), pending_.data() + size_t{index - written_} * entry_bytes_,
                    entry_bytes_);
        return entry;
    }
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    MILLRACE_TRY_ASSIGN(const size_t got, file->read_at(uint64_t{index} * entry_bytes_,
                                                        {entry.data(), entry_bytes_}));
    if (got != entry_bytes_) return Status(Errc::Corrupt, handle_.path() + ": shorter than known");
    return entry;
}

Result<uint32_t> IndexFile::count_below_on_disk(Key key, int64_t target, bool inclusive) {
    const uint32_t per_page = kPageBytes / entry_bytes_;
    // First the page by its first entry, then within it: one read of a page, few of an entry.
    uint32_t low = 0;
    uint32_t high = (written_ + per_page - 1) / per_page;  // pages
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        MILLRACE_TRY_ASSIGN(const Entry first, entry(middle * per_page));
        (below(key(first.data()), target, inclusive) ? low : high) = middle;
    }
    const uint32_t from = low * per_page;
    const uint32_t entries = std::min(per_page, written_ - from);
    uint8_t page[kPageBytes];
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    MILLRACE_TRY_ASSIGN(const size_t got,
                        file->read_at(uint64_t{from} * entry_bytes_,
                                      {page, size_t{entries} * entry_bytes_}));
    if (got != size_t{entries} * entry_bytes_) {
        return Status(Errc::Corrupt, handle_.path() + ": shorter than known");
    }
    uint32_t in_page = 0;
    uint32_t end = entries;
    while (in_page < end) {
        const uint32_t middle = in_page + (end - in_page) / 2;
        if (below(key(page + size_t{middle} * entry_bytes_), target, inclusive)) {
            in_page = middle + 1;
        } else {
            end = middle;
        }
    }
    return from + in_page;
}

Result<uint32_t> IndexFile::count_below(Key key, int64_t target, bool inclusive) {
    if (!pending_.empty() && (written_ == 0 || below(key(pending_.data()), target, inclusive))) {
        uint32_t low = 0;
        uint32_t high = pending_count();
        while (low < high) {
            const uint32_t middle = low + (high - low) / 2;
            if (below(key(pending_.data() + size_t{middle} * entry_bytes_), target, inclusive)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return written_ + low;
    }
    if (written_ == 0) return 0U;
    return count_below_on_disk(key, target, inclusive);
}

Result<bool> IndexFile::rises(size_t at, size_t bytes) {
    MILLRACE_ASSERT(bytes == 4 || bytes == 8, "index numbers are int32 or int64");
    if (written_ == 0) return true;
    MILLRACE_TRY_ASSIGN(auto file, handle_.open());
    const uint32_t per_page = kPageBytes / entry_bytes_;
    int64_t last = -1;
    uint8_t page[kPageBytes];
    for (uint32_t from = 0; from < written_; from += per_page) {
        const size_t size = size_t{std::min(per_page, written_ - from)} * entry_bytes_;
        MILLRACE_TRY_ASSIGN(const size_t got,
                            file->read_at(uint64_t{from} * entry_bytes_, {page, size}));
        if (got != size) return false;
        for (const uint8_t* entry = page; entry != page + size; entry += entry_bytes_) {
            const int64_t number =
                bytes == 4 ? load_big<int32_t>(entry + at) : load_big<int64_t>(entry + at);
            if (number <= last) return false;
            last = number;
        }
    }
    return true;
}

Result<std::optional<uint32_t>> IndexFile::last_not_above(Key key, int64_t target) {
    MILLRACE_TRY_ASSIGN(const uint32_t below_or_equal, count_below(key, target, true));
    if (below_or_equal == 0) return std::optional<uint32_t>{};
    return std::optional<uint32_t>(below_or_equal - 1);
}

Result<std::optional<uint32_t>> IndexFile::first_not_below(Key key, int64_t target) {
    MILLRACE_TRY_ASSIGN(const uint32_t smaller, count_below(key, target, false));
    if (smaller >= count()) return std::optional<uint32_t>{};
    return std::optional<uint32_t>(smaller);
}

}  // namespace millrace::storage
