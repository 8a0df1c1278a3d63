// src/metadata/config_def.cc: joins the rows of the config table, and finds them by name.
#include "millrace/metadata/config_def.h"

#include <fmt/core.h>

#include <algorithm>

#include "metadata/config_rows.h"
#include "millrace/base/nearest.h"

namespace millrace::metadata {
namespace {

struct Rows {
    const ConfigKey* first;
    size_t count;
};

std::vector<const ConfigKey*> joined(std::initializer_list<Rows> arrays) {
    std::vector<const ConfigKey*> keys;
    for (const Rows& rows : arrays) {
        for (size_t i = 0; i < rows.count; ++i)
            keys.push_back(rows.first + i);
    }
    std::sort(keys.begin(), keys.end(), [](const ConfigKey* a, const ConfigKey* b) {
        return std::string_view(a->name) < std::string_view(b->name);
    });
    return keys;
}

}  // namespace

const char* config_type_name(ConfigType type) {
    switch (type) {
        case ConfigType::Unknown: return "UNKNOWN";
        case ConfigType::Boolean: return "BOOLEAN";
        case ConfigType::String: return "STRING";
        case ConfigType::Int: return "INT";
        case ConfigType::Short: return "SHORT";
        case ConfigType::Long: return "LONG";
        case ConfigType::Double: return "DOUBLE";
        case ConfigType::List: return "LIST";
        case ConfigType::Class: return "CLASS";
        case ConfigType::Password: return "PASSWORD";
    }
    MILLRACE_UNREACHABLE("config type");
}

const std::vector<const ConfigKey*>& config_keys(ConfigResource resource) {
    static const std::vector<const ConfigKey*> broker =
        joined({{kLogKeys, kLogKeysCount},
                {kSecurityKeys, kSecurityKeysCount},
                {kCoordinatorKeys, kCoordinatorKeysCount},
                {kNodeKeys, kNodeKeysCount},
                {kReplicaKeys, kReplicaKeysCount}});
    static const std::vector<const ConfigKey*> topic = joined({{kTopicKeys, kTopicKeysCount}});
    static const std::vector<const ConfigKey*> group = joined({{kGroupKeys, kGroupKeysCount}});
    static const std::vector<const ConfigKey*> client_metrics =
        joined({{kClientMetricsKeys, kClientMetricsKeysCount}});
    static const std::vector<const ConfigKey*> none;
    switch (resource) {
        case ConfigResource::Topic: return topic;
        case ConfigResource::Broker: return broker;
        case ConfigResource::ClientMetrics: return client_metrics;
        case ConfigResource::Group: return group;
        case ConfigResource::Unknown:
        case ConfigResource::BrokerLogger: return none;
    }
    return none;
}

const ConfigKey* find_config_key(ConfigResource resource, std::string_view name) {
    const auto& keys = config_keys(resource);
    const auto found = std::lower_bound(
        keys.begin(), keys.end(), name,
        [](const ConfigKey* key, std::string_view n) { return std::string_view(key->name) < n; });
    return found != keys.end() && (*found)->name == name ? *found : nullptr;
}

std::string valid_values_text(const ConfigKey& key) {
    const Validator& v = key.validator;
    switch (v.kind) {
        case ValidatorKind::Any: return "";
        case ValidatorKind::NonNull: return "non-null string";
        case ValidatorKind::NonEmptyString: return "non-empty string";
        case ValidatorKind::Range:
            return v.high < std::numeric_limits<double>::infinity()
                       ? fmt::format("[{},...,{}]", v.low, v.high)
                       : fmt::format("[{},...]", v.low);
        case ValidatorKind::GzipLevel: return "[1,...,9] or -1";
        case ValidatorKind::OneOf: return fmt::format("[{}]", v.words);
        case ValidatorKind::OneOfIgnoreCase: return fmt::format("(case insensitive) [{}]", v.words);
        case ValidatorKind::ListOf: return *v.words == '\0' ? "" : fmt::format("[{}]", v.words);
        case ValidatorKind::QuorumVoters:
        case ValidatorKind::QuorumServers: return "non-empty list";
        case ValidatorKind::ThrottledReplicas:
            return "[partitionId]:[brokerId],[partitionId]:[brokerId],...";
        case ValidatorKind::AutoOffsetReset: return "[latest, earliest, by_duration:PnDTnHnMn.nS]";
    }
    MILLRACE_UNREACHABLE("validator kind");
}

std::vector<std::string> nearest_config_keys(ConfigResource resource, std::string_view name) {
    std::vector<std::string> known;
    for (const ConfigKey* key : config_keys(resource))
        known.emplace_back(key->name);
    return nearest_names(name, known);
}

}  // namespace millrace::metadata
