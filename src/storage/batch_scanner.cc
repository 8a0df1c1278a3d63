// src/storage/batch_scanner.cc: walks the batches of a file, reading ahead in chunks.
#include "storage/batch_scanner.h"

#include <algorithm>
#include <cstring>

#include "millrace/base/crc32c.h"

namespace millrace::storage {

Result<const uint8_t*> BatchScanner::window(uint64_t position, size_t size) {
    MILLRACE_ASSERT(size <= chunk_, "a window fits the chunk");
    if (position < window_start_ || position + size > window_start_ + window_size_) {
        if (!buffer_) buffer_ = std::make_unique_for_overwrite<uint8_t[]>(chunk_);
        const size_t wanted = static_cast<size_t>(std::min<uint64_t>(chunk_, end_ - position));
        window_size_ = 0;
        MILLRACE_TRY_ASSIGN(const size_t got, file_.read_at(position, {buffer_.get(), wanted}));
        window_start_ = position;
        window_size_ = got;
        if (got < size) return Status(Errc::Corrupt, "file is shorter than known");
    }
    return static_cast<const uint8_t*>(buffer_.get() + (position - window_start_));
}

Result<bool> BatchScanner::next() {
    if (end_reason_ != record::WalkEnd::NotReached) return false;
    const uint64_t left = end_ - next_;
    if (left < record::kBatchHeaderBytes) {
        end_reason_ = left == 0 ? record::WalkEnd::Clean : record::WalkEnd::CutOff;
        return false;
    }
    MILLRACE_TRY_ASSIGN(const uint8_t* at, window(next_, record::kBatchHeaderBytes));
    const int64_t size =
        int64_t{load_big<int32_t>(at + record::kLengthAt)} + int64_t{record::kLogOverheadBytes};
    // Offsets that would overflow, or a last one before the first, are of no batch either.
    const int64_t base_offset = load_big<int64_t>(at + record::kBaseOffsetAt);
    const bool offsets_bad = base_offset < 0 || base_offset > kBaseOffsetMax ||
                             load_big<int32_t>(at + record::kLastOffsetDeltaAt) < 0;
    if (size < int64_t{record::kBatchHeaderBytes} || at[record::kMagicAt] != record::kMagicV2 ||
        offsets_bad) {
        end_reason_ = record::WalkEnd::Corrupt;
        return false;
    }
    if (static_cast<uint64_t>(size) > left) {
        end_reason_ = record::WalkEnd::CutOff;
        return false;
    }
    std::memcpy(header_, at, sizeof header_);
    position_ = next_;
    next_ += static_cast<uint64_t>(size);
    return true;
}

Result<bool> BatchScanner::verify_crc() {
    uint64_t at = position_ + record::kAttributesAt;
    uint32_t crc = crc32c({});
    while (at < next_) {
        const size_t piece = static_cast<size_t>(std::min<uint64_t>(next_ - at, chunk_));
        MILLRACE_TRY_ASSIGN(const uint8_t* bytes, window(at, piece));
        crc = crc32c_extend(crc, {bytes, piece});
        at += piece;
    }
    return crc == header().crc();
}

Result<ByteView> BatchScanner::bytes() {
    if (size_bytes() > chunk_) return ByteView{};
    const size_t size = static_cast<size_t>(size_bytes());
    MILLRACE_TRY_ASSIGN(const uint8_t* at, window(position_, size));
    return ByteView(at, size);
}

}  // namespace millrace::storage
