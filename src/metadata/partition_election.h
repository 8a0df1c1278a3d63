// src/metadata/partition_election.h: who leads a partition, and what its next state is; pure rules.
//
// Everything that changes a partition (fencing, AlterPartition, elections, reassignment, directory
// assignment) states what it wants as a PartitionTargets and gets the one change record's content.
// Source: PartitionChangeBuilder, PartitionReassignmentReplicas of 4.3.1; KIP-966 for ELR.
#pragma once

#include <optional>
#include <vector>

#include "millrace/metadata/image.h"

namespace millrace::metadata {

enum class ElectionMode { Online, Unclean, Preferred };

/// May `node` lead this partition now: registered, unfenced, not shutting down, and the directory
/// of its replica online. `removed` brokers count as gone, `added` as active already.
struct LeaderAcceptor {
    const ClusterImage& cluster;
    const PartitionImage& partition;
    NodeId removed = kNoNode;
    NodeId added = kNoNode;
    bool operator()(NodeId node) const;
};

/// What the caller wants; unset fields keep the partition's value.
struct PartitionTargets {
    std::optional<std::vector<NodeId>> isr;
    std::optional<std::vector<NodeId>> replicas;
    std::optional<std::vector<NodeId>> removing;
    std::optional<std::vector<NodeId>> adding;
    std::optional<LeaderRecoveryState> recovery;
    NodeId unclean_shutdown = kNoNode;  // leaves ELR too
    std::optional<std::pair<NodeId, Uuid>> directory;
    ElectionMode election = ElectionMode::Online;
};

struct ElectionRules {
    int16_t metadata_version = 0;
    bool elr = false;
    int32_t min_isr = 1;  // already limited to the replica count
};

inline constexpr NodeId kLeaderUnchanged{-2};

/// Content of a PartitionChangeRecord; unset = unchanged.
struct PartitionChange {
    std::optional<std::vector<NodeId>> isr;
    NodeId leader = kLeaderUnchanged;
    std::optional<std::vector<NodeId>> replicas;
    std::optional<std::vector<NodeId>> removing;
    std::optional<std::vector<NodeId>> adding;
    std::optional<LeaderRecoveryState> recovery;
    std::optional<std::vector<NodeId>> elr;
    std::optional<std::vector<NodeId>> last_known_elr;
    std::optional<std::vector<Uuid>> directories;

    bool empty() const;
    friend bool operator==(const PartitionChange&, const PartitionChange&) = default;
};

/// The change that leads from `partition` to `targets`, or nothing when there is none to make.
std::optional<PartitionChange> decide_partition_change(const PartitionImage& partition,
                                                       const PartitionTargets& targets,
                                                       const LeaderAcceptor& acceptable,
                                                       const ElectionRules& rules);

/// `partition` after `change`: what every replayer does with the record.
PartitionImage merge_partition(const PartitionImage& partition, const PartitionChange& change);

/// The directory a new replica on `broker` starts in: its only one, UNASSIGNED when it has several
/// or is unknown, MIGRATING when it registered none.
Uuid default_directory(const ClusterImage& cluster, NodeId broker);

}  // namespace millrace::metadata
