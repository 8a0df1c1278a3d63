// src/metadata/heartbeats.h: the active controller's memory of broker sessions, and what a
// heartbeat makes of a broker.
//
// Soft state: never replicated, forgotten on resignation, rebuilt on activation with a full
// session for every registered broker. Owned by the controller machine; time is an argument.
// Source: BrokerHeartbeatManager, BrokerHeartbeatTracker of 4.3.1; kraft.md 2.3.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/metadata/image.h"

namespace millrace::metadata {

enum class BrokerState { Fenced, Unfenced, ControlledShutdown, ShutdownNow };

struct HeartbeatFacts {
    bool want_fence = false;
    bool want_shutdown = false;
    Offset metadata_offset{-1};  // what the broker has published
    Offset register_offset{-1};  // of its RegisterBrokerRecord
    bool has_leaderships = false;
};

class Heartbeats {
  public:
    explicit Heartbeats(Duration session) : session_(session) {}

    /// Activation: every unfenced broker of `cluster` has contact now, except `local`: the broker
    /// of this very process registers anew, its earlier incarnation cannot be alive.
    void start(Instant now, const ClusterImage& cluster, NodeId local = kNoNode);
    void clear() { brokers_.clear(); }
    /// The registration of `id` appeared, changed its fencing or went away.
    void sync(Instant now, const ClusterImage& cluster, NodeId id);
    /// A request of this registration arrived.
    void contact(Instant now, NodeId id, BrokerEpoch epoch);
    /// Forgets the session of this registration unless it was heard after `since`; true when the
    /// broker is to be fenced for it.
    bool end_session(NodeId id, BrokerEpoch epoch, Instant since);
    bool has_valid_session(Instant now, NodeId id, BrokerEpoch epoch) const;

    BrokerState current(NodeId id) const;
    BrokerState next(NodeId id, const HeartbeatFacts& facts) const;
    void touch(NodeId id, bool fenced, Offset metadata_offset);
    /// The broker entered controlled shutdown with records that end at `offset`.
    void note_controlled_shutdown(NodeId id, Offset offset);

    /// An unfenced broker whose session has expired, the longest silent first.
    std::optional<NodeId> expired(Instant now) const;
    Instant next_expiry() const;
    /// Fenced brokers that nobody has heard of for so long; since the activation at most.
    std::vector<NodeId> silent(Instant now, Duration limit) const;

  private:
    struct Broker {
        BrokerEpoch epoch;
        bool fenced = true;
        Offset metadata_offset{-1};
        Offset controlled_shutdown_offset{-1};
        Instant last_contact{};
        bool contacted = false;
        bool shutting_down() const { return controlled_shutdown_offset.value >= 0; }
    };
    Offset lowest_active_offset() const;

    Duration session_;
    std::map<NodeId, Broker> brokers_;
};

}  // namespace millrace::metadata
