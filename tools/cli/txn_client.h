// tools/cli/txn_client.h: transactions over the protocol: list, describe, producers, abort.
#pragma once

#include <optional>
#include <vector>

#include "cli/client.h"
#include "cli/offsets.h"
#include "millrace/wire/gen/describe_producers_response.h"
#include "millrace/wire/gen/describe_transactions_response.h"

namespace millrace::cli {

struct TxnListing {
    std::string id;
    int64_t producer_id = -1;
    std::string state;
    int32_t coordinator = -1;
};

struct TxnFilter {
    std::vector<std::string> states;
    std::vector<int64_t> producer_ids;
    int64_t running_longer_than_ms = -1;
    std::string pattern;  // RE2, matched whole
};

using TxnState = wire::DescribeTransactionsResponse::TransactionState;
using ProducerState = wire::DescribeProducersResponse::ProducerState;

/// Transactions of every coordinator, by id.
std::vector<TxnListing> list_transactions(Client& client, const TxnFilter& filter);

/// A Failure with TransactionalIdNotFound when the coordinator does not know it.
TxnState describe_transaction(Client& client, const std::string& id, int32_t& coordinator);

/// Producers with state on these partitions, asked of `broker` or else of the leaders.
std::map<TopicPartition, std::vector<ProducerState>> describe_producers(
    Client& client, const std::set<TopicPartition>& partitions, std::optional<int32_t> broker);

/// Fences the producer of a transactional id, which aborts what it has open.
void fence_producer(Client& client, const std::string& id);

/// Writes an abort marker for one producer into one partition: for a transaction that no
/// coordinator knows (Kafka's "hanging" transaction).
void write_abort_marker(Client& client, const TopicPartition& partition, int64_t producer_id,
                        int16_t producer_epoch, int32_t coordinator_epoch);

}  // namespace millrace::cli
