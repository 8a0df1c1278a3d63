// src/metadata/repair.cc: replicas of brokers that stay away are made anew on others.
//
// Ours, not Kafka's, and off unless dead.broker.repair.delay.ms is set. What it writes is what an
// operator's AlterPartitionReassignments would write; the placement engine says where to.
#include <algorithm>
#include <charconv>
#include <set>

#include "metadata/commands.h"
#include "metadata/placement.h"
#include "metadata/wire_nodes.h"
#include "millrace/base/log.h"
#include "millrace/placement/planner.h"

namespace millrace::metadata {

namespace {

constexpr LogChannel kLog{"controller"};
constexpr const char* kDelayKey = "dead.broker.repair.delay.ms";
/// Partitions that move at the same time; the others wait for the next sweep.
constexpr size_t kRepairsAtOnce = 100;
/// Looks at further partitions when those found first have no place, and at refusals of one look.
constexpr int kLooksMax = 20;
constexpr int kRefusalsMax = 3;

std::optional<Duration> delay_of(const CommandContext& context) {
    const std::string text = effective_broker_value(context.layers(), kDelayKey).value_or("-1");
    int64_t ms = -1;
    std::from_chars(text.data(), text.data() + text.size(), ms);
    if (ms < 0) return std::nullopt;
    return milliseconds(ms);
}

placement::BrokerState state_of(const BrokerImage& broker, const std::set<NodeId>& dead) {
    if (dead.contains(broker.id)) return placement::BrokerState::Dead;
    if (!broker.active()) return placement::BrokerState::Down;
    if (fully_cordoned(broker)) return placement::BrokerState::Cordoned;
    return placement::BrokerState::Up;
}

class Repair {
  public:
    Repair(const CommandContext& context, std::set<NodeId> dead)
        : context_(context), dead_(std::move(dead)) {}

    std::vector<Record> run() {
        describe_brokers();
        const size_t moving = context_.state.indexes.reassigning(context_.image()).size();
        if (moving >= kRepairsAtOnce) return {};
        for (int look = 0; look < kLooksMax; ++look) {
            find_partitions(kRepairsAtOnce - moving);
            if (snapshot_.topics.empty()) break;
            const placement::Outcome outcome = plan_what_has_a_place();
            if (!outcome.refusal && !outcome.plan.changes.empty()) return records_of(outcome.plan);
        }
        return {};  // their replicas stay until there is a place
    }

  private:
    /// Those that have no place must not hold up the others.
    placement::Outcome plan_what_has_a_place() {
        placement::Outcome outcome = placement::make_plan(snapshot_, request_);
        for (int i = 0; i < kRefusalsMax && outcome.refusal && !outcome.refusal->blocking.empty();
             ++i) {
            leave_out(outcome.refusal->blocking);
            outcome = placement::make_plan(snapshot_, request_);
        }
        return outcome;
    }

    void describe_brokers() {
        for (const auto& [id, image] : context_.image().cluster.brokers) {
            placement::Broker& broker = snapshot_.brokers.emplace_back();
            broker.id = id.value;
            broker.labels = placement::labels_of_rack(image->rack.value_or(""));
            broker.state = state_of(*image, dead_);
            if (broker.state == placement::BrokerState::Up)
                ++usable_;
            else if (broker.state != placement::BrokerState::Dead)
                keeping_.insert(id);
        }
        snapshot_.axes = placement::axes_of_labels(snapshot_.brokers);
        const bool labelled = std::all_of(
            snapshot_.brokers.begin(), snapshot_.brokers.end(), [this](const placement::Broker& b) {
                return b.labels.size() == snapshot_.axes.size();
            });
        if (!labelled) request_.soft_axes = snapshot_.axes;
    }

    /// Whether there are as many brokers as the partition has replicas. Those without a place are
    /// not even looked at: however many there are, they must not use up the looks of a sweep.
    bool has_place(const PartitionImage& partition) const {
        size_t places = usable_;
        for (const NodeId node : partition.replicas)
            places += keeping_.contains(node) ? 1 : 0;
        return places >= partition.replicas.size();
    }

    /// The next so many behind those of the last look.
    void find_partitions(size_t limit) {
        snapshot_.topics.clear();
        for (const auto& [id, topic] : context_.image().topics.by_id) {
            if (limit == 0) break;
            placement::Topic found;
            for (const auto& [index, partition] : topic->partitions) {
                if (limit == 0) break;
                if (std::pair(id, index) <= looked_at_) continue;
                looked_at_ = {id, index};
                if (partition->is_reassigning() || !partition->has_leader()) continue;
                const bool hit =
                    std::any_of(partition->replicas.begin(), partition->replicas.end(),
                                [this](NodeId node) { return dead_.contains(node); });
                if (!hit || !has_place(*partition)) continue;
                --limit;
                placement::Partition& one = found.partitions.emplace_back();
                one.partition = index.value;
                one.replicas = to_numbers(partition->replicas);
            }
            if (found.partitions.empty()) continue;
            found.name = topic->name;
            snapshot_.topics.push_back(std::move(found));
        }
    }

    void leave_out(const std::vector<placement::PartitionName>& names) {
        for (placement::Topic& topic : snapshot_.topics) {
            std::erase_if(topic.partitions, [&](const placement::Partition& p) {
                return std::find(names.begin(), names.end(),
                                 placement::PartitionName{topic.name, p.partition}) != names.end();
            });
        }
    }

    std::vector<Record> records_of(const placement::Plan& plan) {
        wire::AlterPartitionReassignmentsRequest request;
        for (const placement::Change& change : plan.changes) {
            if (request.topics.empty() || request.topics.back().name != change.name.topic)
                request.topics.emplace_back().name = change.name.topic;
            auto& partition = request.topics.back().partitions.emplace_back();
            partition.partition_index = change.name.partition;
            partition.replicas = change.to;
        }
        if (request.topics.empty()) return {};
        for (const NodeId id : dead_) {
            log_warn(kLog, "broker {} stays away; its replicas are made anew, {} partitions now",
                     id.value, plan.changes.size());
        }
        return run_command(context_, request).records;
    }

    const CommandContext& context_;
    const std::set<NodeId> dead_;
    placement::Snapshot snapshot_;
    placement::Request request_;
    size_t usable_ = 0;
    std::set<NodeId> keeping_;  // brokers that keep what they have and get nothing
    std::pair<Uuid, PartitionIndex> looked_at_{kZeroUuid, PartitionIndex(-1)};
};

}  // namespace

std::vector<Record> repair_dead_brokers(const CommandContext& context) {
    const std::optional<Duration> delay = delay_of(context);
    if (!delay) return {};
    std::set<NodeId> dead;
    for (const NodeId id : context.heartbeats.silent(context.tick.now, *delay)) {
        if (context.state.indexes.replicas_of(id) > 0) dead.insert(id);
    }
    if (dead.empty()) return {};
    return Repair(context, std::move(dead)).run();
}

}  // namespace millrace::metadata
