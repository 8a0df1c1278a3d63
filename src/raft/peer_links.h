// src/raft/peer_links.h: which peer may be asked now: one request in flight each, and back-off.
//
// Source: org.apache.kafka.raft.RequestManager, with the time-out left to the driver's transport,
// which reports every request as answered or failed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "millrace/base/ids.h"
#include "millrace/base/time.h"

namespace millrace::raft {

enum class RequestKind {
    Vote,
    PreVote,
    BeginQuorumEpoch,
    EndQuorumEpoch,
    Fetch,
    FetchSnapshot,
    AddVoter,
    RemoveVoter,
    UpdateVoter,
    Versions
};

class PeerLinks {
  public:
    struct InFlight {
        NodeId destination;
        RequestKind kind = RequestKind::Fetch;
        LeaderEpoch epoch;  // of this node when it asked
    };

    bool is_ready(NodeId peer, Instant now) const;
    bool is_backing_off(NodeId peer, Instant now) const;
    /// A change of membership that this node asked `peer` for is unanswered.
    bool is_changing_voters(NodeId peer) const;
    bool has_fetch_in_flight() const { return fetches_in_flight_ > 0; }
    /// When a peer that is backing off becomes ready; never for one in flight.
    Instant ready_at(NodeId peer, Instant now) const;

    uint64_t start(NodeId peer, RequestKind kind, LeaderEpoch epoch);
    /// Ends the request; nothing for a correlation that is not in flight.
    std::optional<InFlight> finish(uint64_t correlation);
    void back_off(NodeId peer, Instant until) { backing_off_[peer] = until; }

  private:
    uint64_t next_correlation_ = 1;
    std::map<uint64_t, InFlight> in_flight_;
    std::map<NodeId, uint64_t> busy_;
    std::map<NodeId, Instant> backing_off_;
    int fetches_in_flight_ = 0;
};

}  // namespace millrace::raft
