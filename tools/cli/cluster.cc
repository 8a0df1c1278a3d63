// tools/cli/cluster.cc: `cluster` and `health`: who is there, and whether all is well.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "cli/cluster_state.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

std::string counts_text(const Shortage& shortage) {
    return fmt::format("{} under-replicated · {} offline",
                       counted(shortage.under_replicated, "partition"), shortage.offline);
}

bool is_healthy(const ClusterState& state, const Shortage& shortage) {
    const bool all_up = std::all_of(state.brokers.begin(), state.brokers.end(),
                                    [](const ClusterBroker& b) { return b.answers; });
    return all_up && shortage.offline == 0 && shortage.under_replicated == 0;
}

std::string headline(const ClusterState& state, const Shortage& shortage, const Spread& spread) {
    const auto down = std::count_if(state.brokers.begin(), state.brokers.end(),
                                    [](const ClusterBroker& b) { return !b.answers; });
    std::string text = is_healthy(state, shortage) ? "HEALTHY" : "DEGRADED    ";
    if (down > 0) text += fmt::format("{} of {} brokers down · ", down, state.brokers.size());
    if (!is_healthy(state, shortage)) text += counts_text(shortage);
    if (shortage.under_min_isr > 0)
        text += fmt::format(" · {} below min.insync.replicas", shortage.under_min_isr);
    if (spread.violations > 0) text += fmt::format(" · {} not rack-safe", spread.violations);
    return text;
}

bool utf8_locale() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const char* value = std::getenv(name);
        if (value == nullptr || *value == '\0') continue;
        const std::string text = value;
        return text.find("UTF-8") != std::string::npos || text.find("utf8") != std::string::npos;
    }
    return false;
}

Json names_json(const std::vector<placement::PartitionName>& names) {
    Json all = Json::array();
    for (const placement::PartitionName& name : names)
        all.push_back({{"topic", name.topic}, {"partition", name.partition}});
    return all;
}

Json brokers_json(const ClusterState& state) {
    Json brokers = Json::array();
    for (const ClusterBroker& broker : state.brokers) {
        Json entry = {{"id", broker.id},
                      {"host", broker.host},
                      {"port", broker.port},
                      {"rack", broker.rack.empty() ? Json(nullptr) : Json(broker.rack)},
                      {"state", broker.state()},
                      {"leaders", broker.leaders},
                      {"replicas", broker.replicas}};
        if (broker.disk_total > 0) {
            entry["diskBytes"] = broker.disk_total;
            entry["diskUsedBytes"] = broker.disk_used;
        }
        brokers.push_back(std::move(entry));
    }
    return brokers;
}

Json domains_json(const std::vector<Domain>& domains) {
    Json all = Json::array();
    for (const Domain& domain : domains) {
        all.push_back({{"axis", domain.axis},
                       {"name", domain.name},
                       {"brokers", domain.brokers},
                       {"brokersUp", domain.up},
                       {"leaders", domain.leaders},
                       {"replicas", domain.replicas},
                       {"ifLost",
                        {{"offline", names_json(domain.offline)},
                         {"underMinIsr", names_json(domain.under_min_isr)}}}});
    }
    return all;
}

void print_tables(const ClusterState& state, const std::vector<Domain>& domains) {
    const std::string grid = grid_text(state, utf8_locale());
    if (!grid.empty()) {
        std::cout << grid << '\n';
    } else {
        Table table({">BROKER", "ADDRESS", "RACK", "STATE", ">LEADERS", ">REPLICAS"});
        for (const ClusterBroker& broker : state.brokers) {
            table.add({std::to_string(broker.id), fmt::format("{}:{}", broker.host, broker.port),
                       broker.rack.empty() ? "-" : broker.rack, broker.state(),
                       grouped(broker.leaders), grouped(broker.replicas)});
        }
        std::cout << table.to_string() << '\n';
    }
    if (domains.empty()) return;
    Table table({"DOMAIN", "BROKERS", ">LEADERS", ">REPLICAS", ">OFFLINE IF LOST",
                 ">BELOW MIN ISR IF LOST"});
    for (const Domain& domain : domains) {
        table.add({domain.name, fmt::format("{}/{}", domain.up, domain.brokers.size()),
                   grouped(domain.leaders), grouped(domain.replicas),
                   grouped(static_cast<int64_t>(domain.offline.size())),
                   grouped(static_cast<int64_t>(domain.under_min_isr.size()))});
    }
    std::cout << table.to_string() << '\n';
}

void show_cluster(const Context& context) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    const Shortage shortage = shortage_of(state);
    const Spread spread = spread_of(state);
    const std::vector<Domain> domains = domains_of(state);
    if (context.json()) {
        print_items("Cluster",
                    Json::array({{{"id", state.cluster_id},
                                  {"healthy", is_healthy(state, shortage)},
                                  {"quorumLeader", state.quorum_leader},
                                  {"quorumEpoch", state.quorum_epoch},
                                  {"topics", shortage.topics},
                                  {"partitions", shortage.partitions},
                                  {"replicas", shortage.replicas},
                                  {"offlinePartitions", shortage.offline},
                                  {"underReplicatedPartitions", shortage.under_replicated},
                                  {"underMinIsrPartitions", shortage.under_min_isr},
                                  {"notRackSafePartitions", spread.violations},
                                  {"brokers", brokers_json(state)},
                                  {"domains", domains_json(domains)}}}));
        return;
    }
    std::cout << (state.cluster_id.empty() ? "(no id)" : state.cluster_id);
    if (state.quorum_leader >= 0) {
        std::cout << fmt::format("   quorum leader {}, epoch {}", state.quorum_leader,
                                 state.quorum_epoch);
    }
    std::cout << '\n' << headline(state, shortage, spread) << "\n\n";
    print_tables(state, domains);
    std::cout << fmt::format("{} · {} · {}\n", counted(shortage.topics, "topic"),
                             counted(shortage.partitions, "partition"),
                             counted(shortage.replicas, "replica"));
    for (const std::string& axis : state.snapshot.axes) {
        const std::string text = what_if_text(domains, axis);
        if (!text.empty()) std::cout << "what if    " << text << '\n';
    }
    if (!is_healthy(state, shortage) || spread.violations > 0)
        std::cout << "see: millrace doctor\n";
}

struct HealthOptions {
    int wait_ms = 0;
    int brokers = 0;
    bool quiet = false;
    bool local = false;
};

/// Exit 0 when every partition has a leader and all its copies, 10 when not.
bool print_health(const Context& context, const HealthOptions& options, bool last) {
    Client client(context);
    const auto metadata = client.metadata(std::nullopt);
    Shortage shortage;
    for (const auto& topic : metadata.topics) {
        for (const auto& partition : topic.partitions) {
            if (partition.leader_id < 0) ++shortage.offline;
            if (partition.isr_nodes.size() < partition.replica_nodes.size())
                ++shortage.under_replicated;
        }
    }
    const bool enough = !metadata.brokers.empty() &&
                        metadata.brokers.size() >= static_cast<size_t>(options.brokers);
    // A node opens its listeners when it is registered and caught up: that it answers is enough.
    const bool complete = shortage.offline == 0 && shortage.under_replicated == 0;
    const bool healthy = enough && (options.local || complete);
    if ((!healthy && !last) || options.quiet) return healthy;
    if (context.json()) {
        print_items("Health", Json::array({{{"healthy", healthy},
                                            {"brokers", metadata.brokers.size()},
                                            {"offlinePartitions", shortage.offline},
                                            {"underReplicatedPartitions",
                                             shortage.under_replicated}}}));
    } else if (enough) {
        std::cout << (healthy ? "HEALTHY" : "DEGRADED    " + counts_text(shortage)) << '\n';
    } else {
        std::cout << fmt::format("DEGRADED    {} of {} brokers\n", metadata.brokers.size(),
                                 std::max(options.brokers, 1));
    }
    return healthy;
}

/// With --wait asks again until all is well; a cluster that is not there yet is not well.
void check_health(Context& context, const HealthOptions& options) {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(options.wait_ms);
    for (;;) {
        const bool last = std::chrono::steady_clock::now() >= deadline;
        try {
            if (print_health(context, options, last)) return;
        } catch (const Failure& failure) {
            if (last || failure.exit_code != kNoConnection) throw;
        }
        if (last) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    context.exit_code = kUnhealthy;
}

}  // namespace

void add_cluster(CLI::App& root, Context& context) {
    CLI::App* command =
        root.add_subcommand("cluster", "brokers and racks at a glance, and what a loss would cost");
    add_connection_options(*command, context);
    add_cluster_snapshot(*command, context);
    command->callback([&context, command] {
        if (command->get_subcommands().empty()) show_cluster(context);
    });
}

void add_health(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("health", "exit 0 when all is well, 10 when not");
    auto options = std::make_shared<HealthOptions>();
    add_duration_option(*command, "--wait", options->wait_ms, "ask again for so long (2m)");
    command->add_option("--brokers", options->brokers, "so many brokers have to be there");
    command->add_flag("--local", options->local, "only whether the node that is asked serves");
    command->add_flag("-q,--quiet", options->quiet, "the exit code says it all");
    add_connection_options(*command, context);
    command->callback([&context, options] { check_health(context, *options); });
}

}  // namespace millrace::cli
