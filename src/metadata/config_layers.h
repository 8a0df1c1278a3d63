// src/metadata/config_layers.h: synonyms among config keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "millrace/metadata/config_schema.h"

namespace millrace::metadata {

/// The keys that can give `name` its value, itself included, highest first
/// (DynamicBrokerConfig.brokerConfigSynonyms with listener overrides matched).
std::vector<std::string> broker_synonyms(std::string_view name);
/// The broker keys behind a topic or group key, highest first.
std::vector<std::string> inherited_from(const ConfigKey& key);
/// A value of broker key `from`, in milliseconds where the key counts hours or minutes.
std::string convert_units(std::string_view from, const std::string& text);

}  // namespace millrace::metadata
