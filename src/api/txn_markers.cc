// src/api/txn_markers.cc: WriteTxnMarkers (27).
//
// Served: v1-2.
// Behavior: each partition stands or falls alone; an answer comes when the markers are committed;
// results of one producer id are put together (coordinators.md 6.8).
// Version notes: v2 says which transaction.version the transaction speaks.
// Not done: authorization.
#include <map>
#include <memory>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/wire/gen/write_txn_markers_request.h"
#include "millrace/wire/gen/write_txn_markers_response.h"

namespace millrace::api {

namespace {

using Request = wire::WriteTxnMarkersRequest;
using Response = wire::WriteTxnMarkersResponse;

struct MarkersOperation {
    Reply<Response> reply;
    std::map<int64_t, std::map<TopicPartition, ErrorCode>> by_producer;
    size_t missing = 1;
    ~MarkersOperation() { reply.abandon(); }

    void finish() {
        if (--missing > 0) return;
        Response response;
        for (const auto& [producer_id, partitions] : by_producer) {
            auto& result = response.markers.emplace_back();
            result.producer_id = producer_id;
            for (const auto& [partition, error] : partitions) {
                if (result.topics.empty() || result.topics.back().name != partition.topic) {
                    result.topics.emplace_back().name = partition.topic;
                }
                auto& entry = result.topics.back().partitions.emplace_back();
                entry.partition_index = partition.partition.value;
                entry.error_code = code(error);
            }
        }
        reply.send(std::move(response));
    }
};

}  // namespace

void handle_write_txn_markers(RequestContext&& context, Request request, Reply<Response> reply) {
    broker::CoordinatorHost& host = context.shard().coordinators();
    auto operation = std::make_shared<MarkersOperation>();
    operation->reply = std::move(reply);
    for (const auto& marker : request.markers) {
        coordinator::Marker wanted;
        wanted.producer = {ProducerId(marker.producer_id), ProducerEpoch(marker.producer_epoch)};
        wanted.commit = marker.transaction_result;
        wanted.coordinator_epoch = CoordinatorEpoch(marker.coordinator_epoch);
        wanted.transaction_version = marker.transaction_version;
        operation->by_producer[marker.producer_id];
        for (const auto& topic : marker.topics) {
            for (const int32_t index : topic.partition_indexes) {
                const TopicPartition partition{topic.name, PartitionIndex(index)};
                ++operation->missing;
                host.write_marker({partition, wanted},
                                  [operation, partition, id = marker.producer_id](ErrorCode error) {
                                      operation->by_producer[id][partition] = error;
                                      operation->finish();
                                  });
            }
        }
    }
    operation->finish();
}

void serve_write_txn_markers(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_write_txn_markers);
}

}  // namespace millrace::api
