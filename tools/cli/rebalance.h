// tools/cli/rebalance.h: planning and carrying out against a live cluster, shared by two commands.
#pragma once

#include "cli/plan_driver.h"
#include "cli/plan_file.h"
#include "cli/plan_request.h"

namespace millrace::cli {

/// `reassign-partitions` and its commands.
void add_reassign(CLI::App& root, Context& context);
/// `rebalance-rackaware` without a command behind it.
void add_rebalance_live(CLI::App& group, Context& context);

/// The cluster as the planner sees it. A Failure when a broker that is up does not answer: a plan
/// from half the sizes would be wrong. With a window of seconds the write rates are measured.
placement::Snapshot live_snapshot(Client& client, int32_t rate_window = 0);

/// Copies that are being added do not count yet: one that never arrives must not raise the number
/// of copies.
void leave_out_adding(placement::Snapshot& snapshot,
                      const std::map<TopicPartition, OngoingReassignment>& ongoing);

struct LivePlan {
    placement::Snapshot snapshot;
    placement::Plan plan;
};
/// The cluster as it is, planned. `dead_hosts` are looked up among the brokers.
LivePlan plan_live(Client& client, const PlanOptions& options,
                   const std::vector<std::string>& dead_hosts, int32_t rate_window = 0);
/// The plan for people, with the time it takes at that rate; for programs the plan itself.
std::string live_plan_text(const LivePlan& live, int64_t bytes_per_second);

struct Execution {
    int64_t throttle = 0;  // bytes per second and broker; 0 for none
    bool additional = false;
    std::string undo_of;
    std::string undo_file;  // where to write it; empty for nowhere
    int32_t cordon = -1;    // a broker that is to take no new copies from now on
    int wait_ms = 0;        // leave the moves to themselves after that; 0 for never
};
/// Keeps the moves in the cluster as a plan and carries it out; returns it as it ended. Prints the
/// sentence that wrappers of Kafka's tool look for, always in the plural.
StoredPlan run_moves(const Context& context, Client& client, std::vector<PlannedMove> moves,
                     const Execution& how);
/// The same where there is something to move, and how it ended. Returns the exit code.
int execute_moves(const Context& context, Client& client, std::vector<PlannedMove> moves,
                  const Execution& how);
/// Says how a plan ended; the exit code that goes with it.
int report_end(const Context& context, Client& client, const StoredPlan& plan);

/// "50MB/s" or a Failure that names the option.
int64_t rate_option(const char* option, const std::string& text);
/// What producers write to these partitions per second, by two looks at their leaders.
std::map<TopicPartition, int64_t> measure_write_rates(Client& client,
                                                      const std::vector<PlannedMove>& moves);
/// A Failure with the figure that would do when moves could never catch up.
void check_throttle(const std::vector<PlannedMove>& moves, int64_t throttle,
                    const std::map<TopicPartition, int64_t>& write_rates);

/// The state of moves in Kafka's words, violations left, and throttles that a dead driver left
/// behind cleared. kUnhealthy when something is not as planned; violations that cannot be told, as
/// without racks, count as none.
int verify_moves(const Context& context, Client& client, const std::vector<PlannedMove>& moves);

}  // namespace millrace::cli
