// tools/cli/group_reset.h: works out the offsets that a reset would commit.
//
// Kafka's eight specifications (org.apache.kafka.tools.OffsetsUtils). Nothing is written here: the
// caller shows the plan and commits it. A Failure's kafka_message is what Kafka's own tool says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/group_client.h"

namespace millrace::cli {

enum class ResetKind { ToOffset, ToEarliest, ToLatest, ToCurrent, ShiftBy, ToTime, FromFile };

/// Group to partition to offset.
using OffsetPlans = std::map<std::string, std::map<TopicPartition, int64_t>>;

struct ResetSpec {
    ResetKind kind = ResetKind::ToCurrent;
    int64_t number = 0;  // ToOffset: the offset; ShiftBy: by how much; ToTime: milliseconds
    OffsetPlans plans;   // FromFile
};

struct ResetPlan {
    std::map<TopicPartition, int64_t> offsets;
    std::vector<std::string> warnings;         // offsets outside the log, set to its nearest end
    std::vector<TopicPartition> without_time;  // no record at or after the time: the end was taken
};

/// REQUIRES: for FromFile `partitions` is not looked at.
ResetPlan plan_reset(GroupClient& groups, const std::string& group, const ResetSpec& spec,
                     const std::set<TopicPartition>& partitions);

/// "topic" (every partition) and "topic:0,1,2". Fails on a topic that does not exist.
std::set<TopicPartition> partitions_of(Client& client, const std::vector<std::string>& arguments);

/// Fails unless each exists and has a leader.
void check_partitions(Client& client, const std::set<TopicPartition>& partitions);

/// Lines "topic,partition,offset" (when `group` is the only one) or "group,topic,partition,offset".
OffsetPlans parse_reset_csv(const std::string& text, const std::string& group);
std::string read_file(const std::string& path);

}  // namespace millrace::cli
