// tools/cli/plan_request.h: what a plan is asked for, as options of commands.
#pragma once

#include <string>
#include <vector>

#include "cli/cli.h"
#include "millrace/placement/planner.h"

namespace millrace::cli {

/// The options as they were typed; what they mean is settled when the command runs.
struct PlanOptions {
    std::vector<std::string> topics, soft, away_from, dead;
    std::optional<int32_t> replication_factor;
    bool exclude_internal = false;
    bool balance = false;
    bool check = false;
    std::string leaders = "changed";
    std::string high_water = "0.90";
    int32_t max_moves = 5;
    int64_t max_bytes = int64_t{1} << 40;
};

void add_plan_options(CLI::App& command, PlanOptions& options);
/// Throws a Failure where an option makes no sense.
placement::Request request_of(const PlanOptions& options);

/// A failure whose JSON form names the rule and the partitions in the way.
Failure failure_of(const placement::Refusal& refusal, std::string fix = "");
/// Bad input, by that rule.
Failure bad_plan_input(const std::string& rule, const std::string& message, std::string fix = "");
/// "A,B" and repeated options alike; an empty element is a slip.
std::vector<std::string> words_of(const char* option, const std::vector<std::string>& texts);

/// A snapshot's text, read; bad input is a Failure that names `source`.
placement::Snapshot snapshot_of(const std::string& text, const std::string& source);

}  // namespace millrace::cli
