// src/broker/txn_markers.cc: transaction markers into partitions, and questions to transactions.
#include <algorithm>
#include <utility>

#include "broker/coordinator_host_impl.h"

namespace millrace::broker {

using coordinator::TransactionCoordinator;
using coordinator::TxnOutput;

void CoordinatorHost::Impl::carry_out_txn(PartitionIndex index, TxnOutput& out) {
    for (const coordinator::ProducerIdTicket ticket : out.producer_ids) {
        fetch_producer_id(index, ticket);
    }
    for (coordinator::MarkersWanted& wanted : out.markers) write_markers(index, std::move(wanted));
}

void CoordinatorHost::Impl::fetch_producer_id(PartitionIndex index,
                                              coordinator::ProducerIdTicket ticket) {
    shard.producer_ids().next(Reply<ProducerIdAnswer>(
        [this, guard = alive, index, ticket](ProducerIdAnswer answer) {
            if (!*guard) return;
            txns.tell(index, [&](TransactionCoordinator& machine, const Tick& tick, TxnOutput& out) {
                machine.on_producer_id(tick, ticket, answer.error, ProducerId(answer.producer_id),
                                       out);
            });
        }));
}

bool CoordinatorHost::Impl::gone(const TopicPartition& partition) const {
    const metadata::TopicImage* topic = shard.image().topics.find(std::string_view(partition.topic));
    return topic == nullptr || topic->partition(partition.partition) == nullptr;
}

NodeId CoordinatorHost::Impl::leader_of(const TopicPartition& partition) const {
    const metadata::PartitionImage* state =
        shard.image().topics.partition(std::string_view(partition.topic), partition.partition);
    return state == nullptr ? kNoNode : state->leader;
}

void CoordinatorHost::Impl::write_markers(PartitionIndex index,
                                          coordinator::MarkersWanted wanted) {
    const auto shared = std::make_shared<const coordinator::MarkersWanted>(std::move(wanted));
    std::map<NodeId, std::vector<TopicPartition>> elsewhere;
    for (const TopicPartition& partition : shared->partitions) {
        const NodeId leader = leader_of(partition);
        if (leader != kNoNode && leader != shard.config().node_id) {
            elsewhere[leader].push_back(partition);
            continue;
        }
        write_marker({partition, shared->marker},
                     [this, guard = alive, index, shared, partition](ErrorCode error) {
                         if (*guard) report_marker(index, shared, partition, error);
                     });
    }
    for (auto& [leader, partitions] : elsewhere) {
        send_markers(index, leader, shared, std::move(partitions));
    }
}

void CoordinatorHost::Impl::report_marker(PartitionIndex index, const MarkersPtr& wanted,
                                          const TopicPartition& partition, ErrorCode error) {
    // The image that elected this coordinator is newer than everything its transactions name:
    // what is not in it was deleted. An image without a leader means to try again.
    const bool no_more = error != ErrorCode::None && gone(partition);
    txns.tell(index, [&](TransactionCoordinator& machine, const Tick& tick, TxnOutput& out) {
        machine.on_marker(tick, wanted->transactional_id, wanted->marker, partition, error, no_more,
                          out);
    });
}

void CoordinatorHost::Impl::write_marker(const MarkerWrite& write,
                                         MoveFunction<void(ErrorCode)> done) {
    const TopicPartition& name = write.partition;
    const metadata::TopicImage* topic = shard.image().topics.find(std::string_view(name.topic));
    Partition* partition =
        topic == nullptr ? nullptr : shard.partition(topic->id, name.partition);
    if (partition == nullptr) return done(ErrorCode::UnknownTopicOrPartition);
    if (name.topic == kOffsetsTopic) return write_offsets_marker(write, std::move(done));
    const coordinator::Marker& marker = write.marker;
    const ProduceOutcome outcome = partition->append_marker(
        {marker.producer.id, marker.producer.epoch, marker.commit, marker.coordinator_epoch,
         marker.transaction_version});
    if (outcome.error != ErrorCode::None) return done(outcome.error);
    if (!partition->must_wait(outcome.required, -1)) return done(ErrorCode::None);
    const Instant deadline =
        shard.env().clock.now() + milliseconds(shard.config().request_timeout_ms);
    partition->when_acked(outcome.required, -1, deadline, std::move(done));
}

/// The group machine makes the offsets visible and has the marker appended (KAFKA-17507).
void CoordinatorHost::Impl::write_offsets_marker(const MarkerWrite& write,
                                                 MoveFunction<void(ErrorCode)> done) {
    const PartitionIndex index = write.partition.partition;
    if (!groups.leads(index)) return done(ErrorCode::NotLeaderOrFollower);
    groups.run(
        index,
        [&](coordinator::GroupCoordinator& machine, const Tick& tick, RequestId id,
            coordinator::GroupCoordinator::Output& out) {
            machine.end_transaction(tick, id, write.marker, out);
        },
        Reply<coordinator::GroupResponse>(
            [done = std::move(done)](coordinator::GroupResponse response) mutable {
                const ErrorCode error = std::get<coordinator::MarkerWritten>(response).error;
                const bool moved = error == ErrorCode::CoordinatorLoadInProgress ||
                                   error == ErrorCode::CoordinatorNotAvailable ||
                                   error == ErrorCode::NotCoordinator;
                done(moved ? ErrorCode::NotLeaderOrFollower : error);
            }));
}

void CoordinatorHost::write_marker(const MarkerWrite& write, MoveFunction<void(ErrorCode)> done) {
    impl_->write_marker(write, std::move(done));
}

namespace {
/// A verification and, where it adds, the attempts that are left to it.
struct VerifyOperation {
    CoordinatorHost::Verification what;
    MoveFunction<void(CoordinatorHost::Verified)> done;
    Instant give_up;
};
}  // namespace

void CoordinatorHost::verify(Verification verification, MoveFunction<void(Verified)> done) {
    auto operation = std::make_shared<VerifyOperation>();
    operation->what = std::move(verification);
    operation->done = std::move(done);
    operation->give_up = impl_->shard.env().clock.now() + impl_->add_retry_max;
    struct Attempt {
        static void start(CoordinatorHost& host, const std::shared_ptr<VerifyOperation>& op) {
            const Route route = host.txn_route(op->what.transactional_id);
            if (route.error == ErrorCode::NotCoordinator) return ask_elsewhere(host, op);
            if (route.error != ErrorCode::None) return op->done({route.error, {}});
            coordinator::AddPartitionsCommand command;
            command.transactional_id = op->what.transactional_id;
            command.producer = op->what.producer;
            command.partitions = op->what.partitions;
            command.verify_only = !op->what.add;
            command.client_version = coordinator::kEpochBumpVersion;
            host.run_txn(
                route.partition,
                [command = std::move(command)](TransactionCoordinator& machine, const Tick& tick,
                                               RequestId id, TxnOutput& out) {
                    machine.add_partitions(tick, id, command, out);
                },
                Reply<coordinator::TxnResponse>(
                    [&host, guard = host.impl_->alive, op](coordinator::TxnResponse response) {
                        finish(host, *guard, op, std::move(response));
                    }));
        }
        static void ask_elsewhere(CoordinatorHost& host,
                                  const std::shared_ptr<VerifyOperation>& op) {
            const Found found = host.find(CoordinatorKind::Transaction, op->what.transactional_id);
            if (found.error != ErrorCode::None) return op->done({found.error, {}});
            if (found.node == host.impl_->shard.config().node_id) {
                return op->done({ErrorCode::NotCoordinator, {}});
            }
            host.impl_->verify_remote(
                found.node, op->what,
                [&host, guard = host.impl_->alive, op](coordinator::TxnResponse response) {
                    finish(host, *guard, op, std::move(response));
                });
        }
        static void finish(CoordinatorHost& host, bool alive,
                           const std::shared_ptr<VerifyOperation>& op,
                           coordinator::TxnResponse response) {
            if (alive && op->what.add && response.error == ErrorCode::ConcurrentTransactions) {
                Shard& shard = host.impl_->shard;
                const Instant next = shard.env().clock.now() + host.impl_->add_retry_delay;
                if (next <= op->give_up) {
                    shard.env().timers.arm(next, [&host, guard = host.impl_->alive, op] {
                        if (*guard) start(host, op);
                    });
                    return;
                }
            }
            op->done({response.error, std::move(response.partitions)});
        }
    };
    Attempt::start(*this, operation);
}

}  // namespace millrace::broker
