// src/metadata/partition_indexes.h: which partitions a broker or directory matters for.
//
// Derived from the image, kept beside it by the controller only: fencing one broker must not walk
// every topic. All sets are persistent, so they go back in time with the image. Cost per changed
// partition: O((|ISR| + |ELR| + |replicas|) log n).
// Source: BrokersToIsrs, BrokersToElrs, imbalancedPartitions, directoriesToPartitions of 4.3.1.
#pragma once

#include <compare>
#include <optional>
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

    std::vector<PartitionKey> in_isr(NodeId broker) const { return under(isr_, broker); }
    std::vector<PartitionKey> in_elr(NodeId broker) const { return under(elr_, broker); }
    std::vector<PartitionKey> in_directory(const Uuid& id) const { return under(directories_, id); }
    bool has_leaderships(NodeId broker) const;
    const PersistentMap<PartitionKey, bool>& leaderless() const { return leaderless_; }
    /// Led by another than their first replica.
    const PersistentMap<PartitionKey, bool>& imbalanced() const { return imbalanced_; }
    const PersistentMap<PartitionKey, bool>& reassigning() const { return reassigning_; }

  private:
    template <class Owner>
    struct Member {
        Owner owner;
        PartitionKey partition;
        friend auto operator<=>(const Member&, const Member&) = default;
    };
    template <class Owner>
    using Members = PersistentMap<Member<Owner>, bool>;

    template <class Owner>
    static std::vector<PartitionKey> under(const Members<Owner>& members, const Owner& owner);
    void update(const PartitionKey& key, const PartitionImage* before, const PartitionImage* after);

    Members<NodeId> isr_;
    Members<NodeId> leaders_;
    Members<NodeId> elr_;
    Members<Uuid> directories_;
    PersistentMap<PartitionKey, bool> leaderless_;
    PersistentMap<PartitionKey, bool> imbalanced_;
    PersistentMap<PartitionKey, bool> reassigning_;
};

}  // namespace millrace::metadata
