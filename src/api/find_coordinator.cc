// src/api/find_coordinator.cc: FindCoordinator (10).
//
// Served: v0-6.
// Behavior: the leader of the key's partition of the internal topic, in the address of the asker's
// listener; the first question creates the topic and is told to come again (coordinators.md 1.9).
// Version notes: v1 key type, v4 several keys, v6 share groups.
// Not done: authorization; share groups (INVALID_REQUEST, as a Kafka answers that has none).
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/wire/gen/find_coordinator_request.h"
#include "millrace/wire/gen/find_coordinator_response.h"

namespace millrace::api {

namespace {

using Request = wire::FindCoordinatorRequest;
using Response = wire::FindCoordinatorResponse;

Response::Coordinator find(const RequestContext& context, int8_t key_type, std::string key) {
    Response::Coordinator answer;
    answer.key = std::move(key);
    answer.node_id = -1;
    answer.port = -1;
    if (key_type != static_cast<int8_t>(broker::CoordinatorKind::Group) &&
        key_type != static_cast<int8_t>(broker::CoordinatorKind::Transaction)) {
        answer.error_code = code(ErrorCode::InvalidRequest);
        return answer;
    }
    broker::Shard& shard = context.shard();
    const auto found =
        shard.coordinators().find(static_cast<broker::CoordinatorKind>(key_type), answer.key);
    const auto address = found.error == ErrorCode::None
                             ? node_address(shard.image(), found.node, context.connection->listener)
                             : std::nullopt;
    if (!address) {
        answer.error_code = code(ErrorCode::CoordinatorNotAvailable);
        return answer;
    }
    answer.node_id = address->id.value;
    answer.host = address->host;
    answer.port = address->port;
    return answer;
}

}  // namespace

void handle_find_coordinator(RequestContext&& context, Request request, Reply<Response> reply) {
    Response response;
    if (context.version >= 4) {
        for (std::string& key : request.coordinator_keys) {
            response.coordinators.push_back(find(context, request.key_type, std::move(key)));
        }
        return reply.send(std::move(response));
    }
    Response::Coordinator found = find(context, request.key_type, std::move(request.key));
    const auto error = static_cast<ErrorCode>(found.error_code);
    response.error_code = found.error_code;
    response.error_message = error == ErrorCode::None ? "NONE" : error_code_message(error);
    response.node_id = found.node_id;
    response.host = std::move(found.host);
    response.port = found.port;
    reply.send(std::move(response));
}

void serve_find_coordinator(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_find_coordinator);
}

}  // namespace millrace::api
