// src/placement/leaders.h: the order inside the sets: who is the preferred leader.
#pragma once

#include <span>
#include <vector>

#include "placement/draft.h"

namespace millrace::placement {

/// Puts every free part in order, and a leader first where one may be chosen: leaders even per
/// topic, then in total, then by traffic.
void choose_leaders(Draft& draft);

/// Who may lead a set of part's: one broker where there is nothing to choose.
std::vector<Index> who_may_lead(const Model& model, const Part& part, std::span<const Index> set,
                                bool changed);
/// Kept copies stay where they are in the order; new ones stand where others have gone.
void put_in_place(Draft& draft, const Part& part);
/// Moves one copy to the front.
void put_first(Draft& draft, const Part& part, Index leader);

}  // namespace millrace::placement
