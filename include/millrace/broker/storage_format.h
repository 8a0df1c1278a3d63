// include/millrace/broker/storage_format.h: makes log directories ready for a node (kafka-storage).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/base/rng.h"
#include "millrace/base/time.h"

namespace millrace::env {
class FileSystem;
}

namespace millrace::broker {

/// What to format and how: flags of kafka-storage format, and what the node's config says.
struct StorageFormatOptions {
    // From the config file.
    NodeId node_id = kNoNode;
    std::vector<std::string> log_dirs;
    std::string metadata_log_dir;  // one of log_dirs
    bool has_controller_role = false;
    bool has_static_voters = false;        // controller.quorum.voters is set
    std::string controller_listener_name;  // the first of controller.listener.names
    std::string controller_host;           // of the first advertised controller listener
    int32_t controller_port = -1;
    // From the command line.
    std::string cluster_id;                          // -t
    bool standalone = false;                         // -s
    bool no_initial_controllers = false;             // -N
    std::optional<std::string> initial_controllers;  // -I id@host:port:directory,...
    bool ignore_formatted = false;                   // -g
    std::optional<std::string> release_version;      // -r
    std::vector<std::string> features;               // -f name=level
    std::vector<std::string> scram;                  // -S mechanism=[name=...,password=...]
};

/// Formats every directory that is not formatted yet: bootstrap.checkpoint, the 0-0 snapshot of a
/// dynamic quorum, and meta.properties, in this order, so that a directory counts as formatted only
/// when all of it is there; a run cut short is repeated with the same command. Files are those of
/// Kafka 4.3.1 to the byte, ids and times apart. `print` gets Kafka's progress lines.
///
/// InvalidInput: the options contradict each other or what is on disk, in Kafka's words.
/// AlreadyExists: a directory is formatted and ignore_formatted is off. Others: the disk. Blocking.
Status format_storage(env::FileSystem& files, WallMs now, Rng& rng,
                      const StorageFormatOptions& options,
                      MoveFunction<void(const std::string& line)> print);

/// What kafka-storage info says about the directories.
struct StorageInfo {
    std::vector<std::string> lines;
    bool has_problems = false;  // Kafka's exit code 1
};
StorageInfo describe_storage(env::FileSystem& files, std::vector<std::string> log_dirs);

/// kafka-storage version-mapping: the feature levels that a release starts with, as lines.
Result<std::vector<std::string>> describe_release(const std::optional<std::string>& release);
/// kafka-storage feature-dependencies of name=level entries. Lines before a fault are printed.
Status describe_feature_dependencies(const std::vector<std::string>& features,
                                     MoveFunction<void(const std::string& line)> print);

/// "4.3-IV0" for 30; empty for a level that this release does not know.
std::string metadata_version_name(int16_t level);

}  // namespace millrace::broker
