// src/storage/producer_snapshot.cc: the .snapshot file: producer state up to an offset.
#include "storage/producer_snapshot.h"

#include "millrace/base/crc32c.h"
#include "millrace/base/endian.h"

namespace millrace::storage {
namespace {

constexpr int16_t kVersion = 1;
constexpr size_t kCrcAt = 2;
constexpr size_t kCoveredFrom = 6;
constexpr size_t kHeaderBytes = 10;
constexpr size_t kEntryBytes = 46;

void encode_entry(uint8_t* at, ProducerId id, const ProducerEntry& entry) {
    const ProducerBatch last =
        entry.batch_count == 0 ? ProducerBatch{} : entry.batches[entry.batch_count - 1U];
    store_big<int64_t>(at, id.value);
    store_big<int16_t>(at + 8, entry.epoch.value);
    store_big<int32_t>(at + 10, last.last_sequence);
    store_big<int64_t>(at + 14, last.last_offset.value);
    store_big<int32_t>(at + 22, last.offset_delta);
    store_big<int64_t>(at + 26, entry.last_timestamp.value);
    store_big<int32_t>(at + 34, entry.coordinator_epoch);
    store_big<int64_t>(at + 38, entry.current_txn_first_offset.value);
}

ProducerEntry decode_entry(const uint8_t* at) {
    ProducerEntry entry;
    entry.epoch = ProducerEpoch(load_big<int16_t>(at + 8));
    entry.last_timestamp = WallMs{load_big<int64_t>(at + 26)};
    entry.coordinator_epoch = load_big<int32_t>(at + 34);
    const Offset txn(load_big<int64_t>(at + 38));
    entry.current_txn_first_offset = txn < Offset(0) ? kNoOffset : txn;
    ProducerBatch batch;
    batch.last_sequence = load_big<int32_t>(at + 10);
    batch.last_offset = Offset(load_big<int64_t>(at + 14));
    batch.offset_delta = load_big<int32_t>(at + 22);
    batch.timestamp = entry.last_timestamp;
    if (batch.last_offset >= Offset(0)) {
        entry.batches[0] = batch;
        entry.batch_count = 1;
    }
    return entry;
}

}  // namespace

Buffer encode_producer_snapshot(const ProducerState* state) {
    const size_t count = state == nullptr ? 0 : state->producers().size();
    Buffer out = Buffer::allocate(kHeaderBytes + count * kEntryBytes);
    uint8_t* at = out.mutable_data();
    store_big<int16_t>(at, kVersion);
    store_big<int32_t>(at + kCoveredFrom, static_cast<int32_t>(count));
    if (count > 0) {
        uint8_t* entry_at = at + kHeaderBytes;
        for (const auto& [id, entry] : state->producers()) {
            encode_entry(entry_at, id, entry);
            entry_at += kEntryBytes;
        }
    }
    store_big<uint32_t>(at + kCrcAt, crc32c(out.view().from(kCoveredFrom)));
    return out;
}

Result<std::vector<std::pair<ProducerId, ProducerEntry>>> decode_producer_snapshot(ByteView bytes) {
    if (bytes.size < kHeaderBytes) return Status(Errc::Corrupt, "producer snapshot cut off");
    if (load_big<int16_t>(bytes.data) != kVersion) {
        return Status(Errc::Corrupt, "producer snapshot of an unknown version");
    }
    if (load_big<uint32_t>(bytes.data + kCrcAt) != crc32c(bytes.from(kCoveredFrom))) {
        return Status(Errc::Corrupt, "producer snapshot fails its checksum");
    }
    const int32_t count = load_big<int32_t>(bytes.data + kCoveredFrom);
    if (count < 0 || bytes.size != kHeaderBytes + static_cast<size_t>(count) * kEntryBytes) {
        return Status(Errc::Corrupt, "producer snapshot of a wrong size");
    }
    std::vector<std::pair<ProducerId, ProducerEntry>> entries;
    entries.reserve(static_cast<size_t>(count));
    for (const uint8_t* at = bytes.data + kHeaderBytes; at != bytes.end(); at += kEntryBytes) {
        entries.emplace_back(ProducerId(load_big<int64_t>(at)), decode_entry(at));
    }
    return entries;
}

}  // namespace millrace::storage
