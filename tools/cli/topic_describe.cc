// tools/cli/topic_describe.cc: `topic describe`: partitions, sizes, offsets, own configs.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <set>

#include "cli/client.h"
#include "cli/offsets.h"
#include "cli/output.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"
#include "millrace/wire/gen/describe_log_dirs_request.h"
#include "millrace/wire/gen/describe_log_dirs_response.h"

namespace millrace::cli {
namespace {

using Topic = wire::MetadataResponse::MetadataResponseTopic;
constexpr int8_t kTopicResource = 2;
constexpr int8_t kTopicSource = 1;

std::string joined(const std::vector<int32_t>& ids) {
    std::string text;
    for (const int32_t id : ids)
        text += (text.empty() ? "" : " ") + std::to_string(id);
    return text;
}

struct OwnConfig {
    std::string key;
    std::string value;
    bool set_here;
};

std::vector<OwnConfig> configs_of(Client& client, const std::string& name) {
    wire::DescribeConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = kTopicResource;
    resource.resource_name = name;
    resource.configuration_keys.reset();
    const auto response = client.ask<wire::DescribeConfigsResponse>(request);
    std::vector<OwnConfig> configs;
    for (const auto& result : response.results) {
        check_error(result.error_code, result.error_message, "configs of '" + name + "'");
        for (const auto& entry : result.configs) {
            configs.push_back(
                {entry.name, entry.value.value_or(""), entry.config_source == kTopicSource});
        }
    }
    return configs;
}

/// Bytes of each partition on its leader; brokers that do not answer are left out.
std::map<int32_t, int64_t> sizes_of(Client& client, const Topic& topic) {
    wire::DescribeLogDirsRequest request;
    auto& wanted = request.topics->emplace_back();
    wanted.topic = topic.name.value_or("");
    std::map<int32_t, int32_t> leaders;
    std::set<int32_t> nodes;
    for (const auto& partition : topic.partitions) {
        wanted.partitions.push_back(partition.partition_index);
        leaders[partition.partition_index] = partition.leader_id;
        if (partition.leader_id >= 0) nodes.insert(partition.leader_id);
    }
    std::map<int32_t, int64_t> sizes;
    for (const int32_t node : nodes) {
        wire::DescribeLogDirsResponse response;
        try {
            response = client.ask_node<wire::DescribeLogDirsResponse>(node, request);
        } catch (const Failure&) {
            continue;
        }
        for (const auto& dir : response.results) {
            for (const auto& found : dir.topics) {
                for (const auto& p : found.partitions) {
                    if (leaders[p.partition_index] == node && !p.is_future_key) {
                        sizes[p.partition_index] = p.partition_size;
                    }
                }
            }
        }
    }
    return sizes;
}

std::string state_of(const wire::MetadataResponse::MetadataResponsePartition& partition) {
    if (partition.leader_id < 0) return "offline";
    if (partition.isr_nodes.size() < partition.replica_nodes.size()) return "under-replicated";
    return "ok";
}

std::string value_of(const std::vector<OwnConfig>& configs, const std::string& key) {
    for (const OwnConfig& config : configs) {
        if (config.key == key) return config.value;
    }
    return "";
}

void print_topic(const Topic& topic, const std::vector<OwnConfig>& configs, const Table& table,
                 const std::map<int32_t, int64_t>& sizes) {
    size_t replicas = 0;
    for (const auto& p : topic.partitions)
        replicas = std::max(replicas, p.replica_nodes.size());
    int64_t bytes = 0;
    for (const auto& [index, size] : sizes)
        bytes += size;
    std::cout << fmt::format("{}   id {}   {}   RF {}   min.insync.replicas {}   {} on disk\n",
                             topic.name.value_or(""), topic.topic_id.to_string(),
                             counted(static_cast<int64_t>(topic.partitions.size()), "partition"),
                             replicas, value_of(configs, "min.insync.replicas"), bytes_text(bytes));
    std::string own;
    for (const OwnConfig& config : configs) {
        if (config.set_here) own += fmt::format("  {}={}", config.key, config.value);
    }
    if (!own.empty()) std::cout << "set here:" << own.substr(1) << '\n';
    std::cout << '\n' << table.to_string();
}

Json describe(Client& client, const Context& context, const std::string& name) {
    Topic topic = client.topic(name);
    std::sort(topic.partitions.begin(), topic.partitions.end(),
              [](const auto& a, const auto& b) { return a.partition_index < b.partition_index; });
    const std::vector<OwnConfig> configs = configs_of(client, name);
    const auto sizes = sizes_of(client, topic);
    const auto starts = list_offsets(client, topic, kEarliestTimestamp);
    const auto ends = list_offsets(client, topic, kLatestTimestamp);

    Json item{{"name", name},
              {"id", topic.topic_id.to_string()},
              {"internal", topic.is_internal},
              {"configs", Json::object()},
              {"partitions", Json::array()}};
    for (const OwnConfig& config : configs) {
        if (config.set_here) item["configs"][config.key] = config.value;
    }
    Table table({">PART", ">LEADER", "REPLICAS", "ISR", ">SIZE", ">START", ">END", "STATE"});
    for (const auto& p : topic.partitions) {
        const auto number = [&](const std::map<int32_t, int64_t>& map) {
            const auto found = map.find(p.partition_index);
            return found != map.end() ? found->second : -1;
        };
        const auto shown = [](int64_t n, std::string text) { return n < 0 ? "-" : text; };
        table.add({std::to_string(p.partition_index), std::to_string(p.leader_id),
                   joined(p.replica_nodes), joined(p.isr_nodes),
                   shown(number(sizes), bytes_text(number(sizes))),
                   shown(number(starts), grouped(number(starts))),
                   shown(number(ends), grouped(number(ends))), state_of(p)});
        item["partitions"].push_back({{"partition", p.partition_index},
                                      {"leader", p.leader_id},
                                      {"leaderEpoch", p.leader_epoch},
                                      {"replicas", p.replica_nodes},
                                      {"isr", p.isr_nodes},
                                      {"sizeBytes", number(sizes)},
                                      {"startOffset", number(starts)},
                                      {"endOffset", number(ends)},
                                      {"state", state_of(p)}});
    }
    if (!context.json()) print_topic(topic, configs, table, sizes);
    return item;
}

}  // namespace

void add_topic_describe(CLI::App& topic, Context& context) {
    CLI::App* command = topic.add_subcommand("describe", "partitions, sizes, offsets, own configs");
    auto names = std::make_shared<std::vector<std::string>>();
    command->add_option("name", *names, "names of the topics")->required();
    add_connection_options(*command, context);
    command->callback([&context, names] {
        Client client(context);
        Json items = Json::array();
        for (const std::string& name : *names) {
            if (!items.empty() && !context.json()) std::cout << '\n';
            items.push_back(describe(client, context, name));
        }
        if (context.json()) print_items("Topic", std::move(items));
    });
}

}  // namespace millrace::cli
