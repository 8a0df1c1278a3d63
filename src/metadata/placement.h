// src/metadata/placement.h: which brokers get the replicas of new partitions.
//
// Brokers whose racks name a fault domain and an update domain (FD0UD1, /a/b) are served by the
// placement engine: every replica in domains of its own wherever that is possible. Where any rack is
// plain or absent: StripedReplicaPlacer of 4.3.1 (kraft.md 2.6), leaders rotate over racks and
// brokers, replicas spread over racks, fenced brokers fill only non-leader places. Either way brokers
// whose every log directory is cordoned (KIP-1066) get nothing new, and refusals are Kafka's.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "metadata/partition_indexes.h"
#include "millrace/base/rng.h"
#include "millrace/metadata/image.h"
#include "millrace/placement/placer.h"

namespace millrace::metadata {

struct PlacementError {
    std::string message;  // INVALID_REPLICATION_FACTOR's text
};
using Placement = std::vector<std::vector<NodeId>>;  // replicas per new partition, leader first

/// Every log directory is cordoned.
bool fully_cordoned(const BrokerImage& broker);

/// The placements of one command: a topic sees what the ones before it were given.
class ReplicaPlacer {
  public:
    ReplicaPlacer(const ClusterImage& cluster, const PartitionIndexes& loads, Rng& rng);

    /// For the new partitions of one topic, from number `first` on.
    std::variant<Placement, PlacementError> place(std::string_view topic, int32_t first,
                                                  int32_t partitions, int16_t replication_factor);

  private:
    std::string refusal(int16_t replication_factor) const;

    const ClusterImage& cluster_;
    Rng& rng_;
    size_t unfenced_ = 0;
    std::vector<placement::Site> sites_;  // in id order
    bool two_axes_ = false;
};

}  // namespace millrace::metadata
