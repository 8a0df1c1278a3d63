// tools/cli/rebalance_execute.cc: carrying moves out, and looking at what became of them.
#include <fmt/core.h>
#include <poll.h>

#include <algorithm>
#include <iostream>

#include "cli/cordon.h"
#include "cli/output.h"
#include "cli/plan_throttle.h"
#include "cli/rebalance.h"
#include "cli/shim_reassign_text.h"

namespace millrace::cli {
namespace {

constexpr int kMeasureMs = 2'000;

/// Bytes of each partition at its leader, or at its first copy where there is none.
std::map<TopicPartition, int64_t> sizes_of(Client& client, const std::vector<PlannedMove>& moves) {
    std::set<PartitionReplica> replicas;
    std::set<int32_t> living;
    for (const ClusterNode& node : cluster_nodes(client))
        living.insert(node.id);
    for (const PlannedMove& move : moves) {
        const auto up = std::find_if(move.from.begin(), move.from.end(),
                                     [&](int32_t id) { return living.contains(id); });
        if (up != move.from.end()) replicas.insert({*up, move.partition});
    }
    std::map<TopicPartition, int64_t> sizes;
    for (const auto& [replica, dirs] : replica_dirs(client, replicas))
        sizes[replica.partition] = dirs.current_bytes;
    return sizes;
}

/// Throttles of plans that nobody works on any more, with nothing of theirs under way.
void clear_left_throttles(Client& client) {
    PlanStore store(client);
    store.refresh();
    const auto plans = store.plans();
    for (auto [id, plan] : plans) {
        if (plan.throttles.empty() || is_driven(plan)) continue;
        const PlanView view = look_at(client, plan.moves);
        const bool moving = std::any_of(
            plan.moves.begin(), plan.moves.end(),
            [&](const PlannedMove& move) { return state_of(move, view) == MoveState::Moving; });
        if (moving) continue;
        const auto before = plan.throttles;
        remove_throttles(client, store, plan);
        if (plan.throttles == before) continue;
        std::cerr << fmt::format("throttles of {} were left behind and are removed\n", plan.id);
    }
}

/// How many partitions are not rack-safe, or why that cannot be said.
struct Violations {
    std::optional<int64_t> count;
    std::string unknown;
};

Violations violations_now(Client& client, const std::vector<PlannedMove>& moves) {
    placement::Request request;
    std::set<std::string> topics;
    for (const PlannedMove& move : moves)
        topics.insert(move.partition.topic);
    request.topics.assign(topics.begin(), topics.end());
    if (topics.empty()) return {0, ""};
    try {
        const auto outcome = placement::make_plan(live_snapshot(client), request);
        if (outcome.refusal) return {std::nullopt, outcome.refusal->message};
        return {outcome.plan.summary.violations_before, ""};
    } catch (const Failure& failure) {
        return {std::nullopt, failure.error};
    }
}

}  // namespace

int64_t rate_option(const char* option, const std::string& text) {
    const auto rate = parse_rate(text);
    if (rate) return *rate;
    throw Failure{kUsage, fmt::format("{}: '{}' is no rate", option, text),
                  fmt::format("bytes per second: {} 50000000, or {} 50MB/s", option, option)};
}

std::map<TopicPartition, int64_t> measure_write_rates(Client& client,
                                                      const std::vector<PlannedMove>& moves) {
    const auto before = sizes_of(client, moves);
    const int64_t from = now_ms();
    ::poll(nullptr, 0, kMeasureMs);
    client.renew();
    const auto after = sizes_of(client, moves);
    const int64_t elapsed = std::max<int64_t>(1, now_ms() - from);
    std::map<TopicPartition, int64_t> rates;
    for (const auto& [partition, bytes] : after) {
        const auto old = before.find(partition);
        // Retention may make a partition smaller meanwhile.
        if (old != before.end() && bytes > old->second)
            rates[partition] = (bytes - old->second) * 1000 / elapsed;
    }
    return rates;
}

void check_throttle(const std::vector<PlannedMove>& moves, int64_t throttle,
                    const std::map<TopicPartition, int64_t>& write_rates) {
    if (throttle <= 0) return;
    const RateFloor floor = rate_floor(moves, write_rates);
    if (floor.bytes_per_second == 0 || throttle > floor.bytes_per_second) return;
    // Half as much again leaves something to catch up with.
    const int64_t enough = floor.bytes_per_second + floor.bytes_per_second / 2;
    throw Failure{kUsage,
                  fmt::format("a throttle of {} would never finish: broker {} alone has {} of new "
                              "records to follow",
                              rate_text(throttle), floor.broker, rate_text(floor.bytes_per_second)),
                  fmt::format("--throttle {} would finish", enough)};
}

StoredPlan run_moves(const Context& context, Client& client, std::vector<PlannedMove> moves,
                     const Execution& how) {
    PlanStore store(client);
    check_nothing_runs(client, store, how.additional);
    // Else the rate that a killed command left would be taken for the operator's own.
    clear_left_throttles(client);
    if (how.throttle > 0) check_throttle(moves, how.throttle, measure_write_rates(client, moves));
    if (!how.undo_file.empty()) write_text_file(how.undo_file, undo_json(moves));
    // Another command may have begun while this one asked and measured.
    client.renew();
    check_nothing_runs(client, store, how.additional);
    StoredPlan plan;
    plan.id = new_plan_id(store);
    plan.by = who_am_i();
    plan.driver = driver_name();
    plan.created_ms = plan.beat_ms = now_ms();
    plan.throttle = how.throttle;
    plan.undo_of = how.undo_of;
    plan.moves = std::move(moves);
    client.renew();
    if (how.cordon >= 0) plan.cordon = cordon_to_note(client, how.cordon);
    store.add(plan);
    if (how.cordon >= 0) set_cordon(client, how.cordon);
    std::set<TopicPartition> names;
    for (const PlannedMove& move : plan.moves)
        names.insert(move.partition);
    if (!context.json() && !names.empty())
        std::cout << fmt::format("Successfully started partition reassignments for {}\n",
                                 names_of(names))
                  << std::flush;
    std::cerr << fmt::format("plan {}: millrace reassign-partitions status {} --watch\n", plan.id,
                             plan.id);
    return drive(client, store, std::move(plan), how.wait_ms);
}

int execute_moves(const Context& context, Client& client, std::vector<PlannedMove> moves,
                  const Execution& how) {
    if (moves.empty()) {
        std::cout << (context.json() ? R"({"apiVersion":"v1","kind":"Reassignment","items":[]})"
                                     : "nothing to move: all partitions are where the plan says")
                  << '\n';
        return kDone;
    }
    return report_end(context, client, run_moves(context, client, std::move(moves), how));
}

int report_end(const Context& context, Client& client, const StoredPlan& plan) {
    client.renew();
    const PlanProgress progress = progress_of(plan, look_at(client, plan.moves), {});
    if (context.json()) {
        std::cout << progress_json(plan, progress, now_ms()) << '\n';
    } else {
        std::cout << fmt::format(
            "{} {}: {} of {} in place, {} copied in {}\n", plan.id, phase_name(plan.phase),
            grouped(progress.moves_in(MoveState::Done)),
            counted(static_cast<int64_t>(progress.moves.size()), "partition"),
            progress.done_bytes == 0 ? "0 bytes" : bytes_text(progress.done_bytes),
            duration_text((now_ms() - plan.created_ms) / 1000));
    }
    if (plan.phase == PlanPhase::Done || plan.phase == PlanPhase::Paused) return kDone;
    if (!plan.note.empty()) std::cerr << "error: " << plan.note << '\n';
    return kFailed;
}

int verify_moves(const Context& context, Client& client, const std::vector<PlannedMove>& moves) {
    const PlanView view = look_at(client, moves);
    std::map<TopicPartition, ShimReassignmentState> states;
    std::vector<TopicPartition> gone;
    bool all = true;
    for (const PlannedMove& move : moves) {
        const auto replicas = view.replicas.find(move.partition);
        if (replicas == view.replicas.end()) {
            gone.push_back(move.partition);
            continue;
        }
        const bool moving = view.ongoing.contains(move.partition);
        const std::vector<int32_t>& now = replicas->second;
        states[move.partition] = {now, move.to, !moving};
        all = all && !moving && now == move.to;
    }
    if (!context.json()) {
        std::cout << states_text(states) << "\n";
        for (const TopicPartition& one : gone)
            std::cout << fmt::format("Partition {} does not exist any more.\n", one.to_string());
        std::cout << '\n' << std::flush;
    }
    clear_left_throttles(client);
    const Violations violations = violations_now(client, moves);
    if (context.json()) {
        Json items = Json::array();
        for (const auto& [partition, state] : states)
            items.push_back({{"topic", partition.topic},
                             {"partition", partition.partition},
                             {"replicas", state.current},
                             {"target", state.target},
                             {"in_progress", !state.done}});
        for (const TopicPartition& one : gone)
            items.push_back(
                {{"topic", one.topic}, {"partition", one.partition}, {"gone", true}});
        Json json = {{"apiVersion", "v1"},
                     {"kind", "Verification"},
                     {"complete", all},
                     {"violations", nullptr},
                     {"items", std::move(items)}};
        if (violations.count)
            json["violations"] = *violations.count;
        else
            json["violations_unknown"] = violations.unknown;
        std::cout << json.dump() << '\n';
    } else if (violations.count) {
        std::cout << fmt::format("not rack-safe: {}\n", counted(*violations.count, "partition"));
    } else {
        std::cout << fmt::format("not rack-safe: unknown, {}\n", violations.unknown);
    }
    return all && violations.count.value_or(0) == 0 ? kDone : kUnhealthy;
}

}  // namespace millrace::cli
