// src/broker/throttle_keeper.cc: leases of plans, and what is left of those that ran out.
#include "broker/throttle_keeper.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace millrace::broker {

namespace {

using placement::ThrottleNote;

/// The partition of "3:1001"; nothing for what is no entry.
std::optional<PartitionIndex> partition_of(const std::string& entry) {
    int32_t index = 0;
    const auto [end, error] =
        std::from_chars(entry.data(), entry.data() + entry.size(), index);
    const bool entire = error == std::errc{} && end != entry.data() + entry.size() && *end == ':';
    return entire ? std::optional(PartitionIndex(index)) : std::nullopt;
}

bool any_reassigned(const metadata::TopicImage& topic, const std::string& entries) {
    for (const std::string& entry : placement::list_entries(entries)) {
        const auto index = partition_of(entry);
        const metadata::PartitionImage* found = index ? topic.partition(*index) : nullptr;
        if (found != nullptr && found->is_reassigning()) return true;
    }
    return false;
}

/// For a plan whose lists were all an operator's "*" already: it noted brokers alone.
bool any_reassigned_on(const std::set<std::string>& brokers, const metadata::TopicsImage& topics) {
    for (const auto& [id, topic] : topics.by_id) {
        for (const auto& [index, partition] : topic->partitions) {
            if (!partition->is_reassigning()) continue;
            for (const NodeId node : partition->replicas) {
                if (brokers.contains(std::to_string(node.value))) return true;
            }
        }
    }
    return false;
}

std::optional<std::string> value_of(const metadata::ConfigMap& configs, const std::string& key) {
    const auto found = configs.find(key);
    if (found == configs.end()) return std::nullopt;
    return found->second;
}

}  // namespace

void ThrottleKeeper::on_record(Instant now, std::string_view key,
                               std::optional<std::string_view> value) {
    const std::string id = placement::plan_of_key(key);
    const auto found = plans_.find(id);
    if (!placement::is_throttles_key(key)) {
        if (found != plans_.end()) found->second.heard = now;
        return;
    }
    if (value) {
        // What cannot be read is nothing that could be taken away.
        if (auto notes = placement::read_throttles(*value)) {
            Plan& plan = plans_[id];
            plan.heard = now;
            plan.records[std::string(key)] = *std::move(notes);
        }
        return;
    }
    if (found == plans_.end()) return;
    found->second.records.erase(std::string(key));
    if (found->second.records.empty()) plans_.erase(found);
}

std::optional<ThrottleKeeper::Duty> ThrottleKeeper::look(Instant now,
                                                         const metadata::Image& image) const {
    for (const auto& [id, plan] : plans_) {
        if (now < plan.heard + kLease || moves(plan, image.topics)) continue;
        return duty_of(id, plan, image);
    }
    return std::nullopt;
}

bool ThrottleKeeper::moves(const Plan& plan, const metadata::TopicsImage& topics) {
    std::set<std::string> brokers;
    bool names_partitions = false;
    for (const auto& [key, notes] : plan.records) {
        for (const ThrottleNote& note : notes) {
            if (note.type == ThrottleNote::kBroker) {
                brokers.insert(note.name);
                continue;
            }
            names_partitions = true;
            const metadata::TopicImage* topic = topics.find(note.name);
            if (topic != nullptr && any_reassigned(*topic, note.value)) return true;
        }
    }
    return !names_partitions && any_reassigned_on(brokers, topics);
}

ThrottleKeeper::Duty ThrottleKeeper::duty_of(const std::string& id, const Plan& plan,
                                             const metadata::Image& image) {
    Duty duty;
    duty.plan = id;
    for (const auto& [key, notes] : plan.records) {
        duty.tombstones.push_back(key);
        for (const ThrottleNote& note : notes) {
            const auto type = static_cast<metadata::ConfigResource>(note.type);
            const metadata::ConfigTarget target{type, note.name};
            const auto removal =
                placement::removal_of(note, value_of(image.configs.of(target), note.key));
            if (removal) duty.changes.push_back({target, note.key, removal->rest});
        }
    }
    return duty;
}

}  // namespace millrace::broker
