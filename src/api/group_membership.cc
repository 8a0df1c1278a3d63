// src/api/group_membership.cc: JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14),
// ConsumerGroupHeartbeat (68).
//
// Served: v0-9, v0-4, v0-5, v0-5, v0-1.
// Behavior: the group's machine decides (coordinators.md 3, 4). A join or sync is answered when its
//   group is ready, which may take minutes.
// Version notes: as in the machine; 68 needs group.version 1 (KIP-848).
// Not done: permissions (there is no authorizer yet).
#include <utility>

#include "api/group_call.h"
#include "api/serve.h"

namespace millrace::api {

namespace {

void handle_join_group(RequestContext&& context, wire::JoinGroupRequest request,
                       Reply<wire::JoinGroupResponse> reply) {
    const std::string group = request.group_id;
    forward_to_group(context, group, std::move(request), std::move(reply));
}
void handle_sync_group(RequestContext&& context, wire::SyncGroupRequest request,
                       Reply<wire::SyncGroupResponse> reply) {
    const std::string group = request.group_id;
    forward_to_group(context, group, std::move(request), std::move(reply));
}
void handle_heartbeat(RequestContext&& context, wire::HeartbeatRequest request,
                      Reply<wire::HeartbeatResponse> reply) {
    const std::string group = request.group_id;
    forward_to_group(context, group, std::move(request), std::move(reply));
}
void handle_leave_group(RequestContext&& context, wire::LeaveGroupRequest request,
                        Reply<wire::LeaveGroupResponse> reply) {
    const std::string group = request.group_id;
    forward_to_group(context, group, std::move(request), std::move(reply));
}

void handle_consumer_group_heartbeat(RequestContext&& context,
                                     wire::ConsumerGroupHeartbeatRequest request,
                                     Reply<wire::ConsumerGroupHeartbeatResponse> reply) {
    if (!serves_consumer_groups(context)) {
        wire::ConsumerGroupHeartbeatResponse response;
        response.error_code = code(ErrorCode::UnsupportedVersion);
        response.error_message = error_code_message(ErrorCode::UnsupportedVersion);
        return reply.send(std::move(response));
    }
    const std::string group = request.group_id;
    forward_to_group(context, group, std::move(request), std::move(reply));
}

}  // namespace

void serve_consumer_group_heartbeat(ServeCall&& call) {
    serve<wire::ConsumerGroupHeartbeatRequest, wire::ConsumerGroupHeartbeatResponse>(
        std::move(call), handle_consumer_group_heartbeat);
}
void serve_join_group(ServeCall&& call) {
    serve<wire::JoinGroupRequest, wire::JoinGroupResponse>(std::move(call), handle_join_group);
}
void serve_sync_group(ServeCall&& call) {
    serve<wire::SyncGroupRequest, wire::SyncGroupResponse>(std::move(call), handle_sync_group);
}
void serve_heartbeat(ServeCall&& call) {
    serve<wire::HeartbeatRequest, wire::HeartbeatResponse>(std::move(call), handle_heartbeat);
}
void serve_leave_group(ServeCall&& call) {
    serve<wire::LeaveGroupRequest, wire::LeaveGroupResponse>(std::move(call), handle_leave_group);
}

}  // namespace millrace::api
