// tools/cli/plan_stop.h: what is under way goes back, and what must not go back goes on.
#pragma once

#include <string>

#include "cli/plan_store.h"

namespace millrace::cli {

/// Kafka's min.insync.replicas of these topics.
std::map<std::string, int32_t> min_isr_of(Client& client, const std::vector<PlannedMove>& moves);

struct Stopped {
    std::vector<TopicPartition> back;   // were under way, and are taken back
    std::vector<TopicPartition> bound;  // go on: going back would leave too few in-sync copies
    std::string refused;                // by the controller, and why
};
/// What stop_moves would do.
Stopped judge_stop(Client& client, const StoredPlan& plan, bool force);
/// Takes moves under way back to where they were. With `force` also those that are left with fewer
/// in-sync copies than min.insync.replicas.
Stopped stop_moves(Client& client, const StoredPlan& plan, bool force);

/// What a driver that lost the plan takes back itself: what it `submitted` last, too late for the
/// taker to see, unless another plan that is not over moves it by now.
std::vector<PlannedMove> late_moves(const StoredPlan& plan,
                                    const std::set<TopicPartition>& submitted,
                                    const std::map<std::string, StoredPlan>& plans);

/// Makes this process the one who works on the plan; whoever did before hears of it.
StoredPlan take_over(PlanStore& store, const std::string& id);
/// Stops the moves of a plan that this process works on, removes its throttles and stores it in
/// that phase. Where moves have to go on the phase is Paused and the throttles stay: the cluster
/// takes them away when those have ended.
Stopped stop_plan(Client& client, PlanStore& store, StoredPlan& plan, PlanPhase phase,
                  const std::string& note, bool force);

/// What became of throttles, for the sentence of a command.
std::string throttles_text(const StoredPlan& plan);
/// A Failure when some had to go on.
void check_stopped(const StoredPlan& plan, const Stopped& stopped);

}  // namespace millrace::cli
