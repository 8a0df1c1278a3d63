// src/metadata/cluster_control.cc: registration, heartbeats, fencing, unregistration, id blocks.
#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <set>

#include "metadata/commands.h"
#include "metadata/make_records.h"

namespace millrace::metadata {

namespace {

using RegistrationRequest = wire::BrokerRegistrationRequest;

wire::BrokerRegistrationChangeRecord registration_change(const BrokerImage& broker) {
    wire::BrokerRegistrationChangeRecord record;
    record.broker_id = broker.id.value;
    record.broker_epoch = broker.epoch.value;
    return record;
}

Record fencing_change(const BrokerImage& broker, bool fence) {
    auto record = registration_change(broker);
    record.fenced = fence ? 1 : -1;
    return Record(std::move(record), 0);
}

template <class Listeners>
std::vector<Endpoint> endpoints_of(const Listeners& listeners) {
    std::vector<Endpoint> endpoints;
    for (const auto& l : listeners) {
        endpoints.push_back({l.name, l.host, l.port, l.security_protocol});
    }
    return endpoints;
}

bool reserved_directory(const Uuid& id) {
    constexpr uint64_t kReservedBelow = 100;
    return id.high == 0 && id.low < kReservedBelow;
}

ApiError invalid_registration(std::string text) {
    return {ErrorCode::InvalidRegistration, std::move(text)};
}

ApiError check_directories(const CommandContext& context, const RegistrationRequest& request) {
    if (context.metadata_version() < kMvDirectories) return {};
    if (request.log_dirs.empty()) {
        return invalid_registration("No directories specified in request");
    }
    std::set<Uuid> seen;
    bool twice = false;
    for (const Uuid& directory : request.log_dirs) {
        if (reserved_directory(directory)) {
            return invalid_registration("Reserved directory ID in request");
        }
        twice = twice || !seen.insert(directory).second;
    }
    if (twice) return invalid_registration("Duplicate directory ID in request");
    for (const Uuid& directory : request.log_dirs) {
        const NodeId* owner = context.state.directory_owners.find(directory);
        if (owner != nullptr && owner->value != request.broker_id) {
            return invalid_registration(
                fmt::format("Broker {} is already registered with directory {}", owner->value,
                            directory.to_string()));
        }
    }
    return {};
}

template <class Listeners>
ApiError check_listeners(const Listeners& listeners) {
    constexpr int16_t kSecurityProtocolMax = 3;  // SASL_SSL
    for (const auto& listener : listeners) {
        if (listener.security_protocol < 0 || listener.security_protocol > kSecurityProtocolMax) {
            return ApiError::standard(ErrorCode::UnknownServerError);
        }
    }
    return {};
}

/// Each finalized level must lie in the range; a feature not sent counts as [0, 0].
ApiError check_features(const CommandContext& context, const RegistrationRequest& request) {
    const auto check = [&](const std::string& name, int16_t min, int16_t max) -> ApiError {
        const int16_t level = name == kKraftVersionFeature ? context.options.kraft_version
                                                           : context.image().features.level(name);
        if (level >= min && level <= max) return {};
        return {ErrorCode::UnsupportedVersion,
                fmt::format("Unable to register because the broker does not support finalized "
                            "version {} of {}. The broker wants a version between {} and {}, "
                            "inclusive.",
                            level, name, min, max)};
    };
    std::set<std::string_view> sent;
    for (const auto& feature : request.features) {
        sent.insert(feature.name);
        ApiError error =
            check(feature.name, feature.min_supported_version, feature.max_supported_version);
        if (error.failed()) return error;
    }
    if (sent.count(kMetadataVersionFeature) == 0) {
        return invalid_registration("Request features do not contain 'metadata.version'");
    }
    for (const auto& [name, level] : context.image().features.levels) {
        if (sent.count(name) != 0) continue;
        ApiError error = check(name, 0, 0);
        if (error.failed()) return error;
    }
    if (context.options.kraft_version != 0 && sent.count(kKraftVersionFeature) == 0) {
        return check(kKraftVersionFeature, 0, 0);
    }
    return {};
}

/// kraft.md 2.3, the registration table in order.
ApiError check_registration(const CommandContext& context, const RegistrationRequest& request,
                            const BrokerImage* existing) {
    if (request.cluster_id != context.options.cluster_id) {
        return {ErrorCode::InconsistentClusterId,
                fmt::format("Expected cluster ID {}, but got cluster ID {}",
                            context.options.cluster_id, request.cluster_id)};
    }
    if (existing != nullptr && existing->incarnation != request.incarnation_id &&
        context.heartbeats.has_valid_session(context.tick.now, existing->id, existing->epoch)) {
        return {ErrorCode::DuplicateBrokerRegistration,
                "Another broker is registered with that broker id. If the broker was recently "
                "restarted this should self-resolve once the heartbeat manager expires the "
                "broker's session."};
    }
    if (request.is_migrating_zk_broker) {
        return {ErrorCode::BrokerIdNotRegistered,
                "Controller does not support registering ZK brokers."};
    }
    ApiError error = check_directories(context, request);
    if (!error.failed()) error = check_listeners(request.listeners);
    if (!error.failed()) error = check_features(context, request);
    return error;
}

/// What the broker's former life leaves behind.
void clean_up_incarnation(const CommandContext& context, NodeId id, bool clean,
                          std::vector<Record>& records) {
    const PartitionIndexes& indexes = context.state.indexes;
    if (context.elr() && !clean) {
        update_leaders(context, indexes.in_isr(context.image(), id), kNoNode, kNoNode, id, records);
        update_leaders(context, indexes.in_elr(context.image(), id), kNoNode, kNoNode, id, records);
    } else {
        update_leaders(context, indexes.in_isr(context.image(), id), id, kNoNode, kNoNode, records);
    }
}

}  // namespace

void fence_broker(const CommandContext& context, NodeId id, std::vector<Record>& records) {
    const BrokerImage* broker = context.image().cluster.broker(id);
    MILLRACE_ASSERT(broker != nullptr, "only registered brokers are fenced");
    update_leaders(context, context.state.indexes.in_isr(context.image(), id), id, kNoNode, kNoNode,
                   records);
    records.push_back(fencing_change(*broker, true));
}

CommandResult run_command(const CommandContext& context, const RegistrationRequest& request) {
    CommandResult result;
    result.atomic = false;
    wire::BrokerRegistrationResponse response;
    const NodeId id(request.broker_id);
    const BrokerImage* existing = context.image().cluster.broker(id);
    const ApiError error = check_registration(context, request, existing);
    if (error.failed()) {
        response.error_code = error.number();
        result.response = std::move(response);
        return result;
    }
    BrokerImage broker;
    broker.id = id;
    broker.incarnation = request.incarnation_id;
    broker.endpoints = endpoints_of(request.listeners);
    broker.rack = request.rack;
    for (const auto& feature : request.features) {
        broker.features[feature.name] = {feature.min_supported_version,
                                         feature.max_supported_version};
    }
    if (context.metadata_version() >= kMvDirectories) broker.directories = request.log_dirs;
    if (existing != nullptr && existing->incarnation == request.incarnation_id) {
        broker.epoch = existing->epoch;
        broker.fenced = existing->fenced;
        broker.in_controlled_shutdown = existing->in_controlled_shutdown;
    } else {
        // Requests before version 3 carry no epoch and arrive as -1: never clean.
        const bool clean =
            existing != nullptr && existing->epoch.value == request.previous_broker_epoch;
        clean_up_incarnation(context, id, clean, result.records);
        broker.epoch = BrokerEpoch(context.tick.log_end.value);
    }
    response.broker_epoch = broker.epoch.value;
    result.records.push_back(make_register_broker(broker, context.metadata_version()));
    result.response = std::move(response);
    return result;
}

namespace {

void add_offline_directories(const CommandContext& context, const BrokerImage& broker,
                             const std::vector<Uuid>& offline, std::vector<Record>& records) {
    std::vector<Uuid> newly_offline;
    std::vector<Uuid> remaining;
    for (const Uuid& directory : broker.directories) {
        const bool gone = std::find(offline.begin(), offline.end(), directory) != offline.end();
        (gone ? newly_offline : remaining).push_back(directory);
    }
    if (newly_offline.empty()) return;
    for (const Uuid& directory : newly_offline) {
        update_leaders(context, context.state.indexes.in_directory(context.image(), directory),
                       broker.id, kNoNode, kNoNode, records);
    }
    auto record = registration_change(broker);
    record.log_dirs = std::move(remaining);
    records.emplace_back(std::move(record), int16_t{2});
}

void add_cordoned_directories(const BrokerImage& broker, const std::vector<Uuid>& cordoned,
                              std::vector<Record>& records) {
    std::vector<Uuid> sorted = cordoned;
    std::sort(sorted.begin(), sorted.end());
    if (broker.cordoned_directories == sorted) return;
    auto record = registration_change(broker);
    record.cordoned_log_dirs = cordoned;
    records.emplace_back(std::move(record), int16_t{3});
}

void enter_state(const CommandContext& context, const BrokerImage& broker, BrokerState state,
                 std::vector<Record>& records) {
    switch (state) {
        case BrokerState::Fenced:
        case BrokerState::ShutdownNow: fence_broker(context, broker.id, records); break;
        case BrokerState::Unfenced: {
            records.push_back(fencing_change(broker, false));
            update_leaders(context, context.state.indexes.leaderless(context.image()), kNoNode,
                           broker.id, kNoNode, records);
            break;
        }
        case BrokerState::ControlledShutdown:
            if (!broker.in_controlled_shutdown) {
                auto record = registration_change(broker);
                record.in_controlled_shutdown = 1;
                records.emplace_back(std::move(record), int16_t{1});
            }
            update_leaders(context, context.state.indexes.in_isr(context.image(), broker.id),
                           broker.id, kNoNode, kNoNode, records);
            break;
    }
}

}  // namespace

CommandResult run_command(const CommandContext& context,
                          const wire::BrokerHeartbeatRequest& request) {
    CommandResult result;
    result.atomic = false;
    wire::BrokerHeartbeatResponse response;
    const NodeId id(request.broker_id);
    const ApiError stale = context.check_broker_epoch(id, BrokerEpoch(request.broker_epoch));
    if (stale.failed()) {
        response.error_code = stale.number();
        result.response = std::move(response);
        return result;
    }
    const BrokerImage& broker = *context.image().cluster.broker(id);
    const Offset* registered = context.state.register_offsets.find(id);
    MILLRACE_ASSERT(registered != nullptr, "a registered broker has a registration offset");
    HeartbeatFacts facts;
    facts.want_fence = request.want_fence;
    facts.want_shutdown = request.want_shut_down;
    facts.metadata_offset = Offset(request.current_metadata_offset);
    facts.register_offset = *registered;
    facts.has_leaderships = context.state.indexes.has_leaderships(id);
    const BrokerState current = context.heartbeats.current(id);
    const BrokerState next = context.heartbeats.next(id, facts);
    if (next != current) enter_state(context, broker, next, result.records);
    if (next == BrokerState::ControlledShutdown) result.shutting_down = id;
    if (context.metadata_version() >= kMvDirectories) {
        add_offline_directories(context, broker, request.offline_log_dirs, result.records);
    }
    if (context.metadata_version() >= kMvCordonedDirectories && request.cordoned_log_dirs) {
        add_cordoned_directories(broker, *request.cordoned_log_dirs, result.records);
    }
    response.is_caught_up = facts.metadata_offset >= *registered;
    response.is_fenced = next == BrokerState::Fenced || next == BrokerState::ShutdownNow;
    response.should_shut_down = next == BrokerState::ShutdownNow;
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context,
                          const wire::UnregisterBrokerRequest& request) {
    CommandResult result;
    result.atomic = false;
    wire::UnregisterBrokerResponse response;
    response.error_message = std::nullopt;
    const NodeId id(request.broker_id);
    const BrokerImage* broker = context.image().cluster.broker(id);
    if (broker == nullptr) {
        response.error_code = static_cast<int16_t>(ErrorCode::BrokerIdNotRegistered);
        response.error_message =
            fmt::format("Broker ID {} is not currently registered", request.broker_id);
    } else {
        const PartitionIndexes& indexes = context.state.indexes;
        update_leaders(context, indexes.in_isr(context.image(), id), id, kNoNode, kNoNode,
                       result.records);
        update_leaders(context, indexes.in_elr(context.image(), id), id, kNoNode, kNoNode,
                       result.records);
        wire::UnregisterBrokerRecord record;
        record.broker_id = id.value;
        record.broker_epoch = broker->epoch.value;
        result.records.emplace_back(std::move(record));
    }
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context,
                          const wire::ControllerRegistrationRequest& request) {
    CommandResult result;
    ApiError error = check_listeners(request.listeners);
    if (context.metadata_version() < kMvControllerRegistration) {
        error = {ErrorCode::UnsupportedVersion,
                 "The current MetadataVersion is too old to support controller registrations."};
    }
    if (error.failed()) {
        result.response = error_reply(ControllerRequest(request), error);
        return result;
    }
    ControllerImage controller;
    controller.id = NodeId(request.controller_id);
    controller.incarnation = request.incarnation_id;
    controller.endpoints = endpoints_of(request.listeners);
    for (const auto& feature : request.features) {
        controller.features[feature.name] = {feature.min_supported_version,
                                             feature.max_supported_version};
    }
    result.records.push_back(make_register_controller(controller));
    wire::ControllerRegistrationResponse response;
    response.error_message = std::nullopt;
    result.response = std::move(response);
    return result;
}

CommandResult run_command(const CommandContext& context,
                          const wire::AllocateProducerIdsRequest& request) {
    constexpr int32_t kProducerIdBlock = 1000;
    CommandResult result;
    wire::AllocateProducerIdsResponse response;
    ApiError error =
        context.check_broker_epoch(NodeId(request.broker_id), BrokerEpoch(request.broker_epoch));
    const int64_t start = context.image().producer_ids.next_producer_id;
    if (!error.failed() && start > std::numeric_limits<int64_t>::max() - kProducerIdBlock) {
        error = ApiError::standard(ErrorCode::UnknownServerError);
    }
    if (error.failed()) {
        response.error_code = error.number();
        result.response = std::move(response);
        return result;
    }
    wire::ProducerIdsRecord record;
    record.broker_id = request.broker_id;
    record.broker_epoch = request.broker_epoch;
    record.next_producer_id = start + kProducerIdBlock;
    result.records.emplace_back(std::move(record));
    response.producer_id_start = start;
    response.producer_id_len = kProducerIdBlock;
    result.response = std::move(response);
    return result;
}

}  // namespace millrace::metadata
