// tools/cli/shim_reassign.cc: kafka-reassign-partitions.sh: options, --list, how failures look.
#include "cli/shim_reassign.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <sstream>

#include "cli/shim.h"
#include "cli/shim_java.h"
#include "cli/shim_options.h"
#include "cli/shim_reassign_text.h"

namespace millrace::cli {
namespace {

constexpr const char* kAbout = "This tool helps to move topic partitions between replicas.";
constexpr int kTimeoutMs = 60'000;  // default.api.timeout.ms
constexpr const char* kNoFile = "java.nio.file.NoSuchFileException";

std::vector<ShimOption> table() {
    return {
        {"verify", Takes::Nothing, "", "Tell how far the moves of the file are; clear throttles."},
        {"generate", Takes::Nothing, "", "Propose where partitions could go; change nothing."},
        {"execute", Takes::Nothing, "", "Start the moves of the file."},
        {"cancel", Takes::Nothing, "", "Stop moves that are under way."},
        {"list", Takes::Nothing, "", "Show the moves that are under way."},
        {"bootstrap-server", Takes::OptionalValue, "Server(s) to use for bootstrapping",
         "Servers to connect to."},
        {"command-config", Takes::Value, "Admin client property file", "Properties of the client."},
        {"reassignment-json-file", Takes::Value, "manual assignment json file path",
         "The moves: {\"version\":1,\"partitions\":[{\"topic\":..,\"partition\":..,"
         "\"replicas\":[..],\"log_dirs\":[..]}]}; log_dirs may be left out."},
        {"topics-to-move-json-file", Takes::Value, "topics to reassign json file path",
         "For --generate: {\"version\":1,\"topics\":[{\"topic\":..}]}."},
        {"broker-list", Takes::Value, "brokerlist", "For --generate: brokers to use, \"0,1,2\"."},
        {"bootstrap-controller", Takes::OptionalValue, "bootstrap controller to connect to",
         "A controller to connect to, for --list and --cancel."},
        {"disable-rack-aware", Takes::Nothing, "", "Let --generate ignore racks."},
        {"throttle", Takes::Value, "throttle", "Bytes per second between brokers.", "-1",
         ValueKind::Long},
        {"replica-alter-log-dirs-throttle", Takes::Value, "replicaAlterLogDirsThrottle",
         "Bytes per second between directories of a broker.", "-1", ValueKind::Long},
        {"timeout", Takes::Value, "timeout",
         "How long to wait, in ms, for moves between directories to be accepted.", "10000",
         ValueKind::Long},
        {"additional", Takes::Nothing, "", "Run beside moves that are under way."},
        {"preserve-throttles", Takes::Nothing, "", "Leave throttles as they are."},
        {"disallow-replication-factor-change", Takes::Nothing, "",
         "Refuse moves that change the number of copies."},
    };
}

struct Action {
    const char* name;
    std::vector<std::string> required;
    std::vector<std::string> permitted;
};

std::vector<Action> actions(const std::string& bootstrap) {
    return {
        {"generate",
         {"topics-to-move-json-file", "broker-list"},
         {"bootstrap-server", "command-config", "disable-rack-aware"}},
        {"execute",
         {"reassignment-json-file"},
         {"additional", "bootstrap-server", "command-config", "throttle",
          "replica-alter-log-dirs-throttle", "timeout", "disallow-replication-factor-change"}},
        {"verify",
         {"reassignment-json-file"},
         {"bootstrap-server", "command-config", "preserve-throttles"}},
        {"cancel",
         {"reassignment-json-file"},
         {bootstrap, "command-config", "preserve-throttles", "timeout"}},
        {"list", {}, {bootstrap, "command-config"}},
    };
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// The one action asked for; every rule about which options go together.
std::string checked_action(const ShimOptions& options) {
    const bool server = options.has("bootstrap-server");
    const auto all = actions(server ? "bootstrap-server" : "bootstrap-controller");
    const Action* action = nullptr;
    int given = 0;
    for (const Action& one : all) {
        if (!options.has(one.name)) continue;
        action = &one;
        ++given;
    }
    if (given != 1)
        options.usage(
            "Command must include exactly one action: --generate, --execute, --verify, "
            "--cancel, --list");
    if (server && options.has("bootstrap-controller"))
        options.usage("Please don't specify both --bootstrap-server and --bootstrap-controller");
    if (!server && !options.has("bootstrap-controller"))
        options.usage("Please specify either --bootstrap-server or --bootstrap-controller");
    for (const std::string& name : action->required)
        options.require(name);
    for (const std::string& name : options.in_order()) {
        if (name == action->name || contains(action->required, name) ||
            contains(action->permitted, name))
            continue;
        options.usage(
            fmt::format("Option \"[{}]\" can't be used with action \"[{}]\"", name, action->name));
    }
    return action->name;
}

/// A value that does not parse: joptsimple wraps what the parser of numbers threw.
JavaProblem option_problem(const OptionProblem& problem) {
    JavaProblem java{"joptsimple." + problem.kind, problem.message};
    if (problem.kind != "OptionArgumentConversionException") return java;
    const size_t from = problem.message.find('\'') + 1;
    const std::string value = problem.message.substr(from, problem.message.rfind('\'') - from);
    const std::string cause =
        fmt::format("java.lang.NumberFormatException: For input string: \"{}\"", value);
    java.cause =
        fmt::format("joptsimple.internal.ReflectionException: {}\nCaused by: {}", cause, cause);
    return java;
}

Client client_of(const ShimOptions& options) {
    std::map<std::string, std::string> properties;
    if (const auto file = options.value("command-config")) {
        if (!std::ifstream(*file)) throw JavaProblem{kNoFile, *file};
        properties = read_properties(*file);
    }
    const std::string name =
        options.has("bootstrap-controller") ? "bootstrap-controller" : "bootstrap-server";
    const auto servers = options.value(name);
    if (!servers) throw JavaProblem{kNullPointerException, "null"};
    return Client(shim_context(*servers, kTimeoutMs, "reassign-partitions-tool", properties));
}

void act(const ShimOptions& options, const std::string& action) {
    Client client = client_of(options);
    const auto file = [&](const char* option) { return shim_read_file(*options.value(option)); };
    if (action == "generate") {
        const std::string json = file("topics-to-move-json-file");
        shim_generate(client, json, *options.value("broker-list"),
                      !options.has("disable-rack-aware"));
    } else if (action == "execute") {
        ShimExecution how;
        const std::string json = file("reassignment-json-file");
        how.additional = options.has("additional");
        how.throttle = *options.number("throttle");
        how.dir_throttle = *options.number("replica-alter-log-dirs-throttle");
        how.timeout_ms = *options.number("timeout");
        how.disallow_replication_factor_change = options.has("disallow-replication-factor-change");
        shim_execute(client, json, how);
    } else if (action == "verify") {
        shim_verify(client, file("reassignment-json-file"), options.has("preserve-throttles"));
    } else if (action == "cancel") {
        const std::string json = file("reassignment-json-file");
        shim_cancel(client, json, options.has("preserve-throttles"), *options.number("timeout"));
    } else {
        std::cout << ongoing_text(list_reassignments(client)) << '\n';
    }
}

}  // namespace

std::string shim_read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw JavaProblem{"java.io.IOException", "Unable to read file " + path,
                          fmt::format("{}: {}", kNoFile, path)};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

int shim_reassign_partitions(const std::vector<std::string>& words) {
    if (words.empty()) shim_usage(table(), kAbout);
    const ShimOptions options(table(), words);
    options.help_or_version(kAbout);
    const std::string action = checked_action(options);
    try {
        act(options, action);
        return 0;
    } catch (const JavaProblem& problem) {
        std::cout << problem_text(problem);
    } catch (const OptionProblem& problem) {
        std::cout << problem_text(option_problem(problem));
    } catch (const Failure& failure) {
        const std::string java = failure.kafka_error != 0
                                     ? java_class(failure.kafka_error)
                                     : "org.apache.kafka.common.errors.TimeoutException";
        std::cout << problem_text(execution_failed(java, java_message(failure)));
    }
    return 1;
}

}  // namespace millrace::cli
