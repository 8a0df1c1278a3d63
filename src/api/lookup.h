// src/api/lookup.h: from the names and ids of a request to the partitions of this node.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "millrace/broker/shard.h"
#include "millrace/metadata/image.h"

namespace millrace::api {

/// A partition, or the error that says why it cannot be used here (dataplane.md B.1-8, C.3-1).
struct Found {
    ErrorCode error = ErrorCode::None;
    broker::Partition* partition = nullptr;
};
Found find_partition(broker::Shard& shard, const metadata::TopicImage* topic, int32_t index);

/// The three topics that the broker itself writes.
bool is_internal_topic(std::string_view name);
/// Nothing when the name may be used for a topic, else Kafka's sentence.
std::optional<std::string> topic_name_problem(std::string_view name);

/// A broker as a client of `listener` reaches it.
struct NodeAddress {
    NodeId id;
    std::string host;
    int32_t port = 0;
    std::optional<std::string> rack;
    bool fenced = false;
};
std::optional<NodeAddress> node_address(const metadata::Image& image, NodeId id,
                                        std::string_view listener);
/// In order of ids; unfenced ones unless `include_fenced`.
std::vector<NodeAddress> live_brokers(const metadata::Image& image, std::string_view listener,
                                      bool include_fenced);
/// A random live broker, as KRaft brokers answer for the controller; -1 when there is none.
int32_t any_live_broker(broker::Shard& shard, std::string_view listener);

inline int16_t code(ErrorCode error) { return static_cast<int16_t>(error); }

/// Bits of AuthorizedOperations without an authorizer: everything the resource knows.
inline constexpr int32_t kAllTopicOperations = 3576;
inline constexpr int32_t kAllClusterOperations = 8096;

}  // namespace millrace::api
