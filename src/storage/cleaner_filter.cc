// src/storage/cleaner_filter.cc: what one batch becomes when it is cleaned.
#include "storage/cleaner_filter.h"

#include <algorithm>
#include <limits>

namespace millrace::storage {
namespace {

/// A retention of "for ever" must not turn into one that is over (Kafka's sum wraps).
WallMs saturating_plus(WallMs time, int64_t ms) {
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    return WallMs{ms > kMax - time.value ? kMax : time.value + ms};
}

record::BatchOptions options_like(const record::BatchView& batch) {
    record::BatchOptions options;
    options.base_offset = batch.base_offset();
    options.leader_epoch = batch.leader_epoch();
    options.compression = *batch.compression();
    options.timestamp_type = batch.timestamp_type();
    if (options.timestamp_type == record::TimestampType::LogAppendTime) {
        options.log_append_time = batch.max_timestamp();
    }
    options.producer_id = batch.producer_id();
    options.producer_epoch = batch.producer_epoch();
    options.base_sequence = batch.base_sequence();
    options.is_transactional = batch.is_transactional();
    options.is_control = batch.is_control();
    return options;
}

}  // namespace

CleanerFilter::Verdict CleanerFilter::judge(const record::BatchView& batch, bool discardable,
                                            const LastRecords& last_records) const {
    Verdict verdict;
    verdict.drop_records = discardable;
    if (batch.is_control()) {
        // A marker outlives its data by the time that tombstones live.
        verdict.drop_records = discardable && batch.has_delete_horizon() &&
                               batch.base_timestamp() <= rules_.now;
        verdict.marker_without_data = discardable;
    }
    bool last_of_producer = false;
    const auto last = last_records.find(batch.producer_id());
    if (batch.has_producer_id() && last != last_records.end()) {
        last_of_producer = last->second.last_data_offset != kNoOffset
                               ? batch.last_offset() == last->second.last_data_offset
                               : batch.is_control() &&
                                     batch.producer_epoch() == last->second.epoch;
    }
    if (last_of_producer || batch.next_offset() == rules_.range_end) {
        verdict.fate = Fate::KeepEmpty;
    } else if (verdict.drop_records) {
        verdict.fate = Fate::Delete;
    }
    return verdict;
}

bool CleanerFilter::keeps(const record::BatchView& batch, const record::RecordView& record,
                          Outcome& outcome) const {
    const Offset offset = record::record_offset(batch, record);
    if (offset > map_.latest_offset()) return true;
    if (!record.key) {
        ++outcome.keyless_records;
        return false;
    }
    if (offset < map_.get(*record.key)) return false;
    return record.value.has_value() || !batch.has_delete_horizon() ||
           rules_.now < batch.base_timestamp();
}

Result<CleanerFilter::Outcome> CleanerFilter::apply(const record::BatchView& batch,
                                                    const LastRecords& last_records) {
    Outcome outcome;
    bool discardable = false;
    if (batch.is_control()) {
        MILLRACE_TRY_ASSIGN(const auto type, control_type_of(batch));
        CleanedTransactions::Marker marker = txns_.on_control(batch, type);
        discardable = marker.discardable;
        outcome.aborted = marker.entry;
    } else {
        discardable = txns_.on_data(batch);
    }
    const Verdict verdict = judge(batch, discardable, last_records);
    if (verdict.fate == Fate::Delete) {
        outcome.records_read = static_cast<uint64_t>(std::max(batch.record_count(), 0));
        return outcome;
    }
    MILLRACE_TRY(keep_records(batch, verdict, outcome));
    return outcome;
}

Status CleanerFilter::keep_records(const record::BatchView& batch, const Verdict& verdict,
                                   Outcome& outcome) {
    if (!batch.compression()) return {Errc::Corrupt, "unknown compression"};
    bool tombstones = false;
    int32_t last_delta = -1;
    kept_.clear();
    MILLRACE_TRY_ASSIGN(record::BatchRecords records, record::BatchRecords::open(batch));
    record::RecordView record;
    while (records.next(record)) {
        if (record.offset_delta <= last_delta || record.offset_delta > batch.last_offset_delta()) {
            return {Errc::Corrupt, "record offsets do not rise within their batch"};
        }
        last_delta = record.offset_delta;
        ++outcome.records_read;
        const bool kept =
            !verdict.drop_records && (batch.is_control() || keeps(batch, record, outcome));
        kept_.push_back(kept);
        if (!kept) continue;
        ++outcome.records_kept;
        if (!record.value) tombstones = true;
    }
    if (records.end_reason() != record::RecordsEnd::Complete) {
        return {Errc::Corrupt, "records do not decode"};
    }
    if (outcome.records_kept == 0) {
        if (verdict.fate == Fate::KeepEmpty) make_empty(batch, outcome);
        return {};
    }
    const bool set_horizon =
        (tombstones || verdict.marker_without_data) && !batch.has_delete_horizon();
    if (outcome.records_kept == outcome.records_read && !set_horizon) {
        outcome.kept = batch.bytes();
        return {};
    }
    std::optional<WallMs> horizon;
    if (set_horizon) {
        horizon = saturating_plus(rules_.now, rules_.delete_retention_ms);
    } else if (batch.has_delete_horizon()) {
        horizon = batch.base_timestamp();
    }
    return rebuild(batch, horizon, outcome);
}

Status CleanerFilter::rebuild(const record::BatchView& batch, std::optional<WallMs> horizon,
                              Outcome& outcome) {
    record::BatchOptions options = options_like(batch);
    options.delete_horizon = horizon;
    builder_.start(options);
    MILLRACE_TRY_ASSIGN(record::BatchRecords records, record::BatchRecords::open(batch));
    record::RecordView record;
    for (size_t i = 0; records.next(record); ++i) {
        if (!kept_[i]) continue;
        builder_.append_copy(record.offset_delta, record::record_timestamp(batch, record), record);
    }
    if (builder_.uncompressed_bytes() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
        return {Errc::LimitExceeded, "a cleaned batch exceeds 2 GiB"};
    }
    outcome.rebuilt = builder_.finish(batch.last_offset_delta());
    outcome.kept = outcome.rebuilt.view();
    return {};
}

void CleanerFilter::make_empty(const record::BatchView& batch, Outcome& outcome) {
    record::BatchOptions options = options_like(batch);
    options.compression = record::CompressionType::None;
    builder_.start(options);
    outcome.rebuilt = builder_.finish(batch.last_offset_delta(), batch.max_timestamp());
    outcome.kept = outcome.rebuilt.view();
}

}  // namespace millrace::storage
