// src/raft/vote_tally.cc: counting votes.
#include "raft/vote_tally.h"

namespace millrace::raft {

VoteTally::VoteTally(const VoterSet& voters, NodeId self) : majority_(voters.majority()) {
    for (const Voter& voter : voters.voters())
        votes_[voter.key.id] = Vote::Unrecorded;
    record(self, true);
}

void VoteTally::record(NodeId voter, bool granted) {
    auto it = votes_.find(voter);
    if (it == votes_.end() || it->second != Vote::Unrecorded) return;
    it->second = granted ? Vote::Granted : Vote::Rejected;
    ++(granted ? granted_count_ : rejected_count_);
}

std::vector<NodeId> VoteTally::granting() const {
    std::vector<NodeId> ids;
    for (const auto& [id, vote] : votes_) {
        if (vote == Vote::Granted) ids.push_back(id);
    }
    return ids;
}

std::vector<NodeId> VoteTally::unrecorded() const {
    std::vector<NodeId> ids;
    for (const auto& [id, vote] : votes_) {
        if (vote == Vote::Unrecorded) ids.push_back(id);
    }
    return ids;
}

}  // namespace millrace::raft
