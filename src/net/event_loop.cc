// src/net/event_loop.cc: one shard's thread: its Asio context, clock, timers, tasks and mailbox.
#include "net/event_loop.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <ctime>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::net {
namespace {

// Rounds of posted tasks that one turn runs before sockets get their share again.
constexpr int kTaskRoundsMax = 8;
// Batches of socket events taken before Asio (timers, mail, acceptors) gets a turn, and their size.
constexpr int kSocketRoundsMax = 16;
constexpr int kSocketEventsMax = 128;
// Received bytes after which answers leave in the middle of a batch: about 0.2 ms of work.
constexpr size_t kBatchBytesMax = 512U << 10;

thread_local EventLoop* current_loop = nullptr;

int64_t read_clock(clockid_t id) {
    timespec t{};
    ::clock_gettime(id, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

EventLoop::EventLoop(ShardId shard, Duration spin)
    : shard_(shard),
      spin_(spin),
      context_(1),
      tick_(context_),
      mail_signal_(context_, ::dup(mailbox_.descriptor())),
      socket_set_(::epoll_create1(EPOLL_CLOEXEC)),
      socket_signal_(context_, socket_set_) {}

// What waits in the mailbox may own descriptors of the context, which is destroyed before it.
EventLoop::~EventLoop() {
    std::vector<MoveFunction<void()>> mail;
    mailbox_.drain(mail);
}

EventLoop* EventLoop::current() { return current_loop; }

Instant EventLoop::now() {
    if (!now_known_ || !in_turn_) {
        now_ = {read_clock(CLOCK_MONOTONIC)};
        now_known_ = true;
    }
    return now_;
}

WallMs EventLoop::wall() {
    if (!wall_known_ || !in_turn_) {
        wall_ = {read_clock(CLOCK_REALTIME) / 1'000'000};
        wall_known_ = true;
    }
    return wall_;
}

env::TimerId EventLoop::arm(Instant when, MoveFunction<void()> fire) {
    const env::TimerId id = timers_.arm(when, std::move(fire));
    arm_tick();
    return id;
}

void EventLoop::cancel(env::TimerId id) { timers_.cancel(id); }

void EventLoop::post(MoveFunction<void()> task) {
    tasks_.push_back(std::move(task));
    // Outside of a turn (start-up) nothing would run it: the mailbox makes a turn.
    if (!in_turn_ && tasks_.size() == 1) mailbox_.post([] {});
}

void EventLoop::post_from_any_thread(MoveFunction<void()> task) { mailbox_.post(std::move(task)); }

void EventLoop::begin_turn() {
    MILLRACE_ASSERT(!in_turn_, "turns do not nest");
    in_turn_ = true;
    now_known_ = false;
    wall_known_ = false;
}

void EventLoop::end_turn() {
    for (int round = 0; !tasks_.empty() && round < kTaskRoundsMax && !ended_; ++round) {
        running_.clear();
        running_.swap(tasks_);
        for (MoveFunction<void()>& task : running_) task();
    }
    running_.clear();
    in_turn_ = false;
    if (!tasks_.empty() && !ended_) mailbox_.post([] {});
}

void EventLoop::run() {
    MILLRACE_ASSERT(current_loop == nullptr, "one loop per thread");
    current_loop = this;
    wait_for_mail();
    wait_for_sockets();
    arm_tick();
    if (spin_.nanos > 0) {
        spin_run();
    } else {
        context_.run();
    }
    current_loop = nullptr;
}

void EventLoop::spin_run() {
    int64_t last_work = read_clock(CLOCK_MONOTONIC);
    while (!context_.stopped()) {
        if (context_.poll() > 0) {
            last_work = read_clock(CLOCK_MONOTONIC);
        } else if (read_clock(CLOCK_MONOTONIC) - last_work > spin_.nanos) {
            context_.run_one();
            last_work = read_clock(CLOCK_MONOTONIC);
        }
    }
}

void EventLoop::stop() {
    mailbox_.post([this] {
        ended_ = true;
        context_.stop();
    });
}

void EventLoop::wait_for_mail() {
    mail_signal_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this](const boost::system::error_code& error) {
        if (error) return;
        const Turn turn(*this);
        std::vector<MoveFunction<void()>> mail;
        mailbox_.drain(mail);
        for (MoveFunction<void()>& task : mail) {
            task();
            if (ended_) return;
        }
        wait_for_mail();
    });
}

void EventLoop::watch_socket(int fd, SocketHandler* handler) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = handler;
    const int result = ::epoll_ctl(socket_set_, EPOLL_CTL_ADD, fd, &event);
    MILLRACE_ASSERT(result == 0, "an open socket can be watched");
}

void EventLoop::wait_for_sockets() {
    socket_signal_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                              [this](const boost::system::error_code& error) {
        if (error) return;
        for (int round = 0; round < kSocketRoundsMax; ++round) {
            if (!run_socket_events() || ended_) break;
        }
        wait_for_sockets();
    });
}

bool EventLoop::run_socket_events() {
    std::array<epoll_event, kSocketEventsMax> events;
    const int count = ::epoll_wait(socket_set_, events.data(), kSocketEventsMax, 0);
    if (count <= 0) return false;
    const Turn turn(*this);
    for (int i = 0; i < count && !ended_; ++i) {
        const epoll_event& event = events[static_cast<size_t>(i)];
        static_cast<SocketHandler*>(event.data.ptr)->on_socket(event.events);
        if (batch_bytes_ > kBatchBytesMax) end_batch();
    }
    end_batch();
    return true;
}

void EventLoop::at_batch_end(SocketHandler* handler, size_t bytes) {
    batch_.push_back(handler);
    batch_bytes_ += bytes;
}

void EventLoop::end_batch() {
    batch_bytes_ = 0;
    for (SocketHandler* handler : batch_) handler->on_batch_end();
    batch_.clear();
}

void EventLoop::arm_tick() {
    const Instant earliest = timers_.earliest();
    if (earliest >= tick_at_) return;
    // Whole milliseconds, so that deadlines close to each other share one wake-up.
    constexpr int64_t kTickNanos = 1'000'000;
    tick_at_ = {(earliest.nanos / kTickNanos + 1) * kTickNanos};
    using Steady = std::chrono::steady_clock;  // CLOCK_MONOTONIC in libstdc++
    tick_.expires_at(Steady::time_point(std::chrono::nanoseconds(tick_at_.nanos)));
    tick_.async_wait([this](const boost::system::error_code& error) {
        if (!error) on_tick();
    });
}

void EventLoop::on_tick() {
    const Turn turn(*this);
    tick_at_ = Instant::never();
    const Instant limit = now();
    // Bounded by what is armed now: a timer that arms itself for `now` waits for the next tick.
    for (size_t left = timers_.size(); left > 0 && !ended_; --left) {
        MoveFunction<void()> fire = timers_.take_due(limit);
        if (!fire) break;
        fire();
    }
    arm_tick();
}

}  // namespace millrace::net
