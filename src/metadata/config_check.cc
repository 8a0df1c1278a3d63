// src/metadata/config_check.cc: accepts or refuses the configs of topics, groups and clients.
#include <fmt/core.h>

#include <algorithm>

#include "millrace/metadata/config_schema.h"

namespace millrace::metadata {
namespace {

ConfigRefusal invalid_config(std::string message) {
    return {ErrorCode::InvalidConfig, std::move(message)};
}
ConfigRefusal invalid_request(std::string message) {
    return {ErrorCode::InvalidRequest, std::move(message)};
}

/// Every value parses; the first that does not is the refusal.
ConfigCheck check_values(ConfigResource resource, const ConfigMap& own) {
    for (const auto& [name, text] : own) {
        const ConfigKey* key = find_config_key(resource, name);
        if (key == nullptr) continue;
        const auto value = parse_config_value(*key, text);
        if (!value.ok()) return invalid_config(value.status().message());
    }
    return std::nullopt;
}

ConfigCheck check_names(ConfigResource resource, const ConfigMap& own, const char* sentence,
                        ErrorCode code) {
    for (const auto& [name, text] : own) {
        if (find_config_key(resource, name) == nullptr) return ConfigRefusal{code, sentence + name};
    }
    return std::nullopt;
}

int64_t number_of(ConfigResource resource, const ConfigMap& own, const BrokerConfigLayers& layers,
                  const char* name) {
    const ConfigKey* key = find_config_key(resource, name);
    const auto text = effective_value(own, layers, *key);
    const auto value = parse_config_value(*key, text.value_or("0"));
    return value.ok() ? std::get<int64_t>(*value) : 0;
}

int64_t broker_number(const BrokerConfigLayers& layers, const std::string& name) {
    const ConfigKey* key = find_config_key(ConfigResource::Broker, name);
    const auto value = parse_config_value(*key, effective_broker_value(layers, name).value_or("0"));
    return value.ok() ? std::get<int64_t>(*value) : 0;
}

/// A bound that a group key takes from the broker's group.<kind>.min/max.<rest> key.
struct GroupBound {
    const char* key;
    const char* lowest;  // nullptr: none
    const char* highest;
    bool only_when_set;
};
constexpr GroupBound kGroupBounds[] = {
    {"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms",
     "group.consumer.max.heartbeat.interval.ms", false},
    {"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms",
     "group.consumer.max.session.timeout.ms", false},
    {"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms",
     "group.consumer.max.assignment.interval.ms", true},
    {"share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms",
     "group.share.max.heartbeat.interval.ms", false},
    {"share.session.timeout.ms", "group.share.min.session.timeout.ms",
     "group.share.max.session.timeout.ms", false},
    {"share.record.lock.duration.ms", "group.share.min.record.lock.duration.ms",
     "group.share.max.record.lock.duration.ms", false},
    {"share.delivery.count.limit", "group.share.min.delivery.count.limit",
     "group.share.max.delivery.count.limit", false},
    {"share.partition.max.record.locks", "group.share.min.partition.max.record.locks",
     "group.share.max.partition.max.record.locks", false},
    {"share.assignment.interval.ms", "group.share.min.assignment.interval.ms",
     "group.share.max.assignment.interval.ms", true},
    {"streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms",
     "group.streams.max.heartbeat.interval.ms", false},
    {"streams.session.timeout.ms", "group.streams.min.session.timeout.ms",
     "group.streams.max.session.timeout.ms", false},
    {"streams.num.standby.replicas", nullptr, "group.streams.max.standby.replicas", false},
    {"streams.assignment.interval.ms", "group.streams.min.assignment.interval.ms",
     "group.streams.max.assignment.interval.ms", true},
};

/// Client-metrics selectors are regular expressions after the first '='; only the names and the
/// shape are checked here, because std::regex throws and knows another dialect.
ConfigCheck check_match_patterns(const std::string& text) {
    constexpr std::string_view kSelectors[] = {"client_instance_id",    "client_id",
                                               "client_software_name",  "client_software_version",
                                               "client_source_address", "client_source_port"};
    for (const std::string& pattern : split_config_list(text)) {
        const size_t equals = pattern.find('=');
        const size_t last = pattern.find_last_not_of('=');
        const bool two_parts = equals != std::string::npos && last != std::string::npos &&
                               last > equals && pattern.find('=', equals + 1) > last;
        std::string name = two_parts ? pattern.substr(0, equals) : "";
        while (!name.empty() && name.back() == ' ')
            name.pop_back();
        if (std::find(std::begin(kSelectors), std::end(kSelectors), name) == std::end(kSelectors)) {
            return invalid_config("Illegal client matching pattern: " + pattern);
        }
    }
    return std::nullopt;
}

std::vector<std::string> split_plain(std::string_view text) {
    std::vector<std::string> parts;
    while (true) {
        const size_t comma = text.find(',');
        parts.emplace_back(text.substr(0, comma));
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

}  // namespace

ConfigCheck check_topic_configs(const ConfigMap& own, const BrokerConfigLayers& layers) {
    constexpr ConfigResource kTopic = ConfigResource::Topic;
    if (auto refusal =
            check_names(kTopic, own, "Unknown topic config name: ", ErrorCode::InvalidConfig)) {
        return refusal;
    }
    if (auto refusal = check_values(kTopic, own)) return refusal;
    const int64_t lowest = number_of(kTopic, own, layers, "min.compaction.lag.ms");
    const int64_t highest = number_of(kTopic, own, layers, "max.compaction.lag.ms");
    if (lowest > highest) {
        return invalid_config(fmt::format(
            "conflict topic config setting min.compaction.lag.ms ({}) > max.compaction.lag.ms ({})",
            lowest, highest));
    }
    const auto remote =
        effective_value(own, layers, *find_config_key(kTopic, "remote.storage.enable"));
    if (remote == "true") {
        return invalid_config(
            "Tiered Storage functionality is disabled in the broker. Topic "
            "cannot be configured with remote log storage.");
    }
    return std::nullopt;
}

ConfigCheck check_group_configs(const ConfigMap& own, const BrokerConfigLayers& layers) {
    constexpr ConfigResource kGroup = ConfigResource::Group;
    if (auto refusal =
            check_names(kGroup, own, "Unknown group config name: ", ErrorCode::InvalidConfig)) {
        return refusal;
    }
    if (auto refusal = check_values(kGroup, own)) return refusal;
    for (const GroupBound& bound : kGroupBounds) {
        if (bound.only_when_set && !own.contains(bound.key)) continue;
        const int64_t value = number_of(kGroup, own, layers, bound.key);
        if (bound.lowest != nullptr && value < broker_number(layers, bound.lowest)) {
            return invalid_config(
                fmt::format("{} must be greater than or equal to {}", bound.key, bound.lowest));
        }
        if (value > broker_number(layers, bound.highest)) {
            return invalid_config(
                fmt::format("{} must be less than or equal to {}", bound.key, bound.highest));
        }
    }
    for (const std::string kind : {"consumer", "share", "streams"}) {
        const std::string session = kind + ".session.timeout.ms";
        const std::string heartbeat = kind + ".heartbeat.interval.ms";
        if (number_of(kGroup, own, layers, session.c_str()) <=
            number_of(kGroup, own, layers, heartbeat.c_str())) {
            return invalid_config(fmt::format("{} must be greater than {}", session, heartbeat));
        }
    }
    return std::nullopt;
}

ConfigCheck check_client_metrics_configs(const ConfigMap& own) {
    constexpr ConfigResource kMetrics = ConfigResource::ClientMetrics;
    constexpr int64_t kIntervalMsMin = 100;
    constexpr int64_t kIntervalMsMax = 3'600'000;
    if (auto refusal = check_names(
            kMetrics, own, "Unknown client metrics configuration: ", ErrorCode::InvalidRequest)) {
        return refusal;
    }
    if (auto refusal = check_values(kMetrics, own)) return refusal;
    if (own.contains("interval.ms")) {
        const int64_t interval = number_of(kMetrics, own, {}, "interval.ms");
        if (interval < kIntervalMsMin || interval > kIntervalMsMax) {
            return invalid_request(
                fmt::format("Invalid value {} for interval.ms, interval must be "
                            "between 100 and 3600000 (1 hour)",
                            interval));
        }
    }
    const auto match = own.find("match");
    return match == own.end() ? std::nullopt : check_match_patterns(match->second);
}

ListChange change_list_value(ConfigResource resource, AlterConfigOp op, std::string_view name,
                             const std::optional<std::string>& stored, std::string_view operand) {
    const bool append = op == AlterConfigOp::Append;
    const ConfigKey* key = find_config_key(resource, name);
    if (key == nullptr || key->type != ConfigType::List) {
        return {invalid_config(fmt::format("Can't {} to key {} because its type is not LIST.",
                                           append ? "APPEND" : "SUBTRACT", name)),
                ""};
    }
    const char* fallback = key->default_text != nullptr ? key->default_text : "";
    std::vector<std::string> parts;
    for (std::string& part : split_plain(stored ? *stored : fallback)) {
        if (!part.empty()) parts.push_back(std::move(part));
    }
    for (const std::string& word : split_plain(operand)) {
        const auto found = std::find(parts.begin(), parts.end(), word);
        if (append && found == parts.end()) parts.push_back(word);
        if (!append && found != parts.end()) parts.erase(found);
    }
    ListChange change;
    for (const std::string& part : parts) {
        if (!change.value.empty()) change.value += ',';
        change.value += part;
    }
    return change;
}

}  // namespace millrace::metadata
