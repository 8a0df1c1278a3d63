// src/metadata/placement.h: which brokers get the replicas of new partitions.
//
// Source: StripedReplicaPlacer of 4.3.1 (kraft.md 2.6): leaders rotate over racks and brokers,
// replicas spread over racks, fenced brokers fill only non-leader places, brokers whose every log
// directory is cordoned (KIP-1066) get nothing new.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "millrace/base/rng.h"
#include "millrace/metadata/image.h"

namespace millrace::metadata {

struct PlacementError {
    std::string message;  // INVALID_REPLICATION_FACTOR's text
};
using Placement = std::vector<std::vector<NodeId>>;  // replicas per new partition, leader first

std::variant<Placement, PlacementError> place_replicas(const ClusterImage& cluster, Rng& rng,
                                                       int32_t partitions,
                                                       int16_t replication_factor);

}  // namespace millrace::metadata
