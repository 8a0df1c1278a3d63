// src/placement/small_flow.h: cheapest flow through a small graph, unit by unit.
//
// Shortest augmenting paths (Bellman-Ford) over a list of edges: a few hundred of them, a few units.
// A graph may be used again: refill() gives an edge its room back under another cost.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "placement/model.h"

namespace millrace::placement {

class SmallFlow {
  public:
    explicit SmallFlow(size_t nodes) : distance_(nodes), by_(nodes) {}

    /// The edge's number. Edges in the order of their nodes, source first, are searched fastest.
    size_t edge(size_t from, size_t to, int64_t room, Wide cost) {
        edges_.push_back({from, to, room, cost});
        edges_.push_back({to, from, 0, -cost});
        return edges_.size() - 2;
    }
    void refill(size_t edge, int64_t room, Wide cost) {
        edges_[edge].room = room;
        edges_[edge].cost = cost;
        edges_[edge ^ 1].room = 0;
        edges_[edge ^ 1].cost = -cost;
    }
    int64_t sent(size_t edge) const { return edges_[edge ^ 1].room; }

    /// Sends `amount` units one by one; the cost, or nothing when they do not fit.
    std::optional<Wide> send(size_t source, size_t sink, int64_t amount);

  private:
    struct Edge {
        size_t from, to;
        int64_t room;
        Wide cost;
    };
    void find_distances(size_t source);

    std::vector<Edge> edges_;
    std::vector<Wide> distance_;
    std::vector<size_t> by_;  // the edge by which a node is nearest
};

}  // namespace millrace::placement
