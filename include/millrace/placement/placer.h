// include/millrace/placement/placer.h: where the replicas of new partitions go.
//
// What: the controller's side of the engine, for CreateTopics and CreatePartitions on brokers with
// labels on two axes. Promises: no partition below the separation that the brokers allow (the score
// of src/placement/README.md); fenced brokers only where there are too few others, and never as
// leader; then the copies of one topic even over the brokers, then the copies of all; leaders as
// even as the chosen sets allow. The same seed gives the same places. Cost: a cheapest flow per
// partition, replication factor times brokers steps.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "millrace/base/rng.h"
#include "millrace/placement/snapshot.h"

namespace millrace::placement {

/// A broker that may take new replicas, and what it has.
struct Site {
    int32_t id = 0;
    std::vector<Label> labels;
    bool fenced = false;
    int64_t replicas = 0;
    int64_t leaders = 0;  // preferred ones
};

/// Whether the placer serves them: each has a label on the same two axes.
bool have_two_axes(const std::vector<Site>& sites);

/// The seed for new partitions of a topic, from number `first` on: a function of the name, so that
/// the command line can say what the controller will do.
uint64_t placement_seed(std::string_view topic, int32_t first);

/// Replicas per new partition of one topic, leader first. Adds them to the sites' counts.
/// REQUIRES: have_two_axes(sites); 1 <= replication_factor <= sites; one of them is not fenced.
std::vector<std::vector<int32_t>> place_new(std::vector<Site>& sites, int32_t partitions,
                                            int32_t replication_factor, Rng& rng);

}  // namespace millrace::placement
