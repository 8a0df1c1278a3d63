// tools/cli/group_reset_command.cc: `group reset`: shows a plan of offsets, and commits it.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <iostream>

#include "cli/group_commands.h"
#include "cli/group_reset.h"
#include "cli/output.h"
#include "cli/time_text.h"

namespace millrace::cli {
namespace {

struct ResetOptions {
    std::string group;
    std::vector<std::string> topics;
    bool all_topics = false;
    std::optional<int64_t> to_offset;
    std::optional<int64_t> shift_by;
    bool to_earliest = false;
    bool to_latest = false;
    bool to_current = false;
    std::string to_datetime;
    std::string by_duration;
    std::string from_file;
    bool execute = false;
    bool dry_run = false;
    bool csv = false;
};

int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

ResetSpec spec_of(const ResetOptions& options) {
    ResetSpec spec;
    int given = 0;
    const auto choose = [&](bool wanted, ResetKind kind) {
        if (!wanted) return false;
        spec.kind = kind;
        ++given;
        return true;
    };
    choose(options.to_earliest, ResetKind::ToEarliest);
    choose(options.to_latest, ResetKind::ToLatest);
    choose(options.to_current, ResetKind::ToCurrent);
    if (choose(options.to_offset.has_value(), ResetKind::ToOffset)) spec.number = *options.to_offset;
    if (choose(options.shift_by.has_value(), ResetKind::ShiftBy)) spec.number = *options.shift_by;
    if (choose(!options.to_datetime.empty(), ResetKind::ToTime)) {
        const auto time = parse_datetime(options.to_datetime);
        if (!time) {
            throw Failure{kUsage, fmt::format("'{}' is no date and time", options.to_datetime),
                          "for example 2026-11-21T09:14:02.118 (UTC) or ...02.118+02:00"};
        }
        spec.number = *time;
    }
    if (choose(!options.by_duration.empty(), ResetKind::ToTime)) {
        const auto back = parse_short_duration(options.by_duration);
        if (!back) {
            throw Failure{kUsage, fmt::format("'{}' is no duration", options.by_duration),
                          "for example 90m, 2h, or ISO 8601: P1DT2H30M"};
        }
        spec.number = now_ms() - *back;
    }
    if (choose(!options.from_file.empty(), ResetKind::FromFile))
        spec.plans = parse_reset_csv(read_file(options.from_file), options.group);
    if (given != 1) {
        throw Failure{kUsage,
                      given == 0 ? "where to reset to is not given"
                                 : "more than one place to reset to is given",
                      "one of --to-earliest --to-latest --to-current --to-offset N --shift-by N "
                      "--to-datetime T --by-duration D --from-file F"};
    }
    return spec;
}

std::set<TopicPartition> scope_of(GroupClient& groups, const ResetOptions& options,
                                  const ResetSpec& spec) {
    std::set<TopicPartition> partitions;
    if (spec.kind == ResetKind::FromFile) {
        const auto plan = spec.plans.find(options.group);
        if (plan == spec.plans.end()) {
            throw Failure{kUsage,
                          fmt::format("{} has no line for group '{}'", options.from_file,
                                      options.group),
                          "each line is topic,partition,offset or group,topic,partition,offset"};
        }
        for (const auto& [partition, offset] : plan->second)
            partitions.insert(partition);
    } else if (options.all_topics) {
        for (const auto& [partition, committed] : groups.committed(options.group))
            partitions.insert(partition);
        if (partitions.empty()) {
            throw Failure{kNotFound,
                          fmt::format("group '{}' has no committed offsets", options.group),
                          "name the topics with --topic"};
        }
    } else if (!options.topics.empty()) {
        partitions = partitions_of(groups.client(), options.topics);
    } else {
        throw Failure{kUsage, "which topics to reset is not given",
                      "--topic orders, --topic orders:0,2 or --all-topics"};
    }
    check_partitions(groups.client(), partitions);
    return partitions;
}

/// A group that does not exist yet is made by the commit, as in Kafka.
void check_inactive(GroupClient& groups, const std::string& name) {
    try {
        const GroupDescription group = groups.describe(name);
        if (group.state == "Empty" || group.state == "Dead") return;
        throw Failure{kConflict,
                      fmt::format("group '{}' is {}, with {}", name, group.state,
                                  counted(static_cast<int64_t>(group.members.size()), "member")),
                      "stop its members first: only an empty group can be reset"};
    } catch (const Failure& failure) {
        if (error_code_from(failure.kafka_error) != ErrorCode::GroupIdNotFound) throw;
    }
}

void print_plan(const Context& context, const ResetOptions& options, const ResetPlan& plan,
                const CommittedOffsets& committed, bool done) {
    Json items = Json::array();
    Table table({"TOPIC", ">PART", ">NOW", ">NEW", ">CHANGE"});
    for (const auto& [partition, offset] : plan.offsets) {
        const auto now = committed.find(partition);
        const bool known = now != committed.end();
        const int64_t change = known ? offset - now->second.offset : 0;
        if (options.csv)
            std::cout << fmt::format("{},{},{}\n", partition.topic, partition.partition, offset);
        items.push_back({{"group", options.group},
                         {"topic", partition.topic},
                         {"partition", partition.partition},
                         {"offset", offset},
                         {"before", known ? Json(now->second.offset) : Json(nullptr)}});
        table.add({partition.topic, std::to_string(partition.partition),
                   known ? grouped(now->second.offset) : "-", grouped(offset),
                   known ? (change > 0 ? "+" : "") + grouped(change) : "-"});
    }
    for (const std::string& warning : plan.warnings)
        std::cerr << "warning: " << warning << '\n';
    for (const TopicPartition& partition : plan.without_time) {
        std::cerr << fmt::format("warning: {} has no record that late; its end is taken\n",
                                 partition.to_string());
    }
    if (options.csv) return;
    if (!context.json()) {
        std::cout << table.to_string();
        return;
    }
    Json json{{"apiVersion", "v1"}, {"kind", "GroupReset"}, {"executed", done}};
    json["items"] = std::move(items);
    std::cout << json.dump(2) << '\n';
}

void reset(Context& context, const ResetOptions& options) {
    const ResetSpec spec = spec_of(options);
    const bool execute = (options.execute || context.yes) && !options.dry_run;
    Client client(context);
    GroupClient groups(client);
    check_inactive(groups, options.group);
    const auto scope = scope_of(groups, options, spec);
    const ResetPlan plan = plan_reset(groups, options.group, spec, scope);
    const CommittedOffsets before = groups.committed(options.group);
    if (!execute || !context.json()) print_plan(context, options, plan, before, false);
    if (!execute) {
        std::cerr << "nothing was changed; --execute commits this\n";
        return;
    }
    confirm(context, fmt::format("move group '{}' to these offsets?", options.group));
    client.renew();
    groups.commit(options.group, plan.offsets);
    if (context.json()) {
        print_plan(context, options, plan, before, true);
    } else {
        std::cerr << fmt::format("reset group {} ({})\n", options.group,
                                 counted(static_cast<int64_t>(plan.offsets.size()), "partition"));
    }
}

}  // namespace

void add_group_reset(CLI::App& group, Context& context) {
    CLI::App* command =
        group.add_subcommand("reset", "move a group's offsets; shows a plan unless --execute");
    auto options = std::make_shared<ResetOptions>();
    command->add_option("group", options->group, "the group")->required();
    command->add_option("-t,--topic", options->topics, "topic, or topic:partition,partition")
        ->allow_extra_args(false);
    command->add_flag("--all-topics", options->all_topics, "all that the group has committed");
    command->add_option("--to-offset", options->to_offset, "this offset")->default_str("");
    command->add_flag("--to-earliest", options->to_earliest, "the start of the log");
    command->add_flag("--to-latest", options->to_latest, "the end of the log");
    command->add_flag("--to-current", options->to_current, "where it is, or the end without");
    command->add_option("--shift-by", options->shift_by, "forward, or back by a negative number")
        ->default_str("");
    command->add_option("--to-datetime", options->to_datetime, "2026-11-21T09:14:02.118, UTC");
    command->add_option("--by-duration", options->by_duration, "back from now: 90m, P1DT2H");
    command->add_option("--from-file", options->from_file, "lines of topic,partition,offset");
    command->add_flag("--export", options->csv, "print the plan as such lines");
    command->add_flag("--execute", options->execute, "commit, after asking");
    command->add_flag("--dry-run", options->dry_run, "only show the plan (the default)");
    command->add_flag("-y,--yes", context.yes, "commit without asking");
    add_connection_options(*command, context);
    command->callback([&context, options] { reset(context, *options); });
}

}  // namespace millrace::cli
