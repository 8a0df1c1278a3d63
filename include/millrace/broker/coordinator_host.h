// include/millrace/broker/coordinator_host.h: runs the coordinators of the partitions this node leads.
//
// One machine per partition of __consumer_offsets (groups, offsets) and of __transaction_state
// (transactions): loaded from the partition's log when this node is elected, fed with what becomes
// of its records, resigned with the leadership. Appends its batches with acks=all, hands out
// replies, arms its timer, writes the markers it asks for. Decides nothing.
//
// A handler looks up the partition of its key, then runs a call on the machine:
//     const auto route = host.group_route(group_id);          // NOT_COORDINATOR and the like
//     if (route.error != ErrorCode::None) answer in the request's own shape
//     host.run_group(route.partition, [=](auto& machine, auto& tick, auto id, auto& out) { ... },
//                    Reply<GroupResponse>(...));
// The machine itself answers while it is loading. Every Reply is sent exactly once, also when the
// leadership ends; a node that goes away drops them.
// Owner: broker/shard. Source: coordinators.md 1; Kafka's CoordinatorRuntime, CoordinatorLoader.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/move_function.h"
#include "millrace/base/reply.h"
#include "millrace/coordinator/group_coordinator.h"
#include "millrace/coordinator/transaction_coordinator.h"
#include "millrace/storage/log_types.h"

namespace millrace::broker {

class Shard;

/// The numbers of FindCoordinator's key type.
enum class CoordinatorKind : int8_t { Group = 0, Transaction = 1 };

inline constexpr const char* kOffsetsTopic = "__consumer_offsets";
inline constexpr const char* kTransactionsTopic = "__transaction_state";

class CoordinatorHost {
  public:
    using Tick = coordinator::Tick;
    using RequestId = coordinator::RequestId;
    using GroupCall = MoveFunction<void(coordinator::GroupCoordinator&, const Tick&, RequestId,
                                        coordinator::GroupCoordinator::Output&)>;
    using TxnCall = MoveFunction<void(coordinator::TransactionCoordinator&, const Tick&, RequestId,
                                      coordinator::TxnOutput&)>;

    explicit CoordinatorHost(Shard& shard);
    ~CoordinatorHost();
    CoordinatorHost(const CoordinatorHost&) = delete;
    CoordinatorHost& operator=(const CoordinatorHost&) = delete;

    // --- life
    /// The shard has applied an image: elections and resignations follow from its partitions.
    void on_image();
    /// Before the partitions let go of their logs: every machine resigns.
    void stop();

    // --- who coordinates a key
    struct Route {
        ErrorCode error = ErrorCode::None;  // COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR
        PartitionIndex partition;
    };
    Route group_route(std::string_view group_id) const {
        return route(CoordinatorKind::Group, group_id);
    }
    Route txn_route(std::string_view transactional_id) const {
        return route(CoordinatorKind::Transaction, transactional_id);
    }
    /// The partition of `key`, by the topic's partition count (the config's while there is none).
    /// Partitions added later count from the next start of the node, as in Kafka, which reads the
    /// number once: no key moves away from its state under a running coordinator.
    PartitionIndex partition_of(CoordinatorKind kind, std::string_view key) const;
    /// FindCoordinator: the node that leads the key's partition; COORDINATOR_NOT_AVAILABLE while
    /// there is none, which also starts the creation of the internal topic.
    struct Found {
        ErrorCode error = ErrorCode::None;
        NodeId node = kNoNode;
    };
    Found find(CoordinatorKind kind, std::string_view key);
    /// Asks the controller for the internal topic, with Kafka's configs; one request at a time.
    void create_topic(CoordinatorKind kind);

    // --- groups
    /// REQUIRES: `partition` comes from group_route or group_partitions, in this very event.
    /// `guard`: of a transactional offset commit, from start_verification on the partition.
    void run_group(PartitionIndex partition, GroupCall call,
                   Reply<coordinator::GroupResponse> reply, storage::VerificationGuard guard = {});
    /// Whether group.coordinator.rebalance.protocols names them.
    bool consumer_groups() const;
    /// Those of __consumer_offsets that this node leads, ascending.
    std::vector<PartitionIndex> group_partitions() const;

    // --- transactions
    void run_txn(PartitionIndex partition, TxnCall call, Reply<coordinator::TxnResponse> reply);
    /// Machines of this node in order of partitions, for the requests that list.
    std::vector<const coordinator::TransactionCoordinator*> txn_machines() const;
    const coordinator::TransactionCoordinator* txn_machine(PartitionIndex partition) const;

    // --- markers
    struct MarkerWrite {
        TopicPartition partition;
        coordinator::Marker marker;
    };
    /// Ends a transaction at a partition that this node leads; `done` once it is committed. On
    /// __consumer_offsets the group machine is told first, which makes the offsets visible.
    void write_marker(const MarkerWrite& write, MoveFunction<void(ErrorCode)> done);

    // --- verification of transactional batches (KIP-890)
    struct Verification {
        std::string transactional_id;
        coordinator::Producer producer;
        std::set<TopicPartition> partitions;
        bool add = false;  // adds instead of asking (transaction.version 2)
    };
    struct Verified {
        ErrorCode error = ErrorCode::None;                // of all partitions
        std::map<TopicPartition, ErrorCode> partitions;  // of a verification without error
    };
    /// Asks the transaction's coordinator; errors are the coordinator's own. While an earlier
    /// transaction of the id is being completed an addition is tried again for a moment.
    void verify(Verification verification, MoveFunction<void(Verified)> done);

  private:
    struct Impl;
    Route route(CoordinatorKind kind, std::string_view key) const;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::broker
