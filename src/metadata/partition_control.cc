// src/metadata/partition_control.cc: AlterPartition, ElectLeaders, AssignReplicasToDirs, sweeps.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "metadata/commands.h"
#include "metadata/make_records.h"
#include "metadata/wire_nodes.h"

namespace millrace::metadata {

namespace {

using AlterRequest = wire::AlterPartitionRequest;
using AlterResponse = wire::AlterPartitionResponse;

std::vector<NodeId> without(const std::vector<NodeId>& nodes, NodeId a, NodeId b) {
    std::vector<NodeId> left;
    for (NodeId node : nodes) {
        if (node != a && node != b) left.push_back(node);
    }
    return left;
}

/// All distinct, all of `replicas`.
bool valid_isr(const PartitionImage& partition, const std::vector<NodeId>& isr) {
    std::set<NodeId> seen;
    return std::all_of(isr.begin(), isr.end(), [&](NodeId node) {
        return partition.has_replica(node) && seen.insert(node).second;
    });
}

bool eligible_for_isr(const CommandContext& context, const AlterRequest::BrokerState& state) {
    const BrokerImage* broker = context.image().cluster.broker(NodeId(state.broker_id));
    if (broker == nullptr || !broker->active()) return false;
    return state.broker_epoch == -1 || broker->epoch.value == state.broker_epoch;
}

/// Versions below 3 name the ISR without epochs.
std::vector<AlterRequest::BrokerState> proposed_isr(const AlterRequest::PartitionData& data) {
    if (data.new_isr.empty()) return data.new_isr_with_epochs;
    std::vector<AlterRequest::BrokerState> states;
    for (int32_t id : data.new_isr) {
        auto& state = states.emplace_back();
        state.broker_id = id;
        state.broker_epoch = -1;
    }
    return states;
}

/// kraft.md 2.5: the first rule that fails.
ErrorCode check_alter_partition(const CommandContext& context, NodeId sender,
                                const PartitionImage* partition,
                                const AlterRequest::PartitionData& data) {
    if (partition == nullptr) return ErrorCode::UnknownTopicOrPartition;
    if (data.leader_epoch > partition->leader_epoch.value) return ErrorCode::NotController;
    if (data.partition_epoch > partition->partition_epoch) return ErrorCode::NotController;
    if (data.leader_epoch < partition->leader_epoch.value) return ErrorCode::FencedLeaderEpoch;
    if (sender != partition->leader) return ErrorCode::InvalidRequest;
    if (data.partition_epoch < partition->partition_epoch) return ErrorCode::InvalidUpdateVersion;
    const auto proposed = proposed_isr(data);
    std::vector<NodeId> isr;
    for (const auto& state : proposed)
        isr.emplace_back(state.broker_id);
    if (!valid_isr(*partition, isr)) return ErrorCode::InvalidRequest;
    if (std::find(isr.begin(), isr.end(), partition->leader) == isr.end()) {
        return ErrorCode::InvalidRequest;
    }
    const bool recovering = data.leader_recovery_state == 1;
    if (data.leader_recovery_state < 0 || data.leader_recovery_state > 1) {
        return ErrorCode::InvalidRequest;
    }
    if (recovering && isr.size() > 1) return ErrorCode::InvalidRequest;
    if (recovering && partition->recovery == LeaderRecoveryState::Recovered) {
        return ErrorCode::InvalidRequest;
    }
    for (const auto& state : proposed) {
        if (!eligible_for_isr(context, state)) return ErrorCode::IneligibleReplica;
    }
    return ErrorCode::None;
}

AlterResponse::PartitionData alter_one(const CommandContext& context, NodeId sender,
                                       const TopicImage& topic,
                                       const AlterRequest::PartitionData& data,
                                       std::vector<Record>& records) {
    AlterResponse::PartitionData result;
    result.partition_index = data.partition_index;
    const PartitionKey key{topic.id, PartitionIndex(data.partition_index)};
    const PartitionImage* partition = topic.partition(key.index);
    const ErrorCode error = check_alter_partition(context, sender, partition, data);
    if (error != ErrorCode::None) {
        result.error_code = static_cast<int16_t>(error);
        return result;
    }
    PartitionTargets targets;
    targets.isr.emplace();
    for (const auto& state : proposed_isr(data))
        targets.isr->emplace_back(state.broker_id);
    targets.recovery = static_cast<LeaderRecoveryState>(data.leader_recovery_state);
    if (context.unclean_election(topic.name)) targets.election = ElectionMode::Unclean;
    PartitionImage next = *partition;
    const auto change = decide_partition_change(
        *partition, targets, {context.image().cluster, *partition}, context.election_rules(topic));
    if (change) {
        records.push_back(make_partition_change(key, *change, context.metadata_version()));
        next = merge_partition(*partition, *change);
        if (change->leader != sender && change->leader != kLeaderUnchanged) {
            result.error_code = static_cast<int16_t>(ErrorCode::NewLeaderElected);
            return result;
        }
    }
    result.leader_id = next.leader.value;
    result.leader_epoch = next.leader_epoch.value;
    result.isr = to_numbers(next.isr);
    result.leader_recovery_state = static_cast<int8_t>(next.recovery);
    result.partition_epoch = next.partition_epoch;
    return result;
}

enum class ElectionType : int8_t { Preferred = 0, Unclean = 1 };

ApiError elect_one(const CommandContext& context, const TopicImage* topic, std::string_view name,
                   PartitionIndex index, ElectionType type, std::vector<Record>& records) {
    if (topic == nullptr) {
        return {ErrorCode::UnknownTopicOrPartition, fmt::format("No such topic as {}", name)};
    }
    const PartitionImage* partition = topic->partition(index);
    if (partition == nullptr) {
        return {ErrorCode::UnknownTopicOrPartition,
                fmt::format("No such partition as {}-{}", name, index.value)};
    }
    const bool preferred = type == ElectionType::Preferred;
    const NodeId first = partition->replicas.empty() ? kNoNode : partition->replicas[0];
    const bool needless = preferred ? partition->leader == first : partition->has_leader();
    // No texts: clients know these.
    if (needless) return {ErrorCode::ElectionNotNeeded, std::nullopt};
    PartitionTargets targets;
    targets.election = preferred ? ElectionMode::Preferred : ElectionMode::Unclean;
    const auto change = decide_partition_change(
        *partition, targets, {context.image().cluster, *partition}, context.election_rules(*topic));
    if (!change) {
        return {preferred ? ErrorCode::PreferredLeaderNotAvailable
                          : ErrorCode::EligibleLeadersNotAvailable,
                std::nullopt};
    }
    records.push_back(
        make_partition_change({topic->id, index}, *change, context.metadata_version()));
    return {};
}

void add_election_result(wire::ElectLeadersResponse::ReplicaElectionResult& results,
                         PartitionIndex index, const ApiError& error) {
    auto& result = results.partition_result.emplace_back();
    result.partition_id = index.value;
    result.error_code = error.number();
    result.error_message = error.message;
}

}  // namespace

void update_leaders(const CommandContext& context, const std::vector<PartitionKey>& keys,
                    NodeId removed, NodeId added, NodeId unclean, std::vector<Record>& records) {
    const TopicImage* topic = nullptr;
    ElectionRules rules;
    PartitionTargets targets;
    for (const PartitionKey& key : keys) {
        if (topic == nullptr || topic->id != key.topic) {  // keys come topic by topic
            topic = context.image().topics.find(key.topic);
            MILLRACE_ASSERT(topic != nullptr, "an indexed partition has a topic");
            rules = context.election_rules(*topic);
            targets.election = context.unclean_election(topic->name) ? ElectionMode::Unclean
                                                                     : ElectionMode::Online;
        }
        const PartitionImage* partition = topic->partition(key.index);
        MILLRACE_ASSERT(partition != nullptr, "an indexed partition exists");
        targets.isr = without(partition->isr, removed, unclean);
        targets.unclean_shutdown = unclean;
        const LeaderAcceptor acceptor{context.image().cluster, *partition,
                                      unclean != kNoNode ? unclean : removed, added};
        if (const auto change = decide_partition_change(*partition, targets, acceptor, rules)) {
            records.push_back(make_partition_change(key, *change, context.metadata_version()));
        }
    }
}

std::vector<Record> balance_leaders(const CommandContext& context) {
    std::vector<Record> records;
    for (const PartitionKey& key : context.state.indexes.imbalanced(context.image())) {
        if (records.size() >= kElectionsPerSweepMax) break;
        const TopicImage* topic = context.image().topics.find(key.topic);
        const PartitionImage* partition = topic->partition(key.index);
        PartitionTargets targets;
        targets.election = ElectionMode::Preferred;
        const auto change =
            decide_partition_change(*partition, targets, {context.image().cluster, *partition},
                                    context.election_rules(*topic));
        if (change) {
            records.push_back(make_partition_change(key, *change, context.metadata_version()));
        }
    }
    return records;
}

std::vector<Record> elect_unclean_leaders(const CommandContext& context) {
    std::vector<Record> records;
    for (const PartitionKey& key : context.state.indexes.leaderless(context.image())) {
        if (records.size() >= kElectionsPerSweepMax) break;
        const TopicImage* topic = context.image().topics.find(key.topic);
        if (!context.unclean_election(topic->name)) continue;
        const ApiError ignored =
            elect_one(context, topic, topic->name, key.index, ElectionType::Unclean, records);
        static_cast<void>(ignored);  // the next sweep tries again
    }
    return records;
}

CommandResult run_command(const CommandContext& context,
                          const wire::AlterPartitionRequest& request) {
    AlterResponse response;
    CommandResult result;
    result.atomic = false;
    const NodeId sender(request.broker_id);
    const ApiError stale = context.check_broker_epoch(sender, BrokerEpoch(request.broker_epoch));
    if (stale.failed()) {
        response.error_code = stale.number();
        result.response = std::move(response);
        return result;
    }
    for (const auto& topic_data : request.topics) {
        auto& topic_result = response.topics.emplace_back();
        topic_result.topic_id = topic_data.topic_id;
        const TopicImage* topic = context.image().topics.find(topic_data.topic_id);
        for (const auto& data : topic_data.partitions) {
            if (topic == nullptr) {
                auto& unknown = topic_result.partitions.emplace_back();
                unknown.partition_index = data.partition_index;
                unknown.error_code = static_cast<int16_t>(ErrorCode::UnknownTopicId);
                continue;
            }
            topic_result.partitions.push_back(
                alter_one(context, sender, *topic, data, result.records));
        }
    }
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context, const wire::ElectLeadersRequest& request) {
    wire::ElectLeadersResponse response;
    CommandResult result;
    result.atomic = false;
    if (request.election_type != 0 && request.election_type != 1) {
        result.response =
            error_reply(ControllerRequest(request),
                        {ErrorCode::InvalidRequest,
                         fmt::format("Unknown election type {}", int{request.election_type})});
        return result;
    }
    const auto type = static_cast<ElectionType>(request.election_type);
    const TopicsImage& topics = context.image().topics;
    if (!request.topic_partitions) {
        // All partitions; those that need no election are left out of the reply.
        for (const auto& [name, id] : topics.ids_by_name) {
            auto& results = response.replica_election_results.emplace_back();
            results.topic = name;
            const TopicImage* topic = topics.find(id);
            for (const auto& [index, partition] : topic->partitions) {
                const ApiError error = elect_one(context, topic, name, index, type, result.records);
                if (error.code != ErrorCode::ElectionNotNeeded) {
                    add_election_result(results, index, error);
                }
            }
        }
    } else {
        for (const auto& wanted : *request.topic_partitions) {
            auto& results = response.replica_election_results.emplace_back();
            results.topic = wanted.topic;
            const TopicImage* topic = topics.find(std::string_view(wanted.topic));
            for (int32_t number : wanted.partitions) {
                const PartitionIndex index(number);
                add_election_result(
                    results, index,
                    elect_one(context, topic, wanted.topic, index, type, result.records));
            }
        }
    }
    result.response = std::move(response);
    return result;
}

namespace {

/// One replica's new directory; adds the partition to `offline` when that directory is not online.
ErrorCode assign_directory(const CommandContext& context, const BrokerImage& broker,
                           const TopicImage* topic, PartitionIndex index, const Uuid& directory,
                           std::vector<Record>& records, std::vector<PartitionKey>& offline) {
    if (topic == nullptr) return ErrorCode::UnknownTopicId;
    const PartitionImage* partition = topic->partition(index);
    if (partition == nullptr) return ErrorCode::UnknownTopicOrPartition;
    if (!partition->has_replica(broker.id)) return ErrorCode::NotLeaderOrFollower;
    PartitionTargets targets;
    targets.directory = {broker.id, directory};
    const auto change = decide_partition_change(
        *partition, targets, {context.image().cluster, *partition}, context.election_rules(*topic));
    const PartitionKey key{topic->id, index};
    if (change) {
        records.push_back(make_partition_change(key, *change, context.metadata_version()));
    }
    if (!broker.directory_online(directory)) offline.push_back(key);
    return ErrorCode::None;
}

}  // namespace

CommandResult run_command(const CommandContext& context,
                          const wire::AssignReplicasToDirsRequest& request) {
    CommandResult result;
    result.atomic = false;
    ApiError error;
    if (context.metadata_version() < kMvDirectories) {
        error = {ErrorCode::UnsupportedVersion, "Directory assignment is not supported yet."};
    } else {
        error = context.check_broker_epoch(NodeId(request.broker_id),
                                           BrokerEpoch(request.broker_epoch));
    }
    if (error.failed()) {
        result.response = error_reply(ControllerRequest(request), error);
        return result;
    }
    const BrokerImage& broker = *context.image().cluster.broker(NodeId(request.broker_id));
    wire::AssignReplicasToDirsResponse response;
    std::vector<PartitionKey> offline;
    for (const auto& directory : request.directories) {
        auto& directory_result = response.directories.emplace_back();
        directory_result.id = directory.id;
        for (const auto& topic_data : directory.topics) {
            auto& topic_result = directory_result.topics.emplace_back();
            topic_result.topic_id = topic_data.topic_id;
            const TopicImage* topic = context.image().topics.find(topic_data.topic_id);
            for (const auto& data : topic_data.partitions) {
                auto& partition_result = topic_result.partitions.emplace_back();
                partition_result.partition_index = data.partition_index;
                partition_result.error_code = static_cast<int16_t>(
                    assign_directory(context, broker, topic, PartitionIndex(data.partition_index),
                                     directory.id, result.records, offline));
            }
        }
    }
    std::sort(offline.begin(), offline.end());
    offline.erase(std::unique(offline.begin(), offline.end()), offline.end());
    update_leaders(context, offline, broker.id, kNoNode, kNoNode, result.records);
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
