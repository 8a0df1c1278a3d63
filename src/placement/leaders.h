// src/placement/leaders.h: the order inside the sets: who is preferred leader.
#pragma once

#include "placement/draft.h"

namespace millrace::placement {

/// Orders every changed set (new copies take the places of those that go) and chooses preferred
/// leaders as Request::leaders says: least spread per topic, then in total, then of traffic.
void choose_leaders(Draft& draft);

}  // namespace millrace::placement
