// src/raft/state_leader.cc: progress of replicas and the majority rule.
#include "raft/state_leader.h"

#include <algorithm>
#include <functional>

namespace millrace::raft {

void StateLeader::set_voters(const VoterSet& set) {
    std::map<NodeId, ReplicaState> next;
    for (const Voter& voter : set.voters()) {
        ReplicaState row;
        if (auto old = voters.find(voter.key.id);
            old != voters.end() && (old->second.key == voter.key ||
                                    old->second.key.directory_id.is_zero())) {
            row = old->second;
        } else if (auto seen = observers.find(voter.key); seen != observers.end()) {
            row = seen->second;  // an observer that became a voter keeps what it has
            observers.erase(seen);
        }
        row.key = voter.key;
        next.emplace(voter.key.id, row);
    }
    voters = std::move(next);
    std::erase_if(alive_voters, [&](NodeId id) { return !voters.contains(id); });
    std::erase_if(begin_epoch_pending, [&](NodeId id) { return !voters.contains(id); });
}

bool StateLeader::is_caught_up(Instant now, const ReplicaKey& observer) const {
    const auto row = observers.find(observer);
    return row != observers.end() && row->second.last_caught_up.has_value() &&
           row->second.last_fetch.has_value() &&
           now < *row->second.last_fetch + kNewVoterFetchedWithin;
}

void StateLeader::on_replica_fetch(Instant now, const VoterSet& set, const ReplicaKey& key,
                                   Offset fetch_offset, NodeId self) {
    if (key.id.value < 0 || key.id == self) return;
    ReplicaState* row = nullptr;
    if (set.is_voter(key)) {
        row = &voters[key.id];
    } else {
        if (!observers.contains(key) && observers.size() >= kObserverCountMax) return;
        row = &observers[key];
        row->key = key;
    }
    // Caught up as of now when it asks for the end; as of its last fetch when it asks for what was
    // the end then (ReplicaState.updateFollowerState).
    if (fetch_offset >= appended_end) {
        row->last_caught_up = now;
    } else if (row->last_fetch.has_value() && row->leader_end_at_last_fetch > Offset(0) &&
               fetch_offset >= row->leader_end_at_last_fetch) {
        row->last_caught_up = row->last_fetch;
    }
    row->last_fetch = now;
    row->leader_end_at_last_fetch = appended_end;
    row->end_offset = fetch_offset;
}

std::optional<Offset> StateLeader::majority_end(NodeId self) const {
    std::vector<Offset> ends;
    for (const auto& [id, row] : voters) {
        ends.push_back(id == self ? synced_end : row.end_offset.value_or(kNoOffset));
    }
    if (ends.empty()) return std::nullopt;
    std::sort(ends.begin(), ends.end(), std::greater<>());
    const Offset end = ends[ends.size() / 2];
    if (end < Offset(0)) return std::nullopt;
    return end;
}

bool StateLeader::note_voter_alive(const VoterSet& set, const ReplicaKey& key,
                                   const ReplicaKey& self) {
    if (!set.is_voter(key) || key.id == self.id) return false;
    alive_voters.insert(key.id);
    const size_t needed = set.majority() - (set.is_voter(self) ? 1 : 0);
    if (alive_voters.size() < needed) return false;
    alive_voters.clear();
    return true;
}

void StateLeader::expire_observers(Instant now) {
    for (auto it = observers.begin(); it != observers.end();) {
        const bool expired = it->second.last_fetch.has_value() &&
                             *it->second.last_fetch + kObserverSessionTimeout <= now;
        it = expired ? observers.erase(it) : std::next(it);
    }
}

std::vector<ReplicaKey> StateLeader::voters_by_progress(NodeId self) const {
    std::vector<const ReplicaState*> rows;
    for (const auto& [id, row] : voters) {
        if (id != self) rows.push_back(&row);
    }
    std::stable_sort(rows.begin(), rows.end(), [](const ReplicaState* a, const ReplicaState* b) {
        return a->end_offset.value_or(kNoOffset) > b->end_offset.value_or(kNoOffset);
    });
    std::vector<ReplicaKey> keys;
    for (const ReplicaState* row : rows)
        keys.push_back(row->key);
    return keys;
}

}  // namespace millrace::raft
