// tools/cli/plan_progress.cc: how far a plan is, seen from the cluster.
#include "cli/plan_progress.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#include "cli/output.h"

namespace millrace::cli {
namespace {

constexpr size_t kRowsShown = 20;
constexpr int kBarWidth = 20;

const char* state_name(MoveState state) {
    switch (state) {
        case MoveState::Pending: return "pending";
        case MoveState::Moving: return "moving";
        case MoveState::Done: return "done";
        case MoveState::Drifted: return "drifted";
        case MoveState::Gone: break;
    }
    return "gone";
}

std::string added_text(const PlannedMove& move) {
    std::string text;
    for (const int32_t id : move.adding())
        text += fmt::format("{}+{}", text.empty() ? "" : " ", id);
    return text.empty() ? "order" : text;
}

/// Bytes per second of the wave under way, and how long the rest takes at that.
struct Pace {
    int64_t rate = 0;
    std::optional<int64_t> seconds_left;
};

Pace pace_of(const StoredPlan& plan, const PlanProgress& progress, int64_t now) {
    int64_t done = 0;
    for (const MoveProgress& one : progress.moves) {
        if (one.move->wave == plan.wave) done += one.done_bytes;
    }
    Pace pace;
    const int64_t elapsed_ms = now - plan.wave_started_ms;
    if (plan.wave_started_ms == 0 || elapsed_ms < 500) return pace;
    pace.rate = done * 1000 / elapsed_ms;
    if (pace.rate > 0) pace.seconds_left = (progress.total_bytes - progress.done_bytes) / pace.rate;
    return pace;
}

int64_t rate_of(const StoredPlan& plan, int64_t done_bytes, int64_t now) {
    const int64_t elapsed_ms = now - plan.wave_started_ms;
    return plan.wave_started_ms == 0 || elapsed_ms < 500 ? 0 : done_bytes * 1000 / elapsed_ms;
}

/// How long the rest of one move takes at the pace it had so far; "" when that cannot be told.
std::string eta_text(const MoveProgress& one, int64_t rate) {
    if (one.state != MoveState::Moving || one.stalled || rate <= 0) return "";
    return duration_text((one.total_bytes - one.done_bytes) / rate);
}

const char* state_text(const MoveProgress& one) {
    return one.stalled ? "stalled" : state_name(one.state);
}

std::string slowest_text(const StoredPlan& plan, const PlanProgress& progress, int64_t now) {
    const Slowest slowest = slowest_of(plan, progress, now);
    if (slowest.broker < 0 || plan.phase != PlanPhase::Running) return "";
    return fmt::format("slowest: {} receiving {}{}, {} left\n", slowest.broker,
                       rate_text(slowest.rate),
                       plan.throttle > 0 ? " of " + rate_text(plan.throttle) : "",
                       bytes_text(slowest.bytes_left));
}

std::string pair_text(int64_t done, int64_t total) {
    return fmt::format("{} / {}", done == 0 ? "0" : bytes_text(done), bytes_text(total));
}

std::string percent(int64_t done, int64_t total) {
    return total == 0 ? "100%" : fmt::format("{}%", done * 100 / total);
}

std::string heading(const StoredPlan& plan, int64_t now) {
    std::string text =
        fmt::format("reassignment {}   {}   started {} ago by {}", plan.id, phase_name(plan.phase),
                    duration_text((now - plan.created_ms) / 1000), plan.by);
    if (plan.throttle > 0 && !is_over(plan.phase))
        text +=
            fmt::format("   throttle {} per broker (drops when done)", rate_text(plan.throttle));
    if (!plan.undo_of.empty()) text += "   undoes " + plan.undo_of;
    return text + "\n";
}

/// What a user can do about a plan in this state.
std::string advice(const StoredPlan& plan, int64_t now) {
    const std::string command = "millrace reassign-partitions ";
    if (plan.phase == PlanPhase::Running && !plan.driven(now))
        return fmt::format("nobody works on it since {} ago: {}resume {}\n",
                           duration_text((now - plan.beat_ms) / 1000), command, plan.id);
    if (plan.phase == PlanPhase::Running)
        return fmt::format("faster: {}throttle 120MB/s     stop: {}cancel\n", command, command);
    if (plan.phase == PlanPhase::Paused)
        return fmt::format("go on: {}resume {}\n", command, plan.id);
    if (is_over(plan.phase) && plan.undo_of.empty())
        return fmt::format("undo: {}rollback {}\n", command, plan.id);
    return "";
}

}  // namespace

PlanView look_at(Client& client, const std::vector<PlannedMove>& moves) {
    std::set<std::string> topics;
    for (const PlannedMove& move : moves)
        topics.insert(move.partition.topic);
    PlanView view;
    if (topics.empty()) return view;
    const auto metadata = client.metadata(std::vector<std::string>(topics.begin(), topics.end()));
    for (const auto& topic : metadata.topics) {
        for (const auto& one : topic.partitions) {
            const TopicPartition name{topic.name.value_or(""), one.partition_index};
            view.replicas[name] = one.replica_nodes;
            view.isr[name] = one.isr_nodes;
        }
    }
    view.ongoing = list_reassignments(client);
    return view;
}

int64_t PlanProgress::moves_in(MoveState state) const {
    return std::count_if(moves.begin(), moves.end(),
                         [state](const MoveProgress& one) { return one.state == state; });
}

PlanProgress progress_of(const StoredPlan& plan, const PlanView& view,
                         const std::map<PartitionReplica, int64_t>& copied) {
    PlanProgress progress;
    for (const PlannedMove& move : plan.moves) {
        MoveProgress& one = progress.moves.emplace_back();
        one.move = &move;
        one.state = state_of(move, view);
        const auto adding = move.adding();
        one.total_bytes = move.bytes * static_cast<int64_t>(adding.size());
        if (one.state == MoveState::Done) one.done_bytes = one.total_bytes;
        if (one.state == MoveState::Moving) {
            for (const int32_t id : adding) {
                const auto found = copied.find({id, move.partition});
                // What was written meanwhile is copied too; it is not counted.
                if (found != copied.end()) one.done_bytes += std::min(found->second, move.bytes);
            }
        }
        progress.done_bytes += one.done_bytes;
        progress.total_bytes += one.total_bytes;
    }
    return progress;
}

std::map<PartitionReplica, int64_t> copied_bytes(Client& client, const StoredPlan& plan,
                                                 const PlanView& view) {
    std::map<int32_t, std::set<PartitionReplica>> wanted;
    for (const PlannedMove& move : plan.moves) {
        if (state_of(move, view) != MoveState::Moving) continue;
        for (const int32_t id : move.adding())
            wanted[id].insert({id, move.partition});
    }
    std::map<PartitionReplica, int64_t> copied;
    for (const auto& [broker, replicas] : wanted) {
        try {
            for (const auto& [replica, dirs] : replica_dirs(client, replicas))
                copied[replica] = dirs.current_bytes;
        } catch (const Failure&) {
            continue;  // down or busy: the rest of the picture is worth showing
        }
    }
    return copied;
}

void StallWatch::mark(PlanProgress& progress, int64_t now) {
    for (MoveProgress& one : progress.moves) {
        if (one.state != MoveState::Moving) continue;
        Seen& seen = seen_[one.move->partition];
        if (seen.bytes != one.done_bytes) seen = {one.done_bytes, now};
        one.stalled = now - seen.since >= kStallMs;
    }
}

Slowest slowest_of(const StoredPlan& plan, const PlanProgress& progress, int64_t now) {
    std::map<int32_t, std::pair<int64_t, int64_t>> brokers;  // bytes left and done
    for (const MoveProgress& one : progress.moves) {
        if (one.state != MoveState::Moving) continue;
        const auto adding = one.move->adding();
        const auto copies = static_cast<int64_t>(adding.size());
        for (const int32_t id : adding) {
            brokers[id].first += (one.total_bytes - one.done_bytes) / copies;
            brokers[id].second += one.done_bytes / copies;
        }
    }
    Slowest slowest;
    for (const auto& [id, bytes] : brokers) {
        if (bytes.first > slowest.bytes_left)
            slowest = {id, bytes.first, rate_of(plan, bytes.second, now)};
    }
    return slowest;
}

std::string bar(int64_t done, int64_t total, int width) {
    const int64_t full = total <= 0 ? width : std::clamp<int64_t>(done * width / total, 0, width);
    std::string text;
    for (int64_t i = 0; i < width; ++i)
        text += i < full ? "█" : "░";
    return text;
}

std::string progress_text(const StoredPlan& plan, const PlanProgress& progress, int64_t now) {
    std::string text = heading(plan, now) + "\n";
    Table table({"PARTITION", "CHANGE", "", ">%", ">BYTES", ">RATE", ">LEFT", "STATE"});
    size_t shown = 0;
    for (const MoveProgress& one : progress.moves) {
        if (one.state == MoveState::Done || one.state == MoveState::Pending) continue;
        if (++shown > kRowsShown) continue;
        const int64_t rate = one.state == MoveState::Moving ? rate_of(plan, one.done_bytes, now) : 0;
        table.add({one.move->partition.to_string(), added_text(*one.move),
                   bar(one.done_bytes, one.total_bytes, kBarWidth),
                   percent(one.done_bytes, one.total_bytes),
                   pair_text(one.done_bytes, one.total_bytes), rate > 0 ? rate_text(rate) : "",
                   eta_text(one, rate), state_text(one)});
    }
    if (shown > 0) text += table.to_string();
    if (shown > kRowsShown) text += fmt::format("… and {} more\n", shown - kRowsShown);
    return text + progress_line(plan, progress, now) + "\n" + slowest_text(plan, progress, now) +
           (plan.note.empty() ? "" : plan.note + "\n") + advice(plan, now);
}

std::string progress_line(const StoredPlan& plan, const PlanProgress& progress, int64_t now) {
    const auto all = static_cast<int64_t>(progress.moves.size());
    std::string line =
        fmt::format("wave {} of {}   {} of {} done   {} {}   {}",
                    std::min(plan.wave + 1, std::max(1, plan.waves())), std::max(1, plan.waves()),
                    grouped(progress.moves_in(MoveState::Done)), counted(all, "partition"),
                    bar(progress.done_bytes, progress.total_bytes, kBarWidth),
                    percent(progress.done_bytes, progress.total_bytes),
                    pair_text(progress.done_bytes, progress.total_bytes));
    if (plan.phase != PlanPhase::Running) return line;
    const Pace pace = pace_of(plan, progress, now);
    if (pace.rate > 0) line += "   " + rate_text(pace.rate);
    if (pace.seconds_left) line += fmt::format("   {} left", duration_text(*pace.seconds_left));
    return line;
}

std::string moves_text(const std::vector<PlannedMove>& moves) {
    Table table({"PARTITION", "NOW", "PLANNED", "CHANGE", ">TO COPY", ">WAVE"});
    int64_t copies = 0;
    int64_t bytes = 0;
    for (const PlannedMove& move : moves) {
        const auto adding = static_cast<int64_t>(move.adding().size());
        copies += adding;
        bytes += adding * move.bytes;
        table.add({move.partition.to_string(), fmt::format("{}", fmt::join(move.from, " ")),
                   fmt::format("{}", fmt::join(move.to, " ")), added_text(move),
                   adding * move.bytes == 0 ? "0" : bytes_text(adding * move.bytes),
                   std::to_string(move.wave)});
    }
    return fmt::format("{}would move {}, {} new copies, {} to send\n", table.to_string(),
                       counted(static_cast<int64_t>(moves.size()), "partition"), grouped(copies),
                       bytes == 0 ? "0 bytes" : bytes_text(bytes));
}

std::string moves_json(const std::vector<PlannedMove>& moves) {
    Json items = Json::array();
    for (const PlannedMove& move : moves)
        items.push_back({{"topic", move.partition.topic},
                         {"partition", move.partition.partition},
                         {"from", move.from},
                         {"to", move.to},
                         {"wave", move.wave},
                         {"bytes_total",
                          move.bytes * static_cast<int64_t>(move.adding().size())}});
    const Json json = {{"apiVersion", "v1"},
                       {"kind", "Reassignment"},
                       {"dryRun", true},
                       {"items", items}};
    return json.dump();
}

std::string progress_json(const StoredPlan& plan, const PlanProgress& progress, int64_t now) {
    Json items = Json::array();
    for (const MoveProgress& one : progress.moves)
        items.push_back({{"topic", one.move->partition.topic},
                         {"partition", one.move->partition.partition},
                         {"from", one.move->from},
                         {"to", one.move->to},
                         {"wave", one.move->wave},
                         {"state", state_name(one.state)},
                         {"stalled", one.stalled},
                         {"bytes_done", one.done_bytes},
                         {"bytes_total", one.total_bytes},
                         {"bytes_per_second", one.state == MoveState::Moving
                                                  ? rate_of(plan, one.done_bytes, now)
                                                  : 0}});
    const Pace pace = pace_of(plan, progress, now);
    const Slowest slowest = slowest_of(plan, progress, now);
    const Json json = {{"apiVersion", "v1"},
                       {"kind", "Reassignment"},
                       {"id", plan.id},
                       {"slowest", slowest.broker < 0 ? Json() : Json(slowest.broker)},
                       {"state", phase_name(plan.phase)},
                       {"by", plan.by},
                       {"driven", plan.driven(now)},
                       {"started", rfc3339(plan.created_ms)},
                       {"throttle", plan.throttle},
                       {"wave", plan.wave},
                       {"waves", plan.waves()},
                       {"done", progress.moves_in(MoveState::Done)},
                       {"bytes_done", progress.done_bytes},
                       {"bytes_total", progress.total_bytes},
                       {"bytes_per_second", pace.rate},
                       {"eta_seconds", pace.seconds_left ? Json(*pace.seconds_left) : Json()},
                       {"undo_of", plan.undo_of},
                       {"note", plan.note},
                       {"items", items}};
    return json.dump();
}

}  // namespace millrace::cli
