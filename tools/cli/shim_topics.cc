// tools/cli/shim_topics.cc: kafka-topics.sh: options, create, alter, list, delete.
#include "cli/shim_topics.h"

#include <fmt/core.h>

#include <algorithm>
#include <iostream>

#include "cli/output.h"
#include "cli/shim.h"
#include "cli/shim_java.h"
#include "cli/shim_topic_filter.h"
#include "millrace/wire/gen/create_partitions_request.h"
#include "millrace/wire/gen/create_partitions_response.h"
#include "millrace/wire/gen/create_topics_request.h"
#include "millrace/wire/gen/create_topics_response.h"
#include "millrace/wire/gen/delete_topics_request.h"
#include "millrace/wire/gen/delete_topics_response.h"

namespace millrace::cli {
namespace {

constexpr int kTimeoutMs = 60'000;
constexpr const char* kAlterConfigs =
    " (To alter topic configurations, the kafka-configs tool can be used.)";
const std::vector<std::string> kActions = {"alter", "create", "describe", "list", "delete"};
const std::vector<std::string> kReports = {"under-replicated-partitions",
                                           "under-min-isr-partitions", "at-min-isr-partitions",
                                           "unavailable-partitions"};

std::vector<ShimOption> table() {
    return {
        {"bootstrap-server", Takes::Value, "server to connect to", "Servers; required."},
        {"command-config", Takes::Value, "command config property file",
         "Properties of the client."},
        {"list", Takes::Nothing, "", "List topics."},
        {"create", Takes::Nothing, "", "Create a topic."},
        {"delete", Takes::Nothing, "", "Delete topics."},
        {"alter", Takes::Nothing, "", "Add partitions."},
        {"describe", Takes::Nothing, "", "Show topics and their partitions."},
        {"topic", Takes::Value, "topic",
         "The topic; a regular expression except with --create."},
        {"topic-id", Takes::Value, "topic-id", "Describe the topic with this id."},
        {"config", Takes::Value, "name=value", "A config of the new topic; repeatable."},
        {"delete-config", Takes::Value, "name", "No longer served."},
        {"partitions", Takes::Value, "# of partitions", "How many the topic is to have.", nullptr,
         ValueKind::Integer},
        {"replication-factor", Takes::Value, "replication factor", "Copies of each partition.",
         nullptr, ValueKind::Integer},
        {"replica-assignment", Takes::Value,
         "broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , "
         "broker_id_for_part2_replica1 : broker_id_for_part2_replica2 , ...",
         "Brokers of each partition, by hand."},
        {"under-replicated-partitions", Takes::Nothing, "", "Describe only these."},
        {"unavailable-partitions", Takes::Nothing, "", "Describe only those without a leader."},
        {"under-min-isr-partitions", Takes::Nothing, "", "Describe only these."},
        {"at-min-isr-partitions", Takes::Nothing, "", "Describe only these."},
        {"topics-with-overrides", Takes::Nothing, "", "Describe only topics with own configs."},
        {"if-exists", Takes::Nothing, "", "No error when the topic is missing."},
        {"if-not-exists", Takes::Nothing, "", "No error when the topic is there."},
        {"exclude-internal", Takes::Nothing, "", "Leave internal topics out."},
        {"partition-size-limit-per-response", Takes::Value,
         "maximum number of partitions per response", "Size of one answer.", nullptr,
         ValueKind::Integer},
    };
}

std::vector<std::string> actions_but(std::initializer_list<const char*> allowed,
                                     std::vector<std::string> more = {}) {
    std::vector<std::string> invalid;
    for (const std::string& action : kActions) {
        if (std::find(allowed.begin(), allowed.end(), action) == allowed.end())
            invalid.push_back(action);
    }
    invalid.insert(invalid.end(), more.begin(), more.end());
    return invalid;
}

void check_required(const ShimOptions& options) {
    if (!options.has("bootstrap-server")) {
        std::cerr << "--bootstrap-server must be specified\n";
        throw ShimExit{1};
    }
    if (options.has("describe") && options.has("if-exists")) {
        if (!options.has("topic") && !options.has("topic-id"))
            options.usage("--topic or --topic-id is required to describe a topic");
        if (options.has("topic") && options.has("topic-id")) {
            std::cout << "Only topic id will be used when both --topic and --topic-id are "
                         "specified and topicId is not Uuid.ZERO_UUID\n";
        }
    }
    if (!options.has("list") && !options.has("describe")) options.require("topic");
    if (options.has("alter")) {
        if (options.has("config")) {
            options.usage(fmt::format("Option combination \"[[bootstrap-server], [config]]\" "
                                      "can't be used with option \"[alter]\"{}",
                                      kAlterConfigs));
        }
        options.require("partitions");
    }
}

void check(const ShimOptions& options) {
    options.help_or_version(
        "This tool helps to create, delete, describe, or change a topic.");
    const auto actions = std::count_if(kActions.begin(), kActions.end(),
                                       [&](const auto& action) { return options.has(action); });
    if (actions != 1) {
        options.usage("Command must include exactly one action: --list, --describe, --create, "
                      "--alter or --delete");
    }
    if (options.has("delete-config")) {
        std::cerr << "delete-config option is no longer supported and deprecated since version "
                     "4.0. The config will be fully removed in future releases.\n";
    }
    check_required(options);
    options.forbid("config", actions_but({"alter", "create"}));
    options.forbid("partitions", actions_but({"alter", "create"}));
    options.forbid("replication-factor", actions_but({"create"}));
    options.forbid("replica-assignment", actions_but({"alter", "create"}));
    if (options.has("create"))
        options.forbid("replica-assignment", {"partitions", "replication-factor"});
    for (const std::string& report : kReports)
        options.forbid(report, actions_but({"describe"}, {"topics-with-overrides"}));
    options.forbid("topics-with-overrides", actions_but({"describe"}, kReports));
    options.forbid("if-exists", actions_but({"alter", "delete", "describe"}));
    options.forbid("if-not-exists", actions_but({"create"}));
    options.forbid("exclude-internal", actions_but({"list", "describe"}));
}

[[noreturn]] void fail(const std::string& message) { throw Failure{kFailed, message, ""}; }

std::string trimmed(const std::string& text) {
    const size_t from = text.find_first_not_of(" \t");
    return from == std::string::npos ? ""
                                     : text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

std::vector<std::vector<int32_t>> assignment_of(const ShimOptions& options) {
    std::vector<std::vector<int32_t>> partitions;
    for (const std::string& one : split(options.value("replica-assignment").value_or(""), ',')) {
        std::vector<int32_t> brokers;
        std::string twice;
        for (const std::string& text : split(one, ':')) {
            const std::string id = trimmed(text);
            if (id.empty() || id.find_first_not_of("0123456789") != std::string::npos)
                fail(fmt::format("For input string: \"{}\"", id));
            const int32_t broker = std::atoi(id.c_str());
            if (std::find(brokers.begin(), brokers.end(), broker) != brokers.end())
                twice += (twice.empty() ? "" : ",") + id;
            brokers.push_back(broker);
        }
        if (!twice.empty())
            fail("Partition replica lists may not contain duplicate entries: " + twice);
        partitions.push_back(brokers);
        if (brokers.size() != partitions.front().size()) {
            std::string list;
            for (const int32_t broker : brokers)
                list += (list.empty() ? "" : ", ") + std::to_string(broker);
            fail(fmt::format("Partition {} has different replication factor: [{}]",
                             partitions.size() - 1, list));
        }
    }
    return partitions;
}

void create(Client& client, const ShimOptions& options) {
    wire::CreateTopicsRequest request;
    auto& topic = request.topics.emplace_back();
    topic.name = *options.value("topic");
    const auto partitions = options.number("partitions");
    const auto replicas = options.number("replication-factor");
    topic.num_partitions = static_cast<int32_t>(partitions.value_or(-1));
    topic.replication_factor = static_cast<int16_t>(replicas.value_or(-1));
    for (const auto& brokers : assignment_of(options)) {
        auto& one = topic.assignments.emplace_back();
        one.partition_index = static_cast<int32_t>(topic.assignments.size()) - 1;
        one.broker_ids = brokers;
    }
    for (const std::string& text : options.values("config")) {
        const size_t equals = text.find('=');
        if (equals == std::string::npos || equals + 1 == text.size()) {
            fail("requirement failed: Invalid topic config: all configs to be added must be in "
                 "the format \"key=val\".");
        }
        auto& config = topic.configs.emplace_back();
        config.name = trimmed(text.substr(0, equals));
        config.value = trimmed(text.substr(equals + 1));
    }
    if (topic.name.find_first_of("._") != std::string::npos) {
        std::cout << "WARNING: Due to limitations in metric names, topics with a period ('.') or "
                     "underscore ('_') could collide. To avoid issues it is best to use either, "
                     "but not both.\n";
    }
    if (replicas && (*replicas > INT16_MAX || *replicas < 1))
        fail(fmt::format("The replication factor must be between 1 and {} inclusive", INT16_MAX));
    if (partitions && *partitions < 1) fail("The partitions must be greater than 0");
    request.timeout_ms = client.timeout_ms();
    const auto response = client.ask<wire::CreateTopicsResponse>(request);
    for (const auto& result : response.topics) {
        const bool exists = error_code_from(result.error_code) == ErrorCode::TopicAlreadyExists;
        if (exists && options.has("if-not-exists")) return;
        check_error(result.error_code, result.error_message, result.name);
    }
    std::cout << fmt::format("Created topic {}.\n", topic.name);
}

void alter(Client& client, const ShimOptions& options) {
    const int64_t count = *options.number("partitions");
    const auto assignment = assignment_of(options);
    const auto names = shim_topic_names(client, options);
    shim_ensure_topic(names, options);
    if (names.empty()) return;
    wire::CreatePartitionsRequest request;
    for (const std::string& name : names) {
        auto& topic = request.topics.emplace_back();
        topic.name = name;
        topic.count = static_cast<int32_t>(count);
        topic.assignments.reset();
        if (assignment.empty()) continue;
        topic.assignments.emplace();
        const size_t have = client.topic(name).partitions.size();
        for (size_t i = have; i < assignment.size(); ++i)
            topic.assignments->emplace_back().broker_ids = assignment[i];
    }
    request.timeout_ms = client.timeout_ms();
    for (const auto& result : client.ask<wire::CreatePartitionsResponse>(request).results)
        check_error(result.error_code, result.error_message, result.name);
}

void remove(Client& client, const ShimOptions& options) {
    const auto names = shim_topic_names(client, options);
    shim_ensure_topic(names, options);
    if (names.empty()) return;
    wire::DeleteTopicsRequest request;
    Connection& connection = client.any();
    const int16_t version = connection.version_of<wire::DeleteTopicsRequest>();
    for (const std::string& name : names) {
        if (version >= 6)
            request.topics.emplace_back().name = name;
        else
            request.topic_names.push_back(name);
    }
    request.timeout_ms = client.timeout_ms();
    const auto response =
        connection.ask<wire::DeleteTopicsResponse>(request, version, client.deadline());
    for (const auto& result : response.responses)
        check_error(result.error_code, result.error_message, result.name.value_or(""));
}

void run(const ShimOptions& options) {
    std::map<std::string, std::string> properties;
    if (const auto file = options.value("command-config")) properties = read_properties(*file);
    Client client(shim_context(*options.value("bootstrap-server"), kTimeoutMs, "adminclient-1",
                               properties));
    if (options.has("create")) {
        create(client, options);
    } else if (options.has("alter")) {
        alter(client, options);
    } else if (options.has("delete")) {
        remove(client, options);
    } else if (options.has("describe")) {
        shim_describe_topics(client, options);
    } else {
        std::string text;
        for (const std::string& name : shim_topic_names(client, options))
            text += (text.empty() ? "" : "\n") + name;
        std::cout << text << '\n';
    }
}

}  // namespace

std::vector<std::string> shim_topic_names(Client& client, const ShimOptions& options) {
    const auto pattern = options.value("topic");
    std::optional<TopicFilter> filter;
    if (pattern) filter.emplace(*pattern);
    std::vector<std::string> names;
    for (const auto& topic : client.metadata(std::nullopt).topics) {
        const std::string name = topic.name.value_or("");
        if (topic.is_internal && options.has("exclude-internal")) continue;
        if (!filter || filter->matches(name)) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

void shim_ensure_topic(const std::vector<std::string>& found, const ShimOptions& options) {
    const std::string wanted = options.value("topic").value_or("");
    if (wanted.empty() || options.has("if-exists") || !found.empty()) return;
    fail(fmt::format("Topic '{}' does not exist as expected", wanted));
}

int shim_topics(const std::vector<std::string>& words) {
    if (words.empty()) shim_usage(table(), "Create, delete, describe, or change a topic.");
    std::optional<ShimOptions> options;
    try {
        options.emplace(table(), words);
    } catch (const OptionProblem& problem) {
        std::cerr << problem.message << '\n';
        return 1;
    }
    check(*options);
    std::string message;
    try {
        run(*options);
        return 0;
    } catch (const OptionProblem& problem) {
        message = problem.message;
    } catch (const Failure& failure) {
        message = java_message(failure);
    }
    std::cout << "Error while executing topic command : " << message << '\n';
    std::cout.flush();
    java_log("ERROR", message, "org.apache.kafka.tools.TopicCommand");
    return 1;
}

}  // namespace millrace::cli
