// tools/cli/shim_get_offsets.cc: kafka-get-offsets.sh.
#include <fmt/core.h>

#include <algorithm>
#include <iostream>
#include <regex>

#include "cli/offsets.h"
#include "cli/output.h"
#include "cli/shim.h"
#include "cli/shim_java.h"
#include "cli/shim_options.h"
#include "cli/shim_topic_filter.h"

namespace millrace::cli {
namespace {

constexpr const char* kAbout = "An interactive shell for getting topic-partition offsets.";
constexpr int kTimeoutMs = 60'000;

std::vector<ShimOption> table() {
    return {
        {"bootstrap-server", Takes::Value, "HOST1:PORT1,...,HOST3:PORT3", "Servers; required."},
        {"topic-partitions", Takes::Value, "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3",
         "Patterns of topics and partitions, instead of --topic and --partitions."},
        {"topic", Takes::Value, "topic", "Topic, or a regular expression for topics."},
        {"partitions", Takes::Value, "partition ids", "Only these partitions."},
        {"time", Takes::Value,
         "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or "
         "earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload",
         "Which offset.", "latest"},
        {"command-config", Takes::Value, "config file", "Properties of the client."},
        {"exclude-internal-topics", Takes::Nothing, "", "Leave internal topics out."},
    };
}

/// TerseException: one line, no stack trace.
[[noreturn]] void terse(const std::string& message) {
    std::cout.flush();
    std::cerr << "Error occurred: " << message << '\n';
    throw ShimExit{1};
}

int64_t time_of(const std::string& text) {
    const std::pair<const char*, int64_t> names[] = {
        {"latest", -1},         {"earliest", -2},      {"max-timestamp", -3},
        {"earliest-local", -4}, {"latest-tiered", -5}, {"earliest-pending-upload", -6}};
    for (const auto& [name, time] : names) {
        if (text == name) return time;
    }
    try {
        size_t used = 0;
        const int64_t time = std::stoll(text, &used);
        if (used == text.size()) return time;
    } catch (const std::exception&) {
        // said below
    }
    terse(fmt::format("Malformed time argument {}. Please use -1 or latest / -2 or earliest / -3 "
                      "or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or "
                      "earliest-pending-upload, or a specified long format timestamp",
                      text));
}

/// A topic pattern with a range of partitions, the upper end left out.
struct Rule {
    TopicFilter topics;
    int64_t low = 0;
    int64_t high = INT64_MAX;
    std::set<int64_t> only;

    bool allows(const TopicPartition& partition) const {
        if (!topics.matches(partition.topic)) return false;
        if (!only.empty()) return only.contains(partition.partition);
        return partition.partition >= low && partition.partition < high;
    }
};

Rule rule_of(const std::string& spec) {
    static const std::regex kPattern("([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?");
    std::smatch parts;
    if (!std::regex_match(spec, parts, kPattern)) {
        terse("org.apache.kafka.tools.TerseException: Invalid rule specification: " + spec);
    }
    Rule rule{TopicFilter(parts[1].length() == 0 ? ".*" : parts[1].str()), 0, INT64_MAX, {}};
    if (parts[2].length() > 0) {
        rule.low = std::stoll(parts[2]);
        rule.high = rule.low + 1;
    } else {
        if (parts[3].length() > 0) rule.low = std::stoll(parts[3]);
        if (parts[4].length() > 0) rule.high = std::stoll(parts[4]);
    }
    return rule;
}

std::vector<Rule> rules_of(const ShimOptions& options) {
    std::vector<Rule> rules;
    if (options.has("topic-partitions")) {
        for (const std::string& spec : split(*options.value("topic-partitions"), ','))
            rules.push_back(rule_of(spec));
        return rules;
    }
    Rule rule{TopicFilter(options.value("topic").value_or(".*")), 0, INT64_MAX, {}};
    const std::string ids = options.value("partitions").value_or("");
    for (const std::string& id : split(ids, ',')) {
        if (id.empty() || id.find_first_not_of("0123456789") != std::string::npos) {
            terse("--partitions expects a comma separated list of numeric partition ids, but "
                  "received: " +
                  ids);
        }
        rule.only.insert(std::stoll(id));
    }
    rules.push_back(std::move(rule));
    return rules;
}

std::set<TopicPartition> matching(Client& client, const std::vector<Rule>& rules,
                                  bool exclude_internal) {
    std::set<TopicPartition> partitions;
    for (const auto& topic : client.metadata(std::nullopt).topics) {
        if (exclude_internal && topic.is_internal) continue;
        for (const auto& p : topic.partitions) {
            const TopicPartition one{topic.name.value_or(""), p.partition_index};
            if (std::any_of(rules.begin(), rules.end(),
                            [&](const Rule& rule) { return rule.allows(one); }))
                partitions.insert(one);
        }
    }
    return partitions;
}

void print_offsets(Client& client, const std::set<TopicPartition>& partitions, int64_t time) {
    std::map<std::string, std::string> lines;  // Kafka sorts by the text of topic-partition
    const auto found = find_offsets(client, partitions, time);
    for (const TopicPartition& partition : partitions) {
        const auto answer = found.find(partition);
        const int16_t error = answer == found.end() ? wire_error(ErrorCode::LeaderNotAvailable)
                                                    : answer->second.error_code;
        if (error != 0) {
            std::cerr << fmt::format(
                "Skip getting offsets for topic-partition {} due to error: {}: {}\n",
                partition.to_string(), java_class(error), java_message(error, ""));
        } else if (answer->second.offset >= 0) {
            lines[partition.to_string()] = fmt::format("{}:{}:{}\n", partition.topic,
                                                       partition.partition, answer->second.offset);
        }
    }
    for (const auto& [name, line] : lines)
        std::cout << line;
}

}  // namespace

int shim_get_offsets(const std::vector<std::string>& words) {
    if (words.empty()) shim_usage(table(), kAbout);
    try {
        const ShimOptions options(table(), words);
        options.help_or_version(kAbout);
        options.require("bootstrap-server");
        const std::string servers = *options.value("bootstrap-server");
        if (!are_servers(servers))
            options.usage("Please provide valid host:port like host1:9091,host2:9092\n");
        if (options.has("topic-partitions") &&
            (options.has("topic") || options.has("partitions")))
            terse("--topic-partitions cannot be used with --topic or --partitions");
        const int64_t time = time_of(*options.value("time"));
        const auto rules = rules_of(options);
        std::map<std::string, std::string> properties;
        if (const auto file = options.value("command-config")) properties = read_properties(*file);
        Client client(shim_context(servers, kTimeoutMs, "GetOffsetShell", properties));
        const auto partitions = matching(client, rules, options.has("exclude-internal-topics"));
        if (partitions.empty())
            terse("Could not match any topic-partitions with the specified filters");
        print_offsets(client, partitions, time);
        return 0;
    } catch (const OptionProblem& problem) {
        terse(problem.message);
    } catch (const Failure& failure) {
        terse(java_text(failure));
    }
}

}  // namespace millrace::cli
