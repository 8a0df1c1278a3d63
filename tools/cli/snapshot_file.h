// tools/cli/snapshot_file.h: a cluster snapshot in JSON, read into the planner's types.
#pragma once

#include <string>

#include "millrace/placement/snapshot.h"

namespace millrace::cli {

/// What is wrong with a snapshot's text.
struct SnapshotProblem {
    std::string rule;     // "bad-json", "bad-input"; empty: nothing is wrong
    std::string message;  // with line and column where the JSON is broken
    std::string excerpt;  // the line and a caret below the place, or empty
};

/// Reads `{"version":1,"axes":[...],"brokers":[...],"topics":[...]}`; unknown members are skipped.
SnapshotProblem read_snapshot(const std::string& text, placement::Snapshot& snapshot);

}  // namespace millrace::cli
