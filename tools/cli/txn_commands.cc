// tools/cli/txn_commands.cc: `txn list`, `txn describe`, `txn abort`.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <iostream>

#include "cli/output.h"
#include "cli/time_text.h"
#include "cli/txn_client.h"
#include "cli/txn_hanging.h"
#include "millrace/base/nearest.h"

namespace millrace::cli {
namespace {

int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

struct ListOptions {
    TxnFilter filter;
    std::string longer_than;
};

void list(const Context& context, const ListOptions& options) {
    TxnFilter filter = options.filter;
    if (!options.longer_than.empty()) {
        const auto limit = parse_short_duration(options.longer_than);
        if (!limit || *limit < 0) {
            throw Failure{kUsage, fmt::format("'{}' is no time", options.longer_than),
                          "for example 30s, 5m, 2h"};
        }
        filter.running_longer_than_ms = *limit;
    }
    Client client(context);
    Json items = Json::array();
    Table table({"TRANSACTIONAL ID", ">PRODUCER ID", "STATE", ">COORDINATOR"});
    for (const TxnListing& txn : list_transactions(client, filter)) {
        items.push_back({{"transactionalId", txn.id},
                         {"producerId", txn.producer_id},
                         {"state", txn.state},
                         {"coordinator", txn.coordinator}});
        table.add({txn.id, std::to_string(txn.producer_id), txn.state,
                   std::to_string(txn.coordinator)});
        if (context.output == "name") std::cout << txn.id << '\n';
    }
    if (context.json())
        print_items("TransactionList", std::move(items));
    else if (context.output == "table")
        std::cout << table.to_string();
}

/// describe_transaction with did-you-mean.
TxnState describe_known(Client& client, const std::string& id, int32_t& coordinator) {
    try {
        return describe_transaction(client, id, coordinator);
    } catch (const Failure& failure) {
        if (error_code_from(failure.kafka_error) != ErrorCode::TransactionalIdNotFound) throw;
    }
    std::vector<std::string> known;
    for (const TxnListing& txn : list_transactions(client, {}))
        known.push_back(txn.id);
    const auto near = nearest_names(id, known);
    throw Failure{kNotFound,
                  fmt::format("no transactional id '{}' on {}", id, client.cluster_name()),
                  near.empty() ? "millrace txn list shows what there is"
                               : fmt::format("did you mean '{}'?", near.front())};
}

void describe(const Context& context, const std::vector<std::string>& ids) {
    Client client(context);
    Json items = Json::array();
    for (const std::string& id : ids) {
        int32_t coordinator = -1;
        const TxnState txn = describe_known(client, id, coordinator);
        const bool running = txn.transaction_start_time_ms >= 0;
        const int64_t age = running ? std::max<int64_t>(now_ms() - txn.transaction_start_time_ms, 0)
                                    : 0;
        Json partitions = Json::array();
        Table table({"TOPIC", "PARTITIONS"});
        for (const auto& topic : txn.topics) {
            std::string list;
            for (const int32_t partition : topic.partitions) {
                list += (list.empty() ? "" : " ") + std::to_string(partition);
                partitions.push_back({{"topic", topic.topic}, {"partition", partition}});
            }
            table.add({topic.topic, list});
        }
        items.push_back({{"transactionalId", id},
                         {"coordinator", coordinator},
                         {"producerId", txn.producer_id},
                         {"producerEpoch", txn.producer_epoch},
                         {"state", txn.transaction_state},
                         {"timeoutMs", txn.transaction_timeout_ms},
                         {"startTime", running ? Json(rfc3339(txn.transaction_start_time_ms))
                                               : Json(nullptr)},
                         {"durationMs", running ? Json(age) : Json(nullptr)},
                         {"partitions", std::move(partitions)}});
        if (context.json()) continue;
        std::cout << fmt::format(
            "{}   {}   producer {} epoch {}   coordinator {}   timeout {}{}\n", id,
            txn.transaction_state, txn.producer_id, txn.producer_epoch, coordinator,
            behind_text(txn.transaction_timeout_ms),
            running ? "   open for " + behind_text(age) : "");
        if (!txn.topics.empty()) std::cout << '\n' << table.to_string();
    }
    if (context.json()) print_items("TransactionDescription", std::move(items));
}

struct AbortOptions {
    std::string id;
    std::string topic;
    int32_t partition = -1;
    int64_t start_offset = -1;
};

/// The producer whose open transaction starts there.
ProducerState producer_at(Client& client, const TopicPartition& partition, int64_t offset) {
    const auto found = describe_producers(client, {partition}, std::nullopt);
    for (const ProducerState& producer : found.at(partition)) {
        if (producer.current_txn_start_offset == offset) return producer;
    }
    throw Failure{kNotFound,
                  fmt::format("no open transaction starts at offset {} of {}", offset,
                              partition.to_string()),
                  "millrace txn find-hanging shows start offsets"};
}

void abort_txn(const Context& context, const AbortOptions& options) {
    const bool marker = !options.topic.empty() || options.partition >= 0;
    if (marker == !options.id.empty() ||
        (marker && (options.topic.empty() || options.partition < 0 || options.start_offset < 0))) {
        throw Failure{kUsage, "what to abort is not given",
                      "a transactional id, or --topic T --partition P --start-offset N for one "
                      "that hangs"};
    }
    Client client(context);
    Json item;
    std::string done;
    if (!marker) {
        int32_t coordinator = -1;
        const TxnState txn = describe_known(client, options.id, coordinator);
        confirm(context, fmt::format("fence the producer of '{}' ({}) and abort what it has open?",
                                     options.id, txn.transaction_state));
        client.renew();
        fence_producer(client, options.id);
        item = {{"transactionalId", options.id}, {"aborted", true}};
        done = fmt::format("aborted transaction {}; its producer is fenced\n", options.id);
    } else {
        const TopicPartition partition{options.topic, options.partition};
        const ProducerState producer = producer_at(client, partition, options.start_offset);
        confirm(context, fmt::format("abort the transaction of producer {} at {} offset {}?",
                                     producer.producer_id, partition.to_string(),
                                     options.start_offset));
        client.renew();
        write_abort_marker(client, partition, producer.producer_id,
                           static_cast<int16_t>(producer.producer_epoch),
                           producer.coordinator_epoch);
        item = {{"topic", partition.topic},
                {"partition", partition.partition},
                {"producerId", producer.producer_id},
                {"startOffset", options.start_offset},
                {"aborted", true}};
        done = fmt::format("aborted the transaction of producer {} in {}\n", producer.producer_id,
                           partition.to_string());
    }
    if (context.json())
        print_items("TransactionAbort", Json::array({item}));
    else
        std::cout << done;
}

}  // namespace

void add_txn_commands(CLI::App& root, Context& context) {
    CLI::App* txn = root.add_subcommand("txn", "list, describe, abort transactions");
    txn->require_subcommand(1);

    CLI::App* lister = txn->add_subcommand("list", "transactional ids and their states");
    auto list_options = std::make_shared<ListOptions>();
    lister->add_option("--state", list_options->filter.states, "only these states")
        ->delimiter(',');
    lister->add_option("--producer-id", list_options->filter.producer_ids, "only these producers")
        ->delimiter(',');
    lister->add_option("--longer-than", list_options->longer_than, "open longer than 30s, 5m, ...");
    lister->add_option("--pattern", list_options->filter.pattern, "ids that match this RE2 whole");
    add_connection_options(*lister, context);
    lister->callback([&context, list_options] { list(context, *list_options); });

    CLI::App* describer = txn->add_subcommand("describe", "state, producer, age, partitions");
    auto ids = std::make_shared<std::vector<std::string>>();
    describer->add_option("id", *ids, "transactional ids")->required();
    add_connection_options(*describer, context);
    describer->callback([&context, ids] { describe(context, *ids); });

    CLI::App* aborter = txn->add_subcommand("abort", "abort a transaction");
    auto abort_options = std::make_shared<AbortOptions>();
    aborter->add_option("id", abort_options->id, "transactional id: its producer is fenced");
    aborter->add_option("-t,--topic", abort_options->topic, "of a transaction that hangs");
    aborter->add_option("-p,--partition", abort_options->partition, "of a transaction that hangs")
        ->default_str("");
    aborter->add_option("--start-offset", abort_options->start_offset, "where it starts")
        ->default_str("");
    aborter->add_flag("-y,--yes", context.yes, "do not ask");
    add_connection_options(*aborter, context);
    aborter->callback([&context, abort_options] { abort_txn(context, *abort_options); });

    add_txn_find_hanging(*txn, context);
}

}  // namespace millrace::cli
