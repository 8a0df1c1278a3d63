// tools/cli/version.cc: `version`.
#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/output.h"

namespace millrace::cli {

namespace {

std::string version_line() { return std::string("millrace ") + kVersion + " (speaks Apache Kafka 4.3)"; }

}  // namespace

void add_version(CLI::App& root, Context& context) {
    root.set_version_flag("--version", version_line());
    CLI::App* command = root.add_subcommand("version", "version of this program");
    add_output_option(*command, context);
    command->callback([&context] {
        if (context.json()) {
            print_items("Version", Json::array({{{"version", kVersion}, {"kafka", "4.3.1"}}}));
        } else {
            std::cout << version_line() << "\n";
        }
    });
}

}  // namespace millrace::cli
