// tools/cli/shim_console_consumer.cc: kafka-console-consumer.sh.
#include <fmt/core.h>

#include <algorithm>
#include <iostream>
#include <random>
#include <regex>

#include "cli/group_consumer.h"
#include "cli/interrupt.h"
#include "cli/shim.h"
#include "cli/shim_formatter.h"
#include "cli/shim_java.h"
#include "cli/shim_options.h"

namespace millrace::cli {
namespace {

constexpr const char* kAbout =
    "This tool helps to read data from Kafka topics and outputs it to standard output.";
constexpr const char* kFormatter = "org.apache.kafka.tools.consumer.DefaultMessageFormatter";
constexpr const char* kNoFormatter = "org.apache.kafka.tools.consumer.NoOpMessageFormatter";
constexpr const char* kLogger = "org.apache.kafka.tools.consumer.ConsoleConsumer";
constexpr int kApiTimeoutMs = 60'000;
constexpr int kWaitMs = 500;
using Properties = std::map<std::string, std::string>;

std::vector<ShimOption> table() {
    return {
        {"topic", Takes::Value, "topic", "The topic."},
        {"include", Takes::Value, "Java regex (String)", "Topics by a regular expression."},
        {"partition", Takes::Value, "partition", "One partition, without a group.", nullptr,
         ValueKind::Integer},
        {"offset", Takes::Value, "consume offset", "Where to start in it: a number, earliest or "
                                                   "latest.",
         "latest"},
        {"consumer-property", Takes::Value, "consumer_prop", "Deprecated: --command-property."},
        {"command-property", Takes::Value, "consumer_prop", "Property of the consumer."},
        {"consumer.config", Takes::Value, "config file", "Deprecated: --command-config."},
        {"command-config", Takes::Value, "config file", "File of such properties."},
        {"formatter", Takes::Value, "class", "Class that prints records.", kFormatter},
        {"property", Takes::Value, "prop", "Deprecated: --formatter-property."},
        {"formatter-property", Takes::Value, "prop",
         "print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers, "
         "print.value, key.separator, line.separator, headers.separator, null.literal, "
         "key.deserializer, value.deserializer, headers.deserializer"},
        {"formatter-config", Takes::Value, "config file", "File of such properties."},
        {"from-beginning", Takes::Nothing, "", "Start at the beginning without an offset."},
        {"max-messages", Takes::Value, "num_messages", "Stop after so many.", nullptr,
         ValueKind::Integer},
        {"timeout-ms", Takes::Value, "timeout_ms", "Stop when nothing comes for so long.", nullptr,
         ValueKind::Long},
        {"skip-message-on-error", Takes::Nothing, "", "Go on after a record that fails."},
        {"bootstrap-server", Takes::Value, "server to connect to", "Servers; required."},
        {"key-deserializer", Takes::Value, "deserializer for keys", "Class for keys."},
        {"value-deserializer", Takes::Value, "deserializer for values", "Class for values."},
        {"enable-systest-events", Takes::Nothing, "", "Print when the consumer has stopped."},
        {"isolation-level", Takes::Value, "", "read_committed or read_uncommitted",
         "read_uncommitted"},
        {"group", Takes::Value, "consumer group id", "The group."},
    };
}

struct Plan {
    Properties consumer;
    ShimFormatter formatter{{}};
    bool silent = false;
    int64_t offset = kLatestTimestamp;
    int64_t timeout_ms = INT64_MAX;
    int64_t max_messages = -1;
};

void warn(const ShimOptions& options, const char* before, const char* now) {
    if (!options.has(before)) return;
    std::cout << fmt::format("Option --{} is deprecated and will be removed in a future version. "
                             "Use --{} instead.\n",
                             before, now);
}

void check(const ShimOptions& options) {
    options.help_or_version(kAbout);
    if (options.has("topic") == options.has("include"))
        options.usage("Exactly one of the following arguments is required: [topic], [include]");
    if (options.number("partition")) {
        if (!options.has("topic"))
            options.usage("The topic is required when partition is specified.");
        if (options.has("from-beginning") && options.has("offset"))
            options.usage("Options from-beginning and offset cannot be specified together.");
    } else if (options.has("offset")) {
        options.usage("The partition is required when offset is specified.");
    }
    options.require("bootstrap-server");
    options.exclusive("consumer-property", "command-property");
    options.exclusive("consumer.config", "command-config");
    warn(options, "consumer-property", "command-property");
    warn(options, "consumer.config", "command-config");
}

Properties merged(const ShimOptions& options, std::initializer_list<const char*> files,
                  std::initializer_list<const char*> words) {
    Properties found;
    for (const char* name : files) {
        if (const auto path = options.value(name)) found = read_properties(*path);
    }
    for (const char* name : words) {
        for (auto& [key, value] : key_values(options.values(name)))
            found[key] = value;
    }
    return found;
}

/// The group id may come from three places, which must agree.
void settle_group(const ShimOptions& options, Properties& consumer) {
    std::vector<std::string> ids = options.values("group");
    const auto add = [&](const Properties& from) {
        const auto found = from.find("group.id");
        if (found != from.end() && std::find(ids.begin(), ids.end(), found->second) == ids.end())
            ids.push_back(found->second);
    };
    add(merged(options, {"consumer.config", "command-config"}, {}));
    add(merged(options, {}, {"consumer-property", "command-property"}));
    if (ids.size() > 1) {
        std::string list;
        for (const std::string& id : java_hash_order(ids))
            list += (list.empty() ? "'" : ", '") + id + "'";
        options.usage("The group ids provided in different places (directly using '--group', via "
                      "'--consumer-property', or via '--consumer.config') do not match. Detected "
                      "group ids: " +
                      list);
    }
    if (!ids.empty() && options.has("partition"))
        options.usage("Options group and partition cannot be specified together.");
    if (ids.empty()) {
        std::random_device device;
        consumer["group.id"] = fmt::format("console-consumer-{}", device() % 100'000);
        consumer.try_emplace("enable.auto.commit", "false");
    } else {
        consumer["group.id"] = ids.front();
    }
}

void settle_start(const ShimOptions& options, Plan& plan) {
    const bool beginning = options.has("from-beginning");
    const auto given = plan.consumer.find("auto.offset.reset");
    if (given != plan.consumer.end() && beginning && given->second != "earliest") {
        std::cerr << fmt::format("Can't simultaneously specify --from-beginning and "
                                 "'auto.offset.reset={}', please remove one option\n",
                                 given->second);
        throw ShimExit{1};
    }
    plan.consumer.try_emplace("auto.offset.reset", beginning ? "earliest" : "latest");
    if (!options.has("offset")) {
        if (beginning) plan.offset = kEarliestTimestamp;
        return;
    }
    const std::string text = *options.value("offset");
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (lower == "earliest") {
        plan.offset = kEarliestTimestamp;
    } else if (lower != "latest") {
        if (text.empty() || text.size() > 18 ||
            text.find_first_not_of("0123456789") != std::string::npos) {
            options.usage(fmt::format("The provided offset value '{}' is incorrect. Valid values "
                                      "are 'earliest', 'latest', or a non-negative long.",
                                      text));
        }
        plan.offset = std::stoll(text);
    }
}

Plan plan_of(const ShimOptions& options) {
    Plan plan;
    plan.consumer = merged(options, {"consumer.config", "command-config"},
                           {"consumer-property", "command-property"});
    const Properties given = plan.consumer;
    settle_group(options, plan.consumer);
    settle_start(options, plan);
    if (options.has("isolation-level") || !given.contains("isolation.level"))
        plan.consumer["isolation.level"] = *options.value("isolation-level");
    if (const auto timeout = options.number("timeout-ms"); timeout && *timeout >= 0)
        plan.timeout_ms = *timeout;
    plan.max_messages = options.number("max-messages").value_or(-1);
    options.exclusive("property", "formatter-property");
    warn(options, "property", "formatter-property");
    Properties formatting = merged(options, {"formatter-config"}, {});
    if (const auto name = options.value("key-deserializer"); name && !name->empty())
        formatting["key.deserializer"] = *name;
    if (const auto name = options.value("value-deserializer"); name && !name->empty())
        formatting["value.deserializer"] = *name;
    for (auto& [key, value] : merged(options, {}, {"property", "formatter-property"}))
        formatting[key] = value;
    const std::string name = *options.value("formatter");
    if (name != kFormatter && name != kNoFormatter) options.usage(name);
    plan.silent = name == kNoFormatter;
    plan.formatter = ShimFormatter(formatting);
    return plan;
}

/// Counts and prints; knows when the tool's loop ends.
class Output {
  public:
    Output(const Plan& plan, bool skip_errors) : plan_(plan), skip_errors_(skip_errors) { touch(); }

    bool print(const FetchedRecord& found) {
        if (full()) return false;
        touch();
        ++count_;
        try {
            if (!plan_.silent) std::cout << plan_.formatter.text_of(found);
        } catch (const Failure& failure) {
            if (!skip_errors_) throw;
            java_log("ERROR", "Error processing message, skipping this message: " + failure.error,
                     kLogger);
        }
        return !full();
    }
    bool full() const { return plan_.max_messages >= 0 && count_ >= plan_.max_messages; }
    bool idle_too_long() const {
        const auto idle = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - last_);
        return idle.count() > plan_.timeout_ms;
    }
    int wait_ms() const {
        return static_cast<int>(std::min<int64_t>(kWaitMs, plan_.timeout_ms));
    }
    int64_t count() const { return count_; }

  private:
    void touch() { last_ = std::chrono::steady_clock::now(); }

    const Plan& plan_;
    bool skip_errors_;
    int64_t count_ = 0;
    TimePoint last_;
};

/// Rounds until enough was printed, nothing comes any more, or somebody interrupts.
template <class Round>
void pump(Output& output, const Round& round) {
    while (!output.full() && !interrupted()) {
        round(output.wait_ms(), [&](const FetchedRecord& found) { return output.print(found); });
        std::cout.flush();
        if (!std::cout) {
            std::cerr << "Unable to write to standard out, closing consumer.\n";
            return;
        }
        if (!output.full() && output.idle_too_long()) {
            java_log("ERROR",
                     "Error processing message, terminating consumer process: \n"
                     "org.apache.kafka.common.errors.TimeoutException",
                     kLogger);
            return;
        }
    }
}

void read_partition(Client& client, const ShimOptions& options, const Plan& plan, Output& output) {
    const TopicPartition partition{*options.value("topic"),
                                   static_cast<int32_t>(*options.number("partition"))};
    const bool committed = plan.consumer.at("isolation.level") == "read_committed";
    const auto at = [&](int64_t time) -> std::optional<int64_t> {
        const auto found = find_offsets(client, {partition}, time, committed);
        const auto answer = found.find(partition);
        if (answer == found.end() || answer->second.error_code != 0) return std::nullopt;
        return answer->second.offset;
    };
    const std::string reset = plan.consumer.at("auto.offset.reset");
    Fetcher fetcher(client, committed);
    fetcher.on_out_of_range([&](const TopicPartition&) {
        return reset == "none"
                   ? std::nullopt
                   : at(reset == "earliest" ? kEarliestTimestamp : kLatestTimestamp);
    });
    fetcher.start(partition, plan.offset >= 0 ? plan.offset : at(plan.offset).value_or(0));
    pump(output, [&](int wait_ms, const Fetcher::Sink& sink) {
        client.renew();
        fetcher.round(wait_ms, sink);
    });
}

std::map<std::string, int32_t> topics_now(Client& client, const ShimOptions& options) {
    std::map<std::string, int32_t> counts;
    wire::MetadataResponse metadata;
    std::optional<std::regex> pattern;
    if (const auto topic = options.value("topic")) {
        metadata = client.metadata(std::vector<std::string>{*topic}, true);
    } else {
        metadata = client.metadata(std::nullopt);
        pattern.emplace(*options.value("include"));
    }
    for (const auto& topic : metadata.topics) {
        const std::string name = topic.name.value_or("");
        if (pattern && (topic.is_internal || !std::regex_match(name, *pattern))) continue;
        // A topic that is still missing may come; the member waits for it without partitions.
        if (topic.error_code != 0) {
            java_log("WARN",
                     fmt::format("The metadata response reported a recoverable issue: {{{}={}}}",
                                 name, error_text(topic.error_code, std::nullopt)),
                     kLogger);
        }
        counts[name] = static_cast<int32_t>(topic.partitions.size());
    }
    return counts;
}

void read_group(Client& client, const ShimOptions& options, const Plan& plan, Output& output) {
    const auto property = [&](const char* key, const std::string& fallback) {
        const auto found = plan.consumer.find(key);
        return found == plan.consumer.end() ? fallback : found->second;
    };
    GroupConsumerOptions consumer;
    consumer.member.group = property("group.id", "");
    std::string protocol = property("group.protocol", "classic");
    std::transform(protocol.begin(), protocol.end(), protocol.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    consumer.member.consumer_protocol = protocol == "consumer";
    consumer.member.assignor = property("group.remote.assignor", "");
    if (const std::string id = property("group.instance.id", ""); !id.empty())
        consumer.member.instance_id = id;
    consumer.member.session_timeout_ms = std::atoi(property("session.timeout.ms", "45000").c_str());
    consumer.member.heartbeat_interval_ms =
        std::atoi(property("heartbeat.interval.ms", "3000").c_str());
    consumer.member.rebalance_timeout_ms =
        std::atoi(property("max.poll.interval.ms", "300000").c_str());
    consumer.topics = [&] { return topics_now(client, options); };
    consumer.start = property("auto.offset.reset", "latest");
    consumer.only_committed = property("isolation.level", "") == "read_committed";
    consumer.commits = property("enable.auto.commit", "true") == "true";
    consumer.commit_interval_ms = std::atoi(property("auto.commit.interval.ms", "5000").c_str());
    if (!consumer.member.consumer_protocol) {
        std::cerr << "The consumer rebalance protocol (KIP-848) is production-ready! Set "
                     "group.protocol=consumer to try it out. See "
                     "https://kafka.apache.org/documentation/#consumer_rebalance_protocol\n";
    }
    GroupConsumer member(client, consumer);
    try {
        pump(output, [&](int wait_ms, const Fetcher::Sink& sink) { member.round(wait_ms, sink); });
    } catch (const Failure& failure) {
        if (failure.exit_code != kInterrupted) {
            member.close();
            throw;
        }
    }
    member.close();
}

}  // namespace

int shim_console_consumer(const std::vector<std::string>& words) {
    std::optional<ShimOptions> options;
    try {
        options.emplace(table(), words);
    } catch (const OptionProblem& problem) {
        shim_usage(table(), problem.message);
    }
    check(*options);
    const Plan plan = plan_of(*options);
    const InterruptGuard guard;
    Output output(plan, options->has("skip-message-on-error"));
    try {
        Client client(shim_context(*options->value("bootstrap-server"), kApiTimeoutMs,
                                   "console-consumer", plan.consumer));
        if (options->has("partition"))
            read_partition(client, *options, plan, output);
        else
            read_group(client, *options, plan, output);
    } catch (const Failure& failure) {
        java_log("ERROR",
                 "Error processing message, terminating consumer process: \n" + java_text(failure),
                 kLogger);
    }
    std::cout.flush();
    std::cerr << fmt::format("Processed a total of {} messages\n", output.count());
    if (options->has("enable-systest-events") && interrupted()) std::cout << "shutdown_complete\n";
    return interrupted() ? kInterrupted : 0;
}

}  // namespace millrace::cli
