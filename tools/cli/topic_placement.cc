// tools/cli/topic_placement.cc: the controller's engine, run on what the cluster shows of itself.
#include "cli/topic_placement.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::cli {

PlacementPreview::PlacementPreview(const ClusterState& state) : state_(state) {
    std::map<int32_t, int64_t> preferred;
    for (const placement::Topic& topic : state.snapshot.topics) {
        for (const placement::Partition& partition : topic.partitions)
            ++preferred[partition.replicas.front()];
    }
    for (const ClusterBroker& broker : state.brokers) {
        if (broker.cordoned()) continue;
        sites_.push_back({broker.id, state.labels_of(broker.id).labels, broker.fenced,
                          broker.replicas, preferred[broker.id]});
    }
    known_ = placement::have_two_axes(sites_);
}

std::vector<std::vector<int32_t>> PlacementPreview::place(const std::string& topic, int32_t first,
                                                          int32_t partitions,
                                                          int32_t replication_factor) {
    Rng rng(placement::placement_seed(topic, first));
    return placement::place_new(sites_, partitions, replication_factor, rng);
}

std::string PlacementPreview::rack_of(int32_t id) const { return state_.broker(id).rack; }

Json PlacementPreview::json(const std::vector<std::vector<int32_t>>& placed, int32_t first) const {
    Json rows = Json::array();
    for (size_t p = 0; p < placed.size(); ++p) {
        Json racks = Json::array();
        for (const int32_t id : placed[p])
            racks.push_back(rack_of(id));
        rows.push_back({{"partition", first + static_cast<int32_t>(p)},
                        {"replicas", placed[p]},
                        {"racks", std::move(racks)}});
    }
    return rows;
}

std::string PlacementPreview::text(const std::vector<std::vector<int32_t>>& placed,
                                   int32_t first) const {
    Table table({">PART", "REPLICAS", "RACKS"});
    for (size_t p = 0; p < placed.size(); ++p) {
        std::string ids;
        std::string racks;
        for (const int32_t id : placed[p]) {
            ids += fmt::format("{}{}", ids.empty() ? "" : " ", id);
            racks += (racks.empty() ? "" : " ") + rack_of(id);
        }
        table.add({std::to_string(first + static_cast<int32_t>(p)), ids, racks});
    }
    return table.to_string();
}

}  // namespace millrace::cli
