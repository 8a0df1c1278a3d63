// include/millrace/broker/quorum_driver.h: runs the metadata quorum of one node over its disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"
#include "millrace/base/move_function.h"
#include "millrace/base/reply.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/env/env.h"
#include "millrace/env/peers.h"
#include "millrace/raft/quorum.h"
#include "millrace/wire/gen/add_raft_voter_request.h"
#include "millrace/wire/gen/add_raft_voter_response.h"
#include "millrace/wire/gen/begin_quorum_epoch_request.h"
#include "millrace/wire/gen/begin_quorum_epoch_response.h"
#include "millrace/wire/gen/end_quorum_epoch_request.h"
#include "millrace/wire/gen/end_quorum_epoch_response.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/fetch_response.h"
#include "millrace/wire/gen/fetch_snapshot_request.h"
#include "millrace/wire/gen/fetch_snapshot_response.h"
#include "millrace/wire/gen/remove_raft_voter_request.h"
#include "millrace/wire/gen/remove_raft_voter_response.h"
#include "millrace/wire/gen/update_raft_voter_request.h"
#include "millrace/wire/gen/update_raft_voter_response.h"
#include "millrace/wire/gen/vote_request.h"
#include "millrace/wire/gen/vote_response.h"

namespace millrace::broker {

/// The name of the metadata log's directory inside metadata.log.dir.
inline constexpr const char* kClusterMetadataDirectory = "__cluster_metadata-0";

struct QuorumDriverConfig {
    raft::QuorumConfig quorum;        // local key, endpoints, timeouts
    raft::VoterSet static_voters;     // controller.quorum.voters; empty: dynamic
    std::vector<env::PeerAddress> bootstrap_servers;  // controller.quorum.bootstrap.servers
    std::string listener;             // first of controller.listener.names: how peers are reached
    std::string cluster_id;
    std::string metadata_log_dir;     // the log directory, not __cluster_metadata-0 itself
    int64_t segment_bytes = 1024 * 1024 * 1024;           // metadata.log.segment.bytes
    int64_t segment_ms = 7LL * 24 * 3600 * 1000;          // metadata.log.segment.ms
    int64_t snapshot_record_bytes_max = 20 * 1024 * 1024;
                                      // metadata.log.max.record.bytes.between.snapshots
    int64_t snapshot_interval_ms_max = 3600 * 1000;  // metadata.log.max.snapshot.interval.ms
    int64_t retention_bytes_max = 100 * 1024 * 1024;      // metadata.max.retention.bytes
    int64_t retention_ms_max = 7LL * 24 * 3600 * 1000;    // metadata.max.retention.ms
};

/// A batch of the metadata log or of a snapshot. `records` are the values of its records (frame,
/// id, version, body); a control batch has none and only moves the offset.
struct MetadataBatch {
    Offset base_offset;
    Offset last_offset;
    LeaderEpoch epoch;
    WallMs append_timestamp;
    uint32_t size_bytes = 0;
    bool is_control = false;
    std::vector<Buffer> records;
};

/// A complete snapshot being read; belongs to the driver and lives for the one call it is given to.
class MetadataSnapshotSource {
  public:
    virtual ~MetadataSnapshotSource() = default;
    virtual raft::SnapshotId id() const = 0;
    virtual WallMs last_contained_log_timestamp() const = 0;
    /// Data batches in order (the header's control records are the driver's own); nothing at the
    /// end. A failure is final.
    virtual Result<std::optional<MetadataBatch>> next() = 0;
};

/// Writes a snapshot; obtained from QuorumDriver::begin_snapshot, abandoned when destroyed early.
class MetadataSnapshotSink {
  public:
    virtual ~MetadataSnapshotSink() = default;
    virtual raft::SnapshotId id() const = 0;
    /// Record values in order of the image dump; the sink cuts them into batches.
    virtual Status append(std::vector<Buffer> records) = 0;
    /// Makes it durable and visible; old snapshots and log segments may then go.
    virtual Status finish() = 0;
};

/// Who follows the log: controller and metadata loader. Called on the driver's shard, never inside
/// a call into the driver made by the listener itself.
class QuorumListener {
  public:
    virtual ~QuorumListener() = default;
    /// Forget the state; load this one. Comes first, when there is a snapshot besides 0-0.
    virtual void on_load_snapshot(MetadataSnapshotSource& source) = 0;
    /// Committed batches, contiguous, each offset exactly once after the snapshot.
    virtual void on_commit(const std::vector<MetadataBatch>& batches) = 0;
    /// This node leads `epoch` and everything below `offset` was delivered: propose from now on;
    /// the next record gets offset `offset` or more.
    virtual void on_leader(LeaderEpoch epoch, Offset offset) = 0;
    /// Another leads, or nobody; what was proposed and not delivered may be lost or committed.
    virtual void on_resign(LeaderEpoch epoch, NodeId leader_id) = 0;
    /// Enough was delivered since the last snapshot, or enough time passed: make one at a batch
    /// boundary outside a metadata transaction (begin_snapshot). Repeats until one was begun.
    virtual void on_snapshot_due() = 0;
    /// The metadata log or the quorum cannot go on; the node has to stop.
    virtual void on_fatal(const Status& cause) = 0;
};

struct QuorumReplica {
    raft::ReplicaKey key;
    Offset log_end_offset = kNoOffset;
    WallMs last_fetch{-1};
    WallMs last_caught_up{-1};
};

/// DescribeQuorum's view.
struct QuorumStatus {
    raft::QuorumRole role = raft::QuorumRole::Unattached;
    NodeId leader_id = kNoNode;
    NodeId former_leader_id = kNoNode;  // the last that this node followed
    LeaderEpoch epoch{0};
    Offset high_watermark = kNoOffset;
    Offset log_end_offset{0};
    std::vector<QuorumReplica> voters;
    std::vector<QuorumReplica> observers;
    raft::VoterSet voter_set;  // with endpoints
    int16_t kraft_version = 0;
};

/// How a quorum request came in: the listener decides which endpoints the answer names.
struct QuorumCaller {
    int16_t version = 0;
    std::string listener;
    std::string peer;  // address, for logs
};

/// Carries out what raft::Quorum decides: keeps `__cluster_metadata-0` (log, snapshots and
/// quorum-state in Kafka's formats), delivers committed records to listeners, talks to the other nodes in Kafka's wire, arms one timer.
///
/// Owner: broker/node, on the control shard; every call and every callback on that shard.
/// Promises: quorum-state is durable before anything that depends on it leaves; a record is
/// delivered only when it is committed (synced on a majority); listeners see one order.
/// Requires: the directory is formatted (meta.properties, for a dynamic quorum the 0-0 checkpoint)
/// and locked by this process; listeners outlive the driver.
class QuorumDriver {
  public:
    /// Opens the log, cleans up after a crash, reads quorum-state and voters. Blocking.
    static Result<std::unique_ptr<QuorumDriver>> open(env::Env& env, QuorumDriverConfig config);
    virtual ~QuorumDriver() = default;

    /// Before start only.
    virtual void add_listener(QuorumListener* listener) = 0;
    /// Joins the quorum. A lone voter becomes leader; the calls to listeners follow later, from
    /// the event loop.
    virtual void start() = 0;

    /// Record values -> offset of the last one, when this node leads `epoch`. They stay together in
    /// one batch. Whether they get committed is told by on_commit, or by on_resign that they may not.
    virtual raft::ProposeResult propose(LeaderEpoch epoch, std::vector<Buffer> records) = 0;

    /// The offset that the first record of the next proposal gets (while leading).
    virtual Offset next_offset() const = 0;

    /// A snapshot of everything delivered up to `last_offset`, the last offset of a batch that was
    /// delivered. AlreadyExists when there is one at or behind that offset.
    virtual Result<std::unique_ptr<MetadataSnapshotSink>> begin_snapshot(Offset last_offset) = 0;

    /// Gives leadership up; on_resign follows.
    virtual void resign(LeaderEpoch epoch) = 0;
    /// Resigns when leading, syncs and closes the log. `done` gets the log's verdict.
    virtual void shutdown(MoveFunction<void(Status)> done) = 0;

    /// Requests of other quorum nodes (KIP-595, KIP-853). Cluster id, topic and partition are
    /// checked here; the rest is the quorum's. Answered after what they ordered is durable.
    virtual void vote(QuorumCaller who, wire::VoteRequest request,
                      Reply<wire::VoteResponse> reply) = 0;
    virtual void begin_epoch(QuorumCaller who, wire::BeginQuorumEpochRequest request,
                             Reply<wire::BeginQuorumEpochResponse> reply) = 0;
    virtual void end_epoch(QuorumCaller who, wire::EndQuorumEpochRequest request,
                           Reply<wire::EndQuorumEpochResponse> reply) = 0;
    virtual void fetch(QuorumCaller who, wire::FetchRequest request,
                       Reply<wire::FetchResponse> reply) = 0;
    virtual void fetch_snapshot(QuorumCaller who, wire::FetchSnapshotRequest request,
                                Reply<wire::FetchSnapshotResponse> reply) = 0;

    /// Changes of membership (KIP-853), answered by the leader alone.
    virtual void add_voter(QuorumCaller who, wire::AddRaftVoterRequest request,
                           Reply<wire::AddRaftVoterResponse> reply) = 0;
    virtual void remove_voter(QuorumCaller who, wire::RemoveRaftVoterRequest request,
                              Reply<wire::RemoveRaftVoterResponse> reply) = 0;
    virtual void update_voter(QuorumCaller who, wire::UpdateRaftVoterRequest request,
                              Reply<wire::UpdateRaftVoterResponse> reply) = 0;
    /// What stands against kraft.version 1 now; nothing when upgrade_kraft_version may be called.
    virtual std::optional<std::string> kraft_upgrade_problem() const = 0;
    /// Appends raft::kKRaftUpgradeRecords control records at next_offset().
    virtual void upgrade_kraft_version() = 0;

    virtual QuorumStatus status() const = 0;
    /// Where the leader listens, when it is known and another node: for brokers' own requests.
    virtual std::optional<env::PeerAddress> leader_address() const = 0;
    /// What the bytes of the log say, for DescribeLogDirs and metrics.
    virtual Offset log_start_offset() const = 0;
};

}  // namespace millrace::broker
