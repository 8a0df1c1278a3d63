// tools/cli/txn_client.cc: transactions over the protocol.
#include "cli/txn_client.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>

#include "cli/find_coordinator.h"
#include "cli/group_client.h"
#include "millrace/wire/gen/describe_producers_request.h"
#include "millrace/wire/gen/describe_transactions_request.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/init_producer_id_response.h"
#include "millrace/wire/gen/list_transactions_request.h"
#include "millrace/wire/gen/list_transactions_response.h"
#include "millrace/wire/gen/write_txn_markers_request.h"
#include "millrace/wire/gen/write_txn_markers_response.h"

namespace millrace::cli {
namespace {

constexpr int kBackoffMs = 100;
constexpr size_t kPartitionsPerRequest = 500;  // as Kafka's own tool

bool pause(Client& client) {
    if (client.timeout_ms() <= kBackoffMs) return false;
    poll(nullptr, 0, kBackoffMs);
    return true;
}

using States = std::vector<wire::ListTransactionsResponse::TransactionState>;

States ask_coordinator(Client& client, int32_t broker, const TxnFilter& filter) {
    Connection& connection = client.node(broker);
    const int16_t version = connection.version_of<wire::ListTransactionsRequest>();
    wire::ListTransactionsRequest request;
    request.state_filters = filter.states;
    request.producer_id_filters = filter.producer_ids;
    if (version >= 1) request.duration_filter = filter.running_longer_than_ms;
    if (version >= 2 && !filter.pattern.empty())
        request.transactional_id_pattern = filter.pattern;
    if ((version < 1 && filter.running_longer_than_ms >= 0) ||
        (version < 2 && !filter.pattern.empty())) {
        throw Failure{kFailed, fmt::format("broker {} is too old for this filter", broker),
                      "list without --longer-than and --pattern"};
    }
    while (true) {
        const auto response =
            connection.ask<wire::ListTransactionsResponse>(request, version, client.deadline());
        const auto code = error_code_from(response.error_code);
        if (code && coordinator_may_come(*code) && pause(client)) continue;
        check_error(response.error_code, std::nullopt, "list of transactions");
        if (!response.unknown_state_filters.empty()) {
            throw Failure{kUsage,
                          fmt::format("no state of a transaction '{}'",
                                      response.unknown_state_filters.front()),
                          "Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, "
                          "CompleteAbort, Dead or PrepareEpochFence"};
        }
        return response.transaction_states;
    }
}

void ask_producers(Client& client, int32_t broker, const std::vector<TopicPartition>& partitions,
                   std::map<TopicPartition, std::vector<ProducerState>>& found) {
    for (size_t at = 0; at < partitions.size(); at += kPartitionsPerRequest) {
        wire::DescribeProducersRequest request;
        const size_t end = std::min(at + kPartitionsPerRequest, partitions.size());
        for (size_t i = at; i < end; ++i) {
            if (request.topics.empty() || request.topics.back().name != partitions[i].topic)
                request.topics.emplace_back().name = partitions[i].topic;
            request.topics.back().partition_indexes.push_back(partitions[i].partition);
        }
        const auto response =
            client.ask_node<wire::DescribeProducersResponse>(broker, request);
        for (const auto& topic : response.topics) {
            for (const auto& p : topic.partitions) {
                check_error(p.error_code, p.error_message,
                            fmt::format("{}-{}", topic.name, p.partition_index));
                found[{topic.name, p.partition_index}] = p.active_producers;
            }
        }
    }
}

}  // namespace

std::vector<TxnListing> list_transactions(Client& client, const TxnFilter& filter) {
    std::vector<TxnListing> found;
    for (const auto& broker : client.metadata(std::vector<std::string>()).brokers) {
        for (const auto& state : ask_coordinator(client, broker.node_id, filter)) {
            found.push_back({state.transactional_id, state.producer_id, state.transaction_state,
                             broker.node_id});
        }
    }
    std::sort(found.begin(), found.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    return found;
}

TxnState describe_transaction(Client& client, const std::string& id, int32_t& coordinator) {
    wire::DescribeTransactionsRequest request;
    request.transactional_ids = {id};
    while (true) {
        coordinator = find_coordinator(client, id, CoordinatorKind::Transaction).node;
        const auto response =
            client.ask_node<wire::DescribeTransactionsResponse>(coordinator, request);
        if (response.transaction_states.empty())
            check_error(wire_error(ErrorCode::UnknownServerError), std::nullopt, id);
        const TxnState& state = response.transaction_states.front();
        const auto code = error_code_from(state.error_code);
        if (code && coordinator_may_come(*code) && pause(client)) continue;
        check_error(state.error_code, std::nullopt, "transactional id '" + id + "'");
        return state;
    }
}

std::map<TopicPartition, std::vector<ProducerState>> describe_producers(
    Client& client, const std::set<TopicPartition>& partitions, std::optional<int32_t> broker) {
    std::set<std::string> topics;
    for (const TopicPartition& partition : partitions)
        topics.insert(partition.topic);
    const auto leaders = leaders_of(client, topics);
    std::map<int32_t, std::vector<TopicPartition>> by_broker;
    for (const TopicPartition& partition : partitions) {
        const auto leader = leaders.find(partition);
        if (leader == leaders.end()) {
            throw Failure{kNotFound, fmt::format("no partition {}", partition.to_string()),
                          "millrace topic describe shows the partitions"};
        }
        const int32_t where = broker.value_or(leader->second);
        if (where < 0) {
            throw Failure{kFailed, fmt::format("{} has no leader", partition.to_string()),
                          "millrace cluster shows which brokers are down"};
        }
        by_broker[where].push_back(partition);
    }
    std::map<TopicPartition, std::vector<ProducerState>> found;
    for (const auto& [where, wanted] : by_broker)
        ask_producers(client, where, wanted, found);
    return found;
}

void fence_producer(Client& client, const std::string& id) {
    wire::InitProducerIdRequest request;
    request.transactional_id = id;
    request.transaction_timeout_ms = std::max(client.timeout_ms(), 1);
    while (true) {
        const int32_t coordinator =
            find_coordinator(client, id, CoordinatorKind::Transaction).node;
        const auto response = client.ask_node<wire::InitProducerIdResponse>(coordinator, request);
        const auto code =
            error_code_from(response.error_code).value_or(ErrorCode::UnknownServerError);
        // While the abort of the old transaction is being written, the coordinator asks to come
        // again.
        const bool again = coordinator_may_come(code) || code == ErrorCode::ConcurrentTransactions;
        if (again && pause(client)) continue;
        check_error(response.error_code, std::nullopt, "transactional id '" + id + "'");
        return;
    }
}

void write_abort_marker(Client& client, const TopicPartition& partition, int64_t producer_id,
                        int16_t producer_epoch, int32_t coordinator_epoch) {
    wire::WriteTxnMarkersRequest request;
    auto& marker = request.markers.emplace_back();
    marker.producer_id = producer_id;
    marker.producer_epoch = producer_epoch;
    marker.transaction_result = false;
    marker.coordinator_epoch = std::max(coordinator_epoch, 0);
    auto& topic = marker.topics.emplace_back();
    topic.name = partition.topic;
    topic.partition_indexes = {partition.partition};
    const auto leaders = leaders_of(client, {partition.topic});
    const auto leader = leaders.find(partition);
    if (leader == leaders.end() || leader->second < 0) {
        throw Failure{kNotFound, fmt::format("{} has no leader", partition.to_string()),
                      "millrace topic describe shows the partitions"};
    }
    const auto response =
        client.ask_node<wire::WriteTxnMarkersResponse>(leader->second, request);
    for (const auto& answer : response.markers) {
        for (const auto& answered : answer.topics) {
            for (const auto& p : answered.partitions)
                check_error(p.error_code, std::nullopt, partition.to_string());
        }
    }
}

}  // namespace millrace::cli
