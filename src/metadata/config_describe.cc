// src/metadata/config_describe.cc: configs as DescribeConfigs shows them, with their origins.
//
// Source: ConfigHelper.createTopicConfigEntry and its siblings. A value shown is the parsed one
// printed again ("TRUE" becomes "true"); a synonym shows the text as it was set.
#include <algorithm>

#include "metadata/config_layers.h"

namespace millrace::metadata {
namespace {

bool wanted(std::span<const std::string> keys, std::string_view name) {
    return keys.empty() || std::find(keys.begin(), keys.end(), name) != keys.end();
}

const std::string* find(const ConfigMap* map, std::string_view name) {
    if (map == nullptr) return nullptr;
    const auto found = map->find(name);
    return found != map->end() ? &found->second : nullptr;
}

/// A static value; broker.id and node.id stand for each other (populateSynonyms).
const std::string* find_static(const ConfigMap* map, std::string_view name) {
    if (const std::string* value = find(map, name)) return value;
    if (name == "broker.id") return find(map, "node.id");
    if (name == "node.id") return find(map, "broker.id");
    return nullptr;
}

/// The replication throttles are dynamic only: KafkaConfig does not define them, so they have no
/// default to show and are listed only when set.
bool is_throttle(std::string_view name) {
    return name == "leader.replication.throttled.rate" ||
           name == "follower.replication.throttled.rate" ||
           name == "replica.alter.log.dirs.io.max.bytes.per.second";
}

/// What stands behind a broker key, strongest first; everything before the first entry of exactly
/// this name is dropped, so a fallback key alone does not show.
std::vector<ConfigSynonym> synonyms_of(const BrokerConfigLayers& layers, std::string_view name,
                                       bool sensitive) {
    std::vector<ConfigSynonym> all;
    const std::vector<std::string> family = broker_synonyms(name);
    const auto add = [&](const std::string& key, const std::string& value, ConfigSource source) {
        all.push_back({key, sensitive ? std::nullopt : std::optional(value), source});
    };
    const auto add_layer = [&](const ConfigMap* map, ConfigSource source) {
        for (const std::string& key : family) {
            const std::string* value =
                source == ConfigSource::StaticBroker ? find_static(map, key) : find(map, key);
            if (value != nullptr) add(key, *value, source);
        }
    };
    add_layer(layers.per_broker, ConfigSource::DynamicBroker);
    add_layer(layers.cluster_default, ConfigSource::DynamicDefaultBroker);
    add_layer(layers.static_file, ConfigSource::StaticBroker);
    for (const std::string& key : family) {
        const ConfigKey* row = find_config_key(ConfigResource::Broker, key);
        if (row == nullptr || row->default_text == nullptr || is_throttle(key)) continue;
        add(key, normal_config_text(*row, row->default_text).value_or(row->default_text),
            ConfigSource::Default);
    }
    const auto first = std::find_if(all.begin(), all.end(),
                                    [&](const ConfigSynonym& s) { return s.name == name; });
    all.erase(all.begin(), first);
    return all;
}

void finish(ConfigEntry& entry) {
    entry.source = entry.synonyms.empty() ? ConfigSource::Default : entry.synonyms.front().source;
}

/// A topic or group key: its own value over the chain of its first broker key.
ConfigEntry resource_entry(const ConfigKey& key, const ConfigMap& own,
                           const BrokerConfigLayers& layers, ConfigSource own_source) {
    ConfigEntry entry;
    entry.name = key.name;
    entry.type = key.type;
    entry.documentation = key.doc;
    entry.value = effective_value(own, layers, key);
    const std::vector<std::string> behind = inherited_from(key);
    if (!behind.empty()) {
        entry.synonyms = synonyms_of(layers, behind.front(), false);
    } else if (own_source == ConfigSource::Group && key.default_text != nullptr) {
        entry.synonyms.push_back(
            {key.name, normal_config_text(key, key.default_text), ConfigSource::Default});
    }
    if (own.contains(key.name)) {
        entry.synonyms.insert(entry.synonyms.begin(), {key.name, entry.value, own_source});
    }
    finish(entry);
    return entry;
}

std::vector<ConfigEntry> resource_entries(ConfigResource resource, const ConfigMap& own,
                                          const BrokerConfigLayers& layers, ConfigSource own_source,
                                          std::span<const std::string> keys) {
    std::vector<ConfigEntry> entries;
    for (const ConfigKey* key : config_keys(resource)) {
        if (!wanted(keys, key->name) || (key->internal && !own.contains(key->name))) continue;
        entries.push_back(resource_entry(*key, own, layers, own_source));
    }
    return entries;
}

/// What a broker or cluster-default entry says about the key itself.
ConfigEntry key_entry(std::string_view name) {
    ConfigEntry entry;
    entry.name = name;
    const ConfigKey* key = find_config_key(ConfigResource::Broker, name);
    const std::vector<std::string> family = broker_synonyms(name);
    const ConfigKey* typed = key;
    if (typed == nullptr && name.starts_with("listener.name.")) {
        typed = find_config_key(ConfigResource::Broker, family.back());
    }
    entry.type = typed != nullptr ? typed->type : ConfigType::Unknown;
    entry.sensitive = typed == nullptr || typed->sensitive();
    entry.read_only = key == nullptr || key->mode == DynamicMode::ReadOnly;
    entry.documentation = key != nullptr ? key->doc : "";
    return entry;
}

void sort_by_name(std::vector<ConfigEntry>& entries) {
    std::sort(entries.begin(), entries.end(),
              [](const ConfigEntry& a, const ConfigEntry& b) { return a.name < b.name; });
}

}  // namespace

std::vector<ConfigEntry> describe_topic(const ConfigMap& own, const BrokerConfigLayers& layers,
                                        std::span<const std::string> keys) {
    return resource_entries(ConfigResource::Topic, own, layers, ConfigSource::Topic, keys);
}

std::vector<ConfigEntry> describe_group(const ConfigMap& own, const BrokerConfigLayers& layers,
                                        std::span<const std::string> keys) {
    return resource_entries(ConfigResource::Group, own, layers, ConfigSource::Group, keys);
}

std::vector<ConfigEntry> describe_client_metrics(const ConfigMap& own,
                                                 std::span<const std::string> keys) {
    return resource_entries(ConfigResource::ClientMetrics, own, {}, ConfigSource::ClientMetrics,
                            keys);
}

std::vector<ConfigEntry> created_topic_entries(const ConfigMap& own,
                                               const BrokerConfigLayers& layers) {
    std::vector<ConfigEntry> entries;
    for (const ConfigKey* key : config_keys(ConfigResource::Topic)) {
        if (key->internal && !own.contains(key->name)) continue;
        ConfigEntry entry = resource_entry(*key, own, layers, ConfigSource::Topic);
        entry.synonyms.clear();
        entry.documentation.clear();
        if (!own.contains(key->name)) {
            entry.source = ConfigSource::Default;
            const auto from_layer = [&](const ConfigMap* map, ConfigSource source) {
                for (const std::string& name : inherited_from(*key)) {
                    const std::string* text = find(map, name);
                    if (text == nullptr) continue;
                    const auto normal = normal_config_text(*key, convert_units(name, *text));
                    entry.value = normal ? normal : entry.value;
                    entry.source = source;
                    return true;
                }
                return false;
            };
            if (!from_layer(layers.per_broker, ConfigSource::DynamicBroker) &&
                !from_layer(layers.cluster_default, ConfigSource::DynamicDefaultBroker)) {
                from_layer(layers.static_file, ConfigSource::StaticBroker);
            }
        }
        entries.push_back(std::move(entry));
    }
    return entries;
}

std::vector<ConfigEntry> describe_broker(const BrokerConfigLayers& layers,
                                         std::span<const std::string> keys) {
    const ConfigMap set = merge_broker_layers(layers);
    std::vector<ConfigEntry> entries;
    for (const ConfigKey* key : config_keys(ConfigResource::Broker)) {
        const std::string* text = find_static(&set, key->name);
        const bool only_when_set = key->internal || is_throttle(key->name);
        if (!wanted(keys, key->name) || (only_when_set && text == nullptr)) continue;
        ConfigEntry entry = key_entry(key->name);
        if (text != nullptr) {
            entry.value = normal_config_text(*key, *text);
        } else if (key->default_text != nullptr) {
            entry.value = normal_config_text(*key, key->default_text);
        }
        if (entry.sensitive) entry.value.reset();
        entry.synonyms = synonyms_of(layers, key->name, entry.sensitive);
        finish(entry);
        entries.push_back(std::move(entry));
    }
    for (const auto& [name, text] : set) {
        if (find_config_key(ConfigResource::Broker, name) != nullptr || !wanted(keys, name)) {
            continue;
        }
        ConfigEntry entry = key_entry(name);
        if (!entry.sensitive) entry.value = text;
        entry.synonyms = synonyms_of(layers, name, entry.sensitive);
        finish(entry);
        entries.push_back(std::move(entry));
    }
    sort_by_name(entries);
    return entries;
}

std::vector<ConfigEntry> describe_cluster_default(const ConfigMap& cluster_default,
                                                  std::span<const std::string> keys) {
    std::vector<ConfigEntry> entries;
    BrokerConfigLayers layers;
    layers.cluster_default = &cluster_default;
    for (const auto& [name, text] : cluster_default) {
        if (!wanted(keys, name)) continue;
        ConfigEntry entry = key_entry(name);
        if (!entry.sensitive) entry.value = text;
        for (ConfigSynonym& synonym : synonyms_of(layers, name, entry.sensitive)) {
            if (synonym.source != ConfigSource::DynamicDefaultBroker) continue;
            entry.synonyms.push_back(std::move(synonym));
        }
        finish(entry);
        entries.push_back(std::move(entry));
    }
    return entries;
}

std::vector<ConfigEntry> describe_loggers(const ConfigMap& levels,
                                          std::span<const std::string> keys) {
    std::vector<ConfigEntry> entries;
    for (const auto& [name, level] : levels) {
        if (!wanted(keys, name)) continue;
        ConfigEntry entry;
        entry.name = name;
        entry.value = level;
        entry.source = ConfigSource::DynamicBrokerLogger;
        entries.push_back(std::move(entry));
    }
    return entries;
}

}  // namespace millrace::metadata
