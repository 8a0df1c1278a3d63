// src/placement/heal.h: new sets for the partitions that must change, each with the fewest copies.
//
// Without a disk limit every partition's bytes are least by themselves, so the sum is, with proof.
// Under a limit the order decides who takes the cheap places; partitions that paid more than their
// least, or found no place, go first in the next round.
#pragma once

#include <optional>

#include "placement/draft.h"

namespace millrace::placement {

/// Finds what must change and gives it new sets; a refusal names those for which there is none.
std::optional<Refusal> heal(Draft& draft);

}  // namespace millrace::placement
