// tools/cli/cluster_snapshot.cc: `cluster snapshot`: a live cluster as the planner's input.
//
// Brokers that are fenced are `down`, those with every directory cordoned are `cordoned`; sizes are
// the largest a live replica reports. A broker that does not answer fails the command: a plan from
// half the sizes would be wrong.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/cluster_state.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

Json directories_json(const placement::Broker& broker) {
    Json directories = Json::array();
    for (const placement::LogDir& dir : broker.log_dirs) {
        Json entry = {{"path", dir.path}};
        if (dir.capacity_bytes) {
            entry["capacity_bytes"] = *dir.capacity_bytes;
            entry["used_bytes"] = dir.used_bytes;
        }
        directories.push_back(std::move(entry));
    }
    return directories;
}

Json brokers_json(const ClusterState& state) {
    Json brokers = Json::array();
    for (const ClusterBroker& broker : state.brokers) {
        if (!broker.fenced && !broker.answers) {
            throw Failure{kNoConnection, fmt::format("broker {} does not answer", broker.id),
                          "wait until it is fenced or answers again"};
        }
        Json entry = {{"id", broker.id}, {"state", broker.state()}};
        if (!broker.rack.empty()) entry["rack"] = broker.rack;
        if (!broker.fenced) entry["log_dirs"] = directories_json(state.labels_of(broker.id));
        brokers.push_back(std::move(entry));
    }
    return brokers;
}

Json topics_json(const ClusterState& state) {
    const placement::Snapshot& snapshot = state.snapshot;
    Json topics = Json::array();
    for (const placement::Topic& topic : snapshot.topics) {
        Json partitions = Json::array();
        for (const placement::Partition& partition : topic.partitions) {
            partitions.push_back({{"partition", partition.partition},
                                  {"replicas", partition.replicas},
                                  {"isr", *partition.isr},
                                  {"leader", *partition.leader},
                                  {"size_bytes", partition.size_bytes}});
            const auto rate = state.write_rates.find({topic.name, partition.partition});
            if (rate != state.write_rates.end())
                partitions.back()["bytes_in_rate"] = rate->second;
        }
        topics.push_back({{"name", topic.name}, {"partitions", partitions}});
    }
    return topics;
}

void print_snapshot(const Context& context, int32_t rate_window) {
    Client client(context);
    ClusterState state = read_cluster(client);
    if (rate_window > 0) measure_leader_growth(client, state, rate_window);
    Json snapshot = {{"version", 1},
                     {"axes", state.snapshot.axes},
                     {"brokers", brokers_json(state)},
                     {"topics", topics_json(state)}};
    if (state.snapshot.metadata_offset)
        snapshot["metadata_offset"] = *state.snapshot.metadata_offset;
    std::cout << snapshot.dump() << '\n';
}

}  // namespace

void add_cluster_snapshot(CLI::App& cluster, Context& context) {
    CLI::App* command = cluster.add_subcommand(
        "snapshot", "the cluster as JSON, for rebalance-rackaware plan --cluster");
    auto rate_window = std::make_shared<int32_t>(0);
    command
        ->add_option("--rate-window", *rate_window,
                     "seconds to watch the logs of leaders grow, for bytes_in_rate; without it the "
                     "snapshot has no rates")
        ->check(CLI::Range(1, 3'600));
    add_connection_options(*command, context);
    command->callback([&context, rate_window] { print_snapshot(context, *rate_window); });
}

}  // namespace millrace::cli
