// src/app/format.cc: the storage commands: flags, config, exit codes.
#include "app/format.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "app/config_file.h"
#include "cli/output.h"
#include "cli/report.h"
#include "millrace/base/nearest.h"
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
    "  -S, --add-scram CREDENTIAL      'SCRAM-SHA-256=[name=alice,password=secret]'; repeatable\n"
    "  -o, --output FORM               table (as kafka-storage prints) or json\n";

using cli::Failure;
using Json = nlohmann::ordered_json;

[[noreturn]] void usage_error(const std::string& what,
                              const std::string& fix = "see `millrace storage --help`") {
    throw Failure{cli::kUsage, what, fix};
}

struct Flags {
    std::optional<std::string> config;
    std::optional<std::string> cluster_id;
    bool standalone = false;
    bool no_initial_controllers = false;
    bool ignore_formatted = false;
    bool help = false;
    bool json = false;
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
    } else if (name == "--output" || name == "-o") {
        if (value != "json" && value != "table") return "the output is table or json";
        flags.json = value == "json";
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

broker::BrokerConfig load_config(const std::string& path) {
    const ConfigFile file = read_config_file(path);
    if (!file.readable()) {
        throw Failure{cli::kUsage, first_error(file, file.notes),
                      "correct it; `millrace config check " + path + "` looks again"};
    }
    auto config = broker::make_broker_config(file.values);
    if (config.ok()) return *std::move(config);
    throw Failure{cli::kUsage, path + ": " + config.status().message(),
                  "correct the file; `millrace config check " + path + "` shows every fault"};
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

void print_json(const char* kind, Json items, Json more = Json::object()) {
    Json json{{"apiVersion", "v1"}, {"kind", kind}};
    json.update(more);
    json["items"] = std::move(items);
    std::printf("%s\n", json.dump(2).c_str());
}

/// The lines as they are, or as items of that kind.
void print_lines(const Flags& flags, const char* kind, const std::vector<std::string>& lines) {
    Json items = Json::array();
    for (const std::string& line : lines) {
        if (!flags.json) std::printf("%s\n", line.c_str());
        items.push_back({{"text", line}});
    }
    if (flags.json) print_json(kind, std::move(items));
    std::fflush(stdout);
}

[[noreturn]] void refused(const Status& status) {
    throw Failure{cli::kFailed, status.message(), cure(status)};
}

int format_command(const Flags& flags) {
    if (!flags.cluster_id.has_value()) {
        usage_error("argument --cluster-id/-t is required",
                    "make one with `millrace storage random-uuid`, the same for all nodes");
    }
    broker::StorageFormatOptions options = format_options(load_config(*flags.config));
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
    std::vector<std::string> lines;
    const Status status = broker::format_storage(
        *files, WallMs{std::chrono::duration_cast<std::chrono::milliseconds>(now).count()}, rng,
        options, [&](const std::string& line) { lines.push_back(line); });
    if (status.ok() || !flags.json) print_lines(flags, "StorageFormat", lines);
    if (!status.ok()) refused(status);
    return cli::kDone;
}

/// "{cluster.id=x, node.id=1}" as an object.
Json properties_of(std::string text) {
    Json object = Json::object();
    std::erase_if(text, [](char c) { return c == '{' || c == '}' || c == ' '; });
    for (const std::string& entry : cli::split(text, ',')) {
        const size_t equals = entry.find('=');
        if (equals != std::string::npos) object[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    return object;
}

/// Kafka's report: headings, with what was found indented below them.
void print_info_json(const std::vector<std::string>& lines) {
    constexpr std::string_view kMetadata = "Found metadata: ";
    Json directories = Json::array();
    Json problems = Json::array();
    Json metadata = nullptr;
    bool of_problems = false;
    for (const std::string& line : lines) {
        if (line.starts_with("  ")) {
            (of_problems ? problems : directories).push_back(line.substr(2));
        } else if (line.starts_with(kMetadata)) {
            metadata = properties_of(line.substr(kMetadata.size()));
        } else if (!line.empty()) {
            of_problems = line.starts_with("Found problem");
        }
    }
    print_json("StorageInfo", Json::array({{{"directories", std::move(directories)},
                                            {"metadata", std::move(metadata)},
                                            {"problems", std::move(problems)}}}));
}

int info_command(const Flags& flags) {
    const broker::BrokerConfig config = load_config(*flags.config);
    const auto files = net::make_posix_file_system(nullptr);
    const broker::StorageInfo info = broker::describe_storage(*files, all_log_dirs(config));
    if (flags.json) {
        print_info_json(info.lines);
    } else {
        print_lines(flags, "", info.lines);
    }
    return info.has_problems ? cli::kFailed : cli::kDone;
}

int mapping_command(const Flags& flags) {
    const auto lines = broker::describe_release(flags.release_version);
    if (!lines.ok()) refused(lines.status());
    print_lines(flags, "VersionMapping", *lines);
    return cli::kDone;
}

int dependencies_command(const Flags& flags) {
    if (flags.features.empty()) usage_error("argument --feature/-f is required");
    std::vector<std::string> lines;
    const Status status = broker::describe_feature_dependencies(
        flags.features, [&](const std::string& line) { lines.push_back(line); });
    if (status.ok() || !flags.json) print_lines(flags, "FeatureDependencies", lines);
    if (!status.ok()) refused(status);
    return cli::kDone;
}

int random_uuid_command(const Flags& flags) {
    Rng rng = system_rng();
    Uuid id;
    do {
        id = Uuid::from_random_bits(rng.next(), rng.next());
    } while (id.to_string().starts_with('-'));
    print_lines(flags, "Uuid", {id.to_string()});
    return cli::kDone;
}

/// Reads the words and runs the command they name.
int run_command(const std::vector<std::string>& args) {
    const std::string name = args.empty() ? "" : args[0];
    if (name == "--help" || name == "-h" || name == "help") {
        std::fputs(kUsage, stdout);
        return cli::kDone;
    }
    const std::vector<std::string> commands = {"format", "info", "version-mapping",
                                               "feature-dependencies", "random-uuid"};
    if (std::find(commands.begin(), commands.end(), name) == commands.end()) {
        const auto near = nearest_names(name, commands);
        usage_error(name.empty() ? "a storage command is missing" : "unknown storage command " + name,
                    near.empty() ? "the storage commands are format, info, version-mapping, "
                                   "feature-dependencies and random-uuid"
                                 : "did you mean '" + near.front() + "'?");
    }
    Flags flags;
    if (const std::string wrong = parse_flags(args, flags); !wrong.empty()) usage_error(wrong);
    if (flags.help) {
        std::fputs(kUsage, stdout);
        return cli::kDone;
    }
    if (name == "random-uuid") return random_uuid_command(flags);
    if (name == "version-mapping") return mapping_command(flags);
    if (name == "feature-dependencies") return dependencies_command(flags);
    if (!flags.config.has_value()) usage_error("argument --config/-c is required");
    return name == "info" ? info_command(flags) : format_command(flags);
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
    try {
        return run_command(args);
    } catch (const Failure& failure) {
        std::fflush(stdout);
        return cli::print_failure(failure, cli::wants_json(args));
    }
}

}  // namespace millrace::app
