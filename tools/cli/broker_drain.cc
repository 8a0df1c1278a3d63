// tools/cli/broker_drain.cc: `broker drain`, `undrain` and `decommission`.
//
// Draining is cordoning (cordoned.log.dirs=*, KIP-1066) and moving every replica away, into
// domains of its own. A broker that is down cannot be cordoned and need not be: nothing is placed on
// it; its replicas are replaced.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <thread>

#include "cli/cluster_state.h"
#include "cli/output.h"
#include "cli/plan_output.h"
#include "cli/reassign_client.h"
#include "millrace/wire/gen/unregister_broker_request.h"
#include "millrace/wire/gen/unregister_broker_response.h"

namespace millrace::cli {
namespace {

constexpr const char* kCordoned = "cordoned.log.dirs";

struct DrainOptions {
    int32_t id = 0;
    bool dry_run = false;
    int wait_ms = 0;
};

placement::Plan plan_of(const ClusterState& state, const ClusterBroker& broker) {
    placement::Request request;
    (broker.fenced ? request.dead : request.away_from).push_back(broker.id);
    placement::Outcome outcome = placement::make_plan(state.snapshot, request);
    if (!outcome.refusal) return std::move(outcome.plan);
    Failure failure{kFailed, outcome.refusal->message,
                    "add a broker in a domain of its own, or lower the replication factor"};
    failure.json = refusal_json(*outcome.refusal);
    throw failure;
}

void submit(Client& client, const placement::Plan& plan) {
    std::map<TopicPartition, std::optional<std::vector<int32_t>>> targets;
    for (const placement::Change& change : plan.changes)
        targets[{change.name.topic, change.name.partition}] = change.to;
    if (targets.empty()) return;
    for (const auto& [partition, refusal] : alter_reassignments(client, targets))
        check_error(refusal.error_code, refusal.message, partition.to_string());
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

/// What is still there when the time is over.
int64_t wait_until_empty(Client& client, int32_t id, int wait_ms) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
    for (;;) {
        client.renew();
        const int64_t left = replicas_on(client, id);
        if (left == 0 || std::chrono::steady_clock::now() >= deadline) return left;
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
}

void drain(Context& context, const DrainOptions& options) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    const ClusterBroker& broker = state.broker(options.id);
    const placement::Plan plan = plan_of(state, broker);
    if (!context.json()) std::cout << plan_text(plan);
    if (!options.dry_run) {
        confirm(context, fmt::format("move {} away from broker {}?",
                                     counted(broker.replicas, "replica"), broker.id));
        client.renew();
        if (!broker.fenced) {
            alter_configs(client, kBrokerResource, std::to_string(broker.id),
                          {{kCordoned, 0, "*"}}, false);
        }
        submit(client, plan);
    }
    int64_t left = broker.replicas;
    if (!options.dry_run && options.wait_ms > 0)
        left = wait_until_empty(client, broker.id, options.wait_ms);
    if (context.json()) {
        print_items("Drain", Json::array({{{"broker", broker.id},
                                           {"dryRun", options.dry_run},
                                           {"replicas", left},
                                           {"plan", Json::parse(plan_json(plan))}}}));
    } else if (options.dry_run) {
        std::cout << fmt::format("would move {} away from broker {}\n",
                                 counted(broker.replicas, "replica"), broker.id);
    } else if (left == 0) {
        std::cout << fmt::format("broker {} is empty; remove it: millrace broker decommission {}\n",
                                 broker.id, broker.id);
    } else {
        std::cout << fmt::format("broker {} is draining, {} to go: millrace broker describe {}\n",
                                 broker.id, counted(left, "replica"), broker.id);
    }
    if (options.wait_ms > 0 && left > 0 && !options.dry_run) context.exit_code = kNoConnection;
}

void undrain(const Context& context, int32_t id) {
    Client client(context);
    read_cluster(client).broker(id);
    alter_configs(client, kBrokerResource, std::to_string(id), {{kCordoned, 1, ""}}, false);
    if (context.json()) {
        print_items("Drain", Json::array({{{"broker", id}, {"cordoned", false}}}));
        return;
    }
    std::cout << fmt::format(
        "broker {} takes new replicas again; fill it: millrace rebalance-rackaware --balance\n",
        id);
}

void decommission(const Context& context, int32_t id) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    const ClusterBroker& broker = state.broker(id);
    if (broker.replicas > 0) {
        throw Failure{kConflict,
                      fmt::format("broker {} still has {}", id, counted(broker.replicas, "replica")),
                      fmt::format("empty it first: millrace broker drain {} --wait 10m", id)};
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
    command->add_flag("--dry-run", options->dry_run, "only show the plan");
    command->add_flag("-y,--yes", context.yes, "do not ask");
    add_duration_option(*command, "--wait", options->wait_ms, "until it is empty, at most so long");
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
