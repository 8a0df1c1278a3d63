// src/placement/exhaustive.h: small cases are settled by trying everything within bounds.
#pragma once

#include <vector>

#include "placement/draft.h"

namespace millrace::placement {

struct Exhausted {
    bool found = false;     // something better than what was there
    bool complete = false;  // nothing is better than the best known, with proof
    int64_t bytes = 0;
    std::vector<Placed> placed;  // parallel to draft.changed
};

/// Least bytes, then fewest new copies, under disk limits; all changed partitions are lifted.
/// `known`: bytes of a plan at hand, negative for none.
Exhausted least_bytes(Draft& draft, int64_t known);

/// Least replica spread among sets of the same cost as the present ones; true when proven. Puts
/// what it finds into the draft.
bool least_spread(Draft& draft, int64_t lower_bound);

/// Least spread, then least bytes and copies, over all sets of the changed partitions; true when
/// proven. Puts what it finds into the draft.
bool least_spread_then_bytes(Draft& draft);

}  // namespace millrace::placement
