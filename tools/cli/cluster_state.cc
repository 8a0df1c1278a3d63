// tools/cli/cluster_state.cc: the requests that a picture of the cluster takes.
#include "cli/cluster_state.h"

#include <fmt/core.h>
#include <poll.h>

#include <algorithm>

#include "cli/plan_store.h"
#include "cli/reassign_client.h"
#include "millrace/wire/gen/describe_cluster_request.h"
#include "millrace/wire/gen/describe_cluster_response.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"
#include "millrace/wire/gen/describe_log_dirs_request.h"
#include "millrace/wire/gen/describe_log_dirs_response.h"
#include "millrace/wire/gen/describe_quorum_request.h"
#include "millrace/wire/gen/describe_quorum_response.h"

namespace millrace::cli {
namespace {

constexpr int kSilentMs = 2'000;
constexpr int8_t kTopicResource = 2;
constexpr const char* kMinIsr = "min.insync.replicas";

using Sizes = std::map<std::pair<std::string, int32_t>, int64_t>;

void read_dirs(Client& client, ClusterBroker& broker, placement::Broker& planned, Sizes& sizes) {
    wire::DescribeLogDirsRequest request;
    request.topics.reset();
    const auto response = client.ask_node<wire::DescribeLogDirsResponse>(broker.id, request);
    for (const auto& result : response.results) {
        BrokerDir& dir = broker.dirs.emplace_back();
        dir.path = result.log_dir;
        dir.offline = result.error_code != 0;
        dir.cordoned = result.is_cordoned;
        if (dir.offline) continue;  // nothing can be placed there
        for (const auto& topic : result.topics) {
            for (const auto& partition : topic.partitions) {
                dir.bytes += partition.partition_size;
                if (partition.is_future_key) continue;
                int64_t& size = sizes[{topic.name, partition.partition_index}];
                size = std::max(size, partition.partition_size);
            }
        }
        placement::LogDir& planned_dir = planned.log_dirs.emplace_back();
        planned_dir.path = dir.path;
        if (result.total_bytes < 0 || result.usable_bytes < 0) continue;
        planned_dir.capacity_bytes = result.total_bytes;
        planned_dir.used_bytes = result.total_bytes - result.usable_bytes;
        broker.disk_total += result.total_bytes;
        broker.disk_used += planned_dir.used_bytes;
    }
}

void read_brokers(Client& client, ClusterState& state, Sizes& sizes) {
    wire::DescribeClusterRequest request;
    request.include_fenced_brokers = true;
    const auto response = client.ask<wire::DescribeClusterResponse>(request);
    check_error(response.error_code, response.error_message, "the cluster");
    state.cluster_id = response.cluster_id;
    for (const auto& found : response.brokers) {
        ClusterBroker& broker = state.brokers.emplace_back();
        broker.id = found.broker_id;
        broker.host = found.host;
        broker.port = found.port;
        broker.rack = found.rack.value_or("");
        broker.fenced = found.is_fenced;
    }
    std::sort(state.brokers.begin(), state.brokers.end(),
              [](const ClusterBroker& a, const ClusterBroker& b) { return a.id < b.id; });
    for (ClusterBroker& broker : state.brokers) {
        placement::Broker& planned = state.snapshot.brokers.emplace_back();
        planned.id = broker.id;
        planned.labels = placement::labels_of_rack(broker.rack);
        if (broker.fenced) {
            broker.answers = false;
            planned.state = placement::BrokerState::Down;
            continue;
        }
        try {
            client.renew(kSilentMs);
            read_dirs(client, broker, planned, sizes);
        } catch (const Failure& failure) {
            // Not found: it was fenced since the first answer.
            if (failure.exit_code != kNoConnection && failure.exit_code != kNotFound) throw;
            broker.answers = false;
            client.forget_connections();
        }
        client.renew();
        if (broker.cordoned()) planned.state = placement::BrokerState::Cordoned;
    }
    state.snapshot.axes = placement::axes_of_labels(state.snapshot.brokers);
}

void read_topics(Client& client, ClusterState& state, const Sizes& sizes) {
    const auto metadata = client.metadata(std::nullopt);
    std::map<int32_t, ClusterBroker*> by_id;
    for (ClusterBroker& broker : state.brokers)
        by_id[broker.id] = &broker;
    for (const auto& found : metadata.topics) {
        placement::Topic& topic = state.snapshot.topics.emplace_back();
        topic.name = found.name.value_or("");
        check_error(found.error_code, std::nullopt, "topic '" + topic.name + "'");
        for (const auto& from : found.partitions) {
            placement::Partition& partition = topic.partitions.emplace_back();
            partition.partition = from.partition_index;
            partition.replicas = from.replica_nodes;
            partition.isr = from.isr_nodes;
            partition.leader = from.leader_id;
            const auto size = sizes.find({topic.name, from.partition_index});
            if (size != sizes.end()) partition.size_bytes = size->second;
            for (const int32_t id : from.replica_nodes) {
                if (by_id.contains(id)) ++by_id[id]->replicas;
            }
            if (by_id.contains(from.leader_id)) ++by_id[from.leader_id]->leaders;
        }
    }
    std::sort(state.snapshot.topics.begin(), state.snapshot.topics.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
}

void read_min_isr(Client& client, ClusterState& state) {
    wire::DescribeConfigsRequest request;
    for (const placement::Topic& topic : state.snapshot.topics) {
        auto& resource = request.resources.emplace_back();
        resource.resource_type = kTopicResource;
        resource.resource_name = topic.name;
        resource.configuration_keys = {kMinIsr};
    }
    if (request.resources.empty()) return;
    const auto response = client.ask<wire::DescribeConfigsResponse>(request);
    for (const auto& result : response.results) {
        for (const auto& entry : result.configs) {
            if (entry.value) state.min_isr[result.resource_name] = std::atoi(entry.value->c_str());
        }
    }
}

/// Stays unknown when the server does not answer DescribeQuorum.
void read_quorum(Client& client, ClusterState& state) {
    wire::DescribeQuorumRequest request;
    auto& topic = request.topics.emplace_back();
    topic.topic_name = "__cluster_metadata";
    topic.partitions.emplace_back();
    try {
        const auto response = client.ask<wire::DescribeQuorumResponse>(request);
        if (response.topics.empty() || response.topics.front().partitions.empty()) return;
        const auto& partition = response.topics.front().partitions.front();
        if (partition.error_code != 0) return;
        state.quorum_leader = partition.leader_id;
        state.quorum_epoch = partition.leader_epoch;
        if (partition.high_watermark >= 0)
            state.snapshot.metadata_offset = partition.high_watermark;
    } catch (const Failure&) {
        return;
    }
}

}  // namespace

bool ClusterBroker::cordoned() const {
    return !dirs.empty() &&
           std::all_of(dirs.begin(), dirs.end(), [](const BrokerDir& d) { return d.cordoned; });
}

const ClusterBroker& ClusterState::broker(int32_t id) const {
    std::string known;
    for (const ClusterBroker& broker : brokers) {
        if (broker.id == id) return broker;
        known += fmt::format("{}{}", known.empty() ? "" : ", ", broker.id);
    }
    throw Failure{kNotFound, fmt::format("no broker {}", id), "there are: " + known};
}

const placement::Broker& ClusterState::labels_of(int32_t id) const {
    return *std::find_if(snapshot.brokers.begin(), snapshot.brokers.end(),
                         [id](const placement::Broker& b) { return b.id == id; });
}

ClusterState read_cluster(Client& client) {
    ClusterState state;
    Sizes sizes;
    read_quorum(client, state);  // first: what follows is not older
    read_brokers(client, state, sizes);
    read_topics(client, state, sizes);
    read_min_isr(client, state);
    return state;
}

void measure_leader_growth(Client& client, ClusterState& state, int32_t seconds) {
    std::set<PartitionReplica> leaders;
    for (const placement::Topic& topic : state.snapshot.topics) {
        for (const placement::Partition& partition : topic.partitions) {
            if (partition.leader.value_or(-1) >= 0)
                leaders.insert({*partition.leader, {topic.name, partition.partition}});
        }
    }
    const auto before = replica_dirs(client, leaders);
    const int64_t from = now_ms();
    ::poll(nullptr, 0, seconds * 1'000);
    client.renew();
    const auto after = replica_dirs(client, leaders);
    const int64_t elapsed = std::max<int64_t>(1, now_ms() - from);
    for (placement::Topic& topic : state.snapshot.topics) {
        for (placement::Partition& partition : topic.partitions) {
            const PartitionReplica leader{partition.leader.value_or(-1),
                                          {topic.name, partition.partition}};
            const auto was = before.find(leader);
            const auto is = after.find(leader);
            if (was == before.end() || is == after.end() || !was->second.current ||
                !is->second.current || is->second.current_bytes < was->second.current_bytes)
                continue;
            const int64_t grown = is->second.current_bytes - was->second.current_bytes;
            partition.bytes_in_rate = grown * 1'000 / elapsed;
            state.write_rates[leader.partition] = partition.bytes_in_rate;
        }
    }
}

}  // namespace millrace::cli
