// src/broker/coordinator_host_impl.h: what CoordinatorHost is made of; shared by its source files.
#pragma once

#include <memory>

#include "broker/coordinator_runner.h"
#include "millrace/broker/coordinator_host.h"

namespace millrace::broker {

/// The machines' settings, from the node's file.
coordinator::TxnOptions make_txn_options(const BrokerConfig& config, int16_t transaction_version);
coordinator::GroupSettings make_group_settings(const BrokerConfig& config);

struct CoordinatorHost::Impl {
    explicit Impl(Shard& s);
    ~Impl() { *alive = false; }

    int16_t transaction_version() const {
        return shard.image().features.level("transaction.version");
    }
    /// Producer ids and markers that a machine asked for.
    void carry_out_txn(PartitionIndex index, coordinator::TxnOutput& out);
    void fetch_producer_id(PartitionIndex index, coordinator::ProducerIdTicket ticket);
    void write_markers(PartitionIndex index, coordinator::MarkersWanted wanted);
    void write_marker(const MarkerWrite& write, MoveFunction<void(ErrorCode)> done);
    void write_offsets_marker(const MarkerWrite& write, MoveFunction<void(ErrorCode)> done);
    /// The partition is not in an image: there is nothing left to mark.
    bool gone(const TopicPartition& partition) const;

    Shard& shard;
    std::shared_ptr<const coordinator::GroupSettings> group_settings;
    CoordinatorRunner<coordinator::GroupCoordinator> groups;
    CoordinatorRunner<coordinator::TransactionCoordinator> txns;
    bool creating[2] = {false, false};  // by CoordinatorKind
    Duration add_retry_delay;           // add.partitions.to.txn.retry.backoff.ms
    Duration add_retry_max;             // ....max.ms
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
