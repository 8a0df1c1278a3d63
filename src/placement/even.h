// src/placement/even.h: even loads among plans of equal cost.
#pragma once

#include "placement/draft.h"

namespace millrace::placement {

/// Changes sets of the changed partitions without another byte, copy or soft loss until the replica
/// spread is as small as it can find; small cases are proven.
void even_out(Draft& draft);

}  // namespace millrace::placement
