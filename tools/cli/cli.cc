// tools/cli/cli.cc: the tree of commands, and what happens when one fails.
#include "cli/cli.h"

#include <fmt/core.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/rebalance.h"
#include "cli/report.h"
#include "cli/shim.h"
#include "cli/shim_options.h"
#include "millrace/base/nearest.h"

namespace millrace::cli {
namespace {

/// What a command's own name is to the user: "millrace topic create".
std::string full_name(const CLI::App* app) {
    if (app->get_parent() == nullptr) return app->get_name();
    return full_name(app->get_parent()) + " " + app->get_name();
}

std::vector<std::string> command_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* sub : app.get_subcommands(nullptr)) {
        if (!sub->get_group().empty()) names.push_back(sub->get_name());
    }
    return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames())
            names.push_back("--" + name);
    }
    return names;
}

/// Walks the words down the tree and refuses the first command name that does not exist, because
/// CLI11 would only call it an extra argument.
void check_command_names(CLI::App& root, const std::vector<std::string>& words) {
    CLI::App* app = &root;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (app->get_subcommands(nullptr).empty()) return;
        if (word.starts_with("-")) {
            const CLI::Option* option = app->get_option_no_throw(word);
            if (option != nullptr && option->get_items_expected_min() > 0) ++i;
            continue;
        }
        if (CLI::App* next = find_command(*app, word); next != nullptr) {
            app = next;
            continue;
        }
        Failure failure{kUsage, fmt::format("no command '{}'", word), ""};
        const auto near = nearest_names(word, command_names(*app));
        if (near.empty()) {
            failure.fix = fmt::format("{} --help lists the commands", full_name(app));
        } else {
            std::string whole = full_name(app) + " " + near.front();
            for (size_t k = i + 1; k < words.size(); ++k)
                whole += " " + words[k];
            failure.fix = fmt::format("did you mean '{}'?   {}", near.front(), whole);
        }
        throw failure;
    }
}

/// `reassign-partitions` with an option where a command could stand speaks Kafka's tongue.
bool has_kafkas_flags(const std::vector<std::string>& words) {
    return words.size() > 1 && words[0] == "reassign-partitions" && words[1].starts_with("--") &&
           words[1] != "--help";
}

/// The deepest command that the words name.
CLI::App* command_of(CLI::App& root, const std::vector<std::string>& words) {
    CLI::App* app = &root;
    for (const std::string& word : words) {
        CLI::App* next = find_command(*app, word);
        if (next != nullptr) app = next;
    }
    return app;
}

Failure usage_failure(CLI::App& root, const std::vector<std::string>& words,
                      const CLI::ParseError& error) {
    CLI::App* app = command_of(root, words);
    Failure failure{kUsage, error.what(), fmt::format("{} --help", full_name(app))};
    if (!failure.error.empty() && failure.error.back() == '\n') failure.error.pop_back();
    for (const std::string& word : words) {
        if (!word.starts_with("--")) continue;
        const std::string name = word.substr(0, word.find('='));
        if (app->get_option_no_throw(name) != nullptr) continue;
        failure.error = fmt::format("no option '{}' for {}", name, full_name(app));
        const auto near = nearest_names(name, option_names(*app));
        if (!near.empty()) failure.fix = fmt::format("did you mean '{}'?", near.front());
        break;
    }
    return failure;
}

/// A failure before the command ran has not brought its options into the context.
int report(CLI::App& root, const Context& context, const std::vector<std::string>& words,
           Failure failure) {
    const bool json = context.json() || wants_json(words);
    if (json && failure.json.empty() && words.front() == "rebalance-rackaware") {
        failure.json = rebalance_usage_json(failure.error);
    }
    if (failure.fix.empty()) failure.fix = usual_fix(failure, full_name(command_of(root, words)));
    return print_failure(failure, json);
}

}  // namespace

bool wants_json(const std::vector<std::string>& words) {
    for (size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "-ojson" || words[i] == "-o=json" || words[i] == "--output=json") return true;
        const bool option = words[i] == "-o" || words[i] == "--output";
        if (option && i + 1 < words.size() && words[i + 1] == "json") return true;
    }
    return false;
}

int print_failure(const Failure& failure, bool json) {
    if (json && !failure.json.empty()) {
        std::cerr << failure.json << '\n';
    } else if (json) {
        nlohmann::ordered_json form;
        form["apiVersion"] = "v1";
        form["kind"] = "Error";
        form["error"] = failure.error;
        form["fix"] = failure.fix;
        form["exitCode"] = failure.exit_code;
        std::cerr << form.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    } else {
        std::cerr << "error: " << failure.error << '\n';
        if (!failure.fix.empty()) std::cerr << "  fix: " << failure.fix << '\n';
    }
    return failure.exit_code;
}

CLI::App* find_command(CLI::App& app, const std::string& name) {
    for (CLI::App* sub : app.get_subcommands(nullptr)) {
        if (sub->get_name() == name) return sub;
    }
    return nullptr;
}

void add_output_option(CLI::App& command, Context& context) {
    command.add_option("-o,--output", context.output, "table, json or name")
        ->check(CLI::IsMember({"table", "json", "name"}));
}

void add_duration_option(CLI::App& command, const char* name, int& ms, const char* help) {
    command.add_option(name, ms, help)
        ->transform(
            CLI::AsNumberWithUnit(std::map<std::string, int>{{"ms", 1}, {"s", 1000}, {"m", 60'000}},
                                  CLI::AsNumberWithUnit::CASE_SENSITIVE, "TIME"))
        ->default_str("");
}

namespace {

/// The keys of Kafka's client configs that mean something here; what stands in the command line
/// itself counts more. Others are named, as Kafka's own tools do.
void take_command_config(const std::string& path, Context& context) {
    const auto number = [](const std::string& key, const std::string& value) {
        const int ms = std::atoi(value.c_str());
        if (ms > 0) return ms;
        throw Failure{kUsage, fmt::format("{}={} is no time in milliseconds", key, value), ""};
    };
    for (const auto& [key, value] : read_properties(path)) {
        if (key == "bootstrap.servers") {
            context.bootstrap = value;
        } else if (key == "client.id") {
            context.client_id = value;
        } else if (key == "default.api.timeout.ms") {
            context.timeout_ms = number(key, value);
        } else if (key == "security.protocol") {
            if (value == "PLAINTEXT") continue;
            throw Failure{kUsage, fmt::format("security.protocol={} is not spoken here", value),
                          "connect to a PLAINTEXT listener"};
        } else {
            std::cerr << fmt::format("{}: {} is not used\n", path, key);
        }
    }
}

}  // namespace

void add_connection_options(CLI::App& command, Context& context) {
    // In front of the others: options take effect in the order in which they are added.
    command
        .add_option_function<std::string>(
            "--command-config",
            [&context](const std::string& path) { take_command_config(path, context); },
            "a file of Kafka's client properties")
        ->type_name("FILE");
    command
        .add_option("-b,--bootstrap-server", context.bootstrap,
                    "host:port[,host:port] of the cluster")
        ->default_str("localhost:9092, or MILLRACE_BOOTSTRAP");
    add_duration_option(command, "--timeout", context.timeout_ms,
                        "time limit of the whole command (10s)");
    add_output_option(command, context);
}

void add_commands(CLI::App& root, Context& context) {
    add_topic_commands(root, context);
    add_produce(root, context);
    add_consume(root, context);
    add_group_commands(root, context);
    add_txn_commands(root, context);
    add_cluster(root, context);
    add_config_commands(root, context);
    CLI::App* log = root.add_subcommand("log", "look into log directories and their files");
    log->require_subcommand(1);
    add_log_dump(*log, context);
    add_log_verify(*log, context);
    add_rebalance(root, context);
    add_reassign(root, context);
    add_health(root, context);
    add_doctor(root, context);
    add_broker_commands(root, context);
    add_rack_commands(root, context);
    add_leader_elect(root, context);
    add_quorum_commands(root, context);
    add_shim(root, context);
    add_version(root, context);
    add_completion(root, context);
}

void confirm(const Context& context, const std::string& question) {
    if (context.yes) return;
    if (isatty(STDIN_FILENO) == 0) {
        throw Failure{kUsage, question + " nobody is at the terminal to say yes",
                      "add --yes when you mean it"};
    }
    std::cerr << question << " type yes: ";
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "yes" && answer != "y")
        throw Failure{kFailed, "not confirmed; nothing was done", ""};
}

int run(int argc, const char* const* argv, const std::function<void(CLI::App&, Context&)>& extend) {
    if (const ShimMain shim = argc > 0 ? find_shim(argv[0]) : nullptr; shim != nullptr)
        return run_shim(shim, {argv + 1, argv + argc});
    Context context;
    CLI::App root("Millrace, a log broker that speaks Apache Kafka's protocol", "millrace");
    root.require_subcommand(1);
    add_commands(root, context);
    if (extend) extend(root, context);
    const std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    if (has_kafkas_flags(words))
        return run_shim(shim_reassign_partitions, {words.begin() + 1, words.end()});
    std::signal(SIGPIPE, SIG_IGN);
    try {
        if (words.empty()) {
            std::cout << root.help();
            return kUsage;
        }
        check_command_names(root, words);
        std::vector<std::string> reversed(words.rbegin(), words.rend());
        root.parse(reversed);
        std::cout.flush();
        return context.exit_code;
    } catch (const CLI::CallForHelp&) {
        const CLI::App* command = command_of(root, words);
        const CLI::App* parent = command->get_parent();
        std::cout << command->help(parent != nullptr ? full_name(parent) : "");
        return kDone;
    } catch (const CLI::CallForVersion& text) {
        std::cout << text.what() << "\n";
        return kDone;
    } catch (const CLI::ParseError& error) {
        return report(root, context, words, usage_failure(root, words, error));
    } catch (const Failure& failure) {
        std::cout.flush();
        return report(root, context, words, failure);
    }
}

}  // namespace millrace::cli
