// src/record/batch.cc: checksum and in-place edits of a batch header.
#include "millrace/record/batch.h"

#include <array>
#include <cstring>
#include <limits>
#include <string_view>

#include "millrace/base/crc32c.h"

namespace millrace::record {

namespace {
constexpr std::array<const char*, 5> kCompressionNames{"none", "gzip", "snappy", "lz4", "zstd"};
// The part of the header under the checksum that stamp_max_timestamp rewrites.
constexpr size_t kEditedBytes = kMaxTimestampAt + 8 - kAttributesAt;
}  // namespace

const char* compression_name(CompressionType type) {
    return kCompressionNames[static_cast<size_t>(type)];
}

std::optional<CompressionType> compression_from_id(int id) {
    if (id < 0 || id >= static_cast<int>(kCompressionNames.size())) return std::nullopt;
    return static_cast<CompressionType>(id);
}

std::optional<CompressionType> compression_from_name(std::string_view name) {
    for (size_t id = 0; id < kCompressionNames.size(); ++id) {
        if (name == kCompressionNames[id]) return static_cast<CompressionType>(id);
    }
    return std::nullopt;
}

int32_t increment_sequence(int32_t sequence, int32_t increment) {
    constexpr int64_t kSequences = int64_t{std::numeric_limits<int32_t>::max()} + 1;
    return static_cast<int32_t>((int64_t{sequence} + increment) % kSequences);
}

int32_t BatchView::last_sequence() const {
    if (base_sequence() < 0 || last_offset_delta() < 0) return kNoSequence;
    return increment_sequence(base_sequence(), last_offset_delta());
}

uint32_t BatchView::compute_crc() const { return crc32c(bytes_.from(kAttributesAt)); }

void stamp_base_offset(MutableByteView batch, Offset base_offset) {
    MILLRACE_ASSERT(batch.size >= kBatchHeaderBytes, "a batch to stamp has its header");
    store_big(batch.data + kBaseOffsetAt, base_offset.value);
}

void stamp_leader_epoch(MutableByteView batch, LeaderEpoch leader_epoch) {
    MILLRACE_ASSERT(batch.size >= kBatchHeaderBytes, "a batch to stamp has its header");
    store_big(batch.data + kLeaderEpochAt, leader_epoch.value);
}

bool stamp_max_timestamp(MutableByteView batch, TimestampType type, WallMs max_timestamp) {
    const BatchView view({batch.data, batch.size});
    if (view.timestamp_type() == type && view.max_timestamp() == max_timestamp) return false;

    uint8_t* edited = batch.data + kAttributesAt;
    const uint32_t crc_before = crc32c({edited, kEditedBytes});
    int attributes = view.attributes() & (kCompressionMask | kTransactionalBit | kControlBit |
                                          kDeleteHorizonBit);
    if (type == TimestampType::LogAppendTime) attributes |= kTimestampTypeBit;
    store_big(edited, static_cast<int16_t>(attributes));
    store_big(batch.data + kMaxTimestampAt, max_timestamp.value);
    const uint32_t crc_after = crc32c({edited, kEditedBytes});

    // The checksum is linear: the change of the first bytes, shifted past the untouched rest.
    const size_t rest = batch.size - kAttributesAt - kEditedBytes;
    store_big(batch.data + kCrcAt, crc32c_combine(crc_before ^ crc_after, view.crc(), rest));
    return true;
}

}  // namespace millrace::record
