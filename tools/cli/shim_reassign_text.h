// tools/cli/shim_reassign_text.h: what kafka-reassign-partitions.sh prints, and which throttles it
// sets; no broker asked.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/reassign_client.h"

namespace millrace::cli {

/// PartitionReassignmentState.
struct ShimReassignmentState {
    std::vector<int32_t> current;
    std::vector<int32_t> target;
    bool done = false;
};
std::string states_text(const std::map<TopicPartition, ShimReassignmentState>& states);

/// LogDirMoveState, told from the directories that the broker knows.
bool dir_move_done(const ReplicaDirs& dirs);
std::string dir_moves_text(const std::map<PartitionReplica, std::string>& targets,
                           const std::map<PartitionReplica, ReplicaDirs>& found);

std::string ongoing_text(const std::map<TopicPartition, OngoingReassignment>& ongoing);

/// "t-0,t-1"
std::string names_of(const std::set<TopicPartition>& partitions);
/// One "t-0: message" a line.
std::string refusals_text(const std::map<TopicPartition, KafkaRefusal>& refusals);

/// Who sends and who receives while a partition moves.
struct ShimMove {
    std::set<int32_t> sources;
    std::set<int32_t> destinations;
};
using ShimMoves = std::map<TopicPartition, ShimMove>;

ShimMoves proposed_moves(const std::map<TopicPartition, OngoingReassignment>& ongoing,
                         const std::map<TopicPartition, std::vector<int32_t>>& proposed,
                         const std::map<TopicPartition, std::vector<int32_t>>& current);
/// The lists of throttled replicas of every topic that moves.
std::vector<ResourceChange> throttled_topics(const ShimMoves& moves);
/// The rates of every broker that takes part.
std::vector<ResourceChange> throttled_brokers(const ShimMoves& moves, int64_t bytes_per_second);

}  // namespace millrace::cli
