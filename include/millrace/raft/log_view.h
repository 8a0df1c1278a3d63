// include/millrace/raft/log_view.h: the few questions the quorum may ask about its log.
//
// Implemented by broker/quorum_driver over storage, and by a fake in tests. Answers describe the
// log as of the last output carried out: what the machine ordered to append or truncate counts only
// after the driver did it. Never changes during one event.
#pragma once

#include <cstdint>
#include <optional>

#include "millrace/base/ids.h"
#include "millrace/raft/messages.h"

namespace millrace::raft {

class LogView {
  public:
    virtual ~LogView() = default;
    virtual Offset log_start_offset() const = 0;
    /// Exclusive; equals the snapshot's end when the log is empty behind a snapshot.
    virtual Offset log_end_offset() const = 0;
    /// Epoch of the last batch; of the latest snapshot when the log is empty; 0 when virgin.
    virtual LeaderEpoch last_epoch() const = 0;
    /// Largest epoch of the log not above `epoch`, with its end offset (exclusive).
    virtual EpochEndOffset end_offset_for_epoch(LeaderEpoch epoch) const = 0;
    virtual std::optional<SnapshotId> latest_snapshot() const = 0;
    virtual std::optional<SnapshotId> earliest_snapshot() const = 0;
    /// Size of a stored snapshot; nothing when there is none of this id.
    virtual std::optional<int64_t> snapshot_size_bytes(const SnapshotId& id) const = 0;
};

}  // namespace millrace::raft
