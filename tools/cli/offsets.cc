// tools/cli/offsets.cc: asks leaders for the offsets of a topic.
#include "cli/offsets.h"

#include "millrace/wire/gen/list_offsets_request.h"
#include "millrace/wire/gen/list_offsets_response.h"

namespace millrace::cli {
namespace {

constexpr int16_t kVersionOfPendingUpload = 11;
constexpr int64_t kEarliestPendingUpload = -6;

wire::ListOffsetsRequest request_for(const std::vector<TopicPartition>& partitions,
                                     const std::map<TopicPartition, int64_t>& times,
                                     bool committed) {
    wire::ListOffsetsRequest request;
    request.replica_id = -1;
    request.isolation_level = committed ? 1 : 0;
    for (const TopicPartition& partition : partitions) {
        if (request.topics.empty() || request.topics.back().name != partition.topic) {
            request.topics.emplace_back().name = partition.topic;
        }
        auto& wanted = request.topics.back().partitions.emplace_back();
        wanted.partition_index = partition.partition;
        wanted.timestamp = times.at(partition);
    }
    return request;
}

}  // namespace

std::map<TopicPartition, int32_t> leaders_of(Client& client, const std::set<std::string>& topics) {
    std::map<TopicPartition, int32_t> leaders;
    if (topics.empty()) return leaders;
    const auto metadata =
        client.metadata(std::vector<std::string>(topics.begin(), topics.end()));
    for (const auto& topic : metadata.topics) {
        const auto code = error_code_from(topic.error_code);
        if (code == ErrorCode::UnknownTopicOrPartition) continue;
        if (code != ErrorCode::LeaderNotAvailable) {
            check_error(topic.error_code, std::nullopt, "topic '" + topic.name.value_or("") + "'");
        }
        for (const auto& partition : topic.partitions) {
            leaders[{topic.name.value_or(""), partition.partition_index}] = partition.leader_id;
        }
    }
    return leaders;
}

std::map<TopicPartition, FoundOffset> find_offsets(Client& client,
                                                   const std::map<TopicPartition, int64_t>& times,
                                                   bool committed) {
    std::set<std::string> topics;
    int16_t version_highest = kVersionOfPendingUpload - 1;
    for (const auto& [partition, time] : times) {
        topics.insert(partition.topic);
        if (time == kEarliestPendingUpload) version_highest = kVersionOfPendingUpload;
    }
    std::map<int32_t, std::vector<TopicPartition>> by_leader;
    for (const auto& [partition, leader] : leaders_of(client, topics)) {
        if (leader >= 0 && times.contains(partition)) by_leader[leader].push_back(partition);
    }
    std::map<TopicPartition, FoundOffset> found;
    for (const auto& [leader, partitions] : by_leader) {
        auto request = request_for(partitions, times, committed);
        Connection& connection = client.node(leader);
        const int16_t version = connection.version_of<wire::ListOffsetsRequest>(version_highest);
        request.timeout_ms = version >= 10 ? client.timeout_ms() : 0;
        const auto response =
            connection.ask<wire::ListOffsetsResponse>(request, version, client.deadline());
        for (const auto& topic : response.topics) {
            for (const auto& p : topic.partitions) {
                found[{topic.name, p.partition_index}] = {p.offset, p.timestamp, p.leader_epoch,
                                                          p.error_code};
            }
        }
    }
    return found;
}

std::map<TopicPartition, FoundOffset> find_offsets(Client& client,
                                                   const std::set<TopicPartition>& partitions,
                                                   int64_t time, bool committed) {
    std::map<TopicPartition, int64_t> times;
    for (const TopicPartition& partition : partitions)
        times[partition] = time;
    return find_offsets(client, times, committed);
}

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
