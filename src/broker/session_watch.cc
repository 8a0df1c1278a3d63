// src/broker/session_watch.cc: suspicion, probe, verdict.
#include "broker/session_watch.h"

#include <utility>
#include <vector>

#include "broker/peer_call.h"
#include "millrace/base/log.h"
#include "millrace/env/clock.h"
#include "millrace/env/peers.h"
#include "millrace/wire/gen/api_versions_request.h"

namespace millrace::broker {

namespace {

constexpr LogChannel kLog{"controller"};
constexpr Duration kLookInterval = milliseconds(50);
constexpr Duration kProbeTime = milliseconds(1000);
/// One refusal may be an old connection's end; the second is a new connection refused.
constexpr int kRefusalsNeeded = 2;
constexpr int16_t kPlaintext = 0;
constexpr int16_t kSaslPlaintext = 2;

/// A listener that answers ApiVersions to anybody; behind TLS a refusal cannot be told.
const metadata::Endpoint* probe_endpoint(const metadata::BrokerImage& broker) {
    for (const metadata::Endpoint& endpoint : broker.endpoints) {
        const int16_t protocol = endpoint.security_protocol;
        if (protocol == kPlaintext || protocol == kSaslPlaintext) return &endpoint;
    }
    return nullptr;
}

}  // namespace

SessionWatch::SessionWatch(const env::Env& env, Settings settings, Gone gone)
    : env_(env), settings_(settings), gone_(std::move(gone)) {}

SessionWatch::~SessionWatch() {
    *alive_ = false;
    env_.timers.cancel(timer_);
}

void SessionWatch::on_image(const metadata::ClusterImage& cluster) { cluster_ = cluster; }

void SessionWatch::on_standby() {
    watched_.clear();
    env_.timers.cancel(timer_);
    timer_ = env::kNoTimer;
}

void SessionWatch::on_active(const metadata::ClusterImage& cluster, NodeId former_leader) {
    watched_.clear();
    cluster_ = cluster;
    if (settings_.grace <= Duration{}) return;
    const Instant now = env_.clock.now();
    for (const auto& [id, broker] : cluster.brokers) {
        if (broker->fenced || id == settings_.self) continue;
        Watched watched;
        watched.epoch = broker->epoch;
        watched.is_suspect = true;
        watched.since = now;
        watched.not_before =
            now + settings_.grace +
            (id == former_leader ? Duration{} : settings_.heartbeat_interval);
        watched_.emplace(id, std::move(watched));
    }
    arm();
}

void SessionWatch::on_heartbeat(NodeId id, BrokerEpoch epoch, std::function<bool()> connected) {
    if (settings_.grace <= Duration{}) return;
    // Only the registration that is in force counts, or strangers could fill the list.
    const metadata::BrokerImage* broker = cluster_.broker(id);
    if (broker == nullptr || broker->epoch != epoch) return;
    Watched& watched = watched_[id];
    const bool is_probing = watched.is_probing;
    watched = Watched{};
    watched.is_probing = is_probing;
    watched.epoch = epoch;
    watched.connected = std::move(connected);
    arm();
}

void SessionWatch::arm() {
    if (timer_ != env::kNoTimer || watched_.empty()) return;
    timer_ = env_.timers.arm(env_.clock.now() + kLookInterval, [this] {
        timer_ = env::kNoTimer;
        look();
        arm();
    });
}

void SessionWatch::look() {
    const Instant now = env_.clock.now();
    std::vector<NodeId> due;
    for (auto& [id, watched] : watched_) {
        if (watched.connected && !watched.connected()) {
            watched.connected = nullptr;  // suspected once; its next heartbeat starts anew
            watched.is_suspect = true;
            watched.since = now;
            watched.not_before = now + settings_.grace;
            watched.refused_count = 0;
        }
        if (!watched.is_suspect || watched.is_probing) continue;
        // On activation the living get their time to report before anybody is tried.
        if (now + settings_.grace >= watched.not_before) due.push_back(id);
    }
    for (const NodeId id : due) {
        Watched& watched = watched_.at(id);
        if (watched.refused_count < kRefusalsNeeded) {
            probe(id, watched);
        } else if (now >= watched.not_before) {
            log_warn(kLog,
                     "broker {} is gone: its heartbeats ended and nobody listens at its address; "
                     "its session ends {} ms after it was last heard",
                     id.value, (now - watched.since).millis());
            const BrokerEpoch epoch = watched.epoch;
            const Instant since = watched.since;
            watched_.erase(id);
            gone_(id, epoch, since);
        }
    }
}

void SessionWatch::probe(NodeId id, const Watched& watched) {
    const metadata::BrokerImage* broker = cluster_.broker(id);
    const metadata::Endpoint* endpoint =
        broker != nullptr && broker->epoch == watched.epoch ? probe_endpoint(*broker) : nullptr;
    if (endpoint == nullptr) {
        watched_.erase(id);
        return;
    }
    watched_.at(id).is_probing = true;
    // No other request of this purpose goes to a broker's listener: the connection is the probe's.
    const env::PeerAddress to{endpoint->host, endpoint->port, env::PeerPurpose::Heartbeat};
    wire::ApiVersionsRequest request;
    env_.peers.send(to, encode_call({0, next_correlation_++, "session-watch"}, request), kProbeTime,
                    [this, alive = alive_, id, epoch = watched.epoch](Result<Buffer> answer) {
                        if (!*alive) return;
                        const bool refused =
                            !answer.ok() && answer.status().errc() == Errc::Disconnected;
                        on_probed(id, epoch, refused, answer.ok());
                    });
}

void SessionWatch::on_probed(NodeId id, BrokerEpoch epoch, bool refused, bool answered) {
    const auto found = watched_.find(id);
    if (found == watched_.end()) return;
    Watched& watched = found->second;
    watched.is_probing = false;
    if (watched.epoch != epoch || !watched.is_suspect) return;
    if (answered) {
        watched.is_suspect = false;
    } else if (refused) {
        ++watched.refused_count;
    } else {
        watched.refused_count = 0;
    }
}

}  // namespace millrace::broker
