// include/millrace/storage/leader_epochs.h: which offset each leader epoch of a log began at.
//
// A value owned by its Log, in memory only; the Log writes it to leader-epoch-checkpoint. Entries
// rise strictly in epoch and in start offset. Rules: Kafka's LeaderEpochFileCache (KIP-101, KIP-279).
#pragma once

#include <optional>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/result.h"

namespace millrace::storage {

struct EpochEntry {
    LeaderEpoch epoch;
    Offset start_offset;
    friend bool operator==(const EpochEntry&, const EpochEntry&) = default;
};

/// Answer to "where does this epoch end": both -1 when unknown.
struct EpochEnd {
    LeaderEpoch epoch = kNoLeaderEpoch;
    Offset end_offset = kNoOffset;
    friend bool operator==(const EpochEnd&, const EpochEnd&) = default;
};

class LeaderEpochs {
  public:
    /// Records that `epoch` begins at `start`; drops entries it contradicts (epoch or start not
    /// below). Returns whether anything changed. Negative epochs are ignored.
    bool assign(LeaderEpoch epoch, Offset start);
    /// Kafka's OffsetForLeaderEpoch answer; `log_end` is where the latest epoch ends.
    EpochEnd end_offset_for(LeaderEpoch epoch, Offset log_end) const;
    /// The epoch that wrote `offset`; nothing below the first entry.
    std::optional<LeaderEpoch> epoch_at(Offset offset) const;
    std::optional<EpochEntry> latest() const;
    std::optional<EpochEntry> earliest() const;
    /// Drops entries that start at or after `end`. Returns whether anything changed.
    bool truncate_from_end(Offset end);
    /// Forgets what lies below `start`: the entry in force there now begins at it.
    bool truncate_from_start(Offset start);
    void clear() { entries_.clear(); }
    const std::vector<EpochEntry>& entries() const { return entries_; }

    /// The text of leader-epoch-checkpoint, both ways; Corrupt on any other text.
    std::string to_text() const;
    static Result<LeaderEpochs> from_text(std::string_view text);

  private:
    std::vector<EpochEntry> entries_;
};

}  // namespace millrace::storage
