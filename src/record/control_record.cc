// src/record/control_record.cc: keys of control records and the value of transaction markers.
#include "millrace/record/control_record.h"

#include "millrace/base/endian.h"
#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::record {

namespace {
// Kafka 4.3 writes version 0 of the key (ControlRecordTypeSchema) and of the value (EndTxnMarker).
constexpr int16_t kKeyVersion = 0;
constexpr int16_t kMarkerVersion = 0;
}  // namespace

std::array<uint8_t, kControlKeyBytes> control_key(ControlType type) {
    MILLRACE_ASSERT(type != ControlType::Unknown, "an unknown control type has no key");
    std::array<uint8_t, kControlKeyBytes> key{};
    store_big(key.data(), kKeyVersion);
    store_big(key.data() + 2, static_cast<int16_t>(type));
    return key;
}

std::optional<ControlType> parse_control_key(ByteView key) {
    if (key.size < kControlKeyBytes) return std::nullopt;
    if (load_big<int16_t>(key.data) < 0) return std::nullopt;
    const int16_t type = load_big<int16_t>(key.data + 2);
    if (type < 0 || type > static_cast<int16_t>(ControlType::KRaftVoters)) {
        return ControlType::Unknown;
    }
    return static_cast<ControlType>(type);
}

std::array<uint8_t, kEndTxnMarkerBytes> end_txn_value(CoordinatorEpoch coordinator_epoch) {
    std::array<uint8_t, kEndTxnMarkerBytes> value{};
    store_big(value.data(), kMarkerVersion);
    store_big(value.data() + 2, coordinator_epoch.value);
    return value;
}

std::optional<EndTxnMarker> parse_end_txn_marker(ByteView key, ByteView value) {
    const std::optional<ControlType> type = parse_control_key(key);
    if (type != ControlType::Abort && type != ControlType::Commit) return std::nullopt;
    if (value.size < kEndTxnMarkerBytes || load_big<int16_t>(value.data) < 0) return std::nullopt;
    return EndTxnMarker{type == ControlType::Commit,
                        CoordinatorEpoch(load_big<int32_t>(value.data + 2))};
}

Buffer make_end_txn_batch(ProducerId producer_id, ProducerEpoch producer_epoch,
                          const EndTxnMarker& marker, WallMs timestamp) {
    BatchOptions options;
    options.producer_id = producer_id;
    options.producer_epoch = producer_epoch;
    options.is_transactional = true;
    options.is_control = true;
    const auto key = control_key(marker.commit ? ControlType::Commit : ControlType::Abort);
    const auto value = end_txn_value(marker.coordinator_epoch);
    BatchBuilder builder;
    builder.start(options);
    builder.append({.timestamp = timestamp,
                    .key = ByteView(key.data(), key.size()),
                    .value = ByteView(value.data(), value.size())});
    return builder.finish();
}

std::optional<EndTxnMarker> read_end_txn_batch(const BatchView& batch) {
    if (!batch.is_control() || batch.is_compressed()) return std::nullopt;
    RecordIterator records(batch.payload(), batch.record_count());
    RecordView record;
    if (!records.next(record) || !record.key || !record.value) return std::nullopt;
    return parse_end_txn_marker(*record.key, *record.value);
}

}  // namespace millrace::record
