// src/app/main.cc: the program: commands of tools/cli, and those that run or look at a node here.
#include "app/format.h"
#include "app/node_commands.h"
#include "cli/cli.h"

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    // kafka-storage's flags are read by the command itself.
    if (!words.empty() && words.front() == "storage") {
        return millrace::app::storage_command({words.begin() + 1, words.end()});
    }
    return millrace::cli::run(argc, argv, millrace::app::add_node_commands);
}
