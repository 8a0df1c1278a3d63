// include/millrace/metadata/config_def.h: what one configuration key is, and the table of all.
//
// One row per key that Apache Kafka 4.3.1 defines for brokers, topics, groups and client metrics,
// plus our own few. The table feeds validation on the controller, DescribeConfigs, the start-up
// check of a broker, and config/REFERENCE.md. It is constant data, shared by every shard; nobody
// owns it. Sources of the rules: org.apache.kafka.common.config.ConfigDef, KafkaConfig,
// LogConfig, GroupConfig, ClientMetricsConfigs, DynamicBrokerConfig.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::metadata {

/// The resource types of DescribeConfigs and AlterConfigs (ConfigResource.Type ids).
enum class ConfigResource : int8_t {
    Unknown = 0,
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
};

/// ConfigDef.Type, numbered as DescribeConfigs numbers ConfigType.
enum class ConfigType : int8_t {
    Unknown = 0,
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
};
/// "BOOLEAN", "INT", as ConfigDef prints them.
const char* config_type_name(ConfigType type);

enum class Importance : int8_t { High, Medium, Low };

/// Whether IncrementalAlterConfigs may change a broker key, and at which level.
enum class DynamicMode : int8_t {
    ReadOnly,     // only in the file
    PerBroker,    // only on a node id
    ClusterWide,  // on a node id or as the cluster's default
};

/// What setting the key does here.
enum class ConfigEffect : int8_t {
    Works,
    NoEffect,  // accepted, shown and stored, so that operators and tools do not break
    Refused,   // a value other than the default is an error: ignoring it would change meaning
};

/// The check that a parsed value must pass, after its type.
enum class ValidatorKind : int8_t {
    Any,
    NonNull,  // non-null string
    NonEmptyString,
    Range,      // [low,...,high]; either end may be absent
    GzipLevel,  // 1 to 9, or -1
    OneOf,      // text is one of `words`
    OneOfIgnoreCase,
    ListOf,             // duplicates dropped, no empty element, each one of `words` (if any)
    QuorumVoters,       // id@host:port
    QuorumServers,      // host:port
    ThrottledReplicas,  // "*" or partition:broker,...
    AutoOffsetReset,    // latest, earliest or by_duration:<ISO-8601>
};

struct Validator {
    ValidatorKind kind = ValidatorKind::Any;
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
    const char* words = "";     // ", " between them, in Kafka's order of printing
    bool empty_allowed = true;  // ListOf
};

/// One row of the table. All text is static.
struct ConfigKey {
    const char* name;
    ConfigType type;
    const char* default_text;  // nullptr: no default value (null), or required
    Validator validator;
    Importance importance;
    DynamicMode mode;  // broker keys only
    ConfigEffect effect;
    const char* doc;  // our own words
    /// Topic and group keys: the broker keys that give the default, highest first, "; " between.
    const char* broker_synonyms = "";
    bool internal = false;  // accepted, not listed unless set
    bool required = false;

    bool sensitive() const { return type == ConfigType::Password; }
};

/// A value after parsing. Null stands for "no value".
using ConfigValue =
    std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>>;

/// The keys of a resource type, sorted by name. BrokerLogger and Unknown have none.
const std::vector<const ConfigKey*>& config_keys(ConfigResource resource);
/// nullptr when the resource has no such key.
const ConfigKey* find_config_key(ConfigResource resource, std::string_view name);
/// "[0,...]", "[compact, delete]": Kafka's print of the validator; empty when anything goes.
std::string valid_values_text(const ConfigKey& key);

/// Text to value by Kafka's rules (blanks around are cut, numbers are decimal, lists split at
/// commas), then the validator. The Status carries Kafka's sentence, e.g. "Invalid value abc for
/// configuration num.io.threads: Not a number of type INT".
Result<ConfigValue> parse_config_value(const ConfigKey& key, std::string_view text);
/// The text Kafka prints for a value: numbers and booleans in their plain form, doubles as Java
/// prints them, lists joined by commas. Nothing for null.
std::optional<std::string> config_value_text(const ConfigValue& value);
/// parse_config_value, then config_value_text; nothing when the text does not parse.
std::optional<std::string> normal_config_text(const ConfigKey& key, std::string_view text);
/// The elements of a LIST value: split at commas, blanks cut, first of duplicates kept.
std::vector<std::string> split_config_list(std::string_view text);

/// Keys whose names are near to a misspelt one (base/nearest.h).
std::vector<std::string> nearest_config_keys(ConfigResource resource, std::string_view name);

}  // namespace millrace::metadata
