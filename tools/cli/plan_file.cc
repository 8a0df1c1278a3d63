// tools/cli/plan_file.cc: files of moves: ours with sizes and waves, Apache's without.
#include "cli/plan_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "cli/jackson.h"
#include "cli/output.h"
#include "cli/reassign_json.h"
#include "millrace/base/nearest.h"

namespace millrace::cli {
namespace {

constexpr size_t kNamesShown = 5;
constexpr size_t kExcerptBefore = 40;
constexpr size_t kExcerptAfter = 30;

/// The line around the place, and a caret below it.
std::string excerpt_of(const std::string& text, const JacksonPlace& at) {
    std::istringstream lines(text);
    std::string line;
    for (int i = 0; i < at.line; ++i)
        std::getline(lines, line);
    const auto column = static_cast<size_t>(at.column - 1);
    const size_t from = column > kExcerptBefore ? column - kExcerptBefore : 0;
    if (from > line.size()) return "";
    const std::string shown = line.substr(from, kExcerptBefore + kExcerptAfter);
    return fmt::format("\n          {}\n          {}^", shown, std::string(column - from, ' '));
}

/// Where our own files say more than Apache's: "moves", by partition.
void take_our_part(const JacksonValue& root, std::vector<FileMove>& rows) {
    const JacksonValue* moves = root.get("moves");
    if (moves == nullptr) return;
    std::map<TopicPartition, const JacksonValue*> by_partition;
    for (const JacksonValue& move : moves->elements) {
        const JacksonValue* topic = move.get("topic");
        const JacksonValue* partition = move.get("partition");
        if (topic != nullptr && partition != nullptr)
            by_partition[{topic->text, partition->number}] = &move;
    }
    for (FileMove& row : rows) {
        const auto found = by_partition.find(row.partition);
        if (found == by_partition.end()) continue;
        if (const JacksonValue* wave = found->second->get("wave"); wave != nullptr)
            row.wave = std::max(0, wave->number);
        if (const JacksonValue* from = found->second->get("from"); from != nullptr) {
            row.from.emplace();
            for (const JacksonValue& id : from->elements)
                row.from->push_back(id.number);
        }
    }
}

struct Cluster {
    std::map<TopicPartition, const placement::Partition*> partitions;
    std::set<std::string> topics;
    std::set<int32_t> living;

    explicit Cluster(const placement::Snapshot& snapshot) {
        for (const auto& topic : snapshot.topics) {
            topics.insert(topic.name);
            for (const auto& one : topic.partitions)
                partitions[{topic.name, one.partition}] = &one;
        }
        for (const auto& broker : snapshot.brokers) {
            if (broker.state == placement::BrokerState::Up ||
                broker.state == placement::BrokerState::Cordoned)
                living.insert(broker.id);
        }
    }

    const placement::Partition& at(const TopicPartition& name) const {
        const auto found = partitions.find(name);
        if (found != partitions.end()) return *found->second;
        if (topics.contains(name.topic))
            throw Failure{kNotFound,
                          fmt::format("the plan names {}, a partition that the topic "
                                      "does not have",
                                      name.to_string()),
                          "make a new plan"};
        const auto near = nearest_names(name.topic, {topics.begin(), topics.end()});
        throw Failure{
            kNotFound, fmt::format("the plan names topic '{}', which does not exist", name.topic),
            near.empty() ? "make a new plan" : fmt::format("did you mean '{}'?", near.front())};
    }
};

/// A Failure where a broker's directories, all of known size, cannot take what comes.
void check_space(const std::vector<PlannedMove>& moves, const placement::Snapshot& cluster) {
    std::map<int32_t, int64_t> incoming;
    for (const PlannedMove& move : moves) {
        for (const int32_t id : move.adding())
            incoming[id] += move.bytes;
    }
    for (const placement::Broker& broker : cluster.brokers) {
        int64_t room = 0;
        bool known = !broker.log_dirs.empty();
        for (const placement::LogDir& dir : broker.log_dirs) {
            known = known && dir.capacity_bytes;
            room += std::max<int64_t>(0, dir.capacity_bytes.value_or(0) - dir.used_bytes);
        }
        if (!known || incoming[broker.id] <= room) continue;
        throw Failure{kConflict,
                      fmt::format("the plan brings {} to broker {}, which has room for {}",
                                  bytes_text(incoming[broker.id]), broker.id,
                                  room == 0 ? "nothing" : bytes_text(room)),
                      "make room there, or let millrace rebalance-rackaware choose; --force tries "
                      "all the same"};
    }
}

void check_targets(const FileMove& row, const std::vector<int32_t>& from, const Cluster& cluster) {
    for (const int32_t id : row.to) {
        const bool stays = std::find(from.begin(), from.end(), id) != from.end();
        if (stays || cluster.living.contains(id)) continue;
        throw Failure{kNotFound,
                      fmt::format("the plan puts a copy of {} on broker {}, which is "
                                  "not up",
                                  row.partition.to_string(), id),
                      "millrace cluster shows the brokers"};
    }
}

}  // namespace

std::string some_names(const std::vector<TopicPartition>& partitions) {
    std::string text;
    for (size_t i = 0; i < std::min(kNamesShown, partitions.size()); ++i)
        text += (i == 0 ? "" : ", ") + partitions[i].to_string();
    if (partitions.size() > kNamesShown)
        text += fmt::format(", … and {} more", partitions.size() - kNamesShown);
    return text;
}

std::vector<FileMove> read_plan_file(const std::string& path, const std::string& text) {
    JacksonValue root;
    const JacksonProblem problem = read_jackson(text, root);
    if (!problem.message.empty())
        throw Failure{kUsage,
                      fmt::format("{} line {}, column {}: {}{}", path, problem.at.line,
                                  problem.at.column, problem.message, excerpt_of(text, problem.at)),
                      ""};
    std::vector<FileMove> rows;
    try {
        const ReassignmentFile file = parse_reassignment(text);
        if (file.rows.empty()) return rows;
        check_reassignment(file);
        for (const auto& [partition, replicas] : file.rows) {
            FileMove& row = rows.emplace_back();
            row.partition = partition;
            row.to = replicas;
            bool named = false;
            for (const int32_t id : replicas) {
                const auto dir = file.dirs.find({id, partition});
                named = named || dir != file.dirs.end();
                row.log_dirs.push_back(dir == file.dirs.end() ? "any" : dir->second);
            }
            if (!named) row.log_dirs.clear();
        }
    } catch (const JavaProblem& wrong) {
        throw Failure{kUsage, fmt::format("{}: {}", path, wrong.message), ""};
    }
    take_our_part(root, rows);
    return rows;
}

std::vector<PlannedMove> moves_to_do(const std::vector<FileMove>& rows,
                                     const placement::Snapshot& snapshot, const MoveRules& rules) {
    const Cluster cluster(snapshot);
    std::vector<PlannedMove> moves;
    std::vector<TopicPartition> drifted, fewer;
    bool waves = true;
    for (const FileMove& row : rows) {
        const placement::Partition& now = cluster.at(row.partition);
        if (now.replicas == row.to) continue;
        if (row.from && *row.from != now.replicas) drifted.push_back(row.partition);
        if (row.to.size() < now.replicas.size()) fewer.push_back(row.partition);
        check_targets(row, now.replicas, cluster);
        waves = waves && row.wave;
        moves.push_back({row.partition, now.replicas, row.to, row.log_dirs, now.size_bytes,
                         row.wave.value_or(0)});
    }
    if (!drifted.empty() && !rules.force)
        throw Failure{
            kConflict,
            fmt::format("the cluster has changed since the plan was made: {}", some_names(drifted)),
            "make a new plan; --force carries this one out all the same"};
    if (!fewer.empty() && !rules.allow_fewer_copies)
        throw Failure{kUsage, fmt::format("the plan takes copies away from {}", some_names(fewer)),
                      "add --allow-fewer-copies when you mean it"};
    if (!rules.force) check_space(moves, snapshot);
    if (!waves) split_waves(moves, rules.max_moves_per_broker);
    return moves;
}

std::vector<PlannedMove> moves_of(const placement::Plan& plan) {
    std::vector<PlannedMove> moves;
    for (const placement::Change& change : plan.changes) {
        const int64_t copies = std::max<int64_t>(1, static_cast<int64_t>(change.adding.size()));
        moves.push_back({{change.name.topic, change.name.partition},
                         change.from,
                         change.to,
                         change.log_dirs,
                         change.bytes / copies,
                         change.wave});
    }
    return moves;
}

std::string undo_json(const std::vector<PlannedMove>& moves) {
    std::map<TopicPartition, std::vector<int32_t>> back;
    for (const PlannedMove& move : moves)
        back[move.partition] = move.from;
    return reassignment_json(back, {}) + "\n";
}

std::string read_text_file(const std::string& path) {
    std::ostringstream text;
    if (path == "-") {
        text << std::cin.rdbuf();
        return text.str();
    }
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw Failure{kUsage, fmt::format("cannot read {}: {}", path, std::strerror(errno)), ""};
    text << file.rdbuf();
    return text.str();
}

void write_text_file(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    file.flush();
    if (!file)
        throw Failure{kFailed, fmt::format("cannot write {}: {}", path, std::strerror(errno)), ""};
}

}  // namespace millrace::cli
