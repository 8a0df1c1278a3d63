// src/placement/small.h: all objectives of a small case at once.
#pragma once

#include "placement/draft.h"

namespace millrace::placement {

/// Few partitions: tries every plan, sets, directories and leaders together, and puts a better one
/// into the draft, in order. What it went through to the end is proven to be the best.
void settle_small(Draft& draft);

}  // namespace millrace::placement
