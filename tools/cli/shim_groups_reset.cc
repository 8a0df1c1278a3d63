// tools/cli/shim_groups_reset.cc: kafka-consumer-groups.sh --reset-offsets and --delete-offsets.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "cli/group_reset.h"
#include "cli/shim.h"
#include "cli/shim_groups.h"
#include "cli/shim_java.h"
#include "cli/time_text.h"

namespace millrace::cli {
namespace {

using Offsets = std::map<TopicPartition, int64_t>;

int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

ResetSpec spec_of(const ShimOptions& options) {
    if (const auto offset = options.number("to-offset")) return {ResetKind::ToOffset, *offset, {}};
    if (options.has("to-earliest")) return {ResetKind::ToEarliest, 0, {}};
    if (options.has("to-latest")) return {ResetKind::ToLatest, 0, {}};
    if (const auto by = options.number("shift-by")) return {ResetKind::ShiftBy, *by, {}};
    if (const auto text = options.value("to-datetime")) {
        const auto time = parse_datetime(*text);
        if (!time) {
            throw Failure{kFailed, fmt::format("java.text.ParseException: Unparseable date: \"{}\"",
                                               *text),
                          ""};
        }
        return {ResetKind::ToTime, *time, {}};
    }
    if (const auto text = options.value("by-duration")) {
        const auto back = parse_duration(*text);
        if (!back) throw Failure{kFailed, "Text cannot be parsed to a Duration", ""};
        return {ResetKind::ToTime, now_ms() - *back, {}};
    }
    if (const auto path = options.value("from-file")) {
        const auto names = options.values("group");
        return {ResetKind::FromFile, 0,
                parse_reset_csv(read_file(*path), names.size() == 1 ? names.front() : "")};
    }
    if (options.has("to-current")) return {ResetKind::ToCurrent, 0, {}};
    options.usage("Option '[reset-offsets]' requires one of the following scenarios: "
                  "[[to-offset], [shift-by], [to-datetime], [by-duration], [to-earliest], "
                  "[to-latest], [to-current], [from-file]]");
}

std::set<TopicPartition> scope_of(GroupClient& groups, const std::string& group,
                                  const ShimOptions& options) {
    std::set<TopicPartition> partitions;
    if (options.has("all-topics")) {
        for (const auto& [partition, offset] : groups.committed(group))
            partitions.insert(partition);
    } else if (options.has("topic")) {
        try {
            partitions = partitions_of(groups.client(), options.values("topic"));
        } catch (const Failure& failure) {
            if (failure.exit_code != kNotFound) throw;
            shim_group_error("Executing consumer group command failed due to " +
                             java_message(wire_error(ErrorCode::UnknownTopicOrPartition), ""));
            throw ShimExit{0};
        }
    } else if (!options.has("from-file")) {
        options.usage("One of the reset scopes should be defined: --all-topics, --topic.");
    }
    return partitions;
}

void check_topics_exist(Client& client, const std::set<TopicPartition>& partitions) {
    std::set<std::string> topics;
    for (const TopicPartition& partition : partitions)
        topics.insert(partition.topic);
    const auto leaders = leaders_of(client, topics);
    for (const std::string& topic : topics) {
        if (leaders.contains({topic, 0})) continue;
        shim_group_failure(
            {kNotFound, "", "", wire_error(ErrorCode::UnknownTopicOrPartition), ""}, true);
    }
}

Offsets reset_one(GroupClient& groups, const std::string& group, const ShimOptions& options) {
    try {
        const GroupDescription description = groups.describe(group);
        if (description.state != "Empty" && description.state != "Dead") {
            shim_group_error(fmt::format("Assignments can only be reset if the group '{}' is "
                                         "inactive, but the current state is {}.",
                                         group, description.state));
            return {};
        }
    } catch (const Failure& failure) {
        if (error_code_from(failure.kafka_error) != ErrorCode::GroupIdNotFound) throw;
    }
    const auto scope = scope_of(groups, group, options);
    const ResetSpec spec = spec_of(options);
    check_topics_exist(groups.client(), scope);
    check_partitions(groups.client(), scope);
    if (spec.kind == ResetKind::FromFile && !spec.plans.contains(group))
        shim_group_error(fmt::format("No reset plan for group {} found", group));
    const ResetPlan plan = plan_reset(groups, group, spec, scope);
    for (const std::string& warning : plan.warnings)
        java_log("WARN", warning, "org.apache.kafka.tools.OffsetsUtils");
    for (const TopicPartition& partition : java_hash_order(plan.without_time)) {
        std::cout << fmt::format("\nWarn: Partition {} from topic {} is empty. Falling back to "
                                 "latest known offset.\n",
                                 partition.partition, partition.topic);
    }
    if (options.has("execute") && !options.has("dry-run") && !plan.offsets.empty())
        groups.commit(group, plan.offsets);
    return plan.offsets;
}

std::vector<TopicPartition> java_order(const Offsets& offsets) {
    std::vector<TopicPartition> partitions;
    for (const auto& [partition, offset] : offsets)
        partitions.push_back(partition);
    return java_hash_order(partitions);
}

void print_plan(const std::vector<std::string>& groups,
                const std::map<std::string, Offsets>& plans) {
    size_t w_group = 15;
    size_t w_topic = 15;
    for (const auto& [group, offsets] : plans) {
        w_group = std::max(w_group, group.size());
        for (const auto& [partition, offset] : offsets)
            w_topic = std::max(w_topic, partition.topic.size());
    }
    const auto row = [&](const std::string& group, const std::string& topic,
                         const std::string& partition, const std::string& offset) {
        std::cout << '\n'
                  << padded(group, w_group) << ' ' << padded(topic, w_topic) << ' '
                  << padded(partition, 10) << ' ' << offset;
    };
    if (!plans.empty()) row("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    for (const std::string& group : groups) {
        const Offsets& offsets = plans.at(group);
        for (const TopicPartition& partition : java_order(offsets)) {
            row(group, partition.topic, std::to_string(partition.partition),
                std::to_string(offsets.at(partition)));
        }
    }
    std::cout << '\n';
}

/// As Jackson writes CSV: quotes around what is long or holds a character below '-'.
std::string csv_field(const std::string& text) {
    constexpr size_t kQuoteCheckMax = 24;
    const bool plain = text.size() <= kQuoteCheckMax &&
                       std::all_of(text.begin(), text.end(), [](char c) {
                           return static_cast<unsigned char>(c) >= '-';
                       });
    if (plain) return text;
    std::string quoted = "\"";
    for (const char c : text)
        quoted += c == '"' ? "\"\"" : std::string(1, c);
    return quoted + "\"";
}

}  // namespace

void shim_reset_offsets(GroupClient& groups, const ShimOptions& options) {
    std::map<std::string, Offsets> plans;
    try {
        for (const std::string& group : shim_group_ids(groups, options))
            plans[group] = reset_one(groups, group, options);
    } catch (const Failure& failure) {
        // IllegalArgumentException shows the options, everything else one line.
        if (failure.exit_code == kUsage && failure.kafka_error == 0)
            options.usage(java_message(failure));
        throw;
    }
    std::vector<std::string> names;
    for (const auto& [group, offsets] : plans)
        names.push_back(group);
    names = java_hash_order(names);
    if (!options.has("export")) {
        print_plan(names, plans);
        return;
    }
    const bool single = options.values("group").size() == 1;
    for (const std::string& group : names) {
        for (const TopicPartition& partition : java_order(plans[group])) {
            std::cout << (single ? "" : csv_field(group) + ",")
                      << fmt::format("{},{},{}\n", csv_field(partition.topic),
                                     partition.partition, plans[group][partition]);
        }
    }
    std::cout << '\n';
}

void shim_delete_offsets(GroupClient& groups, const ShimOptions& options) {
    const std::string group = *options.value("group");
    std::map<TopicPartition, int16_t> results;
    std::set<TopicPartition> partitions;
    for (const std::string& argument : options.values("topic")) {
        try {
            partitions.merge(partitions_of(groups.client(), {argument}));
        } catch (const Failure& failure) {
            if (failure.exit_code != kNotFound) throw;
            results[{argument, -1}] = wire_error(ErrorCode::UnknownTopicOrPartition);
        }
    }
    std::map<TopicPartition, int16_t> answered;
    int16_t top = groups.remove_offsets(group, partitions, answered);
    for (const TopicPartition& partition : partitions) {
        results[partition] = top != 0 ? top : answered[partition];
        if (top == 0 && answered[partition] != 0) top = answered[partition];
    }
    const auto code = error_code_from(top).value_or(ErrorCode::UnknownServerError);
    if (code == ErrorCode::None) {
        std::cout << fmt::format("Request succeeded for deleting offsets from group {}.\n", group);
    } else if (code == ErrorCode::GroupSubscribedToTopic ||
               code == ErrorCode::TopicAuthorizationFailed ||
               code == ErrorCode::UnknownTopicOrPartition) {
        shim_group_error(
            "Encountered some partition-level error, see the follow-up details.");
    } else if (code == ErrorCode::InvalidGroupId || code == ErrorCode::GroupIdNotFound ||
               code == ErrorCode::GroupAuthorizationFailed || code == ErrorCode::NonEmptyGroup) {
        shim_group_error(java_message(top, ""));
    } else {
        shim_group_error(fmt::format("Encountered some unknown error: {}", error_code_name(code)));
    }
    size_t width = 15;
    for (const auto& [partition, error] : results)
        width = std::max(width, partition.topic.size());
    const auto row = [&](const std::string& topic, const std::string& partition,
                         const std::string& status) {
        std::cout << '\n'
                  << padded(topic, width) << ' ' << padded(partition, 10) << ' '
                  << padded(status, 15);
    };
    row("TOPIC", "PARTITION", "STATUS");
    std::map<std::string, std::pair<TopicPartition, int16_t>> sorted;
    for (const auto& [partition, error] : results)
        sorted[partition.topic + std::to_string(partition.partition)] = {partition, error};
    for (const auto& [key, result] : sorted) {
        const auto& [partition, error] = result;
        row(partition.topic,
            partition.partition >= 0 ? std::to_string(partition.partition) : "-",
            error == 0 ? "Successful"
                       : fmt::format("Error: {}: {}", java_class(error), java_message(error, "")));
    }
    std::cout << '\n';
}

}  // namespace millrace::cli
