// tools/cli/offsets.cc: asks leaders for the offsets of a topic.
#include "cli/offsets.h"

#include "millrace/wire/gen/list_offsets_request.h"
#include "millrace/wire/gen/list_offsets_response.h"

namespace millrace::cli {

std::map<int32_t, int64_t> list_offsets(Client& client,
                                        const wire::MetadataResponse::MetadataResponseTopic& topic,
                                        int64_t timestamp, bool committed) {
    constexpr int16_t kVersionHighest = 10;  // 11 adds tiered specials only
    std::map<int32_t, wire::ListOffsetsRequest> by_leader;
    for (const auto& partition : topic.partitions) {
        if (partition.leader_id < 0) continue;
        auto& request = by_leader[partition.leader_id];
        if (request.topics.empty()) {
            request.replica_id = -1;
            request.isolation_level = committed ? 1 : 0;
            request.topics.emplace_back().name = topic.name.value_or("");
        }
        auto& wanted = request.topics.front().partitions.emplace_back();
        wanted.partition_index = partition.partition_index;
        wanted.timestamp = timestamp;
    }
    std::map<int32_t, int64_t> offsets;
    for (auto& [leader, request] : by_leader) {
        Connection& connection = client.node(leader);
        const int16_t version = connection.version_of<wire::ListOffsetsRequest>(kVersionHighest);
        request.timeout_ms = version >= 10 ? client.timeout_ms() : 0;
        const auto response =
            connection.ask<wire::ListOffsetsResponse>(request, version, client.deadline());
        for (const auto& found : response.topics) {
            for (const auto& p : found.partitions) {
                check_error(p.error_code, std::nullopt,
                            found.name + "-" + std::to_string(p.partition_index));
                if (p.offset >= 0) offsets[p.partition_index] = p.offset;
            }
        }
    }
    return offsets;
}

}  // namespace millrace::cli
