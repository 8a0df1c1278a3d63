// tools/cli/plan_throttle.h: throttles that live and die with a plan.
//
// What is set is noted in the plan first, and only that is taken away again: a limit that an
// operator has set stays as it is, before, during and after.
#pragma once

#include "cli/plan_store.h"

namespace millrace::cli {

/// A dynamic config as it stands; nothing when the resource has none of its own.
using ConfigValues = std::map<std::pair<std::string, std::string>, std::string>;

/// Which configs a plan needs beside those that are set already (by name and key).
std::vector<OwnThrottle> needed_throttles(const StoredPlan& plan, const ConfigValues& topics,
                                          const ConfigValues& brokers);
/// Those of brokers that are not up: what they have set cannot be taken away now.
std::vector<OwnThrottle> throttles_of_absent(const std::vector<OwnThrottle>& throttles,
                                             const std::set<int32_t>& living);
/// Notes of an earlier run, with the rate of then, stand instead of new ones for the same config.
void keep_notes(std::vector<OwnThrottle>& throttles, const std::vector<OwnThrottle>& left);

/// Notes what will be set, then sets it. Returns lines about limits left alone.
std::vector<std::string> set_throttles(Client& client, PlanStore& store, StoredPlan& plan);
/// Takes away what the plan set and nobody has changed since. Only what stays on brokers that are
/// down stays noted; standard error names them.
void remove_throttles(Client& client, PlanStore& store, StoredPlan& plan);
/// The plan's rate in place of the one that is set at the brokers it limits.
void change_throttle(Client& client, PlanStore& store, StoredPlan& plan);

}  // namespace millrace::cli
