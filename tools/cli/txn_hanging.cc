// tools/cli/txn_hanging.cc: `txn find-hanging`.
#include "cli/txn_hanging.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "cli/output.h"
#include "cli/time_text.h"

namespace millrace::cli {
namespace {

struct Options {
    std::string topic;
    int32_t partition = -1;
    int32_t broker = -1;
    std::string older_than = "15m";
};

int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// Partitions of one topic, of one broker, or of the cluster.
std::set<TopicPartition> scope_of(Client& client, const Options& options) {
    std::set<TopicPartition> partitions;
    std::vector<wire::MetadataResponse::MetadataResponseTopic> topics;
    if (options.topic.empty())
        topics = client.metadata(std::nullopt).topics;
    else
        topics.push_back(client.topic(options.topic));
    for (const auto& topic : topics) {
        for (const auto& p : topic.partitions) {
            if (options.partition >= 0 && p.partition_index != options.partition) continue;
            const bool held =
                options.broker < 0 ||
                std::find(p.replica_nodes.begin(), p.replica_nodes.end(), options.broker) !=
                    p.replica_nodes.end();
            if (held) partitions.insert({topic.name.value_or(""), p.partition_index});
        }
    }
    return partitions;
}

bool covers(const TxnState& txn, const TopicPartition& partition) {
    return std::any_of(txn.topics.begin(), txn.topics.end(), [&](const auto& topic) {
        return topic.topic == partition.topic &&
               std::find(topic.partitions.begin(), topic.partitions.end(), partition.partition) !=
                   topic.partitions.end();
    });
}

void print(Context& context, const std::vector<OpenTxn>& hanging) {
    Json items = Json::array();
    Table table({"TOPIC", ">PART", ">PRODUCER ID", ">EPOCH", ">START OFFSET", "LAST WRITE",
                 ">OPEN FOR"});
    for (const OpenTxn& txn : hanging) {
        const ProducerState& producer = txn.producer;
        const int64_t age = now_ms() - producer.last_timestamp;
        items.push_back({{"topic", txn.partition.topic},
                         {"partition", txn.partition.partition},
                         {"producerId", producer.producer_id},
                         {"producerEpoch", producer.producer_epoch},
                         {"coordinatorEpoch", producer.coordinator_epoch},
                         {"startOffset", producer.current_txn_start_offset},
                         {"lastTimestamp", rfc3339(producer.last_timestamp)},
                         {"durationMs", age}});
        table.add({txn.partition.topic, std::to_string(txn.partition.partition),
                   std::to_string(producer.producer_id), std::to_string(producer.producer_epoch),
                   std::to_string(producer.current_txn_start_offset),
                   time_text(producer.last_timestamp), behind_text(age)});
    }
    if (!hanging.empty()) context.exit_code = kUnhealthy;
    if (context.json()) {
        print_items("HangingTransactionList", std::move(items));
    } else if (hanging.empty()) {
        std::cout << "no transaction hangs\n";
    } else {
        const OpenTxn& first = hanging.front();
        std::cout << table.to_string()
                  << fmt::format("\nabort one: millrace txn abort --topic {} --partition {} "
                                 "--start-offset {}\n",
                                 first.partition.topic, first.partition.partition,
                                 first.producer.current_txn_start_offset);
    }
}

void find(Context& context, const Options& options) {
    const auto limit = parse_short_duration(options.older_than);
    if (!limit) {
        throw Failure{kUsage, fmt::format("'{}' is no time", options.older_than),
                      "for example 30s, 15m, 2h"};
    }
    if (options.partition >= 0 && options.topic.empty())
        throw Failure{kUsage, "--partition needs --topic", "name the topic too"};
    Client client(context);
    const auto broker = options.broker < 0 ? std::nullopt : std::optional(options.broker);
    std::vector<OpenTxn> open;
    for (const auto& [partition, producers] :
         describe_producers(client, scope_of(client, options), broker)) {
        for (const ProducerState& producer : producers) {
            if (producer.current_txn_start_offset < 0) continue;
            if (now_ms() - producer.last_timestamp > *limit) open.push_back({partition, producer});
        }
    }
    client.renew();
    print(context, hanging_of(client, open));
}

}  // namespace

std::vector<OpenTxn> hanging_of(Client& client, const std::vector<OpenTxn>& open) {
    TxnFilter filter;
    for (const OpenTxn& txn : open)
        filter.producer_ids.push_back(txn.producer.producer_id);
    if (filter.producer_ids.empty()) return {};
    std::map<int64_t, TxnState> known;
    for (const TxnListing& listing : list_transactions(client, filter)) {
        int32_t coordinator = -1;
        try {
            known[listing.producer_id] = describe_transaction(client, listing.id, coordinator);
        } catch (const Failure& failure) {
            if (error_code_from(failure.kafka_error) != ErrorCode::TransactionalIdNotFound) throw;
        }
    }
    std::vector<OpenTxn> hanging;
    for (const OpenTxn& txn : open) {
        const auto found = known.find(txn.producer.producer_id);
        if (found == known.end() || !covers(found->second, txn.partition)) hanging.push_back(txn);
    }
    return hanging;
}

void add_txn_find_hanging(CLI::App& txn, Context& context) {
    CLI::App* command = txn.add_subcommand(
        "find-hanging", "open transactions that no coordinator will end; exit 10 when there are");
    auto options = std::make_shared<Options>();
    command->add_option("-t,--topic", options->topic, "only this topic");
    command->add_option("-p,--partition", options->partition, "only this partition of it")
        ->default_str("");
    command->add_option("--broker", options->broker, "only replicas of this broker")
        ->default_str("");
    command->add_option("--older-than", options->older_than,
                        "last write before; at least the longest transaction timeout");
    add_connection_options(*command, context);
    command->callback([&context, options] { find(context, *options); });
}

}  // namespace millrace::cli
