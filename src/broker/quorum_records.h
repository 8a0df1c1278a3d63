// src/broker/quorum_records.h: the quorum's batches to and from the bytes of the metadata log.
//
// The raft floor knows control records as structs, the wire floor as messages; here they meet.
// Source: RecordsBuilder calls in LeaderState, RecordsSnapshotWriter; kraft.md 1.7 and 1.8.
#pragma once

#include <optional>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/raft/messages.h"
#include "millrace/raft/output.h"
#include "millrace/record/batch.h"

namespace millrace::broker {

/// Data or control batch with every timestamp `now`, ready for the log.
Buffer encode_quorum_batch(const raft::AppendBatch& batch, WallMs now);

/// What the control batches of a snapshot say.
struct SnapshotHeader {
    WallMs last_contained_log_timestamp{0};
    std::optional<int16_t> kraft_version;
    std::optional<raft::VoterSet> voters;
};
/// First batch of a snapshot. kraft.version 0 writes the header record alone.
Buffer encode_snapshot_header(const SnapshotHeader& header, LeaderEpoch epoch, WallMs now);
/// Data records of a snapshot, at `base_offset` within the file.
Buffer encode_snapshot_records(Offset base_offset, LeaderEpoch epoch,
                               const std::vector<Buffer>& records, WallMs now);
Buffer encode_snapshot_footer(Offset base_offset, LeaderEpoch epoch, WallMs now);

/// The control records of a control batch, those the quorum acts on (types 2, 5 and 6).
/// Corrupt: a malformed value or a type that Kafka does not know.
Result<std::vector<raft::ControlRecord>> decode_control_batch(const record::BatchView& batch);
/// Reads a snapshot's first batch. Corrupt: no SnapshotHeader in front.
Result<SnapshotHeader> decode_snapshot_header(const record::BatchView& batch);
/// Values of a data batch, each sharing `bytes`' memory.
Result<std::vector<Buffer>> decode_record_values(const Buffer& bytes);

}  // namespace millrace::broker
