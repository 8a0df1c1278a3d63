// tools/cli/plan_stop.cc: what is under way goes back, and what must not go back goes on.
#include "cli/plan_stop.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "cli/output.h"
#include "cli/plan_file.h"
#include "cli/plan_progress.h"
#include "cli/plan_throttle.h"
#include "cli/shim_java.h"
#include "millrace/wire/gen/describe_configs_request.h"
#include "millrace/wire/gen/describe_configs_response.h"

namespace millrace::cli {
namespace {

constexpr const char* kMinIsr = "min.insync.replicas";

Stopped judge(Client& client, const StoredPlan& plan, const PlanView& view, bool force) {
    Stopped stopped;
    if (!force) stopped.bound = bound_to_go_on(plan.moves, view, min_isr_of(client, plan.moves));
    const std::set<TopicPartition> bound(stopped.bound.begin(), stopped.bound.end());
    for (const PlannedMove& move : plan.moves) {
        if (state_of(move, view) == MoveState::Moving && !bound.contains(move.partition))
            stopped.back.push_back(move.partition);
    }
    return stopped;
}

}  // namespace

std::map<std::string, int32_t> min_isr_of(Client& client, const std::vector<PlannedMove>& moves) {
    std::set<std::string> topics;
    for (const PlannedMove& move : moves)
        topics.insert(move.partition.topic);
    wire::DescribeConfigsRequest request;
    for (const std::string& topic : topics) {
        auto& resource = request.resources.emplace_back();
        resource.resource_type = kTopicResource;
        resource.resource_name = topic;
        resource.configuration_keys = {kMinIsr};
    }
    std::map<std::string, int32_t> least;
    if (topics.empty()) return least;
    const auto response = client.ask<wire::DescribeConfigsResponse>(request);
    for (const auto& result : response.results) {
        for (const auto& config : result.configs) {
            if (config.value) least[result.resource_name] = std::atoi(config.value->c_str());
        }
    }
    return least;
}

Stopped judge_stop(Client& client, const StoredPlan& plan, bool force) {
    return judge(client, plan, look_at(client, plan.moves), force);
}

Stopped stop_moves(Client& client, const StoredPlan& plan, bool force) {
    Stopped stopped = judge_stop(client, plan, force);
    const std::set<TopicPartition> wanted(stopped.back.begin(), stopped.back.end());
    std::map<TopicPartition, std::optional<std::vector<int32_t>>> cancels, back;
    for (const PlannedMove& move : plan.moves) {
        if (!wanted.contains(move.partition)) continue;
        cancels[move.partition];
        back[move.partition] = move.from;
    }
    if (cancels.empty()) return stopped;
    for (const auto& [partition, refusal] : alter_reassignments(client, cancels)) {
        back.erase(partition);
        std::erase(stopped.back, partition);
        // It ended before it could be taken back.
        if (error_code_from(refusal.error_code) == ErrorCode::NoReassignmentInProgress) continue;
        stopped.refused += fmt::format("; {}: {}", partition.to_string(),
                                       java_message(refusal.error_code, refusal.message));
    }
    // A cancelled move leaves the old copies in another order: the preferred leader would differ.
    if (!back.empty()) alter_reassignments(client, back);
    return stopped;
}

std::vector<PlannedMove> late_moves(const StoredPlan& plan,
                                    const std::set<TopicPartition>& submitted,
                                    const std::map<std::string, StoredPlan>& plans) {
    std::set<TopicPartition> others;
    for (const auto& [id, other] : plans) {
        if (id == plan.id || is_over(other.phase)) continue;
        for (const PlannedMove& move : other.moves)
            others.insert(move.partition);
    }
    std::vector<PlannedMove> late;
    for (const PlannedMove& move : plan.moves) {
        if (submitted.contains(move.partition) && !others.contains(move.partition))
            late.push_back(move);
    }
    return late;
}

StoredPlan take_over(PlanStore& store, const std::string& id) {
    return store.update(id, [](StoredPlan& plan) {
        if (is_over(plan.phase))
            throw Failure{kConflict, fmt::format("plan {} is {}", plan.id, phase_name(plan.phase)),
                          "millrace reassign-partitions status " + plan.id};
        plan.driver = driver_name();
        plan.by = who_am_i();
        plan.beat_ms = now_ms();
    });
}

Stopped stop_plan(Client& client, PlanStore& store, StoredPlan& plan, PlanPhase phase,
                  const std::string& note, bool force) {
    Stopped stopped = stop_moves(client, plan, force);
    if (stopped.bound.empty()) {
        remove_throttles(client, store, plan);
    } else {
        phase = PlanPhase::Paused;
        stopped.refused += fmt::format("; {}: too few of the old copies are in sync, goes on",
                                       some_names(stopped.bound));
    }
    plan.phase = phase;
    plan.note = note + stopped.refused;
    plan.driver.clear();
    plan.beat_ms = now_ms();
    if (!store.try_save(plan))
        throw Failure{kConflict, fmt::format("another command has taken over {}", plan.id),
                      "millrace reassign-partitions status " + plan.id};
    return stopped;
}

std::string throttles_text(const StoredPlan& plan) {
    if (plan.throttles.empty()) return "throttles are removed";
    std::set<std::string> names;
    for (const OwnThrottle& one : plan.throttles) {
        if (one.type == kBrokerResource) names.insert(one.name);
    }
    std::string brokers;
    for (const std::string& name : names)
        brokers += (brokers.empty() ? "" : ", ") + name;
    return fmt::format("throttles stay on {} for now; the cluster removes them",
                       names.empty() ? "topics" : counted(static_cast<int64_t>(names.size()),
                                                          "broker") + " (" + brokers + ")");
}

void check_stopped(const StoredPlan& plan, const Stopped& stopped) {
    if (stopped.bound.empty()) return;
    throw Failure{
        kFailed,
        fmt::format("{} of {} cannot go back, too few of the old copies are in sync, and so {} on: {}",
                    counted(static_cast<int64_t>(stopped.bound.size()), "move"), plan.id,
                    stopped.bound.size() == 1 ? "goes" : "go", some_names(stopped.bound)),
        fmt::format("start the brokers that are down, or: millrace reassign-partitions cancel {} "
                    "--force",
                    plan.id)};
}

}  // namespace millrace::cli
