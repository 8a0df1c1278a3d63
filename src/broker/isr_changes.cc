// src/broker/isr_changes.cc: proposals to one AlterPartition, its answer to decisions.
#include "broker/isr_changes.h"

#include <utility>

#include "millrace/broker/controller_link.h"
#include "millrace/broker/shard.h"
#include "millrace/env/clock.h"

namespace millrace::broker {

namespace {
constexpr Duration kPauseAfterError = milliseconds(50);
}

IsrChanges::~IsrChanges() {
    *alive_ = false;
    shard_.env().timers.cancel(timer_);
}

void IsrChanges::propose(const Partition& partition, replication::IsrProposal proposal) {
    waiting_[{partition.topic_id(), partition.name().partition}] = std::move(proposal);
    schedule();
}

void IsrChanges::schedule() {
    if (scheduled_ || in_flight_ || waiting_.empty() || timer_ != env::kNoTimer) return;
    scheduled_ = true;
    shard_.env().timers.post([this, alive = alive_] {
        if (!*alive) return;
        scheduled_ = false;
        send();
    });
}

void IsrChanges::send() {
    if (in_flight_ || waiting_.empty()) return;
    const NodeId self = shard_.config().node_id;
    const metadata::BrokerImage* broker = shard_.image().cluster.broker(self);
    const BrokerEpoch epoch = broker == nullptr ? BrokerEpoch(-1) : broker->epoch;
    wire::AlterPartitionRequest request;
    request.broker_id = self.value;
    request.broker_epoch = epoch.value;
    for (const auto& [key, proposal] : waiting_) {
        if (request.topics.empty() || request.topics.back().topic_id != key.topic_id) {
            request.topics.emplace_back().topic_id = key.topic_id;
        }
        auto& partition = request.topics.back().partitions.emplace_back();
        partition.partition_index = key.partition.value;
        partition.leader_epoch = proposal.epoch.value;
        partition.partition_epoch = proposal.partition_epoch;
        for (const replication::ReplicaWithEpoch& replica : proposal.isr) {
            auto& entry = partition.new_isr_with_epochs.emplace_back();
            entry.broker_id = replica.id.value;
            entry.broker_epoch = replica.id == self ? epoch.value : replica.epoch.value;
        }
    }
    in_flight_ = true;
    shard_.controller().run(
        std::move(request), {},
        Reply<metadata::ControllerResponse>(
            [this, alive = alive_, asked = std::exchange(waiting_, {})](auto response) {
                if (!*alive) return;
                on_answer(asked, std::get<wire::AlterPartitionResponse>(response));
            }));
}

void IsrChanges::on_answer(const Proposals& asked, const wire::AlterPartitionResponse& response) {
    in_flight_ = false;
    std::map<replication::FetchKey, replication::IsrDecision> decisions;
    for (const auto& topic : response.topics) {
        for (const auto& partition : topic.partitions) {
            auto& decision = decisions[{topic.topic_id, PartitionIndex(partition.partition_index)}];
            decision.error = static_cast<ErrorCode>(partition.error_code);
            decision.epoch = LeaderEpoch(partition.leader_epoch);
            decision.partition_epoch = partition.partition_epoch;
            for (const int32_t node : partition.isr) decision.isr.push_back(NodeId(node));
        }
    }
    bool refused = false;
    for (const auto& [key, proposal] : asked) {
        replication::IsrDecision decision;
        const auto found = decisions.find(key);
        if (response.error_code != 0) {
            decision.error = static_cast<ErrorCode>(response.error_code);
        } else if (found == decisions.end()) {
            decision.error = ErrorCode::UnknownServerError;
        } else {
            decision = std::move(found->second);
        }
        refused |= decision.error != ErrorCode::None;
        Partition* partition = shard_.partition(key.topic_id, key.partition);
        if (partition == nullptr || partition->leader_epoch() != proposal.epoch) continue;
        partition->on_isr_decision(decision);
    }
    if (refused && timer_ == env::kNoTimer) {
        timer_ = shard_.env().timers.arm(shard_.env().clock.now() + kPauseAfterError, [this] {
            timer_ = env::kNoTimer;
            schedule();
        });
    }
    schedule();
}

}  // namespace millrace::broker
