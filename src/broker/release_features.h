// src/broker/release_features.h: feature levels that a release starts with, and their dependencies.
//
// Source: org.apache.kafka.server.common.{MetadataVersion,Feature} of 4.3.1; kraft.md 0.1, 0.2.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::broker {

inline constexpr int16_t kMetadataVersionOldest = 7;
inline constexpr int16_t kMetadataVersionNewest = 30;
inline constexpr const char* kMetadataVersionFeature = "metadata.version";
inline constexpr const char* kKRaftVersionFeature = "kraft.version";

using FeatureLevels = std::map<std::string, int16_t>;

/// "4.3", "4.3.1" or "4.3-IV0" -> 30. InvalidInput lists what there is, as Kafka does.
Result<int16_t> parse_release_version(const std::string& text);
/// "name=level". InvalidInput in Kafka's words.
Result<std::pair<std::string, int16_t>> parse_feature_level(const std::string& text);
/// All levels to start with: `wanted` ones checked against what exists and depends on each other,
/// the rest at the default of the release (Formatter.calculateEffectiveFeatureLevels).
Result<FeatureLevels> effective_feature_levels(const FeatureLevels& wanted,
                                               std::optional<int16_t> release, bool dynamic_quorum);

}  // namespace millrace::broker
