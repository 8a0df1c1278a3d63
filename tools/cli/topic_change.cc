// tools/cli/topic_change.cc: `topic alter` and `topic add-partitions`.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/alter_configs.h"
#include "cli/topic_placement.h"
#include "millrace/wire/gen/create_partitions_request.h"
#include "millrace/wire/gen/create_partitions_response.h"

namespace millrace::cli {
namespace {

constexpr int8_t kTopicResource = 2;

struct AlterOptions {
    std::string name;
    std::vector<std::string> set;
    std::vector<std::string> unset;
    bool dry_run = false;
};

void alter_topic(const Context& context, const AlterOptions& options) {
    std::vector<ConfigChange> changes;
    for (const std::string& text : options.set)
        changes.push_back(parse_change(text));
    for (const std::string& key : options.unset)
        changes.push_back({key, 1, ""});
    if (changes.empty()) {
        throw Failure{kUsage, "nothing to change", "give -c key=value or --unset key"};
    }
    Client client(context);
    alter_configs(client, kTopicResource, options.name, changes, options.dry_run);
    if (context.json()) {
        print_items("Topic", Json::array({{{"name", options.name}}}));
        return;
    }
    std::cout << fmt::format("{} topic {} ({})\n", options.dry_run ? "would change" : "changed",
                             options.name,
                             counted(static_cast<int64_t>(changes.size()), "setting"));
}

void add_partitions(const Context& context, const std::string& name, int count, bool dry_run) {
    Client client(context);
    const auto present = client.topic(name);
    const size_t before = present.partitions.size();
    // The controller gives new partitions as many copies as partition 0 has.
    size_t copies = 0;
    for (const auto& partition : present.partitions) {
        if (partition.partition_index == 0) copies = partition.replica_nodes.size();
    }
    wire::CreatePartitionsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.count = count;
    topic.assignments.reset();
    request.timeout_ms = client.timeout_ms();
    request.validate_only = dry_run;
    const auto response = client.ask<wire::CreatePartitionsResponse>(request);
    for (const auto& result : response.results) {
        check_error(result.error_code, result.error_message, "topic '" + name + "'");
    }
    Json item = {{"name", name}, {"partitions", count}};
    std::string rows;
    if (dry_run) {
        const ClusterState state = read_cluster(client);
        PlacementPreview preview(state);
        if (preview.known()) {
            const auto first = static_cast<int32_t>(before);
            const auto placed = preview.place(name, first, count - first, static_cast<int32_t>(copies));
            item["placement"] = preview.json(placed, first);
            rows = preview.text(placed, first);
        }
    }
    if (context.json()) {
        print_items("Topic", Json::array({item}));
        return;
    }
    std::cout << fmt::format("topic {} {} {} (had {})\n", name, dry_run ? "would have" : "has",
                             counted(count, "partition"), before)
              << rows;
}

}  // namespace

void add_topic_change_commands(CLI::App& topic, Context& context) {
    CLI::App* alter = topic.add_subcommand("alter", "change configs of a topic");
    auto options = std::make_shared<AlterOptions>();
    alter->add_option("name", options->name, "the topic")->required();
    alter->add_option("-c,--config", options->set, "key=value, key+=value or key-=value")
        ->allow_extra_args(false);
    alter->add_option("--unset", options->unset, "key that returns to its default")
        ->allow_extra_args(false);
    alter->add_flag("--dry-run", options->dry_run, "check only");
    add_connection_options(*alter, context);
    alter->callback([&context, options] { alter_topic(context, *options); });

    CLI::App* add = topic.add_subcommand("add-partitions", "give a topic more partitions");
    auto name = std::make_shared<std::string>();
    auto count = std::make_shared<int>(0);
    auto dry_run = std::make_shared<bool>(false);
    add->add_option("name", *name, "the topic")->required();
    add->add_option("-p,--to", *count, "partitions it shall have in all")
        ->required()
        ->default_str("");
    add->add_flag("--dry-run", *dry_run, "check, and show where replicas would go");
    add_connection_options(*add, context);
    add->callback(
        [&context, name, count, dry_run] { add_partitions(context, *name, *count, *dry_run); });
}

}  // namespace millrace::cli
