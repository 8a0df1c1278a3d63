// src/app/format.cc: the storage commands: flags, config, exit codes.
#include "app/format.h"

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "app/config_file.h"
#include "millrace/base/uuid.h"
#include "millrace/env/disk.h"
#include "millrace/net/posix_disk.h"

namespace millrace::app {

namespace {

constexpr const char* kUsage =
    "usage: millrace storage format -t CLUSTER_ID -c FILE [options]\n"
    "       millrace storage info -c FILE\n"
    "       millrace storage version-mapping [-r VERSION]\n"
    "       millrace storage feature-dependencies -f NAME=LEVEL ...\n"
    "       millrace storage random-uuid\n"
    "\n"
    "  -t, --cluster-id ID             the cluster's id; `millrace storage random-uuid` makes one\n"
    "  -c, --config FILE               the node's config (server.properties or YAML)\n"
    "  -s, --standalone                this controller is the only voter of a dynamic quorum\n"
    "  -I, --initial-controllers LIST  voters as id@host:port:directory-id,...; the same on all\n"
    "  -N, --no-initial-controllers    the node learns the voters from the quorum it joins\n"
    "  -g, --ignore-formatted          leave formatted directories alone, format the others\n"
    "  -r, --release-version VERSION   start with the features of an older release, e.g. 4.2\n"
    "  -f, --feature NAME=LEVEL        start with another level of a feature; repeatable\n"
    "  -S, --add-scram CREDENTIAL      'SCRAM-SHA-256=[name=alice,password=secret]'; repeatable\n";

int fail(int code, const std::string& what, const std::string& fix) {
    std::fprintf(stderr, "error: %s\n", what.c_str());
    if (!fix.empty()) std::fprintf(stderr, "fix:   %s\n", fix.c_str());
    return code;
}

int usage_error(const std::string& what, const std::string& fix = "see `millrace storage --help`") {
    return fail(2, what, fix);
}

struct Flags {
    std::optional<std::string> config;
    std::optional<std::string> cluster_id;
    bool standalone = false;
    bool no_initial_controllers = false;
    bool ignore_formatted = false;
    bool help = false;
    std::optional<std::string> initial_controllers;
    std::optional<std::string> release_version;
    std::vector<std::string> features;
    std::vector<std::string> scram;
};

/// Sets one flag; returns what is wrong, or an empty text.
std::string set_flag(Flags& flags, const std::string& name, const std::string& value) {
    if (name == "--config" || name == "-c") {
        flags.config = value;
    } else if (name == "--cluster-id" || name == "-t") {
        flags.cluster_id = value;
    } else if (name == "--initial-controllers" || name == "-I") {
        flags.initial_controllers = value;
    } else if (name == "--release-version" || name == "-r") {
        flags.release_version = value;
    } else if (name == "--feature" || name == "-f") {
        flags.features.push_back(value);
    } else if (name == "--add-scram" || name == "-S") {
        flags.scram.push_back(value);
    } else {
        return "unknown option " + name;
    }
    return "";
}

bool set_switch(Flags& flags, const std::string& name) {
    if (name == "--standalone" || name == "-s") {
        flags.standalone = true;
    } else if (name == "--no-initial-controllers" || name == "-N") {
        flags.no_initial_controllers = true;
    } else if (name == "--ignore-formatted" || name == "-g") {
        flags.ignore_formatted = true;
    } else if (name == "--help" || name == "-h") {
        flags.help = true;
    } else {
        return false;
    }
    return true;
}

std::string parse_flags(const std::vector<std::string>& args, Flags& flags) {
    for (size_t i = 1; i < args.size(); ++i) {
        if (set_switch(flags, args[i])) continue;
        std::string name = args[i];
        std::string value;
        if (!name.starts_with('-')) return "unexpected argument " + name;
        if (const size_t equals = name.find('=');
            name.starts_with("--") && equals != std::string::npos) {
            value = name.substr(equals + 1);
            name.resize(equals);
        } else if (i + 1 < args.size()) {
            value = args[++i];
        } else {
            std::string wrong = set_flag(flags, name, "");
            return wrong.empty() ? "option " + name + " needs a value" : wrong;
        }
        if (std::string wrong = set_flag(flags, name, value); !wrong.empty()) return wrong;
    }
    return "";
}

/// Reads and checks the config; prints what is wrong with it.
std::optional<broker::BrokerConfig> load_config(const std::string& path) {
    const ConfigFile file = read_config_file(path);
    if (!file.readable()) {
        std::fputs(print_notes(file, file.notes).c_str(), stderr);
        fail(2, path + " cannot be used as a config",
             "correct it; `millrace config check " + path + "` looks again");
        return std::nullopt;
    }
    auto config = broker::make_broker_config(file.values);
    if (config.ok()) return *std::move(config);
    fail(2, path + ": " + config.status().message(),
         "correct the file; `millrace config check " + path + "` shows every fault by line");
    return std::nullopt;
}

std::vector<std::string> all_log_dirs(const broker::BrokerConfig& config) {
    std::set<std::string> dirs(config.log_dirs.begin(), config.log_dirs.end());
    if (!config.metadata_log_dir.empty()) dirs.insert(config.metadata_log_dir);
    return {dirs.begin(), dirs.end()};
}

/// What to do about a refusal of format_storage.
std::string cure(const Status& status) {
    const std::string& text = status.message();
    if (status.errc() == Errc::AlreadyExists) {
        return "add --ignore-formatted to format the other directories, or use empty ones";
    }
    if (text.starts_with("Because controller.quorum.voters")) {
        return "add --standalone when this is the only controller, else --initial-controllers";
    }
    if (text.starts_with("You cannot specify controller.quorum.voters")) {
        return "remove controller.quorum.voters from the config, or leave the option out";
    }
    if (text.starts_with("Invalid cluster.id") || text.starts_with("Stored node id")) {
        return "point log.dirs somewhere empty, or give the id that the directories have";
    }
    switch (status.errc()) {
        case Errc::InvalidInput: return "see `millrace storage --help`";
        case Errc::Permission: return "make the directory writable for this user";
        case Errc::NoSpace: return "free some space and run the same command again";
        case Errc::Ok:
        case Errc::IoError:
        case Errc::NotFound:
        case Errc::AlreadyExists:
        case Errc::Corrupt:
        case Errc::Busy:
        case Errc::Unsupported:
        case Errc::LimitExceeded:
        case Errc::Cancelled:
        case Errc::Disconnected:
        case Errc::TimedOut: break;
    }
    return "when the cause is gone, run the same command again: unfinished directories are redone";
}

int format_command(const Flags& flags) {
    if (!flags.cluster_id.has_value()) {
        return usage_error("argument --cluster-id/-t is required",
                           "make one with `millrace storage random-uuid`, the same for all nodes");
    }
    const auto config = load_config(*flags.config);
    if (!config.has_value()) return 2;
    broker::StorageFormatOptions options = format_options(*config);
    options.cluster_id = *flags.cluster_id;
    options.standalone = flags.standalone;
    options.no_initial_controllers = flags.no_initial_controllers;
    options.ignore_formatted = flags.ignore_formatted;
    options.initial_controllers = flags.initial_controllers;
    options.release_version = flags.release_version;
    options.features = flags.features;
    options.scram = flags.scram;
    const auto files = net::make_posix_file_system(nullptr);
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    Rng rng = system_rng();
    const Status status = broker::format_storage(
        *files, WallMs{std::chrono::duration_cast<std::chrono::milliseconds>(now).count()}, rng,
        options, [](const std::string& line) { std::printf("%s\n", line.c_str()); });
    std::fflush(stdout);
    return status.ok() ? 0 : fail(1, status.message(), cure(status));
}

int info_command(const Flags& flags) {
    const auto config = load_config(*flags.config);
    if (!config.has_value()) return 2;
    const auto files = net::make_posix_file_system(nullptr);
    const broker::StorageInfo info = broker::describe_storage(*files, all_log_dirs(*config));
    for (const std::string& line : info.lines)
        std::printf("%s\n", line.c_str());
    return info.has_problems ? 1 : 0;
}

int mapping_command(const Flags& flags) {
    const auto lines = broker::describe_release(flags.release_version);
    if (!lines.ok()) return fail(1, lines.status().message(), cure(lines.status()));
    for (const std::string& line : *lines)
        std::printf("%s\n", line.c_str());
    return 0;
}

int dependencies_command(const Flags& flags) {
    if (flags.features.empty()) return usage_error("argument --feature/-f is required");
    const Status status = broker::describe_feature_dependencies(
        flags.features, [](const std::string& line) { std::printf("%s\n", line.c_str()); });
    std::fflush(stdout);
    return status.ok() ? 0 : fail(1, status.message(), cure(status));
}

}  // namespace

Rng system_rng() {
    std::random_device device;
    const uint64_t high = device();
    return Rng((high << 32) ^ device());
}

broker::StorageFormatOptions format_options(const broker::BrokerConfig& config) {
    broker::StorageFormatOptions options;
    options.node_id = config.node_id;
    options.log_dirs = config.log_dirs;
    options.metadata_log_dir = config.metadata_log_dir;
    options.has_controller_role = config.controller_role;
    options.has_static_voters = !config.quorum_voters.empty();
    if (!config.controller_listener_names.empty()) {
        options.controller_listener_name = config.controller_listener_names[0];
    }
    if (!config.advertised_controller_listeners.empty()) {
        const broker::Listener& listener = config.advertised_controller_listeners[0];
        options.controller_host = listener.host;
        options.controller_port = listener.port;
    }
    return options;
}

int storage_command(const std::vector<std::string>& args) {
    const std::string name = args.empty() ? "" : args[0];
    if (name == "--help" || name == "-h" || name == "help") {
        std::fputs(kUsage, stdout);
        return 0;
    }
    if (name == "random-uuid") {
        Rng rng = system_rng();
        Uuid id;
        do {
            id = Uuid::from_random_bits(rng.next(), rng.next());
        } while (id.to_string().starts_with('-'));
        std::printf("%s\n", id.to_string().c_str());
        return 0;
    }
    const std::set<std::string> commands = {"format", "info", "version-mapping",
                                            "feature-dependencies"};
    if (!commands.contains(name)) {
        return usage_error(
            name.empty() ? "a storage command is missing" : "unknown storage command " + name,
            "the storage commands are format, info, version-mapping, feature-dependencies and "
            "random-uuid");
    }
    Flags flags;
    if (const std::string wrong = parse_flags(args, flags); !wrong.empty()) {
        return usage_error(wrong);
    }
    if (flags.help) {
        std::fputs(kUsage, stdout);
        return 0;
    }
    if (name == "version-mapping") return mapping_command(flags);
    if (name == "feature-dependencies") return dependencies_command(flags);
    if (!flags.config.has_value()) return usage_error("argument --config/-c is required");
    return name == "format" ? format_command(flags) : info_command(flags);
}

}  // namespace millrace::app
