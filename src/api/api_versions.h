// src/api/api_versions.h: what ApiVersions answers, as a function of the table and the features.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "millrace/api/dispatch.h"
#include "millrace/wire/gen/api_versions_response.h"

namespace millrace::api {

/// Finalized feature levels of the cluster, as of the metadata image at `epoch` (its offset).
struct FinalizedFeatures {
    int64_t epoch = -1;
    std::map<std::string, int16_t> levels;
};

/// Apache Kafka 4.3.1's answer on this listener, restricted to the rows of `table`.
wire::ApiVersionsResponse make_api_versions(ApiTable table, ListenerKind listener, int16_t version,
                                            const FinalizedFeatures& finalized);

/// KIP-511: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
bool is_client_software_text(std::string_view text);

}  // namespace millrace::api
