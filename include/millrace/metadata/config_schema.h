// include/millrace/metadata/config_schema.h: layered configs: validation, change, description.
//
// Pure functions over maps of key to text. The controller uses them to accept or refuse changes
// and to answer CreateTopics; the broker to answer DescribeConfigs and to compute the effective
// config of a topic. Sources: ConfigurationControlManager, ControllerConfigurationValidator,
// ConfigHelper, KafkaConfig.configSynonyms, LogConfig.validate, DynamicBrokerConfig.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/metadata/config_def.h"

namespace millrace::metadata {

/// Stored configs of one resource, or a config file: key to text.
using ConfigMap = std::map<std::string, std::string, std::less<>>;

/// Where broker values come from, strongest first. Null pointers stand for empty maps.
struct BrokerConfigLayers {
    const ConfigMap* per_broker = nullptr;       // dynamic, of this node
    const ConfigMap* cluster_default = nullptr;  // dynamic, resource ""
    const ConfigMap* static_file = nullptr;      // the node's file
};

/// ConfigSource of DescribeConfigs.
enum class ConfigSource : int8_t {
    Unknown = 0,
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    DynamicBrokerLogger = 6,
    ClientMetrics = 7,
    Group = 8,
};

/// A refusal in protocol terms, with the text for the client.
struct ConfigRefusal {
    ErrorCode error_code = ErrorCode::InvalidConfig;
    std::string message;
};
/// Nothing means accepted.
using ConfigCheck = std::optional<ConfigRefusal>;

/// The text in force for exactly this broker key: the strongest layer that sets it, else its
/// default; nothing for null. A dynamic value hides its fallbacks (log.retention.ms those of
/// log.retention.hours), and dynamic values that are not valid or not dynamic are passed over.
std::optional<std::string> effective_broker_value(const BrokerConfigLayers& layers,
                                                  std::string_view name);
/// All broker keys that are set in any layer, merged as above.
ConfigMap merge_broker_layers(const BrokerConfigLayers& layers);
/// The value a topic or group key takes when the resource does not set it: broker keys of the
/// row in order, hours and minutes converted to milliseconds, else the row's default.
std::optional<std::string> inherited_value(const BrokerConfigLayers& layers, const ConfigKey& key);
/// The value in force: the resource's own where valid, else inherited.
std::optional<std::string> effective_value(const ConfigMap& own, const BrokerConfigLayers& layers,
                                           const ConfigKey& key);

/// Checks the full set of a topic's own configs as the controller does: unknown keys, every value
/// merged over the broker's, then the cross checks of LogConfig.validate.
ConfigCheck check_topic_configs(const ConfigMap& own, const BrokerConfigLayers& layers);
/// The same for a group's configs; bounds come from the broker's group.*.min/max keys.
ConfigCheck check_group_configs(const ConfigMap& own, const BrokerConfigLayers& layers);
ConfigCheck check_client_metrics_configs(const ConfigMap& own);
/// Operations of IncrementalAlterConfigs.
enum class AlterConfigOp : int8_t { Set = 0, Delete = 1, Append = 2, Subtract = 3 };
struct ListChange {
    ConfigCheck refusal;
    std::string value;
};
/// The stored text after an APPEND or SUBTRACT. `stored` is the resource's present own value; the
/// key's plain default stands in for none (KafkaConfigSchema.getDefault).
ListChange change_list_value(ConfigResource resource, AlterConfigOp op, std::string_view name,
                             const std::optional<std::string>& stored, std::string_view operand);

/// One line of a description: a value in force, where it comes from, what stands behind it.
struct ConfigSynonym {
    std::string name;
    std::optional<std::string> value;
    ConfigSource source;
};
struct ConfigEntry {
    std::string name;
    std::optional<std::string> value;  // never shown for a sensitive key
    bool read_only = false;
    bool sensitive = false;
    ConfigSource source = ConfigSource::Default;
    ConfigType type = ConfigType::Unknown;
    std::vector<ConfigSynonym> synonyms;  // highest first
    std::string documentation;
};

/// Entries sorted by name. An empty `keys` means all public keys, and internal or unknown ones
/// that are set; otherwise unknown names are left out in silence, as in Kafka.
std::vector<ConfigEntry> describe_topic(const ConfigMap& own, const BrokerConfigLayers& layers,
                                        std::span<const std::string> keys);
/// The entries of a CreateTopics response: as describe_topic, but the source is that of the first
/// synonym found in any layer (KafkaConfigSchema.resolveEffectiveTopicConfigs). No synonyms.
std::vector<ConfigEntry> created_topic_entries(const ConfigMap& own,
                                               const BrokerConfigLayers& layers);
std::vector<ConfigEntry> describe_broker(const BrokerConfigLayers& layers,
                                         std::span<const std::string> keys);
/// The resource "": only what the cluster default sets.
std::vector<ConfigEntry> describe_cluster_default(const ConfigMap& cluster_default,
                                                  std::span<const std::string> keys);
std::vector<ConfigEntry> describe_group(const ConfigMap& own, const BrokerConfigLayers& layers,
                                        std::span<const std::string> keys);
std::vector<ConfigEntry> describe_client_metrics(const ConfigMap& own,
                                                 std::span<const std::string> keys);
/// `levels` holds logger name to level for this process.
std::vector<ConfigEntry> describe_loggers(const ConfigMap& levels,
                                          std::span<const std::string> keys);

}  // namespace millrace::metadata
