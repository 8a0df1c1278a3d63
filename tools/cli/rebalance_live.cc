// tools/cli/rebalance_live.cc: `rebalance-rackaware` against a cluster, with the flags of the tool
// in the runbooks.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "cli/cluster_state.h"
#include "cli/dead_hosts.h"
#include "cli/output.h"
#include "cli/plan_output.h"
#include "cli/rebalance.h"

namespace millrace::cli {
namespace {

constexpr const char* kUsualThrottle = "50000000";  // the old tool's
constexpr int kTimeoutMs = 30'000;

struct LiveOptions {
    PlanOptions plan;
    std::vector<std::string> dead_hosts;
    std::string directory = ".";
    std::string throttle;
    std::string username, password;
    int32_t rate_window = 0;
    bool execute = false;
    bool verify = false;
    bool force = false;
    bool storage_cost = false;
    bool additional = false;
    bool fewer_copies = false;
};

std::string path_in(const LiveOptions& options, const char* name) {
    return (std::filesystem::path(options.directory) / name).string();
}

/// What the old tool needed and this one does not.
void say_what_is_ignored(const LiveOptions& options) {
    if (!options.username.empty() || !options.password.empty())
        std::cerr << "--username and --password are ignored: nothing is asked by ssh, and a "
                     "password in a command line can be read by everybody\n";
    if (options.storage_cost)
        std::cerr << "--computeStorageCost is ignored: sizes always count, the brokers tell them\n";
    if (options.force && !options.execute)
        std::cerr << "--force changes nothing here: every replication factor is planned, and "
                     "partitions that are right are never touched\n";
}

void make_files(const LiveOptions& options, const LivePlan& live) {
    std::error_code error;
    std::filesystem::create_directories(options.directory, error);
    if (error)
        throw Failure{kFailed,
                      fmt::format("cannot make {}: {}", options.directory, error.message()), ""};
    write_text_file(path_in(options, kPlanFileName), plan_json(live.plan));
}

/// How the write rate compares, where somebody asked for a throttle.
std::string rate_line(Client& client, const std::vector<PlannedMove>& moves, int64_t throttle) {
    const auto rates = measure_write_rates(client, moves);
    check_throttle(moves, throttle, rates);
    int64_t sum = 0;
    for (const auto& [partition, rate] : rates)
        sum += rate;
    return fmt::format("live write rate on these partitions is {}, so it will finish\n",
                       rate_text(sum));
}

void plan(Context& context, const LiveOptions& options, Client& client) {
    const int64_t throttle =
        rate_option("--throttle", options.throttle.empty() ? kUsualThrottle : options.throttle);
    const LivePlan live = plan_live(client, options.plan, options.dead_hosts, options.rate_window);
    make_files(options, live);
    if (options.plan.check && !live.plan.changes.empty()) context.exit_code = kPending;
    if (context.json()) {
        std::cout << plan_json(live.plan);
        return;
    }
    std::cout << live_plan_text(live, throttle);
    if (live.plan.changes.empty()) return;
    if (!options.throttle.empty()) std::cout << rate_line(client, moves_of(live.plan), throttle);
    const std::string where =
        options.directory == "." ? "" : " --rebalancePlanDir " + options.directory;
    std::cout << fmt::format(
        "\nplan      {}          same file kafka-reassign-partitions.sh reads\n"
        "undo      {}\n"
        "run it    millrace rebalance-rackaware{} --execute        or: millrace "
        "reassign-partitions apply {}\n",
        path_in(options, kPlanFileName), path_in(options, kUndoFileName), where,
        path_in(options, kPlanFileName));
}

std::vector<FileMove> planned_rows(const LiveOptions& options) {
    const std::string path = path_in(options, kPlanFileName);
    if (!std::filesystem::exists(path))
        throw Failure{kUsage, fmt::format("no plan at {}", path),
                      "make one first: the same command without --execute and --verify"};
    const std::string text = read_text_file(path);
    if (text.empty()) return {};  // how the old tool says that nothing is to do
    return read_plan_file(path, text);
}

void execute(Context& context, const LiveOptions& options, Client& client) {
    const auto rows = planned_rows(options);
    if (rows.empty()) {
        std::cout << "nothing to move: the plan is empty, possibly already balanced\n";
        return;
    }
    const auto snapshot = live_snapshot(client);
    Execution how;
    how.throttle =
        rate_option("--throttle", options.throttle.empty() ? kUsualThrottle : options.throttle);
    how.additional = options.additional;
    how.undo_file = path_in(options, kUndoFileName);
    context.exit_code = execute_moves(
        context, client,
        moves_to_do(rows, snapshot, {options.force, options.fewer_copies, options.plan.max_moves}),
        how);
}

void verify(Context& context, const LiveOptions& options, Client& client) {
    std::vector<PlannedMove> moves;
    for (const FileMove& row : planned_rows(options))
        moves.push_back({row.partition, row.from.value_or(row.to), row.to, {}, 0, 0});
    context.exit_code = verify_moves(context, client, moves);
}

void run(Context& context, const LiveOptions& options) {
    if (options.execute && options.verify)
        throw bad_plan_input("usage", "--execute and --verify are two commands",
                             "give one of them");
    say_what_is_ignored(options);
    Context patient = context;
    patient.timeout_ms = std::max(context.timeout_ms, kTimeoutMs);
    Client client(patient);
    if (options.execute)
        execute(context, options, client);
    else if (options.verify)
        verify(context, options, client);
    else
        plan(context, options, client);
}

}  // namespace

placement::Snapshot live_snapshot(Client& client, int32_t rate_window) {
    ClusterState state = read_cluster(client);
    if (rate_window > 0) measure_leader_growth(client, state, rate_window);
    std::set<int32_t> known;
    for (const ClusterBroker& broker : state.brokers) {
        known.insert(broker.id);
        if (!broker.fenced && !broker.answers)
            throw Failure{kNoConnection, fmt::format("broker {} does not answer", broker.id),
                          "wait until it is fenced or answers again"};
    }
    // Copies on brokers that were unregistered: absent like those that are down.
    for (const placement::Topic& topic : state.snapshot.topics) {
        for (const placement::Partition& partition : topic.partitions) {
            for (const int32_t id : partition.replicas) {
                if (!known.insert(id).second) continue;
                auto& gone = state.snapshot.brokers.emplace_back();
                gone.id = id;
                gone.state = placement::BrokerState::Down;
            }
        }
    }
    return std::move(state.snapshot);
}

void leave_out_adding(placement::Snapshot& snapshot,
                      const std::map<TopicPartition, OngoingReassignment>& ongoing) {
    if (ongoing.empty()) return;
    for (placement::Topic& topic : snapshot.topics) {
        for (placement::Partition& partition : topic.partitions) {
            const auto found = ongoing.find({topic.name, partition.partition});
            if (found == ongoing.end()) continue;
            const auto& adding = found->second.adding;
            const auto comes = [&adding](int32_t id) {
                return std::find(adding.begin(), adding.end(), id) != adding.end();
            };
            std::erase_if(partition.replicas, comes);
            if (partition.isr) std::erase_if(*partition.isr, comes);
        }
    }
}

namespace {

/// What helps against a refusal, where it is known.
std::string fix_of(const placement::Refusal& refusal, const placement::Snapshot& snapshot) {
    if (refusal.rule != "unlabelled-broker") return "";
    const bool racks = std::any_of(snapshot.brokers.begin(), snapshot.brokers.end(),
                                   [](const auto& broker) { return !broker.labels.empty(); });
    return racks ? "set broker.rack there, or --soft AXIS to do without"
                 : "no broker has a rack; place without racks: --soft rack";
}

}  // namespace

LivePlan plan_live(Client& client, const PlanOptions& options,
                   const std::vector<std::string>& dead_hosts, int32_t rate_window) {
    placement::Request request = request_of(options);
    for (const std::string& host : words_of("--deadhosts", dead_hosts)) {
        for (const int32_t id : brokers_named(host, cluster_nodes(client, true)))
            request.dead.push_back(id);
    }
    LivePlan live;
    live.snapshot = live_snapshot(client, rate_window);
    leave_out_adding(live.snapshot, list_reassignments(client));
    placement::Outcome outcome = placement::make_plan(live.snapshot, request);
    if (outcome.refusal) {
        throw failure_of(*outcome.refusal, fix_of(*outcome.refusal, live.snapshot));
    }
    live.plan = std::move(outcome.plan);
    return live;
}

std::string live_plan_text(const LivePlan& live, int64_t bytes_per_second) {
    std::string text;
    for (const placement::Broker& broker : live.snapshot.brokers) {
        if (broker.state == placement::BrokerState::Down)
            text += fmt::format(
                "{} is down: never a target; its replicas stay (move them with "
                "--dead {})\n",
                broker.id, broker.id);
    }
    text += plan_text(live.plan, live.plan.changes.empty() ? 0 : bytes_per_second, &live.snapshot);
    const Eta eta = eta_of(moves_of(live.plan), bytes_per_second);
    if (eta.broker >= 0 && eta.seconds > 0)
        text += fmt::format("about {} at {} per broker ({} receives the most)\n",
                            duration_text(eta.seconds), rate_text(bytes_per_second), eta.broker);
    return text;
}

void add_rebalance_live(CLI::App& group, Context& context) {
    auto options = std::make_shared<LiveOptions>();
    add_plan_options(group, options->plan);
    group.add_flag("--execute", options->execute, "carry the plan out, and wait for it");
    group.add_flag("--verify", options->verify, "tell what became of the plan");
    group.add_flag("--force", options->force,
                   "with --execute: although partitions have changed since the plan was made");
    group.add_option("--throttle", options->throttle, "bytes per second and broker (50000000)");
    group.add_option("--rebalancePlanDir", options->directory,
                     "where the plan and the undo file are kept (.)");
    group.add_option("--deadhosts", options->dead_hosts, "hosts whose brokers are gone: names, addresses, host:port or ids")
        ->allow_extra_args(false);
    group
        .add_option("--rate-window", options->rate_window,
                    "seconds to watch the logs of leaders grow, so that leaders are even by traffic too")
        ->check(CLI::Range(1, 3'600));
    group.add_flag("--computeStorageCost", options->storage_cost, "accepted; sizes always count");
    group.add_option("--username", options->username, "accepted and ignored");
    group.add_option("--password", options->password, "accepted and ignored");
    group.add_flag("--additional", options->additional, "run beside reassignments of others");
    group.add_flag("--allow-fewer-copies", options->fewer_copies,
                   "although the plan lowers a replication factor");
    add_connection_options(group, context);
    group.callback([&group, &context, options] {
        if (group.get_subcommands().empty()) run(context, *options);
    });
}

}  // namespace millrace::cli
