// src/app/node_commands.h: `start`, `dev`, `config check` and `config reference`.
#pragma once

#include "cli/cli.h"

namespace millrace::app {

void add_node_commands(CLI::App& root, cli::Context& context);

}  // namespace millrace::app
