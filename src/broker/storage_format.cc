// src/broker/storage_format.cc: kafka-storage's format and info.
#include "millrace/broker/storage_format.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <utility>

#include "broker/quorum_records.h"
#include "broker/release_features.h"
#include "broker/scram_argument.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/disk.h"
#include "millrace/metadata/record.h"
#include "millrace/storage/meta_properties.h"
#include "millrace/storage/metadata_snapshot.h"

namespace millrace::broker {

namespace {

using storage::MetadataSnapshotWriter;
using storage::MetaProperties;
using storage::MetaPropertiesEnsemble;

constexpr int16_t kMetadataVersionWithScram = 11;

/// What a directory becomes, in Kafka's words (Formatter.DirectoryType).
enum class DirectoryKind { Data, StaticMetadata, DynamicNonVoter, DynamicVoter };

const char* description(DirectoryKind kind) {
    switch (kind) {
        case DirectoryKind::Data: return "data directory";
        case DirectoryKind::StaticMetadata: return "metadata directory";
        case DirectoryKind::DynamicNonVoter: return "dynamic metadata directory";
        case DirectoryKind::DynamicVoter: return "dynamic metadata voter directory";
    }
    return "";
}

Status invalid(std::string text) { return {Errc::InvalidInput, std::move(text)}; }

std::optional<int32_t> parse_number(std::string_view text) {
    int32_t number = 0;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || at != end || text.empty()) return std::nullopt;
    return number;
}

/// An IPv6 literal the way Java prints it, every group in hex and none left out
/// ("0:0:0:0:0:0:0:1"), because that is what Kafka stores; any other text as it is.
std::string java_host(const std::string& host) {
    if (host.find(':') == std::string::npos) return host;
    std::vector<std::string> groups;
    std::optional<size_t> gap;  // where "::" stands
    for (size_t at = 0; at <= host.size();) {
        const size_t colon = std::min(host.find(':', at), host.size());
        std::string group = host.substr(at, colon - at);
        if (group.empty() && at > 0 && colon < host.size() && !gap.has_value()) {
            gap = groups.size();
        } else if (!group.empty()) {
            uint32_t number = 0;
            const char* end = group.data() + group.size();
            const auto [stop, error] = std::from_chars(group.data(), end, number, 16);
            if (error != std::errc() || stop != end || number > 0xffff) return host;
            groups.push_back(fmt::format("{:x}", number));
        }
        at = colon + 1;
    }
    if (gap.has_value() && groups.size() < 8) {
        groups.insert(groups.begin() + static_cast<std::ptrdiff_t>(*gap), 8 - groups.size(), "0");
    }
    if (groups.size() != 8) return host;
    std::string text;
    for (const std::string& group : groups)
        text += (text.empty() ? "" : ":") + group;
    return text;
}

/// "1@host:9093:directory" or "1@[::1]:9093:directory" (org.apache.kafka.raft.DynamicVoter).
Result<raft::Voter> parse_voter(std::string_view text, const std::string& listener) {
    auto bad = [](const char* why) { return invalid(why); };
    const size_t at = text.find('@');
    if (at == std::string_view::npos) return bad("No @ found in dynamic voter string.");
    if (at == 0) return bad("Invalid @ at beginning of dynamic voter string.");
    const auto id = parse_number(text.substr(0, at));
    if (!id.has_value()) return bad("Failed to parse node id in dynamic voter string.");
    if (*id < 0) {
        return invalid(fmt::format("Invalid negative node id {} in dynamic voter string.", *id));
    }
    text.remove_prefix(at + 1);
    if (text.empty()) return bad("No hostname found after node id.");
    std::string host;
    if (text.starts_with('[')) {
        const size_t end = text.find(']');
        if (end == std::string_view::npos) {
            return bad("Hostname began with left bracket, but no right bracket was found.");
        }
        host = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
    } else {
        const size_t end = text.find(':');
        if (end == std::string_view::npos)
            return bad("No colon following hostname could be found.");
        host = text.substr(0, end);
        text.remove_prefix(end);
    }
    if (!text.starts_with(':')) return bad("Port section must start with a colon.");
    text.remove_prefix(1);
    const size_t colon = text.find(':');
    if (colon == std::string_view::npos) return bad("No colon following port could be found.");
    const auto port = parse_number(text.substr(0, colon));
    if (!port.has_value()) return bad("Failed to parse port in dynamic voter string.");
    if (*port < 0 || *port > 65535) {
        return invalid(fmt::format("Invalid port {} in dynamic voter string.", *port));
    }
    const auto directory = Uuid::parse(text.substr(colon + 1));
    if (!directory.has_value()) return bad("Failed to parse directory ID in dynamic voter string.");
    raft::Voter voter;
    voter.key = {NodeId(*id), *directory};
    voter.endpoints.push_back({listener, java_host(host), static_cast<uint16_t>(*port)});
    voter.versions = {0, 1};
    return voter;
}

Result<raft::VoterSet> parse_voters(std::string_view text, const std::string& listener) {
    std::vector<raft::Voter> voters;
    while (!text.empty()) {
        const size_t comma = std::min(text.find(','), text.size());
        std::string_view one = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        while (!one.empty() && one.front() == ' ')
            one.remove_prefix(1);
        while (!one.empty() && one.back() == ' ')
            one.remove_suffix(1);
        if (one.empty()) continue;
        MILLRACE_TRY_ASSIGN(raft::Voter voter, parse_voter(one, listener));
        for (const raft::Voter& other : voters) {
            if (other.key.id == voter.key.id) {
                return invalid(
                    fmt::format("Node id {} was specified more than once.", voter.key.id.value));
            }
        }
        voters.push_back(std::move(voter));
    }
    if (voters.empty()) return invalid("No voters given.");
    return raft::VoterSet(std::move(voters));
}

Uuid random_uuid(Rng& rng) {
    while (true) {
        const Uuid id = Uuid::from_random_bits(rng.next(), rng.next());
        if (!storage::is_reserved_directory_id(id) && !id.to_string().starts_with('-')) return id;
    }
}

/// Listener names are compared and stored in upper case (ListenerName.normalised).
std::string normalised(std::string name) {
    for (char& c : name) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return name;
}

/// The voters of a dynamic quorum's first snapshot; nothing for a static quorum or a node that is
/// to learn them (StorageTool.runFormatCommand).
Result<std::optional<raft::VoterSet>> initial_voters(const StorageFormatOptions& options,
                                                     Rng& rng) {
    const int choices = (options.standalone ? 1 : 0) + (options.no_initial_controllers ? 1 : 0) +
                        (options.initial_controllers.has_value() ? 1 : 0);
    if (choices > 1) {
        return invalid(
            "--standalone, --no-initial-controllers and --initial-controllers exclude "
            "each other.");
    }
    const bool names_voters = options.standalone || options.initial_controllers.has_value();
    if (options.has_static_voters && names_voters) {
        return invalid(
            "You cannot specify controller.quorum.voters and format the node with "
            "--initial-controllers or --standalone. If you want to use dynamic quorum, please "
            "remove controller.quorum.voters and specify controller.quorum.bootstrap.servers "
            "instead.");
    }
    if (options.initial_controllers.has_value()) {
        MILLRACE_TRY_ASSIGN(auto voters,
                            parse_voters(*options.initial_controllers,
                                         normalised(options.controller_listener_name)));
        return std::optional<raft::VoterSet>(std::move(voters));
    }
    if (options.standalone) {
        if (!options.has_controller_role) {
            return invalid("You can only use --standalone on a controller.");
        }
        if (options.controller_port < 0) return invalid("No controller listeners found.");
        raft::Voter self;
        self.key = {options.node_id, random_uuid(rng)};
        self.endpoints.push_back(
            {normalised(options.controller_listener_name),
             options.controller_host.empty() ? "localhost" : java_host(options.controller_host),
             static_cast<uint16_t>(options.controller_port)});
        self.versions = {0, 1};
        return std::optional<raft::VoterSet>(raft::VoterSet({std::move(self)}));
    }
    if (!options.no_initial_controllers && options.has_controller_role &&
        !options.has_static_voters) {
        return invalid(
            "Because controller.quorum.voters is not set on this controller, you must specify one "
            "of the following: --standalone, --initial-controllers, or --no-initial-controllers.");
    }
    return std::optional<raft::VoterSet>();
}

struct FormatPlan {
    FeatureLevels levels;
    std::optional<raft::VoterSet> voters;
    std::vector<metadata::Record> records;  // of bootstrap.checkpoint
};

Result<FormatPlan> make_plan(const StorageFormatOptions& options, Rng& rng) {
    std::optional<int16_t> release;
    if (options.release_version.has_value()) {
        MILLRACE_TRY_ASSIGN(release, parse_release_version(*options.release_version));
    }
    FeatureLevels wanted;
    for (const std::string& feature : options.features) {
        MILLRACE_TRY_ASSIGN(auto named, parse_feature_level(feature));
        wanted[named.first] = named.second;
    }
    FormatPlan plan;
    MILLRACE_TRY_ASSIGN(plan.voters, initial_voters(options, rng));
    if (options.node_id.value < 0) {
        return invalid("You must specify a valid non-negative node ID.");
    }
    if (options.cluster_id.empty()) return invalid("You must specify the cluster id.");
    if (options.log_dirs.empty()) {
        return invalid("You must specify at least one directory to format");
    }
    if (options.controller_listener_name.empty()) {
        return invalid("You must specify the name of the initial controller listener.");
    }
    MILLRACE_TRY_ASSIGN(plan.levels,
                        effective_feature_levels(wanted, release, !options.has_static_voters));
    auto add = [&](const std::string& name, int16_t level) {
        wire::FeatureLevelRecord record;
        record.name = name;
        record.feature_level = level;
        plan.records.emplace_back(std::move(record));
    };
    add(kMetadataVersionFeature, plan.levels[kMetadataVersionFeature]);
    for (const auto& [name, level] : plan.levels) {
        // kraft.version lives in control records only.
        const bool left_out = name == kMetadataVersionFeature || name == kKRaftVersionFeature;
        if (!left_out && level > 0) add(name, level);
    }
    if (!options.scram.empty() &&
        plan.levels[kMetadataVersionFeature] < kMetadataVersionWithScram) {
        return invalid("SCRAM is only supported in metadata.version 3.5-IV2 or later.");
    }
    for (const std::string& argument : options.scram) {
        MILLRACE_TRY_ASSIGN(metadata::Record record, parse_scram_argument(argument, rng));
        plan.records.push_back(std::move(record));
    }
    return plan;
}

/// Kafka's line, because scripts look at it.
std::string bootstrap_line(const FormatPlan& plan) {
    std::string records;
    for (const metadata::Record& record : plan.records) {
        std::string body;
        if (const auto* level = std::get_if<wire::FeatureLevelRecord>(&record.body)) {
            body = fmt::format("FeatureLevelRecord(name='{}', featureLevel={})", level->name,
                               level->feature_level);
        } else {
            // Kafka prints salt and keys; what was printed once stays in somebody's log.
            const auto& user = std::get<wire::UserScramCredentialRecord>(record.body);
            body = fmt::format("UserScramCredentialRecord(name='{}', mechanism={}, iterations={})",
                               user.name, static_cast<int>(user.mechanism), user.iterations);
        }
        records += fmt::format("{}ApiMessageAndVersion({} at version {})",
                               records.empty() ? "" : ", ", body, record.version);
    }
    return fmt::format(
        "Bootstrap metadata: BootstrapMetadata(records=[{}], metadataVersionLevel={}, "
        "source=format command)",
        records, plan.levels.at(kMetadataVersionFeature));
}

Status write_bootstrap(env::FileSystem& files, const std::string& log_dir, const FormatPlan& plan,
                       WallMs now) {
    const std::string name = storage::kBootstrapCheckpointName;
    MILLRACE_TRY_ASSIGN(auto writer,
                        MetadataSnapshotWriter::create(files, log_dir, name, name + ".tmp"));
    const LeaderEpoch epoch{0};
    MILLRACE_TRY(writer->append(encode_snapshot_header(SnapshotHeader{}, epoch, now)));
    std::vector<Buffer> values;
    for (const metadata::Record& record : plan.records)
        values.push_back(encode_record(record));
    MILLRACE_TRY(writer->append(encode_snapshot_records(Offset(1), epoch, values, now)));
    const Offset footer = Offset(1) + static_cast<int64_t>(values.size());
    MILLRACE_TRY(writer->append(encode_snapshot_footer(footer, epoch, now)));
    return writer->finish(false);
}

Status write_first_snapshot(env::FileSystem& files, const std::string& log_dir,
                            const FormatPlan& plan, WallMs now, uint64_t unique) {
    const storage::MetadataSnapshotId id{};
    const std::string directory = log_dir + "/" + kClusterMetadataDirectory;
    // What an interrupted run left behind.
    MILLRACE_TRY(storage::remove_stale_metadata_snapshots(files, directory, Offset(0)));
    MILLRACE_TRY_ASSIGN(auto writer, MetadataSnapshotWriter::create(files, directory, id, unique));
    SnapshotHeader header;
    header.last_contained_log_timestamp = now;
    header.kraft_version = plan.levels.at(kKRaftVersionFeature);
    header.voters = plan.voters;
    const Buffer first = encode_snapshot_header(header, id.epoch, now);
    MILLRACE_TRY(writer->append(first));
    const record::BatchView view(first.view());
    MILLRACE_TRY(writer->append(encode_snapshot_footer(view.next_offset(), id.epoch, now)));
    MILLRACE_TRY(writer->finish());
    return files.sync_directory(log_dir);
}

DirectoryKind kind_of(const std::string& log_dir, const StorageFormatOptions& options,
                      const FormatPlan& plan) {
    if (log_dir != options.metadata_log_dir) return DirectoryKind::Data;
    if (!plan.voters.has_value()) return DirectoryKind::StaticMetadata;
    return plan.voters->find(options.node_id) != nullptr ? DirectoryKind::DynamicVoter
                                                         : DirectoryKind::DynamicNonVoter;
}

/// Creates the directory so that a power failure cannot take it away again with all it holds: every
/// directory that got a new entry is synced.
Status make_durable_directories(env::FileSystem& files, const std::string& path) {
    std::vector<std::string> changed;
    for (std::string at = path; !at.empty() && at != "/" && at != ".";) {
        MILLRACE_TRY_ASSIGN(const auto info, files.stat(at));
        if (info.has_value()) break;
        const size_t slash = at.find_last_of('/');
        at = slash == std::string::npos ? "." : slash == 0 ? "/" : at.substr(0, slash);
        changed.push_back(at);
    }
    MILLRACE_TRY(files.make_directories(path));
    for (const std::string& directory : changed)
        MILLRACE_TRY(files.sync_directory(directory));
    return {};
}

Status format_directory(env::FileSystem& files, const std::string& log_dir, WallMs now, Rng& rng,
                        const StorageFormatOptions& options, const FormatPlan& plan,
                        MetaPropertiesEnsemble& ensemble) {
    const DirectoryKind kind = kind_of(log_dir, options, plan);
    MetaProperties properties;
    properties.cluster_id = options.cluster_id;
    properties.node_id = options.node_id;
    properties.directory_id = kind == DirectoryKind::DynamicVoter
                                  ? plan.voters->find(options.node_id)->key.directory_id
                                  : ensemble.make_directory_id(rng);
    MILLRACE_TRY(make_durable_directories(files, log_dir));
    MILLRACE_TRY(write_bootstrap(files, log_dir, plan, now));
    if (kind == DirectoryKind::DynamicVoter || kind == DirectoryKind::DynamicNonVoter) {
        MILLRACE_TRY(write_first_snapshot(files, log_dir, plan, now, rng.next()));
    }
    // Last: from here on the directory counts as formatted.
    MILLRACE_TRY(storage::write_meta_properties(files, log_dir, properties, now));
    ensemble.log_dirs[log_dir] = std::move(properties);
    return {};
}

}  // namespace

Status format_storage(env::FileSystem& files, WallMs now, Rng& rng,
                      const StorageFormatOptions& options,
                      MoveFunction<void(const std::string& line)> print) {
    MILLRACE_TRY_ASSIGN(FormatPlan plan, make_plan(options, rng));
    std::vector<std::string> log_dirs = options.log_dirs;
    if (!options.metadata_log_dir.empty()) log_dirs.push_back(options.metadata_log_dir);
    std::sort(log_dirs.begin(), log_dirs.end());
    log_dirs.erase(std::unique(log_dirs.begin(), log_dirs.end()), log_dirs.end());

    MetaPropertiesEnsemble ensemble = MetaPropertiesEnsemble::load(files, log_dirs);
    MILLRACE_TRY(ensemble.verify(options.cluster_id, options.node_id));
    if (!options.ignore_formatted && !ensemble.log_dirs.empty()) {
        return {Errc::AlreadyExists,
                "Log directory " + ensemble.log_dirs.begin()->first +
                    " is already formatted. Use --ignore-formatted to ignore this directory and "
                    "format the others."};
    }
    for (const auto& [log_dir, error] : ensemble.error_log_dirs) {
        print("I/O error trying to read log directory " + log_dir + ". Ignoring...");
    }
    if (ensemble.empty_log_dirs.empty()) {
        if (ensemble.log_dirs.empty()) {
            return {Errc::IoError, "No available log directories to format."};
        }
        print("All of the log directories are already formatted.");
        return {};
    }
    print(bootstrap_line(plan));
    const std::set<std::string> empty = ensemble.empty_log_dirs;
    for (const std::string& log_dir : empty) {
        print(fmt::format("Formatting {} {} with {} {}.",
                          description(kind_of(log_dir, options, plan)), log_dir,
                          kMetadataVersionFeature,
                          metadata_version_name(plan.levels.at(kMetadataVersionFeature))));
        Status status = format_directory(files, log_dir, now, rng, options, plan, ensemble);
        if (!status.ok()) {
            return {status.errc(), "Error while formatting " + log_dir + ": " + status.message()};
        }
    }
    return {};
}

StorageInfo describe_storage(env::FileSystem& files, std::vector<std::string> log_dirs) {
    StorageInfo info;
    std::sort(log_dirs.begin(), log_dirs.end());
    log_dirs.erase(std::unique(log_dirs.begin(), log_dirs.end()), log_dirs.end());
    if (log_dirs.empty()) {
        info.lines.emplace_back("No directories specified.");
        return info;
    }
    std::vector<std::string> found;
    std::vector<std::string> problems;
    std::optional<MetaProperties> first;
    for (const std::string& log_dir : log_dirs) {
        const auto stat = files.stat(log_dir);
        if (!stat.ok() || !stat->has_value()) {
            problems.push_back(log_dir + " does not exist");
            continue;
        }
        if (!(*stat)->is_directory) {
            problems.push_back(log_dir + " is not a directory");
            continue;
        }
        found.push_back(log_dir);
        MetaPropertiesEnsemble one = MetaPropertiesEnsemble::load(files, {log_dir});
        if (!one.error_log_dirs.empty()) {
            problems.push_back("Error loading " + log_dir + "/" + storage::kMetaPropertiesName +
                               ": " + one.error_log_dirs.begin()->second.message());
        } else if (one.log_dirs.empty()) {
            problems.push_back(log_dir + " is not formatted.");
        } else {
            const MetaProperties& properties = one.log_dirs.begin()->second;
            if (!first.has_value()) {
                first = properties;
            } else if (first->cluster_id != properties.cluster_id) {
                problems.emplace_back("Mismatched cluster IDs between storage directories.");
            } else if (first->node_id != properties.node_id) {
                problems.emplace_back("Mismatched node IDs between storage directories.");
            }
        }
    }
    if (first.has_value() && first->version == 0) {
        problems.emplace_back(
            "The kafka configuration file appears to be for a cluster in KRaft mode, but the "
            "directories are formatted for legacy mode.");
    }
    auto list = [&](const char* one, const char* many, const std::vector<std::string>& rows) {
        if (rows.empty()) return;
        info.lines.emplace_back(rows.size() == 1 ? one : many);
        for (const std::string& row : rows)
            info.lines.push_back("  " + row);
        info.lines.emplace_back("");
    };
    list("Found log directory:", "Found log directories:", found);
    if (first.has_value()) {
        info.lines.push_back("Found metadata: " + first->to_string());
        info.lines.emplace_back("");
    }
    list("Found problem:", "Found problems:", problems);
    info.has_problems = !problems.empty();
    return info;
}

}  // namespace millrace::broker
