// src/broker/broker_lifecycle.cc: the transitions of a broker between start and stop.
#include "broker/broker_lifecycle.h"

#include <algorithm>

namespace millrace::broker {

namespace {
constexpr Duration kRegistrationRetry = seconds(2);
/// The former incarnation's session may end any moment (SessionWatch), or last its whole time.
constexpr Duration kDuplicateRetry = milliseconds(250);
constexpr Duration kCatchUpInterval = milliseconds(10);
constexpr Duration kFirstStopRetry = milliseconds(50);
}  // namespace

void BrokerLifecycle::heartbeat(LifecycleOutput& out) {
    if (!registered() || state_ == State::Stopped) return;
    if (in_flight_) {
        again_ = true;
        return;
    }
    in_flight_ = true;
    again_ = false;
    next_ = Instant::never();
    out.send_heartbeat = true;
}

void BrokerLifecycle::schedule(Instant at, LifecycleOutput& out) {
    next_ = at;
    out.wake_at = std::min(next_, stop_deadline_);
}

void BrokerLifecycle::on_start(Instant, LifecycleOutput& out) {
    state_ = State::Starting;
    in_flight_ = true;
    out.send_registration = true;
}

void BrokerLifecycle::on_registration_answer(Instant now, ErrorCode error, int64_t broker_epoch,
                                             LifecycleOutput& out) {
    in_flight_ = false;
    if (state_ == State::Stopped) return;
    if (error != ErrorCode::None) {
        const bool duplicate = error == ErrorCode::DuplicateBrokerRegistration;
        schedule(now + (duplicate ? kDuplicateRetry : kRegistrationRetry), out);
        return;
    }
    broker_epoch_ = broker_epoch;
    heartbeat(out);
}

void BrokerLifecycle::on_heartbeat_answer(Instant now, ErrorCode error, bool caught_up, bool fenced,
                                          bool should_shut_down, LifecycleOutput& out) {
    in_flight_ = false;
    if (state_ == State::Stopped) return;
    if (error != ErrorCode::None) {
        schedule(now + (state_ == State::Running ? options_.heartbeat_interval : kCatchUpInterval),
                 out);
        return;
    }
    if (state_ == State::PendingControlledShutdown) {
        if (should_shut_down || now >= stop_deadline_) {
            state_ = State::Stopped;
            out.may_stop = true;
        } else {
            schedule(now + kFirstStopRetry, out);
        }
        return;
    }
    bool changed = false;
    if (state_ == State::Starting && caught_up) {
        state_ = State::Recovery;
        changed = true;
    }
    if (state_ == State::Recovery && logs_loaded_ && !fenced) {
        state_ = State::Running;
        out.became_running = true;
    }
    if (again_ || (changed && logs_loaded_)) {
        heartbeat(out);
    } else {
        schedule(now + (state_ == State::Running || (state_ == State::Recovery && !logs_loaded_)
                            ? options_.heartbeat_interval
                            : kCatchUpInterval),
                 out);
    }
}

void BrokerLifecycle::on_image(Instant, LifecycleOutput& out) {
    // Until it is unfenced the broker waits for nothing but newer metadata.
    if (state_ == State::Starting || (state_ == State::Recovery && logs_loaded_)) heartbeat(out);
}

void BrokerLifecycle::on_logs_loaded(Instant, LifecycleOutput& out) {
    logs_loaded_ = true;
    if (state_ == State::Starting || state_ == State::Recovery) heartbeat(out);
}

void BrokerLifecycle::on_news(Instant, LifecycleOutput& out) { heartbeat(out); }

void BrokerLifecycle::on_stop_wanted(Instant now, LifecycleOutput& out) {
    if (state_ == State::Stopped || state_ == State::PendingControlledShutdown) return;
    if (state_ != State::Running) {
        // Nobody was served yet: nothing to hand over.
        state_ = State::Stopped;
        out.may_stop = true;
        return;
    }
    state_ = State::PendingControlledShutdown;
    stop_deadline_ = now + options_.stop_limit;
    heartbeat(out);
    out.wake_at = stop_deadline_;
}

void BrokerLifecycle::on_tick(Instant now, LifecycleOutput& out) {
    if (state_ == State::PendingControlledShutdown && now >= stop_deadline_) {
        state_ = State::Stopped;
        out.may_stop = true;
        return;
    }
    if (now >= next_) {
        next_ = Instant::never();
        if (!registered()) {
            in_flight_ = true;
            out.send_registration = true;
        } else {
            heartbeat(out);
        }
    }
    out.wake_at = std::min(next_, stop_deadline_);
}

}  // namespace millrace::broker
