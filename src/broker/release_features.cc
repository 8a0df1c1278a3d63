// src/broker/release_features.cc: the table of releases and features, and the checks on it.
#include "broker/release_features.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

#include "millrace/broker/storage_format.h"

namespace millrace::broker {

namespace {

constexpr std::array<const char*, kMetadataVersionNewest - kMetadataVersionOldest + 1> kVersions = {
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0"};

/// Known to 4.3.1, and refused by it unless unstable versions are enabled.
constexpr int16_t kMetadataVersionUnstable = 31;

/// Level `max` is the default from metadata.version `default_from` on; below it is 0.
struct FeatureRow {
    const char* name;
    int16_t max;
    int16_t default_from;
    int16_t needs_metadata_version;  // for any level above 0
};
constexpr std::array kFeatures = {
    FeatureRow{"eligible.leader.replicas.version", 1, 26, 23},
    FeatureRow{"group.version", 1, 22, 7},
    FeatureRow{kKRaftVersionFeature, 1, 21, 7},
    FeatureRow{"share.version", 1, 28, 7},
    FeatureRow{"streams.version", 1, 29, 7},
    FeatureRow{"transaction.version", 2, 24, 7},
};

const FeatureRow* find_feature(const std::string& name) {
    for (const FeatureRow& row : kFeatures) {
        if (name == row.name) return &row;
    }
    return nullptr;
}

Result<int16_t> effective_kraft_version(std::optional<int16_t> wanted, bool dynamic_quorum) {
    if (!wanted.has_value()) return static_cast<int16_t>(dynamic_quorum ? 1 : 0);
    if (*wanted == 0 && dynamic_quorum) {
        return {Errc::InvalidInput,
                "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the "
                "flags --standalone, --initial-controllers, or --no-initial-controllers is used. "
                "For dynamic controllers support, try removing the --feature flag for "
                "kraft.version."};
    }
    if (*wanted != 0 && !dynamic_quorum) {
        return {Errc::InvalidInput,
                fmt::format("Cannot set kraft.version to {} unless controller.quorum.voters is "
                            "empty and one of the flags --standalone, --initial-controllers, or "
                            "--no-initial-controllers is used. For dynamic controllers support, "
                            "try using one of --standalone, --initial-controllers, or "
                            "--no-initial-controllers and removing controller.quorum.voters.",
                            *wanted)};
    }
    return *wanted;
}

}  // namespace

std::string metadata_version_name(int16_t level) {
    if (level < kMetadataVersionOldest || level > kMetadataVersionNewest) return "";
    return kVersions[static_cast<size_t>(level - kMetadataVersionOldest)];
}

Result<int16_t> parse_release_version(const std::string& text) {
    std::string key = text;
    if (const size_t first = key.find('.'); first != std::string::npos) {
        if (const size_t second = key.find('.', first + 1); second != std::string::npos) {
            key.resize(second);  // a patch release has the features of its minor release
        }
    }
    std::string all;
    std::optional<int16_t> found;
    for (size_t i = 0; i < kVersions.size(); ++i) {
        const std::string name = kVersions[i];
        all += (all.empty() ? "" : ", ") + name;
        if (key == name || key == name.substr(0, name.find('-'))) {
            found = static_cast<int16_t>(kMetadataVersionOldest + static_cast<int>(i));
        }
    }
    if (found.has_value()) return *found;
    return {Errc::InvalidInput,
            "Unknown metadata.version '" + text + "'. Supported metadata.version are: " + all};
}

Result<std::pair<std::string, int16_t>> parse_feature_level(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
        return {Errc::InvalidInput,
                "Can't parse feature=level string " + text + ": equals sign not found."};
    }
    auto trim = [](std::string part) {
        while (!part.empty() && part.front() == ' ')
            part.erase(0, 1);
        while (!part.empty() && part.back() == ' ')
            part.pop_back();
        return part;
    };
    const std::string name = trim(text.substr(0, equals));
    const std::string level_text = trim(text.substr(equals + 1));
    int16_t level = 0;
    const char* end = level_text.data() + level_text.size();
    const auto [at, error] = std::from_chars(level_text.data(), end, level);
    if (error != std::errc() || at != end) {
        return {Errc::InvalidInput, "Can't parse feature=level string " + text +
                                        ": unable to parse " + level_text + " as a short."};
    }
    return std::pair(name, level);
}

Result<FeatureLevels> effective_feature_levels(const FeatureLevels& wanted,
                                               std::optional<int16_t> release,
                                               bool dynamic_quorum) {
    int16_t metadata_version = release.value_or(kMetadataVersionNewest);
    if (const auto it = wanted.find(kMetadataVersionFeature); it != wanted.end()) {
        if (release.has_value()) {
            return {Errc::InvalidInput,
                    "Use --release-version instead of --feature metadata.version=X to avoid "
                    "ambiguity."};
        }
        metadata_version = it->second;
        if (metadata_version == kMetadataVersionUnstable) {
            return {Errc::InvalidInput, "metadata.version 4.4-IV0 is not yet stable."};
        }
        if (metadata_version_name(metadata_version).empty()) {
            return {
                Errc::InvalidInput,
                fmt::format("No MetadataVersion with feature level {}. Valid feature levels "
                            "are from {} to {}.",
                            metadata_version, kMetadataVersionOldest, kMetadataVersionUnstable)};
        }
    }
    FeatureLevels levels = wanted;
    for (const auto& [name, level] : wanted) {
        if (name == kMetadataVersionFeature || find_feature(name) != nullptr) continue;
        std::string all;
        for (const FeatureRow& row : kFeatures)
            all += (all.empty() ? "" : ", ") + std::string(row.name);
        return {Errc::InvalidInput,
                "Unsupported feature: " + name + ". Supported features are: " + all};
    }
    levels[kMetadataVersionFeature] = metadata_version;
    for (const FeatureRow& row : kFeatures) {
        if (std::string(row.name) == kKRaftVersionFeature) {
            const auto it = wanted.find(row.name);
            MILLRACE_TRY_ASSIGN(
                levels[row.name],
                effective_kraft_version(it == wanted.end() ? std::optional<int16_t>() : it->second,
                                        dynamic_quorum));
        } else if (!levels.contains(row.name)) {
            levels[row.name] = metadata_version >= row.default_from ? row.max : int16_t{0};
        }
        const int16_t level = levels[row.name];
        if (level < 0 || level > row.max) {
            return {Errc::InvalidInput,
                    fmt::format("No feature:{} with feature level {}", row.name, level)};
        }
        if (level > 0 && metadata_version < row.needs_metadata_version) {
            return {Errc::InvalidInput,
                    fmt::format("{} could not be set to {} because it depends on metadata.version "
                                "level {}",
                                row.name, level, row.needs_metadata_version)};
        }
    }
    return levels;
}

Result<std::vector<std::string>> describe_release(const std::optional<std::string>& release) {
    int16_t level = kMetadataVersionNewest;
    if (release.has_value()) {
        MILLRACE_TRY_ASSIGN(level, parse_release_version(*release));
    }
    std::vector<std::string> lines;
    lines.push_back(fmt::format("{}={} ({})", kMetadataVersionFeature, level,
                                release.value_or(metadata_version_name(level))));
    // In the order of Kafka's Feature enum.
    for (const char* name :
         {kKRaftVersionFeature, "transaction.version", "group.version",
          "eligible.leader.replicas.version", "share.version", "streams.version"}) {
        const FeatureRow* row = find_feature(name);
        lines.push_back(fmt::format("{}={}", name, level >= row->default_from ? row->max : 0));
    }
    return lines;
}

Status describe_feature_dependencies(const std::vector<std::string>& features,
                                     MoveFunction<void(const std::string& line)> print) {
    for (const std::string& feature : features) {
        if (feature.find('=') == std::string::npos) {
            return {Errc::InvalidInput, "Invalid feature format: " + feature +
                                            ". Expected format: 'feature=version' (e.g. "
                                            "'group.version=1')"};
        }
        const auto named = parse_feature_level(feature);
        if (!named.ok()) {
            const size_t equals = feature.find('=');
            return {Errc::InvalidInput, "Invalid version format: " + feature.substr(equals + 1) +
                                            " for feature " + feature.substr(0, equals)};
        }
        const auto& [name, level] = *named;
        if (name == kMetadataVersionFeature) {
            const std::string version = metadata_version_name(level);
            if (version.empty()) {
                return {Errc::InvalidInput, fmt::format("Unknown metadata.version {}", level)};
            }
            print(fmt::format("{}={} ({}) has no dependencies.", name, level, version));
            continue;
        }
        const FeatureRow* row = find_feature(name);
        if (row == nullptr) return {Errc::InvalidInput, "Unknown feature: " + name};
        if (level < 0 || level > row->max) {
            return {Errc::InvalidInput,
                    fmt::format("Feature level {} is not supported for feature {}", level, name)};
        }
        if (level == 0 || row->needs_metadata_version <= kMetadataVersionOldest) {
            print(fmt::format("{}={} has no dependencies.", name, level));
            continue;
        }
        print(fmt::format("{}={} requires:", name, level));
        print(fmt::format("    {}={} ({})", kMetadataVersionFeature, row->needs_metadata_version,
                          metadata_version_name(row->needs_metadata_version)));
    }
    return {};
}

}  // namespace millrace::broker
