// src/raft/voter_set.cc: membership arithmetic of the quorum.
#include "millrace/raft/voter_set.h"

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::raft {

std::string ReplicaKey::to_string() const {
    std::string text = std::to_string(id.value);
    if (!directory_id.is_zero()) text += ":" + directory_id.to_string();
    return text;
}

bool Voter::same_as(const Voter& other) const {
    const auto sorted = [](Endpoints list) {
        std::sort(list.begin(), list.end(), [](const Endpoint& a, const Endpoint& b) {
            return a.listener < b.listener;
        });
        return list;
    };
    return key == other.key && versions == other.versions &&
           sorted(endpoints) == sorted(other.endpoints);
}

VoterSet::VoterSet(std::vector<Voter> voters) : voters_(std::move(voters)) {
    std::sort(voters_.begin(), voters_.end(),
              [](const Voter& a, const Voter& b) { return a.key.id < b.key.id; });
    for (size_t i = 1; i < voters_.size(); ++i) {
        MILLRACE_ASSERT(voters_[i - 1].key.id != voters_[i].key.id, "voter ids are unique");
    }
}

const Voter* VoterSet::find(NodeId id) const {
    for (const Voter& voter : voters_) {
        if (voter.key.id == id) return &voter;
    }
    return nullptr;
}

bool VoterSet::is_voter(const ReplicaKey& key) const {
    const Voter* voter = find(key.id);
    if (voter == nullptr) return false;
    // A set without directory ids (kraft.version 0) matches by node id alone.
    return voter->key.directory_id.is_zero() || voter->key.directory_id == key.directory_id;
}

bool VoterSet::is_only_voter(const ReplicaKey& key) const {
    return voters_.size() == 1 && is_voter(key);
}

std::optional<VoterSet> VoterSet::with(Voter added) const {
    if (find(added.key.id) != nullptr) return std::nullopt;
    std::vector<Voter> next = voters_;
    next.push_back(std::move(added));
    return VoterSet(std::move(next));
}

std::optional<VoterSet> VoterSet::without(const ReplicaKey& removed) const {
    const Voter* old = find(removed.id);
    if (old == nullptr || old->key != removed || voters_.size() == 1) return std::nullopt;
    std::vector<Voter> next;
    for (const Voter& voter : voters_) {
        if (voter.key.id != removed.id) next.push_back(voter);
    }
    return VoterSet(std::move(next));
}

std::optional<VoterSet> VoterSet::updated(Voter changed) const {
    if (!is_voter(changed.key)) return std::nullopt;
    std::vector<Voter> next = voters_;
    for (Voter& voter : next) {
        if (voter.key.id == changed.key.id) voter = changed;
    }
    return VoterSet(std::move(next));
}

std::optional<VoterSet> VoterSet::replaced(Voter changed) const {
    if (find(changed.key.id) == nullptr) return std::nullopt;
    std::vector<Voter> next = voters_;
    for (Voter& voter : next) {
        if (voter.key.id == changed.key.id) voter = changed;
    }
    return VoterSet(std::move(next));
}

bool VoterSet::overlaps_majority_of(const VoterSet& other) const {
    size_t common = 0;
    for (const Voter& voter : voters_) {
        const Voter* same = other.find(voter.key.id);
        if (same != nullptr && same->key == voter.key) ++common;
    }
    // One voter may come or go at a time; then any two majorities share a member.
    return voters_.size() - common + (other.voters_.size() - common) <= 1;
}

}  // namespace millrace::raft
