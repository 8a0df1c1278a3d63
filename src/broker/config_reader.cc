// src/broker/config_reader.cc: parses a config file's values by the table.
#include "broker/config_reader.h"

#include <fmt/core.h>

#include <charconv>

namespace millrace::broker {

using metadata::ConfigKey;
using metadata::ConfigResource;
using metadata::ConfigValue;

ConfigReader::ConfigReader(const metadata::ConfigMap& raw) : raw_(raw) {
    // AbstractKafkaConfig.populateSynonyms
    const auto broker_id = raw_.find("broker.id");
    const auto node_id = raw_.find("node.id");
    if (broker_id == raw_.end() && node_id != raw_.end()) {
        raw_["broker.id"] = node_id->second;
    } else if (broker_id != raw_.end() && node_id == raw_.end()) {
        raw_["node.id"] = broker_id->second;
    }
    for (const char* required : {"process.roles", "node.id", "controller.listener.names"}) {
        if (raw_.contains(required)) continue;
        faults_.push_back(fmt::format(
            "Missing required configuration \"{}\" which has no default value.", required));
    }
    for (const ConfigKey* key : metadata::config_keys(ConfigResource::Broker)) {
        const auto own = raw_.find(key->name);
        if (own != raw_.end()) {
            auto parsed = metadata::parse_config_value(*key, own->second);
            if (parsed.ok()) {
                values_.emplace(key->name, std::move(*parsed));
                continue;
            }
            faults_.push_back(parsed.status().message());
        }
        ConfigValue fallback;
        if (key->default_text != nullptr) {
            auto parsed = metadata::parse_config_value(*key, key->default_text);
            if (parsed.ok()) fallback = std::move(*parsed);
        }
        values_.emplace(key->name, std::move(fallback));
    }
}

const ConfigValue& ConfigReader::value(std::string_view key) const {
    const auto found = values_.find(key);
    MILLRACE_ASSERT(found != values_.end(), "the key is in the table");
    return found->second;
}

bool ConfigReader::null(std::string_view key) const {
    return std::holds_alternative<std::monostate>(value(key));
}

bool ConfigReader::flag(std::string_view key) const {
    const bool* b = std::get_if<bool>(&value(key));
    return b != nullptr && *b;
}

int64_t ConfigReader::number(std::string_view key) const {
    const int64_t* n = std::get_if<int64_t>(&value(key));
    return n != nullptr ? *n : 0;
}

double ConfigReader::real(std::string_view key) const {
    const double* d = std::get_if<double>(&value(key));
    return d != nullptr ? *d : 0;
}

std::string ConfigReader::text(std::string_view key) const {
    return metadata::config_value_text(value(key)).value_or("");
}

std::vector<std::string> ConfigReader::list(std::string_view key) const {
    const auto* parts = std::get_if<std::vector<std::string>>(&value(key));
    return parts != nullptr ? *parts : std::vector<std::string>();
}

int64_t ConfigReader::topic_number(std::string_view key) const {
    const ConfigKey* row = metadata::find_config_key(ConfigResource::Topic, key);
    metadata::BrokerConfigLayers layers;
    layers.static_file = &raw_;
    const auto text = metadata::inherited_value(layers, *row);
    // Not by the topic key's own validator: the broker's value may lie outside its range, which
    // is what the caller wants to find out.
    int64_t number = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), number);
    return number;
}

}  // namespace millrace::broker
