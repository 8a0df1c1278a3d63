// src/storage/producer_snapshot.h: the .snapshot file: producer state up to an offset.
//
// int16 version 1, uint32 CRC-32C of everything behind it, int32 count, 46 bytes per producer.
// Only the newest batch of a producer is kept. Source: Kafka's ProducerStateManager and
// ProducerSnapshot.json.
#pragma once

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "storage/producer_state.h"

namespace millrace::storage {

/// `state` may be null: no producers.
Buffer encode_producer_snapshot(const ProducerState* state);
/// Corrupt on a wrong version, checksum or size.
Result<std::vector<std::pair<ProducerId, ProducerEntry>>> decode_producer_snapshot(ByteView bytes);

}  // namespace millrace::storage
