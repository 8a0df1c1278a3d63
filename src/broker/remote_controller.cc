// src/broker/remote_controller.cc: send, look for the leader again, send once more.
#include "broker/remote_controller.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "millrace/base/log.h"
#include "millrace/env/clock.h"

namespace millrace::broker {

namespace {
constexpr LogChannel kLog{"controller"};
constexpr Duration kRetryInterval = milliseconds(100);  // kraft.md 3.3
/// One attempt; longer than any command may wait for its records to be committed.
constexpr Duration kAttemptTime = seconds(30);
constexpr size_t kWaitingMax = 10'000;
}  // namespace

RemoteController::RemoteController(const env::Env& env,
                                   std::function<std::optional<env::PeerAddress>()> find,
                                   std::function<bool()> leads_here)
    : env_(env), find_(std::move(find)), leads_here_(std::move(leads_here)) {}

RemoteController::~RemoteController() {
    *alive_ = false;
    env_.timers.cancel(timer_);
}

void RemoteController::start(Call call) {
    if (waiting_.size() >= kWaitingMax) return call.give_up();
    const uint64_t id = next_id_++;
    waiting_.emplace(id, Waiting{std::move(call), false});
    attempt(id);
    arm();
}

void RemoteController::attempt(uint64_t id) {
    Waiting& waiting = waiting_.at(id);
    const Instant now = env_.clock.now();
    if (waiting.call.deadline <= now || leads_here_()) return give_up(id);
    std::optional<env::PeerAddress> leader = find_();
    if (!leader.has_value()) return;
    leader->purpose = waiting.call.purpose;
    waiting.in_flight = true;
    const Duration time = std::min(kAttemptTime, waiting.call.deadline - now);
    env_.peers.send(*leader, waiting.call.encode(next_correlation_++), time,
                    [this, alive = alive_, id](Result<Buffer> frame) {
                        if (*alive) on_answer(id, std::move(frame));
                    });
}

void RemoteController::on_answer(uint64_t id, Result<Buffer> frame) {
    const auto found = waiting_.find(id);
    if (found == waiting_.end()) return;
    found->second.in_flight = false;
    if (!frame.ok()) {
        log_debug(kLog, "no answer from the active controller: {}", frame.status().message());
        return arm();
    }
    // The caller may ask for more at once: it must not find this request still here.
    Waiting done = std::move(found->second);
    waiting_.erase(found);
    if (done.call.on_frame(*frame)) return;
    waiting_.emplace(id, std::move(done));
    arm();
}

void RemoteController::give_up(uint64_t id) {
    auto node = waiting_.extract(id);
    node.mapped().call.give_up();
}

void RemoteController::arm() {
    if (timer_ != env::kNoTimer || waiting_.empty()) return;
    timer_ = env_.timers.arm(env_.clock.now() + kRetryInterval, [this] {
        timer_ = env::kNoTimer;
        retry();
    });
}

void RemoteController::retry() {
    std::vector<uint64_t> idle;
    for (const auto& [id, waiting] : waiting_) {
        if (!waiting.in_flight) idle.push_back(id);
    }
    for (const uint64_t id : idle) {
        if (waiting_.contains(id)) attempt(id);
    }
    arm();
}

void RemoteController::stop() {
    while (!waiting_.empty()) give_up(waiting_.begin()->first);
}

}  // namespace millrace::broker
