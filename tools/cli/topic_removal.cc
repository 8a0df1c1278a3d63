// tools/cli/topic_removal.cc: `topic delete` and `topic trim`.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/client.h"
#include "cli/offsets.h"
#include "cli/output.h"
#include "millrace/wire/gen/delete_records_request.h"
#include "millrace/wire/gen/delete_records_response.h"
#include "millrace/wire/gen/delete_topics_request.h"
#include "millrace/wire/gen/delete_topics_response.h"

namespace millrace::cli {
namespace {

void delete_topics(const Context& context, const std::vector<std::string>& names, bool dry_run) {
    Client client(context);
    std::string list;
    for (const std::string& name : names) {
        client.topic(name);  // unknown ones are refused before anything is deleted
        list += (list.empty() ? "" : ", ") + name;
    }
    Json items = Json::array();
    if (dry_run) {
        if (!context.json()) {
            std::cout << "would delete " << list << '\n';
            return;
        }
        for (const std::string& name : names)
            items.push_back({{"name", name}, {"deleted", false}});
        return print_items("TopicList", std::move(items));
    }
    confirm(context, fmt::format("delete {} with all data?", list));
    wire::DeleteTopicsRequest request;
    request.timeout_ms = client.timeout_ms();
    Connection& connection = client.any();
    const int16_t version = connection.version_of<wire::DeleteTopicsRequest>();
    for (const std::string& name : names) {
        if (version >= 6)
            request.topics.emplace_back().name = name;
        else
            request.topic_names.push_back(name);
    }
    const auto response =
        connection.ask<wire::DeleteTopicsResponse>(request, version, client.deadline());
    for (const auto& result : response.responses) {
        const std::string name = result.name.value_or("");
        check_error(result.error_code, result.error_message, "topic '" + name + "'");
        items.push_back({{"name", name}, {"deleted", true}});
        if (!context.json()) std::cout << "deleted topic " << name << '\n';
    }
    if (context.json()) print_items("TopicList", std::move(items));
}

struct TrimOptions {
    std::string name;
    std::string before;
    int partition = -1;
    bool dry_run = false;
};

/// -1 stands for the high watermark, as in DeleteRecords.
int64_t offset_of(const std::string& text) {
    if (text == "latest" || text == "end") return -1;
    if (text.empty() || text.size() > 18 ||
        text.find_first_not_of("0123456789") != std::string::npos) {
        throw Failure{kUsage, fmt::format("'{}' is no offset", text),
                      "give --before N or --before latest"};
    }
    return std::stoll(text);
}

void trim_topic(const Context& context, const TrimOptions& options) {
    const int64_t before = offset_of(options.before);
    Client client(context);
    const auto topic = client.topic(options.name);
    std::map<int32_t, wire::DeleteRecordsRequest> by_leader;
    size_t count = 0;
    for (const auto& partition : topic.partitions) {
        if (options.partition >= 0 && partition.partition_index != options.partition) continue;
        auto& request = by_leader[partition.leader_id];
        if (request.topics.empty()) request.topics.emplace_back().name = options.name;
        request.timeout_ms = client.timeout_ms();
        auto& wanted = request.topics.front().partitions.emplace_back();
        wanted.partition_index = partition.partition_index;
        wanted.offset = before;
        ++count;
    }
    if (count == 0) {
        throw Failure{
            kNotFound,
            fmt::format("topic '{}' has no partition {}", options.name, options.partition),
            fmt::format("it has 0 to {}", topic.partitions.size() - 1)};
    }
    const std::string what =
        fmt::format("records of {} ({}) before offset {}", options.name,
                    counted(static_cast<int64_t>(count), "partition"), options.before);
    if (options.dry_run) {
        if (!context.json()) {
            std::cout << "would delete " << what << '\n';
            return;
        }
        Json items = Json::array();
        for (const auto& [leader, request] : by_leader) {
            for (const auto& p : request.topics.front().partitions)
                items.push_back({{"topic", options.name},
                                 {"partition", p.partition_index},
                                 {"before", p.offset == -1 ? Json("latest") : Json(p.offset)},
                                 {"deleted", false}});
        }
        return print_items("PartitionList", std::move(items));
    }
    confirm(context, fmt::format("delete {}?", what));
    Json items = Json::array();
    for (const auto& [leader, request] : by_leader) {
        const auto response = client.ask_node<wire::DeleteRecordsResponse>(leader, request);
        for (const auto& found : response.topics) {
            for (const auto& p : found.partitions) {
                const std::string name = fmt::format("{}-{}", found.name, p.partition_index);
                check_error(p.error_code, std::nullopt, name);
                items.push_back({{"topic", found.name},
                                 {"partition", p.partition_index},
                                 {"startOffset", p.low_watermark}});
                if (!context.json()) {
                    std::cout << fmt::format("{} starts at {}\n", name, p.low_watermark);
                }
            }
        }
    }
    if (context.json()) print_items("PartitionList", std::move(items));
}

}  // namespace

void add_topic_removal_commands(CLI::App& topic, Context& context) {
    CLI::App* remove = topic.add_subcommand("delete", "delete topics and their data");
    auto names = std::make_shared<std::vector<std::string>>();
    auto dry_run = std::make_shared<bool>(false);
    remove->add_option("name", *names, "names of the topics")->required();
    remove->add_flag("-y,--yes", context.yes, "do not ask");
    remove->add_flag("--dry-run", *dry_run, "show what would go");
    add_connection_options(*remove, context);
    remove->callback([&context, names, dry_run] { delete_topics(context, *names, *dry_run); });

    CLI::App* trim = topic.add_subcommand("trim", "delete records before an offset");
    auto options = std::make_shared<TrimOptions>();
    trim->add_option("name", options->name, "the topic")->required();
    trim->add_option("--before", options->before, "first offset to keep, or latest")->required();
    trim->add_option("-p,--partition", options->partition, "one partition (all)")->default_str("");
    trim->add_flag("-y,--yes", context.yes, "do not ask");
    trim->add_flag("--dry-run", options->dry_run, "show what would go");
    add_connection_options(*trim, context);
    trim->callback([&context, options] { trim_topic(context, *options); });
}

}  // namespace millrace::cli
