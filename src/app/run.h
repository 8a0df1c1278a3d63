// src/app/run.h: runs a node in the foreground until it is told to stop.
#pragma once

#include <functional>
#include <string>

#include "millrace/broker/config.h"

namespace millrace::app {

/// What a start may be told beside its config file.
struct RunOptions {
    bool quiet = false;             // log warnings and errors only
    bool json = false;              // failures in the machine form
    bool format_if_empty = false;   // `dev`, and `start` with an empty directory
    std::string cluster_id;         // of a directory that is formatted; empty: a new one
    std::string config_path;        // for messages; empty when made by `dev`
    /// Called once, when the node serves clients, with the ports that were bound in the order of
    /// BrokerConfig::listeners.
    std::function<void(const std::vector<int>& ports)> on_ready;
};

/// Opens the log directories, serves until SIGTERM or SIGINT, stops cleanly. Returns the exit code
/// of the process; a failed start has printed `error:` and `fix:` lines on standard error.
int run_broker(const broker::BrokerConfig& config, RunOptions options);

}  // namespace millrace::app
