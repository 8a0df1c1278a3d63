// tools/cli/offsets.h: asks leaders for the offsets of a topic.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "cli/client.h"

namespace millrace::cli {

inline constexpr int64_t kLatestTimestamp = -1;
inline constexpr int64_t kEarliestTimestamp = -2;
inline constexpr int64_t kMaxTimestamp = -3;

struct TopicPartition {
    std::string topic;
    int32_t partition = 0;

    auto operator<=>(const TopicPartition&) const = default;
    std::string to_string() const { return topic + "-" + std::to_string(partition); }
};

/// One partition's answer. An offset of -1 is none; errors are left to the caller.
struct FoundOffset {
    int64_t offset = -1;
    int64_t timestamp = -1;
    int32_t leader_epoch = -1;
    int16_t error_code = 0;
};

/// The partitions of these topics and their leaders (-1: none). Topics that do not exist are left
/// out.
std::map<TopicPartition, int32_t> leaders_of(Client& client, const std::set<std::string>& topics);

/// Asks every leader for offsets at times (or special times). Partitions without a leader, and
/// those that do not exist, are left out.
std::map<TopicPartition, FoundOffset> find_offsets(Client& client,
                                                   const std::map<TopicPartition, int64_t>& times,
                                                   bool committed = false);
/// The same time for all.
std::map<TopicPartition, FoundOffset> find_offsets(Client& client,
                                                   const std::set<TopicPartition>& partitions,
                                                   int64_t time, bool committed = false);

/// Partition to offset at a time or at one of the special times. A partition without leader or
/// without such an offset is left out.
std::map<int32_t, int64_t> list_offsets(Client& client,
                                        const wire::MetadataResponse::MetadataResponseTopic& topic,
                                        int64_t timestamp, bool committed = false);

}  // namespace millrace::cli
