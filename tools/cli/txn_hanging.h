// tools/cli/txn_hanging.h: transactions open in a partition that no coordinator will ever end.
#pragma once

#include "cli/txn_client.h"

namespace millrace::cli {

struct OpenTxn {
    TopicPartition partition;
    ProducerState producer;
};

/// Of the open ones, those that no coordinator knows to have this partition
/// (kafka-transactions.sh find-hanging).
std::vector<OpenTxn> hanging_of(Client& client, const std::vector<OpenTxn>& open);

void add_txn_find_hanging(CLI::App& txn, Context& context);

}  // namespace millrace::cli
