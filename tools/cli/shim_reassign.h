// tools/cli/shim_reassign.h: the actions of kafka-reassign-partitions.sh.
//
// Each prints to standard output and throws JavaProblem where Kafka's tool throws.
#pragma once

#include <string>

#include "cli/reassign_json.h"

namespace millrace::cli {

struct ShimExecution {
    bool additional = false;
    int64_t throttle = -1;
    int64_t dir_throttle = -1;
    int64_t timeout_ms = 10'000;
    bool disallow_replication_factor_change = false;
};

/// Bytes of the whole file; NoSuchFileException where there is none.
std::string shim_read_file(const std::string& path);

void shim_execute(Client& client, const std::string& json, const ShimExecution& how);
void shim_verify(Client& client, const std::string& json, bool preserve_throttles);
void shim_cancel(Client& client, const std::string& json, bool preserve_throttles,
                 int64_t timeout_ms);
void shim_generate(Client& client, const std::string& json, const std::string& brokers,
                   bool rack_aware);

/// The replicas of these topics; their absence is a JavaProblem.
std::map<TopicPartition, std::vector<int32_t>> shim_topic_replicas(
    Client& client, const std::vector<std::string>& topics);
/// Where the copies on living brokers lie.
std::map<PartitionReplica, std::string> shim_current_dirs(
    Client& client, const std::map<TopicPartition, std::vector<int32_t>>& partitions);
/// Tells brokers to move copies until all have accepted, or the time is over.
void shim_start_dir_moves(Client& client, std::map<PartitionReplica, std::string> pending,
                          int64_t timeout_ms);

}  // namespace millrace::cli
