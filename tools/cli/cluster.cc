// tools/cli/cluster.cc: `cluster` and `health`: who is there, and whether all is well.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/client.h"
#include "cli/output.h"
#include "millrace/wire/gen/describe_quorum_request.h"
#include "millrace/wire/gen/describe_quorum_response.h"

namespace millrace::cli {
namespace {

struct Counts {
    int64_t topics = 0;
    int64_t partitions = 0;
    int64_t replicas = 0;
    int64_t offline = 0;
    int64_t under_replicated = 0;
    std::map<int32_t, int64_t> leaders;
    std::map<int32_t, int64_t> replicas_of;
};

Counts count(const wire::MetadataResponse& metadata) {
    Counts counts;
    counts.topics = static_cast<int64_t>(metadata.topics.size());
    for (const auto& topic : metadata.topics) {
        for (const auto& partition : topic.partitions) {
            ++counts.partitions;
            counts.replicas += static_cast<int64_t>(partition.replica_nodes.size());
            if (partition.leader_id < 0)
                ++counts.offline;
            else
                ++counts.leaders[partition.leader_id];
            if (partition.isr_nodes.size() < partition.replica_nodes.size()) {
                ++counts.under_replicated;
            }
            for (const int32_t node : partition.replica_nodes)
                ++counts.replicas_of[node];
        }
    }
    return counts;
}

std::string verdict(const Counts& counts) {
    if (counts.offline == 0 && counts.under_replicated == 0) return "HEALTHY";
    return fmt::format("DEGRADED    {} under-replicated · {} offline",
                       counted(counts.under_replicated, "partition"), counts.offline);
}

struct Quorum {
    int32_t leader = -1;
    int32_t epoch = -1;
};

/// Nothing known when the server does not answer DescribeQuorum.
Quorum quorum_of(Client& client) {
    wire::DescribeQuorumRequest request;
    auto& topic = request.topics.emplace_back();
    topic.topic_name = "__cluster_metadata";
    topic.partitions.emplace_back();
    try {
        const auto response = client.ask<wire::DescribeQuorumResponse>(request);
        if (response.topics.empty() || response.topics.front().partitions.empty()) return {};
        const auto& partition = response.topics.front().partitions.front();
        if (partition.error_code != 0) return {};
        return {partition.leader_id, partition.leader_epoch};
    } catch (const Failure&) {
        return {};
    }
}

void show_cluster(const Context& context) {
    Client client(context);
    const auto metadata = client.metadata(std::nullopt);
    const Counts counts = count(metadata);
    const Quorum quorum = quorum_of(client);
    Json brokers = Json::array();
    Table table({">BROKER", "ADDRESS", "RACK", ">LEADERS", ">REPLICAS"});
    for (const auto& broker : metadata.brokers) {
        const auto number = [&](const std::map<int32_t, int64_t>& map) {
            const auto found = map.find(broker.node_id);
            return found != map.end() ? found->second : 0;
        };
        const std::string address = fmt::format("{}:{}", broker.host, broker.port);
        brokers.push_back({{"id", broker.node_id},
                           {"host", broker.host},
                           {"port", broker.port},
                           {"rack", broker.rack ? Json(*broker.rack) : Json(nullptr)},
                           {"leaders", number(counts.leaders)},
                           {"replicas", number(counts.replicas_of)}});
        table.add({std::to_string(broker.node_id), address, broker.rack.value_or("-"),
                   grouped(number(counts.leaders)), grouped(number(counts.replicas_of))});
    }
    if (context.json()) {
        print_items("Cluster", Json::array({{{"id", metadata.cluster_id.value_or("")},
                                             {"healthy", verdict(counts) == "HEALTHY"},
                                             {"quorumLeader", quorum.leader},
                                             {"quorumEpoch", quorum.epoch},
                                             {"topics", counts.topics},
                                             {"partitions", counts.partitions},
                                             {"replicas", counts.replicas},
                                             {"offlinePartitions", counts.offline},
                                             {"underReplicatedPartitions", counts.under_replicated},
                                             {"brokers", brokers}}}));
        return;
    }
    std::cout << metadata.cluster_id.value_or("(no id)");
    if (quorum.leader >= 0) {
        std::cout << fmt::format("   quorum leader {}, epoch {}", quorum.leader, quorum.epoch);
    }
    std::cout << '\n' << verdict(counts) << "\n\n" << table.to_string() << '\n';
    std::cout << fmt::format("{} · {} · {}\n", counted(counts.topics, "topic"),
                             counted(counts.partitions, "partition"),
                             counted(counts.replicas, "replica"));
}

/// Exit 0 when every partition has a leader and all its copies, 10 when not, 3 when nobody answers.
void check_health(Context& context) {
    Client client(context);
    const auto metadata = client.metadata(std::nullopt);
    const Counts counts = count(metadata);
    const bool healthy = verdict(counts) == "HEALTHY" && !metadata.brokers.empty();
    if (context.json()) {
        print_items("Health",
                    Json::array({{{"healthy", healthy},
                                  {"brokers", metadata.brokers.size()},
                                  {"offlinePartitions", counts.offline},
                                  {"underReplicatedPartitions", counts.under_replicated}}}));
    } else {
        std::cout << verdict(counts) << '\n';
    }
    if (!healthy) context.exit_code = kUnhealthy;
}

}  // namespace

void add_cluster(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("cluster", "brokers, leaders, replicas at a glance");
    add_connection_options(*command, context);
    add_cluster_snapshot(*command, context);
    command->callback([&context, command] {
        if (command->get_subcommands().empty()) show_cluster(context);
    });
}

void add_health(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("health", "exit 0 when all is well, 10 when not");
    add_connection_options(*command, context);
    command->callback([&context] { check_health(context); });
}

}  // namespace millrace::cli
