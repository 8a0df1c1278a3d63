// tools/cli/cli.h: the command line: what every command shares, and where commands are hung up.
//
// Commands talk to a cluster through client.h and print through output.h. What goes wrong is thrown
// as a Failure and printed once, by run(): `error:` says what, `fix:` says what to do. Exit codes
// are the same for all commands.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace millrace::cli {

inline constexpr const char* kVersion = "0.1.0";

enum ExitCode : int {
    kDone = 0,
    kFailed = 1,        // or partly failed
    kUsage = 2,         // usage or config error, nothing was sent
    kNoConnection = 3,  // could not connect, or timed out
    kDenied = 4,
    kNotFound = 5,
    kConflict = 6,
    kUnhealthy = 10,  // the command worked; what it looked at is unhealthy
    kPending = 11,    // the command worked; --check found changes to make
    kInterrupted = 130,
};

/// Thrown by commands; becomes the exit code and the two lines on standard error.
struct Failure {
    int exit_code = kFailed;
    std::string error;
    std::string fix;  // may be empty
    int16_t kafka_error = 0;     // the broker's error code, when it was the broker that refused
    std::string kafka_message{};  // and its text, when it gave one
    std::string json{};  // what -o json prints instead of the usual form, or empty
};

/// Options that every command takes, and the exit code of the one that ran.
struct Context {
    std::string bootstrap;
    std::string client_id = "millrace-cli";
    std::string output = "table";
    std::string color = "auto";
    int timeout_ms = 10'000;
    bool yes = false;
    int exit_code = kDone;

    bool json() const { return output == "json"; }
};

/// Adds -b, -o, --timeout to a command that talks to a cluster.
void add_connection_options(CLI::App& command, Context& context);
/// Adds -o alone.
void add_output_option(CLI::App& command, Context& context);

/// An option that takes 500ms, 10s, 2m; a bare number is milliseconds.
void add_duration_option(CLI::App& command, const char* name, int& ms, const char* help);

// One function per file of commands.
void add_topic_commands(CLI::App& root, Context& context);
void add_topic_describe(CLI::App& topic, Context& context);
void add_topic_change_commands(CLI::App& topic, Context& context);
void add_topic_removal_commands(CLI::App& topic, Context& context);
void add_produce(CLI::App& root, Context& context);
void add_consume(CLI::App& root, Context& context);
void add_group_commands(CLI::App& root, Context& context);
void add_txn_commands(CLI::App& root, Context& context);
void add_shim(CLI::App& root, Context& context);
void add_cluster(CLI::App& root, Context& context);
void add_cluster_snapshot(CLI::App& cluster, Context& context);
void add_health(CLI::App& root, Context& context);
void add_doctor(CLI::App& root, Context& context);
void add_broker_commands(CLI::App& root, Context& context);
void add_broker_drain(CLI::App& broker, Context& context);
void add_rack_commands(CLI::App& root, Context& context);
void add_leader_elect(CLI::App& root, Context& context);
void add_quorum_commands(CLI::App& root, Context& context);
void add_config_commands(CLI::App& root, Context& context);
void add_log_dump(CLI::App& log, Context& context);
void add_log_verify(CLI::App& log, Context& context);
void add_rebalance(CLI::App& root, Context& context);
void add_version(CLI::App& root, Context& context);
void add_completion(CLI::App& root, Context& context);

/// The JSON of a usage error of rebalance-rackaware, whose errors have a form of their own.
std::string rebalance_usage_json(const std::string& message);

/// Every command of this library.
void add_commands(CLI::App& root, Context& context);

/// Parses, runs, prints failures. `extend` adds the commands that the library does not have (start
/// and its kin). The whole program but main().
int run(int argc, const char* const* argv,
        const std::function<void(CLI::App&, Context&)>& extend = {});

/// Asks on a terminal before something is removed; a usage error where nobody can be asked.
void confirm(const Context& context, const std::string& question);

/// The command of that name directly below `app`; nullptr when there is none.
CLI::App* find_command(CLI::App& app, const std::string& name);

/// Candidates for the word being typed, one per element; used by the completion scripts.
std::vector<std::string> complete(CLI::App& root, const std::vector<std::string>& words);

}  // namespace millrace::cli
