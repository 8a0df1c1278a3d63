// src/metadata/placement.cc: the engine over two axes, or stripes over racks.
#include "metadata/placement.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "metadata/wire_nodes.h"

namespace millrace::metadata {

namespace {

template <class T>
void shuffle(std::vector<T>& items, Rng& rng) {
    for (size_t i = items.size(); i > 1; --i) {
        std::swap(items[i - 1], items[static_cast<size_t>(rng.below(i))]);
    }
}

/// Brokers of one rack in one state, handed out in turn; each epoch starts one broker further.
class BrokerRing {
  public:
    void add(NodeId broker) { brokers_.push_back(broker); }  // in id order
    void start(Rng& rng) {
        if (!brokers_.empty()) offset_ = static_cast<size_t>(rng.below(brokers_.size()));
    }
    void reorder(Rng& rng) { shuffle(brokers_, rng); }
    std::optional<NodeId> next(size_t epoch) {
        if (brokers_.empty()) return std::nullopt;
        if (epoch_ != epoch) {
            epoch_ = epoch;
            taken_ = 0;
            offset_ = (offset_ + 1) % brokers_.size();
        }
        if (taken_ >= brokers_.size()) return std::nullopt;
        return brokers_[(taken_++ + offset_) % brokers_.size()];
    }

  private:
    std::vector<NodeId> brokers_;
    size_t epoch_ = 0;
    size_t taken_ = 0;
    size_t offset_ = 0;
};

struct Rack {
    BrokerRing unfenced;
    BrokerRing fenced;
    std::optional<NodeId> next(size_t epoch) {
        if (const auto broker = unfenced.next(epoch)) return broker;
        return fenced.next(epoch);
    }
};

bool may_receive(const BrokerImage& broker) {
    return !broker.in_controlled_shutdown && !fully_cordoned(broker);
}

class RackRing {
  public:
    RackRing(const ClusterImage& cluster, Rng& rng) : rng_(rng) {
        std::map<std::optional<std::string>, Rack> by_name;  // "no rack" sorts first
        for (const auto& [id, broker] : cluster.brokers) {
            if (!may_receive(*broker)) continue;
            Rack& rack = by_name[broker->rack];
            (broker->fenced ? rack.fenced : rack.unfenced).add(id);
            if (!broker->fenced) ++unfenced_;
        }
        for (auto& [name, rack] : by_name) {
            rack.fenced.start(rng_);
            rack.unfenced.start(rng_);
            racks_.push_back(std::move(rack));
        }
        if (!racks_.empty()) offset_ = static_cast<size_t>(rng_.below(racks_.size()));
    }

    /// REQUIRES: 1 <= replicas <= brokers, one of them unfenced.
    std::vector<NodeId> place(size_t replicas) {
        if (epoch_ == unfenced_ && unfenced_ > 1) {
            shuffle(racks_, rng_);
            for (Rack& rack : racks_) {
                rack.fenced.reorder(rng_);
                rack.unfenced.reorder(rng_);
            }
            epoch_ = 0;
        }
        if (offset_ == racks_.size()) offset_ = 0;
        std::vector<NodeId> brokers;
        brokers.reserve(replicas);
        size_t leader_rack = offset_;
        std::optional<NodeId> leader;
        while (!(leader = racks_[leader_rack].unfenced.next(epoch_))) {
            leader_rack = (leader_rack + 1) % racks_.size();
        }
        brokers.push_back(*leader);
        bool leader_rack_skipped = false;
        size_t at = offset_;
        while (brokers.size() < replicas) {
            if (at == leader_rack && !leader_rack_skipped) {
                leader_rack_skipped = true;
            } else if (const auto broker = racks_[at].next(epoch_)) {
                brokers.push_back(*broker);
            }
            at = (at + 1) % racks_.size();
        }
        ++epoch_;
        ++offset_;
        return brokers;
    }

  private:
    Rng& rng_;
    std::vector<Rack> racks_;  // by name
    size_t unfenced_ = 0;
    size_t epoch_ = 0;
    size_t offset_ = 0;
};

}  // namespace

bool fully_cordoned(const BrokerImage& broker) {
    if (!broker.cordoned_directories || broker.directories.empty()) return false;
    const auto& cordoned = *broker.cordoned_directories;
    return std::all_of(broker.directories.begin(), broker.directories.end(), [&](const Uuid& d) {
        return std::find(cordoned.begin(), cordoned.end(), d) != cordoned.end();
    });
}

ReplicaPlacer::ReplicaPlacer(const ClusterImage& cluster, const PartitionIndexes& loads, Rng& rng)
    : cluster_(cluster), rng_(rng) {
    for (const auto& [id, broker] : cluster.brokers) {
        if (!may_receive(*broker)) continue;
        if (!broker->fenced) ++unfenced_;
        sites_.push_back({id.value, placement::labels_of_rack(broker->rack.value_or("")),
                          broker->fenced, loads.replicas_of(id), loads.preferred_by(id)});
    }
    two_axes_ = placement::have_two_axes(sites_);
}

std::string ReplicaPlacer::refusal(int16_t replication_factor) const {
    if (replication_factor <= 0) {
        return fmt::format("Invalid replication factor {}: the replication factor must be positive.",
                           replication_factor);
    }
    if (unfenced_ == 0) {
        return "All brokers are currently fenced, or have all their log directories cordoned.";
    }
    if (static_cast<size_t>(replication_factor) > sites_.size()) {
        return fmt::format(
            "The target replication factor of {} cannot be reached because only {} broker(s) are "
            "registered or some brokers have all their log directories cordoned.",
            replication_factor, sites_.size());
    }
    return "";
}

std::variant<Placement, PlacementError> ReplicaPlacer::place(std::string_view topic, int32_t first,
                                                             int32_t partitions,
                                                             int16_t replication_factor) {
    if (std::string why = refusal(replication_factor); !why.empty())
        return PlacementError{std::move(why)};
    Placement placement;
    placement.reserve(static_cast<size_t>(partitions));
    if (two_axes_) {
        Rng rng(placement::placement_seed(topic, first));
        for (const auto& ids : placement::place_new(sites_, partitions, replication_factor, rng))
            placement.push_back(to_nodes(ids));
        return placement;
    }
    RackRing racks(cluster_, rng_);
    for (int32_t i = 0; i < partitions; ++i)
        placement.push_back(racks.place(static_cast<size_t>(replication_factor)));
    return placement;
}

}  // namespace millrace::metadata
