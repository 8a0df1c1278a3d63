// include/millrace/coordinator/transaction.h: one transactional id, and which states may follow.
//
// What a record of __transaction_state says, decoded. The functions that make the next version of a
// transaction change nothing but the value they return; whether a request may ask for them is
// decided by TransactionCoordinator. Source: coordinators.md 6.2; Kafka's TransactionMetadata.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "millrace/base/ids.h"
#include "millrace/base/persistent_map.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/coordinator/coordinator.h"

namespace millrace::coordinator {

/// Numbers are those of the log; Dead and PrepareEpochFence never get there.
enum class TxnState : int8_t {
    Empty = 0,
    Ongoing = 1,
    PrepareCommit = 2,
    PrepareAbort = 3,
    CompleteCommit = 4,
    CompleteAbort = 5,
    Dead = 6,
    PrepareEpochFence = 7,
};
inline constexpr int kTxnStateCount = 8;

/// As ListTransactions spells it.
const char* txn_state_name(TxnState state);
std::optional<TxnState> txn_state_from_name(std::string_view name);
/// The table of legal moves. `epoch_bump`: transaction.version 2, which may abort when nothing is
/// open.
bool legal_transition(TxnState from, TxnState to, bool epoch_bump);

/// transaction.version from which every end of a transaction raises the epoch (KIP-890 part 2).
inline constexpr int16_t kEpochBumpVersion = 2;
inline constexpr int16_t kProducerEpochMax = std::numeric_limits<int16_t>::max();
/// The last epoch a client may have; the one above it fences.
inline bool epoch_exhausted(ProducerEpoch epoch) { return epoch.value >= kProducerEpochMax - 1; }

struct Transaction {
    ProducerId producer_id = kNoProducerId;
    ProducerId previous_producer_id = kNoProducerId;
    ProducerId next_producer_id = kNoProducerId;  // in force once the transaction is complete
    ProducerEpoch producer_epoch = kNoProducerEpoch;
    ProducerEpoch last_producer_epoch = kNoProducerEpoch;  // not in the log
    int32_t timeout_ms = 0;
    TxnState state = TxnState::Empty;
    std::set<TopicPartition> partitions;
    WallMs start = kNoTimestamp;
    WallMs last_update = kNoTimestamp;
    int16_t client_version = 0;  // transaction.version of whoever moved it last

    /// Prepared for ever (KIP-939): no timeout ends it.
    bool two_phase() const { return timeout_ms == std::numeric_limits<int32_t>::max(); }
    friend bool operator==(const Transaction&, const Transaction&) = default;
};

/// InitProducerId on a transaction that is not open: the epoch (or the id) moves on.
Transaction with_next_epoch(const Transaction& from, ProducerEpoch epoch, ProducerEpoch last_epoch,
                            int32_t timeout_ms, WallMs now);
Transaction with_new_producer_id(const Transaction& from, ProducerId fresh,
                                 ProducerEpoch last_epoch, int32_t timeout_ms, WallMs now);
Transaction with_partitions(const Transaction& from, const std::set<TopicPartition>& added,
                            int16_t client_version, WallMs now);
/// `fresh` is the producer id to go on with where the epoch has come to its end.
Transaction prepared(const Transaction& from, TxnState to, int16_t version, ProducerId fresh,
                     WallMs now);
Transaction completed(const Transaction& from, WallMs now);

/// Key and value as they stand in __transaction_state. Nothing where version 0 cannot hold it.
std::optional<CoordinatorRecord> transaction_record(const std::string& transactional_id,
                                                    const Transaction& txn, int16_t log_version);
CoordinatorRecord transaction_tombstone(const std::string& transactional_id);

/// What the log replays to.
struct TransactionTable {
    PersistentMap<std::string, std::shared_ptr<const Transaction>> by_id;

    /// Keys and value versions that are not known are left out, as Kafka does.
    Status replay(const ReplayedRecord& record);
    /// No transaction writes into __transaction_state.
    void end_transaction(const Marker&) {}
};

}  // namespace millrace::coordinator
