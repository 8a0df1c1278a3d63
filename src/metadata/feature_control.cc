// src/metadata/feature_control.cc: UpdateFeatures; what this binary supports and its defaults.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "metadata/commands.h"
#include "metadata/make_records.h"

namespace millrace::metadata {

namespace {

// kraft.md 0.2: the level a formatter chooses at a metadata.version, and what the level needs.
struct FeatureRow {
    const char* name;
    int16_t max;
    int16_t default_level;
    int16_t default_since;  // first metadata.version whose default it is
    int16_t requires_metadata_version;
};
constexpr FeatureRow kFeatures[] = {
    {kElrFeature, 1, 1, 26, kMvElr},      {"group.version", 1, 1, 22, 0},
    {"share.version", 1, 1, 28, 0},       {"streams.version", 1, 1, 29, 0},
    {"transaction.version", 2, 2, 24, 0},
};

const FeatureRow* find_row(std::string_view name) {
    for (const FeatureRow& row : kFeatures) {
        if (name == row.name) return &row;
    }
    return nullptr;
}

/// Versions that changed records: going below one would lose what it wrote (kraft.md 0.1).
bool metadata_changed_between(int16_t target, int16_t current) {
    static constexpr int16_t kChanges[] = {7, 8, 11, 13, 14, 15, 17, 23, 30};
    return std::any_of(std::begin(kChanges), std::end(kChanges),
                       [&](int16_t version) { return version > target && version <= current; });
}

enum class UpgradeType : int8_t {
    Unknown = 0,
    Upgrade = 1,
    SafeDowngrade = 2,
    UnsafeDowngrade = 3
};

ApiError invalid_update(const std::string& feature, int16_t level, const std::string& why) {
    return {ErrorCode::InvalidUpdateVersion,
            fmt::format("Invalid update version {} for feature {}. {}", level, feature, why)};
}

std::optional<std::string> unsupported_by(const std::string& who, int16_t level,
                                          const std::map<std::string, VersionRange>& features,
                                          const std::string& feature) {
    const auto it = features.find(feature);
    const VersionRange range = it == features.end() ? VersionRange{} : it->second;
    if (level >= range.min && level <= range.max) return std::nullopt;
    if (range.max == 0) return who + " does not support this feature.";
    return range.min == range.max
               ? fmt::format("{} only supports versions {}", who, range.min)
               : fmt::format("{} only supports versions {}-{}", who, range.min, range.max);
}

/// This node, every broker, every controller of the quorum.
std::optional<std::string> unsupported(const CommandContext& context, const std::string& feature,
                                       int16_t level) {
    const NodeId self = context.options.node_id;
    if (auto why = unsupported_by(fmt::format("Local controller {}", self.value), level,
                                  context.options.features, feature)) {
        return why;
    }
    for (const auto& [id, broker] : context.image().cluster.brokers) {
        if (auto why = unsupported_by(fmt::format("Broker {}", id.value), level, broker->features,
                                      feature)) {
            return why;
        }
    }
    if (context.metadata_version() < kMvControllerRegistration) return std::nullopt;
    for (const auto& [id, controller] : context.image().cluster.controllers) {
        if (id == self) continue;
        if (auto why = unsupported_by(fmt::format("Controller {}", id.value), level,
                                      controller->features, feature)) {
            return why;
        }
    }
    for (NodeId id : context.options.voters) {
        if (id != self && context.image().cluster.controller(id) == nullptr) {
            return fmt::format(
                "controller {} has not registered, and may not support this "
                "feature",
                id.value);
        }
    }
    return std::nullopt;
}

ApiError update_metadata_version(const CommandContext& context, int16_t level, bool unsafe,
                                 std::vector<Record>& records) {
    const int16_t current = context.metadata_version();
    if (level < kMetadataVersionMin || level > kMetadataVersionLatest) {
        return {ErrorCode::InvalidUpdateVersion,
                fmt::format("Invalid metadata.version {}. Valid versions are from {} to {}.", level,
                            kMetadataVersionMin, kMetadataVersionLatest)};
    }
    if (level < current && metadata_changed_between(level, current)) {
        return {
            ErrorCode::InvalidUpdateVersion,
            fmt::format("Unsupported metadata.version downgrade from {} to {}. {}", current, level,
                        unsafe ? "Unsafe metadata downgrade is not supported in this version."
                               : "Refusing to perform the requested downgrade because it "
                                 "might delete metadata information.")};
    }
    records.push_back(make_feature_level(kMetadataVersionFeature, level));
    return {};
}

/// The level of kraft.version is raft's to change; the NoOpRecord is what the client waits for.
ApiError update_kraft_version(const CommandContext& context, int16_t level, UpgradeType type,
                              std::vector<Record>& records) {
    if (level < context.options.kraft_version) {
        return invalid_update(kKraftVersionFeature, level,
                              "Can't downgrade the version of this feature.");
    }
    if (level > context.options.kraft_version && context.options.kraft_upgrade_problem) {
        return invalid_update(
            kKraftVersionFeature, level,
            fmt::format("The quorum cannot be upgraded: {}.", *context.options.kraft_upgrade_problem));
    }
    if (type == UpgradeType::Upgrade) records.emplace_back(wire::NoOpRecord{});
    return {};
}

ApiError update_one(const CommandContext& context, const std::string& feature, int16_t level,
                    UpgradeType type, const std::map<std::string, int16_t, std::less<>>& proposed,
                    std::vector<Record>& records) {
    if (type == UpgradeType::Unknown) {
        return invalid_update(feature, level,
                              "The controller does not support the given upgrade type.");
    }
    const bool is_kraft = feature == kKraftVersionFeature;
    const int16_t current =
        is_kraft ? context.options.kraft_version : context.image().features.level(feature);
    if (level < 0) {
        return invalid_update(feature, level, "A feature version cannot be less than 0.");
    }
    if (auto why = unsupported(context, feature, level)) {
        return invalid_update(feature, level, *why);
    }
    if (level < current && type == UpgradeType::Upgrade) {
        return invalid_update(feature, level,
                              "Can't downgrade the version of this feature without setting the "
                              "upgrade type to either safe or unsafe downgrade.");
    }
    if (level > current && type != UpgradeType::Upgrade) {
        return invalid_update(feature, level, "Can't downgrade to a newer version.");
    }
    if (feature == kMetadataVersionFeature) {
        return update_metadata_version(context, level, type == UpgradeType::UnsafeDowngrade,
                                       records);
    }
    if (is_kraft) return update_kraft_version(context, level, type, records);
    const FeatureRow* row = find_row(feature);
    if (row == nullptr) {
        return invalid_update(feature, level, fmt::format("Feature {} not found.", feature));
    }
    const auto version = proposed.find(kMetadataVersionFeature);
    if (level > 0 && version != proposed.end() &&
        version->second < row->requires_metadata_version) {
        return invalid_update(feature, level,
                              fmt::format("{} could not be set to {} because it depends on "
                                          "metadata.version level {}",
                                          feature, level, row->requires_metadata_version));
    }
    records.push_back(make_feature_level(feature, level));
    return {};
}

/// Before ELR is switched on, min.insync.replicas must exist cluster-wide and nowhere else.
std::vector<Record> elr_safety_records(const CommandContext& context) {
    std::vector<Record> records;
    const std::string key = "min.insync.replicas";
    const ConfigsImage& configs = context.image().configs;
    if (configs.broker("").count(key) == 0) {
        const auto it = context.options.static_config.find(key);
        records.push_back(
            make_config({ConfigResource::Broker, ""}, key,
                        it == context.options.static_config.end() ? "1" : it->second));
    }
    for (auto it = configs.by_target.lower_bound(ConfigTarget{ConfigResource::Broker, ""});
         it != configs.by_target.end() && it->first.type == ConfigResource::Broker; ++it) {
        if (!it->first.name.empty() && it->second->count(key) != 0) {
            records.push_back(make_config(it->first, key, std::nullopt));
        }
    }
    return records;
}

}  // namespace

std::map<std::string, VersionRange> supported_features() {
    std::map<std::string, VersionRange> features;
    features[kMetadataVersionFeature] = {kMetadataVersionMin, kMetadataVersionLatest};
    features[kKraftVersionFeature] = {0, 1};
    for (const FeatureRow& row : kFeatures)
        features[row.name] = {0, row.max};
    return features;
}

std::vector<Record> default_bootstrap_records(int16_t metadata_version) {
    std::vector<Record> records;
    records.push_back(make_feature_level(kMetadataVersionFeature, metadata_version));
    for (const FeatureRow& row : kFeatures) {  // sorted by name
        if (metadata_version >= row.default_since) {
            records.push_back(make_feature_level(row.name, row.default_level));
        }
    }
    return records;
}

CommandResult run_command(const CommandContext& context,
                          const wire::UpdateFeaturesRequest& request) {
    CommandResult result;
    auto proposed = context.image().features.levels;
    for (const auto& update : request.feature_updates) {
        proposed[update.feature] = update.max_version_level;
    }
    bool enables_elr = false;
    for (const auto& update : request.feature_updates) {
        UpgradeType type = UpgradeType::Unknown;
        if (update.upgrade_type >= 1 && update.upgrade_type <= 3) {
            type = static_cast<UpgradeType>(update.upgrade_type);
        }
        const ApiError error = update_one(context, update.feature, update.max_version_level, type,
                                          proposed, result.records);
        if (error.failed()) {
            result.records.clear();
            result.upgrade_kraft_version = false;
            result.response = error_reply(
                ControllerRequest(request),
                {error.code,
                 "The update failed for all features since the following feature had an error: " +
                     error.message.value_or("")});
            return result;
        }
        if (update.feature == kElrFeature && update.max_version_level > 0) enables_elr = true;
        if (update.feature == kKraftVersionFeature &&
            update.max_version_level > context.options.kraft_version) {
            result.upgrade_kraft_version = !request.validate_only;
        }
    }
    if (enables_elr) {
        auto safety = elr_safety_records(context);
        result.records.insert(result.records.begin(), safety.begin(), safety.end());
    }
    if (request.validate_only) result.records.clear();
    wire::UpdateFeaturesResponse response;
    response.error_message = std::nullopt;
    for (const auto& update : request.feature_updates) {
        auto& entry = response.results.emplace_back();
        entry.feature = update.feature;
        entry.error_message = std::nullopt;
    }
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
