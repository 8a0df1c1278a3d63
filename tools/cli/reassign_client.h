// tools/cli/reassign_client.h: the requests of moving partitions, and their answers as plain maps.
//
// Shared by Kafka's tool as we play it and by our own commands. A refusal of the whole request is
// a Failure; refusals of single partitions are in the answer.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/alter_configs.h"
#include "cli/client.h"
#include "cli/offsets.h"

namespace millrace::cli {

/// One copy of a partition. Sorted by broker first, as Kafka's tool prints.
struct PartitionReplica {
    int32_t broker = 0;
    TopicPartition partition;
    auto operator<=>(const PartitionReplica&) const = default;
    std::string to_string() const { return partition.to_string() + "-" + std::to_string(broker); }
};

struct OngoingReassignment {
    std::vector<int32_t> replicas;  // the adding ones are among them
    std::vector<int32_t> adding;
    std::vector<int32_t> removing;
};

/// Why a single partition was refused.
struct KafkaRefusal {
    int16_t error_code = 0;
    std::string message;  // the broker's, or empty
};

/// Where a copy lies and where it is moved to.
struct ReplicaDirs {
    std::optional<std::string> current;
    std::optional<std::string> future;
    int64_t current_bytes = 0;
    int64_t future_bytes = 0;
};

struct ClusterNode {
    int32_t id = 0;
    std::optional<std::string> rack;
    bool fenced = false;
    std::string host{};
    int port = 0;
};

struct ResourceChange {
    int8_t type = 0;  // ConfigResource.Type
    std::string name;
    std::vector<ConfigChange> changes;
};
inline constexpr int8_t kTopicResource = 2;
inline constexpr int8_t kBrokerResource = 4;

/// In the order in which the broker answered: Kafka's tool shows it.
std::vector<ClusterNode> cluster_nodes(Client& client, bool include_fenced = false);
/// All, or those of these partitions.
std::map<TopicPartition, OngoingReassignment> list_reassignments(
    Client& client, const std::optional<std::set<TopicPartition>>& partitions = std::nullopt);
/// Nothing as the target cancels. The partitions that were refused.
std::map<TopicPartition, KafkaRefusal> alter_reassignments(
    Client& client, const std::map<TopicPartition, std::optional<std::vector<int32_t>>>& targets,
    bool allow_replication_factor_change = true);
/// Asks each broker for its copies; a copy that the broker does not have has no directory.
std::map<PartitionReplica, ReplicaDirs> replica_dirs(Client& client,
                                                     const std::set<PartitionReplica>& replicas);
/// Error codes of all, 0 for those that were accepted.
std::map<PartitionReplica, int16_t> move_replica_dirs(
    Client& client, const std::map<PartitionReplica, std::string>& targets);
/// Brokers are asked themselves, the rest anywhere. The first refusal is a Failure.
void alter_resources(Client& client, const std::vector<ResourceChange>& resources);

}  // namespace millrace::cli
