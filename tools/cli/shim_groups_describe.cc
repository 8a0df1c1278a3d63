// tools/cli/shim_groups_describe.cc: kafka-consumer-groups.sh --describe.
#include <fmt/core.h>

#include <algorithm>
#include <iostream>

#include "cli/shim_groups.h"
#include "cli/shim_java.h"

namespace millrace::cli {
namespace {

constexpr const char* kMissing = "-";
using Row = std::vector<std::string>;

/// Prints each row behind a line feed, as the tool's format does; the last column is not padded.
void print_rows(const std::vector<Row>& rows, const std::vector<size_t>& widths) {
    for (const Row& row : rows) {
        std::string line = "\n";
        for (size_t i = 0; i < row.size(); ++i) {
            if (i > 0) line += ' ';
            line += i < widths.size() ? padded(row[i], widths[i]) : row[i];
        }
        std::cout << line;
    }
}

size_t widest(size_t least, const std::vector<Row>& rows, size_t column) {
    for (const Row& row : rows)
        least = std::max(least, row[column].size());
    return least;
}

/// False when there is nothing to print for the group.
bool announce(const GroupDescription& group, size_t rows) {
    std::cout.flush();
    if (group.state == "Dead") {
        shim_group_error(fmt::format("Consumer group '{}' does not exist.", group.id));
        return false;
    }
    if (group.state == "Empty")
        std::cerr << fmt::format("\nConsumer group '{}' has no active members.\n", group.id);
    else if (group.state != "Stable")
        std::cerr << fmt::format("\nWarning: Consumer group '{}' is rebalancing.\n", group.id);
    return rows > 0;
}

struct Owner {
    std::string consumer = kMissing;
    std::string host = kMissing;
    std::string client = kMissing;
};

class OffsetRows {
  public:
    OffsetRows(GroupClient& groups, const GroupDescription& group, bool verbose)
        : group_(group), committed_(groups.committed(group.id)), verbose_(verbose) {
        std::set<TopicPartition> partitions;
        std::set<std::string> topics;
        for (const auto& [partition, offset] : committed_)
            partitions.insert(partition);
        for (const GroupMember& member : group.members)
            partitions.insert(member.assignment.begin(), member.assignment.end());
        for (const TopicPartition& partition : partitions)
            topics.insert(partition.topic);
        const auto leaders = leaders_of(groups.client(), topics);
        for (const std::string& topic : topics) {
            if (!leaders.contains({topic, 0})) {
                throw Failure{kFailed, topic, "",
                              wire_error(ErrorCode::UnknownTopicOrPartition), ""};
            }
        }
        ends_ = find_offsets(groups.client(), partitions, kLatestTimestamp);
    }

    std::vector<Row> rows() {
        std::vector<const GroupMember*> members;
        for (const GroupMember& member : group_.members) {
            if (!member.assignment.empty()) members.push_back(&member);
        }
        std::stable_sort(members.begin(), members.end(), [](const auto* a, const auto* b) {
            return a->assignment.size() > b->assignment.size();
        });
        std::vector<Row> rows;
        std::set<TopicPartition> assigned;
        for (const GroupMember* member : members) {
            const std::set<TopicPartition> own(member->assignment.begin(),
                                               member->assignment.end());
            for (const TopicPartition& partition : own)
                rows.push_back(row(partition, {member->id, member->host, member->client_id}));
            assigned.insert(own.begin(), own.end());
        }
        for (const auto& [partition, offset] : committed_) {
            if (!assigned.contains(partition)) rows.push_back(row(partition, {}));
        }
        return rows;
    }

  private:
    Row row(const TopicPartition& partition, const Owner& owner) const {
        const auto committed = committed_.find(partition);
        const auto end = ends_.find(partition);
        const bool known = committed != committed_.end();
        const bool ended = end != ends_.end() && end->second.error_code == 0;
        Row row{group_.id, partition.topic, std::to_string(partition.partition)};
        if (verbose_) {
            row.push_back(known && committed->second.leader_epoch >= 0
                              ? std::to_string(committed->second.leader_epoch)
                              : kMissing);
        }
        row.push_back(known ? std::to_string(committed->second.offset) : kMissing);
        row.push_back(ended ? std::to_string(end->second.offset) : kMissing);
        row.push_back(known && ended ? std::to_string(end->second.offset - committed->second.offset)
                                     : kMissing);
        row.insert(row.end(), {owner.consumer, owner.host, owner.client});
        return row;
    }

    const GroupDescription& group_;
    CommittedOffsets committed_;
    std::map<TopicPartition, FoundOffset> ends_;
    bool verbose_;
};

void print_offsets(const GroupDescription& group, std::vector<Row> rows, bool verbose) {
    if (!announce(group, rows.size())) return;
    Row head{"GROUP", "TOPIC", "PARTITION"};
    if (verbose) head.push_back("LEADER-EPOCH");
    head.insert(head.end(), {"CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST",
                             "CLIENT-ID"});
    const size_t consumer = head.size() - 3;
    std::vector<size_t> widths{widest(15, rows, 0), widest(15, rows, 1), 10};
    widths.resize(consumer, 15);
    widths.push_back(widest(15, rows, consumer));
    widths.push_back(widest(15, rows, consumer + 1));
    rows.insert(rows.begin(), head);
    print_rows(rows, widths);
    std::cout << '\n';
}

std::string assignment_text(const std::vector<TopicPartition>& partitions) {
    std::map<std::string, std::set<int32_t>> topics;
    for (const TopicPartition& partition : partitions)
        topics[partition.topic].insert(partition.partition);
    std::vector<std::string> parts;
    for (const auto& [topic, numbers] : topics) {
        std::string part = topic + ":";
        for (const int32_t number : numbers)
            part += (part.back() == ':' ? "" : ",") + std::to_string(number);
        parts.push_back(part);
    }
    std::sort(parts.begin(), parts.end());
    std::string text;
    for (const std::string& part : parts)
        text += (text.empty() ? "" : ";") + part;
    return text.empty() ? kMissing : text;
}

void print_members(const GroupDescription& group, bool verbose) {
    // Unlike the offsets, the heading comes even when the group has no members.
    const bool shown = announce(group, group.members.size());
    static const std::vector<GroupMember> kNobody;
    const auto& members = shown ? group.members : kNobody;
    bool instances = false;
    bool classic = false;
    bool consumer = false;
    size_t w_group = 15, w_id = 15, w_instance = 17, w_host = 15, w_client = 15;
    size_t w_current = 20, w_target = 20;
    for (const GroupMember& member : members) {
        instances = instances || !member.instance_id.value_or("").empty();
        classic = classic || (member.upgraded && !*member.upgraded);
        consumer = consumer || (member.upgraded && *member.upgraded);
        w_group = std::max(w_group, group.id.size());
        w_id = std::max(w_id, member.id.size());
        w_instance = std::max(w_instance, member.instance_id.value_or("").size());
        w_host = std::max(w_host, member.host.size());
        w_client = std::max(w_client, member.client_id.size());
        w_current = std::max(w_current, assignment_text(member.assignment).size());
        w_target = std::max(w_target, assignment_text(member.target).size());
    }
    const bool migrating = classic && consumer;
    const auto line = [&](const Row& base, const Row& more) {
        std::string text = padded(base[0], w_group) + ' ' + padded(base[1], w_id) + ' ';
        if (instances) text += padded(base[2], w_instance) + ' ';
        text += padded(base[3], w_host) + ' ' + padded(base[4], w_client) + ' ' +
                padded(base[5], 15) + ' ';
        if (verbose) {
            text += padded(more[0], 15) + ' ' + padded(more[1], w_current) + ' ' +
                    padded(more[2], 15) + ' ' + padded(more[3], w_target);
            if (migrating) text += ' ' + more[4];
        }
        return text + '\n';
    };
    std::cout << '\n'
              << line({"GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID",
                       "#PARTITIONS"},
                      {"CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH",
                       "TARGET-ASSIGNMENT", "UPGRADED"});
    const auto number = [](const std::optional<int32_t>& n) {
        return n ? std::to_string(*n) : std::string(kMissing);
    };
    for (const GroupMember& member : members) {
        const std::string upgraded =
            member.upgraded ? (*member.upgraded ? "true" : "false") : kMissing;
        std::cout << line({group.id, member.id, member.instance_id.value_or(""), member.host,
                           member.client_id, std::to_string(member.assignment.size())},
                          {number(member.epoch), assignment_text(member.assignment),
                           number(group.target_epoch), assignment_text(member.target), upgraded});
    }
}

void print_state(const GroupDescription& group, bool verbose) {
    if (!announce(group, 1)) return;
    const std::string coordinator = fmt::format(
        "{}:{}  ({})", group.coordinator_address.host, group.coordinator_address.port,
        group.coordinator);
    std::vector<size_t> widths{std::max<size_t>(15, group.id.size()),
                               std::max<size_t>(25, coordinator.size()), 20, 20};
    Row head{"GROUP", "COORDINATOR (ID)", "ASSIGNMENT-STRATEGY", "STATE"};
    Row row{group.id, coordinator, group.assignor.empty() ? kMissing : group.assignor,
            group.state};
    if (verbose) {
        widths.insert(widths.end(), {15, 25});
        head.insert(head.end(), {"GROUP-EPOCH", "TARGET-ASSIGNMENT-EPOCH"});
        row.push_back(group.epoch ? std::to_string(*group.epoch) : kMissing);
        row.push_back(group.target_epoch ? std::to_string(*group.target_epoch) : kMissing);
    }
    head.push_back("#MEMBERS");
    row.push_back(std::to_string(group.members.size()));
    print_rows({head, row}, widths);
    std::cout << '\n';
}

}  // namespace

void shim_describe_groups(GroupClient& groups, const ShimOptions& options) {
    std::map<std::string, GroupDescription> described;
    for (const std::string& id : shim_group_ids(groups, options))
        described[id] = groups.describe(id);
    const bool verbose = options.has("verbose");
    if (options.has("members")) {
        for (const auto& [id, group] : described)
            print_members(group, verbose);
    } else if (options.has("state")) {
        for (const auto& [id, group] : described)
            print_state(group, verbose);
    } else {
        std::map<std::string, std::vector<Row>> rows;
        try {
            for (const auto& [id, group] : described)
                rows[id] = OffsetRows(groups, group, verbose).rows();
        } catch (const Failure& failure) {
            shim_group_failure(failure, true);
        }
        for (const auto& [id, group] : described)
            print_offsets(group, rows[id], verbose);
    }
}

}  // namespace millrace::cli
