// src/api/lookup.cc: lookups in the metadata image that several handlers share.
#include "api/lookup.h"

#include <algorithm>

namespace millrace::api {

Found find_partition(broker::Shard& shard, const metadata::TopicImage* topic, int32_t index) {
    if (topic == nullptr) return {ErrorCode::UnknownTopicOrPartition, nullptr};
    broker::Partition* partition = shard.partition(topic->id, PartitionIndex(index));
    if (partition != nullptr) {
        if (partition->offline()) return {ErrorCode::KafkaStorageError, nullptr};
        return {ErrorCode::None, partition};
    }
    const metadata::PartitionImage* state = topic->partition(PartitionIndex(index));
    if (state == nullptr) return {ErrorCode::UnknownTopicOrPartition, nullptr};
    // Ours, but in a directory that failed before the partition could be opened.
    const bool ours = state->has_replica(shard.config().node_id);
    return {ours && shard.log_dirs().any_offline() ? ErrorCode::KafkaStorageError
                                                            : ErrorCode::NotLeaderOrFollower,
            nullptr};
}

bool is_internal_topic(std::string_view name) {
    return name == "__consumer_offsets" || name == "__transaction_state" ||
           name == "__share_group_state";
}

std::optional<std::string> topic_name_problem(std::string_view name) {
    constexpr size_t kTopicNameMax = 249;
    const std::string prefix = "Topic name is invalid: ";
    if (name.empty()) return prefix + "the empty string is not allowed";
    if (name == "." || name == "..") return prefix + "'" + std::string(name) + "' is not allowed";
    if (name.size() > kTopicNameMax) {
        return prefix + "the length of '" + std::string(name) +
               "' is longer than the max allowed length " + std::to_string(kTopicNameMax);
    }
    const bool legal = std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
    if (legal) return std::nullopt;
    return prefix + "'" + std::string(name) +
           "' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
}

std::optional<NodeAddress> node_address(const metadata::Image& image, NodeId id,
                                        std::string_view listener) {
    const metadata::BrokerImage* broker = image.cluster.broker(id);
    const metadata::Endpoint* endpoint =
        broker == nullptr ? nullptr : broker->endpoint(listener);
    if (endpoint == nullptr) return std::nullopt;
    return NodeAddress{id, endpoint->host, endpoint->port, broker->rack, broker->fenced};
}

std::vector<NodeAddress> live_brokers(const metadata::Image& image, std::string_view listener,
                                      bool include_fenced) {
    std::vector<NodeAddress> result;
    for (const auto& [id, broker] : image.cluster.brokers) {
        if (broker->fenced && !include_fenced) continue;
        if (auto address = node_address(image, id, listener)) result.push_back(*address);
    }
    return result;
}

int32_t any_live_broker(broker::Shard& shard, std::string_view listener) {
    const std::vector<NodeAddress> live = live_brokers(shard.image(), listener, false);
    if (live.empty()) return -1;
    return live[shard.rng().below(live.size())].id.value;
}

}  // namespace millrace::api
