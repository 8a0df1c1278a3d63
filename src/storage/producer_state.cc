// src/storage/producer_state.cc: idempotence windows, open transactions, last stable offset.
#include "storage/producer_state.h"

#include <algorithm>
#include <limits>

#include "storage/retention.h"

namespace millrace::storage {
namespace {

/// Producer epochs end here; the marker that fences the last epoch carries it.
constexpr int16_t kLastProducerEpoch = std::numeric_limits<int16_t>::max();

bool in_sequence(int32_t last, int32_t next) {
    return last == std::numeric_limits<int32_t>::max() ? next == 0 : next == last + 1;
}

}  // namespace

int32_t ProducerBatch::first_sequence() const {
    if (last_sequence < 0) return record::kNoSequence;
    const int64_t first = int64_t{last_sequence} - offset_delta;
    return static_cast<int32_t>(first >= 0 ? first : first + (int64_t{1} << 31));
}

void ProducerEntry::move_to_epoch(ProducerEpoch newer) {
    if (newer == epoch) return;
    batch_count = 0;
    epoch = newer;
}

void ProducerEntry::add_batch(const ProducerBatch& batch) {
    if (batch_count == kBatchesMax) {
        std::move(batches.begin() + 1, batches.end(), batches.begin());
        --batch_count;
    }
    batches[batch_count++] = batch;
    last_timestamp = batch.timestamp;
}

bool ProducerState::guard_missing(const CheckInput& input) const {
    if (!input.verification_enabled) return false;
    const auto known = verifications_.find(input.batch.producer_id());
    return known == verifications_.end() || input.guard.id == 0 ||
           known->second.guard != input.guard.id;
}

ErrorCode ProducerState::check_epoch(const ProducerEntry& known, const CheckInput& input) const {
    if (input.source == Source::Replication) return ErrorCode::None;
    const ProducerEpoch epoch = input.batch.producer_epoch();
    if (epoch < known.epoch) return ErrorCode::InvalidProducerEpoch;
    // Transaction version 2: a marker carries the epoch after the transaction's own. The same one
    // again is a repeated marker (nothing open), or the last epoch there is (KAFKA-19999).
    if (input.batch.is_control() && input.transaction_version >= 2 && epoch == known.epoch &&
        known.has_transaction() && epoch.value != kLastProducerEpoch) {
        return ErrorCode::InvalidProducerEpoch;
    }
    return ErrorCode::None;
}

ErrorCode ProducerState::check_sequence(ProducerId id, const ProducerEntry& known,
                                        const record::BatchView& batch) const {
    constexpr ErrorCode kRefused = ErrorCode::OutOfOrderSequenceNumber;
    const int32_t first = batch.base_sequence();
    const bool nothing_known = known.epoch == kNoProducerEpoch;
    const auto pending = verifications_.find(id);
    if (pending != verifications_.end()) {
        const Verification& verification = pending->second;
        if (verification.supports_epoch_bump && first != 0 && nothing_known) return kRefused;
        if (verification.epoch == batch.producer_epoch() && first > verification.lowest_sequence) {
            return kRefused;
        }
    }
    if (nothing_known) return ErrorCode::None;
    if (batch.producer_epoch() != known.epoch) return first == 0 ? ErrorCode::None : kRefused;
    return in_sequence(known.last_sequence(), first) ? ErrorCode::None : kRefused;
}

void ProducerState::check_marker(const CheckInput& input, const ProducerEntry& known,
                                 ProducerChange& change) const {
    const record::BatchView& batch = input.batch;
    change.is_marker = true;
    if (input.source != Source::Replication &&
        known.coordinator_epoch > input.marker->coordinator_epoch.value) {
        change.error = ErrorCode::TransactionCoordinatorFenced;
        return;
    }
    if (known.has_transaction()) {
        change.completes = CompletedTransaction{change.producer_id, known.current_txn_first_offset,
                                                batch.last_offset(), !input.marker->commit};
    }
    change.entry.move_to_epoch(batch.producer_epoch());
    change.entry.current_txn_first_offset = kNoOffset;
    change.entry.coordinator_epoch = input.marker->coordinator_epoch.value;
    change.entry.last_timestamp = batch.max_timestamp();
}

void ProducerState::check_data(const CheckInput& input, const ProducerEntry& known,
                               ProducerChange& change) const {
    const record::BatchView& batch = input.batch;
    change.is_transactional = batch.is_transactional();
    if (input.source == Source::Client) {
        change.error = check_sequence(change.producer_id, known, batch);
        if (change.error != ErrorCode::None) return;
    }
    change.entry.move_to_epoch(batch.producer_epoch());
    change.entry.add_batch({batch.last_sequence(), batch.last_offset_delta(), batch.last_offset(),
                            batch.max_timestamp()});
    if (known.has_transaction() && !batch.is_transactional()) {
        if (input.source != Source::Replication) change.error = ErrorCode::InvalidTxnState;
        return;
    }
    if (batch.is_transactional() && !known.has_transaction()) {
        change.begins_transaction = batch.base_offset();
        change.entry.current_txn_first_offset = batch.base_offset();
    }
}

ProducerChange ProducerState::check(const CheckInput& input) const {
    const record::BatchView& batch = input.batch;
    MILLRACE_ASSERT(batch.has_producer_id(), "only batches of a producer are checked");
    ProducerChange change;
    change.producer_id = batch.producer_id();
    const ProducerEntry* found = find(change.producer_id);
    const ProducerEntry known = found != nullptr ? *found : ProducerEntry{};
    change.entry = known;
    if (input.source == Source::Client && !batch.is_control() &&
        batch.producer_epoch() == known.epoch) {
        for (size_t i = 0; i < known.batch_count; ++i) {
            const ProducerBatch& old = known.batches[i];
            if (old.last_sequence == batch.last_sequence() &&
                old.first_sequence() == batch.base_sequence()) {
                change.duplicate = old;
                return change;
            }
        }
    }
    if (input.source != Source::Replication && batch.is_transactional() && !batch.is_control() &&
        !has_ongoing_transaction(change.producer_id, batch.producer_epoch())) {
        if (batch.producer_epoch() < known.epoch) {
            change.error = ErrorCode::InvalidProducerEpoch;
        } else if (guard_missing(input)) {
            change.error = ErrorCode::InvalidTxnState;
        }
        if (change.error != ErrorCode::None) return change;
    }
    change.error = check_epoch(known, input);
    if (change.error != ErrorCode::None) return change;
    if (batch.is_control()) {
        if (input.marker) check_marker(input, known, change);
    } else {
        check_data(input, known, change);
    }
    return change;
}

void ProducerState::apply(const ProducerChange& change) {
    MILLRACE_ASSERT(change.error == ErrorCode::None, "a refused batch changes nothing");
    MILLRACE_ASSERT(!change.duplicate, "a duplicate changes nothing");
    producers_[change.producer_id] = change.entry;
    if (change.begins_transaction) {
        ongoing_[*change.begins_transaction] = {change.producer_id, kNoOffset};
    }
    if (change.completes) {
        ongoing_.erase(change.completes->first_offset);
        unreplicated_[change.completes->first_offset] = {change.producer_id,
                                                         change.completes->last_offset};
    }
    if (change.is_transactional || change.is_marker) {
        const auto pending = verifications_.find(change.producer_id);
        if (pending != verifications_.end()) {
            // A guard taken at the bumped epoch before the marker came belongs to what follows.
            const bool survives = change.is_marker && pending->second.supports_epoch_bump &&
                                  pending->second.epoch == change.entry.epoch;
            if (!survives) verifications_.erase(pending);
        }
    }
}

Offset ProducerState::stable_offset_after(const CompletedTransaction& done) const {
    for (const auto& [first, open] : ongoing_) {
        if (open.producer_id != done.producer_id) return first;
    }
    return done.last_offset + 1;
}

std::optional<Offset> ProducerState::first_unstable_offset() const {
    std::optional<Offset> first;
    if (!ongoing_.empty()) first = ongoing_.begin()->first;
    if (!unreplicated_.empty() && (!first || unreplicated_.begin()->first < *first)) {
        first = unreplicated_.begin()->first;
    }
    return first;
}

void ProducerState::on_high_watermark(Offset high_watermark) {
    std::erase_if(unreplicated_,
                  [&](const auto& item) { return item.second.last_offset < high_watermark; });
}

void ProducerState::on_log_start(Offset log_start) {
    std::erase_if(unreplicated_,
                  [&](const auto& item) { return item.second.last_offset < log_start; });
}

ProducerState::GuardOutcome ProducerState::start_verification(ProducerId id, ProducerEpoch epoch,
                                                              int32_t sequence,
                                                              bool supports_epoch_bump,
                                                              WallMs now) {
    GuardOutcome outcome;
    if (has_ongoing_transaction(id, epoch)) return outcome;
    if (const ProducerEntry* known = find(id); known != nullptr && epoch < known->epoch) {
        outcome.error = ErrorCode::InvalidProducerEpoch;
        return outcome;
    }
    const auto [at, made] = verifications_.try_emplace(id);
    Verification& verification = at->second;
    if (made) {
        verification = {next_guard_++, now, sequence, epoch, supports_epoch_bump};
    } else if (epoch > verification.epoch) {
        verification.epoch = epoch;
        verification.lowest_sequence = sequence;
    } else if (epoch == verification.epoch) {
        verification.lowest_sequence = std::min(verification.lowest_sequence, sequence);
    }
    outcome.guard = {verification.guard};
    return outcome;
}

bool ProducerState::has_ongoing_transaction(ProducerId id, ProducerEpoch epoch) const {
    const ProducerEntry* known = find(id);
    return known != nullptr && known->has_transaction() && known->epoch == epoch;
}

const ProducerEntry* ProducerState::find(ProducerId id) const {
    const auto at = producers_.find(id);
    return at == producers_.end() ? nullptr : &at->second;
}

bool ProducerState::expired(const ProducerEntry& entry, WallMs now, int64_t expiration_ms) {
    return !entry.has_transaction() && wrapping_minus(now, entry.last_timestamp) >= expiration_ms;
}

void ProducerState::expire(WallMs now, int64_t expiration_ms) {
    std::erase_if(producers_,
                  [&](const auto& item) { return expired(item.second, now, expiration_ms); });
    std::erase_if(verifications_, [&](const auto& item) {
        return now.value - item.second.created.value >= expiration_ms;
    });
}

void ProducerState::restore(ProducerId id, const ProducerEntry& entry) {
    producers_[id] = entry;
    if (entry.has_transaction()) ongoing_[entry.current_txn_first_offset] = {id, kNoOffset};
}

void ProducerState::clear() {
    producers_.clear();
    ongoing_.clear();
    unreplicated_.clear();
    verifications_.clear();
}

}  // namespace millrace::storage
