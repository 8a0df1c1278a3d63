// tools/cli/group_list.cc: `group list`, `group delete`, and the tree below `group`.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>

#include "cli/group_commands.h"
#include "cli/output.h"
#include "millrace/base/nearest.h"

namespace millrace::cli {
namespace {

struct ListOptions {
    std::vector<std::string> states;
    std::vector<std::string> types;
};

/// Refuses what no group can be, so that a misspelt filter does not look like an empty cluster.
void check_words(const std::vector<std::string>& given, const std::vector<std::string>& known,
                 const char* what) {
    for (const std::string& word : given) {
        std::string lower = word;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        if (std::find(known.begin(), known.end(), lower) != known.end()) continue;
        Failure failure{kUsage, fmt::format("no {} '{}'", what, word), ""};
        const auto near = nearest_names(lower, known);
        if (!near.empty()) {
            failure.fix = fmt::format("did you mean '{}'?", near.front());
        } else {
            for (const std::string& one : known)
                failure.fix += (failure.fix.empty() ? "" : ", ") + one;
        }
        throw failure;
    }
}

void list_groups(const Context& context, const ListOptions& options) {
    check_words(options.states,
                {"preparingrebalance", "completingrebalance", "stable", "dead", "empty",
                 "assigning", "reconciling", "notready"},
                "state of a group");
    check_words(options.types, {"classic", "consumer", "share", "streams"}, "type of a group");
    Client client(context);
    GroupClient groups(client);
    Json items = Json::array();
    Table table({"GROUP", "TYPE", "STATE", "PROTOCOL", ">COORDINATOR"});
    for (const GroupListing& group : groups.list(options.states, options.types)) {
        items.push_back({{"group", group.id},
                         {"type", group.type},
                         {"state", group.state},
                         {"protocolType", group.protocol_type},
                         {"coordinator", group.coordinator}});
        table.add({group.id, group.type, group.state,
                   group.protocol_type.empty() ? "-" : group.protocol_type,
                   std::to_string(group.coordinator)});
        if (context.output == "name") std::cout << group.id << '\n';
    }
    if (context.json())
        print_items("GroupList", std::move(items));
    else if (context.output == "table")
        std::cout << table.to_string();
}

struct DeleteOptions {
    std::vector<std::string> groups;
    std::vector<std::string> topics;
    bool dry_run = false;
};

Failure cannot_delete(const std::string& group, int16_t error) {
    Failure failure{exit_code_of(error_code_from(error).value_or(ErrorCode::UnknownServerError)),
                    fmt::format("group '{}': {}", group, error_text(error, std::nullopt)), "",
                    error, ""};
    if (error_code_from(error) == ErrorCode::NonEmptyGroup)
        failure.fix = fmt::format("stop its members first: millrace group describe {}", group);
    return failure;
}

void delete_groups(Context& context, const DeleteOptions& options) {
    Client client(context);
    GroupClient groups(client);
    for (const std::string& name : options.groups) {
        const GroupDescription group = describe_known(groups, name);
        if (!group.members.empty())
            throw cannot_delete(name, wire_error(ErrorCode::NonEmptyGroup));
    }
    Json items = Json::array();
    if (options.dry_run) {
        for (const std::string& name : options.groups) {
            items.push_back({{"group", name}, {"deleted", false}});
            if (!context.json()) std::cout << fmt::format("would delete group {}\n", name);
        }
        if (context.json()) print_items("GroupList", std::move(items));
        return;
    }
    confirm(context, fmt::format("delete {} with its offsets?",
                                 options.groups.size() == 1
                                     ? "group '" + options.groups.front() + "'"
                                     : counted(static_cast<int64_t>(options.groups.size()),
                                               "group")));
    client.renew();
    for (const std::string& name : options.groups) {
        const int16_t error = groups.remove(name);
        if (error != 0) throw cannot_delete(name, error);
        items.push_back({{"group", name}, {"deleted", true}});
        if (!context.json()) std::cout << fmt::format("deleted group {}\n", name);
    }
    if (context.json()) print_items("GroupList", std::move(items));
}

}  // namespace

bool is_consumer_group(const GroupListing& listing) {
    if (listing.type == "share" || listing.type == "streams") return false;
    return listing.protocol_type.empty() || listing.protocol_type == "consumer";
}

GroupDescription describe_known(GroupClient& groups, const std::string& name) {
    try {
        GroupDescription group = groups.describe(name);
        if (group.state != "Dead") return group;
    } catch (const Failure& failure) {
        if (error_code_from(failure.kafka_error) != ErrorCode::GroupIdNotFound) throw;
    }
    throw unknown_group(groups, name);
}

void add_group_delete(CLI::App& group, Context& context) {
    CLI::App* command = group.add_subcommand("delete", "delete groups that have no members");
    auto options = std::make_shared<DeleteOptions>();
    command->add_option("group", options->groups, "the groups")->required();
    command->add_flag("--dry-run", options->dry_run, "only say what would be deleted");
    command->add_flag("-y,--yes", context.yes, "do not ask");
    add_connection_options(*command, context);
    command->callback([&context, options] { delete_groups(context, *options); });
}

void add_group_commands(CLI::App& root, Context& context) {
    CLI::App* group = root.add_subcommand("group", "list, describe, reset, delete consumer groups");
    group->require_subcommand(1);

    CLI::App* list = group->add_subcommand("list", "groups, their types and states");
    auto options = std::make_shared<ListOptions>();
    list->add_option("--state", options->states, "only these states")->delimiter(',');
    list->add_option("--type", options->types, "only classic, consumer, share or streams")
        ->delimiter(',');
    add_connection_options(*list, context);
    list->callback([&context, options] { list_groups(context, *options); });

    add_group_describe(*group, context);
    add_group_lag(*group, context);
    add_group_reset(*group, context);
    add_group_delete(*group, context);
}

}  // namespace millrace::cli
