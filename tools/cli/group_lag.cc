// tools/cli/group_lag.cc: how far a group is behind, and `group lag`.
#include "cli/group_lag.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>

#include "cli/fetcher.h"
#include "cli/group_commands.h"
#include "cli/output.h"
#include "cli/time_text.h"

namespace millrace::cli {
namespace {

/// Asks only for partitions with a lag: the others are not behind.
void add_times(Client& client, std::vector<PartitionLag>& rows) {
    std::set<TopicPartition> late;
    std::map<TopicPartition, int64_t> committed;
    for (PartitionLag& row : rows) {
        if (row.lag == 0) row.behind_ms = 0;
        if (row.lag.value_or(0) <= 0) continue;
        late.insert(row.partition);
        committed[row.partition] = *row.committed;
    }
    if (late.empty()) return;
    const auto newest = find_offsets(client, late, kMaxTimestamp);
    const auto times = timestamps_at(client, committed);
    for (PartitionLag& row : rows) {
        const auto last = newest.find(row.partition);
        const auto here = times.find(row.partition);
        if (last == newest.end() || here == times.end()) continue;
        if (last->second.timestamp < 0 || here->second < 0) continue;
        row.behind_ms = std::max<int64_t>(last->second.timestamp - here->second, 0);
    }
}

}  // namespace

std::vector<PartitionLag> lag_of(GroupClient& groups, const GroupDescription& group) {
    std::map<TopicPartition, PartitionLag> rows;
    for (const GroupMember& member : group.members) {
        for (const TopicPartition& partition : member.assignment)
            rows[partition].member = &member;
    }
    for (const auto& [partition, committed] : groups.committed(group.id))
        rows[partition].committed = committed.offset;
    std::set<TopicPartition> partitions;
    for (const auto& [partition, row] : rows)
        partitions.insert(partition);
    const auto ends = find_offsets(groups.client(), partitions, kLatestTimestamp);
    std::vector<PartitionLag> found;
    for (auto& [partition, row] : rows) {
        row.partition = partition;
        const auto end = ends.find(partition);
        if (end != ends.end() && end->second.error_code == 0) row.end = end->second.offset;
        if (row.end && row.committed) row.lag = *row.end - *row.committed;
        found.push_back(std::move(row));
    }
    add_times(groups.client(), found);
    return found;
}

LagTotal total_of(const std::vector<PartitionLag>& rows) {
    LagTotal total;
    for (const PartitionLag& row : rows) {
        total.lag += std::max<int64_t>(row.lag.value_or(0), 0);
        total.behind_ms = std::max(total.behind_ms, row.behind_ms.value_or(0));
        if (!row.committed) ++total.unread;
    }
    return total;
}

namespace {

struct LagOptions {
    std::vector<std::string> groups;
    int64_t max_records = -1;
    std::string max_time;
};

void show_lag(Context& context, const LagOptions& options) {
    std::optional<int64_t> max_ms;
    if (!options.max_time.empty()) {
        max_ms = parse_short_duration(options.max_time);
        if (!max_ms) {
            throw Failure{kUsage, fmt::format("'{}' is no time", options.max_time),
                          "for example 30s, 5m, 2h, or ISO 8601: PT5M"};
        }
    }
    Client client(context);
    GroupClient groups(client);
    std::vector<std::string> names = options.groups;
    if (names.empty()) {
        for (const GroupListing& listing : groups.list({}, {})) {
            if (is_consumer_group(listing)) names.push_back(listing.id);
        }
    }
    Json items = Json::array();
    Table table({"GROUP", "STATE", ">PARTITIONS", ">LAG", ">BEHIND", "WORST PARTITION"});
    for (const std::string& name : names) {
        const GroupDescription group = describe_known(groups, name);
        const auto rows = lag_of(groups, group);
        const LagTotal total = total_of(rows);
        const auto worst = std::max_element(
            rows.begin(), rows.end(), [](const PartitionLag& a, const PartitionLag& b) {
                return a.lag.value_or(-1) < b.lag.value_or(-1);
            });
        const bool late = total.lag > 0 && worst != rows.end();
        table.add({name, group.state, std::to_string(rows.size()), grouped(total.lag),
                   behind_text(total.behind_ms), late ? worst->partition.to_string() : "-"});
        items.push_back({{"group", name},
                         {"state", group.state},
                         {"partitions", rows.size()},
                         {"lag", total.lag},
                         {"behindMs", total.behind_ms},
                         {"withoutOffset", total.unread},
                         {"worstPartition",
                          late ? Json(worst->partition.to_string()) : Json(nullptr)}});
        const bool too_many = options.max_records >= 0 && total.lag > options.max_records;
        if (too_many || (max_ms && total.behind_ms > *max_ms)) context.exit_code = kUnhealthy;
    }
    if (context.json())
        print_items("GroupLagList", std::move(items));
    else if (context.output == "table")
        std::cout << table.to_string();
    else
        for (const auto& item : items)
            std::cout << item["group"].get<std::string>() << '\n';
}

}  // namespace

void add_group_lag(CLI::App& group, Context& context) {
    CLI::App* command = group.add_subcommand("lag", "how far groups are behind, one line each");
    auto options = std::make_shared<LagOptions>();
    command->add_option("group", options->groups, "groups (all)");
    command->add_option("--max", options->max_records, "exit 10 when a lag is above")
        ->default_str("");
    command->add_option("--max-behind", options->max_time, "exit 10 when later than 5m, 2h, ...");
    add_connection_options(*command, context);
    command->callback([&context, options] { show_lag(context, *options); });
}

}  // namespace millrace::cli
