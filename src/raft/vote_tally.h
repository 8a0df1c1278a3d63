// src/raft/vote_tally.h: who granted and who refused in one election round.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/raft/voter_set.h"

namespace millrace::raft {

/// Counts the answers of a fixed set of voters; the candidate's own vote is in from the start.
/// Source: org.apache.kafka.raft.internals.EpochElection.
class VoteTally {
  public:
    VoteTally(const VoterSet& voters, NodeId self);

    /// Records the first answer of a voter; answers of others are ignored.
    void record(NodeId voter, bool granted);
    bool is_granted() const { return granted_count_ >= majority_; }
    /// A majority is out of reach.
    bool is_rejected() const { return rejected_count_ > votes_.size() - majority_; }
    std::vector<NodeId> granting() const;
    std::vector<NodeId> unrecorded() const;

  private:
    enum class Vote { Unrecorded, Granted, Rejected };
    std::map<NodeId, Vote> votes_;
    size_t majority_;
    size_t granted_count_ = 0;
    size_t rejected_count_ = 0;
};

}  // namespace millrace::raft
