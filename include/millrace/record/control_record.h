// include/millrace/record/control_record.h: records that brokers write for themselves.
//
// A control batch holds records whose key says what they are: {version int16, type int16}. This
// file knows the keys and the value of transaction markers; the values of the quorum's records
// are messages of the wire floor. Readers skip types they do not know.
// Source: ControlRecordType, EndTransactionMarker, ControlRecordTypeSchema.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/record/batch.h"

namespace millrace::record {

enum class ControlType : int16_t {
    Abort = 0,
    Commit = 1,
    LeaderChange = 2,
    SnapshotHeader = 3,
    SnapshotFooter = 4,
    KRaftVersion = 5,
    KRaftVoters = 6,
    Unknown = -1,
};

inline constexpr size_t kControlKeyBytes = 4;
inline constexpr size_t kEndTxnMarkerBytes = 6;

/// The key bytes of a control record. REQUIRES: not Unknown.
std::array<uint8_t, kControlKeyBytes> control_key(ControlType type);
/// Nothing for a key that is too short or of a negative version; Unknown for a type not listed
/// above. Higher versions are read like version 0, as Kafka does.
std::optional<ControlType> parse_control_key(ByteView key);

/// The decision of a transaction at one partition.
struct EndTxnMarker {
    bool commit = false;
    CoordinatorEpoch coordinator_epoch;
};
std::array<uint8_t, kEndTxnMarkerBytes> end_txn_value(CoordinatorEpoch coordinator_epoch);
/// Nothing for a key that is no marker, or a value that is too short or of a negative version.
std::optional<EndTxnMarker> parse_end_txn_marker(ByteView key, ByteView value);

/// The whole one-record batch that ends a transaction at a partition, ready to be stamped.
Buffer make_end_txn_batch(ProducerId producer_id, ProducerEpoch producer_epoch,
                          const EndTxnMarker& marker, WallMs timestamp);
/// The marker in a control batch of a transaction; nothing when the batch holds none.
std::optional<EndTxnMarker> read_end_txn_batch(const BatchView& batch);

}  // namespace millrace::record
