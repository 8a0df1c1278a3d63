// src/api/list_offsets.cc: ListOffsets (2), OffsetForLeaderEpoch (23).
//
// Served: ListOffsets v1-11, OffsetForLeaderEpoch v2-4.
// Behavior: dataplane.md D.1 and D.2; a partition named twice in a ListOffsets request is refused.
// Version notes: specials -3 from v7, -4 from v8, -5 from v9, -6 from v11 (KIP-405, KIP-734).
// Not done: tiered storage; its specials answer "nothing", as Kafka without tiering does.
#include <map>
#include <set>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/wire/gen/list_offsets_request.h"
#include "millrace/wire/gen/list_offsets_response.h"
#include "millrace/wire/gen/offset_for_leader_epoch_request.h"
#include "millrace/wire/gen/offset_for_leader_epoch_response.h"

namespace millrace::api {

namespace {

/// First version that knows the negative timestamp; nothing for unknown ones.
bool special_supported(int64_t timestamp, int16_t version) {
    switch (timestamp) {
        case -1:
        case -2: return true;
        case -3: return version >= 7;
        case -4: return version >= 8;
        case -5: return version >= 9;
        case -6: return version >= 11;
        default: return timestamp >= 0;
    }
}

broker::OffsetLookup look_up(broker::Shard& shard, const wire::ListOffsetsRequest& request,
                             const metadata::TopicImage* topic,
                             const wire::ListOffsetsRequest::ListOffsetsPartition& asked,
                             int16_t version) {
    broker::OffsetLookup result;
    if (!special_supported(asked.timestamp, version)) {
        result.error = ErrorCode::UnsupportedVersion;
        return result;
    }
    const Found found = find_partition(shard, topic, asked.partition_index);
    if (found.error != ErrorCode::None) {
        result.error = found.error;
        return result;
    }
    result = found.partition->list_offset(asked.timestamp, asked.current_leader_epoch,
                                          NodeId(request.replica_id),
                                          request.isolation_level == 1);
    if (result.error == ErrorCode::OffsetNotAvailable && version < 5) {
        result.error = ErrorCode::LeaderNotAvailable;
    }
    return result;
}

}  // namespace

void handle_list_offsets(RequestContext&& context, wire::ListOffsetsRequest request,
                         Reply<wire::ListOffsetsResponse> reply) {
    broker::Shard& shard = context.shard();
    std::set<std::pair<std::string_view, int32_t>> seen;
    std::set<std::pair<std::string_view, int32_t>> repeated;
    for (const auto& topic : request.topics) {
        for (const auto& asked : topic.partitions) {
            if (!seen.insert({topic.name, asked.partition_index}).second) {
                repeated.insert({topic.name, asked.partition_index});
            }
        }
    }
    wire::ListOffsetsResponse response;
    std::set<std::pair<std::string_view, int32_t>> answered;
    for (const auto& topic : request.topics) {
        const metadata::TopicImage* image =
            shard.image().topics.find(std::string_view(topic.name));
        auto& answers = response.topics.emplace_back();
        answers.name = topic.name;
        for (const auto& asked : topic.partitions) {
            const std::pair<std::string_view, int32_t> key{topic.name, asked.partition_index};
            broker::OffsetLookup result;
            if (repeated.contains(key)) {
                if (!answered.insert(key).second) continue;
                result.error = ErrorCode::InvalidRequest;
            } else {
                result = look_up(shard, request, image, asked, context.version);
            }
            auto& answer = answers.partitions.emplace_back();
            answer.partition_index = asked.partition_index;
            answer.error_code = code(result.error);
            answer.timestamp = result.timestamp;
            answer.offset = result.offset;
            if (context.version >= 4) answer.leader_epoch = result.leader_epoch;
        }
    }
    reply.send(std::move(response));
}

void handle_offset_for_leader_epoch(RequestContext&& context,
                                    wire::OffsetForLeaderEpochRequest request,
                                    Reply<wire::OffsetForLeaderEpochResponse> reply) {
    broker::Shard& shard = context.shard();
    wire::OffsetForLeaderEpochResponse response;
    for (const auto& topic : request.topics) {
        const metadata::TopicImage* image =
            shard.image().topics.find(std::string_view(topic.topic));
        auto& answers = response.topics.emplace_back();
        answers.topic = topic.topic;
        for (const auto& asked : topic.partitions) {
            auto& answer = answers.partitions.emplace_back();
            answer.partition = asked.partition;
            const Found found = find_partition(shard, image, asked.partition);
            if (found.error != ErrorCode::None) {
                answer.error_code = code(found.error);
                continue;
            }
            const broker::OffsetLookup result = found.partition->offset_for_leader_epoch(
                asked.leader_epoch, asked.current_leader_epoch);
            answer.error_code = code(result.error);
            answer.leader_epoch = result.leader_epoch;
            answer.end_offset = result.offset;
        }
    }
    reply.send(std::move(response));
}

void serve_list_offsets(ServeCall&& call) {
    serve<wire::ListOffsetsRequest, wire::ListOffsetsResponse>(std::move(call),
                                                               handle_list_offsets);
}
void serve_offset_for_leader_epoch(ServeCall&& call) {
    serve<wire::OffsetForLeaderEpochRequest, wire::OffsetForLeaderEpochResponse>(
        std::move(call), handle_offset_for_leader_epoch);
}

}  // namespace millrace::api
