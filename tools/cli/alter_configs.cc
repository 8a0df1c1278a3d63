// tools/cli/alter_configs.cc: changes configs of one resource, with did-you-mean for its keys.
#include "cli/alter_configs.h"

#include <fmt/core.h>

#include "cli/output.h"
#include "millrace/base/nearest.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"
#include "millrace/wire/gen/incremental_alter_configs_request.h"
#include "millrace/wire/gen/incremental_alter_configs_response.h"

namespace millrace::cli {
namespace {

struct ResourceWord {
    const char* word;
    int8_t type;
};
constexpr ResourceWord kResources[] = {
    {"topic", 2}, {"broker", 4}, {"client-metrics", 16}, {"group", 32}};
constexpr int8_t kBrokerType = 4;

/// The key of `changes` that the resource does not have, and what was meant.
std::string fix_for(Client& client, int8_t type, const std::string& name,
                    const std::vector<ConfigChange>& changes) {
    wire::DescribeConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = name;
    resource.configuration_keys.reset();
    std::vector<std::string> known;
    try {
        const auto response = client.ask<wire::DescribeConfigsResponse>(request);
        for (const auto& result : response.results) {
            for (const auto& entry : result.configs)
                known.push_back(entry.name);
        }
    } catch (const Failure&) {
        return "";
    }
    for (const ConfigChange& change : changes) {
        if (std::find(known.begin(), known.end(), change.key) != known.end()) continue;
        const auto near = nearest_names(change.key, known);
        if (!near.empty()) return fmt::format("did you mean '{}'?", near.front());
    }
    return "";
}

}  // namespace

int8_t resource_type_of(const std::string& word) {
    for (const ResourceWord& resource : kResources) {
        if (word == resource.word) return resource.type;
    }
    return -1;
}

std::vector<std::string> resource_words() {
    std::vector<std::string> words;
    for (const ResourceWord& resource : kResources)
        words.emplace_back(resource.word);
    return words;
}

ConfigChange parse_change(const std::string& text) {
    auto [key, value] = key_value(text);
    ConfigChange change{std::move(key), 0, std::move(value)};
    if (change.key.size() > 1 && (change.key.back() == '+' || change.key.back() == '-')) {
        change.operation = change.key.back() == '+' ? 2 : 3;
        change.key.pop_back();
    }
    return change;
}

void alter_configs(Client& client, int8_t type, const std::string& name,
                   const std::vector<ConfigChange>& changes, bool dry_run) {
    wire::IncrementalAlterConfigsRequest request;
    request.validate_only = dry_run;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = type;
    resource.resource_name = name;
    for (const ConfigChange& change : changes) {
        auto& config = resource.configs.emplace_back();
        config.name = change.key;
        config.config_operation = change.operation;
        if (change.operation == 1)
            config.value.reset();
        else
            config.value = change.value;
    }
    const bool one_broker = type == kBrokerType && !name.empty();
    const auto response = one_broker ? client.ask_node<wire::IncrementalAlterConfigsResponse>(
                                           std::atoi(name.c_str()), request)
                                     : client.ask<wire::IncrementalAlterConfigsResponse>(request);
    for (const auto& result : response.responses) {
        const auto code = error_code_from(result.error_code);
        if (code == ErrorCode::UnknownTopicOrPartition) throw unknown_topic(client, name);
        if (result.error_code == 0) continue;
        throw Failure{exit_code_of(code.value_or(ErrorCode::UnknownServerError)),
                      error_text(result.error_code, result.error_message),
                      fix_for(client, type, name, changes)};
    }
}

}  // namespace millrace::cli
