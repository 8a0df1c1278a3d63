// tools/cli/group_describe.cc: `group describe`: members, offsets, lag in records and in time.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>

#include "cli/group_commands.h"
#include "cli/group_lag.h"
#include "cli/output.h"
#include "cli/time_text.h"

namespace millrace::cli {
namespace {

std::string number_or_dash(const std::optional<int64_t>& number) {
    return number ? grouped(*number) : "-";
}

Json number_or_null(const std::optional<int64_t>& number) {
    return number ? Json(*number) : Json(nullptr);
}

/// What a person knows a member by: its static name, else its client id, told apart by the tail of
/// the member id when several have the same.
std::string member_name(const GroupDescription& group, const GroupMember& member) {
    if (member.instance_id) return *member.instance_id;
    const auto alike = std::count_if(group.members.begin(), group.members.end(),
                                     [&](const auto& m) { return m.client_id == member.client_id; });
    if (alike <= 1) return member.client_id;
    constexpr size_t kTail = 6;
    const std::string& id = member.id;
    return member.client_id + "/" + (id.size() > kTail ? id.substr(id.size() - kTail) : id);
}

Json partitions_json(const std::vector<TopicPartition>& partitions) {
    Json list = Json::array();
    for (const TopicPartition& partition : partitions)
        list.push_back({{"topic", partition.topic}, {"partition", partition.partition}});
    return list;
}

Json json_of(const GroupDescription& group, const std::vector<PartitionLag>& rows) {
    const LagTotal total = total_of(rows);
    Json json{{"group", group.id},
              {"type", group.type},
              {"state", group.state},
              {"protocolType", group.protocol_type},
              {"assignor", group.assignor},
              {"coordinator", group.coordinator},
              {"lag", total.lag},
              {"behindMs", total.behind_ms}};
    if (group.epoch) json["epoch"] = *group.epoch;
    if (group.target_epoch) json["assignmentEpoch"] = *group.target_epoch;
    Json members = Json::array();
    for (const GroupMember& member : group.members) {
        Json one{{"memberId", member.id},
                 {"instanceId", member.instance_id ? Json(*member.instance_id) : Json(nullptr)},
                 {"clientId", member.client_id},
                 {"host", member.host},
                 {"partitions", partitions_json(member.assignment)}};
        if (member.epoch) {
            one["epoch"] = *member.epoch;
            one["target"] = partitions_json(member.target);
        }
        members.push_back(std::move(one));
    }
    json["members"] = std::move(members);
    Json partitions = Json::array();
    for (const PartitionLag& row : rows) {
        partitions.push_back({{"topic", row.partition.topic},
                              {"partition", row.partition.partition},
                              {"committed", number_or_null(row.committed)},
                              {"end", number_or_null(row.end)},
                              {"lag", number_or_null(row.lag)},
                              {"behindMs", number_or_null(row.behind_ms)},
                              {"memberId", row.member ? Json(row.member->id) : Json(nullptr)}});
    }
    json["partitions"] = std::move(partitions);
    return json;
}

void print_group(const GroupDescription& group, const std::vector<PartitionLag>& rows,
                 bool with_members) {
    const LagTotal total = total_of(rows);
    std::cout << fmt::format(
        "{}   {}   protocol {}{}   coordinator {}   {}   lag {}   behind {}\n", group.id,
        group.state, group.type, group.assignor.empty() ? "" : "/" + group.assignor,
        group.coordinator, counted(static_cast<int64_t>(group.members.size()), "member"),
        grouped(total.lag), behind_text(total.behind_ms));
    if (with_members) {
        Table members({"MEMBER", "CLIENT", "HOST", ">PARTITIONS", ">EPOCH", "MEMBER ID"});
        for (const GroupMember& member : group.members) {
            members.add({member_name(group, member), member.client_id, member.host,
                         std::to_string(member.assignment.size()),
                         member.epoch ? std::to_string(*member.epoch) : "-", member.id});
        }
        std::cout << '\n' << members.to_string();
    }
    if (rows.empty()) return;
    Table table({"TOPIC", ">PART", ">COMMITTED", ">END", ">LAG", ">BEHIND", "MEMBER"});
    for (const PartitionLag& row : rows) {
        table.add({row.partition.topic, std::to_string(row.partition.partition),
                   number_or_dash(row.committed), number_or_dash(row.end),
                   number_or_dash(row.lag), row.behind_ms ? behind_text(*row.behind_ms) : "-",
                   row.member ? member_name(group, *row.member) : "-"});
    }
    std::cout << '\n' << table.to_string();
    if (total.unread > 0) {
        std::cout << fmt::format("\n▲ {} without a committed offset: read from where the client's "
                                 "auto.offset.reset says\n",
                                 counted(total.unread, "partition"));
    }
}

}  // namespace

void add_group_describe(CLI::App& group, Context& context) {
    CLI::App* command =
        group.add_subcommand("describe", "state, members, offsets, lag in records and time");
    auto names = std::make_shared<std::vector<std::string>>();
    auto members = std::make_shared<bool>(false);
    command->add_option("group", *names, "the groups")->required();
    command->add_flag("--members", *members, "show the members too");
    add_connection_options(*command, context);
    command->callback([&context, names, members] {
        Client client(context);
        GroupClient groups(client);
        Json items = Json::array();
        for (const std::string& name : *names) {
            const GroupDescription description = describe_known(groups, name);
            const auto rows = lag_of(groups, description);
            if (context.json())
                items.push_back(json_of(description, rows));
            else if (context.output == "name")
                std::cout << description.id << '\n';
            else
                print_group(description, rows, *members);
        }
        if (context.json()) print_items("GroupDescription", std::move(items));
    });
}

}  // namespace millrace::cli
