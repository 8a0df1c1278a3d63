// tools/cli/group_lag.h: how far a group is behind, in records and in time.
#pragma once

#include <optional>
#include <vector>

#include "cli/group_client.h"

namespace millrace::cli {

struct PartitionLag {
    TopicPartition partition;
    std::optional<int64_t> committed;
    std::optional<int64_t> end;
    std::optional<int64_t> lag;        // records
    std::optional<int64_t> behind_ms;  // newest timestamp minus that at the committed offset
    const GroupMember* member = nullptr;
};

/// One row per partition that is assigned or committed, by topic and partition. `group` must
/// outlive them.
std::vector<PartitionLag> lag_of(GroupClient& groups, const GroupDescription& group);

struct LagTotal {
    int64_t lag = 0;
    int64_t behind_ms = 0;  // the partition that is furthest behind
    int64_t unread = 0;     // partitions without a committed offset
};
LagTotal total_of(const std::vector<PartitionLag>& rows);

}  // namespace millrace::cli
