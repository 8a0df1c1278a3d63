// src/broker/session_watch.h: finds out that a broker's process is gone before its session expires.
//
// A process that dies takes its connections with it. Once the connection that carried a broker's
// heartbeats is broken, or this controller has just become the active one and hears nothing, the
// broker's listener is tried: when it refuses twice, nobody listens there, and the grace is over,
// the session is at its end. A broker that answers, or sends a heartbeat, is left in peace, so a
// connection that merely broke causes nothing; a broker that cannot be reached at all keeps its
// session, because that proves nothing about it.
// Owner: ControllerHost, on the control shard. Ours; Kafka waits for broker.session.timeout.ms.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/env/env.h"
#include "millrace/env/timers.h"
#include "millrace/metadata/image.h"

namespace millrace::broker {

class SessionWatch {
  public:
    struct Settings {
        Duration grace;               // broker.session.connection.grace.ms; zero: never
        Duration heartbeat_interval;  // within which a living broker reports to a new controller
        NodeId self;                  // its own broker needs no watching
    };
    /// The process of this registration is gone; nothing was heard of it after `since`.
    using Gone = std::function<void(NodeId id, BrokerEpoch epoch, Instant since)>;

    SessionWatch(const env::Env& env, Settings settings, Gone gone);
    ~SessionWatch();

    /// A heartbeat arrived over a connection of which `connected` tells whether it still stands.
    void on_heartbeat(NodeId id, BrokerEpoch epoch, std::function<bool()> connected);
    /// This node leads: every unfenced broker of `cluster` has to be heard. `former_leader`, the
    /// controller before, was given up by the quorum: its broker has only the grace, the others
    /// a heartbeat's time more.
    void on_active(const metadata::ClusterImage& cluster, NodeId former_leader);
    /// It leads no more.
    void on_standby();
    /// Where brokers listen, from now on.
    void on_image(const metadata::ClusterImage& cluster);

  private:
    struct Watched {
        BrokerEpoch epoch;
        std::function<bool()> connected;  // empty: not heard yet
        bool is_suspect = false;
        Instant since;       // of the suspicion
        Instant not_before;  // the end of the grace
        int refused_count = 0;
        bool is_probing = false;
    };
    void look();
    void probe(NodeId id, const Watched& watched);
    void on_probed(NodeId id, BrokerEpoch epoch, bool refused, bool answered);
    void arm();

    env::Env env_;
    Settings settings_;
    Gone gone_;
    std::map<NodeId, Watched> watched_;
    metadata::ClusterImage cluster_;
    env::TimerId timer_ = env::kNoTimer;
    int32_t next_correlation_ = 1;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
