// tools/cli/version.cc: `version`.
#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/output.h"

namespace millrace::cli {

void add_version(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("version", "version of this program");
    add_output_option(*command, context);
    command->callback([&context] {
        if (context.json()) {
            print_items("Version", Json::array({{{"version", kVersion}, {"kafka", "4.3.1"}}}));
        } else {
            std::cout << "millrace " << kVersion << " (speaks Apache Kafka 4.3)\n";
        }
    });
}

}  // namespace millrace::cli
