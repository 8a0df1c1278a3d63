// src/api/delete_records.cc: DeleteRecords (21).
//
// Served: v0-2.
// Behavior: dataplane.md D.3. With one replica the low watermark is the leader's own log start.
// Not done: waiting for followers' log starts (no followers yet).
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/wire/gen/delete_records_request.h"
#include "millrace/wire/gen/delete_records_response.h"

namespace millrace::api {

void handle_delete_records(RequestContext&& context, wire::DeleteRecordsRequest request,
                           Reply<wire::DeleteRecordsResponse> reply) {
    broker::Shard& shard = context.shard();
    wire::DeleteRecordsResponse response;
    for (const auto& topic : request.topics) {
        const metadata::TopicImage* image =
            shard.image().topics.find(std::string_view(topic.name));
        auto& answers = response.topics.emplace_back();
        answers.name = topic.name;
        for (const auto& asked : topic.partitions) {
            auto& answer = answers.partitions.emplace_back();
            answer.partition_index = asked.partition_index;
            answer.low_watermark = -1;
            if (image == nullptr ||
                image->partition(PartitionIndex(asked.partition_index)) == nullptr) {
                answer.error_code = code(ErrorCode::UnknownTopicOrPartition);
                continue;
            }
            if (is_internal_topic(topic.name)) {
                answer.error_code = code(ErrorCode::InvalidTopicException);
                continue;
            }
            const Found found = find_partition(shard, image, asked.partition_index);
            answer.error_code = code(
                found.error != ErrorCode::None
                    ? found.error
                    : found.partition->delete_records(asked.offset, answer.low_watermark));
        }
    }
    reply.send(std::move(response));
}

void serve_delete_records(ServeCall&& call) {
    serve<wire::DeleteRecordsRequest, wire::DeleteRecordsResponse>(std::move(call),
                                                                   handle_delete_records);
}

}  // namespace millrace::api
