// tools/cli/plan_driver.h: carries a stored plan out, wave by wave.
//
// Owner: one command, for as long as it runs. Promises: the plan's throttles are gone when it
// leaves, whatever the way (end, failure, cancel by another machine, Ctrl-C); the state in the
// cluster says where to go on. It alone sets and takes away what the plan limits: other commands
// write what they want into the plan, or take the plan over. Where the process dies, the broker
// that leads the topic of plans takes the throttles away when the moves have ended.
#pragma once

#include <string>

#include "cli/plan_progress.h"
#include "cli/plan_stop.h"

namespace millrace::cli {

/// A Failure (kConflict) when another plan is worked on, or when others' reassignments run and
/// `additional` does not allow it.
void check_nothing_runs(Client& client, PlanStore& store, bool additional);

/// Works on the plan until it is over, paused or taken away; returns it as it was stored last.
/// Progress goes to standard error. After `wait_ms`, if that is not 0, what is under way is left to
/// itself, and the plan comes back running, without a driver.
StoredPlan drive(Client& client, PlanStore& store, StoredPlan plan, int wait_ms = 0);

}  // namespace millrace::cli
