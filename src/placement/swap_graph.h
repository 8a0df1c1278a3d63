// src/placement/swap_graph.h: for each pair of brokers the cheapest partition that may move its
// copy.
#pragma once

#include <vector>

#include "placement/draft.h"

namespace millrace::placement {

/// What a swap costs: weight, then copies, then soft loss, in one number.
struct SwapCost {
    static constexpr int kWeightShift = 40;
    static Wide make(int64_t weight, int64_t adds, int64_t soft) {
        return (static_cast<Wide>(weight) << kWeightShift) + (static_cast<Wide>(adds) << 20) + soft;
    }
    /// The weights in a sum of costs.
    static Wide weight_of(Wide cost) {
        return (cost + (Wide{1} << (kWeightShift - 1))) >> kWeightShift;
    }
};

class SwapGraph {
  public:
    struct Arc {
        Wide cost = 0;
        int32_t part = -1;  // -1: no partition may
    };

    explicit SwapGraph(Draft& draft);
    /// Begins, or begins again, from the draft as it is now; to be called before anything else.
    void rebuild();

    const Arc& arc(Index out, Index in) const {
        return arcs_[static_cast<size_t>(out) * brokers_ + static_cast<size_t>(in)];
    }
    /// Looks for the cheapest again; after a partition of theirs proved unable.
    void renew(Index out, Index in);
    /// Carries one swap out and mends the arcs; false when it is not legal any more.
    bool swap(size_t part, Index out, Index in);
    int64_t steps() const { return steps_; }

  private:
    bool cost_of(size_t at, Index out, Index in, Wide& cost);
    void offer(size_t at, Index out, Index in);

    Draft& draft_;
    Model& model_;
    size_t brokers_;
    size_t scan_;  // residents that one search looks at
    LossCount count_;
    std::vector<Arc> arcs_;
    std::vector<std::vector<uint32_t>> residents_;  // free parts with a copy there now, small first
    std::vector<std::vector<uint32_t>> touched_;    // changed parts that will have a copy there
    std::vector<uint8_t> is_touched_;
    int64_t steps_ = 0;
};

}  // namespace millrace::placement
