// tools/cli/plan_state.cc: a plan of moves as it is kept in the cluster, and what it says of
// itself.
#include "cli/plan_state.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "cli/output.h"

namespace millrace::cli {
namespace {

constexpr size_t kMovesPerRecord = 2'000;  // some 300 kB, below every broker's message.max.bytes
constexpr const char* kMovesKey = "/moves/";

struct PhaseRow {
    PlanPhase phase;
    const char* name;
};
constexpr PhaseRow kPhases[] = {
    {PlanPhase::Running, "running"}, {PlanPhase::Pausing, "pausing"},
    {PlanPhase::Paused, "paused"},   {PlanPhase::Cancelled, "cancelled"},
    {PlanPhase::Failed, "failed"},   {PlanPhase::Done, "done"},
};

/// Those of `a` that are not in `b`, in the order of `a`.
std::vector<int32_t> without(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
    std::vector<int32_t> rest;
    for (const int32_t id : a) {
        if (std::find(b.begin(), b.end(), id) == b.end()) rest.push_back(id);
    }
    return rest;
}

Json json_of(const PlannedMove& move) {
    Json json = {{"topic", move.partition.topic},
                 {"partition", move.partition.partition},
                 {"from", move.from},
                 {"to", move.to},
                 {"bytes", move.bytes},
                 {"wave", move.wave}};
    if (!move.log_dirs.empty()) json["log_dirs"] = move.log_dirs;
    return json;
}

PlannedMove move_of(const Json& json) {
    PlannedMove move;
    move.partition = {json.at("topic"), json.at("partition")};
    move.from = json.at("from").get<std::vector<int32_t>>();
    move.to = json.at("to").get<std::vector<int32_t>>();
    move.bytes = json.at("bytes");
    move.wave = json.at("wave");
    if (json.contains("log_dirs")) move.log_dirs = json["log_dirs"].get<std::vector<std::string>>();
    return move;
}

void read_state(const Json& json, StoredPlan& plan) {
    const std::string phase = json.at("state");
    for (const PhaseRow& row : kPhases) {
        if (phase == row.name) plan.phase = row.phase;
    }
    plan.by = json.at("by");
    plan.driver = json.at("driver");
    plan.created_ms = json.at("created_ms");
    plan.beat_ms = json.at("beat_ms");
    plan.wave_started_ms = json.at("wave_started_ms");
    plan.throttle = json.at("throttle");
    plan.throttle_set = json.at("throttle_set");
    plan.revision = json.at("revision");
    plan.writer = json.at("writer");
    plan.wave = json.at("wave");
    plan.undo_of = json.at("undo_of");
    plan.note = json.at("note");
    plan.cordon = {};
    if (json.contains("cordon")) {
        const Json& cordon = json["cordon"];
        plan.cordon.broker = cordon.at("broker");
        if (const Json& before = cordon.at("before"); !before.is_null())
            plan.cordon.before = before.get<std::string>();
    }
}

bool take_throttles(const std::string& key, const std::optional<std::string>& value,
                    StoredPlan& plan) {
    plan.throttle_records.erase(key);
    if (value) {
        auto notes = placement::read_throttles(*value);
        if (!notes) return false;
        plan.throttle_records[key] = std::move(*notes);
    }
    plan.throttles.clear();
    for (const auto& [name, notes] : plan.throttle_records)
        plan.throttles.insert(plan.throttles.end(), notes.begin(), notes.end());
    return true;
}

/// Whether the record with this state counts behind that of `plan`.
bool follows(const StoredPlan& next, const StoredPlan& plan) {
    if (is_over(plan.phase) && !is_over(next.phase)) return false;
    // The oldest that compaction left is where the count starts.
    return plan.writer.empty() || next.revision == plan.revision + 1;
}

}  // namespace

const char* phase_name(PlanPhase phase) {
    for (const PhaseRow& row : kPhases) {
        if (row.phase == phase) return row.name;
    }
    return "";
}

bool is_over(PlanPhase phase) {
    switch (phase) {
        case PlanPhase::Running:
        case PlanPhase::Pausing:
        case PlanPhase::Paused: return false;
        case PlanPhase::Cancelled:
        case PlanPhase::Failed:
        case PlanPhase::Done: break;
    }
    return true;
}

std::vector<int32_t> PlannedMove::adding() const { return without(to, from); }
std::vector<int32_t> PlannedMove::removing() const { return without(from, to); }

int32_t StoredPlan::waves() const {
    int32_t last = -1;
    for (const PlannedMove& move : moves)
        last = std::max(last, move.wave);
    return last + 1;
}

bool StoredPlan::driven(int64_t now_ms) const {
    return !driver.empty() && now_ms - beat_ms < kStaleMs;
}

std::string state_json(const StoredPlan& plan) {
    Json json = {{"version", 1},
                       {"id", plan.id},
                       {"state", phase_name(plan.phase)},
                       {"by", plan.by},
                       {"driver", plan.driver},
                       {"created_ms", plan.created_ms},
                       {"beat_ms", plan.beat_ms},
                       {"wave_started_ms", plan.wave_started_ms},
                 {"throttle", plan.throttle},
                 {"throttle_set", plan.throttle_set},
                 {"wave", plan.wave},
                 {"undo_of", plan.undo_of},
                 {"note", plan.note},
                 {"revision", plan.revision},
                 {"writer", plan.writer}};
    if (plan.cordon.broker >= 0) {
        json["cordon"] = {{"broker", plan.cordon.broker}, {"before", nullptr}};
        if (plan.cordon.before) json["cordon"]["before"] = *plan.cordon.before;
    }
    return json.dump();
}

std::vector<std::pair<std::string, std::string>> move_records(const StoredPlan& plan) {
    std::vector<std::pair<std::string, std::string>> records;
    for (size_t from = 0; from < plan.moves.size(); from += kMovesPerRecord) {
        Json rows = Json::array();
        for (size_t i = from; i < std::min(from + kMovesPerRecord, plan.moves.size()); ++i)
            rows.push_back(json_of(plan.moves[i]));
        records.emplace_back(fmt::format("{}{}{}", plan.id, kMovesKey, records.size()),
                             rows.dump());
    }
    return records;
}

bool take_record(const std::string& key, const std::optional<std::string>& value,
                 std::map<std::string, StoredPlan>& plans) {
    const std::string id = placement::plan_of_key(key);
    if (placement::is_throttles_key(key)) {
        // A tombstone may have outlived its plan.
        if (!value && !plans.contains(id)) return true;
        return take_throttles(key, value, plans[id]);
    }
    if (!value) {
        if (key == id) plans.erase(id);
        return true;
    }
    try {
        const Json json = Json::parse(*value);
        StoredPlan& plan = plans[id];
        plan.id = id;
        if (key == id) {
            StoredPlan next = plan;
            read_state(json, next);
            if (follows(next, plan)) plan = std::move(next);
            return true;
        }
        // Written once, in order, in front of the first state.
        if (key.ends_with("/0")) plan.moves.clear();
        for (const Json& row : json)
            plan.moves.push_back(move_of(row));
        return true;
    } catch (const nlohmann::json::exception&) {
        return false;
    }
}

MoveState state_of(const PlannedMove& move, const PlanView& view) {
    const auto replicas = view.replicas.find(move.partition);
    if (replicas == view.replicas.end()) return MoveState::Gone;
    if (const auto found = view.ongoing.find(move.partition); found != view.ongoing.end()) {
        const std::vector<int32_t> target = without(found->second.replicas, found->second.removing);
        return std::is_permutation(target.begin(), target.end(), move.to.begin(), move.to.end())
                   ? MoveState::Moving
                   : MoveState::Drifted;
    }
    if (replicas->second == move.to) return MoveState::Done;
    return replicas->second == move.from ? MoveState::Pending : MoveState::Drifted;
}

std::vector<TopicPartition> bound_to_go_on(const std::vector<PlannedMove>& moves,
                                           const PlanView& view,
                                           const std::map<std::string, int32_t>& min_isr) {
    std::vector<TopicPartition> bound;
    for (const PlannedMove& move : moves) {
        if (state_of(move, view) != MoveState::Moving) continue;
        const auto isr = view.isr.find(move.partition);
        const auto least = min_isr.find(move.partition.topic);
        if (isr == view.isr.end()) continue;
        const auto adding = move.adding();
        const size_t left = without(isr->second, adding).size();
        // At least one: else the partition would have no leader.
        const auto asked = static_cast<size_t>(
            std::max(1, least == min_isr.end() ? 1 : least->second));
        if (left < std::min(asked, move.from.size()) && left < isr->second.size())
            bound.push_back(move.partition);
    }
    return bound;
}

std::vector<TopicPartition> drifted_moves(const std::vector<PlannedMove>& moves, int32_t wave,
                                          const PlanView& view) {
    std::vector<TopicPartition> drifted;
    for (const PlannedMove& move : moves) {
        if (move.wave < wave || state_of(move, view) != MoveState::Drifted) continue;
        const std::vector<int32_t>& now = view.replicas.at(move.partition);
        const auto same = [&now](const std::vector<int32_t>& copies) {
            return std::is_permutation(now.begin(), now.end(), copies.begin(), copies.end());
        };
        if (view.ongoing.contains(move.partition) || !(same(move.from) || same(move.to)))
            drifted.push_back(move.partition);
    }
    return drifted;
}

ThrottleLists throttle_lists(const StoredPlan& plan) {
    ThrottleLists lists;
    for (const PlannedMove& move : plan.moves) {
        const auto adding = move.adding();
        if (adding.empty()) continue;
        const auto entry = [&](int32_t id) {
            lists.brokers.insert(id);
            return fmt::format("{}:{}", move.partition.partition, id);
        };
        for (const int32_t id : move.from)
            lists.leaders[move.partition.topic].insert(entry(id));
        for (const int32_t id : adding)
            lists.followers[move.partition.topic].insert(entry(id));
    }
    return lists;
}

RateFloor rate_floor(const std::vector<PlannedMove>& moves,
                     const std::map<TopicPartition, int64_t>& write_rates) {
    std::map<std::pair<int32_t, int32_t>, int64_t> in, out;  // by wave and broker
    for (const PlannedMove& move : moves) {
        const auto rate = write_rates.find(move.partition);
        if (rate == write_rates.end() || move.from.empty()) continue;
        for (const int32_t id : move.adding()) {
            in[{move.wave, id}] += rate->second;
            out[{move.wave, move.from.front()}] += rate->second;
        }
    }
    RateFloor floor;
    for (const auto* side : {&in, &out}) {
        for (const auto& [key, rate] : *side) {
            if (rate > floor.bytes_per_second) floor = {rate, key.second};
        }
    }
    return floor;
}

Eta eta_of(const std::vector<PlannedMove>& moves, int64_t bytes_per_second) {
    std::map<int32_t, std::map<int32_t, int64_t>> in, out;  // by wave, by broker
    std::map<int32_t, int64_t> whole;
    for (const PlannedMove& move : moves) {
        for (const int32_t id : move.adding()) {
            in[move.wave][id] += move.bytes;
            whole[id] += move.bytes;
            if (!move.from.empty()) out[move.wave][move.from.front()] += move.bytes;
        }
    }
    Eta eta;
    if (bytes_per_second <= 0) return eta;
    int64_t bytes = 0;
    for (auto& [wave, brokers] : in) {
        int64_t most = 0;
        for (const auto* side : {&brokers, &out[wave]}) {
            for (const auto& [id, sum] : *side)
                most = std::max(most, sum);
        }
        bytes += most;
    }
    eta.seconds = (bytes + bytes_per_second - 1) / bytes_per_second;
    for (const auto& [id, sum] : whole) {
        if (eta.broker < 0 || sum > whole[eta.broker]) eta.broker = id;
    }
    return eta;
}

void split_waves(std::vector<PlannedMove>& moves, int32_t max_per_broker) {
    std::map<std::pair<int32_t, int32_t>, int32_t> incoming;
    std::map<int32_t, int32_t> open;  // by broker, the first wave with room
    for (PlannedMove& move : moves) {
        const auto adding = move.adding();
        move.wave = 0;
        for (const int32_t id : adding)
            move.wave = std::max(move.wave, open[id]);
        for (bool fits = false; !fits; move.wave += fits ? 0 : 1) {
            fits = std::all_of(adding.begin(), adding.end(), [&](int32_t id) {
                return incoming[{move.wave, id}] < max_per_broker;
            });
        }
        for (const int32_t id : adding) {
            ++incoming[{move.wave, id}];
            while (incoming[{open[id], id}] >= max_per_broker)
                ++open[id];
        }
    }
}

std::optional<int64_t> parse_rate(const std::string& text) {
    struct Unit {
        const char* name;
        double factor;
    };
    constexpr Unit kUnits[] = {
        {"", 1},         {"b", 1},           {"k", 1e3},           {"kb", 1e3},
        {"m", 1e6},      {"mb", 1e6},        {"g", 1e9},           {"gb", 1e9},
        {"kib", 1024.0}, {"mib", 1048576.0}, {"gib", 1073741824.0}};
    char* rest = nullptr;
    const double number = std::strtod(text.c_str(), &rest);
    if (rest == text.c_str() || !(number >= 0)) return std::nullopt;
    std::string unit;
    for (const char* c = rest; *c != '\0'; ++c) {
        if (*c != ' ') unit += static_cast<char>(*c | 0x20);
    }
    if (unit.ends_with("/s")) unit.resize(unit.size() - 2);
    for (const Unit& one : kUnits) {
        const double bytes = number * one.factor;
        if (unit == one.name && bytes < 9e18) return std::llround(bytes);
    }
    return std::nullopt;
}

std::string rate_text(int64_t bytes_per_second) {
    const auto rate = static_cast<double>(bytes_per_second);
    if (rate >= 1e9) return fmt::format("{:.3g} GB/s", rate / 1e9);
    if (rate >= 1e6) return fmt::format("{:.3g} MB/s", rate / 1e6);
    if (rate >= 1e3) return fmt::format("{:.3g} kB/s", rate / 1e3);
    return fmt::format("{} B/s", bytes_per_second);
}

std::string duration_text(int64_t seconds) {
    if (seconds < 60) return fmt::format("{}s", seconds);
    if (seconds < 3'600) return fmt::format("{}m {:02}s", seconds / 60, seconds % 60);
    if (seconds < 86'400) return fmt::format("{}h {:02}m", seconds / 3'600, seconds / 60 % 60);
    return fmt::format("{}d {}h", seconds / 86'400, seconds / 3'600 % 24);
}

}  // namespace millrace::cli
