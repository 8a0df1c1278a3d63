// src/broker/broker_lifecycle.h: registration and heartbeats of this broker, as a pure machine.
//
// Decides when to register, what to say in the next heartbeat and when the broker may serve or has
// to stop. Source: org.apache.kafka.server.BrokerLifecycleManager; kraft.md 3.1 and 2.3.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/base/uuid.h"

namespace millrace::broker {

struct LifecycleOutput {
    bool send_registration = false;
    bool send_heartbeat = false;   // contents: want_fence(), want_shut_down()
    bool became_running = false;   // unfenced: clients may be served
    bool may_stop = false;         // the controller has moved what could be moved
    Instant wake_at = Instant::never();
    void clear() { *this = LifecycleOutput{}; }
};

class BrokerLifecycle {
  public:
    enum class State { NotRunning, Starting, Recovery, Running, PendingControlledShutdown, Stopped };
    struct Options {
        Duration heartbeat_interval = milliseconds(2000);  // broker.heartbeat.interval.ms
        Duration stop_limit = seconds(300);                // Kafka's fixed limit of an orderly stop
    };

    explicit BrokerLifecycle(Options options) : options_(options) {}

    void on_start(Instant now, LifecycleOutput& out);
    void on_registration_answer(Instant now, ErrorCode error, int64_t broker_epoch,
                                LifecycleOutput& out);
    void on_heartbeat_answer(Instant now, ErrorCode error, bool caught_up, bool fenced,
                             bool should_shut_down, LifecycleOutput& out);
    /// A newer image was published here.
    void on_image(Instant now, LifecycleOutput& out);
    void on_logs_loaded(Instant now, LifecycleOutput& out);
    /// A directory failed or the cordoned list changed: the controller hears of it at once.
    void on_news(Instant now, LifecycleOutput& out);
    void on_stop_wanted(Instant now, LifecycleOutput& out);
    void on_tick(Instant now, LifecycleOutput& out);

    State state() const { return state_; }
    bool registered() const { return broker_epoch_ >= 0; }
    int64_t broker_epoch() const { return broker_epoch_; }
    bool want_fence() const { return !logs_loaded_; }
    bool want_shut_down() const { return state_ == State::PendingControlledShutdown; }

  private:
    void heartbeat(LifecycleOutput& out);
    void schedule(Instant at, LifecycleOutput& out);

    Options options_;
    State state_ = State::NotRunning;
    int64_t broker_epoch_ = -1;
    bool logs_loaded_ = false;
    bool in_flight_ = false;  // a registration or heartbeat is unanswered
    bool again_ = false;      // something changed meanwhile
    Instant next_ = Instant::never();
    Instant stop_deadline_ = Instant::never();
};

}  // namespace millrace::broker
