// src/api/alter_configs.cc: AlterConfigs (33), IncrementalAlterConfigs (44).
//
// Served: AlterConfigs v0-2, IncrementalAlterConfigs v0-1.
// Behavior: dataplane.md E.4: the request's shape and this node's own resources are checked here,
// what passes goes to the controller in one request, answers keep the order of the resources.
// Not done: authorization; changing logger levels (the process has one level, set at its start).
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "api/controller_call.h"
#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/metadata/config_schema.h"

namespace millrace::api {

namespace {

using metadata::AlterConfigOp;
using metadata::ConfigResource;

struct Refusal {
    ErrorCode error;
    std::string message;
};
using Check = std::optional<Refusal>;

bool stored_by_controller(int8_t type) { return type == 2 || type == 4 || type == 16 || type == 32; }

int8_t operation_of(const wire::IncrementalAlterConfigsRequest::AlterableConfig& config) {
    return config.config_operation;
}
int8_t operation_of(const wire::AlterConfigsRequest::AlterableConfig&) {
    return static_cast<int8_t>(AlterConfigOp::Set);
}
constexpr bool is_incremental(const wire::IncrementalAlterConfigsRequest&) { return true; }
constexpr bool is_incremental(const wire::AlterConfigsRequest&) { return false; }

template <class Resource>
Check check_shape(const Resource& resource) {
    std::set<std::string_view> keys;
    std::string null_keys;
    for (const auto& config : resource.configs) {
        if (!keys.insert(config.name).second) {
            return Refusal{ErrorCode::InvalidRequest, "Error due to duplicate config keys"};
        }
        if (!config.value && operation_of(config) != static_cast<int8_t>(AlterConfigOp::Delete)) {
            null_keys += (null_keys.empty() ? "" : ",") + config.name;
        }
    }
    if (!null_keys.empty()) {
        return Refusal{ErrorCode::InvalidRequest, "Null value not supported for : " + null_keys};
    }
    return std::nullopt;
}

/// The set that a BROKER resource would hold after the change; a refusal for a wrong operation.
template <class Resource>
Check propose(const Resource& resource, bool incremental, const metadata::ConfigMap& stored,
              metadata::ConfigMap& proposed) {
    if (incremental) proposed = stored;
    for (const auto& config : resource.configs) {
        const auto operation = static_cast<AlterConfigOp>(operation_of(config));
        switch (operation) {
            case AlterConfigOp::Set: proposed[config.name] = *config.value; break;
            case AlterConfigOp::Delete: proposed.erase(config.name); break;
            case AlterConfigOp::Append:
            case AlterConfigOp::Subtract: {
                const auto present = stored.find(config.name);
                metadata::ListChange change = metadata::change_list_value(
                    ConfigResource::Broker, operation, config.name,
                    present == stored.end() ? std::nullopt
                                            : std::optional<std::string>(present->second),
                    *config.value);
                if (change.refusal) {
                    return Refusal{static_cast<ErrorCode>(change.refusal->error_code),
                                   change.refusal->message};
                }
                proposed[config.name] = std::move(change.value);
                break;
            }
            default:  // a number from the wire, not one of ours
                return Refusal{ErrorCode::InvalidRequest,
                               "Unknown operations type " +
                                   std::to_string(static_cast<int>(operation))};
        }
    }
    return std::nullopt;
}

template <class Resource>
Check check_broker_resource(broker::Shard& shard, const Resource& resource, bool incremental) {
    const std::string own = std::to_string(shard.config().node_id.value);
    const std::string& name = resource.resource_name;
    if (!name.empty() && name != own) {
        const bool numeric = std::all_of(name.begin(), name.end(),
                                         [](char c) { return c >= '0' && c <= '9'; });
        return Refusal{ErrorCode::InvalidRequest,
                       numeric ? "Unexpected broker id, expected " + own + ", but received " + name
                               : "Broker id must be an integer, but it is: " + name};
    }
    metadata::ConfigMap proposed;
    const metadata::ConfigMap& stored = shard.image().configs.broker(name);
    if (Check refusal = propose(resource, incremental, stored, proposed)) return refusal;
    if (auto refusal =
            broker::check_broker_change(proposed, name.empty(), shard.config_layers())) {
        return Refusal{static_cast<ErrorCode>(refusal->error_code), refusal->message};
    }
    return std::nullopt;
}

template <class Request, class Resource>
Check check_resource(broker::Shard& shard, const Request& request, const Resource& resource) {
    if (Check refusal = check_shape(resource)) return refusal;
    if (resource.resource_type == static_cast<int8_t>(ConfigResource::BrokerLogger)) {
        return Refusal{ErrorCode::InvalidRequest,
                       is_incremental(request)
                           ? "Logger levels cannot be changed while the node runs"
                           : "Unknown resource type 8"};
    }
    if (!stored_by_controller(resource.resource_type)) {
        return Refusal{ErrorCode::InvalidRequest,
                       "Unknown resource type " + std::to_string(resource.resource_type)};
    }
    if (resource.resource_type == static_cast<int8_t>(ConfigResource::Broker)) {
        return check_broker_resource(shard, resource, is_incremental(request));
    }
    return std::nullopt;
}

using ResourceKey = std::pair<int8_t, std::string>;

template <class Request, class Response>
void alter(RequestContext&& context, Request request, Reply<Response> reply) {
    broker::Shard& shard = context.shard();
    std::map<ResourceKey, int> times;
    for (const auto& resource : request.resources) {
        ++times[{resource.resource_type, resource.resource_name}];
    }
    Response response;
    Request forward;
    forward.validate_only = request.validate_only;
    for (auto& resource : request.resources) {
        auto& out = response.responses.emplace_back();
        out.resource_type = resource.resource_type;
        out.resource_name = resource.resource_name;
        out.error_message.reset();
        Check refusal;
        if (times.at({resource.resource_type, resource.resource_name}) > 1) {
            refusal = Refusal{ErrorCode::InvalidRequest,
                              "Each resource must appear at most once."};
        } else {
            refusal = check_resource(shard, request, resource);
        }
        if (refusal) {
            out.error_code = code(refusal->error);
            out.error_message = std::move(refusal->message);
        } else {
            forward.resources.push_back(std::move(resource));
        }
    }
    if (forward.resources.empty()) return reply.send(std::move(response));
    call_controller(shard, std::move(forward), requester_of(context),
                    Reply<Response>([response = std::move(response),
                                     reply = std::move(reply)](Response done) mutable {
                        std::map<ResourceKey, size_t> place;
                        for (size_t i = 0; i < response.responses.size(); ++i) {
                            const auto& entry = response.responses[i];
                            place[{entry.resource_type, entry.resource_name}] = i;
                        }
                        for (auto& entry : done.responses) {
                            const auto found =
                                place.find({entry.resource_type, entry.resource_name});
                            if (found != place.end()) {
                                response.responses[found->second] = std::move(entry);
                            }
                        }
                        reply.send(std::move(response));
                    }));
}

}  // namespace

void handle_alter_configs(RequestContext&& context, wire::AlterConfigsRequest request,
                          Reply<wire::AlterConfigsResponse> reply) {
    alter(std::move(context), std::move(request), std::move(reply));
}
void handle_incremental_alter_configs(RequestContext&& context,
                                      wire::IncrementalAlterConfigsRequest request,
                                      Reply<wire::IncrementalAlterConfigsResponse> reply) {
    alter(std::move(context), std::move(request), std::move(reply));
}

void serve_alter_configs(ServeCall&& call) {
    serve<wire::AlterConfigsRequest, wire::AlterConfigsResponse>(std::move(call),
                                                                 handle_alter_configs);
}
void serve_incremental_alter_configs(ServeCall&& call) {
    serve<wire::IncrementalAlterConfigsRequest, wire::IncrementalAlterConfigsResponse>(
        std::move(call), handle_incremental_alter_configs);
}

}  // namespace millrace::api
