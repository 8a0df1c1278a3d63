// tools/cli/shim_reassign_text.cc: what kafka-reassign-partitions.sh prints, and which throttles it
// sets.
#include "cli/shim_reassign_text.h"

#include <fmt/core.h>

#include "cli/reassign_json.h"
#include "cli/shim_java.h"

namespace millrace::cli {
namespace {

std::string state_line(const TopicPartition& partition, const ShimReassignmentState& state) {
    const std::string name = partition.to_string();
    if (!state.done) return fmt::format("Reassignment of partition {} is still in progress.", name);
    if (state.current == state.target)
        return fmt::format("Reassignment of partition {} is completed.", name);
    return fmt::format(
        "There is no active reassignment of partition {}, but replica set is {} rather than {}.",
        name, comma_list(state.current), comma_list(state.target));
}

std::string dir_move_line(const PartitionReplica& replica, const std::string& target,
                          const ReplicaDirs& dirs) {
    const std::string name = replica.partition.to_string();
    if (!dirs.current)
        return fmt::format(
            "Partition {} is not found in any live log dir on broker {}. There is "
            "likely an offline log directory on the broker.",
            name, replica.broker);
    if (!dirs.future && *dirs.current == target)
        return fmt::format("Reassignment of replica {} completed successfully.",
                           replica.to_string());
    if (!dirs.future)
        return fmt::format("Partition {} on broker {} is not being moved from log dir {} to {}.",
                           name, replica.broker, *dirs.current, target);
    if (*dirs.future == target)
        return fmt::format("Reassignment of replica {} is still in progress.", replica.to_string());
    return fmt::format("Partition {} on broker {} is being moved to log dir {} instead of {}.",
                       name, replica.broker, *dirs.future, target);
}

/// Kafka sorts "partition:broker" as text.
std::string component_list(const std::set<std::string>& components) {
    std::string text;
    for (const std::string& one : components)
        text += (text.empty() ? "" : ",") + one;
    return text;
}

}  // namespace

std::string states_text(const std::map<TopicPartition, ShimReassignmentState>& states) {
    std::string text = "Status of partition reassignment:";
    for (const auto& [partition, state] : states)
        text += "\n" + state_line(partition, state);
    return text;
}

bool dir_move_done(const ReplicaDirs& dirs) { return dirs.current && !dirs.future; }

std::string dir_moves_text(const std::map<PartitionReplica, std::string>& targets,
                           const std::map<PartitionReplica, ReplicaDirs>& found) {
    std::string text;
    for (const auto& [replica, target] : targets) {
        const auto dirs = found.find(replica);
        text += (text.empty() ? "" : "\n") +
                dir_move_line(replica, target, dirs == found.end() ? ReplicaDirs() : dirs->second);
    }
    return text;
}

std::string ongoing_text(const std::map<TopicPartition, OngoingReassignment>& ongoing) {
    if (ongoing.empty()) return "No partition reassignments found.";
    std::string text = "Current partition reassignments:";
    for (const auto& [partition, one] : ongoing) {
        text += fmt::format("\n{}: replicas: {}.", partition.to_string(), comma_list(one.replicas));
        if (!one.adding.empty()) text += fmt::format(" adding: {}.", comma_list(one.adding));
        if (!one.removing.empty()) text += fmt::format(" removing: {}.", comma_list(one.removing));
    }
    return text;
}

std::string names_of(const std::set<TopicPartition>& partitions) {
    std::string text;
    for (const TopicPartition& one : partitions)
        text += (text.empty() ? "" : ",") + one.to_string();
    return text;
}

std::string refusals_text(const std::map<TopicPartition, KafkaRefusal>& refusals) {
    std::string text;
    for (const auto& [partition, refusal] : refusals)
        text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", partition.to_string(),
                            java_message(refusal.error_code, refusal.message));
    return text;
}

ShimMoves proposed_moves(const std::map<TopicPartition, OngoingReassignment>& ongoing,
                         const std::map<TopicPartition, std::vector<int32_t>>& proposed,
                         const std::map<TopicPartition, std::vector<int32_t>>& current) {
    ShimMoves moves;
    for (const auto& [partition, one] : ongoing) {
        ShimMove& move = moves[partition];
        move.sources = {one.replicas.begin(), one.replicas.end()};
        move.destinations = {one.adding.begin(), one.adding.end()};
        for (const int32_t id : one.adding)
            move.sources.erase(id);
    }
    for (const auto& [partition, replicas] : proposed) {
        ShimMove& move = moves[partition];
        if (!ongoing.contains(partition)) {
            const auto now = current.find(partition);
            if (now != current.end()) move.sources = {now->second.begin(), now->second.end()};
        }
        move.destinations = {replicas.begin(), replicas.end()};
        for (const int32_t id : move.sources)
            move.destinations.erase(id);
    }
    return moves;
}

std::vector<ResourceChange> throttled_topics(const ShimMoves& moves) {
    std::map<std::string, std::pair<std::set<std::string>, std::set<std::string>>> topics;
    for (const auto& [partition, move] : moves) {
        auto& [leaders, followers] = topics[partition.topic];
        for (const int32_t id : move.sources)
            leaders.insert(fmt::format("{}:{}", partition.partition, id));
        for (const int32_t id : move.destinations)
            followers.insert(fmt::format("{}:{}", partition.partition, id));
    }
    std::vector<ResourceChange> changes;
    for (const auto& [topic, lists] : topics) {
        changes.push_back(
            {kTopicResource,
             topic,
             {{"leader.replication.throttled.replicas", 0, component_list(lists.first)},
              {"follower.replication.throttled.replicas", 0, component_list(lists.second)}}});
    }
    return changes;
}

std::vector<ResourceChange> throttled_brokers(const ShimMoves& moves, int64_t bytes_per_second) {
    std::set<int32_t> brokers;
    for (const auto& [partition, move] : moves) {
        brokers.insert(move.sources.begin(), move.sources.end());
        brokers.insert(move.destinations.begin(), move.destinations.end());
    }
    std::vector<ResourceChange> changes;
    const std::string rate = std::to_string(bytes_per_second);
    for (const int32_t id : brokers) {
        changes.push_back({kBrokerResource,
                           std::to_string(id),
                           {{"leader.replication.throttled.rate", 0, rate},
                            {"follower.replication.throttled.rate", 0, rate}}});
    }
    return changes;
}

}  // namespace millrace::cli
