// tools/cli/cluster_snapshot.cc: `cluster snapshot`: a live cluster as the planner's input.
//
// Brokers that are fenced are `down`; sizes are the largest a live replica reports, directories
// come from DescribeLogDirs (capacity and use only where the broker knows them). A broker that does
// not answer within the time limit fails the command: a plan from half the sizes would be wrong.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <set>

#include "cli/client.h"
#include "cli/output.h"
#include "millrace/placement/snapshot.h"
#include "millrace/wire/gen/describe_cluster_request.h"
#include "millrace/wire/gen/describe_cluster_response.h"
#include "millrace/wire/gen/describe_log_dirs_request.h"
#include "millrace/wire/gen/describe_log_dirs_response.h"

namespace millrace::cli {
namespace {

using Sizes = std::map<std::pair<std::string, int32_t>, int64_t>;

/// The directories of one broker as the snapshot has them; notes partition sizes on the way.
Json directories_of(Client& client, int32_t broker, Sizes& sizes) {
    wire::DescribeLogDirsRequest request;
    request.topics.reset();
    const auto response = client.ask_node<wire::DescribeLogDirsResponse>(broker, request);
    Json directories = Json::array();
    for (const auto& directory : response.results) {
        if (directory.error_code != 0) continue;  // offline: nothing can be placed there
        for (const auto& topic : directory.topics) {
            for (const auto& partition : topic.partitions) {
                if (partition.is_future_key) continue;
                int64_t& size = sizes[{topic.name, partition.partition_index}];
                size = std::max(size, partition.partition_size);
            }
        }
        Json entry = {{"path", directory.log_dir}};
        if (directory.total_bytes >= 0 && directory.usable_bytes >= 0) {
            entry["capacity_bytes"] = directory.total_bytes;
            entry["used_bytes"] = directory.total_bytes - directory.usable_bytes;
        }
        directories.push_back(std::move(entry));
    }
    return directories;
}

Json brokers_of(Client& client, Sizes& sizes, std::vector<placement::Broker>& labelled) {
    wire::DescribeClusterRequest request;
    request.include_fenced_brokers = true;
    const auto response = client.ask<wire::DescribeClusterResponse>(request);
    check_error(response.error_code, response.error_message, "the cluster");
    Json brokers = Json::array();
    for (const auto& broker : response.brokers) {
        Json entry = {{"id", broker.broker_id}, {"state", broker.is_fenced ? "down" : "up"}};
        if (broker.rack) {
            entry["rack"] = *broker.rack;
            labelled.emplace_back().labels = placement::labels_of_rack(*broker.rack);
        }
        if (!broker.is_fenced) entry["log_dirs"] = directories_of(client, broker.broker_id, sizes);
        brokers.push_back(std::move(entry));
    }
    return brokers;
}

Json topics_of(Client& client, const Sizes& sizes) {
    const auto metadata = client.metadata(std::nullopt);
    Json topics = Json::array();
    for (const auto& topic : metadata.topics) {
        check_error(topic.error_code, std::nullopt, "topic '" + topic.name.value_or("") + "'");
        Json partitions = Json::array();
        for (const auto& partition : topic.partitions) {
            Json entry = {{"partition", partition.partition_index},
                          {"replicas", partition.replica_nodes},
                          {"isr", partition.isr_nodes},
                          {"leader", partition.leader_id}};
            const auto size = sizes.find({topic.name.value_or(""), partition.partition_index});
            if (size != sizes.end()) entry["size_bytes"] = size->second;
            partitions.push_back(std::move(entry));
        }
        topics.push_back({{"name", topic.name.value_or("")}, {"partitions", partitions}});
    }
    return topics;
}

void print_snapshot(const Context& context) {
    Client client(context);
    Sizes sizes;
    std::vector<placement::Broker> labelled;
    Json brokers = brokers_of(client, sizes, labelled);
    const Json topics = topics_of(client, sizes);
    const Json snapshot = {{"version", 1},
                           {"axes", placement::axes_of_labels(labelled)},
                           {"brokers", std::move(brokers)},
                           {"topics", topics}};
    std::cout << snapshot.dump() << '\n';
}

}  // namespace

void add_cluster_snapshot(CLI::App& cluster, Context& context) {
    CLI::App* command = cluster.add_subcommand(
        "snapshot", "the cluster as JSON, for rebalance-rackaware plan --cluster");
    add_connection_options(*command, context);
    command->callback([&context] { print_snapshot(context); });
}

}  // namespace millrace::cli
