// src/api/api_versions.cc: ApiVersions (18, v0-4).
//
// Behavior (dataplane.md A.2):
// - answered before authentication and at any time later; the response header is always v0;
// - an unknown version gets a v0 body with error 35 and only {18, 0, 4}; the connection stays;
// - a bad client software name or version gets error 42 and an empty list; the connection stays;
// - lists what the table serves on this listener; Produce from 0, which librdkafka 2.x needs to
//   believe in this broker (KAFKA-18659), although 0 to 2 close the connection.
// Version notes: v3 KIP-511 names and KIP-584 features; v4 features whose minimum is 0 (KIP-1022).
// Not done: forwardable APIs are not intersected with a remote controller's ranges.
#include "api/api_versions.h"

#include <utility>

#include "api/serve.h"
#include "millrace/base/error_code.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/broker/shard.h"
#include "millrace/wire/gen/api_versions_request.h"

namespace millrace::api {
namespace {

struct SupportedFeature {
    const char* name;
    int16_t min_version;
    int16_t max_version;
};

// Source: org.apache.kafka.server.common.Feature of 4.3.1, observed order.
constexpr SupportedFeature kSupportedFeatures[] = {
    {"metadata.version", 7, 30},
    {"kraft.version", 0, 1},
    {"transaction.version", 0, 2},
    {"group.version", 0, 1},
    {"eligible.leader.replicas.version", 0, 1},
    {"share.version", 0, 1},
    {"streams.version", 0, 1},
};

constexpr int16_t kFeaturesWithMinZeroFrom = 4;

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

wire::ApiVersionsResponse::ApiVersion list_entry(wire::ApiKey key) {
    const wire::ApiInfo& info = wire::api_info(key);
    wire::ApiVersionsResponse::ApiVersion entry;
    entry.api_key = static_cast<int16_t>(key);
    entry.min_version = key == wire::ApiKey::Produce ? int16_t{0} : info.version_min;
    entry.max_version = info.version_max_stable();
    return entry;
}

void handle_api_versions(RequestContext&& context, wire::ApiVersionsRequest request,
                         Reply<wire::ApiVersionsResponse> reply) {
    if (context.version >= 3) {
        if (!is_client_software_text(request.client_software_name) ||
            !is_client_software_text(request.client_software_version)) {
            wire::ApiVersionsResponse refusal;
            refusal.error_code = static_cast<int16_t>(ErrorCode::InvalidRequest);
            reply.send(std::move(refusal));
            return;
        }
        context.slot.set_client_software(std::move(request.client_software_name),
                                         std::move(request.client_software_version));
    }
    FinalizedFeatures finalized;
    if (context.shard_pointer != nullptr) {
        const metadata::Image& image = context.shard().image();
        finalized.epoch = image.provenance.offset.value;
        for (const auto& [name, level] : image.features.levels) finalized.levels[name] = level;
        // kraft.version lives in the quorum's control records, not in the image.
        if (const broker::QuorumDriver* quorum = context.shard().quorum) {
            finalized.levels[metadata::kKraftVersionFeature] = quorum->status().kraft_version;
        }
    }
    reply.send(
        make_api_versions(api_table(), context.connection->kind, context.version, finalized));
}

}  // namespace

bool is_client_software_text(std::string_view text) {
    if (text.empty() || !is_alphanumeric(text.front()) || !is_alphanumeric(text.back())) {
        return false;
    }
    for (const char c : text) {
        if (!is_alphanumeric(c) && c != '-' && c != '.') return false;
    }
    return true;
}

wire::ApiVersionsResponse make_api_versions(ApiTable table, ListenerKind listener, int16_t version,
                                            const FinalizedFeatures& finalized) {
    wire::ApiVersionsResponse response;
    for (const ApiRow& row : table) {
        if ((row.listeners & static_cast<uint8_t>(listener)) == 0) continue;
        response.api_keys.push_back(list_entry(row.key));
    }
    if (version < 3) return response;
    for (const SupportedFeature& feature : kSupportedFeatures) {
        if (feature.min_version == 0 && version < kFeaturesWithMinZeroFrom) continue;
        response.supported_features.push_back(
            {feature.name, feature.min_version, feature.max_version, {}});
    }
    response.finalized_features_epoch = finalized.epoch;
    for (const auto& [name, level] : finalized.levels) {
        if (level > 0) response.finalized_features.push_back({name, level, level, {}});
    }
    return response;
}

BufferChain unsupported_api_versions_answer(int32_t correlation_id) {
    wire::ApiVersionsResponse response;
    response.error_code = static_cast<int16_t>(ErrorCode::UnsupportedVersion);
    response.api_keys.push_back(list_entry(wire::ApiKey::ApiVersions));
    wire::Writer writer;
    writer.begin_frame();
    wire::encode_response_head(writer, wire::ApiKey::ApiVersions, 0, correlation_id);
    response.encode(writer, 0);
    return writer.finish_frame();
}

void serve_api_versions(ServeCall&& call) {
    serve<wire::ApiVersionsRequest, wire::ApiVersionsResponse>(std::move(call),
                                                               handle_api_versions);
}

}  // namespace millrace::api
