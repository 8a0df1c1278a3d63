// src/api/reassignment.cc: AlterPartitionReassignments (45), ListPartitionReassignments (46).
//
// Served: v0-1 and v0, on both kinds of listeners.
// Behavior: every rule is the active controller's (metadata/reassignment, kraft.md 2.6); a broker
// sends the request on in an Envelope.
// Version notes: AlterPartitionReassignments v1 can refuse another replication factor (KIP-860).
// Not done: authorization.
#include <utility>

#include "api/controller_call.h"
#include "api/serve.h"

namespace millrace::api {

namespace {

template <class Request, class Response>
void handle(RequestContext&& context, Request request, Reply<Response> reply) {
    call_controller(context.shard(), std::move(request), requester_of(context), std::move(reply));
}

}  // namespace

void serve_alter_partition_reassignments(ServeCall&& call) {
    using Request = wire::AlterPartitionReassignmentsRequest;
    using Response = wire::AlterPartitionReassignmentsResponse;
    serve<Request, Response>(std::move(call), handle<Request, Response>);
}
void serve_list_partition_reassignments(ServeCall&& call) {
    using Request = wire::ListPartitionReassignmentsRequest;
    using Response = wire::ListPartitionReassignmentsResponse;
    serve<Request, Response>(std::move(call), handle<Request, Response>);
}

}  // namespace millrace::api
