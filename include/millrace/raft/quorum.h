// include/millrace/raft/quorum.h: the metadata quorum of one node as a machine without I/O.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/rng.h"
#include "millrace/base/time.h"
#include "millrace/raft/log_view.h"
#include "millrace/raft/messages.h"
#include "millrace/raft/output.h"
#include "millrace/raft/voter_set.h"

namespace millrace::raft {

/// Settings, named as Kafka names them (controller.quorum.*), and who this node is.
struct QuorumConfig {
    ReplicaKey local;
    Endpoints local_endpoints;
    KRaftVersionRange local_versions;
    /// Role controller: may become a voter, so it syncs what it fetches before it counts.
    bool can_become_voter = true;
    /// controller.quorum.auto.join.enable: an observer asks to become a voter.
    bool auto_join = false;
    Duration election_timeout = milliseconds(1000);
    Duration election_backoff_max = milliseconds(1000);
    Duration fetch_timeout = milliseconds(2000);
    Duration request_timeout = milliseconds(2000);
    Duration retry_backoff = milliseconds(20);
    Duration append_linger = milliseconds(25);
    int32_t fetch_bytes_max = 1024 * 1024;
    int32_t fetch_snapshot_bytes_max = 1024 * 1024;
    uint32_t bootstrap_server_count = 0;  // addressed as NodeId(-2), NodeId(-3), ...
};

/// What a node knows when it starts.
struct QuorumStart {
    std::optional<ElectionState> election_state;  // contents of quorum-state; nothing: no file
    VoterSet static_voters;                       // controller.quorum.voters; empty: dynamic
    /// kraft.version and voters of the latest snapshot, if it has them.
    std::optional<int16_t> snapshot_kraft_version;
    std::optional<VoterSet> snapshot_voters;
    SnapshotId snapshot_id;
    /// Control batches of the log behind that snapshot, in order.
    std::vector<ReplicatedBatch> log_control_batches;
};

/// Control records that an upgrade of kraft.version appends: KRaftVersionRecord and VotersRecord.
inline constexpr int64_t kKRaftUpgradeRecords = 2;

enum class ProposeError { None, NotLeader, EpochMismatch, TooLarge, QueueFull };

struct ProposeResult {
    ProposeError error = ProposeError::None;
    Offset last_offset = kNoOffset;  // of the records just accepted
};

/// A replica as the leader sees it (DescribeQuorum).
struct ReplicaProgress {
    ReplicaKey key;
    Offset log_end_offset = kNoOffset;
    std::optional<Instant> last_fetch;
    std::optional<Instant> last_caught_up;
};

/// Why a request has no answer.
enum class RequestFailure {
    NoAnswer,      // the time was up, or the answer cannot be used
    Disconnected,  // the connection broke or was refused
    Unsupported    // the peer lacks the version
};

class QuorumMachine;

/// The KRaft replica (KafkaRaftClient and QuorumState of Kafka 4.3): Unattached, Prospective,
/// Candidate, Leader, Follower, Resigned; fetch-driven replication, pre-vote, check-quorum, static
/// voters (kraft.version 0), voters kept in the log and changed there (kraft.version 1).
///
/// Owner: broker/quorum_driver, on the shard that carries the metadata log.
/// Promises: the epoch never decreases; at most one vote per epoch; a leader never truncates; the
/// high watermark never decreases and never passes the log end; the same events with the same Rng
/// seed give the same outputs.
/// Requires: every event gets the same, cleared QuorumOutput, which is carried out whole before the
/// next event; appended records are reported with on_log_synced; `log` answers as of then.
class Quorum {
  public:
    Quorum(QuorumConfig config, const LogView& log, Rng rng);
    ~Quorum();
    Quorum(const Quorum&) = delete;
    Quorum& operator=(const Quorum&) = delete;

    /// First event. A lone voter leaves it as leader of a new epoch.
    void on_start(Instant now, QuorumStart start, QuorumOutput& out);
    void on_tick(Instant now, QuorumOutput& out);

    /// Accepts records for the log if this node leads `epoch`. They are appended together in one
    /// batch, now or within append_linger; a batch may carry several proposals.
    ProposeResult on_propose(Instant now, LeaderEpoch epoch, std::vector<Buffer> records,
                             QuorumOutput& out);
    /// Everything below `end_offset` is durable in the local log.
    void on_log_synced(Instant now, Offset end_offset, QuorumOutput& out);

    void on_vote(Instant now, RequestId id, const VoteRequest& request, QuorumOutput& out);
    void on_begin_quorum_epoch(Instant now, RequestId id, const BeginQuorumEpochRequest& request,
                               QuorumOutput& out);
    void on_end_quorum_epoch(Instant now, RequestId id, const EndQuorumEpochRequest& request,
                             QuorumOutput& out);
    void on_fetch(Instant now, RequestId id, const FetchRequest& request, QuorumOutput& out);
    void on_fetch_snapshot(Instant now, RequestId id, const FetchSnapshotRequest& request,
                           QuorumOutput& out);

    /// Membership (KIP-853): one change at a time, by the leader, in a VotersRecord that holds from
    /// the moment it is appended. Answered when it is committed, refused or overdue.
    void on_add_voter(Instant now, RequestId id, const AddVoterRequest& request, QuorumOutput& out);
    void on_remove_voter(Instant now, RequestId id, const RemoveVoterRequest& request,
                         QuorumOutput& out);
    void on_update_voter(Instant now, RequestId id, const UpdateVoterRequest& request,
                         QuorumOutput& out);
    /// What stands against kraft.version 1 now; nothing when this leader can raise it.
    std::optional<std::string> kraft_upgrade_problem() const;
    /// Raises kraft.version from 0 to 1 with kKRaftUpgradeRecords control records at next_offset().
    /// REQUIRES: kraft_upgrade_problem() is nothing.
    void on_upgrade_kraft_version(Instant now, QuorumOutput& out);

    /// The answer to the request of this correlation. Unknown correlations are ignored.
    void on_response(Instant now, uint64_t correlation, PeerResponse response, QuorumOutput& out);
    void on_request_failed(Instant now, uint64_t correlation, RequestFailure why,
                           QuorumOutput& out);

    /// The fetched snapshot replaced the log; what its header says about voters.
    void on_snapshot_loaded(Instant now, const SnapshotId& id, std::optional<int16_t> kraft_version,
                            std::optional<VoterSet> voters, QuorumOutput& out);
    /// Everything below `log_start_offset` is covered by a snapshot now.
    void on_log_start_moved(Offset log_start_offset);

    /// Gives leadership of `epoch` up (controller's wish); ignored in another state.
    void on_resign(Instant now, LeaderEpoch epoch, QuorumOutput& out);
    /// Orderly stop: a leader resigns and asks the best follower to stand.
    void on_shutdown(Instant now, QuorumOutput& out);

    QuorumRole role() const;
    LeaderEpoch epoch() const;
    NodeId leader_id() const;
    /// Endpoints of the leader, when one is known.
    Endpoints leader_endpoints() const;
    /// Nothing before this node knows what is committed.
    std::optional<Offset> high_watermark() const;
    /// Offset that the next proposal's first record gets; the log's end unless leading.
    Offset next_offset() const;
    const VoterSet& voters() const;
    /// kraft.version in force at the log's end.
    int16_t kraft_version() const;
    /// The voters and kraft.version in force at `offset`, for the header of a snapshot there.
    const VoterSet& voters_at(Offset offset) const;
    int16_t kraft_version_at(Offset offset) const;
    ElectionState election_state() const;
    /// Leader only: voters first, then observers; the leader's own row included.
    std::vector<ReplicaProgress> replicas(bool voters) const;

    /// Asserts what must hold between events; O(n), verify builds call it after every event.
    void check_invariants() const;
    /// State in fixed columns, one line, for transcripts and crash reports.
    std::string debug_line() const;

  private:
    std::unique_ptr<QuorumMachine> machine_;
};

}  // namespace millrace::raft
