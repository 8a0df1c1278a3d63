// src/broker/config_change.cc: accepts or refuses a change of dynamic broker configs.
//
// Sources: DynamicBrokerConfig.validateConfigs and the reconfigurable components of a broker.
#include <fmt/core.h>

#include <algorithm>

#include "broker/config_checks.h"
#include "broker/config_reader.h"
#include "millrace/broker/config.h"

namespace millrace::broker {
namespace {

using metadata::BrokerConfigLayers;
using metadata::ConfigCheck;
using metadata::ConfigEffect;
using metadata::ConfigKey;
using metadata::ConfigMap;
using metadata::ConfigRefusal;
using metadata::ConfigResource;
using metadata::DynamicMode;

/// Keys that change only under a listener prefix (SslConfigs.RECONFIGURABLE_CONFIGS).
constexpr const char* kListenerOnly[] = {"ssl.key.password",
                                         "ssl.keystore.certificate.chain",
                                         "ssl.keystore.key",
                                         "ssl.keystore.location",
                                         "ssl.keystore.password",
                                         "ssl.keystore.type",
                                         "ssl.truststore.certificates",
                                         "ssl.truststore.location",
                                         "ssl.truststore.password",
                                         "ssl.truststore.type"};
/// Keys with a listener prefix that may also be cluster-wide.
constexpr const char* kClusterListenerKeys[] = {"max.connections", "max.connection.creation.rate",
                                                "num.network.threads"};
constexpr const char* kThreadPools[] = {"background.threads", "num.io.threads",
                                        "num.network.threads", "num.recovery.threads.per.data.dir",
                                        "num.replica.fetchers"};

template <class List>
bool is_in(const List& list, std::string_view name) {
    return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

/// The part after listener.name.<name>., or the whole name.
std::string_view base_name(std::string_view name) {
    constexpr std::string_view kPrefix = "listener.name.";
    if (!name.starts_with(kPrefix)) return name;
    const size_t dot = name.find('.', kPrefix.size());
    return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

ConfigRefusal refusal(std::string message) {
    return {ErrorCode::InvalidRequest, std::move(message)};
}

ConfigRefusal listed(const char* sentence, const std::vector<std::string>& names) {
    std::string text = sentence;
    for (const std::string& name : names)
        text += (&name == &names.front() ? "" : ", ") + name;
    return refusal(text + "]");
}

ConfigCheck check_names(const ConfigMap& proposed) {
    std::vector<std::string> fixed;
    std::vector<std::string> prefix_missing;
    for (const auto& [name, text] : proposed) {
        const ConfigKey* key = metadata::find_config_key(ConfigResource::Broker, name);
        if (key != nullptr && key->mode == DynamicMode::ReadOnly) fixed.push_back(name);
        if (is_in(kListenerOnly, name)) prefix_missing.push_back(name);
    }
    if (!fixed.empty()) return listed("Cannot update these configs dynamically: [", fixed);
    if (!prefix_missing.empty()) {
        return listed(
            "These security configs can be dynamically updated only per-listener using "
            "the listener prefix: [",
            prefix_missing);
    }
    return std::nullopt;
}

ConfigCheck check_values(const ConfigMap& proposed) {
    for (const auto& [name, text] : proposed) {
        const ConfigKey* key = metadata::find_config_key(ConfigResource::Broker, base_name(name));
        if (key == nullptr || key->mode == DynamicMode::ReadOnly) continue;
        const auto value = metadata::parse_config_value(*key, text);
        if (!value.ok()) return refusal(value.status().message());
    }
    return std::nullopt;
}

ConfigCheck check_level(const ConfigMap& proposed) {
    std::vector<std::string> wrong;
    for (const auto& [name, text] : proposed) {
        const std::string_view base = base_name(name);
        const ConfigKey* key = metadata::find_config_key(ConfigResource::Broker, name);
        const bool per_broker = key != nullptr && key->mode == DynamicMode::PerBroker;
        const bool of_listener = base != name && !is_in(kClusterListenerKeys, base);
        if (per_broker || of_listener) wrong.push_back(name);
    }
    if (wrong.empty()) return std::nullopt;
    return listed(
        "Cannot update these configs at default cluster level, broker id must be "
        "specified: [",
        wrong);
}

/// Failures of a component come wrapped twice in Kafka, and clients see it so.
ConfigRefusal component(const std::string& text) {
    return refusal(
        fmt::format("Invalid value org.apache.kafka.common.config.ConfigException: {} "
                    "for configuration Invalid dynamic configuration",
                    text));
}

ConfigCheck check_threads(const ConfigReader& now, const ConfigReader& then) {
    for (const char* key : kThreadPools) {
        const int64_t before = now.number(key);
        const int64_t after = then.number(key);
        if (after == before) continue;
        const std::string start = fmt::format(
            "Dynamic thread count update validation failed for {}={}, value should ", key, after);
        if (after <= 0) return component(start + "be at least 1");
        if (after < before / 2) {
            return component(fmt::format("{}be at least half the current value {}", start, before));
        }
        if (after > before * 2) {
            return component(
                fmt::format("{}not be greater than double the current value {}", start, before));
        }
    }
    const int64_t before = now.number("log.cleaner.threads");
    const int64_t after = then.number("log.cleaner.threads");
    if (after < 1) return component("Log cleaner threads should be at least 1");
    if (after < before / 2) {
        return component(fmt::format(
            "Log cleaner threads cannot be reduced to less than half the current value {}",
            before));
    }
    if (after > before * 2) {
        return component(fmt::format(
            "Log cleaner threads cannot be increased to more than double the current value {}",
            before));
    }
    return std::nullopt;
}

/// log.local.retention.* against log.retention.*.
ConfigCheck check_local_retention(const ConfigReader& then) {
    struct Pair {
        const char* local_key;
        const char* whole_key;
        int64_t local;
        int64_t whole;
    };
    const Pair pairs[] = {
        {"log.local.retention.ms", "log.retention.ms", then.number("log.local.retention.ms"),
         then.topic_number("retention.ms")},
        {"log.local.retention.bytes", "log.retention.bytes",
         then.number("log.local.retention.bytes"), then.number("log.retention.bytes")}};
    for (const Pair& p : pairs) {
        if (p.whole < 0 || p.local == -2) continue;
        const std::string start =
            fmt::format("Invalid value {} for configuration {}: ", p.local, p.local_key);
        if (p.local == -1) {
            return component(fmt::format("{}Value must not be -1 as {} value is set as {}.", start,
                                         p.whole_key, p.whole));
        }
        if (p.local > p.whole) {
            return component(fmt::format("{}Value must not be more than {} property value: {}",
                                         start, p.whole_key, p.whole));
        }
    }
    return std::nullopt;
}

/// A refused key may only take its default; listeners are opened at start only.
ConfigCheck check_ours(const ConfigMap& proposed, const ConfigReader& now) {
    for (const auto& [name, text] : proposed) {
        const ConfigKey* key = metadata::find_config_key(ConfigResource::Broker, name);
        if (key == nullptr) continue;
        const bool fixed = name == "listeners" || name == "listener.security.protocol.map";
        if (fixed && metadata::normal_config_text(*key, text) != now.text(name)) {
            return refusal(
                fmt::format("{} can be changed only in the node's file, with a restart", name));
        }
    }
    return std::nullopt;
}

}  // namespace

ConfigCheck check_broker_change(const ConfigMap& proposed, bool cluster_level,
                                const BrokerConfigLayers& layers) {
    if (auto found = check_names(proposed)) return found;
    if (auto found = check_values(proposed)) return found;
    if (cluster_level) {
        if (auto found = check_level(proposed)) return found;
    }
    BrokerConfigLayers changed = layers;
    (cluster_level ? changed.cluster_default : changed.per_broker) = &proposed;
    const ConfigReader now(metadata::merge_broker_layers(layers));
    const ConfigReader then(metadata::merge_broker_layers(changed));
    const std::vector<std::string> broken = broken_rules(then);
    if (!broken.empty()) return refusal(broken.front());
    if (auto found = check_ours(proposed, now)) return found;
    if (auto found = check_threads(now, then)) return found;
    return check_local_retention(then);
}

}  // namespace millrace::broker
