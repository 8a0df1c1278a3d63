// include/millrace/replication/replica_selector.h: the nearest replica for a consumer; pure.
//
// Sources: KIP-392; org.apache.kafka.common.replica.RackAwareReplicaSelector,
//   ReplicaManager.findPreferredReadReplica; dataplane.md C.3.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/ids.h"

namespace millrace::replication {

/// An in-sync follower that a client can reach.
struct ReadReplica {
    NodeId id;
    std::string rack;  // empty: none
    Offset log_end;
};

/// The follower in the consumer's rack that has most, among those that have `fetch_offset`; nothing
/// when the leader is in that rack, or no follower is: then the leader serves.
std::optional<NodeId> select_read_replica(std::string_view rack, std::string_view leader_rack,
                                          Offset fetch_offset,
                                          const std::vector<ReadReplica>& followers);

}  // namespace millrace::replication
