// src/placement/small_flow.cc: the search for the cheapest path, and the unit sent along it.
#include "placement/small_flow.h"

#include <algorithm>

namespace millrace::placement {
namespace {

constexpr Wide kFar = Wide{1} << 120;

}  // namespace

void SmallFlow::find_distances(size_t source) {
    std::fill(distance_.begin(), distance_.end(), kFar);
    distance_[source] = 0;
    for (bool better = true; better;) {
        better = false;
        for (size_t e = 0; e < edges_.size(); ++e) {
            const Edge& edge = edges_[e];
            if (edge.room == 0 || distance_[edge.from] == kFar) continue;
            if (distance_[edge.from] + edge.cost >= distance_[edge.to]) continue;
            distance_[edge.to] = distance_[edge.from] + edge.cost;
            by_[edge.to] = e;
            better = true;
        }
    }
}

std::optional<Wide> SmallFlow::send(size_t source, size_t sink, int64_t amount) {
    Wide cost = 0;
    for (int64_t sent = 0; sent < amount; ++sent) {
        find_distances(source);
        if (distance_[sink] == kFar) return std::nullopt;
        for (size_t node = sink; node != source; node = edges_[by_[node]].from) {
            --edges_[by_[node]].room;
            ++edges_[by_[node] ^ 1].room;
        }
        cost += distance_[sink];
    }
    return cost;
}

}  // namespace millrace::placement
