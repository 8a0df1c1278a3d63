// src/app/dev_cluster.h: `millrace dev --brokers N`: a whole cluster on loopback, for trying things.
#pragma once

#include <string>
#include <vector>

namespace millrace::app {

struct DevClusterOptions {
    std::string data;                    // one directory per node in it; they come back as they were
    int port = 9092;                     // of the first node; the others follow. 0: free ones
    int brokers = 3;
    std::string racks;                   // "3x2": fault domains times update domains; empty: none
    std::vector<std::string> overrides;  // key=value of every node's config
    bool json = false;                   // what is printed when it is ready
};

inline constexpr int kDevBrokersMax = 60;

/// One process per node, so that each can be killed: the first three (or the only one, with fewer)
/// are controllers too. Serves until SIGTERM or SIGINT; returns the exit code. Failures are thrown
/// as cli::Failure.
int run_dev_cluster(const DevClusterOptions& options);

/// Sends `signal` to nodes of the cluster in `data` (empty: the one that was started last), named by
/// id or by a domain: FD1, UD0.
void signal_dev_nodes(const std::string& data, const std::vector<std::string>& words, int signal);

/// Starts nodes that ended again; returns when they serve.
void start_dev_nodes(const std::string& data, const std::vector<std::string>& words);

}  // namespace millrace::app
