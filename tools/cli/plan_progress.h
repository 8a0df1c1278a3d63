// tools/cli/plan_progress.h: how far a plan is, seen from the cluster.
#pragma once

#include <string>
#include <vector>

#include "cli/plan_state.h"

namespace millrace::cli {

/// Asks for the partitions of these moves and for everything that is being reassigned.
PlanView look_at(Client& client, const std::vector<PlannedMove>& moves);

struct MoveProgress {
    const PlannedMove* move = nullptr;
    MoveState state = MoveState::Pending;
    int64_t done_bytes = 0;
    int64_t total_bytes = 0;
    bool stalled = false;
};
struct PlanProgress {
    std::vector<MoveProgress> moves;
    int64_t done_bytes = 0;
    int64_t total_bytes = 0;
    int64_t moves_in(MoveState state) const;
};
/// Pure: `copied` is what has arrived of copies under way.
PlanProgress progress_of(const StoredPlan& plan, const PlanView& view,
                         const std::map<PartitionReplica, int64_t>& copied);
/// The copies under way, asked of their brokers; one that does not answer counts as nothing.
std::map<PartitionReplica, int64_t> copied_bytes(Client& client, const StoredPlan& plan,
                                                 const PlanView& view);

/// Which moves stand still, over looks at one plan again and again.
class StallWatch {
  public:
    static constexpr int64_t kStallMs = 10'000;
    /// Marks the moves under way of which nothing has arrived for that long.
    void mark(PlanProgress& progress, int64_t now);

  private:
    struct Seen {
        int64_t bytes = -1;
        int64_t since = 0;
    };
    std::map<TopicPartition, Seen> seen_;
};

/// The broker with the most left to receive of what is under way.
struct Slowest {
    int32_t broker = -1;
    int64_t bytes_left = 0;
    int64_t rate = 0;  // of what it receives now
};
Slowest slowest_of(const StoredPlan& plan, const PlanProgress& progress, int64_t now);

/// "██████░░░░"
std::string bar(int64_t done, int64_t total, int width);
std::string progress_text(const StoredPlan& plan, const PlanProgress& progress, int64_t now);
std::string progress_line(const StoredPlan& plan, const PlanProgress& progress, int64_t now);
/// Moves before they begin, for a dry run.
std::string moves_text(const std::vector<PlannedMove>& moves);
std::string moves_json(const std::vector<PlannedMove>& moves);
std::string progress_json(const StoredPlan& plan, const PlanProgress& progress, int64_t now);

}  // namespace millrace::cli
