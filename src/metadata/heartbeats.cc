// src/metadata/heartbeats.cc: broker sessions and the state a heartbeat leads to.
#include "metadata/heartbeats.h"

#include <limits>

namespace millrace::metadata {

void Heartbeats::start(Instant now, const ClusterImage& cluster, NodeId local) {
    brokers_.clear();
    for (const auto& [id, image] : cluster.brokers) {
        Broker broker;
        broker.epoch = image->epoch;
        broker.fenced = image->fenced;
        broker.last_contact = now;
        broker.contacted = !image->fenced && id != local;
        brokers_.emplace(id, broker);
    }
}

void Heartbeats::sync(Instant now, const ClusterImage& cluster, NodeId id) {
    const BrokerImage* image = cluster.broker(id);
    if (image == nullptr) {
        brokers_.erase(id);
        return;
    }
    auto [it, added] = brokers_.try_emplace(id);
    Broker& broker = it->second;
    if (added || broker.epoch != image->epoch) {
        broker = Broker{};
        broker.epoch = image->epoch;
        broker.fenced = image->fenced;
        broker.last_contact = now;  // a session is valid only once a heartbeat came
        return;
    }
    broker.fenced = image->fenced;
    if (broker.fenced) broker.controlled_shutdown_offset = Offset(-1);
}

void Heartbeats::contact(Instant now, NodeId id, BrokerEpoch epoch) {
    auto it = brokers_.find(id);
    if (it == brokers_.end() || it->second.epoch != epoch) return;
    it->second.last_contact = now;
    it->second.contacted = true;
}

bool Heartbeats::end_session(NodeId id, BrokerEpoch epoch, Instant since) {
    auto it = brokers_.find(id);
    if (it == brokers_.end() || it->second.epoch != epoch || it->second.last_contact > since) {
        return false;
    }
    it->second.contacted = false;
    return !it->second.fenced;
}

bool Heartbeats::has_valid_session(Instant now, NodeId id, BrokerEpoch epoch) const {
    auto it = brokers_.find(id);
    if (it == brokers_.end() || it->second.epoch != epoch || !it->second.contacted) return false;
    return now < it->second.last_contact + session_;
}

BrokerState Heartbeats::current(NodeId id) const {
    auto it = brokers_.find(id);
    if (it == brokers_.end()) return BrokerState::Fenced;
    if (it->second.shutting_down()) return BrokerState::ControlledShutdown;
    return it->second.fenced ? BrokerState::Fenced : BrokerState::Unfenced;
}

BrokerState Heartbeats::next(NodeId id, const HeartbeatFacts& facts) const {
    switch (current(id)) {
        case BrokerState::Fenced:
            if (facts.want_shutdown) return BrokerState::ShutdownNow;
            if (!facts.want_fence && facts.metadata_offset >= facts.register_offset) {
                return BrokerState::Unfenced;
            }
            return BrokerState::Fenced;
        case BrokerState::Unfenced:
            if (facts.want_fence) {
                return facts.want_shutdown ? BrokerState::ShutdownNow : BrokerState::Fenced;
            }
            if (!facts.want_shutdown) return BrokerState::Unfenced;
            return facts.has_leaderships ? BrokerState::ControlledShutdown
                                         : BrokerState::ShutdownNow;
        case BrokerState::ControlledShutdown: {
            if (facts.has_leaderships) return BrokerState::ControlledShutdown;
            // Every active broker must know the new leaders before the old one goes.
            const Offset left = brokers_.at(id).controlled_shutdown_offset;
            return left <= lowest_active_offset() ? BrokerState::ShutdownNow
                                                  : BrokerState::ControlledShutdown;
        }
        case BrokerState::ShutdownNow: break;
    }
    return BrokerState::ShutdownNow;
}

void Heartbeats::touch(NodeId id, bool fenced, Offset metadata_offset) {
    auto it = brokers_.find(id);
    if (it == brokers_.end()) return;
    it->second.fenced = fenced;
    it->second.metadata_offset = metadata_offset;
    if (fenced) it->second.controlled_shutdown_offset = Offset(-1);
}

void Heartbeats::note_controlled_shutdown(NodeId id, Offset offset) {
    auto it = brokers_.find(id);
    if (it == brokers_.end() || it->second.fenced || it->second.shutting_down()) return;
    it->second.controlled_shutdown_offset = offset;
}

std::optional<NodeId> Heartbeats::expired(Instant now) const {
    std::optional<NodeId> oldest;
    Instant contact = Instant::never();
    for (const auto& [id, broker] : brokers_) {
        if (broker.fenced || now < broker.last_contact + session_) continue;
        if (broker.last_contact < contact) {
            contact = broker.last_contact;
            oldest = id;
        }
    }
    return oldest;
}

Instant Heartbeats::next_expiry() const {
    Instant first = Instant::never();
    for (const auto& [id, broker] : brokers_) {
        if (!broker.fenced && broker.last_contact + session_ < first) {
            first = broker.last_contact + session_;
        }
    }
    return first;
}

std::vector<NodeId> Heartbeats::silent(Instant now, Duration limit) const {
    std::vector<NodeId> silent;
    for (const auto& [id, broker] : brokers_) {
        if (broker.fenced && now >= broker.last_contact + limit) silent.push_back(id);
    }
    return silent;
}

Offset Heartbeats::lowest_active_offset() const {
    Offset lowest(std::numeric_limits<int64_t>::max());
    for (const auto& [id, broker] : brokers_) {
        if (broker.fenced || broker.shutting_down()) continue;
        if (broker.metadata_offset < lowest) lowest = broker.metadata_offset;
    }
    return lowest;
}

}  // namespace millrace::metadata
