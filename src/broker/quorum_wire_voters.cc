// src/broker/quorum_wire_voters.cc: Add-, Remove- and UpdateRaftVoter and the question for versions.
#include <fmt/core.h>

#include <utility>
#include <variant>

#include "broker/peer_call.h"
#include "broker/quorum_wire.h"
#include "millrace/wire/gen/api_versions_response.h"

namespace millrace::broker {

namespace {

constexpr const char* kKRaftVersion = "kraft.version";

int16_t code(ErrorCode error) { return static_cast<int16_t>(error); }

template <class Listeners>
raft::Endpoints from_listeners(const Listeners& listeners) {
    raft::Endpoints endpoints;
    for (const auto& listener : listeners) {
        endpoints.push_back({listener.name, listener.host, listener.port});
    }
    return endpoints;
}

template <class Listeners>
void to_listeners(const raft::Endpoints& endpoints, Listeners& listeners) {
    for (const raft::Endpoint& endpoint : endpoints) {
        auto& entry = listeners.emplace_back();
        entry.name = endpoint.listener;
        entry.host = endpoint.host;
        entry.port = endpoint.port;
    }
}

template <class Message>
ErrorCode check_cluster(const std::string& cluster_id, const Message& message) {
    const bool other = message.cluster_id.has_value() && *message.cluster_id != cluster_id;
    return other ? ErrorCode::InconsistentClusterId : ErrorCode::None;
}

template <class Message>
Message change_message(const raft::VoterChangeResponse& response) {
    Message message;
    message.error_code = code(response.error);
    message.error_message = std::nullopt;
    if (!response.message.empty()) message.error_message = response.message;
    return message;
}

raft::VersionsResponse versions_answer(const wire::ApiVersionsResponse& message) {
    raft::VersionsResponse out;
    out.error = static_cast<ErrorCode>(message.error_code);
    for (const auto& feature : message.supported_features) {
        if (feature.name != kKRaftVersion) continue;
        out.kraft_versions = {feature.min_version, feature.max_version};
    }
    return out;
}

raft::VoterChangeResponse update_answer(const QuorumWireContext& context,
                                        const wire::UpdateRaftVoterResponse& message) {
    raft::VoterChangeResponse out;
    out.error = static_cast<ErrorCode>(message.error_code);
    const auto& leader = message.current_leader;
    out.leader_id = NodeId(leader.leader_id);
    out.epoch = LeaderEpoch(leader.leader_epoch);
    if (!leader.host.empty() && leader.port > 0 && leader.port <= UINT16_MAX) {
        out.leader_endpoints.push_back(
            {context.listener, leader.host, static_cast<uint16_t>(leader.port)});
    }
    return out;
}

template <class Message>
raft::VoterChangeResponse change_answer(const Message& message) {
    raft::VoterChangeResponse out;
    out.error = static_cast<ErrorCode>(message.error_code);
    out.message = message.error_message.value_or("");
    return out;
}

}  // namespace

wire::AddRaftVoterRequest encode(const QuorumWireContext& context,
                                 const raft::AddVoterRequest& request, int16_t version) {
    constexpr int16_t kAckFrom = 1;  // before, every answer waits for the commit
    wire::AddRaftVoterRequest message;
    message.cluster_id = context.cluster_id;
    message.timeout_ms = context.request_timeout_ms;
    message.voter_id = request.voter.id.value;
    message.voter_directory_id = request.voter.directory_id;
    to_listeners(request.endpoints, message.listeners);
    message.ack_when_committed = version < kAckFrom || request.ack_when_committed;
    return message;
}

wire::RemoveRaftVoterRequest encode(const QuorumWireContext& context,
                                    const raft::RemoveVoterRequest& request) {
    wire::RemoveRaftVoterRequest message;
    message.cluster_id = context.cluster_id;
    message.voter_id = request.voter.id.value;
    message.voter_directory_id = request.voter.directory_id;
    return message;
}

wire::UpdateRaftVoterRequest encode(const QuorumWireContext& context,
                                    const raft::UpdateVoterRequest& request) {
    wire::UpdateRaftVoterRequest message;
    message.cluster_id = context.cluster_id;
    message.current_leader_epoch = request.current_leader_epoch.value;
    message.voter_id = request.voter.id.value;
    message.voter_directory_id = request.voter.directory_id;
    to_listeners(request.endpoints, message.listeners);
    message.k_raft_version_feature.min_supported_version = request.versions.min;
    message.k_raft_version_feature.max_supported_version = request.versions.max;
    return message;
}

wire::ApiVersionsRequest encode(const QuorumWireContext&, const raft::VersionsRequest&) {
    wire::ApiVersionsRequest message;
    message.client_software_name = "millrace";
    message.client_software_version = "1";
    return message;
}

Result<raft::PeerResponse> decode_voter_response(const QuorumWireContext& context,
                                                 const raft::PeerRequest& request, int16_t version,
                                                 const Buffer& frame) {
    if (std::holds_alternative<raft::AddVoterRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message,
                            decode_answer<wire::AddRaftVoterResponse>(frame, version));
        return raft::PeerResponse(change_answer(message));
    }
    if (std::holds_alternative<raft::RemoveVoterRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message,
                            decode_answer<wire::RemoveRaftVoterResponse>(frame, version));
        return raft::PeerResponse(change_answer(message));
    }
    if (std::holds_alternative<raft::UpdateVoterRequest>(request)) {
        MILLRACE_TRY_ASSIGN(const auto message,
                            decode_answer<wire::UpdateRaftVoterResponse>(frame, version));
        return raft::PeerResponse(update_answer(context, message));
    }
    MILLRACE_TRY_ASSIGN(const auto message,
                        decode_answer<wire::ApiVersionsResponse>(frame, version));
    return raft::PeerResponse(versions_answer(message));
}

Checked<raft::AddVoterRequest> to_raft(const std::string& cluster_id,
                                       const wire::AddRaftVoterRequest& message) {
    Checked<raft::AddVoterRequest> out{check_cluster(cluster_id, message), {}};
    out.request.voter = {NodeId(message.voter_id), message.voter_directory_id};
    out.request.endpoints = from_listeners(message.listeners);
    out.request.ack_when_committed = message.ack_when_committed;
    return out;
}

Checked<raft::RemoveVoterRequest> to_raft(const std::string& cluster_id,
                                          const wire::RemoveRaftVoterRequest& message) {
    Checked<raft::RemoveVoterRequest> out{check_cluster(cluster_id, message), {}};
    out.request.voter = {NodeId(message.voter_id), message.voter_directory_id};
    return out;
}

Checked<raft::UpdateVoterRequest> to_raft(const std::string& cluster_id,
                                          const wire::UpdateRaftVoterRequest& message) {
    Checked<raft::UpdateVoterRequest> out{check_cluster(cluster_id, message), {}};
    out.request.current_leader_epoch = LeaderEpoch(message.current_leader_epoch);
    out.request.voter = {NodeId(message.voter_id), message.voter_directory_id};
    out.request.endpoints = from_listeners(message.listeners);
    out.request.versions = {message.k_raft_version_feature.min_supported_version,
                            message.k_raft_version_feature.max_supported_version};
    return out;
}

wire::AddRaftVoterResponse to_add_wire(const raft::VoterChangeResponse& response) {
    return change_message<wire::AddRaftVoterResponse>(response);
}

wire::RemoveRaftVoterResponse to_remove_wire(const raft::VoterChangeResponse& response) {
    return change_message<wire::RemoveRaftVoterResponse>(response);
}

wire::UpdateRaftVoterResponse to_update_wire(const QuorumCaller& who,
                                             const raft::VoterChangeResponse& response) {
    wire::UpdateRaftVoterResponse message;
    message.error_code = code(response.error);
    message.current_leader.leader_id = response.leader_id.value;
    message.current_leader.leader_epoch = response.epoch.value;
    for (const raft::Endpoint& endpoint : response.leader_endpoints) {
        if (endpoint.listener != who.listener) continue;
        message.current_leader.host = endpoint.host;
        message.current_leader.port = endpoint.port;
    }
    return message;
}

}  // namespace millrace::broker
