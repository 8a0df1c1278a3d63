// src/net/event_loop.h: one shard's thread: its Asio context, clock, timers, tasks and mailbox.
//
// The only class that many net files share. Everything is called on the loop's thread, except
// post_from_any_thread() and stop().
//
// Asio runs what is rare (acceptors, timers, signals, HTTP). Connections live in an edge-triggered
// epoll set of their own, which Asio watches as one descriptor: Asio re-arms a descriptor with a
// system call per wait, and a request costs only two others. Measured, 64 connections, 100-byte
// echo: bare epoll 3.55 us of CPU per message, all in Asio 4.08, this 3.65.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <vector>

#include "millrace/base/ids.h"
#include "millrace/base/move_function.h"
#include "millrace/base/time.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"
#include "net/mailbox.h"
#include "net/timer_heap.h"

namespace millrace::net {

/// Gets a socket's events; it must read until a short read or EAGAIN (edge-triggered).
class SocketHandler {
  public:
    virtual void on_socket(uint32_t events) = 0;
    /// The end of a batch of socket events, for those that asked (EventLoop::at_batch_end).
    virtual void on_batch_end() {}

  protected:
    ~SocketHandler() = default;
};

class EventLoop final : public env::Clock, public env::Timers {
  public:
    EventLoop(ShardId shard, Duration spin);
    ~EventLoop() override;

    Instant now() override;
    WallMs wall() override;
    env::TimerId arm(Instant when, MoveFunction<void()> fire) override;
    void cancel(env::TimerId id) override;
    void post(MoveFunction<void()> task) override;

    /// Runs until stop(). Once.
    void run();
    void stop();
    void post_from_any_thread(MoveFunction<void()> task);
    /// The loop whose thread is calling, or null.
    static EventLoop* current();

    /// Watches the non-blocking socket until it is closed. The handler must live until the end of
    /// the turn in which it closed the socket (delete it in a posted task).
    void watch_socket(int fd, SocketHandler* handler);

    /// Calls handler->on_batch_end() when the socket events that are ready are handled, or sooner
    /// when `bytes` of all that asked add up to much work. Answers that leave together wake a peer
    /// once; one by one they wake it for each. The same handler asks once per batch.
    void at_batch_end(SocketHandler* handler, size_t bytes);

    ShardId shard() const { return shard_; }
    boost::asio::io_context& context() { return context_; }

    /// Every handler that the Asio context calls starts with a Turn: time is read anew once, and
    /// at its end the tasks that the event posted run in order.
    class Turn {
      public:
        explicit Turn(EventLoop& loop) : loop_(loop) { loop_.begin_turn(); }
        ~Turn() { loop_.end_turn(); }
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

      private:
        EventLoop& loop_;
    };

  private:
    void begin_turn();
    void end_turn();
    void wait_for_mail();
    void wait_for_sockets();
    bool run_socket_events();
    void end_batch();
    void arm_tick();
    void on_tick();
    void spin_run();

    ShardId shard_;
    Duration spin_;
    Mailbox mailbox_;  // before mail_signal_, which watches it
    boost::asio::io_context context_;
    boost::asio::steady_timer tick_;
    boost::asio::posix::stream_descriptor mail_signal_;
    int socket_set_;  // epoll
    boost::asio::posix::stream_descriptor socket_signal_;  // owns socket_set_
    std::vector<SocketHandler*> batch_;  // asked for the end of the batch of events
    size_t batch_bytes_ = 0;
    TimerHeap timers_;
    Instant tick_at_ = Instant::never();
    std::vector<MoveFunction<void()>> tasks_;
    std::vector<MoveFunction<void()>> running_;  // reused storage of end_turn
    Instant now_{};
    WallMs wall_{};
    bool now_known_ = false;
    bool wall_known_ = false;
    bool in_turn_ = false;
    bool ended_ = false;
};

}  // namespace millrace::net
