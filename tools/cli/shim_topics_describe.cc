// tools/cli/shim_topics_describe.cc: kafka-topics.sh --describe.
#include <fmt/core.h>

#include <algorithm>
#include <iostream>

#include "cli/shim_java.h"
#include "cli/shim_topics.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"
#include "millrace/wire/gen/describe_topic_partitions_request.h"
#include "millrace/wire/gen/describe_topic_partitions_response.h"
#include "millrace/wire/gen/list_partition_reassignments_request.h"
#include "millrace/wire/gen/list_partition_reassignments_response.h"

namespace millrace::cli {
namespace {

constexpr int8_t kTopicResource = 2;
constexpr int8_t kDefaultSource = 5;
constexpr int32_t kPartitionsPerAnswer = 2000;

using Ids = std::vector<int32_t>;
using Moving = wire::ListPartitionReassignmentsResponse::OngoingPartitionReassignment;

struct Partition {
    int32_t index = 0;
    int32_t leader = -1;
    Ids replicas;
    Ids isr;
    std::optional<Ids> elr;
    std::optional<Ids> last_known_elr;
};

struct Topic {
    std::string name;
    Uuid id;
    std::vector<Partition> partitions;
};

struct Configs {
    std::string overrides;  // "a=b,c=d", in Java's order
    size_t min_isr = 1;
};

std::string joined(const Ids& ids) {
    std::string text;
    for (const int32_t id : ids)
        text += (text.empty() ? "" : ",") + std::to_string(id);
    return text;
}

std::map<std::string, Topic> from_metadata(Client& client, const std::vector<std::string>& names) {
    std::map<std::string, Topic> topics;
    for (const auto& found : client.metadata(names).topics) {
        Topic& topic = topics[found.name.value_or("")];
        topic.name = found.name.value_or("");
        topic.id = found.topic_id;
        for (const auto& p : found.partitions) {
            topic.partitions.push_back(
                {p.partition_index, p.leader_id, p.replica_nodes, p.isr_nodes, {}, {}});
        }
    }
    return topics;
}

/// Only this API knows eligible leader replicas; it answers in pages.
std::map<std::string, Topic> topics_of(Client& client, const std::vector<std::string>& names,
                                       int32_t limit) {
    if (!client.any().serves<wire::DescribeTopicPartitionsRequest>())
        return from_metadata(client, names);
    std::map<std::string, Topic> topics;
    wire::DescribeTopicPartitionsRequest request;
    request.response_partition_limit = limit;
    for (const std::string& name : names)
        request.topics.emplace_back().name = name;
    while (true) {
        const auto response = client.ask<wire::DescribeTopicPartitionsResponse>(request);
        for (const auto& found : response.topics) {
            check_error(found.error_code, std::nullopt, found.name.value_or(""));
            Topic& topic = topics[found.name.value_or("")];
            topic.name = found.name.value_or("");
            topic.id = found.topic_id;
            for (const auto& p : found.partitions) {
                topic.partitions.push_back({p.partition_index, p.leader_id, p.replica_nodes,
                                            p.isr_nodes, p.eligible_leader_replicas,
                                            p.last_known_elr});
            }
        }
        if (!response.next_cursor) return topics;
        auto& cursor = request.cursor.emplace();
        cursor.topic_name = response.next_cursor->topic_name;
        cursor.partition_index = response.next_cursor->partition_index;
        std::erase_if(request.topics,
                      [&](const auto& topic) { return topic.name < cursor.topic_name; });
    }
}

std::map<std::string, Configs> configs_of(Client& client, const std::vector<std::string>& names) {
    wire::DescribeConfigsRequest request;
    for (const std::string& name : names) {
        auto& resource = request.resources.emplace_back();
        resource.resource_type = kTopicResource;
        resource.resource_name = name;
        resource.configuration_keys.reset();
    }
    std::map<std::string, Configs> configs;
    for (const auto& result : client.ask<wire::DescribeConfigsResponse>(request).results) {
        check_error(result.error_code, result.error_message, result.resource_name);
        Configs& own = configs[result.resource_name];
        std::vector<std::string> keys;
        std::map<std::string, std::string> overrides;
        for (const auto& config : result.configs) {
            keys.push_back(config.name);
            const std::string value = config.value.value_or("null");
            if (config.name == "min.insync.replicas")
                own.min_isr = static_cast<size_t>(std::atoi(value.c_str()));
            if (config.config_source != kDefaultSource) overrides[config.name] = value;
        }
        for (const std::string& key : java_hash_order(keys)) {
            if (!overrides.contains(key)) continue;
            own.overrides += (own.overrides.empty() ? "" : ",") + key + "=" + overrides[key];
        }
    }
    return configs;
}

std::map<TopicPartition, Moving> moves_of(Client& client,
                                          const std::map<std::string, Topic>& topics) {
    std::map<TopicPartition, Moving> moves;
    if (!client.any().serves<wire::ListPartitionReassignmentsRequest>()) return moves;
    wire::ListPartitionReassignmentsRequest request;
    request.timeout_ms = client.timeout_ms();
    auto& wanted = request.topics.emplace();
    for (const auto& [name, topic] : topics) {
        auto& one = wanted.emplace_back();
        one.name = name;
        for (const Partition& partition : topic.partitions)
            one.partition_indexes.push_back(partition.index);
    }
    const auto response = client.ask<wire::ListPartitionReassignmentsResponse>(request);
    // Who may not ask sees no moves, as in Kafka's tool.
    if (response.error_code != 0) return moves;
    for (const auto& topic : response.topics) {
        for (const auto& p : topic.partitions)
            moves[{topic.name, p.partition_index}] = p;
    }
    return moves;
}

size_t replication_factor(const Partition& partition, const Moving* move) {
    const bool changing =
        move != nullptr &&
        std::any_of(partition.replicas.begin(), partition.replicas.end(), [&](int32_t id) {
            const auto in = [id](const Ids& ids) {
                return std::find(ids.begin(), ids.end(), id) != ids.end();
            };
            return in(move->adding_replicas) || in(move->removing_replicas);
        });
    return changing ? move->replicas.size() - move->adding_replicas.size()
                    : partition.replicas.size();
}

class Describer {
  public:
    Describer(Client& client, const ShimOptions& options) : options_(options) {
        for (const auto& broker : client.metadata(std::vector<std::string>()).brokers)
            live_.push_back(broker.node_id);
        all_ = true;
        for (const char* report : {"unavailable-partitions", "under-replicated-partitions",
                                   "under-min-isr-partitions", "at-min-isr-partitions"})
            all_ = all_ && !options.has(report);
    }

    void print(const Topic& topic, const Configs& configs,
               const std::map<TopicPartition, Moving>& moves) const {
        const auto move_of = [&](const Partition& partition) {
            const auto found = moves.find({topic.name, partition.index});
            return found == moves.end() ? nullptr : &found->second;
        };
        const bool only_overrides = options_.has("topics-with-overrides");
        if (all_ && !topic.partitions.empty() && (!only_overrides || !configs.overrides.empty())) {
            const Partition& first = topic.partitions.front();
            std::cout << fmt::format(
                "Topic: {}{}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}\n",
                topic.name, topic.id.is_zero() ? "" : "\tTopicId: " + topic.id.to_string(),
                topic.partitions.size(), replication_factor(first, move_of(first)),
                configs.overrides);
        }
        if (only_overrides) return;
        for (const Partition& partition : topic.partitions) {
            const Moving* move = move_of(partition);
            if (all_ || reported(partition, move, configs.min_isr))
                print_partition(topic.name, partition, move);
        }
    }

  private:
    bool reported(const Partition& partition, const Moving* move, size_t min_isr) const {
        const bool leaderless = partition.leader < 0;
        const bool unavailable =
            leaderless || std::find(live_.begin(), live_.end(), partition.leader) == live_.end();
        return (options_.has("under-replicated-partitions") &&
                replication_factor(partition, move) > partition.isr.size()) ||
               (options_.has("unavailable-partitions") && unavailable) ||
               (options_.has("under-min-isr-partitions") &&
                (leaderless || partition.isr.size() < min_isr)) ||
               (options_.has("at-min-isr-partitions") && partition.isr.size() == min_isr);
    }

    static void print_partition(const std::string& topic, const Partition& partition,
                                const Moving* move) {
        std::cout << fmt::format(
            "\tTopic: {}\tPartition: {}\tLeader: {}\tReplicas: {}\tIsr: {}", topic,
            partition.index, partition.leader < 0 ? "none" : std::to_string(partition.leader),
            joined(partition.replicas), joined(partition.isr));
        if (move != nullptr) {
            std::cout << fmt::format("\tAdding Replicas: {}\tRemoving Replicas: {}",
                                     joined(move->adding_replicas),
                                     joined(move->removing_replicas));
        }
        std::cout << fmt::format(
            "\tElr: {}\tLastKnownElr: {}\n", partition.elr ? joined(*partition.elr) : "N/A",
            partition.last_known_elr ? joined(*partition.last_known_elr) : "N/A");
    }

    const ShimOptions& options_;
    Ids live_;
    bool all_ = true;
};

std::vector<std::string> names_wanted(Client& client, const ShimOptions& options) {
    const std::string text = options.value("topic-id").value_or("");
    if (text.empty()) {
        auto names = shim_topic_names(client, options);
        shim_ensure_topic(names, options);
        return names;
    }
    const auto id = Uuid::parse(text);
    if (id && id->is_zero()) {
        auto names = shim_topic_names(client, options);
        shim_ensure_topic(names, options);
        return names;
    }
    for (const auto& topic : client.metadata(std::nullopt).topics) {
        if (id && topic.topic_id == *id) return {topic.name.value_or("")};
    }
    if (options.has("if-exists")) return {};
    throw Failure{kFailed, fmt::format("TopicId '{}' does not exist as expected", text), ""};
}

}  // namespace

void shim_describe_topics(Client& client, const ShimOptions& options) {
    const auto names = names_wanted(client, options);
    const auto limit = static_cast<int32_t>(
        options.number("partition-size-limit-per-response").value_or(kPartitionsPerAnswer));
    if (names.empty()) return;
    auto topics = topics_of(client, names, limit);
    const auto configs = configs_of(client, names);
    const auto moves = moves_of(client, topics);
    const Describer describer(client, options);
    for (const std::string& name : java_hash_order(names, names.size())) {
        Topic& topic = topics[name];
        std::sort(topic.partitions.begin(), topic.partitions.end(),
                  [](const auto& a, const auto& b) { return a.index < b.index; });
        const auto own = configs.find(name);
        describer.print(topic, own == configs.end() ? Configs() : own->second, moves);
    }
}

}  // namespace millrace::cli
