// include/millrace/storage/log_types.h: the plain structs that go into and come out of a Log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"

namespace millrace::storage {

/// Who asks for an append; decides which producer checks apply (Kafka's AppendOrigin).
enum class AppendOrigin {
    Client,       // every check
    Coordinator,  // group, share and transaction coordinators, transaction markers: no sequences
    RaftLeader,   // the metadata log: no producer checks
};

/// Ticket for the first batch of a transaction (KIP-890). Zero: none.
struct VerificationGuard {
    uint64_t id = 0;
    friend bool operator==(const VerificationGuard&, const VerificationGuard&) = default;
};

struct AppendInput {
    /// One whole batch that passed record validation; base offset and leader epoch are stamped in
    /// place, so the caller gives no other holder the bytes before append returns.
    Buffer batch;
    LeaderEpoch leader_epoch;
    AppendOrigin origin = AppendOrigin::Client;
    WallMs now;
    VerificationGuard guard;
    int transaction_version = 0;  // of a transaction marker (WriteTxnMarkers v2)
    /// The bytes may wait in memory for write_out(), which must come before anybody is told of the
    /// append. Every other call that touches the disk writes them out first.
    bool may_defer = false;
};

/// What a leader's append did. With an error nothing was written and the offsets are -1.
struct AppendOutcome {
    ErrorCode error = ErrorCode::None;
    Offset base_offset = kNoOffset;
    Offset last_offset = kNoOffset;
    /// Append time when the batch carries LogAppendTime; a duplicate's stored timestamp; else -1.
    WallMs log_append_time = kNoTimestamp;
    Offset log_start_offset = kNoOffset;
    bool duplicate = false;  // success, nothing written, offsets are the old ones
};

/// What a follower's append did. The good batches before an error are in the log.
struct FollowerAppendOutcome {
    ErrorCode error = ErrorCode::None;  // CorruptMessage, OffsetOutOfRange (not after the end)
    std::string reason;                 // of the error, for the log line
    Offset first_offset = kNoOffset;    // of what was written; -1: nothing
    Offset end_offset = kNoOffset;      // the log's end afterwards
    size_t bytes = 0;
    uint32_t batches = 0;
};

/// Where an offset lives: the base offset of its segment and the byte in that segment's file.
struct OffsetPosition {
    Offset offset = kNoOffset;
    Offset segment_base = kNoOffset;
    uint64_t position = 0;
};

struct AbortedTransaction {
    ProducerId producer_id;
    Offset first_offset;
    friend bool operator==(const AbortedTransaction&, const AbortedTransaction&) = default;
};

struct ReadInput {
    Offset start_offset;
    size_t max_bytes = 0;
    Offset upper_bound;             // exclusive: high watermark, last stable offset or log end
    bool min_one_message = false;   // the first batch whole, whatever max_bytes says (KIP-74)
    bool aborted_transactions = false;
};

struct ReadOutcome {
    ErrorCode error = ErrorCode::None;  // OffsetOutOfRange: outside [log start, log end]
    BufferChain records;                // whole batches, the last one perhaps cut short
    OffsetPosition start;               // of the batch that holds start_offset
    std::vector<AbortedTransaction> aborted;  // when asked for
};

struct TimestampOffset {
    WallMs timestamp = kNoTimestamp;
    Offset offset = kNoOffset;
    LeaderEpoch leader_epoch = kNoLeaderEpoch;
};

/// One line of DescribeProducers.
struct ActiveProducer {
    ProducerId producer_id;
    ProducerEpoch producer_epoch;
    int32_t last_sequence = -1;
    WallMs last_timestamp = kNoTimestamp;
    int32_t coordinator_epoch = -1;
    Offset current_txn_first_offset = kNoOffset;
};

/// A producer with batches, as a transaction check sees it.
struct ProducerView {
    ProducerEpoch epoch = kNoProducerEpoch;
    int32_t last_sequence = -1;
    Offset current_txn_first_offset = kNoOffset;
};

/// Topic, partition and a number: one line of a checkpoint file.
struct CheckpointEntry {
    TopicPartition partition;
    Offset offset;
    friend bool operator==(const CheckpointEntry&, const CheckpointEntry&) = default;
};

}  // namespace millrace::storage
