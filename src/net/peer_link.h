// src/net/peer_link.h: one outbound connection: its requests, their deadlines, its reconnects.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "millrace/env/background.h"
#include "millrace/env/peers.h"
#include "net/event_loop.h"

namespace millrace::net {

/// Owned by PeerLinks. All calls on the loop's thread; callbacks never run inside send().
class PeerLink final : public SocketHandler, public std::enable_shared_from_this<PeerLink> {
  public:
    PeerLink(EventLoop& loop, env::Background& background, env::PeerAddress address);
    ~PeerLink();
    void send(BufferChain frame, Duration timeout, MoveFunction<void(Result<Buffer>)> done);
    void on_socket(uint32_t events) override;
    /// Drops everything without callbacks; for the end of the process.
    void abandon();

  private:
    enum class State { Idle, Resolving, Connecting, Open, BackingOff };
    struct Request {
        Buffer bytes;  // with the size in front
        size_t sent = 0;
        int32_t correlation_id = 0;
        Instant deadline;
        MoveFunction<void(Result<Buffer>)> done;
    };

    void start();
    void connect_to(const std::string& host, int family);
    bool send_some();
    bool receive_some();
    bool take_answers();
    void lose(Errc errc, const std::string& why);
    void expire();
    void arm_deadline();
    std::string name() const;

    EventLoop& loop_;
    env::Background& background_;
    env::PeerAddress address_;
    State state_ = State::Idle;
    int fd_ = -1;
    std::string system_congestion_;  // what a peer on another host gets back
    std::deque<Request> requests_;  // in order; the first sent_count_ are on their way
    size_t sent_count_ = 0;
    std::vector<uint8_t> received_;
    size_t received_filled_ = 0;
    env::TimerId deadline_timer_ = env::kNoTimer;
    Instant deadline_armed_ = Instant::never();
    env::TimerId back_off_timer_ = env::kNoTimer;
    Duration back_off_;
};

}  // namespace millrace::net
