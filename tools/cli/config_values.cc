// tools/cli/config_values.cc: `config get`, `set` and `unset` of topics, brokers and groups.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/alter_configs.h"
#include "cli/client.h"
#include "cli/output.h"
#include "millrace/base/nearest.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"

namespace millrace::cli {
namespace {

constexpr int8_t kBrokerType = 4;
constexpr int8_t kDefaultSource = 5;
constexpr const char* kAllBrokers = "all";

struct Options {
    std::string type;
    std::string name;
    std::vector<std::string> words;
    bool all = false;
    bool dry_run = false;
};

const char* source_word(int8_t source) {
    constexpr const char* kWords[] = {"unknown", "topic",  "broker",         "cluster", "file",
                                      "default", "logger", "client-metrics", "group"};
    return source >= 0 && static_cast<size_t>(source) < std::size(kWords) ? kWords[source] : "?";
}

/// The resource's name on the wire: "all" brokers is the cluster's default, "".
std::string wire_name(const Options& options, int8_t type) {
    return type == kBrokerType && options.name == kAllBrokers ? "" : options.name;
}

int8_t check_type(const Options& options) {
    const int8_t type = resource_type_of(options.type);
    if (type < 0) {
        const auto near = nearest_names(options.type, resource_words());
        throw Failure{kUsage, fmt::format("no kind of resource '{}'", options.type),
                      near.empty() ? "topic, broker, group or client-metrics"
                                   : fmt::format("did you mean '{}'?", near.front())};
    }
    const bool number = options.name.find_first_not_of("0123456789") == std::string::npos;
    if (type == kBrokerType && options.name != kAllBrokers && !number) {
        throw Failure{kUsage, fmt::format("'{}' is no broker id", options.name),
                      "give a number, or all for the cluster's default"};
    }
    return type;
}

void get_configs(const Context& context, const Options& options) {
    const int8_t type = check_type(options);
    wire::DescribeConfigsRequest request;
    request.include_synonyms = context.json();
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = wire_name(options, type);
    if (options.words.empty())
        resource.configuration_keys.reset();
    else
        resource.configuration_keys = options.words;
    Client client(context);
    const bool one_broker = type == kBrokerType && !resource.resource_name.empty();
    const auto response = one_broker ? client.ask_node<wire::DescribeConfigsResponse>(
                                           std::atoi(options.name.c_str()), request)
                                     : client.ask<wire::DescribeConfigsResponse>(request);
    Json items = Json::array();
    Table table({"KEY", "VALUE", "FROM"});
    for (const auto& result : response.results) {
        if (error_code_from(result.error_code) == ErrorCode::UnknownTopicOrPartition) {
            throw unknown_topic(client, options.name);
        }
        check_error(result.error_code, result.error_message, options.type + " " + options.name);
        for (const auto& entry : result.configs) {
            const bool shown =
                options.all || !options.words.empty() || entry.config_source != kDefaultSource;
            if (!shown) continue;
            const std::string value =
                entry.is_sensitive ? "(hidden)" : entry.value.value_or("(none)");
            table.add({entry.name, value, source_word(entry.config_source)});
            items.push_back({{"key", entry.name},
                             {"value", entry.value ? Json(*entry.value) : Json(nullptr)},
                             {"source", source_word(entry.config_source)},
                             {"readOnly", entry.read_only},
                             {"sensitive", entry.is_sensitive}});
        }
    }
    if (items.empty() && !options.words.empty()) {
        throw Failure{
            kNotFound,
            fmt::format("{} {} has no key '{}'", options.type, options.name, options.words.front()),
            fmt::format("millrace config get {} {} --all lists them", options.type, options.name)};
    }
    if (context.json())
        print_items("ConfigList", std::move(items));
    else
        std::cout << table.to_string();
}

void change_configs(const Context& context, const Options& options, bool unset) {
    const int8_t type = check_type(options);
    std::vector<ConfigChange> changes;
    for (const std::string& word : options.words) {
        changes.push_back(unset ? ConfigChange{word, 1, ""} : parse_change(word));
    }
    Client client(context);
    alter_configs(client, type, wire_name(options, type), changes, options.dry_run);
    if (context.json()) {
        Json items = Json::array();
        for (const ConfigChange& change : changes)
            items.push_back({{"key", change.key}});
        print_items("ConfigList", std::move(items));
        return;
    }
    const char* verb =
        options.dry_run ? (unset ? "would unset" : "would set") : (unset ? "unset" : "set");
    for (const ConfigChange& change : changes) {
        std::cout << fmt::format("{} {} of {} {}\n", verb, change.key, options.type, options.name);
    }
}

std::shared_ptr<Options> add_resource_options(CLI::App& command, Context& context) {
    auto options = std::make_shared<Options>();
    command.add_option("kind", options->type, "topic, broker, group or client-metrics")->required();
    command.add_option("name", options->name, "topic, broker id, or all for every broker")
        ->required();
    add_connection_options(command, context);
    return options;
}

}  // namespace

void add_config_commands(CLI::App& root, Context& context) {
    CLI::App* config = root.add_subcommand("config", "configs of topics and brokers; config files");
    config->require_subcommand(1);

    CLI::App* get = config->add_subcommand("get", "what is set; --all shows defaults too");
    auto got = add_resource_options(*get, context);
    get->add_option("key", got->words, "only these keys");
    get->add_flag("--all", got->all, "defaults too");
    get->callback([&context, got] { get_configs(context, *got); });

    CLI::App* set = config->add_subcommand("set", "set keys: key=value, key+=value, key-=value");
    auto changed = add_resource_options(*set, context);
    set->add_option("change", changed->words, "key=value")->required();
    set->add_flag("--dry-run", changed->dry_run, "check only");
    set->callback([&context, changed] { change_configs(context, *changed, false); });

    CLI::App* unset = config->add_subcommand("unset", "return keys to their defaults");
    auto removed = add_resource_options(*unset, context);
    unset->add_option("key", removed->words, "keys")->required();
    unset->add_flag("--dry-run", removed->dry_run, "check only");
    unset->callback([&context, removed] { change_configs(context, *removed, true); });
}

}  // namespace millrace::cli
