// tools/cli/shim_reassign_generate.cc: --generate of kafka-reassign-partitions.sh, planned by our
// placement.
//
// Kafka throws the layout away and deals anew; here the planner keeps what can stay: racks hold,
// loads are even, the least data moves. What is printed, and what is refused, is Kafka's.
#include <fmt/core.h>

#include <algorithm>
#include <iostream>

#include "cli/shim_reassign.h"
#include "millrace/placement/planner.h"

namespace millrace::cli {
namespace {

using Replicas = std::map<TopicPartition, std::vector<int32_t>>;

std::vector<ClusterNode> usable_nodes(Client& client, const std::vector<int32_t>& brokers,
                                      bool rack_aware) {
    std::vector<ClusterNode> usable;
    size_t rackless = 0;
    for (ClusterNode& node : cluster_nodes(client)) {
        if (std::find(brokers.begin(), brokers.end(), node.id) == brokers.end()) continue;
        if (!rack_aware) node.rack.reset();
        rackless += node.rack ? 0 : 1;
        usable.push_back(std::move(node));
    }
    if (rackless != 0 && rackless != usable.size())
        throw operation_failed(
            "Not all brokers have rack information. Add --disable-rack-aware "
            "in command line to make replica assignment without rack "
            "information.");
    return usable;
}

void check_enough(const std::vector<ClusterNode>& usable, size_t replication_factor) {
    const char* kind = "org.apache.kafka.common.errors.InvalidReplicationFactorException";
    if (usable.empty())
        throw JavaProblem{kind,
                          "All brokers are currently fenced, or have all their log "
                          "directories cordoned."};
    if (usable.size() < replication_factor)
        throw JavaProblem{
            kind, fmt::format("The target replication factor of {} cannot be reached because only "
                              "{} broker(s) are registered or some brokers have all their log "
                              "directories cordoned.",
                              replication_factor, usable.size())};
}

/// Brokers outside the list are gone as far as these topics are concerned.
placement::Snapshot snapshot_of(const Replicas& current, const std::vector<ClusterNode>& usable) {
    placement::Snapshot snapshot;
    std::set<int32_t> known;
    for (const ClusterNode& node : usable) {
        auto& broker = snapshot.brokers.emplace_back();
        broker.id = node.id;
        broker.labels =
            placement::labels_of_rack(node.rack.value_or("broker-" + std::to_string(node.id)));
        known.insert(node.id);
    }
    snapshot.axes = placement::axes_of_labels(snapshot.brokers);
    for (const auto& [partition, replicas] : current) {
        if (snapshot.topics.empty() || snapshot.topics.back().name != partition.topic)
            snapshot.topics.emplace_back().name = partition.topic;
        auto& entry = snapshot.topics.back().partitions.emplace_back();
        entry.partition = partition.partition;
        entry.replicas = replicas;
        entry.size_bytes = 1;  // all weigh the same: the fewest copies move
        for (const int32_t id : replicas) {
            if (!known.insert(id).second) continue;
            auto& gone = snapshot.brokers.emplace_back();
            gone.id = id;
            gone.state = placement::BrokerState::Dead;
        }
    }
    return snapshot;
}

Replicas proposed(const Replicas& current, const std::vector<ClusterNode>& usable) {
    if (current.empty()) return {};
    placement::Request request;
    request.balance = true;
    request.leaders = placement::Leaders::All;
    const auto outcome = placement::make_plan(snapshot_of(current, usable), request);
    if (outcome.refusal) throw operation_failed(outcome.refusal->message);
    Replicas targets = current;
    for (const placement::Change& change : outcome.plan.changes)
        targets[{change.name.topic, change.name.partition}] = change.to;
    return targets;
}

}  // namespace

void shim_generate(Client& client, const std::string& json, const std::string& brokers,
                   bool rack_aware) {
    const std::vector<int32_t> ids = parse_broker_list(brokers);
    const Replicas current = shim_topic_replicas(client, parse_topics_to_move(json));
    const auto dirs = shim_current_dirs(client, current);
    const std::vector<ClusterNode> usable = usable_nodes(client, ids, rack_aware);
    for (const auto& [partition, replicas] : current)
        check_enough(usable, replicas.size());
    const Replicas targets = proposed(current, usable);
    std::cout << fmt::format("Current partition replica assignment\n{}\n\n",
                             reassignment_json(current, dirs));
    std::cout << fmt::format("Proposed partition reassignment configuration\n{}\n",
                             reassignment_json(targets, {}));
}

}  // namespace millrace::cli
