// src/api/log_dirs.cc: AlterReplicaLogDirs (34), DescribeLogDirs (35), DescribeProducers (61).
//
// Served: AlterReplicaLogDirs v1-2, DescribeLogDirs v1-5, DescribeProducers v0.
// Behavior: dataplane.md D.7 and D.8.
// Version notes: v4 sizes of the file system, v5 cordoned directories (KIP-1066).
// Not done: authorization.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/env/clock.h"
#include "millrace/env/disk.h"
#include "millrace/wire/gen/alter_replica_log_dirs_request.h"
#include "millrace/wire/gen/alter_replica_log_dirs_response.h"
#include "millrace/wire/gen/describe_log_dirs_request.h"
#include "millrace/wire/gen/describe_log_dirs_response.h"
#include "millrace/wire/gen/describe_producers_request.h"
#include "millrace/wire/gen/describe_producers_response.h"

namespace millrace::api {

namespace {

using Request = wire::DescribeLogDirsRequest;
using Response = wire::DescribeLogDirsResponse;

/// Partitions asked for; nothing means all.
using Wanted = std::optional<std::set<TopicPartition>>;

Wanted wanted(const Request& request) {
    if (!request.topics) return std::nullopt;
    std::set<TopicPartition> partitions;
    for (const auto& topic : *request.topics) {
        for (const int32_t index : topic.partitions) {
            partitions.insert({topic.topic, PartitionIndex(index)});
        }
    }
    return partitions;
}

void describe_dir(broker::Shard& shard, broker::LogDir& dir, const Wanted& asked,
                  Response::DescribeLogDirsResult& out) {
    out.log_dir = dir.path;
    const auto& cordoned = shard.dynamic_settings().cordoned_log_dirs;
    out.is_cordoned = std::any_of(cordoned.begin(), cordoned.end(), [&](const std::string& path) {
        return path == "*" || path == dir.path;
    });
    if (!dir.online) {
        out.error_code = code(ErrorCode::KafkaStorageError);
        return;
    }
    std::map<std::string, std::vector<Response::DescribeLogDirsPartition>> by_topic;
    dir.store->for_each([&](storage::Log& log) {
        if (asked && !asked->contains(log.partition())) return;
        auto& entry = by_topic[log.partition().topic].emplace_back();
        entry.partition_index = log.partition().partition.value;
        entry.partition_size = static_cast<int64_t>(log.size_bytes());
        entry.offset_lag = std::max<int64_t>(log.high_watermark() - log.log_end_offset(), 0);
    });
    dir.store->for_each_future([&](storage::Log& log) {
        if (asked && !asked->contains(log.partition())) return;
        auto& entry = by_topic[log.partition().topic].emplace_back();
        entry.partition_index = log.partition().partition.value;
        entry.partition_size = static_cast<int64_t>(log.size_bytes());
        entry.is_future_key = true;
        broker::Partition* current = shard.partition(log.topic_id(), log.partition().partition);
        entry.offset_lag =
            current == nullptr ? -1 : current->log().log_end_offset() - log.log_end_offset();
    });
    for (auto& [name, partitions] : by_topic) {
        auto& topic = out.topics.emplace_back();
        topic.name = name;
        topic.partitions = std::move(partitions);
    }
    const Result<env::SpaceInfo> space = shard.env().files.space(dir.path);
    if (!space.ok()) return;
    out.total_bytes = static_cast<int64_t>(space->total_bytes);
    out.usable_bytes = static_cast<int64_t>(space->usable_bytes);
}

wire::DescribeProducersResponse::PartitionResponse describe_producers(
    broker::Shard& shard, const metadata::TopicImage& topic, int32_t index) {
    wire::DescribeProducersResponse::PartitionResponse out;
    out.partition_index = index;
    const Found found = find_partition(shard, &topic, index);
    if (found.error != ErrorCode::None) {
        out.error_code = code(found.error);
        return out;
    }
    for (const storage::ActiveProducer& producer :
         found.partition->log().active_producers(shard.env().clock.wall())) {
        auto& entry = out.active_producers.emplace_back();
        entry.producer_id = producer.producer_id.value;
        entry.producer_epoch = producer.producer_epoch.value;
        entry.last_sequence = producer.last_sequence;
        entry.last_timestamp = producer.last_timestamp.value;
        entry.coordinator_epoch = producer.coordinator_epoch;
        entry.current_txn_start_offset = producer.current_txn_first_offset.value;
    }
    return out;
}

}  // namespace

void handle_describe_log_dirs(RequestContext&& context, Request request, Reply<Response> reply) {
    broker::Shard& shard = context.shard();
    const Wanted asked = wanted(request);
    Response response;
    for (const auto& dir : shard.log_dirs().dirs()) {
        describe_dir(shard, *dir, asked, response.results.emplace_back());
    }
    reply.send(std::move(response));
}

/// Kafka's limit for the name of the copy's folder.
bool future_name_fits(const std::string& topic, int32_t partition) {
    constexpr size_t kFolderNameMax = 255;
    const std::string tail = "-" + std::to_string(partition) + ".-future";
    return topic.size() + tail.size() + 32 <= kFolderNameMax;
}

void handle_alter_replica_log_dirs(RequestContext&& context,
                                   wire::AlterReplicaLogDirsRequest request,
                                   Reply<wire::AlterReplicaLogDirsResponse> reply) {
    std::map<std::string, std::vector<std::pair<int32_t, ErrorCode>>> by_topic;
    for (const auto& dir : request.dirs) {
        for (const auto& topic : dir.topics) {
            for (const int32_t index : topic.partitions) {
                const ErrorCode error =
                    future_name_fits(topic.name, index)
                        ? context.shard().alter_log_dir({topic.name, PartitionIndex(index)},
                                                        dir.path)
                        : ErrorCode::InvalidTopicException;
                by_topic[topic.name].emplace_back(index, error);
            }
        }
    }
    wire::AlterReplicaLogDirsResponse response;
    for (const auto& [name, partitions] : by_topic) {
        auto& topic = response.results.emplace_back();
        topic.topic_name = name;
        for (const auto& [index, error] : partitions) {
            auto& entry = topic.partitions.emplace_back();
            entry.partition_index = index;
            entry.error_code = code(error);
        }
    }
    reply.send(std::move(response));
}

void handle_describe_producers(RequestContext&& context, wire::DescribeProducersRequest request,
                               Reply<wire::DescribeProducersResponse> reply) {
    broker::Shard& shard = context.shard();
    wire::DescribeProducersResponse response;
    for (const auto& topic : request.topics) {
        auto& answers = response.topics.emplace_back();
        answers.name = topic.name;
        const std::optional<std::string> problem = topic_name_problem(topic.name);
        const metadata::TopicImage* image =
            shard.image().topics.find(std::string_view(topic.name));
        for (const int32_t index : topic.partition_indexes) {
            auto& answer = answers.partitions.emplace_back();
            answer.partition_index = index;
            if (problem) {
                answer.error_code = code(ErrorCode::InvalidTopicException);
                answer.error_message = problem;
            } else if (image == nullptr) {
                answer.error_code = code(ErrorCode::UnknownTopicOrPartition);
                answer.error_message = "This server does not host this topic-partition.";
            } else {
                answer = describe_producers(shard, *image, index);
            }
        }
    }
    reply.send(std::move(response));
}

void serve_alter_replica_log_dirs(ServeCall&& call) {
    serve<wire::AlterReplicaLogDirsRequest, wire::AlterReplicaLogDirsResponse>(
        std::move(call), handle_alter_replica_log_dirs);
}
void serve_describe_log_dirs(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_describe_log_dirs);
}
void serve_describe_producers(ServeCall&& call) {
    serve<wire::DescribeProducersRequest, wire::DescribeProducersResponse>(
        std::move(call), handle_describe_producers);
}

}  // namespace millrace::api
