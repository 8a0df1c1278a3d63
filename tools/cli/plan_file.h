// tools/cli/plan_file.h: files of moves: ours with sizes and waves, Apache's without.
#pragma once

#include <string>
#include <vector>

#include "cli/plan_state.h"
#include "millrace/placement/planner.h"
#include "millrace/placement/snapshot.h"

namespace millrace::cli {

inline constexpr const char* kPlanFileName = "kafkaRebalancePlan.json";
inline constexpr const char* kUndoFileName = "kafkaRebalancePlan.undo.json";

/// A row of a file. `from` and `wave` only where the file is ours.
struct FileMove {
    TopicPartition partition;
    std::vector<int32_t> to;
    std::vector<std::string> log_dirs;
    std::optional<std::vector<int32_t>> from;
    std::optional<int32_t> wave;
};

/// A Failure that tells line and column where the JSON is broken, or what is wrong with a row.
std::vector<FileMove> read_plan_file(const std::string& path, const std::string& text);

struct MoveRules {
    bool force = false;  // take partitions that changed since the plan
    bool allow_fewer_copies = false;
    int32_t max_moves_per_broker = 5;
};
/// The moves that are left to do, against the cluster as it is. A Failure for topics and brokers
/// that do not exist, for drift, and for fewer copies than now.
std::vector<PlannedMove> moves_to_do(const std::vector<FileMove>& rows,
                                     const placement::Snapshot& cluster, const MoveRules& rules);
/// The moves of a plan just made.
std::vector<PlannedMove> moves_of(const placement::Plan& plan);

/// "t-0, t-1, … and 7 more"
std::string some_names(const std::vector<TopicPartition>& partitions);

/// What puts everything back, in Apache's form.
std::string undo_json(const std::vector<PlannedMove>& moves);

std::string read_text_file(const std::string& path);
void write_text_file(const std::string& path, const std::string& text);

}  // namespace millrace::cli
