// src/api/metadata.cc: Metadata (3).
//
// Served: v0-13.
// Behavior: dataplane.md D.4; answers come from the shard's image alone. An unknown name starts the
// creation of the topic where that is allowed, and is answered UNKNOWN_TOPIC_OR_PARTITION meanwhile.
// Version notes: v10 topic ids, v12 topics without a name, v13 top-level error.
// Not done: authorization (everybody may see everything).
#include <algorithm>
#include <utility>
#include <vector>

#include "api/controller_call.h"
#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/wire/gen/metadata_request.h"
#include "millrace/wire/gen/metadata_response.h"

namespace millrace::api {

namespace {

using Request = wire::MetadataRequest;
using Response = wire::MetadataResponse;

std::vector<int32_t> plain(const std::vector<NodeId>& nodes) {
    std::vector<int32_t> ids;
    ids.reserve(nodes.size());
    for (const NodeId node : nodes) ids.push_back(node.value);
    return ids;
}

struct View {
    const metadata::Image& image;
    const std::string& listener;
    int16_t version;
};

bool replica_offline(const View& view, const metadata::PartitionImage& state, NodeId node) {
    const metadata::BrokerImage* broker = view.image.cluster.broker(node);
    if (broker == nullptr || broker->fenced || broker->endpoint(view.listener) == nullptr) {
        return true;
    }
    const auto directory = state.directory_of(node);
    return directory && !broker->directory_online(*directory);
}

void describe_partition(const View& view, int32_t index, const metadata::PartitionImage& state,
                        Response::MetadataResponsePartition& out) {
    out.partition_index = index;
    out.leader_epoch = state.leader_epoch.value;
    out.replica_nodes = plain(state.replicas);
    out.isr_nodes = plain(state.isr);
    for (const NodeId node : state.replicas) {
        if (replica_offline(view, state, node)) out.offline_replicas.push_back(node.value);
    }
    const metadata::BrokerImage* leader = view.image.cluster.broker(state.leader);
    if (leader != nullptr && !leader->fenced && leader->endpoint(view.listener) != nullptr) {
        out.leader_id = state.leader.value;
    } else {
        out.leader_id = -1;
        const bool unlisted = leader != nullptr && !leader->fenced;
        out.error_code = code(unlisted && view.version >= 6 ? ErrorCode::ListenerNotFound
                                                            : ErrorCode::LeaderNotAvailable);
    }
    if (view.version == 0) {
        const auto unavailable = [&](int32_t id) {
            return !node_address(view.image, NodeId(id), view.listener) ||
                   view.image.cluster.broker(NodeId(id))->fenced;
        };
        const size_t before = out.replica_nodes.size() + out.isr_nodes.size();
        std::erase_if(out.replica_nodes, unavailable);
        std::erase_if(out.isr_nodes, unavailable);
        if (out.error_code == 0 && out.replica_nodes.size() + out.isr_nodes.size() < before) {
            out.error_code = code(ErrorCode::ReplicaNotAvailable);
        }
    }
}

void describe_topic(const View& view, const metadata::TopicImage& topic, bool operations,
                    Response& response) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    out.topic_id = topic.id;
    out.is_internal = is_internal_topic(topic.name);
    if (operations) out.topic_authorized_operations = kAllTopicOperations;
    out.partitions.reserve(topic.partitions.size());
    for (const auto& [index, state] : topic.partitions) {
        describe_partition(view, index.value, *state, out.partitions.emplace_back());
    }
}

Response::MetadataResponseTopic& failed_topic(Response& response, ErrorCode error,
                                              std::optional<std::string> name, Uuid id = {}) {
    auto& out = response.topics.emplace_back();
    out.error_code = code(error);
    out.is_internal = name && is_internal_topic(*name);
    out.name = std::move(name);
    out.topic_id = id;
    return out;
}

void create_missing(broker::Shard& shard, const std::vector<std::string>& names) {
    if (names.empty()) return;
    const broker::BrokerConfig& config = shard.config();
    wire::CreateTopicsRequest request;
    request.timeout_ms = config.request_timeout_ms;
    for (const std::string& name : names) {
        auto& topic = request.topics.emplace_back();
        topic.name = name;
        // The controller's defaults unless this broker's file says otherwise.
        topic.num_partitions = config.raw.contains("num.partitions") ? config.num_partitions : -1;
        topic.replication_factor =
            config.raw.contains("default.replication.factor")
                ? static_cast<int16_t>(config.default_replication_factor)
                : int16_t{-1};
    }
    // Clients ask again until the topic is there; the controller's own log tells of failures.
    call_controller<wire::CreateTopicsResponse>(
        shard, std::move(request), {}, Reply<wire::CreateTopicsResponse>([](const auto&) {}));
}

bool may_create(broker::Shard& shard, const Request& request, int16_t version) {
    const bool asked = version < 4 || request.allow_auto_topic_creation;
    return asked && shard.config().auto_create_topics_enable;
}

/// Internal topics are made by the coordinators' host, with configs of their own.
void create_internal(broker::Shard& shard, std::string_view name) {
    if (name == broker::kOffsetsTopic) {
        shard.coordinators().create_topic(broker::CoordinatorKind::Group);
    } else if (name == broker::kTransactionsTopic) {
        shard.coordinators().create_topic(broker::CoordinatorKind::Transaction);
    }
}

void describe_by_name(const View& view, broker::Shard& shard, const Request& request,
                      Response& response) {
    std::vector<std::string> missing;
    std::vector<std::string_view> seen;
    for (const auto& asked : *request.topics) {
        if (!asked.name) {
            failed_topic(response, ErrorCode::InvalidRequest, std::nullopt);
            continue;
        }
        const std::string& name = *asked.name;
        if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
        seen.push_back(name);
        const metadata::TopicImage* topic = view.image.topics.find(std::string_view(name));
        if (topic != nullptr) {
            describe_topic(view, *topic, request.include_topic_authorized_operations, response);
            continue;
        }
        const bool invalid = topic_name_problem(name).has_value();
        auto& out = failed_topic(response,
                                 invalid ? ErrorCode::InvalidTopicException
                                         : ErrorCode::UnknownTopicOrPartition,
                                 name);
        if (request.include_topic_authorized_operations) {
            out.topic_authorized_operations = kAllTopicOperations;
        }
        if (invalid || !may_create(shard, request, view.version)) continue;
        if (is_internal_topic(name)) {
            create_internal(shard, name);
        } else {
            missing.push_back(name);
        }
    }
    create_missing(shard, missing);
}

void describe_by_id(const View& view, const Request& request, Response& response) {
    for (const auto& asked : *request.topics) {
        if (asked.topic_id.is_zero()) continue;
        const metadata::TopicImage* topic = view.image.topics.find(asked.topic_id);
        if (topic != nullptr) {
            describe_topic(view, *topic, request.include_topic_authorized_operations, response);
        } else {
            failed_topic(response, ErrorCode::UnknownTopicId, std::nullopt, asked.topic_id);
        }
    }
}

void describe_topics(const View& view, broker::Shard& shard, const Request& request,
                     Response& response) {
    const bool all = !request.topics || (view.version == 0 && request.topics->empty());
    if (all) {
        for (const auto& [id, topic] : view.image.topics.by_id) {
            describe_topic(view, *topic, request.include_topic_authorized_operations, response);
        }
        return;
    }
    const bool any_id = std::any_of(request.topics->begin(), request.topics->end(),
                                    [](const auto& asked) { return !asked.topic_id.is_zero(); });
    const bool any_unnamed = std::any_of(request.topics->begin(), request.topics->end(),
                                         [](const auto& asked) { return !asked.name; });
    if (view.version < 12 && (any_id || any_unnamed)) {
        for (const auto& asked : *request.topics) {
            failed_topic(response, ErrorCode::InvalidRequest, asked.name.value_or(""),
                         asked.topic_id);
        }
    } else if (any_id) {
        describe_by_id(view, request, response);
    } else {
        describe_by_name(view, shard, request, response);
    }
}

}  // namespace

void handle_metadata(RequestContext&& context, Request request, Reply<Response> reply) {
    broker::Shard& shard = context.shard();
    // Held for the whole answer: creating a topic below may publish a newer one.
    const metadata::ImagePtr image = shard.image_pointer();
    const View view{*image, context.connection->listener, context.version};
    Response response;
    for (const NodeAddress& node : live_brokers(*image, view.listener, false)) {
        auto& broker = response.brokers.emplace_back();
        broker.node_id = node.id.value;
        broker.host = node.host;
        broker.port = node.port;
        broker.rack = node.rack;
    }
    response.cluster_id = shard.log_dirs().cluster_id();
    response.controller_id = any_live_broker(shard, view.listener);
    if (request.include_cluster_authorized_operations) {
        response.cluster_authorized_operations = kAllClusterOperations;
    }
    describe_topics(view, shard, request, response);
    reply.send(std::move(response));
}

void serve_metadata(ServeCall&& call) { serve<Request, Response>(std::move(call), handle_metadata); }

}  // namespace millrace::api
