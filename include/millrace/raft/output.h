// include/millrace/raft/output.h: what the quorum machine wants done, in the order to do it.
//
// Owned and reused by the driver: cleared before each event, carried out from the first field to
// the last. The order is the protocol: an answer that leaves before the vote it carries is durable
// may break "one vote per epoch" after a crash.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/raft/messages.h"

namespace millrace::raft {

/// The contents of the quorum-state file (org.apache.kafka.raft.ElectionState). kraft_version
/// chooses the file's data version: 0 lists the voters, 1 carries the voted directory.
struct ElectionState {
    NodeId leader_id = kNoNode;
    LeaderEpoch epoch{0};
    ReplicaKey voted;  // id -1: no vote in this epoch
    friend bool operator==(const ElectionState&, const ElectionState&) = default;
};

/// One batch to write: either opaque record payloads or control records, never both. The driver
/// encodes it with base_offset, epoch and the wall clock as timestamp of every record.
struct AppendBatch {
    Offset base_offset;
    LeaderEpoch epoch;
    std::vector<Buffer> records;
    std::vector<ControlRecord> control_records;
    Buffer replicated_bytes;  // follower: write these bytes as they are
    Offset last_offset;
};

/// Cut the log to `end_offset` (divergence), or drop it whole behind a snapshot that was fetched.
struct Truncation {
    Offset end_offset;
    std::optional<SnapshotId> to_snapshot;
};

/// A request to a peer. The driver sends it once and reports on_response or on_request_failed with
/// the same correlation; it never retries by itself.
struct PeerSend {
    uint64_t correlation = 0;
    NodeId destination;        // below -1: bootstrap server number -2 - destination
    Endpoints endpoints;       // empty: look the destination up in the bootstrap servers
    PeerRequest request;
};

/// The answer to a request that came in as `id`.
struct PeerReply {
    RequestId id = 0;
    PeerResponse response;
};

enum class QuorumRole { Unattached, Prospective, Candidate, Leader, Follower, Resigned };
const char* role_name(QuorumRole role) noexcept;

struct RoleChange {
    QuorumRole role;
    LeaderEpoch epoch;
    NodeId leader_id;
    /// Leader only: first offset of the epoch; the owner may act once it replayed everything below
    /// and the high watermark passed it.
    Offset epoch_start_offset;
};

/// Bytes of a snapshot being fetched. `position` 0 starts a new one, `last` completes it.
struct SnapshotChunk {
    SnapshotId id;
    int64_t position = 0;
    Buffer bytes;
    bool last = false;
};

struct QuorumOutput {
    std::optional<ElectionState> persist_state;   // 1. durable before anything below
    bool drop_partial_snapshot = false;           // 2.
    std::optional<SnapshotChunk> snapshot_chunk;  // 3. write; on `last`: make it durable
    std::optional<Truncation> truncate;           // 4. durable
    std::vector<AppendBatch> append_records;      // 5. write in order, then sync without waiting
    std::vector<PeerSend> send_now;               // 6. depends on nothing above but persist_state
    std::vector<PeerReply> send_after_persist;    // 7. replies; depend on 1 to 5 being carried out
    std::optional<Offset> committed;              // 8. the high watermark moved to here
    std::vector<RoleChange> role_changes;         // 9. in order of happening
    std::optional<std::string> fatal;             // 10. the quorum broke its own rules: stop the node
    Instant wake_at = Instant::never();           // 11. call on_tick then

    void clear() { *this = QuorumOutput{}; }
};

}  // namespace millrace::raft
