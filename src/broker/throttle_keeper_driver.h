// src/broker/throttle_keeper_driver.h: reads the topic of plans and carries out what its keeper finds.
//
// Works on the broker that leads the one partition of __millrace_plans, and so moves to the next
// leader when this one goes. Once a second: new records to the machine, then at most one plan at a
// time is cleared, by the controller (brokers that are down are no hindrance there) and with
// tombstones for its notes. Owner: broker/node, from when the logs are taken over.
#pragma once

#include <memory>

#include "broker/throttle_keeper.h"
#include "millrace/broker/shard.h"

namespace millrace::broker {

class ThrottleKeeperDriver {
  public:
    explicit ThrottleKeeperDriver(Shard& shard);
    ~ThrottleKeeperDriver();
    ThrottleKeeperDriver(const ThrottleKeeperDriver&) = delete;
    ThrottleKeeperDriver& operator=(const ThrottleKeeperDriver&) = delete;

    void start();
    void stop();

  private:
    void arm();
    void on_timer();
    /// The partition of plans while this node leads it, else null.
    Partition* led_partition();
    /// True when everything there is has been read.
    bool read_on(Partition& partition);
    void carry_out(ThrottleKeeper::Duty duty);
    void forget_notes(const ThrottleKeeper::Duty& duty);

    Shard& shard_;
    ThrottleKeeper keeper_;
    LeaderEpoch epoch_{-1};  // in which `position_` is meant
    Offset position_ = kNoOffset;
    bool busy_ = false;  // with the controller
    env::TimerId timer_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
