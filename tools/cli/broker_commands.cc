// tools/cli/broker_commands.cc: `broker list` and `broker describe`.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "cli/cluster_state.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

Json broker_json(const ClusterBroker& broker) {
    Json entry = {{"id", broker.id},
                  {"host", broker.host},
                  {"port", broker.port},
                  {"rack", broker.rack.empty() ? Json(nullptr) : Json(broker.rack)},
                  {"state", broker.state()},
                  {"answers", broker.answers},
                  {"leaders", broker.leaders},
                  {"replicas", broker.replicas}};
    Json dirs = Json::array();
    for (const BrokerDir& dir : broker.dirs) {
        dirs.push_back({{"path", dir.path},
                        {"offline", dir.offline},
                        {"cordoned", dir.cordoned},
                        {"bytes", dir.bytes}});
    }
    entry["logDirs"] = std::move(dirs);
    return entry;
}

std::string disk_text(const ClusterBroker& broker) {
    return broker.disk_total > 0 ? fmt::format("{} %", broker.disk_percent()) : "?";
}

void list_brokers(const Context& context) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    Json items = Json::array();
    Table table({">BROKER", "ADDRESS", "RACK", "STATE", ">LEADERS", ">REPLICAS", ">DISK"});
    for (const ClusterBroker& broker : state.brokers) {
        items.push_back(broker_json(broker));
        if (context.output == "name") std::cout << broker.id << '\n';
        table.add({std::to_string(broker.id), fmt::format("{}:{}", broker.host, broker.port),
                   broker.rack.empty() ? "-" : broker.rack, broker.state(),
                   grouped(broker.leaders), grouped(broker.replicas), disk_text(broker)});
    }
    if (context.json())
        print_items("BrokerList", std::move(items));
    else if (context.output == "table")
        std::cout << table.to_string();
}

void describe_broker(const Context& context, int32_t id) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    const ClusterBroker& broker = state.broker(id);
    if (context.json()) {
        print_items("Broker", Json::array({broker_json(broker)}));
        return;
    }
    std::cout << fmt::format("broker {}   {}:{}   rack {}   {}{}\n", broker.id, broker.host,
                             broker.port, broker.rack.empty() ? "(none)" : broker.rack,
                             broker.state(),
                             broker.fenced || broker.answers ? "" : ", does not answer");
    std::cout << fmt::format("leads {}, holds {}, disk {}\n",
                             counted(broker.leaders, "partition"),
                             counted(broker.replicas, "replica"), disk_text(broker));
    if (broker.dirs.empty()) return;
    Table table({"LOG DIRECTORY", ">BYTES", "STATE"});
    for (const BrokerDir& dir : broker.dirs) {
        table.add({dir.path, bytes_text(dir.bytes),
                   dir.offline ? "offline" : dir.cordoned ? "cordoned" : "ok"});
    }
    std::cout << '\n' << table.to_string();
}

}  // namespace

void add_broker_commands(CLI::App& root, Context& context) {
    CLI::App* broker = root.add_subcommand("broker", "list, describe, empty and remove brokers");
    broker->require_subcommand(1);
    CLI::App* list = broker->add_subcommand("list", "every registered broker, down ones too");
    add_connection_options(*list, context);
    list->callback([&context] { list_brokers(context); });

    CLI::App* describe = broker->add_subcommand("describe", "one broker and its directories");
    auto id = std::make_shared<int32_t>(0);
    describe->add_option("id", *id, "the broker")->required();
    add_connection_options(*describe, context);
    describe->callback([&context, id] { describe_broker(context, *id); });
    add_broker_drain(*broker, context);
}

}  // namespace millrace::cli
