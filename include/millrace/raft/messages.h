// include/millrace/raft/messages.h: what quorum nodes say to each other, as plain structs.
//
// One struct per direction of Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch, FetchSnapshot and the
// changes of membership, reduced to the one partition of the metadata topic. The driver (broker/quorum_driver) translates
// them to and from Kafka's wire, checks cluster id, topic and partition, and never interprets the
// rest. Rules: kraft protocol of KIP-595, pre-vote
// of KIP-996, membership of KIP-853.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/raft/voter_set.h"

namespace millrace::raft {

/// Names one request that waits inside the machine; chosen by the driver, unique while it waits.
using RequestId = uint64_t;

/// End offset (exclusive) and epoch of the last record it contains.
struct SnapshotId {
    Offset end_offset{0};
    LeaderEpoch epoch{0};
    friend auto operator<=>(const SnapshotId&, const SnapshotId&) = default;
};
/// The snapshot that format writes (0-0): voters only, read at start, never served to others.
inline constexpr SnapshotId kBootstrapSnapshotId{};

/// A point of a log: where an epoch ends (exclusive).
struct EpochEndOffset {
    LeaderEpoch epoch{0};
    Offset end_offset{0};
    friend auto operator<=>(const EpochEndOffset&, const EpochEndOffset&) = default;
};

// Control records of the metadata log (key types 2, 5 and 6); driver and record floor encode them.

struct LeaderChange {
    NodeId leader_id;
    std::vector<NodeId> voters;
    std::vector<NodeId> granting_voters;
    friend bool operator==(const LeaderChange&, const LeaderChange&) = default;
};
struct KRaftVersionChange {
    int16_t kraft_version = 0;
    friend bool operator==(const KRaftVersionChange&, const KRaftVersionChange&) = default;
};
struct VotersChange {
    VoterSet voters;
    friend bool operator==(const VotersChange&, const VotersChange&) = default;
};
using ControlRecord = std::variant<LeaderChange, KRaftVersionChange, VotersChange>;

/// A batch as a follower received it or a node found it in its own log: where it stands, and the
/// control records in it, already decoded. `bytes` may be empty when the batch is on disk already.
struct ReplicatedBatch {
    Offset base_offset;
    Offset last_offset;
    LeaderEpoch epoch;
    std::vector<ControlRecord> control_records;  // empty for a data batch
    Buffer bytes;
};

struct VoteRequest {
    ReplicaKey candidate;
    ReplicaKey voter;            // the receiver as the candidate knows it; id -1: unchecked
    LeaderEpoch epoch;           // a pre-vote asks in the current epoch, a vote in the new one
    LeaderEpoch last_epoch;      // of the candidate's log
    Offset end_offset;           // of the candidate's log
    bool pre_vote = false;
};
struct VoteResponse {
    ErrorCode error = ErrorCode::None;
    NodeId leader_id = kNoNode;
    LeaderEpoch epoch{0};
    bool vote_granted = false;
    Endpoints leader_endpoints;
};

struct BeginQuorumEpochRequest {
    ReplicaKey voter;
    NodeId leader_id;
    LeaderEpoch epoch;
    Endpoints leader_endpoints;
};
struct EndQuorumEpochRequest {
    NodeId leader_id;
    LeaderEpoch epoch;
    std::vector<ReplicaKey> preferred_candidates;  // most caught up first
    Endpoints leader_endpoints;
};
/// Answer to both.
struct EpochResponse {
    ErrorCode error = ErrorCode::None;
    NodeId leader_id = kNoNode;
    LeaderEpoch epoch{0};
    Endpoints leader_endpoints;
};

struct FetchRequest {
    ReplicaKey replica;              // id -1: a reader that does not replicate
    LeaderEpoch current_leader_epoch;
    Offset fetch_offset;
    LeaderEpoch last_fetched_epoch;
    Offset high_watermark{INT64_MAX};  // the sender's; the default never waits for it
    Duration max_wait;
    int32_t bytes_max = 0;
};
/// Says what to send; the driver reads `read_from`..log end, whole batches, at least one, at most
/// `bytes_max` bytes, when the position is valid.
struct FetchResponse {
    ErrorCode error = ErrorCode::None;
    NodeId leader_id = kNoNode;
    LeaderEpoch epoch{0};
    Endpoints leader_endpoints;
    Offset high_watermark = kNoOffset;
    Offset log_start_offset{0};
    std::optional<EpochEndOffset> diverging_epoch;
    std::optional<SnapshotId> snapshot_id;
    std::optional<Offset> read_from;           // leader side: where the records start
    int32_t bytes_max = 0;                     // leader side: bound of what is read
    std::vector<ReplicatedBatch> batches;      // follower side: what arrived
};

struct FetchSnapshotRequest {
    ReplicaKey replica;
    LeaderEpoch current_leader_epoch;
    SnapshotId snapshot_id;
    int64_t position = 0;
    int32_t bytes_max = 0;
};
struct FetchSnapshotResponse {
    ErrorCode error = ErrorCode::None;
    NodeId leader_id = kNoNode;
    LeaderEpoch epoch{0};
    Endpoints leader_endpoints;
    SnapshotId snapshot_id;
    int64_t size_bytes = 0;                    // of the whole snapshot
    int64_t position = 0;
    int32_t bytes_max = 0;                     // leader side: the driver reads at most this
    Buffer bytes;                              // follower side: what arrived
};

struct AddVoterRequest {
    ReplicaKey voter;
    Endpoints endpoints;
    bool ack_when_committed = true;  // false: answered once the record is appended
};
struct RemoveVoterRequest {
    ReplicaKey voter;
};
/// A voter tells the leader where it listens and which kraft.version it can run.
struct UpdateVoterRequest {
    LeaderEpoch current_leader_epoch;
    ReplicaKey voter;
    Endpoints endpoints;
    KRaftVersionRange versions;
};
/// Answer to all three; Kafka's carry less of it.
struct VoterChangeResponse {
    ErrorCode error = ErrorCode::None;
    std::string message;  // for a person; empty without an error
    NodeId leader_id = kNoNode;
    LeaderEpoch epoch{0};
    Endpoints leader_endpoints;
};

/// The leader asks a node that wants to vote what it can run (ApiVersions).
struct VersionsRequest {};
struct VersionsResponse {
    ErrorCode error = ErrorCode::None;
    std::optional<KRaftVersionRange> kraft_versions;  // nothing: it does not know the feature
};

using PeerRequest =
    std::variant<VoteRequest, BeginQuorumEpochRequest, EndQuorumEpochRequest, FetchRequest,
                 FetchSnapshotRequest, AddVoterRequest, RemoveVoterRequest, UpdateVoterRequest,
                 VersionsRequest>;
using PeerResponse = std::variant<VoteResponse, EpochResponse, FetchResponse,
                                  FetchSnapshotResponse, VoterChangeResponse, VersionsResponse>;

}  // namespace millrace::raft
