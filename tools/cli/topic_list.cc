// tools/cli/topic_list.cc: `topic list`, `topic create`, and the tree below `topic`.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>

#include "cli/topic_placement.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"

namespace millrace::cli {
namespace {

void list_topics(const Context& context) {
    Client client(context);
    auto metadata = client.metadata(std::nullopt);
    std::sort(metadata.topics.begin(), metadata.topics.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    Json items = Json::array();
    Table table({"TOPIC", ">PARTITIONS", ">RF", "ID"});
    for (const auto& topic : metadata.topics) {
        const std::string name = topic.name.value_or("");
        size_t replicas = 0;
        for (const auto& partition : topic.partitions) {
            replicas = std::max(replicas, partition.replica_nodes.size());
        }
        items.push_back({{"name", name},
                         {"id", topic.topic_id.to_string()},
                         {"partitions", topic.partitions.size()},
                         {"replicationFactor", replicas},
                         {"internal", topic.is_internal}});
        table.add({name, std::to_string(topic.partitions.size()), std::to_string(replicas),
                   topic.topic_id.to_string()});
        if (context.output == "name") std::cout << name << '\n';
    }
    if (context.json())
        print_items("TopicList", std::move(items));
    else if (context.output == "table")
        std::cout << table.to_string();
}

constexpr const char* kByChance =
    "racks are plain or missing: the controller will spread the replicas over them by chance\n";

struct CreateOptions {
    std::vector<std::string> names;
    int partitions = -1;
    int replication_factor = -1;
    std::vector<std::string> configs;
    bool if_not_exists = false;
    bool dry_run = false;
};

void create_topics(const Context& context, const CreateOptions& options) {
    wire::CreateTopicsRequest request;
    for (const std::string& name : options.names) {
        auto& topic = request.topics.emplace_back();
        topic.name = name;
        topic.num_partitions = options.partitions;
        topic.replication_factor = static_cast<int16_t>(options.replication_factor);
        for (const std::string& text : options.configs) {
            auto [key, value] = key_value(text);
            auto& config = topic.configs.emplace_back();
            config.name = std::move(key);
            config.value = std::move(value);
        }
    }
    Client client(context);
    request.timeout_ms = client.timeout_ms();
    request.validate_only = options.dry_run;
    const auto response = client.ask<wire::CreateTopicsResponse>(request);
    Json items = Json::array();
    std::optional<ClusterState> state;
    std::optional<PlacementPreview> preview;
    if (options.dry_run) preview.emplace(state.emplace(read_cluster(client)));
    for (const auto& result : response.topics) {
        const auto code = error_code_from(result.error_code);
        if (options.if_not_exists && code == ErrorCode::TopicAlreadyExists) {
            if (!context.json()) std::cout << "topic " << result.name << " exists already\n";
            continue;
        }
        if (code == ErrorCode::TopicAlreadyExists) {
            throw Failure{kConflict, error_text(result.error_code, result.error_message),
                          "--if-not-exists makes this no error"};
        }
        check_error(result.error_code, result.error_message, "topic '" + result.name + "'");
        items.push_back({{"name", result.name},
                         {"id", result.topic_id.to_string()},
                         {"partitions", result.num_partitions},
                         {"replicationFactor", result.replication_factor}});
        std::vector<std::vector<int32_t>> placed;
        if (preview && preview->known()) {
            placed = preview->place(result.name, 0, result.num_partitions,
                                    result.replication_factor);
            items.back()["placement"] = preview->json(placed, 0);
        }
        if (context.json()) continue;
        std::cout << fmt::format("{} topic {} ({}, replication factor {})\n",
                                 options.dry_run ? "would create" : "created", result.name,
                                 counted(result.num_partitions, "partition"),
                                 result.replication_factor);
        if (preview) std::cout << (preview->known() ? preview->text(placed, 0) : kByChance);
    }
    if (context.json()) print_items("TopicList", std::move(items));
}

}  // namespace

void add_topic_commands(CLI::App& root, Context& context) {
    CLI::App* topic = root.add_subcommand("topic", "list, describe, create, change, delete topics");
    topic->require_subcommand(1);

    CLI::App* list = topic->add_subcommand("list", "names, partitions and replication factors");
    add_connection_options(*list, context);
    list->callback([&context] { list_topics(context); });

    add_topic_describe(*topic, context);

    CLI::App* create = topic->add_subcommand("create", "create topics");
    auto options = std::make_shared<CreateOptions>();
    create->add_option("name", options->names, "names of the topics")->required();
    create->add_option("-p,--partitions", options->partitions, "partitions (the cluster's default)")
        ->default_str("");
    create
        ->add_option("-r,--replication-factor", options->replication_factor,
                     "copies (the cluster's default)")
        ->default_str("");
    create->add_option("-c,--config", options->configs, "key=value, may be repeated")
        ->allow_extra_args(false);
    create->add_flag("--if-not-exists", options->if_not_exists, "no error when it exists");
    create->add_flag("--dry-run", options->dry_run, "check, and show where replicas would go");
    add_connection_options(*create, context);
    create->callback([&context, options] { create_topics(context, *options); });

    add_topic_change_commands(*topic, context);
    add_topic_removal_commands(*topic, context);
}

}  // namespace millrace::cli
