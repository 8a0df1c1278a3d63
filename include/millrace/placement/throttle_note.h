// include/millrace/placement/throttle_note.h: which throttles a plan of moves has set, as it is noted.
//
// A plan notes what it sets in the topic of plans before it sets it: one record "ID/throttles/N" of
// a few hundred notes each, a line a note. The command that drives the plan takes away what is
// noted; where it is gone, the broker that leads the topic does (broker/throttle_keeper.h). Both
// judge here what is still theirs: a value that somebody else has set since stays.
// Pure values; no owner. Ours, Kafka has nothing of the kind.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::placement {

inline constexpr const char* kPlansTopic = "__millrace_plans";

/// One dynamic config. `value`: of a broker the rates that may be set there, of a topic the
/// entries that were added to its list; both with commas between.
struct ThrottleNote {
    static constexpr int8_t kTopic = 2;  // ConfigResource.Type
    static constexpr int8_t kBroker = 4;
    int8_t type = 0;
    std::string name;
    std::string key;
    std::string value;
    friend bool operator==(const ThrottleNote&, const ThrottleNote&) = default;
};

/// The records of these notes by key, each small enough for every broker.
std::map<std::string, std::string> throttle_records(const std::string& plan,
                                                    const std::vector<ThrottleNote>& notes);
/// Nothing when the value is no such record.
std::optional<std::vector<ThrottleNote>> read_throttles(std::string_view value);
/// The plan that a record of the topic belongs to.
std::string plan_of_key(std::string_view key);
bool is_throttles_key(std::string_view key);

/// Entries of a list with commas.
std::set<std::string> list_entries(std::string_view list);
/// What is left of a list without the entries of `own`; nothing when that is empty.
std::optional<std::string> list_without(std::string_view list, std::string_view own);

/// What is to be done to a config so that nothing of the note is left in it.
struct ThrottleRemoval {
    std::optional<std::string> rest;  // nothing: the config is deleted
};
/// Nothing to be done where the config is not set, or not as noted.
std::optional<ThrottleRemoval> removal_of(const ThrottleNote& note,
                                          const std::optional<std::string>& set);

}  // namespace millrace::placement
