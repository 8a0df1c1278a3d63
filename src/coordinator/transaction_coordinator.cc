// src/coordinator/transaction_coordinator.cc: commands on transactional ids, checked in Kafka's
// order.
#include "millrace/coordinator/transaction_coordinator.h"

#include <algorithm>
#include <utility>

namespace millrace::coordinator {

namespace {
/// The commit of a transition may take as long as its partition's leadership lasts: who gave up
/// waiting could not be told later what became of the markers.
constexpr Duration kNoCommitTimeout = milliseconds(INT64_MAX);

TxnResponse failed(ErrorCode error) {
    TxnResponse response;
    response.error = error;
    return response;
}
/// The next epoch, or the same one again for a client whose answer was lost. False: fenced.
bool next_epoch(const Transaction& txn, const Producer& expected, int32_t timeout_ms, WallMs now,
                Transaction& next) {
    const int raise = txn.producer_epoch.value < kProducerEpochMax ? 1 : 0;
    const ProducerEpoch bumped(static_cast<int16_t>(txn.producer_epoch.value + raise));
    if (!expected.transactional()) {
        next = with_next_epoch(txn, bumped, kNoProducerEpoch, timeout_ms, now);
    } else if (txn.producer_epoch == kNoProducerEpoch || expected.epoch == txn.producer_epoch) {
        next = with_next_epoch(txn, bumped, txn.producer_epoch, timeout_ms, now);
    } else if (expected.epoch == txn.last_producer_epoch) {
        next = with_next_epoch(txn, txn.producer_epoch, txn.last_producer_epoch, timeout_ms, now);
    } else {
        return false;
    }
    return true;
}
}  // namespace

TransactionCoordinator::TransactionCoordinator(TxnOptions options)
    : options_(options), core_(CoordinatorOptions{kNoCommitTimeout, kBatchBytesMax}) {}

void TransactionCoordinator::reply(RequestId id, TxnResponse response,
                                   CoordinatorOutput<TxnResponse>& out) const {
    if (id != kNobody) out.replies.push_back({id, std::move(response)});
}

void TransactionCoordinator::need_id(NeedsId command, Output& out) {
    const ProducerIdTicket ticket = next_ticket_++;
    needs_id_.emplace(ticket, std::move(command));
    out.producer_ids.push_back(ticket);
}

void TransactionCoordinator::on_producer_id(const Tick& tick, ProducerIdTicket ticket,
                                            ErrorCode error, ProducerId fresh, Output& out) {
    auto found = needs_id_.extract(ticket);
    if (found.empty()) return;  // answered when the leadership ended
    NeedsId& waiting = found.mapped();
    if (auto* init = std::get_if<std::pair<RequestId, InitProducerIdCommand>>(&waiting)) {
        if (error != ErrorCode::None) {
            reply(init->first, failed(error), out);
        } else {
            init_with(tick, init->first, std::move(init->second), fresh, out);
        }
    } else {
        auto& end = std::get<std::pair<RequestId, End>>(waiting);
        if (error != ErrorCode::None) {
            reply(end.first, failed(error), out);
        } else {
            end_with(tick, end.first, std::move(end.second), fresh, out);
        }
    }
    finish(tick, out);
}

void TransactionCoordinator::write(
    const Tick& tick, const std::string& id, Transaction next,
    MoveFunction<void(const Tick&, ErrorCode, CoordinatorOutput<TxnResponse>&)> then, Output& out) {
    Entry& entry = entries_.at(id);
    const int16_t log_version = options_.transaction_version >= 1 ? 1 : 0;
    std::optional<CoordinatorRecord> record = transaction_record(id, next, log_version);
    if (!record) return then(tick, ErrorCode::UnknownServerError, out);
    entry.pending = next.state;
    std::vector<CoordinatorRecord> records;
    records.push_back(std::move(*record));
    core_.write(
        tick, std::move(records),
        [this, id, next = std::move(next), then = std::move(then)](
            const Tick& later, ErrorCode error, CoordinatorOutput<TxnResponse>& output) mutable {
            Entry& written = entries_.at(id);
            written.pending.reset();
            if (error == ErrorCode::None) {
                written.txn = std::make_shared<const Transaction>(std::move(next));
                written.failed_epoch_fence = false;
            }
            then(later, error, output);
        },
        out);
}

// --- InitProducerId

ErrorCode TransactionCoordinator::check_init(const InitProducerIdCommand& command) const {
    if (command.transactional_id.empty()) return ErrorCode::InvalidRequest;
    if (command.enable_two_phase && !options_.two_phase_commit) {
        return ErrorCode::TransactionalIdAuthorizationFailed;
    }
    if (command.keep_prepared) return ErrorCode::UnsupportedVersion;
    const bool two_phase = command.enable_two_phase;
    if (!two_phase && (command.timeout_ms <= 0 || command.timeout_ms > options_.timeout_max_ms)) {
        return ErrorCode::InvalidTransactionTimeout;
    }
    return core_.not_ready();
}

void TransactionCoordinator::init_producer_id(const Tick& tick, RequestId id,
                                              InitProducerIdCommand command, Output& out) {
    init_with(tick, id, std::move(command), std::nullopt, out);
    finish(tick, out);
}

void TransactionCoordinator::init_with(const Tick& tick, RequestId id,
                                       InitProducerIdCommand command,
                                       std::optional<ProducerId> fresh, Output& out) {
    if (const ErrorCode error = check_init(command); error != ErrorCode::None) {
        return reply(id, failed(error), out);
    }
    auto found = entries_.find(command.transactional_id);
    const int32_t timeout =
        command.enable_two_phase ? std::numeric_limits<int32_t>::max() : command.timeout_ms;
    if (found == entries_.end()) {
        if (!fresh) return need_id(std::make_pair(id, std::move(command)), out);
        auto created = std::make_shared<Transaction>();
        created->producer_id = *fresh;
        created->timeout_ms = timeout;
        created->last_update = tick.wall;
        found = entries_.emplace(command.transactional_id, Entry{}).first;
        found->second.txn = std::move(created);
    }
    const Entry& entry = found->second;
    const Transaction& txn = *entry.txn;
    if (entry.pending) return reply(id, failed(ErrorCode::ConcurrentTransactions), out);

    const ProducerEpoch expected = command.expected.epoch;
    const bool expects = command.expected.transactional();
    // The answer to a rotation was lost: the client still names the old id with its last epoch.
    const bool rotation_lost =
        expects && command.expected.id == txn.previous_producer_id && epoch_exhausted(expected);
    if (expects && txn.producer_epoch != kNoProducerEpoch &&
        command.expected.id != txn.producer_id && !rotation_lost) {
        return reply(id, failed(ErrorCode::ProducerFenced), out);
    }
    if (txn.state == TxnState::PrepareCommit || txn.state == TxnState::PrepareAbort) {
        return reply(id, failed(ErrorCode::ConcurrentTransactions), out);
    }
    if (txn.state == TxnState::Ongoing) {
        End fence{command.transactional_id,
                  {txn.producer_id, txn.producer_epoch},
                  false,
                  options_.transaction_version,
                  true,
                  true};
        return end_with(tick, id, std::move(fence), fresh, out);
    }
    Transaction next;
    if (epoch_exhausted(txn.producer_epoch) && (!expects || expected == txn.producer_epoch)) {
        if (!fresh) return need_id(std::make_pair(id, std::move(command)), out);
        next = with_new_producer_id(txn, *fresh, expects ? txn.producer_epoch : kNoProducerEpoch,
                                    timeout, tick.wall);
    } else if (!next_epoch(txn, command.expected, timeout, tick.wall, next)) {
        return reply(id, failed(ErrorCode::ProducerFenced), out);
    }
    const Producer answer{next.producer_id, next.producer_epoch};
    write(
        tick, command.transactional_id, std::move(next),
        [this, id, answer](const Tick&, ErrorCode error, CoordinatorOutput<TxnResponse>& output) {
            TxnResponse response = failed(error);
            if (error == ErrorCode::None) response.producer = answer;
            reply(id, std::move(response), output);
        },
        out);
}

// --- AddPartitionsToTxn

void TransactionCoordinator::add_partitions(const Tick& tick, RequestId id,
                                            const AddPartitionsCommand& command, Output& out) {
    const auto answer = [&](ErrorCode error) {
        reply(id, failed(error), out);
        finish(tick, out);
    };
    if (command.transactional_id.empty()) return answer(ErrorCode::InvalidRequest);
    if (core_.not_ready() != ErrorCode::None) return answer(core_.not_ready());
    const auto found = entries_.find(command.transactional_id);
    if (found == entries_.end()) return answer(ErrorCode::InvalidProducerIdMapping);
    const Entry& entry = found->second;
    const Transaction& txn = *entry.txn;
    if (entry.pending && !command.verify_only) return answer(ErrorCode::ConcurrentTransactions);
    if (txn.producer_id != command.producer.id) return answer(ErrorCode::InvalidProducerIdMapping);
    if (txn.producer_epoch != command.producer.epoch) return answer(ErrorCode::ProducerFenced);
    if (txn.state == TxnState::PrepareCommit || txn.state == TxnState::PrepareAbort) {
        return answer(ErrorCode::ConcurrentTransactions);
    }
    if (command.verify_only) {
        TxnResponse response;
        for (const TopicPartition& partition : command.partitions) {
            response.partitions[partition] = txn.partitions.contains(partition)
                                                 ? ErrorCode::None
                                                 : ErrorCode::TransactionAbortable;
        }
        reply(id, std::move(response), out);
        return finish(tick, out);
    }
    const bool known = txn.state == TxnState::Ongoing &&
                       std::includes(txn.partitions.begin(), txn.partitions.end(),
                                     command.partitions.begin(), command.partitions.end());
    auto answer_when_committed = [this, id](const Tick&, ErrorCode error,
                                            CoordinatorOutput<TxnResponse>& output) {
        reply(id, failed(error), output);
    };
    if (known) {  // perhaps by a record that was loaded and is not committed yet
        core_.park(tick, std::move(answer_when_committed), out);
    } else {
        write(tick, command.transactional_id,
              with_partitions(txn, command.partitions, command.client_version, tick.wall),
              std::move(answer_when_committed), out);
    }
    finish(tick, out);
}

// --- EndTxn

void TransactionCoordinator::end_transaction(const Tick& tick, RequestId id,
                                             const EndTxnCommand& command, Output& out) {
    if (command.transactional_id.empty()) {
        reply(id, failed(ErrorCode::InvalidRequest), out);
    } else if (core_.not_ready() != ErrorCode::None) {
        reply(id, failed(core_.not_ready()), out);
    } else {
        end_with(
            tick, id,
            {command.transactional_id, command.producer, command.commit, command.client_version},
            std::nullopt, out);
    }
    finish(tick, out);
}

/// transaction.version 0 and 1: the epoch stays, a repeated end is told by the state.
TransactionCoordinator::Verdict TransactionCoordinator::judge_end_old(const Entry& entry,
                                                                      const End& end) const {
    const Transaction& txn = *entry.txn;
    if (txn.producer_id != end.producer.id) return {ErrorCode::InvalidProducerIdMapping};
    if (end.fence ? end.producer.epoch < txn.producer_epoch
                  : end.producer.epoch != txn.producer_epoch) {
        return {ErrorCode::ProducerFenced};
    }
    if (entry.pending) return {ErrorCode::ConcurrentTransactions};
    switch (txn.state) {
        case TxnState::Ongoing: return {};
        case TxnState::CompleteCommit:
            return end.commit ? Verdict{ErrorCode::None, true}
                              : Verdict{ErrorCode::InvalidTxnState};
        case TxnState::CompleteAbort:
            return end.commit ? Verdict{ErrorCode::InvalidTxnState}
                              : Verdict{ErrorCode::None, true};
        case TxnState::PrepareCommit:
            return {end.commit ? ErrorCode::ConcurrentTransactions : ErrorCode::InvalidTxnState};
        case TxnState::PrepareAbort:
            return {end.commit ? ErrorCode::InvalidTxnState : ErrorCode::ConcurrentTransactions};
        case TxnState::Empty:
        case TxnState::Dead:
        case TxnState::PrepareEpochFence: return {ErrorCode::InvalidTxnState};
    }
    MILLRACE_UNREACHABLE("every state is judged");
}

/// transaction.version 2: the epoch tells a repeated end from the next one.
TransactionCoordinator::Verdict TransactionCoordinator::judge_end(const Entry& entry,
                                                                  const End& end) const {
    const Transaction& txn = *entry.txn;
    const ProducerEpoch epoch = end.producer.epoch;
    const bool bumped = !end.fence && txn.producer_epoch.value == epoch.value + 1;
    const bool rotated = !end.fence && txn.previous_producer_id == end.producer.id &&
                         epoch.value == kProducerEpochMax - 1 && txn.producer_epoch.value == 0;
    if (entry.pending) return {ErrorCode::ConcurrentTransactions};
    if (txn.producer_id != end.producer.id && !rotated) {
        return {ErrorCode::InvalidProducerIdMapping};
    }
    const bool equal = epoch == txn.producer_epoch;
    const bool retried = bumped || rotated;
    switch (txn.state) {
        case TxnState::Ongoing:
            return {equal || (end.fence && epoch >= txn.producer_epoch)
                        ? ErrorCode::None
                        : ErrorCode::ProducerFenced};
        case TxnState::Empty:
            if (!equal) return {ErrorCode::ProducerFenced};
            return {end.commit ? ErrorCode::InvalidTxnState : ErrorCode::None};
        case TxnState::PrepareCommit:
        case TxnState::PrepareAbort: {
            if (!bumped) return {ErrorCode::ProducerFenced};
            const bool same = end.commit == (txn.state == TxnState::PrepareCommit);
            return {same ? ErrorCode::ConcurrentTransactions : ErrorCode::InvalidTxnState};
        }
        case TxnState::CompleteCommit:
        case TxnState::CompleteAbort: {
            if (!equal && !retried) return {ErrorCode::ProducerFenced};
            const bool same = end.commit == (txn.state == TxnState::CompleteCommit);
            if (retried) {
                return same ? Verdict{ErrorCode::None, true} : Verdict{ErrorCode::InvalidTxnState};
            }
            // Nothing is open: an abort makes sure of a fresh epoch, a commit is a mistake.
            return {end.commit ? ErrorCode::InvalidTxnState : ErrorCode::None};
        }
        case TxnState::Dead:
        case TxnState::PrepareEpochFence: return {ErrorCode::InvalidTxnState};
    }
    MILLRACE_UNREACHABLE("every state is judged");
}

void TransactionCoordinator::end_with(const Tick& tick, RequestId id, End end,
                                      std::optional<ProducerId> fresh, Output& out) {
    const auto found = entries_.find(end.transactional_id);
    if (found == entries_.end()) {
        return reply(id, failed(ErrorCode::InvalidProducerIdMapping), out);
    }
    Entry& entry = found->second;
    const bool epoch_bump = end.version >= kEpochBumpVersion;
    const Verdict verdict = epoch_bump ? judge_end(entry, end) : judge_end_old(entry, end);
    if (verdict.error != ErrorCode::None || verdict.retried) {
        TxnResponse response = failed(verdict.error);
        if (verdict.retried && epoch_bump) {
            response.producer = {entry.txn->producer_id, entry.txn->producer_epoch};
        }
        return reply(id, std::move(response), out);
    }
    Transaction from = *entry.txn;
    ProducerId next_id = kNoProducerId;
    if (epoch_bump && epoch_exhausted(from.producer_epoch)) {
        if (!fresh) return need_id(std::make_pair(id, std::move(end)), out);
        next_id = *fresh;
    }
    const bool raises = end.fence && !epoch_bump;
    if (raises && !entry.failed_epoch_fence) {
        if (from.producer_epoch.value == kProducerEpochMax) {  // no client was ever given it
            return reply(id, failed(ErrorCode::UnknownServerError), out);
        }
        from.producer_epoch = ProducerEpoch(static_cast<int16_t>(from.producer_epoch.value + 1));
        from.last_producer_epoch = kNoProducerEpoch;
        // In force at once: the fenced producer must not get through while the record is on its
        // way.
        entry.txn = std::make_shared<const Transaction>(from);
    }
    Transaction next = prepared(from, end.commit ? TxnState::PrepareCommit : TxnState::PrepareAbort,
                                end.version, next_id, tick.wall);
    TxnResponse answer;
    if (end.answer_concurrent) {
        answer.error = ErrorCode::ConcurrentTransactions;
    } else if (epoch_bump) {
        answer.producer = next_id != kNoProducerId
                              ? Producer{next_id, ProducerEpoch(0)}
                              : Producer{next.producer_id, next.producer_epoch};
    }
    write(
        tick, end.transactional_id, std::move(next),
        [this, id, raises, answer = std::move(answer), name = end.transactional_id](
            const Tick& later, ErrorCode error, CoordinatorOutput<TxnResponse>& output) mutable {
            if (error != ErrorCode::None) {
                entries_.at(name).failed_epoch_fence = raises;
                return reply(id, failed(error), output);
            }
            reply(id, std::move(answer), output);
            on_prepared(later, name);
        },
        out);
}

}  // namespace millrace::coordinator
