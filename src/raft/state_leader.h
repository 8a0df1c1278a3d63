// src/raft/state_leader.h: what only a leader keeps: progress of replicas, high watermark, waiters.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/raft/messages.h"
#include "millrace/raft/quorum.h"
#include "raft/accumulator.h"

namespace millrace::raft {

/// Fetches parked at once; beyond it a fetch is answered without waiting.
inline constexpr size_t kParkedFetchCountMax = 4096;
/// Observers tracked at once; others are served but not listed.
inline constexpr size_t kObserverCountMax = 4096;
/// LeaderState.OBSERVER_SESSION_TIMEOUT_MS.
inline constexpr Duration kObserverSessionTimeout = seconds(300);

struct ReplicaState {
    ReplicaKey key;
    std::optional<Offset> end_offset;
    std::optional<Instant> last_fetch;
    std::optional<Instant> last_caught_up;
    Offset leader_end_at_last_fetch = kNoOffset;
};

/// How recent the last fetch of a new voter must be (LeaderState.isReplicaCaughtUp).
inline constexpr Duration kNewVoterFetchedWithin = seconds(3600);

/// AddRaftVoter or RemoveRaftVoter under way (AddVoterHandlerState, RemoveVoterHandlerState).
struct VoterChangeUnderWay {
    std::optional<RequestId> request;  // nothing: answered already
    std::optional<Voter> added;        // nothing: a removal
    bool ack_when_committed = true;
    Instant deadline;
    std::optional<Offset> offset;  // of the VotersRecord; nothing while the new voter is asked
};

struct ParkedFetch {
    FetchRequest request;
    Instant deadline;
};

/// Source: org.apache.kafka.raft.LeaderState.
struct StateLeader {
    StateLeader(LeaderEpoch epoch, Offset start, std::vector<NodeId> granting)
        : epoch_start_offset(start),
          granting_voters(std::move(granting)),
          accumulator(epoch, start),
          appended_end(start),
          synced_end(start) {}

    /// Adjusts the rows to a new voter set; progress of those that stay is kept.
    void set_voters(const VoterSet& voters);
    /// Notes that a replica asked for `fetch_offset`.
    void on_replica_fetch(Instant now, const VoterSet& voters, const ReplicaKey& key,
                          Offset fetch_offset, NodeId self);
    /// The offset that a majority of `voters` has; nothing while too few are known.
    std::optional<Offset> majority_end(NodeId self) const;
    /// Evidence of a majority since the last call that returned true (check-quorum).
    bool note_voter_alive(const VoterSet& voters, const ReplicaKey& key, const ReplicaKey& self);
    /// Has been at this leader's log end once, and lately fetched.
    bool is_caught_up(Instant now, const ReplicaKey& observer) const;
    void expire_observers(Instant now);
    /// Other voters, most caught up first.
    std::vector<ReplicaKey> voters_by_progress(NodeId self) const;

    Offset epoch_start_offset;
    std::vector<NodeId> granting_voters;
    Accumulator accumulator;
    Offset appended_end;  // written, perhaps not synced
    Offset synced_end;    // counts as this leader's own progress
    std::map<NodeId, ReplicaState> voters;
    std::map<ReplicaKey, ReplicaState> observers;
    std::set<NodeId> alive_voters;
    Instant check_quorum_deadline = Instant::never();
    Instant begin_epoch_at = Instant::never();
    std::set<NodeId> begin_epoch_pending;
    std::map<RequestId, ParkedFetch> parked;
    std::optional<VoterChangeUnderWay> change;
    /// kraft.version 0: the voters with the directory ids and versions they told this leader.
    VoterSet told_voters;
    bool resign_requested = false;
};

}  // namespace millrace::raft
