// src/broker/coordinator_log.cc: how a coordinator's batches get into its partition's log and back.
#include "broker/coordinator_log.h"

#include <utility>

#include "millrace/broker/coordinator_host.h"
#include "millrace/record/control_record.h"

namespace millrace::broker {

Buffer encode_coordinator_batch(const coordinator::CoordinatorBatch& batch, int32_t base_sequence,
                                record::BatchBuilder& builder,
                                record::CompressionType compression) {
    record::BatchOptions options;
    options.compression = compression;
    options.base_sequence = base_sequence;
    options.producer_id = batch.producer.id;
    options.producer_epoch = batch.producer.epoch;
    options.is_transactional = batch.producer.transactional();
    builder.start(options);
    for (const coordinator::CoordinatorRecord& record : batch.records) {
        record::NewRecord entry;
        entry.timestamp = batch.timestamp;
        entry.key = record.key.view();
        if (record.value) entry.value = record.value->view();
        builder.append(entry);
    }
    return builder.finish();
}

CoordinatorAppend append_coordinator_batch(Partition& partition,
                                           const coordinator::CoordinatorBatch& batch,
                                           storage::VerificationGuard guard,
                                           record::BatchBuilder& builder,
                                           record::CompressionType compression) {
    // As Kafka's two coordinators stamp them; nothing reads it.
    const bool groups = partition.name().topic == kOffsetsTopic;
    const int32_t base_sequence = groups ? 0 : record::kNoSequence;
    ProduceOutcome outcome;
    if (batch.marker) {
        outcome = partition.append_marker({batch.marker->producer.id, batch.marker->producer.epoch,
                                           batch.marker->commit, batch.marker->coordinator_epoch,
                                           batch.marker->transaction_version});
    } else {
        outcome = partition.append_internal(encode_coordinator_batch(batch, base_sequence, builder, compression), guard);
    }
    return {outcome.error, Offset(outcome.base_offset)};
}

Result<LogSlice> read_slice(storage::Log& log, Offset from, size_t bytes_max) {
    storage::ReadInput input;
    input.start_offset = from;
    input.max_bytes = bytes_max;
    input.upper_bound = log.log_end_offset();
    input.min_one_message = true;
    MILLRACE_TRY_ASSIGN(storage::ReadOutcome read, log.read(input));
    if (read.error != ErrorCode::None) {
        return Status(Errc::NotFound, std::string("offset ") + std::to_string(from.value) + ": " +
                                          error_code_name(read.error));
    }
    LogSlice slice;
    MILLRACE_TRY_ASSIGN(slice.bytes, read.records.flatten());
    slice.next = from;
    record::BatchIterator walk(slice.bytes);
    while (walk.next())
        slice.next = walk.batch().next_offset();
    if (walk.end() == record::WalkEnd::Corrupt) {
        return Status(Errc::Corrupt, "no batch at offset " + std::to_string(slice.next.value));
    }
    return slice;
}

Status decode_batch(const record::BatchView& view, DecodedBatch& out) {
    const std::string at = "batch at offset " + std::to_string(view.base_offset().value);
    if (!view.valid_crc()) return Status(Errc::Corrupt, at + " fails its checksum");
    coordinator::LoadedBatch& loaded = out.loaded;
    loaded = {};
    loaded.base_offset = view.base_offset();
    loaded.last_offset = view.last_offset();
    if (view.is_transactional()) loaded.producer = {view.producer_id(), view.producer_epoch()};
    if (view.is_control()) {
        if (const auto marker = record::read_end_txn_batch(view)) {
            loaded.marker =
                coordinator::Marker{loaded.producer, marker->commit, marker->coordinator_epoch};
        }
        return {};
    }
    MILLRACE_TRY_ASSIGN(out.records, record::BatchRecords::open(view));
    record::RecordView record;
    while (out.records->next(record)) {
        loaded.records.push_back({record::record_offset(view, record), record.key, record.value});
    }
    if (out.records->end_reason() == record::RecordsEnd::Malformed) {
        return Status(Errc::Corrupt, at + " holds a malformed record");
    }
    return {};
}

}  // namespace millrace::broker
