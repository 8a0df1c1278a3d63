// tools/cli/report.h: how a failure is shown, in the one form that all commands have.
#pragma once

#include <string>
#include <vector>

#include "cli/cli.h"

namespace millrace::cli {

/// The two lines on standard error, or the machine form; returns the exit code.
int print_failure(const Failure& failure, bool json);
/// -o json is among the words, wherever parsing stopped.
bool wants_json(const std::vector<std::string>& words);
/// What to do where the failure does not say: by the broker's error, else by the exit code.
/// `command` is the one that ran, "millrace topic create".
std::string usual_fix(const Failure& failure, const std::string& command);

}  // namespace millrace::cli
