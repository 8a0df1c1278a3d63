// src/replication/replica_selector.cc: the nearest replica for a consumer.
#include "millrace/replication/replica_selector.h"

namespace millrace::replication {

std::optional<NodeId> select_read_replica(std::string_view rack, std::string_view leader_rack,
                                          Offset fetch_offset,
                                          const std::vector<ReadReplica>& followers) {
    if (rack.empty() || rack == leader_rack) return std::nullopt;
    const ReadReplica* best = nullptr;
    for (const ReadReplica& follower : followers) {
        if (follower.rack != rack || follower.log_end < fetch_offset) continue;
        const bool better = best == nullptr || follower.log_end > best->log_end ||
                            (follower.log_end == best->log_end && follower.id > best->id);
        if (better) best = &follower;
    }
    if (best == nullptr) return std::nullopt;
    return best->id;
}

}  // namespace millrace::replication
