// src/raft/voter_history.h: kraft.version and voters as of each offset of the log.
//
// VotersRecord and KRaftVersionRecord hold from the moment they are in the log, committed or not,
// and are undone when the log is truncated (KIP-853), so the past has to be kept until a snapshot
// covers it. Source: VoterSetHistory, KRaftVersionHistory, KRaftControlRecordStateMachine.
#pragma once

#include <map>
#include <optional>

#include "millrace/base/ids.h"
#include "millrace/raft/messages.h"
#include "millrace/raft/voter_set.h"

namespace millrace::raft {

class VoterHistory {
  public:
    explicit VoterHistory(VoterSet static_voters) : static_voters_(std::move(static_voters)) {}

    /// What a snapshot says; `offset` is its end offset minus one, so -1 for the bootstrap one.
    void load_snapshot(Offset offset, std::optional<int16_t> kraft_version,
                       std::optional<VoterSet> voters);
    /// Control records of the batch at `base_offset`, in order; others than 5 and 6 are passed by.
    void add(Offset base_offset, const std::vector<ControlRecord>& records);
    /// The log was cut to `end_offset`.
    void truncate_new(Offset end_offset);
    /// Entries that a snapshot ending at `start_offset` makes unnecessary go; the newest stays.
    void truncate_old(Offset start_offset);
    void clear();

    const VoterSet& last() const;
    /// Offset of the last VotersRecord; -1 when it came from the bootstrap snapshot; nothing when
    /// the voters are static.
    std::optional<Offset> last_offset() const;
    int16_t last_kraft_version() const;
    const VoterSet& at(Offset offset) const;
    int16_t kraft_version_at(Offset offset) const;

  private:
    VoterSet static_voters_;
    std::map<Offset, VoterSet> voters_;
    std::map<Offset, int16_t> versions_;
};

}  // namespace millrace::raft
