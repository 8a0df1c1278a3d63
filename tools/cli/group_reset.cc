// tools/cli/group_reset.cc: works out the offsets that a reset would commit.
#include "cli/group_reset.h"

#include <fmt/core.h>

#include <charconv>
#include <fstream>
#include <sstream>

#include "cli/output.h"

namespace millrace::cli {
namespace {

using Offsets = std::map<TopicPartition, int64_t>;

std::string joined(const std::vector<TopicPartition>& partitions) {
    std::string text;
    for (const TopicPartition& partition : partitions)
        text += (text.empty() ? "" : ",") + partition.to_string();
    return text;
}

std::set<TopicPartition> keys_of(const Offsets& offsets) {
    std::set<TopicPartition> keys;
    for (const auto& [partition, offset] : offsets)
        keys.insert(partition);
    return keys;
}

Offsets log_offsets(Client& client, const std::set<TopicPartition>& partitions, int64_t time) {
    Offsets offsets;
    for (const auto& [partition, found] : find_offsets(client, partitions, time)) {
        check_error(found.error_code, std::nullopt, partition.to_string());
        offsets[partition] = found.offset;
    }
    return offsets;
}

/// What lies outside the log is set to its nearest end, with a warning.
void fit_into_log(Client& client, ResetPlan& plan) {
    const auto partitions = keys_of(plan.offsets);
    const Offsets starts = log_offsets(client, partitions, kEarliestTimestamp);
    const Offsets ends = log_offsets(client, partitions, kLatestTimestamp);
    for (auto& [partition, offset] : plan.offsets) {
        const auto start = starts.find(partition);
        const auto end = ends.find(partition);
        if (end != ends.end() && offset > end->second) {
            plan.warnings.push_back(
                fmt::format("New offset ({}) is higher than latest offset for topic partition {}. "
                            "Value will be set to {}",
                            offset, partition.to_string(), end->second));
            offset = end->second;
        } else if (start != starts.end() && offset < start->second) {
            plan.warnings.push_back(
                fmt::format("New offset ({}) is lower than earliest offset for topic partition "
                            "{}. Value will be set to {}",
                            offset, partition.to_string(), start->second));
            offset = start->second;
        }
    }
}

void plan_shift(GroupClient& groups, const std::string& group, int64_t by,
                const std::set<TopicPartition>& partitions, ResetPlan& plan) {
    const CommittedOffsets committed = groups.committed(group);
    for (const TopicPartition& partition : partitions) {
        const auto current = committed.find(partition);
        if (current == committed.end()) {
            throw Failure{kUsage,
                          fmt::format("group '{}' has no committed offset for {} to shift", group,
                                      partition.to_string()),
                          "leave that partition out, or use --to-offset", 0,
                          fmt::format("Cannot shift offset for partition {} since there is no "
                                      "current committed offset",
                                      partition.to_string())};
        }
        plan.offsets[partition] = current->second.offset + by;
    }
    fit_into_log(groups.client(), plan);
}

void plan_time(Client& client, int64_t time, const std::set<TopicPartition>& partitions,
               ResetPlan& plan) {
    std::set<TopicPartition> later;
    for (const auto& [partition, offset] : log_offsets(client, partitions, time)) {
        if (offset >= 0) {
            plan.offsets[partition] = offset;
        } else {
            later.insert(partition);
            plan.without_time.push_back(partition);
        }
    }
    plan.offsets.merge(log_offsets(client, later, kLatestTimestamp));
}

void plan_current(GroupClient& groups, const std::string& group,
                  const std::set<TopicPartition>& partitions, ResetPlan& plan) {
    const CommittedOffsets committed = groups.committed(group);
    std::set<TopicPartition> without;
    for (const TopicPartition& partition : partitions) {
        const auto current = committed.find(partition);
        if (current != committed.end())
            plan.offsets[partition] = current->second.offset;
        else
            without.insert(partition);
    }
    plan.offsets.merge(log_offsets(groups.client(), without, kLatestTimestamp));
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
    Number number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

Failure bad_topic_argument(const std::string& argument, const std::string& kafka_message) {
    return {kUsage, fmt::format("'{}' is neither topic nor topic:partition,partition", argument),
            "for example --topic orders or --topic orders:0,2", 0, kafka_message};
}

std::set<TopicPartition> named_partitions(const std::string& argument) {
    const std::vector<std::string> parts = split(argument, ':');
    if (parts.size() != 2) {
        throw bad_topic_argument(argument, fmt::format("Invalid topic arg '{}', expected topic "
                                                       "name and partitions",
                                                       argument));
    }
    std::set<TopicPartition> partitions;
    for (const std::string& text : split(parts[1], ',')) {
        const auto number = number_of<int32_t>(text);
        if (!number) {
            throw bad_topic_argument(
                argument,
                fmt::format("Invalid partition '{}' specified in topic arg '{}''", text, argument));
        }
        partitions.insert({parts[0], *number});
    }
    return partitions;
}

}  // namespace

ResetPlan plan_reset(GroupClient& groups, const std::string& group, const ResetSpec& spec,
                     const std::set<TopicPartition>& partitions) {
    ResetPlan plan;
    Client& client = groups.client();
    switch (spec.kind) {
        case ResetKind::ToOffset:
            for (const TopicPartition& partition : partitions)
                plan.offsets[partition] = spec.number;
            fit_into_log(client, plan);
            break;
        case ResetKind::ToEarliest:
            plan.offsets = log_offsets(client, partitions, kEarliestTimestamp);
            break;
        case ResetKind::ToLatest:
            plan.offsets = log_offsets(client, partitions, kLatestTimestamp);
            break;
        case ResetKind::ToCurrent: plan_current(groups, group, partitions, plan); break;
        case ResetKind::ShiftBy: plan_shift(groups, group, spec.number, partitions, plan); break;
        case ResetKind::ToTime: plan_time(client, spec.number, partitions, plan); break;
        case ResetKind::FromFile:
            if (const auto found = spec.plans.find(group); found != spec.plans.end())
                plan.offsets = found->second;
            fit_into_log(client, plan);
            break;
    }
    return plan;
}

std::set<TopicPartition> partitions_of(Client& client, const std::vector<std::string>& arguments) {
    std::set<TopicPartition> partitions;
    std::set<std::string> whole;
    for (const std::string& argument : arguments) {
        if (argument.find(':') == std::string::npos)
            whole.insert(argument);
        else
            partitions.merge(named_partitions(argument));
    }
    for (const std::string& name : whole) {
        for (const auto& partition : client.topic(name).partitions)
            partitions.insert({name, partition.partition_index});
    }
    return partitions;
}

void check_partitions(Client& client, const std::set<TopicPartition>& partitions) {
    std::set<std::string> topics;
    for (const TopicPartition& partition : partitions)
        topics.insert(partition.topic);
    const auto leaders = leaders_of(client, topics);
    std::vector<TopicPartition> missing;
    std::vector<TopicPartition> leaderless;
    for (const TopicPartition& partition : partitions) {
        const auto found = leaders.find(partition);
        if (found == leaders.end())
            missing.push_back(partition);
        else if (found->second < 0)
            leaderless.push_back(partition);
    }
    if (!missing.empty()) {
        throw Failure{kNotFound, "no such partition: " + joined(missing),
                      "millrace topic describe shows the partitions", 0,
                      fmt::format("The partitions \"{}\" do not exist", joined(missing))};
    }
    if (!leaderless.empty()) {
        throw Failure{kFailed, "no leader: " + joined(leaderless),
                      "millrace cluster shows which brokers are down", 0,
                      fmt::format("The partitions \"{}\" have no leader", joined(leaderless))};
    }
}

OffsetPlans parse_reset_csv(const std::string& text, const std::string& group) {
    OffsetPlans plans;
    for (const std::string& line : split(text, '\n')) {
        std::vector<std::string> fields = split(line, ',');
        if (!fields.empty() && !fields.back().empty() && fields.back().back() == '\r')
            fields.back().pop_back();
        for (std::string& field : fields) {
            if (field.size() >= 2 && field.front() == '"' && field.back() == '"')
                field = field.substr(1, field.size() - 2);
        }
        if (fields.size() == 3 && !group.empty()) fields.insert(fields.begin(), group);
        const auto partition =
            fields.size() == 4 ? number_of<int32_t>(fields[2]) : std::optional<int32_t>();
        const auto offset =
            fields.size() == 4 ? number_of<int64_t>(fields[3]) : std::optional<int64_t>();
        if (!partition || !offset) {
            throw Failure{kUsage, fmt::format("'{}' is no line of a reset plan", line),
                          group.empty() ? "each line is group,topic,partition,offset"
                                        : "each line is topic,partition,offset",
                          0, fmt::format("Cannot read the reset plan at '{}'", line)};
        }
        plans[fields[0]][{fields[1], *partition}] = *offset;
    }
    return plans;
}

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (!file) {
        throw Failure{kUsage, fmt::format("cannot read {}", path), "check the path", 0, path};
    }
    return text.str();
}

}  // namespace millrace::cli
