// src/api/client_quotas.cc: DescribeClientQuotas (48), AlterClientQuotas (49).
//
// Served: v0-1 of both.
// Behavior: filters as Kafka's ClientQuotasImage.describe checks them; changes are the active
// controller's (metadata/quota_control).
// Not done: authorization; the quotas are kept and shown, clients are not throttled yet.
#include <fmt/core.h>

#include <map>
#include <set>
#include <utility>

#include "api/controller_call.h"
#include "api/serve.h"
#include "millrace/wire/gen/describe_client_quotas_request.h"
#include "millrace/wire/gen/describe_client_quotas_response.h"

namespace millrace::api {

namespace {

using Request = wire::DescribeClientQuotasRequest;
using Response = wire::DescribeClientQuotasResponse;

constexpr const char* kUser = "user";
constexpr const char* kClientId = "client-id";
constexpr const char* kIp = "ip";

enum class MatchType : int8_t { Exact = 0, Default = 1, Specified = 2 };

struct Problem {
    ErrorCode error = ErrorCode::None;
    std::string text;
};

/// What a request asks for: names that must be equal (nothing: the default entity), and types
/// that must be there.
struct Filter {
    std::map<std::string, std::optional<std::string>, std::less<>> exact;
    std::set<std::string, std::less<>> any;

    bool names(std::string_view type) const {
        return exact.find(type) != exact.end() || any.find(type) != any.end();
    }
    bool matches(const metadata::QuotaEntity& entity, bool strict) const {
        size_t found = 0;
        for (const metadata::QuotaEntityPart& part : entity) {
            const auto wanted = exact.find(part.type);
            if (wanted != exact.end()) {
                if (wanted->second != part.name) return false;
                ++found;
            } else if (any.contains(part.type)) {
                ++found;
            } else if (strict) {
                return false;
            }
        }
        return found == exact.size() + any.size();
    }
};

Problem invalid(std::string text) { return {ErrorCode::InvalidRequest, std::move(text)}; }

Problem add_component(const Request::ComponentData& component, Filter& filter) {
    const std::string& type = component.entity_type;
    if (type.empty()) return invalid("Invalid empty entity type.");
    if (filter.names(type)) {
        return invalid(fmt::format("Entity type {} cannot appear more than once in the filter.",
                                   type));
    }
    if (type != kUser && type != kClientId && type != kIp) {
        return {ErrorCode::UnsupportedVersion,
                fmt::format("Custom entity type '{}' not supported", type)};
    }
    switch (static_cast<MatchType>(component.match_type)) {
        case MatchType::Exact:
            if (!component.match) {
                return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.");
            }
            filter.exact.emplace(type, component.match);
            return {};
        case MatchType::Default:
            if (component.match) {
                return invalid(
                    "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.");
            }
            filter.exact.emplace(type, std::nullopt);
            return {};
        case MatchType::Specified:
            if (component.match) {
                return invalid(
                    "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.");
            }
            filter.any.insert(type);
            return {};
    }
    return invalid(fmt::format("Unknown match type {}", component.match_type));
}

Problem make_filter(const Request& request, Filter& filter) {
    for (const auto& component : request.components) {
        Problem problem = add_component(component, filter);
        if (problem.error != ErrorCode::None) return problem;
    }
    if (filter.names(kIp) && (filter.names(kUser) || filter.names(kClientId))) {
        return invalid(
            "Invalid entity filter component combination. IP filter component should not be used "
            "with user or clientId filter component.");
    }
    return {};
}

}  // namespace

void handle_describe_client_quotas(RequestContext&& context, Request request,
                                   Reply<Response> reply) {
    Response response;
    Filter filter;
    if (const Problem problem = make_filter(request, filter); problem.error != ErrorCode::None) {
        response.error_code = static_cast<int16_t>(problem.error);
        response.error_message = problem.text;
        response.entries.reset();
        return reply.send(std::move(response));
    }
    auto& entries = response.entries.emplace();
    response.error_message.reset();
    for (const auto& [entity, quotas] : context.shard().image().client_quotas) {
        if (!filter.matches(entity, request.strict)) continue;
        auto& entry = entries.emplace_back();
        for (const metadata::QuotaEntityPart& part : entity) {
            auto& out = entry.entity.emplace_back();
            out.entity_type = part.type;
            out.entity_name = part.name;
        }
        for (const auto& [key, value] : *quotas) {
            auto& out = entry.values.emplace_back();
            out.key = key;
            out.value = value;
        }
    }
    reply.send(std::move(response));
}

void handle_alter_client_quotas(RequestContext&& context, wire::AlterClientQuotasRequest request,
                                Reply<wire::AlterClientQuotasResponse> reply) {
    call_controller(context.shard(), std::move(request), requester_of(context),
                    std::move(reply));
}

void serve_describe_client_quotas(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_describe_client_quotas);
}
void serve_alter_client_quotas(ServeCall&& call) {
    serve<wire::AlterClientQuotasRequest, wire::AlterClientQuotasResponse>(
        std::move(call), handle_alter_client_quotas);
}

}  // namespace millrace::api
