// src/metadata/partition_indexes.h: which partitions a broker or directory matters for.
//
// Derived from the image, kept beside it by the controller only: fencing one broker must not walk
// every topic. The indexes count partitions per owner and topic; a question walks the partitions
// of the topics that count. That keeps the trees small (loading a million partitions touches an
// index node per topic and batch, not per partition) at the price of looking at neighbours.
// All are persistent, so they go back in time with the image.
// Source: BrokersToIsrs, BrokersToElrs, imbalancedPartitions, directoriesToPartitions of 4.3.1.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "millrace/metadata/delta.h"
#include "millrace/metadata/image.h"

namespace millrace::metadata {

struct PartitionKey {
    Uuid topic;
    PartitionIndex index;
    friend auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};

class PartitionIndexes {
  public:
    /// Brings the indexes from `before` to `after`; `changes` says where they differ.
    void apply(const Image& before, const Image& after, const Changes& changes);

    // Answers are in key order; `image` is the one the indexes were last brought to.
    std::vector<PartitionKey> in_isr(const Image& image, NodeId broker) const;
    std::vector<PartitionKey> in_elr(const Image& image, NodeId broker) const;
    std::vector<PartitionKey> in_directory(const Image& image, const Uuid& directory) const;
    bool has_leaderships(NodeId broker) const;
    std::vector<PartitionKey> leaderless(const Image& image) const;
    /// Led by another than their first replica.
    std::vector<PartitionKey> imbalanced(const Image& image) const;
    std::vector<PartitionKey> reassigning(const Image& image) const;
    /// Replicas assigned to a broker, and partitions that name it first.
    int64_t replicas_of(NodeId broker) const;
    int64_t preferred_by(NodeId broker) const;

  private:
    // Partitions per (owner, topic) and per topic; absent means none.
    using BrokerCounts = PersistentMap<std::pair<NodeId, Uuid>, int32_t>;
    using DirectoryCounts = PersistentMap<std::pair<Uuid, Uuid>, int32_t>;
    using TopicCounts = PersistentMap<Uuid, int32_t>;
    using Totals = PersistentMap<NodeId, int32_t>;
    struct Tally;

    void add(const Tally& tally);

    BrokerCounts isr_;
    BrokerCounts leaders_;
    BrokerCounts elr_;
    DirectoryCounts directories_;
    TopicCounts leaderless_;
    TopicCounts imbalanced_;
    TopicCounts reassigning_;
    Totals replicas_;
    Totals preferred_;
};

}  // namespace millrace::metadata
