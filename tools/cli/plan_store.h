// tools/cli/plan_store.h: plans kept in the cluster, in a compacted topic of one partition.
//
// Ordinary records, written and read by the command line: any machine sees them, and they outlive
// every controller. Writes are conditional: a state counts only behind the one it was made from, so
// of two commands at once one wins, and the other hears of it. Tombstones forget a plan.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "cli/fetcher.h"
#include "cli/plan_state.h"

namespace millrace::cli {

using placement::kPlansTopic;

class PlanStore {
  public:
    explicit PlanStore(Client& client) : client_(client), fetcher_(client, false) {}

    /// Reads what came since the last time. No topic: no plans.
    void refresh();
    const std::map<std::string, StoredPlan>& plans() const { return plans_; }
    /// The plan of that id; with no id the one that is not over, else the newest. A Failure when
    /// there is none.
    StoredPlan find(const std::string& id);
    /// Makes the topic when it is missing.
    void make_topic();
    /// A new plan with its moves; makes the topic when it is missing. A Failure (kConflict) when
    /// another has the same id.
    void add(StoredPlan& plan);
    /// The state alone, made from the revision that `plan` has. True when it counts: nobody else
    /// wrote since. Then it is acknowledged by all in-sync replicas, and `plan` has its revision.
    bool try_save(StoredPlan& plan);
    /// Changes the plan as it is now, again while others come first. `change` may throw.
    StoredPlan update(const std::string& id, const std::function<void(StoredPlan&)>& change);
    /// The notes of what the plan has set, before it is set and after it is taken away.
    void note_throttles(const StoredPlan& plan);

  private:
    using Records = std::vector<std::pair<std::string, std::optional<std::string>>>;
    void write(const Records& records);

    Client& client_;
    Fetcher fetcher_;
    bool started_ = false;
    int written_ = 0;
    std::map<std::string, StoredPlan> plans_;
};

int64_t now_ms();
/// Somebody works on it: seen a moment ago, and not a process of this machine that is gone.
bool is_driven(const StoredPlan& plan);
/// This process as a driver.
std::string driver_name();
/// "user@host".
std::string who_am_i();
/// "r-20261121-091402-1579c0e": the time to the millisecond, which they sort by, and four random
/// digits for those who begin at once.
std::string new_plan_id(const PlanStore& store);

}  // namespace millrace::cli
