// src/raft/machine.h: the quorum's state and its event handlers, behind the door quorum.h.
//
// One class, several files by subject: machine.cc (start, transitions, timers), machine_election.cc
// (votes), machine_voters.cc (membership), machine_leader.cc (appends, high watermark, serving fetches), machine_follower.cc
// (fetching), machine_debug.cc (invariants and printing). Source: KafkaRaftClient, QuorumState.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "millrace/raft/quorum.h"
#include "raft/peer_links.h"
#include "raft/state_leader.h"
#include "raft/vote_tally.h"
#include "raft/voter_history.h"

namespace millrace::raft {

/// No quorum gets here by elections; one frame that says so must not use all epochs up.
inline constexpr int32_t kEpochMax = INT32_MAX - (1 << 20);

/// No leader to follow. The leader's id may be known without a way to reach it.
struct StateUnattached {
    NodeId leader_id = kNoNode;
    ReplicaKey voted;
    Instant election_deadline = Instant::never();
};
/// Asks whether it would win before it disturbs anybody (KIP-996). Keeps leader and vote.
struct StateProspective {
    NodeId leader_id = kNoNode;
    Endpoints leader_endpoints;
    ReplicaKey voted;
    VoteTally tally;
    Instant election_deadline;
};
struct StateCandidate {
    VoteTally tally;
    Instant election_deadline;
};
struct StateFollower {
    NodeId leader_id;
    Endpoints leader_endpoints;
    ReplicaKey voted;
    Instant fetch_deadline;
    bool has_fetched_from_leader = false;
    std::optional<SnapshotId> fetching_snapshot;
    int64_t snapshot_position = 0;
    /// When it is looked at next whether the leader has to hear of this voter, or to take it in.
    Instant update_voter_at;
    bool has_updated_leader = false;
    int leader_lost_count = 0;  // connections to the leader that broke in a row
};
/// Was leader; asks the others to elect, and does nothing else until its timer.
struct StateResigned {
    std::vector<NodeId> unacknowledged;
    std::vector<ReplicaKey> preferred_candidates;
    Instant election_deadline;
};

using QuorumState = std::variant<StateUnattached, StateProspective, StateCandidate, StateLeader,
                                 StateFollower, StateResigned>;

class QuorumMachine {
  public:
    QuorumMachine(QuorumConfig config, const LogView& log, Rng rng);

    /// Before every event: what earlier outputs ordered is done by now.
    void begin_event() { log_changed_ = false; }
    bool failed() const { return failed_; }
    void start(Instant now, QuorumStart start, QuorumOutput& out);
    ProposeResult propose(Instant now, LeaderEpoch epoch, std::vector<Buffer> records,
                          QuorumOutput& out);
    void log_synced(Instant now, Offset end_offset, QuorumOutput& out);
    void vote(Instant now, RequestId id, const VoteRequest& request, QuorumOutput& out);
    void begin_epoch(Instant now, RequestId id, const BeginQuorumEpochRequest& request,
                     QuorumOutput& out);
    void end_epoch(Instant now, RequestId id, const EndQuorumEpochRequest& request,
                   QuorumOutput& out);
    void fetch(Instant now, RequestId id, const FetchRequest& request, QuorumOutput& out);
    void fetch_snapshot(Instant now, RequestId id, const FetchSnapshotRequest& request,
                        QuorumOutput& out);
    void add_voter(Instant now, RequestId id, const AddVoterRequest& request, QuorumOutput& out);
    void remove_voter(Instant now, RequestId id, const RemoveVoterRequest& request,
                      QuorumOutput& out);
    void update_voter(Instant now, RequestId id, const UpdateVoterRequest& request,
                      QuorumOutput& out);
    std::optional<std::string> kraft_upgrade_problem() const;
    void upgrade_kraft_version(Instant now, QuorumOutput& out);
    void response(Instant now, uint64_t correlation, PeerResponse response, QuorumOutput& out);
    void request_failed(Instant now, uint64_t correlation, RequestFailure why, QuorumOutput& out);
    void snapshot_loaded(const SnapshotId& id, std::optional<int16_t> kraft_version,
                         std::optional<VoterSet> voters);
    void resign(LeaderEpoch epoch);
    void shutdown() { shutting_down_ = true; }
    /// Acts on what is due, sends what can be sent, sets wake_at: the end of every event.
    void drive(Instant now, QuorumOutput& out);

    QuorumRole role() const { return static_cast<QuorumRole>(state_.index()); }
    LeaderEpoch epoch() const { return epoch_; }
    NodeId leader_id() const;
    Endpoints leader_endpoints() const;
    std::optional<Offset> high_watermark() const { return high_watermark_; }
    Offset next_offset() const;
    VoterHistory& history() { return history_; }
    const VoterHistory& history() const { return history_; }
    ElectionState election_state() const;
    std::vector<ReplicaProgress> replicas(bool voters) const;
    void check_invariants() const;
    std::string debug_line() const;

  private:
    // machine.cc
    bool is_voter() const { return history_.last().is_voter(config_.local); }
    ReplicaKey voted() const;
    Instant random_election_deadline(Instant now);
    Endpoints endpoints_of(NodeId id) const;
    void note_role(QuorumOutput& out);
    void persist(QuorumOutput& out);
    void to_unattached(Instant now, LeaderEpoch epoch, NodeId leader_id, QuorumOutput& out);
    void to_prospective(Instant now, QuorumOutput& out);
    void to_candidate(Instant now, QuorumOutput& out);
    void to_leader(Instant now, QuorumOutput& out);
    void to_follower(Instant now, LeaderEpoch epoch, NodeId leader_id, Endpoints endpoints,
                     QuorumOutput& out);
    void to_resigned(Instant now, std::vector<ReplicaKey> preferred, QuorumOutput& out);
    /// Epoch or leader heard from a peer; false when the message contradicts what must hold.
    bool learn(Instant now, LeaderEpoch epoch, NodeId leader_id, const Endpoints& endpoints,
               QuorumOutput& out);
    void fail(QuorumOutput& out, std::string why);
    void enter(QuorumState next, bool durable, QuorumOutput& out);
    std::vector<NodeId> other_voters() const;
    bool send(Instant now, NodeId to, Endpoints endpoints, RequestKind kind, PeerRequest request,
              QuorumOutput& out);
    bool step(Instant now, QuorumOutput& out);
    void set_wake(Instant now, QuorumOutput& out) const;

    // machine_election.cc
    ErrorCode check_voter_request(LeaderEpoch request_epoch, NodeId sender) const;
    ErrorCode check_leader_request(LeaderEpoch request_epoch, NodeId leader) const;
    bool is_this_voter_key(const ReplicaKey& key) const;
    VoteResponse vote_response(ErrorCode error, bool granted) const;
    EpochResponse epoch_response(ErrorCode error) const;
    bool decide_vote(Instant now, const VoteRequest& request, QuorumOutput& out);
    void send_votes(Instant now, QuorumOutput& out);
    void on_vote_response(Instant now, const PeerLinks::InFlight& request,
                          const VoteResponse& response, QuorumOutput& out);
    void after_tally(Instant now, QuorumOutput& out);
    void prospective_lost(Instant now, QuorumOutput& out);
    bool step_resigned(Instant now, StateResigned& state, QuorumOutput& out);
    void on_epoch_response(Instant now, const PeerLinks::InFlight& request,
                           const EpochResponse& response, QuorumOutput& out);

    // machine_leader.cc
    void append_epoch_start(StateLeader& leader, QuorumOutput& out);
    void append_pending(Instant now, StateLeader& leader, QuorumOutput& out);
    void update_high_watermark(Instant now, StateLeader& leader, QuorumOutput& out);
    bool step_leader(Instant now, StateLeader& leader, QuorumOutput& out);
    ErrorCode check_leadership(LeaderEpoch request_epoch) const;
    FetchResponse fetch_response(ErrorCode error) const;
    /// The answer as things stand; nothing when the request may wait.
    std::optional<FetchResponse> try_fetch(Instant now, const FetchRequest& request, bool may_wait,
                                           QuorumOutput& out);
    void note_alive(Instant now, StateLeader& leader, const ReplicaKey& key);
    void retry_parked(Instant now, QuorumOutput& out);
    bool position_is_valid(const FetchRequest& request, FetchResponse& response) const;

    // machine_voters.cc
    Voter local_voter() const;
    VoterChangeResponse voter_response(ErrorCode error, std::string message = {}) const;
    bool names_default_listener(const Endpoints& endpoints) const;
    /// Not led here, or not a voter at all.
    std::optional<VoterChangeResponse> refuse_voter(const ReplicaKey& voter) const;
    std::optional<VoterChangeResponse> refuse_change(bool needs_kraft_version) const;
    void append_control(Instant now, StateLeader& leader, std::vector<ControlRecord> records,
                        QuorumOutput& out);
    void finish_change(StateLeader& leader, ErrorCode error, std::string message,
                       QuorumOutput& out);
    void check_change_committed(StateLeader& leader, QuorumOutput& out);
    void on_versions_response(Instant now, NodeId from, const VersionsResponse& response,
                              QuorumOutput& out);
    bool send_own_voter(Instant now, StateFollower& follower, QuorumOutput& out);
    void on_voter_change_response(Instant now, const PeerLinks::InFlight& request,
                                  const VoterChangeResponse& response, QuorumOutput& out);

    // machine_follower.cc
    void send_fetch(Instant now, QuorumOutput& out);
    void note_leader_lost(Instant now, StateFollower& follower);
    std::vector<NodeId> discovery_targets() const;
    FetchRequest make_fetch() const;
    void on_fetch_response(Instant now, const PeerLinks::InFlight& request, FetchResponse response,
                           QuorumOutput& out);
    void on_diverging(const EpochEndOffset& diverging, QuorumOutput& out);
    void append_fetched(std::vector<ReplicatedBatch> batches, QuorumOutput& out);
    void follow_high_watermark(Offset leader_high_watermark, QuorumOutput& out);
    void on_fetch_snapshot_response(Instant now, const PeerLinks::InFlight& request,
                                    FetchSnapshotResponse response, QuorumOutput& out);
    /// Epoch and leader of any response; true when the rest of it may be used.
    bool accept_response(Instant now, const PeerLinks::InFlight& request, ErrorCode error,
                         LeaderEpoch epoch, NodeId leader_id, const Endpoints& endpoints,
                         QuorumOutput& out);

    QuorumConfig config_;
    const LogView& log_;
    Rng rng_;
    VoterHistory history_;
    PeerLinks links_;
    QuorumState state_;
    LeaderEpoch epoch_{0};
    std::optional<Offset> high_watermark_;  // of the current state; a new leader forgets it
    Offset committed_{-1};                  // largest high watermark ever told
    Offset replicated_end_{0};              // follower: end after the appends ordered so far
    bool log_changed_ = false;              // this event ordered a change the log has not done yet
    bool awaiting_sync_ = false;            // follower: the last append is not durable yet
    bool shutting_down_ = false;
    bool failed_ = false;
    std::optional<RoleChange> last_role_;
};

}  // namespace millrace::raft
