// src/broker/quorum_driver_impl.h: the driver behind broker/quorum_driver.h.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "broker/quorum_log.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

/// Read from the log and handed to listeners in one call at most.
inline constexpr size_t kDeliverBytesMax = 1024 * 1024;
/// KafkaMetadataLogCleaner: how often snapshots and log are looked at.
inline constexpr Duration kCleanInterval = seconds(60);

class QuorumDriverImpl : public QuorumDriver {
  public:
    QuorumDriverImpl(env::Env& env, QuorumDriverConfig config);
    ~QuorumDriverImpl() override;
    Status load();

    void add_listener(QuorumListener* listener) override;
    void start() override;
    raft::ProposeResult propose(LeaderEpoch epoch, std::vector<Buffer> records) override;
    Offset next_offset() const override { return quorum_->next_offset(); }
    Result<std::unique_ptr<MetadataSnapshotSink>> begin_snapshot(Offset last_offset) override;
    void resign(LeaderEpoch epoch) override;
    void shutdown(MoveFunction<void(Status)> done) override;
    QuorumStatus status() const override;
    Offset log_start_offset() const override;

    /// A sink finished: the snapshot is there.
    Status on_snapshot_finished();

  private:
    /// Runs one event of the machine and carries its output out; never inside another.
    template <class Event>
    void event(Event&& run);
    void carry_out(raft::QuorumOutput& out);
    void begin_sync();
    void on_synced(Offset end, const Status& status);
    void arm(Instant wake_at);
    void fail(Status cause);

    void schedule_delivery();
    void deliver();
    bool deliver_snapshot();
    bool deliver_batches();
    void announce_roles();
    void check_snapshot_due();
    void clean();

    env::Env& env_;
    QuorumDriverConfig config_;
    std::unique_ptr<QuorumLog> log_;
    std::unique_ptr<raft::Quorum> quorum_;
    raft::QuorumStart start_;
    std::vector<QuorumListener*> listeners_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

    bool in_event_ = false;
    bool started_ = false;
    bool stopped_ = false;
    env::TimerId timer_ = env::kNoTimer;
    env::TimerId clean_timer_ = env::kNoTimer;

    bool sync_running_ = false;
    bool sync_again_ = false;
    std::optional<Offset> synced_in_event_;  // a sync that ended on the spot

    bool delivery_scheduled_ = false;
    std::optional<raft::SnapshotId> snapshot_to_load_;
    Offset delivered_{0};  // exclusive
    Offset committed_{0};  // exclusive
    std::deque<raft::RoleChange> role_changes_;
    std::optional<LeaderEpoch> announced_epoch_;  // that listeners were told this node leads

    int64_t bytes_since_snapshot_ = 0;
    Instant last_snapshot_;
};

}  // namespace millrace::broker
