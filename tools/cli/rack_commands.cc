// tools/cli/rack_commands.cc: `rack list`, `rack set` and `rack import`.
//
// A broker's rack is what its own config file says when it starts; nothing in the cluster can
// change it. So set and import edit that file, on the broker's machine.
#include <fmt/core.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cli/cluster_state.h"
#include "cli/output.h"
#include "cli/rack_file.h"

namespace millrace::cli {
namespace {

void list_racks(const Context& context) {
    Client client(context);
    const ClusterState state = read_cluster(client);
    Json items = Json::array();
    Table table({">BROKER", "HOST", "RACK", "LABELS", "STATE"});
    for (const ClusterBroker& broker : state.brokers) {
        Json labels = Json::object();
        std::string text;
        for (const placement::Label& label : state.labels_of(broker.id).labels) {
            labels[label.first] = label.second;
            text += fmt::format("{}{}={}", text.empty() ? "" : " ", label.first, label.second);
        }
        items.push_back({{"broker", broker.id},
                         {"host", broker.host},
                         {"rack", broker.rack.empty() ? Json(nullptr) : Json(broker.rack)},
                         {"labels", labels},
                         {"state", broker.state()}});
        table.add({std::to_string(broker.id), broker.host,
                   broker.rack.empty() ? "-" : broker.rack, text.empty() ? "-" : text,
                   broker.state()});
    }
    if (context.json())
        print_items("RackList", std::move(items));
    else
        std::cout << table.to_string();
}

std::string read_text(const std::string& path) {
    constexpr std::streamoff kMaxBytes = 16 << 20;
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file || file.tellg() < 0 || file.tellg() > kMaxBytes)
        throw Failure{kNotFound, "cannot read " + path, "give the path of a file of this machine"};
    file.seekg(0);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The new file takes the old one's place whole, or not at all.
void write_rack(const std::string& path, const std::string& rack) {
    const bool yaml = path.ends_with(".yaml") || path.ends_with(".yml");
    const std::string text = with_rack(read_text(path), yaml, rack);
    const std::string next = path + ".new";
    std::ofstream file(next, std::ios::trunc | std::ios::binary);
    file << text;
    file.close();
    std::error_code error;
    const auto mode = std::filesystem::status(path, error).permissions();
    if (file) std::filesystem::permissions(next, mode, error);
    if (file && !error) std::filesystem::rename(next, path, error);
    if (!file || error) {
        std::filesystem::remove(next, error);
        throw Failure{kFailed, "cannot write " + path, "its directory must be writable"};
    }
}

struct RackOptions {
    std::string rack;
    std::string config;
    std::string topology;
    std::string host;
};

void set_rack(const Context& context, const RackOptions& options) {
    const bool bad = options.rack.find_first_of(" \t\r\n#:=") != std::string::npos;
    if (options.rack.empty() || bad) {
        throw Failure{kUsage, fmt::format("'{}' is no rack", options.rack),
                      "FD0UD1, /row1/shelf2, or a plain name"};
    }
    write_rack(options.config, options.rack);
    if (context.json()) {
        print_items("Rack", Json::array({{{"rack", options.rack}, {"file", options.config}}}));
        return;
    }
    std::cout << fmt::format("broker.rack={} in {}; it counts from the next start of the node on\n",
                             options.rack, options.config);
}

std::string this_host() {
    char name[256] = {};
    return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

/// Without -c only shows what the file says; with it, writes this machine's rack into its config.
void import_racks(const Context& context, RackOptions options) {
    const auto hosts = parse_topology(read_text(options.topology), options.topology);
    if (options.host.empty()) options.host = this_host();
    std::string own;
    Json items = Json::array();
    Table table({"HOST", "RACK"});
    for (const TopologyHost& host : hosts) {
        table.add({host.host, host.rack});
        items.push_back({{"host", host.host}, {"rack", host.rack}});
        if (same_host(host.host, options.host)) own = host.rack;
    }
    if (!options.config.empty()) {
        if (own.empty()) {
            throw Failure{kNotFound, fmt::format("{} does not name {}", options.topology,
                                                 options.host),
                          "give this machine's name as it stands there: --host NAME"};
        }
        options.rack = own;
        set_rack(context, options);
        return;
    }
    if (context.json()) {
        print_items("RackList", std::move(items));
        return;
    }
    std::cout << table.to_string();
    std::cerr << "on each of them: millrace rack import " << options.topology
              << " -c /etc/millrace/millrace.yaml\n";
}

}  // namespace

void add_rack_commands(CLI::App& root, Context& context) {
    CLI::App* rack = root.add_subcommand("rack", "fault and update domains of the brokers");
    rack->require_subcommand(1);
    CLI::App* list = rack->add_subcommand("list", "racks and what they mean, broker by broker");
    add_connection_options(*list, context);
    list->callback([&context] { list_racks(context); });

    auto options = std::make_shared<RackOptions>();
    CLI::App* set = rack->add_subcommand("set", "write broker.rack into a node's config file");
    set->add_option("rack", options->rack, "FD0UD1, /row1/shelf2, or a plain name")->required();
    set->add_option("-c,--config", options->config, "the node's config file")->required();
    add_output_option(*set, context);
    set->callback([&context, options] { set_rack(context, *options); });

    CLI::App* import = rack->add_subcommand("import", "racks from HDInsight's clusterTopology.json");
    import->add_option("file", options->topology, "the topology file")->required();
    import->add_option("-c,--config", options->config,
                       "this machine's config file, to be given its rack");
    import->add_option("--host", options->host, "the name of this machine in the file");
    add_output_option(*import, context);
    import->callback([&context, options] { import_racks(context, *options); });
}

}  // namespace millrace::cli
