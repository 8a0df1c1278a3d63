// tools/cli/plan_output.h: a placement plan, or the refusal of one, as JSON and for people.
#pragma once

#include <string>

#include "millrace/placement/planner.h"

namespace millrace::cli {

/// The plan file: Apache's reassignment JSON with more members.
std::string plan_json(const placement::Plan& plan);
/// With a rate, how long each broker is busy at that; with the cluster, how full its disks get.
std::string plan_text(const placement::Plan& plan, int64_t bytes_per_second = 0,
                      const placement::Snapshot* cluster = nullptr);
/// {"error":{"rule","message","blocking","blocking_total"}}
std::string refusal_json(const placement::Refusal& refusal);

}  // namespace millrace::cli
