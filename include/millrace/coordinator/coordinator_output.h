// include/millrace/coordinator/coordinator_output.h: what passes between a coordinator and its
// driver.
//
// A coordinator machine leads one partition of __consumer_offsets or __transaction_state. Its
// driver (broker/coordinator_host) appends the batches, feeds back what became of them, hands the
// replies to whoever asked and arms one timer. Plain structs; nothing here has behaviour.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"

namespace millrace::coordinator {

/// Names a waiting request between a machine and its driver, who maps it to a Reply. Never reused
/// while it waits; the driver draws them.
using RequestId = uint64_t;

/// What every event brings along.
struct Tick {
    Instant now;  // drives deadlines
    WallMs wall;  // goes into records
};

/// A record as it goes into the log: wire/record_frame.h made the bytes.
struct CoordinatorRecord {
    Buffer key;
    std::optional<Buffer> value;  // nothing: a tombstone
};

/// Whose transaction a batch belongs to; none for plain batches.
struct Producer {
    ProducerId id = kNoProducerId;
    ProducerEpoch epoch = kNoProducerEpoch;
    bool transactional() const { return id != kNoProducerId; }
};

/// A transaction marker of WriteTxnMarkers.
struct Marker {
    Producer producer;
    bool commit = false;
    CoordinatorEpoch coordinator_epoch;
    int16_t transaction_version = 0;  // of the transaction that ends
};

/// One atomic append through the partition with acks=all: either records, all stamped with
/// `timestamp` (CREATE_TIME, no compression), or one marker.
struct CoordinatorBatch {
    Offset base_offset;  // where the machine replayed it; the log must give it the same
    WallMs timestamp;
    Producer producer;  // transactional records
    std::vector<CoordinatorRecord> records;
    std::optional<Marker> marker;  // then records is empty
    /// The next offset after the batch.
    Offset end() const { return base_offset + (marker ? 1 : static_cast<int64_t>(records.size())); }
};

template <class Response>
struct CoordinatorReply {
    RequestId id;
    Response response;
};

/// Carried out in this order; cleared and reused by the driver.
template <class Response>
struct CoordinatorOutput {
    std::vector<CoordinatorBatch> append;
    std::vector<CoordinatorReply<Response>> replies;
    /// The one timer of the machine: call on_tick at or after it.
    Instant wake_at = Instant::never();
    void clear() {
        append.clear();
        replies.clear();
        wake_at = Instant::never();
    }
};

/// One record read back from the log. The views live as long as the call they are given to.
struct LoadedRecord {
    Offset offset;
    std::optional<ByteView> key;
    std::optional<ByteView> value;
};

/// One batch read back from the log, in log order, from log start to log end.
struct LoadedBatch {
    Offset base_offset;
    Offset last_offset;
    Producer producer;                  // only of a transactional batch
    std::optional<Marker> marker;       // a control batch that ends a transaction
    std::vector<LoadedRecord> records;  // empty for every control batch
};

}  // namespace millrace::coordinator
