// src/api/cluster.cc: DescribeCluster (60), DescribeTopicPartitions (75), UpdateFeatures (57),
// UnregisterBroker (64).
//
// Served: DescribeCluster v0-2, DescribeTopicPartitions v0, UpdateFeatures v0-2, UnregisterBroker v0.
// Behavior: dataplane.md D.5 and D.6; the last two are the controller's.
#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "api/controller_call.h"
#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/wire/gen/describe_cluster_request.h"
#include "millrace/wire/gen/describe_cluster_response.h"
#include "millrace/wire/gen/describe_topic_partitions_request.h"
#include "millrace/wire/gen/describe_topic_partitions_response.h"

namespace millrace::api {

namespace {

constexpr int8_t kBrokerEndpoints = 1;
constexpr int8_t kControllerEndpoints = 2;

std::vector<int32_t> plain(const std::vector<NodeId>& nodes) {
    std::vector<int32_t> ids;
    for (const NodeId node : nodes) ids.push_back(node.value);
    return ids;
}

using TopicsRequest = wire::DescribeTopicPartitionsRequest;
using TopicsResponse = wire::DescribeTopicPartitionsResponse;

void describe_partition(const metadata::Image& image, const std::string& listener, int32_t index,
                        const metadata::PartitionImage& state,
                        TopicsResponse::DescribeTopicPartitionsResponsePartition& out) {
    out.partition_index = index;
    const metadata::BrokerImage* leader = image.cluster.broker(state.leader);
    const bool reachable =
        leader != nullptr && !leader->fenced && leader->endpoint(listener) != nullptr;
    out.leader_id = reachable ? state.leader.value : -1;
    out.leader_epoch = state.leader_epoch.value;
    out.replica_nodes = plain(state.replicas);
    out.isr_nodes = plain(state.isr);
    out.eligible_leader_replicas = plain(state.elr);
    out.last_known_elr = plain(state.last_known_elr);
    for (const NodeId node : state.replicas) {
        const metadata::BrokerImage* broker = image.cluster.broker(node);
        const auto directory = state.directory_of(node);
        if (broker == nullptr || broker->fenced || broker->endpoint(listener) == nullptr ||
            (directory && !broker->directory_online(*directory))) {
            out.offline_replicas.push_back(node.value);
        }
    }
}

/// Sorted names to describe, the cursor applied; nothing when the cursor is not valid.
struct Selection {
    std::set<std::string> names;
    bool all = false;
    bool valid = true;
};
Selection select(const metadata::Image& image, const TopicsRequest& request) {
    Selection selection;
    selection.all = request.topics.empty();
    if (selection.all) {
        for (const auto& [name, id] : image.topics.ids_by_name) selection.names.insert(name);
    } else {
        for (const auto& topic : request.topics) selection.names.insert(topic.name);
    }
    if (!request.cursor) return selection;
    const std::string& from = request.cursor->topic_name;
    selection.valid = request.cursor->partition_index >= 0 &&
                      (selection.all || selection.names.contains(from));
    selection.names.erase(selection.names.begin(), selection.names.lower_bound(from));
    return selection;
}

}  // namespace

/// The wanted kind of node must be the kind that listens here (KIP-919).
bool refuses_endpoint_type(const RequestContext& context, int8_t wanted,
                           wire::DescribeClusterResponse& response) {
    const bool on_broker = context.connection->kind == ListenerKind::Broker;
    if (wanted == (on_broker ? kBrokerEndpoints : kControllerEndpoints)) return false;
    const bool known = wanted == kBrokerEndpoints || wanted == kControllerEndpoints;
    response.error_code = code(context.version == 0 ? ErrorCode::InvalidRequest
                               : known              ? ErrorCode::MismatchedEndpointType
                                                    : ErrorCode::UnsupportedEndpointType);
    response.error_message =
        known ? fmt::format(
                    "The request was sent to an endpoint of type {}, but we wanted an endpoint of "
                    "type {}",
                    on_broker ? "BROKER" : "CONTROLLER", on_broker ? "CONTROLLER" : "BROKER")
              : "Unsupported endpoint type " + std::to_string(wanted);
    return true;
}

/// On a controller listener: the controllers that registered one of this name, and who leads.
void describe_controllers(const RequestContext& context, wire::DescribeClusterResponse& response) {
    broker::Shard& shard = context.shard();
    for (const auto& [id, controller] : shard.image().cluster.controllers) {
        for (const metadata::Endpoint& endpoint : controller->endpoints) {
            if (endpoint.listener != context.connection->listener) continue;
            auto& entry = response.brokers.emplace_back();
            entry.broker_id = id.value;
            entry.host = endpoint.host;
            entry.port = endpoint.port;
        }
    }
    response.controller_id = shard.quorum->status().leader_id.value;
}

void handle_describe_cluster(RequestContext&& context, wire::DescribeClusterRequest request,
                             Reply<wire::DescribeClusterResponse> reply) {
    broker::Shard& shard = context.shard();
    wire::DescribeClusterResponse response;
    response.endpoint_type = request.endpoint_type;
    if (refuses_endpoint_type(context, request.endpoint_type, response)) {
        return reply.send(std::move(response));
    }
    response.cluster_id = shard.log_dirs().cluster_id();
    if (request.include_cluster_authorized_operations) {
        response.cluster_authorized_operations = kAllClusterOperations;
    }
    if (context.connection->kind == ListenerKind::Controller) {
        describe_controllers(context, response);
        return reply.send(std::move(response));
    }
    const std::string& listener = context.connection->listener;
    for (const NodeAddress& node :
         live_brokers(shard.image(), listener, request.include_fenced_brokers)) {
        auto& entry = response.brokers.emplace_back();
        entry.broker_id = node.id.value;
        entry.host = node.host;
        entry.port = node.port;
        entry.rack = node.rack;
        entry.is_fenced = node.fenced;
    }
    response.controller_id = any_live_broker(shard, listener);
    reply.send(std::move(response));
}

void handle_describe_topic_partitions(RequestContext&& context, TopicsRequest request,
                                      Reply<TopicsResponse> reply) {
    broker::Shard& shard = context.shard();
    const metadata::Image& image = shard.image();
    TopicsResponse response;
    const Selection selection = select(image, request);
    if (!selection.valid) {
        for (const auto& topic : request.topics) {
            auto& out = response.topics.emplace_back();
            out.name = topic.name;
            out.error_code = code(ErrorCode::InvalidRequest);
        }
        return reply.send(std::move(response));
    }
    int32_t left = std::max(1, std::min(shard.config().max_request_partition_size_limit,
                                        request.response_partition_limit));
    for (const std::string& name : selection.names) {
        if (left == 0) {
            response.next_cursor.emplace();
            response.next_cursor->topic_name = name;
            break;
        }
        const metadata::TopicImage* topic = image.topics.find(std::string_view(name));
        if (topic == nullptr && selection.all) continue;
        auto& out = response.topics.emplace_back();
        out.name = name;
        out.is_internal = is_internal_topic(name);
        out.topic_authorized_operations = kAllTopicOperations;
        if (topic == nullptr) {
            out.error_code = code(topic_name_problem(name) ? ErrorCode::InvalidTopicException
                                                           : ErrorCode::UnknownTopicOrPartition);
            continue;
        }
        out.topic_id = topic->id;
        const bool resumed = request.cursor && request.cursor->topic_name == name;
        const auto count = static_cast<int32_t>(topic->partitions.size());
        int32_t index = resumed ? request.cursor->partition_index : 0;
        for (; index < count && left > 0; ++index, --left) {
            describe_partition(image, context.connection->listener, index,
                               *topic->partition(PartitionIndex(index)),
                               out.partitions.emplace_back());
        }
        if (index < count) {
            response.next_cursor.emplace();
            response.next_cursor->topic_name = name;
            response.next_cursor->partition_index = index;
            break;
        }
    }
    reply.send(std::move(response));
}

void handle_update_features(RequestContext&& context, wire::UpdateFeaturesRequest request,
                            Reply<wire::UpdateFeaturesResponse> reply) {
    call_controller(context.shard(), std::move(request), requester_of(context),
                    std::move(reply));
}

void handle_unregister_broker(RequestContext&& context, wire::UnregisterBrokerRequest request,
                              Reply<wire::UnregisterBrokerResponse> reply) {
    call_controller(context.shard(), std::move(request), requester_of(context),
                    std::move(reply));
}

void serve_describe_cluster(ServeCall&& call) {
    serve<wire::DescribeClusterRequest, wire::DescribeClusterResponse>(std::move(call),
                                                                       handle_describe_cluster);
}
void serve_describe_topic_partitions(ServeCall&& call) {
    serve<TopicsRequest, TopicsResponse>(std::move(call), handle_describe_topic_partitions);
}
void serve_update_features(ServeCall&& call) {
    serve<wire::UpdateFeaturesRequest, wire::UpdateFeaturesResponse>(std::move(call),
                                                                     handle_update_features);
}
void serve_unregister_broker(ServeCall&& call) {
    serve<wire::UnregisterBrokerRequest, wire::UnregisterBrokerResponse>(
        std::move(call), handle_unregister_broker);
}

}  // namespace millrace::api
