// src/metadata/config_def.cc: joins the rows of the config table, and finds them by name.
#include "millrace/metadata/config_def.h"

#include <fmt/core.h>

#include <algorithm>

#include "metadata/config_rows.h"

namespace millrace::metadata {
namespace {

constexpr size_t kNearestMax = 3;

struct Rows {
    const ConfigKey* first;
    size_t count;
};

std::vector<const ConfigKey*> joined(std::initializer_list<Rows> arrays) {
    std::vector<const ConfigKey*> keys;
    for (const Rows& rows : arrays) {
        for (size_t i = 0; i < rows.count; ++i) keys.push_back(rows.first + i);
    }
    std::sort(keys.begin(), keys.end(), [](const ConfigKey* a, const ConfigKey* b) {
        return std::string_view(a->name) < std::string_view(b->name);
    });
    return keys;
}

/// Levenshtein's distance with transposition of neighbours as one step.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> before_last(b.size() + 1);
    std::vector<size_t> last(b.size() + 1);
    std::vector<size_t> row(b.size() + 1);
    for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], before_last[j - 2] + 1);
            }
        }
        std::swap(before_last, last);
        std::swap(last, row);
    }
    return last[b.size()];
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
    static const std::vector<const ConfigKey*> broker = joined(
        {{kLogKeys, kLogKeysCount},
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
        case ValidatorKind::ListOf:
            return *v.words == '\0' ? "" : fmt::format("[{}]", v.words);
        case ValidatorKind::QuorumVoters:
        case ValidatorKind::QuorumServers: return "non-empty list";
        case ValidatorKind::ThrottledReplicas:
            return "[partitionId]:[brokerId],[partitionId]:[brokerId],...";
        case ValidatorKind::AutoOffsetReset:
            return "[latest, earliest, by_duration:PnDTnHnMn.nS]";
    }
    MILLRACE_UNREACHABLE("validator kind");
}

std::vector<std::string> nearest_names(std::string_view name,
                                       const std::vector<std::string>& known) {
    struct Candidate {
        size_t distance;
        const std::string* text;
    };
    std::vector<Candidate> near;
    for (const std::string& k : known) {
        const size_t longer = std::max(k.size(), name.size());
        const size_t bound = std::max<size_t>(2, longer * 2 / 5);
        const size_t difference = longer - std::min(k.size(), name.size());
        if (difference > bound) continue;
        const size_t distance = edit_distance(name, k);
        if (distance <= bound && distance < longer) near.push_back({distance, &k});
    }
    std::stable_sort(near.begin(), near.end(), [](const Candidate& a, const Candidate& b) {
        return a.distance < b.distance;
    });
    // Far names help only when nothing is near.
    std::vector<std::string> names;
    for (const Candidate& c : near) {
        if (names.size() == kNearestMax || c.distance > near.front().distance + 2) break;
        names.push_back(*c.text);
    }
    return names;
}

std::vector<std::string> nearest_config_keys(ConfigResource resource, std::string_view name) {
    std::vector<std::string> known;
    for (const ConfigKey* key : config_keys(resource)) known.emplace_back(key->name);
    return nearest_names(name, known);
}

}  // namespace millrace::metadata
