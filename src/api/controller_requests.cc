// src/api/controller_requests.cc: BrokerRegistration (62), BrokerHeartbeat (63), AlterPartition (56),
// AllocateProducerIds (67), ControllerRegistration (70), AssignReplicasToDirs (73), Envelope (58).
//
// Served: v0-4, v0-2, v2-3, v0, v0, v0, v0, all on the controller listener alone.
// Behavior: answered by the active controller in this process or with NOT_CONTROLLER; nothing that
// came over the controller listener is sent on (kraft.md 2.9, 3.3). An Envelope carries a client's
// request as bytes; the inner answer goes back in the inner version.
// Not done: authorization (CLUSTER_ACTION); inner requests of APIs that have no command yet.
#include <optional>
#include <utility>
#include <variant>

#include "api/controller_call.h"
#include "api/lookup.h"
#include "api/quorum.h"
#include "api/serve.h"
#include "millrace/broker/controller_link.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/wire/gen/envelope_request.h"
#include "millrace/wire/gen/envelope_response.h"

namespace millrace::api {

namespace {

template <class Response, class Request>
void run_here(broker::Shard& shard, Request request, metadata::Requester who,
              Reply<Response> reply) {
    shard.controller().run_here(
        metadata::ControllerRequest(std::move(request)), std::move(who),
        Reply<metadata::ControllerResponse>(
            [reply = std::move(reply)](metadata::ControllerResponse response) mutable {
                reply.send(std::get<Response>(std::move(response)));
            }));
}

template <class Request, class Response>
void handle_here(RequestContext&& context, Request request, Reply<Response> reply) {
    metadata::Requester who = requester_of(context);
    broker::Shard& shard = context.shard();
    run_here<Response>(shard, std::move(request), std::move(who), std::move(reply));
}

template <class Request, class Response>
void serve_here(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_here<Request, Response>);
}

void handle_heartbeat(RequestContext&& context, wire::BrokerHeartbeatRequest request,
                      Reply<wire::BrokerHeartbeatResponse> reply) {
    context.shard().controller().watch_broker(
        NodeId(request.broker_id), BrokerEpoch(request.broker_epoch),
        [slot = context.slot] { return slot.connected(); });
    handle_here<wire::BrokerHeartbeatRequest, wire::BrokerHeartbeatResponse>(
        std::move(context), std::move(request), std::move(reply));
}

using EnvelopeReply = Reply<wire::EnvelopeResponse>;

void answer_envelope(EnvelopeReply& reply, ErrorCode error,
                     std::optional<Buffer> data = std::nullopt) {
    wire::EnvelopeResponse response;
    response.error_code = code(error);
    response.response_data = std::move(data);
    reply.send(std::move(response));
}

template <class Response>
Buffer encode_inner(const wire::RequestHead& head, const Response& response) {
    wire::Writer writer;
    wire::encode_response_head(writer, head.api, head.api_version, head.correlation_id);
    response.encode(writer, head.api_version);
    return writer.ok() ? writer.finish_flat() : Buffer();
}

/// What brokers forward; their own requests never come in an Envelope.
bool is_forwardable(wire::ApiKey key) {
    switch (key) {
        case wire::ApiKey::CreateTopics:
        case wire::ApiKey::DeleteTopics:
        case wire::ApiKey::CreateAcls:
        case wire::ApiKey::DeleteAcls:
        case wire::ApiKey::AlterConfigs:
        case wire::ApiKey::CreatePartitions:
        case wire::ApiKey::CreateDelegationToken:
        case wire::ApiKey::RenewDelegationToken:
        case wire::ApiKey::ExpireDelegationToken:
        case wire::ApiKey::ElectLeaders:
        case wire::ApiKey::IncrementalAlterConfigs:
        case wire::ApiKey::AlterPartitionReassignments:
        case wire::ApiKey::ListPartitionReassignments:
        case wire::ApiKey::AlterClientQuotas:
        case wire::ApiKey::AlterUserScramCredentials:
        case wire::ApiKey::UpdateFeatures:
        case wire::ApiKey::UnregisterBroker:
        case wire::ApiKey::AllocateProducerIds: return true;
        default: return false;  // of another module's list
    }
}

struct Inner {
    broker::Shard* shard = nullptr;
    wire::RequestHead head;
    wire::Reader* body = nullptr;
    metadata::Requester who;
};

/// Runs the inner request if it is alternative I of the controller's commands.
template <size_t I>
bool run_inner(Inner& inner, EnvelopeReply& reply) {
    using Request = std::variant_alternative_t<I, metadata::ControllerRequest>;
    using Response = std::variant_alternative_t<I, metadata::ControllerResponse>;
    if (static_cast<int16_t>(inner.head.api) != Request::kApiKey) return false;
    Request request;
    if (!request.decode(*inner.body, inner.head.api_version)) {
        answer_envelope(reply, ErrorCode::UnsupportedVersion);
        return true;
    }
    inner.shard->controller().run_here(
        metadata::ControllerRequest(std::move(request)), inner.who,
        Reply<metadata::ControllerResponse>([head = inner.head, reply = std::move(reply)](
                                                metadata::ControllerResponse response) mutable {
            if (broker::is_not_controller(response)) {
                return answer_envelope(reply, ErrorCode::NotController);
            }
            answer_envelope(reply, ErrorCode::None,
                            encode_inner(head, std::get<Response>(response)));
        }));
    return true;
}

template <size_t... I>
bool run_any(Inner& inner, EnvelopeReply& reply, std::index_sequence<I...>) {
    return (run_inner<I>(inner, reply) || ...);
}

void describe_quorum_inner(Inner& inner, EnvelopeReply& reply) {
    wire::DescribeQuorumRequest request;
    if (!request.decode(*inner.body, inner.head.api_version)) {
        return answer_envelope(reply, ErrorCode::UnsupportedVersion);
    }
    answer_envelope(reply, ErrorCode::None,
                    encode_inner(inner.head, describe_quorum_here(
                                                 *inner.shard, inner.head.api_version, request)));
}

/// Requests that the quorum answers, not the controller.
template <class Request, class Response>
void run_on_quorum(Inner& inner, EnvelopeReply& reply,
                   void (broker::QuorumDriver::*run)(broker::QuorumCaller, Request, Reply<Response>)) {
    Request request;
    if (!request.decode(*inner.body, inner.head.api_version)) {
        return answer_envelope(reply, ErrorCode::UnsupportedVersion);
    }
    (inner.shard->quorum->*run)(
        {inner.head.api_version, "", inner.who.client_host}, std::move(request),
        Reply<Response>([head = inner.head, reply = std::move(reply)](Response response) mutable {
            answer_envelope(reply, ErrorCode::None, encode_inner(head, response));
        }));
}

void handle_envelope(RequestContext&& context, wire::EnvelopeRequest request,
                     EnvelopeReply reply) {
    Inner inner;
    inner.shard = &context.shard();
    if (request.request_principal.has_value()) {
        auto who = broker::decode_principal(*request.request_principal);
        if (!who.has_value()) {
            return answer_envelope(reply, ErrorCode::PrincipalDeserializationFailure);
        }
        inner.who = *std::move(who);
    }
    // InetAddress.getByAddress knows these two lengths.
    const size_t address_bytes = request.client_host_address.size();
    if (address_bytes != 4 && address_bytes != 16) {
        return answer_envelope(reply, ErrorCode::InvalidRequest);
    }
    wire::Reader body(request.request_data);
    inner.body = &body;
    if (wire::decode_request_head(body, inner.head) != wire::HeaderError::None) {
        return answer_envelope(reply, ErrorCode::UnsupportedVersion);
    }
    if (!inner.shard->controller().active_here()) {
        return answer_envelope(reply, ErrorCode::NotController);
    }
    if (inner.head.api == wire::ApiKey::DescribeQuorum) return describe_quorum_inner(inner, reply);
    if (inner.head.api == wire::ApiKey::AddRaftVoter) {
        return run_on_quorum(inner, reply, &broker::QuorumDriver::add_voter);
    }
    if (inner.head.api == wire::ApiKey::RemoveRaftVoter) {
        return run_on_quorum(inner, reply, &broker::QuorumDriver::remove_voter);
    }
    constexpr auto kCommands =
        std::make_index_sequence<std::variant_size_v<metadata::ControllerRequest>>();
    if (is_forwardable(inner.head.api) && run_any(inner, reply, kCommands)) return;
    answer_envelope(reply, ErrorCode::InvalidRequest);
}

}  // namespace

void serve_broker_registration(ServeCall&& call) {
    serve_here<wire::BrokerRegistrationRequest, wire::BrokerRegistrationResponse>(std::move(call));
}
void serve_broker_heartbeat(ServeCall&& call) {
    serve<wire::BrokerHeartbeatRequest, wire::BrokerHeartbeatResponse>(std::move(call),
                                                                       handle_heartbeat);
}
void serve_alter_partition(ServeCall&& call) {
    serve_here<wire::AlterPartitionRequest, wire::AlterPartitionResponse>(std::move(call));
}
void serve_allocate_producer_ids(ServeCall&& call) {
    serve_here<wire::AllocateProducerIdsRequest, wire::AllocateProducerIdsResponse>(
        std::move(call));
}
void serve_controller_registration(ServeCall&& call) {
    serve_here<wire::ControllerRegistrationRequest, wire::ControllerRegistrationResponse>(
        std::move(call));
}
void serve_assign_replicas_to_dirs(ServeCall&& call) {
    serve_here<wire::AssignReplicasToDirsRequest, wire::AssignReplicasToDirsResponse>(
        std::move(call));
}
void serve_envelope(ServeCall&& call) {
    serve<wire::EnvelopeRequest, wire::EnvelopeResponse>(std::move(call), handle_envelope);
}

}  // namespace millrace::api
