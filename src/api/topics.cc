// src/api/topics.cc: CreateTopics (19), DeleteTopics (20), CreatePartitions (37), ElectLeaders (43).
//
// Served: CreateTopics v2-7, DeleteTopics v1-6, CreatePartitions v0-3, ElectLeaders v0-2.
// Behavior: rules that look at the request alone are applied here, all others by the active
// controller (metadata/controller, dataplane.md E.1 and E.2).
// Version notes: DeleteTopics v6 takes names or ids (KIP-516).
// Not done: authorization, controller mutation quota.
#include <utility>

#include "api/controller_call.h"
#include "api/serve.h"
#include "millrace/env/clock.h"

namespace millrace::api {

void handle_create_topics(RequestContext&& context, wire::CreateTopicsRequest request,
                          Reply<wire::CreateTopicsResponse> reply) {
    // The deadline counts from the arrival: without time nothing is created.
    if (request.timeout_ms <= 0) {
        wire::CreateTopicsResponse response;
        for (auto& topic : request.topics) {
            auto& answer = response.topics.emplace_back();
            answer.name = std::move(topic.name);
            answer.error_code = static_cast<int16_t>(ErrorCode::RequestTimedOut);
            answer.error_message.reset();
            answer.configs.emplace();
        }
        return reply.send(std::move(response));
    }
    call_controller(context.shard(), std::move(request), requester_of(context), std::move(reply));
}

void handle_delete_topics(RequestContext&& context, wire::DeleteTopicsRequest request,
                          Reply<wire::DeleteTopicsResponse> reply) {
    // One shape for the controller: up to v5 topics come as names only.
    for (std::string& name : request.topic_names) {
        request.topics.emplace_back().name = std::move(name);
    }
    request.topic_names.clear();
    if (!context.shard().config().delete_topic_enable) {
        wire::DeleteTopicsResponse response;
        const ErrorCode error = context.version >= 3 ? ErrorCode::TopicDeletionDisabled
                                                     : ErrorCode::InvalidRequest;
        for (auto& topic : request.topics) {
            auto& answer = response.responses.emplace_back();
            answer.name = std::move(topic.name);
            answer.topic_id = topic.topic_id;
            answer.error_code = static_cast<int16_t>(error);
        }
        return reply.send(std::move(response));
    }
    call_controller(context.shard(), std::move(request), requester_of(context), std::move(reply));
}

void handle_create_partitions(RequestContext&& context, wire::CreatePartitionsRequest request,
                              Reply<wire::CreatePartitionsResponse> reply) {
    call_controller(context.shard(), std::move(request), requester_of(context), std::move(reply));
}

void handle_elect_leaders(RequestContext&& context, wire::ElectLeadersRequest request,
                          Reply<wire::ElectLeadersResponse> reply) {
    call_controller(context.shard(), std::move(request), requester_of(context), std::move(reply));
}

void serve_create_topics(ServeCall&& call) {
    serve<wire::CreateTopicsRequest, wire::CreateTopicsResponse>(std::move(call),
                                                                 handle_create_topics);
}
void serve_delete_topics(ServeCall&& call) {
    serve<wire::DeleteTopicsRequest, wire::DeleteTopicsResponse>(std::move(call),
                                                                 handle_delete_topics);
}
void serve_create_partitions(ServeCall&& call) {
    serve<wire::CreatePartitionsRequest, wire::CreatePartitionsResponse>(
        std::move(call), handle_create_partitions);
}
void serve_elect_leaders(ServeCall&& call) {
    serve<wire::ElectLeadersRequest, wire::ElectLeadersResponse>(std::move(call),
                                                                 handle_elect_leaders);
}

}  // namespace millrace::api
