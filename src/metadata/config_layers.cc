// src/metadata/config_layers.cc: which layer of broker configs gives a key its value.
#include "metadata/config_layers.h"

#include <algorithm>

namespace millrace::metadata {
namespace {

constexpr int64_t kMsPerMinute = 60'000;
constexpr int64_t kMsPerHour = 3'600'000;

const ConfigMap& or_empty(const ConfigMap* map) {
    static const ConfigMap empty;
    return map != nullptr ? *map : empty;
}

/// A stored dynamic value counts only when Kafka would not drop it with an error log.
bool counts_as_dynamic(std::string_view name, const std::string& value, bool per_broker) {
    const ConfigKey* key = find_config_key(ConfigResource::Broker, name);
    if (key == nullptr) return true;  // unknown keys are kept
    if (key->mode == DynamicMode::ReadOnly) return false;
    if (key->mode == DynamicMode::PerBroker && !per_broker) return false;
    return parse_config_value(*key, value).ok();
}

const std::string* find(const ConfigMap& map, std::string_view name) {
    const auto found = map.find(name);
    return found != map.end() ? &found->second : nullptr;
}

/// The unit of a fallback key in milliseconds (log.retention.minutes: 60000).
int64_t unit_of(std::string_view name) {
    if (name.ends_with(".hours")) return kMsPerHour;
    if (name.ends_with(".minutes")) return kMsPerMinute;
    return 1;
}

}  // namespace

std::vector<std::string> broker_synonyms(std::string_view name) {
    const std::vector<std::vector<std::string>> families = {
        {"log.roll.ms", "log.roll.hours"},
        {"log.roll.jitter.ms", "log.roll.jitter.hours"},
        {"log.retention.ms", "log.retention.minutes", "log.retention.hours"}};
    for (const auto& family : families) {
        if (std::find(family.begin(), family.end(), name) != family.end()) return family;
    }
    if (name == "log.flush.interval.ms")
        return {std::string(name), "log.flush.scheduler.interval.ms"};
    constexpr std::string_view kPrefix = "listener.name.";
    if (name.starts_with(kPrefix)) {
        const size_t dot = name.find('.', kPrefix.size());
        if (dot != std::string_view::npos) {
            const std::string_view base = name.substr(dot + 1);
            // Mechanism keys carry one more word: listener.name.x.plain.sasl.jaas.config.
            for (const char* suffix :
                 {"sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class",
                  "sasl.server.callback.handler.class", "connections.max.reauth.ms"}) {
                if (base.ends_with(suffix)) return {std::string(name), suffix};
            }
            return {std::string(name), std::string(base)};
        }
    }
    return {std::string(name)};
}

std::vector<std::string> inherited_from(const ConfigKey& key) {
    std::vector<std::string> names;
    std::string_view rest = key.broker_synonyms;
    while (!rest.empty()) {
        const size_t end = rest.find("; ");
        names.emplace_back(rest.substr(0, end));
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 2);
    }
    return names;
}

std::string convert_units(std::string_view from, const std::string& text) {
    const int64_t unit = unit_of(from);
    if (unit == 1) return text;
    const ConfigKey* key = find_config_key(ConfigResource::Broker, from);
    const auto value = parse_config_value(*key, text);
    if (!value.ok()) return text;
    return std::to_string(std::get<int64_t>(*value) * unit);
}

ConfigMap merge_broker_layers(const BrokerConfigLayers& layers) {
    ConfigMap merged = or_empty(layers.static_file);
    const auto put_all = [&merged](const ConfigMap& dynamic, bool per_broker) {
        for (const auto& [name, value] : dynamic) {
            if (!counts_as_dynamic(name, value, per_broker)) continue;
            if (!name.starts_with("listener.name.")) {
                for (const std::string& synonym : broker_synonyms(name))
                    merged.erase(synonym);
            }
            merged[name] = value;
        }
    };
    put_all(or_empty(layers.cluster_default), false);
    put_all(or_empty(layers.per_broker), true);
    return merged;
}

std::optional<std::string> effective_broker_value(const BrokerConfigLayers& layers,
                                                  std::string_view name) {
    const std::vector<std::string> family = broker_synonyms(name);
    const bool hides = !name.starts_with("listener.name.");
    const auto in_dynamic = [&](const ConfigMap* map, bool per_broker) -> const std::string* {
        const std::string* value = find(or_empty(map), name);
        return value != nullptr && counts_as_dynamic(name, *value, per_broker) ? value : nullptr;
    };
    const auto hidden_by = [&](const ConfigMap* map, bool per_broker) {
        return hides && std::any_of(family.begin(), family.end(), [&](const std::string& other) {
                   const std::string* value = find(or_empty(map), other);
                   return value != nullptr && counts_as_dynamic(other, *value, per_broker);
               });
    };
    const ConfigKey* key = find_config_key(ConfigResource::Broker, name);
    const auto or_default = [&](const std::string* value) -> std::optional<std::string> {
        if (value != nullptr) return *value;
        if (key == nullptr || key->default_text == nullptr) return std::nullopt;
        return key->default_text;
    };
    if (const auto* value = in_dynamic(layers.per_broker, true)) return *value;
    if (hidden_by(layers.per_broker, true)) return or_default(nullptr);
    if (const auto* value = in_dynamic(layers.cluster_default, false)) return *value;
    if (hidden_by(layers.cluster_default, false)) return or_default(nullptr);
    return or_default(find(or_empty(layers.static_file), name));
}

std::optional<std::string> inherited_value(const BrokerConfigLayers& layers, const ConfigKey& key) {
    for (const std::string& name : inherited_from(key)) {
        const auto text = effective_broker_value(layers, name);
        if (!text) continue;
        const ConfigKey* broker_key = find_config_key(ConfigResource::Broker, name);
        const auto normal = normal_config_text(*broker_key, convert_units(name, *text));
        if (!normal) continue;
        // Any negative retention time means for ever (KafkaConfig.logRetentionTimeMillis).
        if (std::string_view(key.name) == "retention.ms" && normal->starts_with("-")) return "-1";
        return normal;
    }
    if (key.default_text == nullptr) return std::nullopt;
    return normal_config_text(key, key.default_text);
}

std::optional<std::string> effective_value(const ConfigMap& own, const BrokerConfigLayers& layers,
                                           const ConfigKey& key) {
    if (const std::string* text = find(own, key.name)) {
        if (auto normal = normal_config_text(key, *text)) return normal;
    }
    return inherited_value(layers, key);
}

}  // namespace millrace::metadata
