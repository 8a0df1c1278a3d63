// tools/cli/reassign_commands.cc: `reassign-partitions plan, apply, status, verify, pause, resume,
// cancel, throttle, rollback`.
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/cordon.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/plan_output.h"
#include "cli/plan_throttle.h"
#include "cli/rebalance.h"
#include "cli/shim_reassign_text.h"

namespace millrace::cli {
namespace {

struct Options {
    PlanOptions plan;
    std::string id;  // of a plan, or the file to apply
    std::string file = kPlanFileName;
    std::string throttle;
    bool watch = false;
    int watch_ms = 2'000;
    MoveRules rules;
    bool additional = false;
    bool dry_run = false;
};

constexpr int64_t kRateMs = 10'000;  // a driver looks for orders every second
constexpr int kRatePollMs = 200;

CLI::App* add_command(CLI::App& group, Context& context, const char* name, const char* help) {
    CLI::App* command = group.add_subcommand(name, help);
    add_connection_options(*command, context);
    return command;
}

void add_id(CLI::App& command, Options& options) {
    command.add_option("id", options.id, "the plan; the one under way, else the newest");
}

void plan(Context& context, const Options& options) {
    Client client(context);
    const int64_t throttle =
        options.throttle.empty() ? 0 : rate_option("--throttle", options.throttle);
    const LivePlan live = plan_live(client, options.plan, {});
    if (options.plan.check && !live.plan.changes.empty()) context.exit_code = kPending;
    write_text_file(options.file, plan_json(live.plan));
    if (context.json()) {
        std::cout << plan_json(live.plan);
        return;
    }
    std::cout << live_plan_text(live, throttle);
    if (!live.plan.changes.empty())
        std::cout << fmt::format("\nrun it    millrace reassign-partitions apply {}\n",
                                 options.file);
}

/// What a dry run of `apply` and `rollback` would do, as a plan that nobody works on yet.
void show_moves(const Context& context, const std::vector<PlannedMove>& moves) {
    if (context.json())
        std::cout << moves_json(moves) << '\n';
    else
        std::cout << (moves.empty() ? "nothing to move: all partitions are where the plan says\n"
                          : moves_text(moves));
}

void apply(Context& context, const Options& options) {
    const int64_t throttle =
        options.throttle.empty() ? 0 : rate_option("--throttle", options.throttle);
    const auto rows = read_plan_file(options.id, read_text_file(options.id));
    Client client(context);
    const auto snapshot = live_snapshot(client);
    auto moves = moves_to_do(rows, snapshot, options.rules);
    int64_t copies = 0;
    int64_t bytes = 0;
    for (const PlannedMove& move : moves) {
        copies += static_cast<int64_t>(move.adding().size());
        bytes += move.bytes * static_cast<int64_t>(move.adding().size());
    }
    if (options.dry_run) {
        show_moves(context, moves);
        return;
    }
    if (!moves.empty())
        confirm(context,
                fmt::format("{}, {} new copies, {} to send, {}.",
                            counted(static_cast<int64_t>(moves.size()), "partition"),
                            grouped(copies), bytes == 0 ? "0 bytes" : bytes_text(bytes),
                            throttle == 0 ? "no throttle" : "throttle " + rate_text(throttle)));
    Execution how;
    how.throttle = throttle;
    how.additional = options.additional;
    context.exit_code = execute_moves(context, client, std::move(moves), how);
}

std::string status_of(const Context& context, Client& client, const StoredPlan& plan,
                      StallWatch& stalls) {
    const PlanView view = look_at(client, plan.moves);
    PlanProgress progress = progress_of(plan, view, copied_bytes(client, plan, view));
    stalls.mark(progress, now_ms());
    return context.json() ? progress_json(plan, progress, now_ms()) + "\n"
                          : progress_text(plan, progress, now_ms());
}

/// Redraws on a terminal, prints what changed elsewhere, until the plan is over.
void watch(const Context& context, Client& client, PlanStore& store, StoredPlan plan,
           int pause_ms) {
    InterruptGuard guard;
    const bool terminal = isatty(STDOUT_FILENO) != 0 && !context.json();
    StallWatch stalls;
    size_t lines = 0;
    std::string last;
    while (!interrupted()) {
        client.renew();
        const std::string text = status_of(context, client, plan, stalls);
        if (terminal && lines > 0) std::cout << fmt::format("\033[{}A\033[J", lines);
        if (text != last) std::cout << text << std::flush;
        lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
        if (!terminal) last = text;
        if (is_over(plan.phase) || plan.phase == PlanPhase::Paused) return;
        ::poll(nullptr, 0, pause_ms);
        client.renew();
        plan = store.find(plan.id);
    }
}

void status(Context& context, const Options& options) {
    Client client(context);
    PlanStore store(client);
    store.refresh();
    if (store.plans().empty() && options.id.empty()) {
        // Nothing of ours; what others started is worth a word.
        std::cout << (context.json() ? R"({"apiVersion":"v1","kind":"Reassignment","items":[]})"
                                     : ongoing_text(list_reassignments(client)))
                  << '\n';
        return;
    }
    const StoredPlan plan = store.find(options.id);
    if (!options.watch) {
        StallWatch once;
        std::cout << status_of(context, client, plan, once);
        return;
    }
    watch(context, client, store, plan, options.watch_ms);
}

void verify(Context& context, const Options& options) {
    Client client(context);
    PlanStore store(client);
    context.exit_code = verify_moves(context, client, store.find(options.id).moves);
}

void refuse_over(const StoredPlan& plan) {
    if (!is_over(plan.phase)) return;
    throw Failure{kConflict, fmt::format("plan {} is {}", plan.id, phase_name(plan.phase)),
                  "millrace reassign-partitions status " + plan.id};
}

StoredPlan unfinished(PlanStore& store, const std::string& id) {
    StoredPlan plan = store.find(id);
    refuse_over(plan);
    return plan;
}

/// What a command did to a plan: a sentence, or its new state.
void say(const Context& context, const StoredPlan& plan, const std::string& text) {
    const Json json = {{"apiVersion", "v1"},
                       {"kind", "Reassignment"},
                       {"id", plan.id},
                       {"state", phase_name(plan.phase)},
                       {"throttle", plan.throttle}};
    std::cout << (context.json() ? json.dump() : text) << '\n';
}

void pause(Context& context, const Options& options) {
    Client client(context);
    PlanStore store(client);
    StoredPlan plan = unfinished(store, options.id);
    if (plan.phase == PlanPhase::Paused) {
        say(context, plan, plan.id + " is paused already");
    } else if (is_driven(plan)) {
        plan = store.update(plan.id, [](StoredPlan& now) {
            refuse_over(now);
            now.phase = PlanPhase::Pausing;
            now.by = who_am_i();
        });
        say(context, plan,
            fmt::format("{} pauses when wave {} of {} is done", plan.id, plan.wave + 1,
                        plan.waves()));
    } else {
        plan = take_over(store, plan.id);
        const Stopped stopped = stop_plan(client, store, plan, PlanPhase::Paused,
                                          "paused by " + who_am_i(), false);
        say(context, plan,
            plan.id + " is paused; nobody was working on it, so moves under way were taken back");
        check_stopped(plan, stopped);
    }
}

void refuse_drift(const Options& options, const std::vector<TopicPartition>& drifted) {
    if (drifted.empty() || options.rules.force) return;
    throw Failure{
        kConflict,
        fmt::format("the cluster has changed since the plan was made: {}", some_names(drifted)),
        "make a new plan; --force goes on all the same"};
}

void resume(Context& context, const Options& options) {
    Client client(context);
    PlanStore store(client);
    StoredPlan plan = unfinished(store, options.id);
    if (plan.phase != PlanPhase::Paused && is_driven(plan))
        throw Failure{kConflict, fmt::format("{} is being worked on by {}", plan.id, plan.driver),
                      "millrace reassign-partitions status --watch shows it"};
    refuse_drift(options, drifted_moves(plan.moves, plan.wave, look_at(client, plan.moves)));
    context.exit_code = report_end(context, client, drive(client, store, std::move(plan)));
}

std::string names_or_none(const std::vector<TopicPartition>& partitions) {
    return partitions.empty() ? "nothing" : some_names(partitions);
}

void show_stop(const Context& context, const StoredPlan& plan, const Stopped& would) {
    if (context.json()) {
        Json json = {{"apiVersion", "v1"}, {"kind", "Reassignment"}, {"id", plan.id},
                     {"dryRun", true},     {"back", Json::array()},  {"goes_on", Json::array()}};
        for (const TopicPartition& one : would.back)
            json["back"].push_back(one.to_string());
        for (const TopicPartition& one : would.bound)
            json["goes_on"].push_back(one.to_string());
        std::cout << json.dump() << '\n';
        return;
    }
    std::cout << fmt::format("would take back {}\n", names_or_none(would.back));
    if (!would.bound.empty())
        std::cout << fmt::format("goes on, too few of the old copies are in sync: {}\n",
                                 some_names(would.bound));
}

void cancel(Context& context, const Options& options) {
    Client client(context);
    PlanStore store(client);
    StoredPlan plan = unfinished(store, options.id);
    if (options.dry_run) {
        show_stop(context, plan, judge_stop(client, plan, options.rules.force));
        return;
    }
    plan = take_over(store, plan.id);
    const Stopped stopped = stop_plan(client, store, plan, PlanPhase::Cancelled,
                                      "cancelled by " + plan.by, options.rules.force);
    if (stopped.bound.empty()) {
        say(context, plan,
            fmt::format("{} is cancelled: moves under way go back, {}\nwhat had arrived stays; undo "
                        "it with: millrace reassign-partitions rollback {}{}",
                        plan.id, throttles_text(plan), plan.id,
                        plan.cordon.broker < 0
                            ? ""
                            : fmt::format("\nbroker {} still takes no new copies: millrace broker "
                                          "undrain {}",
                                          plan.cordon.broker, plan.cordon.broker)));
    } else if (context.json()) {
        say(context, plan, "");
    }
    check_stopped(plan, stopped);
}

/// Whoever works on the plan sets its rate; where nobody does, this command.
void apply_rate(Client& client, PlanStore& store, StoredPlan& plan) {
    const int64_t until = now_ms() + kRateMs;
    while (is_driven(plan) && !is_over(plan.phase) && plan.throttle_set != plan.throttle &&
           now_ms() < until) {
        ::poll(nullptr, 0, kRatePollMs);
        client.renew();
        plan = store.find(plan.id);
    }
    if (is_driven(plan) || is_over(plan.phase)) return;
    plan = take_over(store, plan.id);
    if (plan.throttle == 0)
        remove_throttles(client, store, plan);
    else if (plan.throttle_set > 0)
        change_throttle(client, store, plan);
    plan.driver.clear();
    if (!store.try_save(plan)) plan = store.find(plan.id);  // taken over by another command
}

void throttle(Context& context, const Options& options) {
    const int64_t rate = rate_option("throttle", options.throttle);
    Client client(context);
    PlanStore store(client);
    StoredPlan plan = unfinished(store, options.id);
    if (rate > 0) {
        const PlanView view = look_at(client, plan.moves);
        std::vector<PlannedMove> left;
        for (const PlannedMove& move : plan.moves) {
            if (state_of(move, view) != MoveState::Done) left.push_back(move);
        }
        check_throttle(left, rate, measure_write_rates(client, left));
    }
    client.renew();
    plan = store.update(plan.id, [rate](StoredPlan& now) {
        refuse_over(now);
        now.throttle = rate;
    });
    apply_rate(client, store, plan);
    say(context, plan,
        is_over(plan.phase) ? fmt::format("{} is {} meanwhile", plan.id, phase_name(plan.phase))
        : rate == 0         ? plan.id + ": no throttle any more"
                            : fmt::format("{}: throttle {} per broker", plan.id, rate_text(rate)));
}

/// A drain undone: the broker takes copies again, those that come back first of all.
void give_back_cordon(Client& client, PlanStore& store, const StoredPlan& plan) {
    if (plan.cordon.broker < 0) return;
    client.renew();
    take_back_cordon(client, plan.cordon);
    store.update(plan.id, [](StoredPlan& now) { now.cordon = {}; });
}

void rollback(Context& context, const Options& options) {
    Client client(context);
    PlanStore store(client);
    const StoredPlan plan = store.find(options.id);
    if (!is_over(plan.phase) && is_driven(plan))
        throw Failure{kConflict, fmt::format("{} is under way", plan.id),
                      "millrace reassign-partitions cancel " + plan.id};
    const auto snapshot = live_snapshot(client);
    std::vector<FileMove> rows;
    const PlanView view = look_at(client, plan.moves);
    refuse_drift(options, drifted_moves(plan.moves, 0, view));
    for (const PlannedMove& move : plan.moves) {
        switch (state_of(move, view)) {
            case MoveState::Moving:
                throw Failure{
                    kConflict,
                    fmt::format("{} of {} is still moving", move.partition.to_string(), plan.id),
                    "millrace reassign-partitions cancel " + plan.id};
            case MoveState::Gone:
                std::cerr << fmt::format("{} is gone: passed over\n", move.partition.to_string());
                break;
            case MoveState::Pending:
            case MoveState::Done:
            case MoveState::Drifted:
                rows.push_back({move.partition, move.from, {}, std::nullopt, std::nullopt});
        }
    }
    MoveRules rules = options.rules;
    rules.allow_fewer_copies = true;  // as it was before
    auto moves = moves_to_do(rows, snapshot, rules);
    if (options.dry_run) {
        show_moves(context, moves);
        return;
    }
    if (!moves.empty())
        confirm(context, fmt::format("{} go back to where they were.",
                                     counted(static_cast<int64_t>(moves.size()), "partition")));
    give_back_cordon(client, store, plan);
    Execution how;
    how.throttle =
        options.throttle.empty() ? plan.throttle : rate_option("--throttle", options.throttle);
    how.undo_of = plan.id;
    context.exit_code = execute_moves(context, client, std::move(moves), how);
}

void add_force(CLI::App& command, Options& options) {
    command.add_flag("--force", options.rules.force,
                     "although partitions have changed since the plan was made");
}

void add_dry_run(CLI::App& command, Options& options) {
    command.add_flag("--dry-run", options.dry_run, "only show what would be done");
}

void add_starting_options(CLI::App& command, Context& context, Options& options) {
    add_dry_run(command, options);
    command.add_option("--throttle", options.throttle, "bytes per second and broker (none)");
    command.add_flag("-y,--yes", context.yes, "do not ask");
    command
        .add_option("--max-moves-per-broker", options.rules.max_moves_per_broker,
                    "copies that a broker takes in one wave (5)")
        ->check(CLI::Range(1, 1'000'000));
}

}  // namespace

void add_reassign(CLI::App& root, Context& context) {
    CLI::App* group = root.add_subcommand(
        "reassign-partitions",
        "move partitions; with Kafka's flags (--execute and its kin) it speaks Kafka's tongue");
    group->require_subcommand(1);
    auto options = std::make_shared<Options>();
    const auto add = [&](const char* name, const char* help,
                         void (*run)(Context&, const Options&)) {
        CLI::App* command = add_command(*group, context, name, help);
        command->callback([&context, options, run] { run(context, *options); });
        return command;
    };
    CLI::App* planned = add("plan", "propose moves that make every partition rack-safe", plan);
    add_plan_options(*planned, options->plan);
    planned->add_option("--out", options->file, "file of the plan (kafkaRebalancePlan.json)");
    planned->add_option("--throttle", options->throttle, "rate to tell the duration for");
    CLI::App* applied = add("apply", "carry out a file of moves, ours or Apache's", apply);
    applied->add_option("file", options->id, "the plan; - reads it")->required();
    add_starting_options(*applied, context, *options);
    add_force(*applied, *options);
    applied->add_flag("--allow-fewer-copies", options->rules.allow_fewer_copies,
                      "although the plan lowers a replication factor");
    applied->add_flag("--additional", options->additional, "run beside reassignments of others");
    CLI::App* shown = add("status", "how far a plan is", status);
    add_id(*shown, *options);
    shown->add_flag("--watch", options->watch, "again and again until it is over");
    add_duration_option(*shown, "--every", options->watch_ms, "pause of --watch (2s)");
    add_id(*add("verify", "is everything where the plan says, and rack-safe", verify), *options);
    add_id(*add("pause", "stop behind the wave under way", pause), *options);
    CLI::App* resumed = add("resume", "go on with a plan, from any machine", resume);
    add_id(*resumed, *options);
    add_force(*resumed, *options);
    CLI::App* cancelled = add("cancel", "take moves under way back and stop", cancel);
    add_id(*cancelled, *options);
    cancelled->add_flag("--force", options->rules.force,
                        "although fewer copies than min.insync.replicas would be in sync");
    add_dry_run(*cancelled, *options);
    CLI::App* limited = add("throttle", "another rate for a plan under way", throttle);
    limited->add_option("rate", options->throttle, "50MB/s, 50000000; 0 removes it")->required();
    add_id(*limited, *options);
    CLI::App* undone = add("rollback", "put everything back to where it was", rollback);
    add_id(*undone, *options);
    add_force(*undone, *options);
    add_starting_options(*undone, context, *options);
}

}  // namespace millrace::cli
