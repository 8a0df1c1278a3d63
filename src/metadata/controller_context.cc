// src/metadata/controller_context.cc: replay into the controller's state; questions of commands.
#include "metadata/controller_context.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace millrace::metadata {

std::optional<std::string> collision_form(std::string_view topic) {
    if (topic.find_first_of("._") == std::string_view::npos) return std::nullopt;
    std::string form(topic);
    std::replace(form.begin(), form.end(), '.', '_');
    return form;
}

Status ControllerState::replay_marker(const Record& record) {
    if (std::holds_alternative<wire::BeginTransactionRecord>(record.body)) {
        if (before_transaction) {
            return Status(Errc::Corrupt, "a transaction begins inside a transaction");
        }
        before_transaction = std::make_shared<const ControllerState>(*this);
        return {};
    }
    if (!before_transaction) return Status(Errc::Corrupt, "a transaction ends that never began");
    if (std::holds_alternative<wire::AbortTransactionRecord>(record.body)) {
        const auto before = before_transaction;
        *this = *before;
    }
    before_transaction = nullptr;
    return {};
}

Status ControllerState::replay(std::span<const Record> records, Offset base) {
    const auto is_marker = [](const Record& record) {
        return std::holds_alternative<wire::BeginTransactionRecord>(record.body) ||
               std::holds_alternative<wire::EndTransactionRecord>(record.body) ||
               std::holds_alternative<wire::AbortTransactionRecord>(record.body);
    };
    ControllerState next = *this;
    size_t at = 0;
    while (at < records.size()) {
        if (is_marker(records[at])) {
            MILLRACE_TRY(next.replay_marker(records[at++]));
            continue;
        }
        Delta delta(next.image);
        for (; at < records.size() && !is_marker(records[at]); ++at) {
            MILLRACE_TRY(delta.replay(records[at]));
            if (const auto* broker = std::get_if<wire::RegisterBrokerRecord>(&records[at].body)) {
                next.register_offsets.set(NodeId(broker->broker_id),
                                          base + static_cast<int64_t>(at));
            }
        }
        const Image before = std::move(next.image);
        next.image = delta.take_image();
        next.follow(before, delta.changes());
    }
    *this = std::move(next);
    return {};
}

void ControllerState::follow(const Image& before, const Changes& changes) {
    indexes.apply(before, image, changes);
    for (NodeId id : changes.brokers) {
        const BrokerImage* old = before.cluster.broker(id);
        const BrokerImage* now = image.cluster.broker(id);
        if (old != nullptr && now != nullptr && old->directories == now->directories) continue;
        if (old != nullptr) {
            for (const Uuid& directory : old->directories)
                directory_owners.erase(directory);
        }
        if (now == nullptr) {
            register_offsets.erase(id);
            continue;
        }
        for (const Uuid& directory : now->directories)
            directory_owners.set(directory, id);
    }
    for (const auto& [id, name] : changes.topics_deleted) {
        if (auto form = collision_form(name)) collision_names.erase({*form, name});
    }
    for (const Uuid& id : changes.topics_created) {
        const std::string& name = image.topics.find(id)->name;
        if (auto form = collision_form(name)) collision_names.set({*form, name}, true);
    }
}

ControllerState ControllerState::of(const Image& image) {
    ControllerState state;
    state.image = image;
    state.follow(Image{}, difference(Image{}, image));
    for (const auto& [id, broker] : image.cluster.brokers) {
        state.register_offsets.set(id, image.provenance.offset);
    }
    return state;
}

ApiError ApiError::standard(ErrorCode code) { return {code, error_code_message(code)}; }

BrokerConfigLayers CommandContext::layers() const {
    BrokerConfigLayers layers;
    layers.per_broker = &image().configs.broker(std::to_string(options.node_id.value));
    layers.cluster_default = &image().configs.broker("");
    layers.static_file = &options.static_config;
    return layers;
}

std::string CommandContext::topic_config(std::string_view topic, std::string_view key) const {
    const ConfigKey* row = find_config_key(ConfigResource::Topic, key);
    MILLRACE_ASSERT(row != nullptr, "a topic config that exists");
    return effective_value(image().configs.topic(topic), layers(), *row).value_or("");
}

bool CommandContext::unclean_election(std::string_view topic) const {
    return topic_config(topic, "unclean.leader.election.enable") == "true";
}

int32_t CommandContext::min_isr(const TopicImage& topic) const {
    const std::string text = topic_config(topic.name, "min.insync.replicas");
    int32_t configured = 1;
    std::from_chars(text.data(), text.data() + text.size(), configured);
    if (topic.partitions.empty()) return configured;
    const auto replicas = topic.partitions.begin()->second->replicas.size();
    return std::min(configured, static_cast<int32_t>(replicas));
}

ElectionRules CommandContext::election_rules(const TopicImage& topic) const {
    return {metadata_version(), elr(), min_isr(topic)};
}

ApiError CommandContext::check_broker_epoch(NodeId id, BrokerEpoch epoch) const {
    const BrokerImage* broker = image().cluster.broker(id);
    if (broker == nullptr) {
        return {ErrorCode::StaleBrokerEpoch,
                fmt::format("No broker registration found for broker id {}", id.value)};
    }
    if (broker->epoch != epoch) {
        return {ErrorCode::StaleBrokerEpoch,
                fmt::format("Expected broker epoch {}, but got broker epoch {}",
                            broker->epoch.value, epoch.value)};
    }
    return {};
}

Uuid CommandContext::random_uuid() const {
    const uint64_t high = rng.next();
    return Uuid::from_random_bits(high, rng.next());
}

}  // namespace millrace::metadata
