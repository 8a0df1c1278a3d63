// src/metadata/reassignment.cc: AlterPartitionReassignments and ListPartitionReassignments.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "metadata/commands.h"
#include "metadata/make_records.h"
#include "metadata/wire_nodes.h"

namespace millrace::metadata {

namespace {

using Nodes = std::vector<NodeId>;
using Asked = wire::AlterPartitionReassignmentsRequest::ReassignablePartition;

Nodes without(const Nodes& nodes, const Nodes& gone) {
    Nodes left;
    for (NodeId node : nodes) {
        if (std::find(gone.begin(), gone.end(), node) == gone.end()) left.push_back(node);
    }
    return left;
}
Nodes sorted(Nodes nodes) {
    std::sort(nodes.begin(), nodes.end());
    return nodes;
}

/// Back to the replicas before the reassignment began.
ApiError cancel_targets(const CommandContext& context, const TopicImage& topic,
                        PartitionIndex index, const PartitionImage& partition,
                        PartitionTargets& targets) {
    if (!partition.is_reassigning()) {
        return {ErrorCode::NoReassignmentInProgress, std::nullopt};  // clients know the text
    }
    const bool unclean_allowed = context.unclean_election(topic.name);
    targets.replicas = without(partition.replicas, partition.adding);
    targets.isr = without(partition.isr, partition.adding);
    targets.removing.emplace();
    targets.adding.emplace();
    if (targets.isr->empty()) {
        if (targets.replicas->empty()) {
            return {ErrorCode::InvalidReplicaAssignment,
                    "Invalid replica assignment: addingReplicas contains all replicas."};
        }
        if (!unclean_allowed) {
            return {ErrorCode::InvalidReplicaAssignment,
                    fmt::format("Unable to revert partition assignment for {}:{} because it would "
                                "require an unclean leader election.",
                                topic.name, index.value)};
        }
        targets.isr->push_back(targets.replicas->front());
    }
    if (unclean_allowed) targets.election = ElectionMode::Unclean;
    return {};
}

/// Toward `wanted`: what is new is added, what is left over follows as being removed.
///
/// When a reassignment runs already, Kafka's controller counts the replicas that it adds as
/// members: a cancel would keep them, and going back to the old replicas never completes. Here, as
/// KIP-455 has it, "new" is what was not there before the first of these reassignments, and those
/// that nobody wants any more leave at once unless the ISR needs them.
void set_targets(const PartitionImage& partition, const Nodes& wanted, int32_t min_isr,
                 PartitionTargets& targets) {
    const Nodes before = without(partition.replicas, partition.adding);
    const Nodes unwanted = without(partition.adding, wanted);
    const Nodes isr = without(partition.isr, unwanted);
    const bool needed = isr.size() != partition.isr.size() &&
                        isr.size() < static_cast<size_t>(std::max(min_isr, 1));
    Nodes removing = sorted(without(needed ? partition.replicas : before, wanted));
    Nodes replicas = wanted;
    replicas.insert(replicas.end(), removing.begin(), removing.end());
    if (!needed && isr != partition.isr) targets.isr = isr;
    targets.replicas = std::move(replicas);
    targets.removing = std::move(removing);
    targets.adding = sorted(without(wanted, before));
}

ApiError change_targets(const CommandContext& context, const TopicImage& topic,
                        const PartitionImage& partition, const std::vector<int32_t>& asked,
                        bool allow_factor_change, PartitionTargets& targets) {
    ApiError error = check_manual_assignment(context, asked, std::nullopt);
    if (error.failed()) return error;
    if (!allow_factor_change) {
        const size_t factor = partition.is_reassigning()
                                  ? without(partition.replicas, partition.removing).size()
                                  : partition.replicas.size();
        if (factor != asked.size()) {
            return {ErrorCode::InvalidReplicationFactor,
                    fmt::format("The replication factor is changed from {} to {}", factor,
                                asked.size())};
        }
    }
    set_targets(partition, to_nodes(asked), context.election_rules(topic).min_isr, targets);
    return {};
}

ApiError reassign(const CommandContext& context, const std::string& name, const Asked& asked,
                  bool allow_factor_change, std::vector<Record>& records) {
    const TopicImage* topic = context.image().topics.find(std::string_view(name));
    if (topic == nullptr) {
        return {ErrorCode::UnknownTopicOrPartition,
                fmt::format("Unable to find a topic named {}.", name)};
    }
    const PartitionIndex index(asked.partition_index);
    const PartitionImage* partition = topic->partition(index);
    if (partition == nullptr) {
        return {ErrorCode::UnknownTopicOrPartition,
                fmt::format("Unable to find partition {}:{}.", name, index.value)};
    }
    PartitionTargets targets;
    const ApiError error =
        asked.replicas
            ? change_targets(context, *topic, *partition, *asked.replicas, allow_factor_change, targets)
            : cancel_targets(context, *topic, index, *partition, targets);
    if (error.failed()) return error;
    const auto change = decide_partition_change(
        *partition, targets, {context.image().cluster, *partition}, context.election_rules(*topic));
    if (change) {
        records.push_back(
            make_partition_change({topic->id, index}, *change, context.metadata_version()));
    }
    return {};
}

}  // namespace

CommandResult run_command(const CommandContext& context,
                          const wire::AlterPartitionReassignmentsRequest& request) {
    CommandResult result;
    result.atomic = false;
    wire::AlterPartitionReassignmentsResponse response;
    response.allow_replication_factor_change = request.allow_replication_factor_change;
    response.error_message = std::nullopt;
    for (const auto& topic : request.topics) {
        auto& topic_result = response.responses.emplace_back();
        topic_result.name = topic.name;
        for (const auto& partition : topic.partitions) {
            const ApiError error =
                reassign(context, topic.name, partition, request.allow_replication_factor_change,
                         result.records);
            auto& entry = topic_result.partitions.emplace_back();
            entry.partition_index = partition.partition_index;
            entry.error_code = error.number();
            entry.error_message = error.message;
        }
    }
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context,
                          const wire::ListPartitionReassignmentsRequest& request) {
    CommandResult result;
    wire::ListPartitionReassignmentsResponse response;
    response.error_message = std::nullopt;
    using Ongoing = wire::ListPartitionReassignmentsResponse::OngoingTopicReassignment;
    const auto add = [](Ongoing& topic, PartitionIndex index, const PartitionImage& partition) {
        auto& entry = topic.partitions.emplace_back();
        entry.partition_index = index.value;
        entry.replicas = to_numbers(partition.replicas);
        entry.adding_replicas = to_numbers(partition.adding);
        entry.removing_replicas = to_numbers(partition.removing);
    };
    if (!request.topics) {
        Uuid last;
        for (const PartitionKey& key : context.state.indexes.reassigning(context.image())) {
            const TopicImage* topic = context.image().topics.find(key.topic);
            if (response.topics.empty() || last != key.topic) {
                response.topics.emplace_back().name = topic->name;
                last = key.topic;
            }
            add(response.topics.back(), key.index, *topic->partition(key.index));
        }
    } else {
        for (const auto& wanted : *request.topics) {
            const TopicImage* topic = context.image().topics.find(std::string_view(wanted.name));
            if (topic == nullptr) continue;
            Ongoing ongoing;
            ongoing.name = topic->name;
            for (int32_t index : wanted.partition_indexes) {
                const PartitionImage* partition = topic->partition(PartitionIndex(index));
                if (partition != nullptr && partition->is_reassigning()) {
                    add(ongoing, PartitionIndex(index), *partition);
                }
            }
            if (!ongoing.partitions.empty()) response.topics.push_back(std::move(ongoing));
        }
    }
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
