// src/storage/offset_map.cc: the latest offset of every key in a range of a log, in bounded memory.
#include "storage/offset_map.h"

#include <algorithm>
#include <cstring>

#include "millrace/base/endian.h"
#include "millrace/base/md5.h"

namespace millrace::storage {
namespace {

constexpr uint8_t kEmpty[OffsetMap::kEntryBytes] = {};

}  // namespace

OffsetMap::OffsetMap(uint64_t memory_bytes, double load_factor)
    : slots_(std::max<uint64_t>(memory_bytes / kEntryBytes, 2)) {
    const double share = load_factor > 0 ? std::min(load_factor, 1.0) : 0.0;  // also for NaN
    const double wanted = static_cast<double>(slots_) * share;
    // One slot stays empty, so that a search always ends; one key always fits.
    keys_max_ = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, slots_ - 1);
    entries_.reset(static_cast<uint8_t*>(std::calloc(slots_, kEntryBytes)));
    MILLRACE_ASSERT(entries_ != nullptr, "memory for the offset map");
}

uint8_t* OffsetMap::find(const uint8_t* hash) const {
    uint64_t slot = load_big<uint64_t>(hash) % slots_;
    while (true) {
        uint8_t* entry = entries_.get() + slot * kEntryBytes;
        if (std::memcmp(entry, hash, kMd5Bytes) == 0 ||
            std::memcmp(entry, kEmpty, kEntryBytes) == 0) {
            return entry;
        }
        if (++slot == slots_) slot = 0;
    }
}

void OffsetMap::put(ByteView key, Offset offset) {
    MILLRACE_ASSERT(!full(), "the caller stops at a full map");
    const auto hash = md5(key);
    uint8_t* entry = find(hash.data());
    if (std::memcmp(entry, kEmpty, kEntryBytes) == 0) ++size_;
    std::memcpy(entry, hash.data(), kMd5Bytes);
    store_big<int64_t>(entry + kMd5Bytes, offset.value);
    latest_ = offset;
}

Offset OffsetMap::get(ByteView key) const {
    const auto hash = md5(key);
    const uint8_t* entry = find(hash.data());
    if (std::memcmp(entry, kEmpty, kEntryBytes) == 0) return kNoOffset;
    return Offset(load_big<int64_t>(entry + kMd5Bytes));
}

}  // namespace millrace::storage
