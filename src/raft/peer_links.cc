// src/raft/peer_links.cc: requests in flight and back-off by peer.
#include "raft/peer_links.h"

#include "millrace/base/assert.h"

namespace millrace::raft {

namespace {
bool is_fetch(RequestKind kind) {
    return kind == RequestKind::Fetch || kind == RequestKind::FetchSnapshot;
}
}  // namespace

bool PeerLinks::is_backing_off(NodeId peer, Instant now) const {
    auto it = backing_off_.find(peer);
    return it != backing_off_.end() && now < it->second;
}

bool PeerLinks::is_ready(NodeId peer, Instant now) const {
    return !busy_.contains(peer) && !is_backing_off(peer, now);
}

Instant PeerLinks::ready_at(NodeId peer, Instant now) const {
    if (busy_.contains(peer)) return Instant::never();
    auto it = backing_off_.find(peer);
    return it == backing_off_.end() || it->second < now ? now : it->second;
}

bool PeerLinks::is_changing_voters(NodeId peer) const {
    auto busy = busy_.find(peer);
    if (busy == busy_.end()) return false;
    const RequestKind kind = in_flight_.at(busy->second).kind;
    return kind == RequestKind::AddVoter || kind == RequestKind::RemoveVoter ||
           kind == RequestKind::UpdateVoter;
}

uint64_t PeerLinks::start(NodeId peer, RequestKind kind, LeaderEpoch epoch) {
    MILLRACE_ASSERT(!busy_.contains(peer), "one request in flight per peer");
    const uint64_t correlation = next_correlation_++;
    in_flight_[correlation] = InFlight{peer, kind, epoch};
    busy_[peer] = correlation;
    backing_off_.erase(peer);
    if (is_fetch(kind)) ++fetches_in_flight_;
    return correlation;
}

std::optional<PeerLinks::InFlight> PeerLinks::finish(uint64_t correlation) {
    auto it = in_flight_.find(correlation);
    if (it == in_flight_.end()) return std::nullopt;
    const InFlight request = it->second;
    in_flight_.erase(it);
    busy_.erase(request.destination);
    if (is_fetch(request.kind)) --fetches_in_flight_;
    return request;
}

}  // namespace millrace::raft
