// src/api/quorum.cc: DescribeQuorum (55).
//
// Served: v0-2.
// Behavior: kraft.md 1.12; answered by the node that leads the metadata quorum.
// Not done: forwarding to another node, the voters' own RPCs (issue 5).
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/clock.h"
#include "millrace/wire/gen/describe_quorum_request.h"
#include "millrace/wire/gen/describe_quorum_response.h"

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

void handle_describe_quorum(RequestContext&& context, wire::DescribeQuorumRequest request,
                            Reply<Response> reply) {
    broker::Shard& shard = context.shard();
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
                describe(status, context.version, answer);
            }
        }
    }
    for (const raft::Voter& voter : status.voter_set.voters()) {
        if (context.version < 2) break;
        auto& node = response.nodes.emplace_back();
        node.node_id = voter.key.id.value;
        for (const raft::Endpoint& endpoint : voter.endpoints) {
            auto& listener = node.listeners.emplace_back();
            listener.name = endpoint.listener;
            listener.host = endpoint.host;
            listener.port = endpoint.port;
        }
    }
    reply.send(std::move(response));
}

void serve_describe_quorum(ServeCall&& call) {
    serve<wire::DescribeQuorumRequest, Response>(std::move(call), handle_describe_quorum);
}

}  // namespace millrace::api
