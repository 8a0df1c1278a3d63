// src/api/configs.cc: DescribeConfigs (32), ListConfigResources (74).
//
// Served: DescribeConfigs v1-4, ListConfigResources v0-1.
// Behavior: dataplane.md E.3 and D.8; values and their sources come from metadata/config_schema.
// Not done: authorization. Broker loggers: one level for the process, shown as "root".
#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/metadata/config_schema.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"
#include "millrace/wire/gen/list_config_resources_request.h"
#include "millrace/wire/gen/list_config_resources_response.h"

namespace millrace::api {

namespace {

using Request = wire::DescribeConfigsRequest;
using Response = wire::DescribeConfigsResponse;
using metadata::ConfigEntry;
using metadata::ConfigResource;

struct Described {
    ErrorCode error = ErrorCode::None;
    std::string message;
    std::vector<ConfigEntry> entries;
};

Described refuse(ErrorCode error, std::string message) { return {error, std::move(message), {}}; }

std::optional<int32_t> number_of(const std::string& text) {
    int32_t id = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return id;
}

/// Nothing when `name` is this node's id.
std::optional<Described> check_own_id(broker::Shard& shard, const std::string& name,
                                      const char* expected_suffix) {
    const std::optional<int32_t> id = number_of(name);
    if (!id) {
        return refuse(ErrorCode::InvalidRequest, "Broker id must be an integer, but it is: " + name);
    }
    const int32_t own = shard.config().node_id.value;
    if (*id == own) return std::nullopt;
    return refuse(ErrorCode::InvalidRequest, "Unexpected broker id, expected " +
                                                 std::to_string(own) + expected_suffix +
                                                 ", but received " + name);
}

Described describe_topic(broker::Shard& shard, const std::string& name,
                         const std::vector<std::string>& keys) {
    if (const auto problem = topic_name_problem(name)) {
        return refuse(ErrorCode::InvalidTopicException, *problem);
    }
    if (shard.image().topics.find(std::string_view(name)) == nullptr) {
        return refuse(ErrorCode::UnknownTopicOrPartition, "");
    }
    return {ErrorCode::None, "",
            metadata::describe_topic(shard.image().configs.topic(name), shard.config_layers(),
                                     keys)};
}

Described describe_broker(broker::Shard& shard, const std::string& name,
                          const std::vector<std::string>& keys) {
    if (name.empty()) {
        return {ErrorCode::None, "",
                metadata::describe_cluster_default(shard.image().configs.broker(""), keys)};
    }
    if (auto refusal = check_own_id(shard, name, " or empty string")) return *refusal;
    return {ErrorCode::None, "", metadata::describe_broker(shard.config_layers(), keys)};
}

Described describe_stored(broker::Shard& shard, ConfigResource type, const std::string& name,
                          const std::vector<std::string>& keys) {
    if (name.empty()) {
        return refuse(ErrorCode::InvalidRequest, type == ConfigResource::Group
                                                     ? "Group name must not be empty"
                                                     : "Client metrics subscription name must not "
                                                       "be empty");
    }
    const metadata::ConfigMap& own = shard.image().configs.of({type, name});
    return {ErrorCode::None, "",
            type == ConfigResource::Group
                ? metadata::describe_group(own, shard.config_layers(), keys)
                : metadata::describe_client_metrics(own, keys)};
}

Described describe_loggers(broker::Shard& shard, const std::string& name,
                           const std::vector<std::string>& keys) {
    if (name.empty()) return refuse(ErrorCode::InvalidRequest, "Broker id must not be empty");
    if (auto refusal = check_own_id(shard, name, "")) return *refusal;
    const metadata::ConfigMap levels{{"root", "INFO"}};
    return {ErrorCode::None, "", metadata::describe_loggers(levels, keys)};
}

Described describe(broker::Shard& shard, const Request::DescribeConfigsResource& resource) {
    const std::vector<std::string> keys = resource.configuration_keys.value_or(
        std::vector<std::string>{});
    const std::string& name = resource.resource_name;
    switch (static_cast<ConfigResource>(resource.resource_type)) {
        case ConfigResource::Topic: return describe_topic(shard, name, keys);
        case ConfigResource::Broker: return describe_broker(shard, name, keys);
        case ConfigResource::BrokerLogger: return describe_loggers(shard, name, keys);
        case ConfigResource::ClientMetrics:
            return describe_stored(shard, ConfigResource::ClientMetrics, name, keys);
        case ConfigResource::Group:
            return describe_stored(shard, ConfigResource::Group, name, keys);
        case ConfigResource::Unknown: break;
    }
    MILLRACE_UNREACHABLE("unknown types were refused before");
}

bool known_type(int8_t type) {
    return type == 2 || type == 4 || type == 8 || type == 16 || type == 32;
}

void fill(std::vector<ConfigEntry> entries, const Request& request,
          Response::DescribeConfigsResult& out) {
    for (ConfigEntry& entry : entries) {
        auto& config = out.configs.emplace_back();
        config.name = std::move(entry.name);
        config.value = std::move(entry.value);
        config.read_only = entry.read_only;
        config.is_sensitive = entry.sensitive;
        config.config_source = static_cast<int8_t>(entry.source);
        config.config_type = static_cast<int8_t>(entry.type);
        config.documentation.reset();
        if (request.include_documentation) config.documentation = std::move(entry.documentation);
        if (!request.include_synonyms) continue;
        for (metadata::ConfigSynonym& synonym : entry.synonyms) {
            auto& line = config.synonyms.emplace_back();
            line.name = std::move(synonym.name);
            line.value = std::move(synonym.value);
            line.source = static_cast<int8_t>(synonym.source);
        }
    }
}

}  // namespace

void handle_describe_configs(RequestContext&& context, Request request, Reply<Response> reply) {
    broker::Shard& shard = context.shard();
    Response response;
    const bool all_known =
        std::all_of(request.resources.begin(), request.resources.end(),
                    [](const auto& resource) { return known_type(resource.resource_type); });
    for (const auto& resource : request.resources) {
        auto& out = response.results.emplace_back();
        out.resource_type = resource.resource_type;
        out.resource_name = resource.resource_name;
        // One unknown type fails the whole request.
        Described described =
            all_known ? describe(shard, resource)
                      : refuse(ErrorCode::InvalidRequest,
                               error_code_message(ErrorCode::InvalidRequest));
        out.error_code = code(described.error);
        out.error_message = std::move(described.message);
        fill(std::move(described.entries), request, out);
    }
    reply.send(std::move(response));
}

void handle_list_config_resources(RequestContext&& context,
                                  wire::ListConfigResourcesRequest request,
                                  Reply<wire::ListConfigResourcesResponse> reply) {
    broker::Shard& shard = context.shard();
    const metadata::Image& image = shard.image();
    wire::ListConfigResourcesResponse response;
    std::set<int8_t> types(request.resource_types.begin(), request.resource_types.end());
    if (context.version == 0) {
        types = {16};
    } else if (types.empty()) {
        types = {2, 4, 8, 16, 32};
    }
    if (!std::all_of(types.begin(), types.end(), known_type)) {
        response.error_code = code(ErrorCode::UnsupportedVersion);
        return reply.send(std::move(response));
    }
    const auto add = [&](int8_t type, std::string name) {
        auto& entry = response.config_resources.emplace_back();
        entry.resource_type = type;
        entry.resource_name = std::move(name);
    };
    for (const ConfigResource stored : {ConfigResource::Group, ConfigResource::ClientMetrics}) {
        if (!types.contains(static_cast<int8_t>(stored))) continue;
        for (const auto& [target, configs] : image.configs.by_target) {
            if (target.type == stored && !configs->empty()) {
                add(static_cast<int8_t>(stored), target.name);
            }
        }
    }
    for (const int8_t type : {int8_t{8}, int8_t{4}}) {
        if (!types.contains(type)) continue;
        for (const auto& [id, broker] : image.cluster.brokers) add(type, std::to_string(id.value));
    }
    if (types.contains(2)) {
        for (const auto& [name, id] : image.topics.ids_by_name) add(2, name);
    }
    reply.send(std::move(response));
}

void serve_describe_configs(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_describe_configs);
}
void serve_list_config_resources(ServeCall&& call) {
    serve<wire::ListConfigResourcesRequest, wire::ListConfigResourcesResponse>(
        std::move(call), handle_list_config_resources);
}

}  // namespace millrace::api
