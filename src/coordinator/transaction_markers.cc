// src/coordinator/transaction_markers.cc: what follows a decision: markers, completion, sweeps,
// loading.
#include <algorithm>
#include <utility>

#include "millrace/base/log.h"
#include "millrace/coordinator/transaction_coordinator.h"

namespace millrace::coordinator {

namespace {
constexpr LogChannel kLog{"transactions"};
/// Until a marker or a completion that was refused is tried again: twice as long each time.
constexpr Duration kRetryDelayMin = milliseconds(50);
constexpr Duration kRetryDelayMax = milliseconds(500);
/// Tombstones of one batch, in bytes (Kafka's limit).
constexpr size_t kTombstoneBytesMax = 16'384;

bool decided(TxnState state) {
    return state == TxnState::PrepareCommit || state == TxnState::PrepareAbort;
}

TxnState completion_of(TxnState state) {
    return state == TxnState::PrepareCommit ? TxnState::CompleteCommit : TxnState::CompleteAbort;
}

Marker marker_of(const Transaction& txn, LeaderEpoch epoch) {
    return {{txn.producer_id, txn.producer_epoch},
            txn.state == TxnState::PrepareCommit,
            CoordinatorEpoch(epoch.value),
            txn.client_version};
}
}  // namespace

void TransactionCoordinator::on_prepared(const Tick&, const std::string& id) {
    Entry& entry = entries_.at(id);
    MILLRACE_ASSERT(decided(entry.txn->state), "markers follow a decision");
    entry.pending = completion_of(entry.txn->state);
    entry.unmarked = entry.txn->partitions;
    entry.marker_retry.clear();
    forget_retry(id);
    if (entry.unmarked.empty()) {
        to_complete_.push_back(id);
    } else {
        ask_markers(id, entry.unmarked);
    }
}

void TransactionCoordinator::ask_markers(const std::string& id,
                                         const std::set<TopicPartition>& partitions) {
    const Transaction& txn = *entries_.at(id).txn;
    markers_.push_back({id, marker_of(txn, epoch_), {partitions.begin(), partitions.end()}});
}

void TransactionCoordinator::on_marker(const Tick& tick, const std::string& transactional_id,
                                       const Marker& marker, const TopicPartition& partition,
                                       ErrorCode error, bool gone, Output& out) {
    const auto found = entries_.find(transactional_id);
    // Late news of an earlier transaction, or of an earlier leadership, changes nothing.
    const bool current = found != entries_.end() && core_.active() &&
                         decided(found->second.txn->state) &&
                         found->second.txn->producer_id == marker.producer.id &&
                         found->second.txn->producer_epoch == marker.producer.epoch &&
                         found->second.unmarked.contains(partition);
    if (!current) return finish(tick, out);
    Entry& entry = found->second;
    const bool fenced = error == ErrorCode::InvalidProducerEpoch ||
                        error == ErrorCode::TransactionCoordinatorFenced;
    const bool pointless =
        error == ErrorCode::UnsupportedForMessageFormat || error == ErrorCode::UnsupportedVersion;
    if (fenced && !gone) {
        log_warn(kLog, "{}: marker refused at {}: {}; a newer coordinator ends this transaction",
                 transactional_id, partition.to_string(), error_code_name(error));
        entry.unmarked.clear();
        entry.marker_retry.clear();
        forget_retry(transactional_id);
        return finish(tick, out);
    }
    if (error == ErrorCode::None || gone || pointless) {
        if (error != ErrorCode::None) {
            log_info(kLog, "{}: no marker for {}: {}", transactional_id, partition.to_string(),
                     gone ? "it does not exist any more" : error_code_name(error));
        }
        entry.unmarked.erase(partition);
        entry.marker_retry.erase(partition);
        if (entry.unmarked.empty()) {
            forget_retry(transactional_id);
            complete(tick, transactional_id, out);
        }
    } else {
        entry.marker_retry.insert(partition);
        arm_retry(tick, transactional_id);
    }
    finish(tick, out);
}

void TransactionCoordinator::complete(const Tick& tick, const std::string& id, Output& out) {
    Entry& entry = entries_.at(id);
    Transaction next = completed(*entry.txn, tick.wall);
    const Transaction written = next;
    write(
        tick, id, std::move(next),
        [this, id, written](const Tick& later, ErrorCode error,
                                  CoordinatorOutput<TxnResponse>&) {
            on_completed(id, written, error);
            if (entries_.at(id).completion_retry) {
                arm_retry(later, id);
            } else {
                forget_retry(id);
            }
        },
        out);
}

void TransactionCoordinator::on_completed(const std::string& id, const Transaction& next,
                                          ErrorCode error) {
    Entry& entry = entries_.at(id);
    entry.completion_retry = false;
    if (error == ErrorCode::None) return;
    // Still pending: nothing else may happen to the id before it is complete (KAFKA-5351).
    entry.pending = next.state;
    // With the leadership gone the next coordinator repeats markers and completion.
    if (error == ErrorCode::NotCoordinator || error == ErrorCode::CoordinatorLoadInProgress) return;
    log_warn(kLog, "{}: the completion of the transaction is not written yet: {}", id,
             error_code_name(error));
    entry.completion_retry = true;
}

void TransactionCoordinator::arm_retry(const Tick& tick, const std::string& id) {
    Retry& retry = retries_.try_emplace(id, Retry{Instant::never(), kRetryDelayMin}).first->second;
    if (retry.at != Instant::never()) return;
    retry.at = tick.now + retry.delay;
    retry.delay = std::min(retry.delay + retry.delay, kRetryDelayMax);
    retry_queue_.emplace(retry.at, id);
}

void TransactionCoordinator::forget_retry(const std::string& id) {
    const auto found = retries_.find(id);
    if (found == retries_.end()) return;
    retry_queue_.erase({found->second.at, id});
    retries_.erase(found);
}

void TransactionCoordinator::retry(const Tick& tick, Output& out) {
    std::vector<std::string> due;
    while (!retry_queue_.empty() && retry_queue_.begin()->first <= tick.now) {
        due.push_back(std::move(retry_queue_.extract(retry_queue_.begin()).value().second));
        retries_.at(due.back()).at = Instant::never();
    }
    for (const std::string& id : due) {
        Entry& entry = entries_.at(id);
        if (!entry.marker_retry.empty()) {
            ask_markers(id, std::exchange(entry.marker_retry, {}));
        }
        if (entry.completion_retry) complete(tick, id, out);
    }
}

void TransactionCoordinator::abort_timed_out(const Tick& tick, Output& out) {
    for (const auto& [id, entry] : entries_) {
        const Transaction& txn = *entry.txn;
        if (txn.state != TxnState::Ongoing || entry.pending || txn.two_phase()) continue;
        if (txn.start.value + txn.timeout_ms >= tick.wall.value) continue;
        log_info(kLog,
                 "{}: transaction of producer {} epoch {} is over its timeout of {} ms; "
                 "it is aborted",
                 id, txn.producer_id.value, txn.producer_epoch.value, txn.timeout_ms);
        end_with(
            tick, kNobody,
            {id, {txn.producer_id, txn.producer_epoch}, false, options_.transaction_version, true},
            std::nullopt, out);
    }
}

void TransactionCoordinator::expire(const Tick& tick, Output& out) {
    std::vector<CoordinatorRecord> records;
    std::vector<std::string> ids;
    size_t bytes = 0;
    const auto flush = [&] {
        if (ids.empty()) return;
        core_.write(
            tick, std::exchange(records, {}),
            [this, expired = std::exchange(ids, {})](const Tick&, ErrorCode error,
                                                     CoordinatorOutput<TxnResponse>&) {
                for (const std::string& id : expired) {
                    if (error == ErrorCode::None) {
                        entries_.erase(id);
                    } else {
                        entries_.at(id).pending.reset();
                    }
                }
            },
            out);
        bytes = 0;
    };
    for (auto& [id, entry] : entries_) {
        const Transaction& txn = *entry.txn;
        if (entry.pending || !legal_transition(txn.state, TxnState::Dead, false)) continue;
        if (txn.last_update.value + options_.id_expiration_ms > tick.wall.value) continue;
        CoordinatorRecord tombstone = transaction_tombstone(id);
        const size_t size = record_bytes_max(tombstone);
        if (bytes + size > kTombstoneBytesMax) flush();
        bytes += size;
        entry.pending = TxnState::Dead;
        records.push_back(std::move(tombstone));
        ids.push_back(id);
    }
    flush();
}

// --- CoordinatorMachine

void TransactionCoordinator::on_elected(const Tick& tick, LeaderEpoch epoch, Output& out) {
    epoch_ = epoch;
    core_.begin_loading();
    finish(tick, out);
}

Status TransactionCoordinator::on_load_batch(const Tick&, const LoadedBatch& batch,
                                             Offset high_watermark, Output&) {
    return core_.load(batch, high_watermark);
}

void TransactionCoordinator::on_loaded(const Tick& tick, Offset log_end, Offset high_watermark,
                                       Output& out) {
    core_.finish_loading(log_end, high_watermark);
    for (const auto& [id, txn] : core_.state().by_id)
        entries_[id].txn = txn;
    // A decision above the high watermark may be unknown to the next leader: markers wait for it.
    for (auto& [id, entry] : entries_) {
        if (!decided(entry.txn->state)) continue;
        entry.pending = completion_of(entry.txn->state);
        core_.park(
            tick,
            [this, name = id](const Tick& later, ErrorCode error, CoordinatorOutput<TxnResponse>&) {
                if (error == ErrorCode::None) on_prepared(later, name);
            },
            out);
    }
    next_abort_ = tick.now + options_.abort_interval;
    next_expire_ = tick.now + options_.expire_interval;
    finish(tick, out);
}

void TransactionCoordinator::on_load_failed(const Tick& tick, Output& out) {
    core_.fail_loading();
    finish(tick, out);
}

void TransactionCoordinator::on_high_watermark(const Tick& tick, Offset high_watermark,
                                               Output& out) {
    core_.on_high_watermark(tick, high_watermark, out);
    finish(tick, out);
}

void TransactionCoordinator::on_append_failed(const Tick& tick, Offset base, ErrorCode error,
                                              Output& out) {
    core_.on_append_failed(tick, base, error, out);
    finish(tick, out);
}

void TransactionCoordinator::on_resign(const Tick& tick, Output& out) {
    core_.resign(tick, out);
    for (auto& [ticket, waiting] : needs_id_) {
        const RequestId id = std::visit([](const auto& command) { return command.first; }, waiting);
        TxnResponse response;
        response.error = ErrorCode::NotCoordinator;
        reply(id, std::move(response), out);
    }
    needs_id_.clear();
    markers_.clear();
    to_complete_.clear();
    retries_.clear();
    retry_queue_.clear();
    next_abort_ = next_expire_ = Instant::never();
}

void TransactionCoordinator::on_tick(const Tick& tick, Output& out) {
    core_.on_tick(tick, out);
    if (core_.active()) {
        retry(tick, out);
        if (tick.now >= next_abort_) {
            next_abort_ = tick.now + options_.abort_interval;
            abort_timed_out(tick, out);
        }
        if (tick.now >= next_expire_) {
            next_expire_ = tick.now + options_.expire_interval;
            expire(tick, out);
        }
    }
    finish(tick, out);
}

void TransactionCoordinator::finish(const Tick& tick, Output& out) {
    // Completions may be refused at once and leave nothing behind; they never add to the list.
    const std::vector<std::string> ready = std::exchange(to_complete_, {});
    for (const std::string& id : ready)
        complete(tick, id, out);
    for (MarkersWanted& wanted : markers_)
        out.markers.push_back(std::move(wanted));
    markers_.clear();
    const Instant next_retry =
        retry_queue_.empty() ? Instant::never() : retry_queue_.begin()->first;
    out.wake_at = std::min({core_.wake_at(), next_abort_, next_expire_, next_retry});
}

}  // namespace millrace::coordinator
