// src/broker/isr_changes.h: the leaders' wishes for other in-sync replicas, sent together.
//
// One AlterPartition in flight; what comes meanwhile waits and goes with the next one. An answer
// with an error delays the next a little, so that a refusal does not spin.
// Owner: broker/shard. Source: kafka.server.DefaultAlterPartitionManager; kraft.md 3.4 (KIP-497).
#pragma once

#include <map>
#include <memory>

#include "millrace/broker/partition.h"
#include "millrace/env/timers.h"
#include "millrace/replication/fetcher.h"
#include "millrace/wire/gen/alter_partition_response.h"

namespace millrace::broker {

class Shard;

class IsrChanges {
  public:
    explicit IsrChanges(Shard& shard) : shard_(shard) {}
    ~IsrChanges();
    IsrChanges(const IsrChanges&) = delete;
    IsrChanges& operator=(const IsrChanges&) = delete;

    /// A later proposal of a partition replaces one that was not sent yet.
    void propose(const Partition& partition, replication::IsrProposal proposal);

  private:
    using Proposals = std::map<replication::FetchKey, replication::IsrProposal>;
    void schedule();
    void send();
    void on_answer(const Proposals& asked, const wire::AlterPartitionResponse& response);

    Shard& shard_;
    Proposals waiting_;
    bool in_flight_ = false;
    bool scheduled_ = false;
    env::TimerId timer_ = env::kNoTimer;  // a pause after an error
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
