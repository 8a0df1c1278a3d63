// src/broker/coordinator_host_impl.h: what CoordinatorHost is made of; shared by its source files.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "broker/coordinator_runner.h"
#include "broker/peer_call.h"
#include "millrace/broker/coordinator_host.h"

namespace millrace::broker {

/// The machines' settings, from the node's file.
coordinator::TxnOptions make_txn_options(const BrokerConfig& config, int16_t transaction_version);
coordinator::GroupSettings make_group_settings(const BrokerConfig& config);
record::CompressionType make_offsets_compression(const BrokerConfig& config);
bool serves_consumer_groups(const BrokerConfig& config);

struct CoordinatorHost::Impl {
    explicit Impl(Shard& s);
    ~Impl() { *alive = false; }

    int16_t transaction_version() const {
        return shard.image().features.level("transaction.version");
    }
    /// Producer ids and markers that a machine asked for.
    void carry_out_txn(PartitionIndex index, coordinator::TxnOutput& out);
    void fetch_producer_id(PartitionIndex index, coordinator::ProducerIdTicket ticket);
    using MarkersPtr = std::shared_ptr<const coordinator::MarkersWanted>;
    void write_markers(PartitionIndex index, coordinator::MarkersWanted wanted);
    void report_marker(PartitionIndex index, const MarkersPtr& wanted,
                       const TopicPartition& partition, ErrorCode error);
    /// To the broker that leads the partitions; failures are reported as errors to be retried.
    void send_markers(PartitionIndex index, NodeId leader, const MarkersPtr& wanted,
                      std::vector<TopicPartition> partitions);
    /// Asks the broker that coordinates the transaction.
    void verify_remote(NodeId node, const Verification& what,
                       MoveFunction<void(coordinator::TxnResponse)> done);
    std::optional<env::PeerAddress> address_of(NodeId node) const;
    PeerCallHead call_head(int16_t version);
    /// Who leads a partition, by the image.
    NodeId leader_of(const TopicPartition& partition) const;
    void write_marker(const MarkerWrite& write, MoveFunction<void(ErrorCode)> done);
    void write_offsets_marker(const MarkerWrite& write, MoveFunction<void(ErrorCode)> done);
    /// The partition is not in an image: there is nothing left to mark.
    bool gone(const TopicPartition& partition) const;

    Shard& shard;
    std::shared_ptr<const coordinator::GroupSettings> group_settings;
    CoordinatorRunner<coordinator::GroupCoordinator> groups;
    CoordinatorRunner<coordinator::TransactionCoordinator> txns;
    bool consumer_groups;               // group.coordinator.rebalance.protocols
    int32_t next_correlation = 1;
    /// Over how many partitions the keys of a topic are spread: what this node saw first of it.
    /// More partitions would send a live group to a machine that knows nothing of it.
    struct KeySpace {
        Uuid topic_id;
        int32_t count = 0;
        int32_t seen = 0;  // by the newest image
    };
    void note_partition_count(CoordinatorKind kind);
    KeySpace key_spaces[2];  // by CoordinatorKind
    bool creating[2] = {false, false};  // by CoordinatorKind
    /// Of the last attempt: clients ask many times a second, the log says only changes.
    ErrorCode create_error[2] = {ErrorCode::None, ErrorCode::None};
    Duration add_retry_delay;           // add.partitions.to.txn.retry.backoff.ms
    Duration add_retry_max;             // ....max.ms
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
