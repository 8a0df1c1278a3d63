// tools/cli/plan_store.h: plans kept in the cluster, in a compacted topic of one partition.
//
// Ordinary records, written and read by the command line: any machine sees them, and they outlive
// every controller. The last record of a key counts. Tombstones forget a plan.
#pragma once

#include <map>
#include <string>

#include "cli/fetcher.h"
#include "cli/plan_state.h"

namespace millrace::cli {

inline constexpr const char* kPlansTopic = "__millrace_plans";

class PlanStore {
  public:
    explicit PlanStore(Client& client) : client_(client), fetcher_(client, false) {}

    /// Reads what came since the last time. No topic: no plans.
    void refresh();
    const std::map<std::string, StoredPlan>& plans() const { return plans_; }
    /// The plan of that id; with no id the one that is not over, else the newest. A Failure when
    /// there is none.
    StoredPlan find(const std::string& id);
    /// A new plan with its moves; makes the topic when it is missing.
    void add(const StoredPlan& plan);
    /// The state alone. Flushed and acknowledged by all in-sync replicas when it returns.
    void save(const StoredPlan& plan);

  private:
    void make_topic();
    void write(const std::vector<std::pair<std::string, std::string>>& records);

    Client& client_;
    Fetcher fetcher_;
    bool started_ = false;
    std::map<std::string, StoredPlan> plans_;
};

int64_t now_ms();
/// Somebody works on it: seen a moment ago, and not a process of this machine that is gone.
bool is_driven(const StoredPlan& plan);
/// This process as a driver.
std::string driver_name();
/// "user@host".
std::string who_am_i();
/// "r-20261121-091402", or with a number behind when that is taken.
std::string new_plan_id(const PlanStore& store);

}  // namespace millrace::cli
