// include/millrace/raft/voter_set.h: who votes in the metadata quorum, and what a majority is.
//
// Values only. A voter is a replica key (node id and directory id): the same node with a new disk
// is somebody else (KIP-853). In a static quorum (kraft.version 0) directory ids are zero and match
// anything. Source of the rules: org.apache.kafka.raft.VoterSet, ReplicaKey.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/uuid.h"

namespace millrace::raft {

/// Node id and id of the directory that holds its metadata log; a zero directory id means unknown.
struct ReplicaKey {
    NodeId id = kNoNode;
    Uuid directory_id;
    friend auto operator<=>(const ReplicaKey&, const ReplicaKey&) = default;
    std::string to_string() const;
};

/// Where a controller listens, by listener name.
struct Endpoint {
    std::string listener;
    std::string host;
    uint16_t port = 0;
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};
using Endpoints = std::vector<Endpoint>;

/// The kraft.version range a voter can run.
struct KRaftVersionRange {
    int16_t min = 0;
    int16_t max = 1;
    friend bool operator==(const KRaftVersionRange&, const KRaftVersionRange&) = default;
};

struct Voter {
    ReplicaKey key;
    Endpoints endpoints;
    KRaftVersionRange versions;
    friend bool operator==(const Voter&, const Voter&) = default;
    /// Equal but for the order in which the listeners are named.
    bool same_as(const Voter& other) const;
};

/// The voters at one point of the log, sorted by node id; ids are unique. Immutable: a change of
/// membership makes a new set.
class VoterSet {
  public:
    VoterSet() = default;
    /// Sorts. REQUIRES: ids are unique.
    explicit VoterSet(std::vector<Voter> voters);

    bool empty() const { return voters_.empty(); }
    size_t size() const { return voters_.size(); }
    const std::vector<Voter>& voters() const { return voters_; }
    /// Votes needed to win an election: floor(n / 2) + 1.
    size_t majority() const { return voters_.size() / 2 + 1; }
    /// Null when the id is in no key of the set.
    const Voter* find(NodeId id) const;
    /// True when the key votes: same id, and same directory unless the set does not know it.
    bool is_voter(const ReplicaKey& key) const;
    /// True when `key` is the one voter, so that elections need nobody else.
    bool is_only_voter(const ReplicaKey& key) const;

    /// Nothing when the id is already in the set.
    std::optional<VoterSet> with(Voter added) const;
    /// Nothing when exactly this key is not in the set, or when the set would become empty.
    std::optional<VoterSet> without(const ReplicaKey& removed) const;
    /// The set with this voter's endpoints and versions replaced; nothing when it does not vote.
    std::optional<VoterSet> updated(Voter changed) const;
    /// The same, whatever directory id the set knows for this node id (kraft.version 0).
    std::optional<VoterSet> replaced(Voter changed) const;
    /// Old and new may follow each other directly only when every pair of majorities overlaps.
    bool overlaps_majority_of(const VoterSet& other) const;
    friend bool operator==(const VoterSet&, const VoterSet&) = default;

  private:
    std::vector<Voter> voters_;
};

}  // namespace millrace::raft
