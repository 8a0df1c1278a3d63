// src/broker/coordinator_log.h: how a coordinator's batches get into its partition's log and back.
#pragma once

#include <vector>

#include "millrace/broker/partition.h"
#include "millrace/coordinator/coordinator_output.h"
#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::broker {

struct CoordinatorAppend {
    ErrorCode error = ErrorCode::None;
    Offset base_offset = kNoOffset;
};
/// The batch as Kafka's coordinators write it, with CREATE_TIME.
Buffer encode_coordinator_batch(
    const coordinator::CoordinatorBatch& batch, int32_t base_sequence, record::BatchBuilder& builder,
    record::CompressionType compression = record::CompressionType::None);
/// Appends with acks=all, without waiting for the watermark.
CoordinatorAppend append_coordinator_batch(Partition& partition,
                                           const coordinator::CoordinatorBatch& batch,
                                           storage::VerificationGuard guard,
                                           record::BatchBuilder& builder,
                                           record::CompressionType compression);

/// A part of a log on its way into a machine.
struct LogSlice {
    Buffer bytes;
    Offset next;  // where the following slice starts
};
/// Whole batches from `from`, at least one, about `bytes_max` bytes, up to the log's end.
Result<LogSlice> read_slice(storage::Log& log, Offset from, size_t bytes_max);

/// One decoded batch; `records` keeps what the views of `loaded` point into.
struct DecodedBatch {
    coordinator::LoadedBatch loaded;
    std::optional<record::BatchRecords> records;
};
Status decode_batch(const record::BatchView& view, DecodedBatch& out);

}  // namespace millrace::broker
