// tools/cli/broker_drain.cc: `broker drain`, `undrain` and `decommission`.
//
// Draining is cordoning and a plan like every other that moves all replicas away, into domains of
// their own: status, pause, resume, cancel, throttle and rollback work on it. A broker that is down
// is taken for absent for now, and not emptied, unless the operator says that it is gone (--dead);
// it cannot be cordoned then and need not be, because nothing is placed on it.
#include <fmt/core.h>
#include <poll.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/cluster_state.h"
#include "cli/cordon.h"
#include "cli/output.h"
#include "cli/plan_output.h"
#include "cli/rebalance.h"
#include "millrace/wire/gen/unregister_broker_request.h"
#include "millrace/wire/gen/unregister_broker_response.h"

namespace millrace::cli {
namespace {

constexpr int kPatientMs = 30'000;
constexpr int kLooks = 10;
constexpr int kLookPauseMs = 100;

struct DrainOptions {
    int32_t id = 0;
    bool dead = false;
    bool dry_run = false;
    bool additional = false;
    int wait_ms = 0;
    std::string throttle;
    PlanOptions plan;
};

ClusterBroker broker_to_drain(Client& client, const DrainOptions& options) {
    ClusterBroker broker = read_cluster(client).broker(options.id);
    if (broker.fenced && !options.dead)
        throw Failure{kConflict,
                      fmt::format("broker {} is down: its {} may come back with it", broker.id,
                                  counted(broker.replicas, "replica")),
                      fmt::format("start it; if it is gone for good: millrace broker drain {} --dead",
                                  broker.id)};
    if (!broker.fenced && options.dead)
        throw Failure{kConflict, fmt::format("broker {} is up", broker.id),
                      fmt::format("millrace broker drain {}, without --dead", broker.id)};
    return broker;
}

int64_t replicas_on(Client& client, int32_t id) {
    int64_t left = 0;
    const auto metadata = client.metadata(std::nullopt);
    for (const auto& topic : metadata.topics) {
        for (const auto& partition : topic.partitions) {
            left += std::count(partition.replica_nodes.begin(), partition.replica_nodes.end(), id);
        }
    }
    return left;
}

/// The broker that is asked may hear of the last move a moment after the controller.
int64_t replicas_left(Client& client, int32_t id) {
    int64_t left = replicas_on(client, id);
    for (int i = 0; left > 0 && i < kLooks; ++i) {
        ::poll(nullptr, 0, kLookPauseMs);
        left = replicas_on(client, id);
    }
    return left;
}

void print_drain(const Context& context, const DrainOptions& options, const LivePlan& live,
                 const std::optional<StoredPlan>& plan, int64_t left) {
    if (context.json()) {
        Json item = {{"broker", options.id},
                     {"dryRun", options.dry_run},
                     {"replicas", left},
                     {"id", plan ? Json(plan->id) : Json()},
                     {"state", plan ? Json(phase_name(plan->phase)) : Json()},
                     {"plan", Json::parse(plan_json(live.plan))}};
        print_items("Drain", Json::array({std::move(item)}));
    } else if (options.dry_run) {
        std::cout << fmt::format("would move {} away from broker {}\n", counted(left, "replica"),
                                 options.id);
    } else if (left == 0) {
        std::cout << fmt::format("broker {} is empty; remove it: millrace broker decommission {}\n",
                                 options.id, options.id);
    } else {
        std::cout << fmt::format("broker {} is not empty, {} to go: millrace reassign-partitions "
                                 "status {}\n",
                                 options.id, counted(left, "replica"), plan->id);
    }
}

int exit_code_of_drain(const StoredPlan& plan, int64_t left) {
    if (left == 0) return kDone;
    switch (plan.phase) {
        case PlanPhase::Running: return kNoConnection;  // the time was over
        case PlanPhase::Pausing:
        case PlanPhase::Paused: return kDone;
        case PlanPhase::Cancelled:
        case PlanPhase::Failed:
        case PlanPhase::Done: break;
    }
    if (!plan.note.empty()) std::cerr << "error: " << plan.note << '\n';
    return kFailed;
}

void drain(Context& context, DrainOptions options) {
    const int64_t throttle =
        options.throttle.empty() ? 0 : rate_option("--throttle", options.throttle);
    Context patient = context;
    patient.timeout_ms = std::max(context.timeout_ms, kPatientMs);
    Client client(options.dry_run ? context : patient);
    const ClusterBroker broker = broker_to_drain(client, options);
    (options.dead ? options.plan.dead : options.plan.away_from) = {std::to_string(broker.id)};
    // Before the plan: its copies may come to lie on the broker, too.
    if (!options.dry_run) PlanStore(client).make_topic();
    const LivePlan live = plan_live(client, options.plan, {});
    if (!context.json()) std::cout << live_plan_text(live, throttle);
    if (options.dry_run) {
        print_drain(context, options, live, std::nullopt, broker.replicas);
        return;
    }
    confirm(context, fmt::format("move {} away from broker {}?",
                                 counted(broker.replicas, "replica"), broker.id));
    client.renew();
    Execution how;
    how.throttle = throttle;
    how.additional = options.additional;
    how.wait_ms = options.wait_ms;
    if (!broker.fenced) how.cordon = broker.id;
    const StoredPlan plan = run_moves(context, client, moves_of(live.plan), how);
    client.renew();
    const int64_t left = replicas_left(client, broker.id);
    print_drain(context, options, live, plan, left);
    context.exit_code = exit_code_of_drain(plan, left);
}

void undrain(const Context& context, int32_t id) {
    Client client(context);
    const ClusterBroker broker = read_cluster(client).broker(id);
    if (broker.fenced)
        throw Failure{kConflict, fmt::format("broker {} is down", id),
                      "start it: only it takes a change of its configs"};
    PlanStore store(client);
    store.refresh();
    Cordon cordon{id, std::nullopt};
    if (const StoredPlan* found = plan_of_cordon(store.plans(), id); found != nullptr) {
        const StoredPlan plan = *found;
        if (is_driven(plan) && !is_over(plan.phase))
            throw Failure{kConflict, fmt::format("broker {} is being emptied by {}", id, plan.id),
                          "millrace reassign-partitions cancel " + plan.id};
        cordon = plan.cordon;
        take_back_cordon(client, cordon);
        store.update(plan.id, [](StoredPlan& now) { now.cordon = {}; });
    } else {
        take_back_cordon(client, cordon);
    }
    const std::string own = cordon.before.value_or("");
    if (context.json()) {
        print_items("Drain", Json::array({{{"broker", id},
                                           {"cordoned", false},
                                           {"cordonedLogDirs", own.empty() ? Json() : Json(own)}}}));
        return;
    }
    std::cout << fmt::format(
        "broker {} takes new replicas again{}; fill it: millrace rebalance-rackaware --balance\n",
        id, own.empty() ? "" : fmt::format(", cordoned.log.dirs={} as before", own));
}

/// The cordon of a drain would meet the next broker of that id. Nobody but the cluster can take it
/// away from a broker that is gone: it is left to it, like a throttle.
void leave_cordon(Client& client, int32_t id) {
    PlanStore store(client);
    store.refresh();
    const StoredPlan* found = plan_of_cordon(store.plans(), id);
    if (found == nullptr) return;
    StoredPlan plan = *found;
    plan.throttles.push_back({kBrokerResource, std::to_string(id), kCordoned, kEveryDir});
    store.note_throttles(plan);
    store.update(plan.id, [](StoredPlan& now) { now.cordon = {}; });
}

void decommission(const Context& context, int32_t id) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    const ClusterBroker& broker = state.broker(id);
    if (broker.replicas > 0) {
        throw Failure{kConflict,
                      fmt::format("broker {} still has {}", id, counted(broker.replicas, "replica")),
                      fmt::format("empty it first: millrace broker drain {}{}", id,
                                  broker.fenced ? " --dead" : "")};
    }
    if (!broker.fenced) {
        throw Failure{kConflict, fmt::format("broker {} is still running", id),
                      "stop its process first, or it would register again"};
    }
    confirm(context, fmt::format("remove broker {} from the cluster?", id));
    client.renew();
    wire::UnregisterBrokerRequest request;
    request.broker_id = id;
    const auto response = client.ask<wire::UnregisterBrokerResponse>(request);
    check_error(response.error_code, response.error_message, fmt::format("broker {}", id));
    leave_cordon(client, id);
    if (context.json())
        print_items("Broker", Json::array({{{"id", id}, {"registered", false}}}));
    else
        std::cout << fmt::format("broker {} is no longer part of the cluster\n", id);
}

}  // namespace

void add_broker_drain(CLI::App& broker, Context& context) {
    CLI::App* command = broker.add_subcommand("drain", "move every replica away, take no new ones");
    auto options = std::make_shared<DrainOptions>();
    command->add_option("id", options->id, "the broker")->required();
    command->add_flag("--dead", options->dead, "it is down and does not come back");
    command->add_option("--soft", options->plan.soft, "an axis that is preferred but not required")
        ->allow_extra_args(false);
    command->add_option("--throttle", options->throttle, "bytes per second and broker (none)");
    command
        ->add_option("--max-moves-per-broker", options->plan.max_moves,
                     "copies that a broker takes in one wave (5)")
        ->check(CLI::Range(1, 1'000'000));
    command->add_flag("--additional", options->additional, "run beside reassignments of others");
    command->add_flag("--dry-run", options->dry_run, "only show the plan");
    command->add_flag("-y,--yes", context.yes, "do not ask");
    add_duration_option(*command, "--wait", options->wait_ms,
                        "leave the moves to themselves after so long");
    add_connection_options(*command, context);
    command->callback([&context, options] { drain(context, *options); });

    CLI::App* back = broker.add_subcommand("undrain", "let it take new replicas again");
    auto id = std::make_shared<int32_t>(0);
    back->add_option("id", *id, "the broker")->required();
    add_connection_options(*back, context);
    back->callback([&context, id] { undrain(context, *id); });

    CLI::App* remove = broker.add_subcommand("decommission", "forget a broker that is empty and stopped");
    remove->add_option("id", *id, "the broker")->required();
    remove->add_flag("-y,--yes", context.yes, "do not ask");
    add_connection_options(*remove, context);
    remove->callback([&context, id] { decommission(context, *id); });
}

}  // namespace millrace::cli
