// tools/cli/shim_reassign_execute.cc: --execute, --verify and --cancel of
// kafka-reassign-partitions.sh.
#include <fmt/core.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include "cli/shim_java.h"
#include "cli/shim_reassign.h"
#include "cli/shim_reassign_text.h"

namespace millrace::cli {
namespace {

using Replicas = std::map<TopicPartition, std::vector<int32_t>>;

constexpr const char* kUnknownTopic =
    "org.apache.kafka.common.errors.UnknownTopicOrPartitionException";
constexpr auto kRetryPause = std::chrono::milliseconds(100);

/// Kafka's client does not ask for a topic without a name.
void check_names(const std::vector<std::string>& topics) {
    if (std::find(topics.begin(), topics.end(), "") != topics.end())
        throw execution_failed("org.apache.kafka.common.errors.InvalidTopicException",
                               "The given topic name '' cannot be represented in a request.");
}

std::vector<int32_t> ids_of(const std::vector<ClusterNode>& nodes) {
    std::vector<int32_t> ids;
    for (const ClusterNode& node : nodes)
        ids.push_back(node.id);
    return ids;
}

/// Adds ids that are not there yet, as they come.
void add_new(std::vector<int32_t>& ids, std::set<int32_t>& seen, const std::vector<int32_t>& more) {
    for (const int32_t id : more) {
        if (seen.insert(id).second) ids.push_back(id);
    }
}

template <class Rows>
std::vector<int32_t> brokers_of(const Rows& rows) {
    std::vector<int32_t> brokers;
    std::set<int32_t> seen;
    for (const auto& [partition, replicas] : rows)
        add_new(brokers, seen, replicas);
    return brokers;
}

/// The keys of a HashMap into which the file's rows were collected.
std::vector<TopicPartition> hash_order(const Replicas& targets) {
    std::vector<TopicPartition> keys;
    for (const auto& [partition, replicas] : targets)
        keys.push_back(partition);
    return java_hash_order(keys);
}

void check_brokers_exist(Client& client, const Replicas& targets) {
    std::vector<int32_t> brokers;
    std::set<int32_t> seen;
    for (const TopicPartition& partition : hash_order(targets))
        add_new(brokers, seen, targets.at(partition));
    const std::vector<int32_t> living = ids_of(cluster_nodes(client));
    const std::set<int32_t> known(living.begin(), living.end());
    for (const int32_t id : java_hash_order(brokers)) {
        if (!known.contains(id)) throw command_failed(fmt::format("Unknown broker id {}", id));
    }
}

std::vector<std::string> topics_of(const std::vector<TopicPartition>& partitions) {
    std::vector<std::string> topics;
    std::set<std::string> seen;
    for (const TopicPartition& one : partitions) {
        if (seen.insert(one.topic).second) topics.push_back(one.topic);
    }
    return java_hash_order(topics);
}

/// What the partitions of the plan have now; a Problem when one does not exist.
Replicas current_replicas(Client& client, const Replicas& targets) {
    const auto order = hash_order(targets);
    const Replicas all = shim_topic_replicas(client, topics_of(order));
    Replicas current;
    std::vector<TopicPartition> missing;
    for (const TopicPartition& partition : order) {
        const auto found = all.find(partition);
        if (found == all.end())
            missing.push_back(partition);
        else
            current.insert(*found);
    }
    if (missing.empty()) return current;
    std::string names;
    for (const TopicPartition& one : java_hash_order(missing, order.size() * 4 / 3 + 1))
        names += (names.empty() ? "" : ", ") + one.to_string();
    throw execution_failed(kUnknownTopic, "Unable to find partition: " + names);
}

void set_throttles(Client& client, const ShimExecution& how, const ShimMoves& moves,
                   const std::map<PartitionReplica, std::string>& dirs) {
    if (how.throttle < 0 && how.dir_throttle < 0) return;
    std::cout << "Warning: You must run --verify periodically, until the reassignment completes, "
                 "to ensure the throttle is removed.\n";
    if (how.throttle >= 0) {
        alter_resources(client, throttled_topics(moves));
        alter_resources(client, throttled_brokers(moves, how.throttle));
        std::cout << fmt::format("The inter-broker throttle limit was set to {} B/s\n",
                                 how.throttle);
    }
    if (how.dir_throttle < 0) return;
    std::map<int32_t, ResourceChange> changes;
    for (const auto& [replica, path] : dirs)
        changes[replica.broker] = {kBrokerResource,
                                   std::to_string(replica.broker),
                                   {{"replica.alter.log.dirs.io.max.bytes.per.second", 0,
                                     std::to_string(how.dir_throttle)}}};
    std::vector<ResourceChange> resources;
    for (auto& [id, change] : changes)
        resources.push_back(std::move(change));
    alter_resources(client, resources);
    std::cout << fmt::format("The replica-alter-dir throttle limit was set to {} B/s\n",
                             how.dir_throttle);
}

ShimReassignmentState state_of(const wire::MetadataResponse& metadata,
                               const TopicPartition& partition,
                               const std::vector<int32_t>& target) {
    for (const auto& topic : metadata.topics) {
        if (topic.name != partition.topic) continue;
        const auto code = error_code_from(topic.error_code);
        if (code == ErrorCode::UnknownTopicOrPartition) break;
        check_error(topic.error_code, std::nullopt, "");
        const auto count = static_cast<int64_t>(topic.partitions.size());
        if (count < partition.partition) break;
        for (const auto& one : topic.partitions) {
            if (one.partition_index == partition.partition)
                return {one.replica_nodes, target, true};
        }
        // Kafka's check lets the number that equals the count through.
        throw JavaProblem{
            "java.lang.IndexOutOfBoundsException",
            fmt::format("Index {} out of bounds for length {}", partition.partition, count)};
    }
    return {{}, target, true};
}

std::map<TopicPartition, ShimReassignmentState> find_states(
    Client& client, const Replicas& targets,
    const std::map<TopicPartition, OngoingReassignment>& ongoing) {
    std::set<std::string> names;
    for (const auto& [partition, replicas] : targets) {
        if (!ongoing.contains(partition)) names.insert(partition.topic);
    }
    const std::vector<std::string> topics(names.begin(), names.end());
    check_names(topics);
    wire::MetadataResponse metadata;
    if (!topics.empty()) metadata = client.metadata(topics);
    std::map<TopicPartition, ShimReassignmentState> states;
    for (const auto& [partition, target] : targets) {
        const auto found = ongoing.find(partition);
        states[partition] = found == ongoing.end()
                                ? state_of(metadata, partition, target)
                                : ShimReassignmentState{found->second.replicas, target, false};
    }
    return states;
}

std::set<PartitionReplica> keys_of(const std::map<PartitionReplica, std::string>& dirs) {
    std::set<PartitionReplica> keys;
    for (const auto& [replica, path] : dirs)
        keys.insert(replica);
    return keys;
}

/// One broker or topic after the other in the order of Java's sets; "s" unless it is one.
template <class Key, class Text>
void say_clearing(const char* level, const char* what, const std::vector<Key>& keys, Text text) {
    std::string names;
    for (size_t i = 0; i < keys.size(); ++i)
        names += (i == 0 ? "" : ",") + text(keys[i]);
    std::cout << fmt::format("Clearing {}-level throttles on {}{} {}\n", level, what,
                             keys.size() == 1 ? "" : "s", names);
}

void clear_throttles(Client& client, const ReassignmentFile& file) {
    std::vector<int32_t> brokers = ids_of(cluster_nodes(client));
    std::set<int32_t> seen(brokers.begin(), brokers.end());
    add_new(brokers, seen, brokers_of(file.rows));
    brokers = java_hash_order(brokers);
    say_clearing("broker", "broker", brokers, [](int32_t id) { return std::to_string(id); });
    std::vector<ResourceChange> changes;
    for (const int32_t id : brokers)
        changes.push_back({kBrokerResource,
                           std::to_string(id),
                           {{"leader.replication.throttled.rate", 1, ""},
                            {"follower.replication.throttled.rate", 1, ""},
                            {"replica.alter.log.dirs.io.max.bytes.per.second", 1, ""}}});
    alter_resources(client, changes);

    std::vector<TopicPartition> partitions;
    for (const auto& [partition, replicas] : file.rows)
        partitions.push_back(partition);
    const auto topics = topics_of(partitions);
    say_clearing("topic", "topic", topics, [](const std::string& name) { return name; });
    changes.clear();
    for (const std::string& topic : topics)
        changes.push_back({kTopicResource,
                           topic,
                           {{"leader.replication.throttled.replicas", 1, ""},
                            {"follower.replication.throttled.replicas", 1, ""}}});
    alter_resources(client, changes);
}

void cancel_ongoing(Client& client, const Replicas& targets) {
    std::set<TopicPartition> wanted;
    for (const auto& [partition, replicas] : targets) {
        check_names({partition.topic});
        wanted.insert(partition);
    }
    std::set<TopicPartition> active;
    std::map<TopicPartition, std::optional<std::vector<int32_t>>> cancels;
    for (const auto& [partition, one] : list_reassignments(client, wanted)) {
        if (one.adding.empty() && one.removing.empty()) continue;
        active.insert(partition);
        cancels[partition];
    }
    if (active.empty()) {
        std::cout << "None of the specified partition reassignments are active.\n";
        return;
    }
    if (const auto refusals = alter_reassignments(client, cancels); !refusals.empty())
        throw JavaProblem{"",
                          fmt::format("Error cancelling partition reassignment{} for:\n{}",
                                      refusals.size() == 1 ? "" : "s", refusals_text(refusals))};
    std::cout << fmt::format("Successfully cancelled partition reassignment{} for: {}\n",
                             active.size() == 1 ? "" : "s", names_of(active));
}

}  // namespace

void shim_execute(Client& client, const std::string& json, const ShimExecution& how) {
    const ReassignmentFile file = parse_reassignment(json);
    check_reassignment(file);
    const Replicas targets = file.targets();
    const auto ongoing = list_reassignments(client);
    if (!how.additional && !ongoing.empty())
        throw JavaProblem{
            "",
            "Cannot execute because there is an existing partition assignment.  Use --additional "
            "to override this and create a new partition assignment in addition to the existing "
            "one. The --additional flag can also be used to change the throttle by resubmitting "
            "the current reassignment."};
    check_brokers_exist(client, targets);
    const Replicas current = current_replicas(client, targets);
    std::cout << fmt::format(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the "
        "--reassignment-json-file option during rollback\n",
        reassignment_json(current, shim_current_dirs(client, current)));
    set_throttles(client, how, proposed_moves(ongoing, targets, current), file.dirs);
    std::map<TopicPartition, std::optional<std::vector<int32_t>>> wanted(targets.begin(),
                                                                         targets.end());
    if (const auto refusals =
            alter_reassignments(client, wanted, !how.disallow_replication_factor_change);
        !refusals.empty())
        throw JavaProblem{"", "Error reassigning partition(s):\n" + refusals_text(refusals)};
    std::set<TopicPartition> names;
    for (const auto& [partition, replicas] : targets)
        names.insert(partition);
    std::cout << fmt::format("Successfully started partition reassignment{} for {}\n",
                             names.size() == 1 ? "" : "s", names_of(names));
    if (!file.dirs.empty()) shim_start_dir_moves(client, file.dirs, how.timeout_ms);
}

void shim_verify(Client& client, const std::string& json, bool preserve_throttles) {
    const ReassignmentFile file = parse_reassignment(json);
    const auto ongoing = list_reassignments(client);
    std::cout << states_text(find_states(client, file.targets(), ongoing)) << '\n';
    const auto found = replica_dirs(client, keys_of(file.dirs));
    std::cout << dir_moves_text(file.dirs, found) << '\n';
    bool moving = !ongoing.empty();
    for (const auto& [replica, dirs] : found)
        moving = moving || !dir_move_done(dirs);
    if (!moving && !preserve_throttles) clear_throttles(client, file);
}

void shim_cancel(Client& client, const std::string& json, bool preserve_throttles,
                 int64_t timeout_ms) {
    const ReassignmentFile file = parse_reassignment(json);
    cancel_ongoing(client, file.targets());
    std::map<PartitionReplica, std::string> back;
    for (const auto& [replica, dirs] : replica_dirs(client, keys_of(file.dirs))) {
        if (dirs.current && dirs.future) back[replica] = *dirs.current;
    }
    if (back.empty())
        std::cout << "None of the specified partition moves are active.";
    else
        shim_start_dir_moves(client, back, timeout_ms);
    if (!preserve_throttles) clear_throttles(client, file);
}

Replicas shim_topic_replicas(Client& client, const std::vector<std::string>& topics) {
    if (topics.empty()) return {};
    check_names(topics);
    const auto metadata = client.metadata(topics);
    // The walk of the map of futures, which Kafka copies once: its capacity follows from the size.
    const auto order =
        java_hash_order(java_hash_order(topics, topics.size()), topics.size() * 4 / 3 + 1);
    Replicas replicas;
    for (const std::string& name : order) {
        for (const auto& topic : metadata.topics) {
            if (topic.name != name) continue;
            if (error_code_from(topic.error_code) == ErrorCode::UnknownTopicOrPartition)
                throw execution_failed(kUnknownTopic, fmt::format("Topic {} not found.", name));
            check_error(topic.error_code, std::nullopt, "");
            for (const auto& one : topic.partitions)
                replicas[{name, one.partition_index}] = one.replica_nodes;
        }
    }
    return replicas;
}

std::map<PartitionReplica, std::string> shim_current_dirs(Client& client,
                                                          const Replicas& partitions) {
    const std::vector<int32_t> ids = ids_of(cluster_nodes(client));
    const std::set<int32_t> living(ids.begin(), ids.end());
    std::set<PartitionReplica> wanted;
    for (const auto& [partition, replicas] : partitions) {
        for (const int32_t id : replicas) {
            if (living.contains(id)) wanted.insert({id, partition});
        }
    }
    std::map<PartitionReplica, std::string> dirs;
    for (const auto& [replica, found] : replica_dirs(client, wanted)) {
        if (found.current) dirs[replica] = *found.current;
    }
    return dirs;
}

void shim_start_dir_moves(Client& client, std::map<PartitionReplica, std::string> pending,
                          int64_t timeout_ms) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    for (;;) {
        client.renew();
        for (const auto& [replica, error] : move_replica_dirs(client, pending)) {
            if (error == wire_error(ErrorCode::ReplicaNotAvailable)) continue;
            if (error != 0)
                throw command_failed("Failed to alter dir for " + replica.to_string(),
                                     java_class(error) + ": " + java_message(error, ""));
            std::cout << fmt::format(
                "Successfully started moving log directory to {} for replica {} with broker {} \n",
                pending[replica], replica.partition.to_string(), replica.broker);
            pending.erase(replica);
        }
        if (pending.empty()) return;
        if (std::chrono::steady_clock::now() >= end) break;
        // The copy may have to arrive on its broker first.
        std::this_thread::sleep_for(kRetryPause);
    }
    std::string names;
    for (const auto& [replica, path] : pending)
        names += (names.empty() ? "" : ",") + replica.to_string();
    throw JavaProblem{"", fmt::format("Timed out before log directory move{} could be started "
                                      "for: {}",
                                      pending.size() == 1 ? "" : "s", names)};
}

}  // namespace millrace::cli
