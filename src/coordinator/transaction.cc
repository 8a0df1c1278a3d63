// src/coordinator/transaction.cc: legal states, next versions and records of a transaction.
#include "millrace/coordinator/transaction.h"

#include <array>
#include <map>
#include <utility>

#include "millrace/base/log.h"
#include "millrace/wire/gen/transaction_log_key.h"
#include "millrace/wire/gen/transaction_log_value.h"
#include "millrace/wire/record_frame.h"

namespace millrace::coordinator {

namespace {
constexpr LogChannel kLog{"transactions"};

constexpr std::array<const char*, kTxnStateCount> kNames = {
    "Empty",          "Ongoing",       "PrepareCommit", "PrepareAbort",
    "CompleteCommit", "CompleteAbort", "Dead",          "PrepareEpochFence",
};

constexpr uint8_t bit(TxnState state) {
    return static_cast<uint8_t>(1U << static_cast<unsigned>(state));
}
constexpr uint8_t kIdle =
    bit(TxnState::Empty) | bit(TxnState::CompleteCommit) | bit(TxnState::CompleteAbort);

/// From where a state may be entered, by its number.
constexpr std::array<uint8_t, kTxnStateCount> kLegalFrom = {
    kIdle,                                                 // Empty
    static_cast<uint8_t>(kIdle | bit(TxnState::Ongoing)),  // Ongoing
    bit(TxnState::Ongoing),                                // PrepareCommit
    static_cast<uint8_t>(bit(TxnState::Ongoing) | bit(TxnState::PrepareEpochFence)),
    bit(TxnState::PrepareCommit),  // CompleteCommit
    bit(TxnState::PrepareAbort),   // CompleteAbort
    kIdle,                         // Dead
    bit(TxnState::Ongoing),        // PrepareEpochFence
};

Transaction moved(const Transaction& from, TxnState to, bool epoch_bump, WallMs now) {
    MILLRACE_ASSERT(legal_transition(from.state, to, epoch_bump), "only legal transitions");
    Transaction next = from;
    next.state = to;
    next.previous_producer_id = from.producer_id;
    next.next_producer_id = kNoProducerId;
    next.last_update = now;
    return next;
}

Status malformed(const char* what, const wire::Reader& reader) {
    return Status(Errc::Corrupt, std::string("transaction ") + what + ": " + reader.error_text());
}

}  // namespace

const char* txn_state_name(TxnState state) { return kNames[static_cast<size_t>(state)]; }

std::optional<TxnState> txn_state_from_name(std::string_view name) {
    for (size_t i = 0; i < kNames.size(); ++i) {
        if (name == kNames[i]) return static_cast<TxnState>(i);
    }
    return std::nullopt;
}

bool legal_transition(TxnState from, TxnState to, bool epoch_bump) {
    uint8_t legal = kLegalFrom[static_cast<size_t>(to)];
    if (epoch_bump && to == TxnState::PrepareAbort) legal |= kIdle;
    return (legal & bit(from)) != 0;
}

Transaction with_next_epoch(const Transaction& from, ProducerEpoch epoch, ProducerEpoch last_epoch,
                            int32_t timeout_ms, WallMs now) {
    MILLRACE_ASSERT(epoch >= from.producer_epoch, "epochs do not go back");
    Transaction next = moved(from, TxnState::Empty, false, now);
    next.producer_epoch = epoch;
    next.last_producer_epoch = last_epoch;
    next.timeout_ms = timeout_ms;
    next.partitions.clear();
    next.start = kNoTimestamp;
    return next;
}

Transaction with_new_producer_id(const Transaction& from, ProducerId fresh,
                                 ProducerEpoch last_epoch, int32_t timeout_ms, WallMs now) {
    MILLRACE_ASSERT(fresh != kNoProducerId, "a rotation has an id to go to");
    Transaction next = moved(from, TxnState::Empty, false, now);
    next.producer_id = fresh;
    next.producer_epoch = ProducerEpoch(0);
    next.last_producer_epoch = last_epoch;
    next.timeout_ms = timeout_ms;
    next.partitions.clear();
    next.start = kNoTimestamp;
    return next;
}

Transaction with_partitions(const Transaction& from, const std::set<TopicPartition>& added,
                            int16_t client_version, WallMs now) {
    Transaction next = moved(from, TxnState::Ongoing, false, now);
    if (from.state != TxnState::Ongoing) next.start = now;
    next.partitions.insert(added.begin(), added.end());
    next.client_version = client_version;
    return next;
}

Transaction prepared(const Transaction& from, TxnState to, int16_t version, ProducerId fresh,
                     WallMs now) {
    const bool epoch_bump = version >= kEpochBumpVersion;
    Transaction next = moved(from, to, epoch_bump, now);
    next.client_version = version;
    if (epoch_bump) {
        // 32767 is here only where a rotation failed once; it cannot be raised (KAFKA-20090).
        if (from.producer_epoch.value < kProducerEpochMax) {
            next.producer_epoch =
                ProducerEpoch(static_cast<int16_t>(from.producer_epoch.value + 1));
        }
        next.last_producer_epoch = from.producer_epoch;
        next.next_producer_id = fresh;
    }
    if (from.state != TxnState::Ongoing) next.start = now;
    return next;
}

Transaction completed(const Transaction& from, WallMs now) {
    const TxnState to =
        from.state == TxnState::PrepareCommit ? TxnState::CompleteCommit : TxnState::CompleteAbort;
    Transaction next = moved(from, to, false, now);
    if (from.client_version >= kEpochBumpVersion && from.next_producer_id != kNoProducerId) {
        next.producer_id = from.next_producer_id;
        next.producer_epoch = ProducerEpoch(0);
    }
    next.partitions.clear();
    return next;
}

std::optional<CoordinatorRecord> transaction_record(const std::string& transactional_id,
                                                    const Transaction& txn, int16_t log_version) {
    wire::TransactionLogValue value;
    value.producer_id = txn.producer_id.value;
    value.previous_producer_id = log_version >= 1 ? txn.previous_producer_id.value : -1;
    value.next_producer_id = log_version >= 1 ? txn.next_producer_id.value : -1;
    value.producer_epoch = txn.producer_epoch.value;
    value.transaction_timeout_ms = txn.timeout_ms;
    value.transaction_status = static_cast<int8_t>(txn.state);
    value.transaction_last_update_timestamp_ms = txn.last_update.value;
    value.transaction_start_timestamp_ms = txn.start.value;
    value.client_transaction_version = txn.client_version;
    if (txn.state == TxnState::Empty) {
        value.transaction_partitions.reset();
    } else {
        auto& topics = *value.transaction_partitions;
        for (const TopicPartition& partition : txn.partitions) {
            if (topics.empty() || topics.back().topic != partition.topic) {
                topics.emplace_back().topic = partition.topic;
            }
            topics.back().partition_ids.push_back(partition.partition.value);
        }
    }
    CoordinatorRecord record = transaction_tombstone(transactional_id);
    wire::Writer writer;
    wire::encode_coordinator_value(writer, value, log_version);
    if (!writer.ok()) return std::nullopt;
    record.value = writer.finish_flat();
    return record;
}

CoordinatorRecord transaction_tombstone(const std::string& transactional_id) {
    wire::TransactionLogKey key;
    key.transactional_id = transactional_id;
    wire::Writer writer;
    wire::encode_coordinator_key(writer, key);
    return {writer.finish_flat(), std::nullopt};
}

Status TransactionTable::replay(const ReplayedRecord& record) {
    wire::Reader key_reader(record.key);
    const int16_t type = key_reader.i16();
    if (!key_reader.ok()) return malformed("key", key_reader);
    if (type != wire::TransactionLogKey::kRecordType) {
        log_warn(kLog, "record of unknown type {} at offset {} is left out", type,
                 record.offset.value);
        return {};
    }
    wire::TransactionLogKey key;
    if (!key.decode(key_reader, 0)) return malformed("key", key_reader);
    if (!record.value) {
        by_id.erase(key.transactional_id);
        return {};
    }
    wire::Reader reader(*record.value);
    const int16_t version = reader.i16();
    if (reader.ok() && (version < wire::TransactionLogValue::kMinVersion ||
                        version > wire::TransactionLogValue::kMaxVersion)) {
        log_warn(kLog, "value of unknown version {} at offset {} is left out", version,
                 record.offset.value);
        return {};
    }
    wire::TransactionLogValue value;
    if (!reader.ok() || !value.decode(reader, version)) return malformed("value", reader);
    if (value.transaction_status < 0 || value.transaction_status > 5) {
        return Status(Errc::Corrupt, "transaction value: status out of range");
    }
    auto txn = std::make_shared<Transaction>();
    txn->producer_id = ProducerId(value.producer_id);
    txn->previous_producer_id = ProducerId(value.previous_producer_id);
    txn->next_producer_id = ProducerId(value.next_producer_id);
    txn->producer_epoch = ProducerEpoch(value.producer_epoch);
    txn->timeout_ms = value.transaction_timeout_ms;
    txn->state = static_cast<TxnState>(value.transaction_status);
    txn->last_update = WallMs{value.transaction_last_update_timestamp_ms};
    txn->start = WallMs{value.transaction_start_timestamp_ms};
    txn->client_version = value.client_transaction_version;
    if (value.transaction_partitions) {
        for (const auto& topic : *value.transaction_partitions) {
            for (const int32_t index : topic.partition_ids) {
                txn->partitions.insert({topic.topic, PartitionIndex(index)});
            }
        }
    }
    by_id.set(key.transactional_id, std::move(txn));
    return {};
}

}  // namespace millrace::coordinator
