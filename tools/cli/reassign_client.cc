// tools/cli/reassign_client.cc: the requests of moving partitions, and their answers as plain maps.
#include "cli/reassign_client.h"

#include <fmt/core.h>

#include "millrace/wire/gen/alter_partition_reassignments_request.h"
#include "millrace/wire/gen/alter_partition_reassignments_response.h"
#include "millrace/wire/gen/alter_replica_log_dirs_request.h"
#include "millrace/wire/gen/alter_replica_log_dirs_response.h"
#include "millrace/wire/gen/describe_cluster_request.h"
#include "millrace/wire/gen/describe_cluster_response.h"
#include "millrace/wire/gen/describe_log_dirs_request.h"
#include "millrace/wire/gen/describe_log_dirs_response.h"
#include "millrace/wire/gen/incremental_alter_configs_request.h"
#include "millrace/wire/gen/incremental_alter_configs_response.h"
#include "millrace/wire/gen/list_partition_reassignments_request.h"
#include "millrace/wire/gen/list_partition_reassignments_response.h"

namespace millrace::cli {
namespace {

/// Appends to the last element when it has that name already: keys come sorted by topic.
template <class Topic>
Topic& topic_entry(std::vector<Topic>& topics, std::string Topic::*member,
                   const std::string& name) {
    if (topics.empty() || topics.back().*member != name) topics.emplace_back().*member = name;
    return topics.back();
}

[[noreturn]] void refused(int16_t error_code, const std::optional<std::string>& message) {
    const auto code = error_code_from(error_code).value_or(ErrorCode::UnknownServerError);
    throw Failure{exit_code_of(code), error_text(error_code, message), "", error_code,
                  message.value_or("")};
}

void note_dirs(const wire::DescribeLogDirsResponse& response, int32_t broker,
               std::map<PartitionReplica, ReplicaDirs>& found) {
    for (const auto& directory : response.results) {
        if (directory.error_code != 0) continue;
        for (const auto& topic : directory.topics) {
            for (const auto& partition : topic.partitions) {
                const auto entry = found.find({broker, {topic.name, partition.partition_index}});
                if (entry == found.end()) continue;
                ReplicaDirs& dirs = entry->second;
                (partition.is_future_key ? dirs.future : dirs.current) = directory.log_dir;
                (partition.is_future_key ? dirs.future_bytes : dirs.current_bytes) =
                    partition.partition_size;
            }
        }
    }
}

}  // namespace

std::vector<ClusterNode> cluster_nodes(Client& client, bool include_fenced) {
    Connection& connection = client.any();
    const int16_t version = connection.version_of<wire::DescribeClusterRequest>();
    wire::DescribeClusterRequest request;
    request.include_fenced_brokers = include_fenced && version >= 2;
    const auto response =
        connection.ask<wire::DescribeClusterResponse>(request, version, client.deadline());
    if (response.error_code != 0) refused(response.error_code, response.error_message);
    std::vector<ClusterNode> nodes;
    for (const auto& broker : response.brokers)
        nodes.push_back(
            {broker.broker_id, broker.rack, broker.is_fenced, broker.host, broker.port});
    return nodes;
}

std::map<TopicPartition, OngoingReassignment> list_reassignments(
    Client& client, const std::optional<std::set<TopicPartition>>& partitions) {
    using Request = wire::ListPartitionReassignmentsRequest;
    Request request;
    request.topics.reset();
    if (partitions) {
        auto& topics = request.topics.emplace();
        for (const TopicPartition& one : *partitions)
            topic_entry(topics, &Request::ListPartitionReassignmentsTopics::name, one.topic)
                .partition_indexes.push_back(one.partition);
    }
    const auto response = client.ask<wire::ListPartitionReassignmentsResponse>(request);
    if (response.error_code != 0) refused(response.error_code, response.error_message);
    std::map<TopicPartition, OngoingReassignment> found;
    for (const auto& topic : response.topics) {
        for (const auto& one : topic.partitions)
            found[{topic.name, one.partition_index}] = {one.replicas, one.adding_replicas,
                                                        one.removing_replicas};
    }
    return found;
}

std::map<TopicPartition, KafkaRefusal> alter_reassignments(
    Client& client, const std::map<TopicPartition, std::optional<std::vector<int32_t>>>& targets,
    bool allow_replication_factor_change) {
    using Request = wire::AlterPartitionReassignmentsRequest;
    if (targets.empty()) return {};
    Request request;
    request.allow_replication_factor_change = allow_replication_factor_change;
    for (const auto& [partition, replicas] : targets) {
        auto& entry =
            topic_entry(request.topics, &Request::ReassignableTopic::name, partition.topic)
                .partitions.emplace_back();
        entry.partition_index = partition.partition;
        entry.replicas = replicas;
    }
    const auto response = client.ask<wire::AlterPartitionReassignmentsResponse>(request);
    std::map<TopicPartition, KafkaRefusal> refusals;
    if (response.error_code != 0) {
        for (const auto& [partition, replicas] : targets)
            refusals[partition] = {response.error_code, response.error_message.value_or("")};
        return refusals;
    }
    for (const auto& topic : response.responses) {
        for (const auto& one : topic.partitions) {
            if (one.error_code == 0) continue;
            refusals[{topic.name, one.partition_index}] = {one.error_code,
                                                           one.error_message.value_or("")};
        }
    }
    return refusals;
}

std::map<PartitionReplica, ReplicaDirs> replica_dirs(Client& client,
                                                     const std::set<PartitionReplica>& replicas) {
    using Request = wire::DescribeLogDirsRequest;
    std::map<int32_t, Request> requests;
    std::map<PartitionReplica, ReplicaDirs> found;
    for (const PartitionReplica& replica : replicas) {
        auto& topics = *requests.try_emplace(replica.broker).first->second.topics;
        topic_entry(topics, &Request::DescribableLogDirTopic::topic, replica.partition.topic)
            .partitions.push_back(replica.partition.partition);
        found[replica];
    }
    for (const auto& [broker, request] : requests) {
        const auto response = client.ask_node<wire::DescribeLogDirsResponse>(broker, request);
        if (response.error_code != 0) refused(response.error_code, std::nullopt);
        note_dirs(response, broker, found);
    }
    return found;
}

std::map<PartitionReplica, int16_t> move_replica_dirs(
    Client& client, const std::map<PartitionReplica, std::string>& targets) {
    using Request = wire::AlterReplicaLogDirsRequest;
    std::map<int32_t, std::map<std::string, std::set<TopicPartition>>> by_broker;
    for (const auto& [replica, path] : targets)
        by_broker[replica.broker][path].insert(replica.partition);
    std::map<PartitionReplica, int16_t> results;
    for (const auto& [broker, paths] : by_broker) {
        Request request;
        for (const auto& [path, partitions] : paths) {
            auto& directory = request.dirs.emplace_back();
            directory.path = path;
            for (const TopicPartition& one : partitions)
                topic_entry(directory.topics, &Request::AlterReplicaLogDirTopic::name, one.topic)
                    .partitions.push_back(one.partition);
        }
        const auto response = client.ask_node<wire::AlterReplicaLogDirsResponse>(broker, request);
        for (const auto& topic : response.results) {
            for (const auto& one : topic.partitions)
                results[{broker, {topic.topic_name, one.partition_index}}] = one.error_code;
        }
    }
    return results;
}

void alter_resources(Client& client, const std::vector<ResourceChange>& resources) {
    using Request = wire::IncrementalAlterConfigsRequest;
    std::map<std::string, Request> requests;  // "" for those that any broker takes
    for (const ResourceChange& one : resources) {
        const bool broker = one.type == kBrokerResource && !one.name.empty();
        auto& resource = requests[broker ? one.name : ""].resources.emplace_back();
        resource.resource_type = one.type;
        resource.resource_name = one.name;
        for (const ConfigChange& change : one.changes) {
            auto& config = resource.configs.emplace_back();
            config.name = change.key;
            config.config_operation = change.operation;
            config.value = change.value;
            if (change.operation == 1) config.value.reset();
        }
    }
    using Response = wire::IncrementalAlterConfigsResponse;
    for (const auto& [broker, request] : requests) {
        const Response response =
            broker.empty() ? client.ask<Response>(request)
                           : client.ask_node<Response>(std::atoi(broker.c_str()), request);
        for (const auto& result : response.responses) {
            if (result.error_code != 0) refused(result.error_code, result.error_message);
        }
    }
}

}  // namespace millrace::cli
