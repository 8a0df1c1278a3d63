// src/placement/throttle_note.cc: printing, reading and taking back notes of throttles.
#include "millrace/placement/throttle_note.h"

#include <fmt/core.h>

namespace millrace::placement {
namespace {

constexpr std::string_view kThrottles = "/throttles/";
constexpr std::string_view kHead = "millrace throttles 1\n";
constexpr size_t kRecordBytes = 300'000;  // below every broker's message.max.bytes
constexpr size_t kMaxNotes = 4'000'000;

/// Up to the separator, which is taken away too; everything where there is none.
std::string_view take_until(std::string_view& text, char separator) {
    const size_t end = text.find(separator);
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}

/// The only configs that a plan sets. Whoever may write into the topic of plans may make the
/// cluster take away these, and none but these.
bool may_be_noted(const ThrottleNote& note) {
    if (note.type == ThrottleNote::kTopic)
        return note.key == "leader.replication.throttled.replicas" ||
               note.key == "follower.replication.throttled.replicas";
    // A cordon is left to the cluster when its broker is gone.
    return note.key == "leader.replication.throttled.rate" ||
           note.key == "follower.replication.throttled.rate" || note.key == "cordoned.log.dirs";
}

}  // namespace

std::map<std::string, std::string> throttle_records(const std::string& plan,
                                                    const std::vector<ThrottleNote>& notes) {
    std::map<std::string, std::string> records;
    std::string* record = nullptr;
    for (const ThrottleNote& note : notes) {
        if (record == nullptr || record->size() + note.value.size() > kRecordBytes) {
            const std::string key = fmt::format("{}{}{}", plan, kThrottles, records.size());
            record = &records.emplace(key, kHead).first->second;
        }
        *record += fmt::format("{} {} {} {}\n", note.type, note.name, note.key, note.value);
    }
    return records;
}

std::optional<std::vector<ThrottleNote>> read_throttles(std::string_view value) {
    if (!value.starts_with(kHead)) return std::nullopt;
    value.remove_prefix(kHead.size());
    std::vector<ThrottleNote> notes;
    while (!value.empty()) {
        std::string_view line = take_until(value, '\n');
        const std::string_view type = take_until(line, ' ');
        ThrottleNote& note = notes.emplace_back();
        if (type == "2") note.type = ThrottleNote::kTopic;
        if (type == "4") note.type = ThrottleNote::kBroker;
        note.name = take_until(line, ' ');
        note.key = take_until(line, ' ');
        note.value = line;
        const bool whole = note.type != 0 && !note.name.empty() && may_be_noted(note);
        if (!whole || note.value.empty() || notes.size() > kMaxNotes) return std::nullopt;
    }
    return notes;
}

std::string plan_of_key(std::string_view key) { return std::string(key.substr(0, key.find('/'))); }

bool is_throttles_key(std::string_view key) {
    return key.find(kThrottles) != std::string_view::npos;
}

std::set<std::string> list_entries(std::string_view list) {
    std::set<std::string> entries;
    while (!list.empty())
        entries.emplace(take_until(list, ','));
    return entries;
}

std::optional<std::string> list_without(std::string_view list, std::string_view own) {
    const std::set<std::string> ours = list_entries(own);
    std::string rest;
    while (!list.empty()) {
        const std::string entry(take_until(list, ','));
        if (!ours.contains(entry)) rest += (rest.empty() ? "" : ",") + entry;
    }
    if (rest.empty()) return std::nullopt;
    return rest;
}

std::optional<ThrottleRemoval> removal_of(const ThrottleNote& note,
                                          const std::optional<std::string>& set) {
    if (!set || set->empty()) return std::nullopt;
    if (note.type == ThrottleNote::kBroker) {
        if (!list_entries(note.value).contains(*set)) return std::nullopt;
        return ThrottleRemoval{};
    }
    auto rest = list_without(*set, note.value);
    if (rest == set) return std::nullopt;
    return ThrottleRemoval{std::move(rest)};
}

}  // namespace millrace::placement
