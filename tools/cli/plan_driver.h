// tools/cli/plan_driver.h: carries a stored plan out, wave by wave.
//
// Owner: one command, for as long as it runs. Promises: the plan's throttles are gone when it
// leaves, whatever the way (end, failure, cancel by another machine, Ctrl-C); the state in the
// cluster says where to go on. What a crash of this process leaves is taken up by `resume`, or
// cleared by `cancel` and `verify`, from any machine.
#pragma once

#include <string>

#include "cli/plan_progress.h"
#include "cli/plan_store.h"

namespace millrace::cli {

/// A Failure (kConflict) when another plan is worked on, or when others' reassignments run and
/// `additional` does not allow it.
void check_nothing_runs(Client& client, PlanStore& store, bool additional);

/// Works on the plan until it is over, paused or taken away; returns it as it was stored last.
/// Progress goes to standard error. After `wait_ms`, if that is not 0, what is under way is left to
/// itself, and the plan comes back running, without a driver.
StoredPlan drive(Client& client, PlanStore& store, StoredPlan plan, int wait_ms = 0);

/// Stops what is under way: active moves go back to where they were, throttles are removed, and
/// the plan is stored in that phase.
void stop_plan(Client& client, PlanStore& store, StoredPlan& plan, PlanPhase phase,
               const std::string& note);

}  // namespace millrace::cli
