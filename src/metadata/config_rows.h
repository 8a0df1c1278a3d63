// src/metadata/config_rows.h: the arrays that make up the table, and the words its rows use.
#pragma once

#include <cstddef>

#include "millrace/metadata/config_def.h"

namespace millrace::metadata {

// The rows, sorted by name within each array; config_def.cc joins them.
extern const ConfigKey kLogKeys[];
extern const size_t kLogKeysCount;
extern const ConfigKey kSecurityKeys[];
extern const size_t kSecurityKeysCount;
extern const ConfigKey kCoordinatorKeys[];
extern const size_t kCoordinatorKeysCount;
extern const ConfigKey kNodeKeys[];
extern const size_t kNodeKeysCount;
extern const ConfigKey kReplicaKeys[];
extern const size_t kReplicaKeysCount;
extern const ConfigKey kTopicKeys[];
extern const size_t kTopicKeysCount;
extern const ConfigKey kGroupKeys[];
extern const size_t kGroupKeysCount;
extern const ConfigKey kClientMetricsKeys[];
extern const size_t kClientMetricsKeysCount;

inline constexpr const char* kNull = nullptr;

inline constexpr ConfigType kBoolean = ConfigType::Boolean;
inline constexpr ConfigType kString = ConfigType::String;
inline constexpr ConfigType kInt = ConfigType::Int;
inline constexpr ConfigType kShort = ConfigType::Short;
inline constexpr ConfigType kLong = ConfigType::Long;
inline constexpr ConfigType kDouble = ConfigType::Double;
inline constexpr ConfigType kList = ConfigType::List;
inline constexpr ConfigType kClass = ConfigType::Class;
inline constexpr ConfigType kPassword = ConfigType::Password;

inline constexpr Importance kHigh = Importance::High;
inline constexpr Importance kMedium = Importance::Medium;
inline constexpr Importance kLow = Importance::Low;

inline constexpr DynamicMode kReadOnly = DynamicMode::ReadOnly;
inline constexpr DynamicMode kPerBroker = DynamicMode::PerBroker;
inline constexpr DynamicMode kClusterWide = DynamicMode::ClusterWide;

inline constexpr ConfigEffect kWorks = ConfigEffect::Works;
inline constexpr ConfigEffect kNoEffect = ConfigEffect::NoEffect;
inline constexpr ConfigEffect kRefused = ConfigEffect::Refused;

constexpr Validator of_kind(ValidatorKind kind) {
    Validator v;
    v.kind = kind;
    return v;
}
constexpr Validator of_words(ValidatorKind kind, const char* words, bool empty_allowed) {
    Validator v = of_kind(kind);
    v.words = words;
    v.empty_allowed = empty_allowed;
    return v;
}
constexpr Validator any() { return {}; }
constexpr Validator at_least(double low) {
    Validator v = of_kind(ValidatorKind::Range);
    v.low = low;
    return v;
}
constexpr Validator between(double low, double high) {
    Validator v = at_least(low);
    v.high = high;
    return v;
}
constexpr Validator gzip_level() { return of_kind(ValidatorKind::GzipLevel); }
constexpr Validator non_null() { return of_kind(ValidatorKind::NonNull); }
constexpr Validator non_empty() { return of_kind(ValidatorKind::NonEmptyString); }
constexpr Validator quorum_voters() { return of_kind(ValidatorKind::QuorumVoters); }
constexpr Validator quorum_servers() { return of_kind(ValidatorKind::QuorumServers); }
constexpr Validator throttled_replicas() { return of_kind(ValidatorKind::ThrottledReplicas); }
constexpr Validator auto_offset_reset() { return of_kind(ValidatorKind::AutoOffsetReset); }
constexpr Validator one_of(const char* words) {
    return of_words(ValidatorKind::OneOf, words, true);
}
constexpr Validator one_of_ignore_case(const char* words) {
    return of_words(ValidatorKind::OneOfIgnoreCase, words, true);
}
constexpr Validator list_of(const char* words) {
    return of_words(ValidatorKind::ListOf, words, true);
}
constexpr Validator non_empty_list_of(const char* words) {
    return of_words(ValidatorKind::ListOf, words, false);
}

}  // namespace millrace::metadata
