// src/app/node_commands.cc: `start`, `dev`, `config check` and `config reference`.
#include "app/node_commands.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "app/config_file.h"
#include "app/dev_cluster.h"
#include "app/run.h"
#include "cli/output.h"

namespace millrace::app {
namespace {

using cli::Context;
using cli::Failure;

// ---- start ------------------------------------------------------------------------------------

struct StartOptions {
    std::string file;
    std::vector<std::string> overrides;
    std::string cluster_id;
    bool strict = false;
};

void apply_overrides(ConfigFile& file, const std::vector<std::string>& overrides) {
    for (const std::string& text : overrides) {
        const size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw Failure{cli::kUsage, fmt::format("'{}' is not key=value", text),
                          "write --override key=value"};
        }
        file.values[text.substr(0, equals)] = text.substr(equals + 1);
        file.places.erase(text.substr(0, equals));
    }
}

/// A file that is not there is told from one that is wrong.
ConfigFile read_config(const std::string& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
        throw Failure{cli::kNotFound, fmt::format("{} does not exist", path),
                      "give the path of a server.properties or YAML file"};
    }
    return read_config_file(path);
}

Failure bad_config(const ConfigFile& file, const std::vector<ConfigNote>& notes) {
    return {cli::kUsage, first_error(file, notes),
            fmt::format("correct {0}; millrace config check {0} looks again", file.path)};
}

/// For whoever started the node and reads its output: where it listens.
void print_ready_json(const char* kind, const broker::BrokerConfig& config,
                      const std::vector<int>& ports, const std::string& data) {
    cli::Json listeners = cli::Json::array();
    for (size_t i = 0; i < config.listeners.size() && i < ports.size(); ++i) {
        listeners.push_back({{"name", config.listeners[i].name},
                             {"host", config.listeners[i].host},
                             {"port", ports[i]}});
    }
    cli::Json item{{"nodeId", config.node_id.value}, {"listeners", std::move(listeners)}};
    if (!data.empty()) item["data"] = data;
    cli::print_items(kind, cli::Json::array({std::move(item)}));
    std::cout.flush();
}

void start(Context& context, const StartOptions& options) {
    ConfigFile file = read_config(options.file);
    apply_overrides(file, options.overrides);
    const auto notes = check_config_file(file, options.strict);
    if (any_error(notes)) {
        if (!context.json()) std::cerr << print_notes(file, notes);
        throw bad_config(file, notes);
    }
    for (const ConfigNote& note : notes) {
        std::cerr << fmt::format("warning: {}:{}: {}\n", options.file, note.line, note.text);
    }
    const auto config = broker::make_broker_config(file.values);
    if (!config.ok()) {
        throw Failure{cli::kUsage, config.status().message(),
                      fmt::format("correct {} or the --override", options.file)};
    }
    RunOptions run;
    run.config_path = options.file;
    run.cluster_id = options.cluster_id;
    run.format_if_empty = true;
    run.json = context.json();
    if (run.json) {
        run.on_ready = [&config](const std::vector<int>& ports) {
            print_ready_json("NodeReady", *config, ports, "");
        };
    }
    context.exit_code = run_broker(*config, std::move(run));
}

// ---- dev --------------------------------------------------------------------------------------

struct DevOptions {
    std::string data;
    std::string host = "127.0.0.1";
    int port = 9092;
    int brokers = 1;
    std::string racks;
    std::vector<std::string> overrides;
};

/// Whether a listener could bind here; 0 asks for any free port. Returns the port, or 0.
int probe_port(int port) {
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return 0;
    const int on = 1;
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    socklen_t size = sizeof address;
    const bool bound = bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    close(probe);
    return bound ? ntohs(address.sin_port) : 0;
}

metadata::ConfigMap dev_config(const DevOptions& options, const std::string& data, int port) {
    // The same controller port at every start where it can be had: the quorum remembers it.
    int controller = port < 65'535 ? probe_port(port + 1) : 0;
    if (controller == 0) controller = probe_port(0);
    const std::string shown = options.host == "127.0.0.1" ? "localhost" : options.host;
    const bool everywhere = options.host == "0.0.0.0" || options.host == "::";
    metadata::ConfigMap map{
        {"process.roles", "broker,controller"},
        {"node.id", "1"},
        {"controller.listener.names", "CONTROLLER"},
        {"controller.quorum.bootstrap.servers", fmt::format("127.0.0.1:{}", controller)},
        {"listeners", fmt::format("PLAINTEXT://{}:{},CONTROLLER://127.0.0.1:{}", options.host, port,
                                  controller)},
        {"advertised.listeners", fmt::format("PLAINTEXT://{}:{},CONTROLLER://127.0.0.1:{}",
                                             everywhere ? "localhost" : shown, port, controller)},
        {"log.dirs", data},
        {"log.initial.task.delay.ms", "5000"},
        {"offsets.topic.replication.factor", "1"},
        {"transaction.state.log.replication.factor", "1"},
        {"transaction.state.log.min.isr", "1"},
        {"group.initial.rebalance.delay.ms", "0"},
    };
    ConfigFile overrides;
    apply_overrides(overrides, options.overrides);
    for (const auto& [key, value] : overrides.values)
        map[key] = value;
    return map;
}

/// A temporary directory, removed with everything in it at the end.
class Scratch {
  public:
    Scratch() {
        const char* base = std::getenv("TMPDIR");
        path_ = std::string(base != nullptr ? base : "/tmp") + "/millrace-dev-XXXXXX";
        if (mkdtemp(path_.data()) == nullptr) {
            throw Failure{cli::kFailed, "no temporary directory can be made at " + path_,
                          "give one with --data DIR"};
        }
    }
    ~Scratch() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

void print_ready(const DevOptions& options, int port, const std::string& data,
                 std::chrono::steady_clock::time_point started) {
    const auto taken = std::chrono::duration<double>(std::chrono::steady_clock::now() - started);
    const std::string server = port == 9092 ? "" : fmt::format(" -b localhost:{}", port);
    std::cout << fmt::format(
        "millrace {} · single node · data in {}{}\n\n", cli::kVersion, data,
        options.data.empty() ? " (deleted on exit; keep it with --data DIR)" : "");
    std::cout << fmt::format(
        "  Kafka API   localhost:{}      any Kafka client, kafka-*.sh, kcat\n\n", port);
    std::cout << fmt::format(
                     "ready in {:.2f} s — try:   millrace produce hello{}      (in a second "
                     "terminal)\n                         millrace consume hello{}\n"
                     "Ctrl-C stops.\n",
                     taken.count(), server, server)
              << std::flush;
}

/// The directory for the data: the one asked for, or one that `scratch` removes at the end.
std::string dev_data(const DevOptions& options, std::unique_ptr<Scratch>& scratch) {
    if (options.data.empty()) {
        scratch = std::make_unique<Scratch>();
        return scratch->path();
    }
    std::error_code error;
    std::filesystem::create_directories(options.data, error);
    if (error) {
        throw Failure{cli::kFailed, fmt::format("cannot make {}: {}", options.data, error.message()),
                      "give another --data DIR"};
    }
    return options.data;
}

void dev(Context& context, const DevOptions& options) {
    const auto started = std::chrono::steady_clock::now();
    std::unique_ptr<Scratch> scratch;
    const std::string data = dev_data(options, scratch);
    if (options.brokers > 1) {
        context.exit_code = run_dev_cluster(
            {data, options.port, options.brokers, options.racks, options.overrides, context.json()});
        return;
    }
    const int port = options.port == 0 ? probe_port(0) : options.port;
    const auto config = broker::make_broker_config(dev_config(options, data, port));
    if (!config.ok()) {
        throw Failure{cli::kUsage, config.status().message(), "correct --host or the --override"};
    }
    RunOptions run;
    run.quiet = true;
    run.format_if_empty = true;
    run.json = context.json();
    run.on_ready = [&](const std::vector<int>& ports) {
        if (context.json()) return print_ready_json("DevReady", *config, ports, data);
        print_ready(options, port, data, started);
    };
    context.exit_code = run_broker(*config, std::move(run));
}

// ---- config check -----------------------------------------------------------------------------

struct CheckOptions {
    std::string file;
    bool strict = false;
};

void check(Context& context, const CheckOptions& options) {
    const ConfigFile file = read_config(options.file);
    const auto notes = check_config_file(file, options.strict);
    if (context.json()) {
        cli::Json items = cli::Json::array();
        for (const ConfigNote& note : notes) {
            items.push_back({{"level", note.level == NoteLevel::Error ? "error" : "warning"},
                             {"line", note.line},
                             {"column", note.column},
                             {"text", note.text},
                             {"hint", note.hint}});
        }
        cli::print_items("ConfigCheck", std::move(items));
    } else {
        std::cout << print_notes(file, notes);
    }
    if (!any_error(notes)) return;
    context.exit_code = cli::kUsage;
    if (!context.json()) throw bad_config(file, notes);
}

void reference(const Context& context) {
    if (!context.json()) {
        std::cout << config_reference();
        return;
    }
    using cli::Json;
    Json items = Json::array();
    for (const ConfigReferenceRow& row : config_reference_rows()) {
        items.push_back({{"resource", row.resource},
                         {"key", row.key},
                         {"effect", row.effect},
                         {"type", row.type},
                         {"default", row.standard ? Json(*row.standard) : Json(nullptr)},
                         {"required", row.required},
                         {"valid", row.valid},
                         {"dynamic", row.dynamic},
                         {"brokerKey", row.broker_key},
                         {"text", row.text}});
    }
    cli::print_items("ConfigReference", std::move(items));
}

void add_dev_signals(CLI::App& dev_command, Context& context,
                     const std::shared_ptr<DevOptions>& options) {
    struct Verb {
        const char* name;
        const char* help;
        int signal;
    };
    constexpr int kStart = 0;
    constexpr Verb kVerbs[] = {
        {"kill", "end nodes of a dev cluster at once, as a crash", SIGKILL},
        {"kill-rack", "end every node of a domain: FD1, UD0", SIGKILL},
        {"pause", "stop the clock of nodes, as hung machines", SIGSTOP},
        {"resume", "let paused nodes go on", SIGCONT},
        {"start", "start nodes again that were killed", kStart}};
    for (const Verb& verb : kVerbs) {
        CLI::App* command = dev_command.add_subcommand(verb.name, verb.help);
        auto words = std::make_shared<std::vector<std::string>>();
        command->add_option("id", *words, "ids of nodes, or domains: FD1, UD0")->required();
        command->add_option("--data", options->data, "the cluster's directory (the last one)");
        cli::add_output_option(*command, context);
        command->callback([&context, words, options, verb] {
            if (verb.signal == kStart)
                start_dev_nodes(options->data, *words);
            else
                signal_dev_nodes(options->data, *words, verb.signal);
            if (!context.json()) return;
            cli::Json items = cli::Json::array();
            for (const std::string& word : *words)
                items.push_back({{"id", word}, {"done", verb.name}});
            cli::print_items("DevNodeList", std::move(items));
        });
    }
}

void add_config_file_commands(CLI::App& root, Context& context) {
    CLI::App* config = cli::find_command(root, "config");
    CLI::App* command = config->add_subcommand("check", "would a node start with this file");
    auto options = std::make_shared<CheckOptions>();
    command->add_option("file", options->file, "server.properties or YAML")->required();
    command->add_flag("--strict", options->strict, "unknown keys are errors");
    cli::add_output_option(*command, context);
    command->callback([&context, options] { check(context, *options); });

    CLI::App* keys = config->add_subcommand("reference", "every key, in Markdown");
    cli::add_output_option(*keys, context);
    keys->callback([&context] { reference(context); });
}

}  // namespace

void add_node_commands(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("start", "run a node in the foreground");
    auto options = std::make_shared<StartOptions>();
    command->add_option("file", options->file, "server.properties or YAML")->required();
    command->add_option("--override", options->overrides, "key=value over the file")
        ->allow_extra_args(false);
    command->add_option("--cluster-id", options->cluster_id,
                        "for directories that are still empty; all nodes of a cluster share it");
    command->add_flag("--strict", options->strict, "unknown keys are errors");
    cli::add_output_option(*command, context);
    command->callback([&context, options] { start(context, *options); });

    CLI::App* quick = root.add_subcommand("dev", "a node, or a cluster, to try things; ready at once");
    auto dev_options = std::make_shared<DevOptions>();
    quick->add_option("--data", dev_options->data, "directory to keep (temporary)");
    quick->add_option("--port", dev_options->port, "port of the Kafka API; 0 takes a free one")
        ->check(CLI::Range(0, 65'535));
    quick->add_option("--host", dev_options->host, "address to listen on");
    quick->add_option("--override", dev_options->overrides, "key=value of the node's config")
        ->allow_extra_args(false);
    quick->add_option("--brokers", dev_options->brokers, "that many nodes, one process each")
        ->check(CLI::Range(1, kDevBrokersMax));
    quick->add_option("--racks", dev_options->racks, "their racks: fault x update domains, 3x2");
    cli::add_output_option(*quick, context);
    add_dev_signals(*quick, context, dev_options);
    quick->callback([&context, quick, dev_options] {
        if (quick->get_subcommands().empty()) dev(context, *dev_options);
    });

    root.add_subcommand("storage", "format a node's directories; say what is in them");
    add_config_file_commands(root, context);
    cli::add_rack_file_commands(root, context, config_text);
}

}  // namespace millrace::app
