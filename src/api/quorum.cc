// src/api/quorum.cc: Vote (52), BeginQuorumEpoch (53), EndQuorumEpoch (54), FetchSnapshot (59),
// DescribeQuorum (55), AddRaftVoter (80), RemoveRaftVoter (81), UpdateRaftVoter (82).
//
// Served: Vote v0-2, BeginQuorumEpoch and EndQuorumEpoch v0-1, FetchSnapshot v0-1, DescribeQuorum
// v0-2, AddRaftVoter v0-1, RemoveRaftVoter v0, UpdateRaftVoter v0. The quorum's Fetch comes through
// fetch.cc.
// Behavior: kraft.md 1.3-1.8, 1.10 and 1.12; the driver checks and translates. DescribeQuorum,
// AddRaftVoter and RemoveRaftVoter are answered by the node that leads the metadata quorum; a broker
// listener asks that node.
// Not done: authorization.
#include <utility>

#include "api/controller_call.h"
#include "api/lookup.h"
#include "api/quorum.h"
#include "api/serve.h"
#include "millrace/broker/controller_link.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/clock.h"

namespace millrace::api {

namespace {

using Response = wire::DescribeQuorumResponse;

std::vector<Response::ReplicaState> replica_states(
    const std::vector<broker::QuorumReplica>& replicas, int16_t version) {
    std::vector<Response::ReplicaState> states;
    for (const broker::QuorumReplica& replica : replicas) {
        auto& state = states.emplace_back();
        state.replica_id = replica.key.id.value;
        if (version >= 2) state.replica_directory_id = replica.key.directory_id;
        state.log_end_offset = replica.log_end_offset.value;
        state.last_fetch_timestamp = replica.last_fetch.value;
        state.last_caught_up_timestamp = replica.last_caught_up.value;
    }
    return states;
}

void describe(const broker::QuorumStatus& status, int16_t version,
              Response::PartitionData& out) {
    out.error_message = "";
    out.leader_id = status.leader_id.value;
    out.leader_epoch = status.epoch.value;
    out.high_watermark = status.high_watermark.value;
    out.current_voters = replica_states(status.voters, version);
    out.observers = replica_states(status.observers, version);
}

}  // namespace

Response describe_quorum_here(broker::Shard& shard, int16_t version,
                              const wire::DescribeQuorumRequest& request) {
    Response response;
    response.error_message = "";
    const broker::QuorumStatus status =
        shard.quorum != nullptr ? shard.quorum->status() : broker::QuorumStatus{};
    const bool leads = status.role == raft::QuorumRole::Leader;
    for (const auto& topic : request.topics) {
        auto& answers = response.topics.emplace_back();
        answers.topic_name = topic.topic_name;
        for (const auto& asked : topic.partitions) {
            auto& answer = answers.partitions.emplace_back();
            answer.partition_index = asked.partition_index;
            answer.error_message = "";
            if (topic.topic_name != "__cluster_metadata" || asked.partition_index != 0) {
                answer.error_code = code(ErrorCode::UnknownTopicOrPartition);
            } else if (!leads) {
                answer.error_code = code(ErrorCode::NotLeaderOrFollower);
            } else {
                describe(status, version, answer);
            }
        }
    }
    for (const raft::Voter& voter : status.voter_set.voters()) {
        if (version < 2) break;
        auto& node = response.nodes.emplace_back();
        node.node_id = voter.key.id.value;
        for (const raft::Endpoint& endpoint : voter.endpoints) {
            auto& listener = node.listeners.emplace_back();
            listener.name = endpoint.listener;
            listener.host = endpoint.host;
            listener.port = endpoint.port;
        }
    }
    return response;
}

namespace {

/// Through the active controller's node, in the version of the client. `otherwise` answers when
/// nobody there does.
template <class Response, class Request, class Otherwise>
void ask_leader(const RequestContext& context, const Request& request, Reply<Response> reply,
                Otherwise otherwise) {
    const int16_t version = context.version;
    wire::Writer writer;
    wire::encode_request_head(writer, {context.api_key, version, 0, context.client_id()});
    request.encode(writer, version);
    context.shard().controller().forward(
        writer.finish_flat(), requester_of(context),
        Reply<Result<Buffer>>([key = context.api_key, version, reply = std::move(reply),
                               otherwise = std::move(otherwise)](Result<Buffer> frame) mutable {
            Response response;
            if (frame.ok()) {
                wire::Reader reader(*frame);
                if (wire::decode_response_head(reader, key, version) &&
                    response.decode(reader, version)) {
                    return reply.send(std::move(response));
                }
            }
            reply.send(otherwise());
        }));
}

template <class Response>
Response nobody_leads() {
    Response response;
    response.error_code = code(ErrorCode::NotController);
    return response;
}

broker::QuorumCaller caller_of(const RequestContext& context) {
    return {context.version, context.connection->listener, context.connection->peer()};
}

bool is_elsewhere(const RequestContext& context) {
    return context.connection->kind == ListenerKind::Broker &&
           !context.shard().controller().active_here();
}


}  // namespace

void handle_describe_quorum(RequestContext&& context, wire::DescribeQuorumRequest request,
                            Reply<Response> reply) {
    broker::Shard& shard = context.shard();
    const int16_t version = context.version;
    if (is_elsewhere(context)) {
        return ask_leader(context, request, std::move(reply), [&shard, version, request] {
            return describe_quorum_here(shard, version, request);
        });
    }
    reply.send(describe_quorum_here(shard, version, request));
}

void handle_add_raft_voter(RequestContext&& context, wire::AddRaftVoterRequest request,
                           Reply<wire::AddRaftVoterResponse> reply) {
    if (is_elsewhere(context)) {
        return ask_leader(context, request, std::move(reply),
                          nobody_leads<wire::AddRaftVoterResponse>);
    }
    context.shard().quorum->add_voter(caller_of(context), std::move(request), std::move(reply));
}

void handle_remove_raft_voter(RequestContext&& context, wire::RemoveRaftVoterRequest request,
                              Reply<wire::RemoveRaftVoterResponse> reply) {
    if (is_elsewhere(context)) {
        return ask_leader(context, request, std::move(reply),
                          nobody_leads<wire::RemoveRaftVoterResponse>);
    }
    context.shard().quorum->remove_voter(caller_of(context), std::move(request), std::move(reply));
}

void handle_update_raft_voter(RequestContext&& context, wire::UpdateRaftVoterRequest request,
                              Reply<wire::UpdateRaftVoterResponse> reply) {
    context.shard().quorum->update_voter(caller_of(context), std::move(request),
                                         std::move(reply));
}

void handle_vote(RequestContext&& context, wire::VoteRequest request,
                 Reply<wire::VoteResponse> reply) {
    context.shard().quorum->vote(caller_of(context), std::move(request), std::move(reply));
}
void handle_begin_quorum_epoch(RequestContext&& context, wire::BeginQuorumEpochRequest request,
                               Reply<wire::BeginQuorumEpochResponse> reply) {
    context.shard().quorum->begin_epoch(caller_of(context), std::move(request), std::move(reply));
}
void handle_end_quorum_epoch(RequestContext&& context, wire::EndQuorumEpochRequest request,
                             Reply<wire::EndQuorumEpochResponse> reply) {
    context.shard().quorum->end_epoch(caller_of(context), std::move(request), std::move(reply));
}
void handle_fetch_snapshot(RequestContext&& context, wire::FetchSnapshotRequest request,
                           Reply<wire::FetchSnapshotResponse> reply) {
    context.shard().quorum->fetch_snapshot(caller_of(context), std::move(request),
                                           std::move(reply));
}

void serve_vote(ServeCall&& call) {
    serve<wire::VoteRequest, wire::VoteResponse>(std::move(call), handle_vote);
}
void serve_begin_quorum_epoch(ServeCall&& call) {
    serve<wire::BeginQuorumEpochRequest, wire::BeginQuorumEpochResponse>(
        std::move(call), handle_begin_quorum_epoch);
}
void serve_end_quorum_epoch(ServeCall&& call) {
    serve<wire::EndQuorumEpochRequest, wire::EndQuorumEpochResponse>(std::move(call),
                                                                     handle_end_quorum_epoch);
}
void serve_fetch_snapshot(ServeCall&& call) {
    serve<wire::FetchSnapshotRequest, wire::FetchSnapshotResponse>(std::move(call),
                                                                   handle_fetch_snapshot);
}
void serve_describe_quorum(ServeCall&& call) {
    serve<wire::DescribeQuorumRequest, Response>(std::move(call), handle_describe_quorum);
}

void serve_add_raft_voter(ServeCall&& call) {
    serve<wire::AddRaftVoterRequest, wire::AddRaftVoterResponse>(std::move(call),
                                                                 handle_add_raft_voter);
}
void serve_remove_raft_voter(ServeCall&& call) {
    serve<wire::RemoveRaftVoterRequest, wire::RemoveRaftVoterResponse>(std::move(call),
                                                                       handle_remove_raft_voter);
}
void serve_update_raft_voter(ServeCall&& call) {
    serve<wire::UpdateRaftVoterRequest, wire::UpdateRaftVoterResponse>(std::move(call),
                                                                       handle_update_raft_voter);
}

}  // namespace millrace::api
