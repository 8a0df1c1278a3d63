// src/broker/log_maintenance.h: the periodic work on logs: retention, flush, checkpoints, expiry.
//
// One timer for all of it; intervals are Kafka's settings. Owner: broker/node.
// Source: kafka.log.LogManager's scheduled tasks; dataplane.md F.4, F.6.
#pragma once

#include <vector>

#include "millrace/broker/shard.h"

namespace millrace::broker {

class LogMaintenance {
  public:
    explicit LogMaintenance(Shard& shard);
    ~LogMaintenance();
    LogMaintenance(const LogMaintenance&) = delete;
    LogMaintenance& operator=(const LogMaintenance&) = delete;

    void start();
    void stop();

  private:
    struct Task {
        Duration interval;
        Instant next;
        void (LogMaintenance::*run)();
    };
    void add(Duration first, Duration interval, void (LogMaintenance::*run)());
    void arm();
    void on_timer();

    void delete_old_segments();
    void flush_due_logs();
    void checkpoint_recovery_points();
    void checkpoint_high_watermarks();
    void checkpoint_log_starts();
    void expire_producers();

    Shard& shard_;
    std::vector<Task> tasks_;
    env::TimerId timer_ = 0;
    bool running_ = false;
};

}  // namespace millrace::broker
