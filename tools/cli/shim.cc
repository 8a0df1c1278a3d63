// tools/cli/shim.cc: which script is played, and what happens when it fails.
#include "cli/shim.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <iostream>
#include <memory>

#include "cli/shim_java.h"
#include "cli/shim_options.h"
#include "millrace/base/nearest.h"

namespace millrace::cli {
namespace {

struct Row {
    const char* name;
    ShimMain main;
};
constexpr Row kShims[] = {
    {"kafka-topics", shim_topics},
    {"kafka-consumer-groups", shim_consumer_groups},
    {"kafka-get-offsets", shim_get_offsets},
    {"kafka-console-consumer", shim_console_consumer},
    {"kafka-console-producer", shim_console_producer},
    {"kafka-reassign-partitions", shim_reassign_partitions},
};

}  // namespace

ShimMain find_shim(std::string_view program) {
    const size_t slash = program.rfind('/');
    if (slash != std::string_view::npos) program.remove_prefix(slash + 1);
    if (program.ends_with(".sh")) program.remove_suffix(3);
    for (const Row& row : kShims) {
        if (program == row.name) return row.main;
    }
    return nullptr;
}

int run_shim(ShimMain shim, const std::vector<std::string>& words) {
    std::signal(SIGPIPE, SIG_IGN);
    int code = 1;
    try {
        code = shim(words);
    } catch (const ShimExit& end) {
        code = end.code;
    } catch (const OptionProblem& problem) {
        // Java prints what nobody catches, and ends with 1.
        std::cerr << fmt::format("Exception in thread \"main\" joptsimple.{}: {}\n", problem.kind,
                                 problem.message);
    } catch (const Failure& failure) {
        std::cerr << java_text(failure) << '\n';
    }
    std::cout.flush();
    return code;
}

void add_shim(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand(
        "shim", "act as one of Kafka's scripts: kafka-topics.sh and its kin");
    command->prefix_command();
    command->callback([command, &context] {
        std::vector<std::string> words = command->remaining();
        std::vector<std::string> names;
        for (const Row& row : kShims)
            names.push_back(std::string(row.name) + ".sh");
        if (words.empty()) {
            for (const std::string& name : names)
                std::cout << name << '\n';
            return;
        }
        const ShimMain shim = find_shim(words.front());
        if (shim == nullptr) {
            const auto near = nearest_names(words.front(), names);
            throw Failure{kUsage, fmt::format("no shim '{}'", words.front()),
                          near.empty() ? "millrace shim lists them"
                                       : fmt::format("did you mean '{}'?", near.front())};
        }
        words.erase(words.begin());
        context.exit_code = run_shim(shim, words);
    });
}

}  // namespace millrace::cli
