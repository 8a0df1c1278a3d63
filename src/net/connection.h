// src/net/connection.h: pumps bytes between one socket and its session.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/api/session.h"
#include "millrace/base/bytes.h"
#include "millrace/base/time.h"
#include "millrace/env/timers.h"
#include "net/event_loop.h"

namespace millrace::net {

class Connection;

/// What a connection reports to the server that owns it.
class ConnectionOwner {
  public:
    /// Bytes moved: the connection is not idle.
    virtual void on_activity(Connection& connection) = 0;
    /// The socket is closed; the owner deletes the connection after the current turn.
    virtual void on_closed(Connection& connection) = 0;
    virtual void count_traffic(size_t received, size_t sent) = 0;

  protected:
    ~ConnectionOwner() = default;
};

/// What all connections of a server have in common.
struct ConnectionParts {
    EventLoop& loop;
    ConnectionOwner& owner;
    api::SessionHost& host;
    size_t sendfile_bytes_min;
};

/// Owned by Server. Reads only while the session has room, sends answers when the loop's batch of
/// events is handled, and asks for write readiness only after the kernel refused bytes.
class Connection final : public SocketHandler {
  public:
    Connection(const ConnectionParts& parts, int fd, api::ConnectionFacts facts);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void on_socket(uint32_t events) override;
    void on_batch_end() override;
    void close();
    /// Nothing in flight and nothing to send.
    bool quiet() const { return session_.in_flight() == 0 && output_.empty(); }
    bool closed() const { return fd_ < 0; }
    const api::ConnectionFacts& facts() const { return session_.facts(); }

    // The owner's list, least recently active first.
    Connection* previous = nullptr;
    Connection* next = nullptr;
    Instant last_active{};

  private:
    enum class Sent { All, Blocked, Broken };

    void schedule();
    void work();
    size_t receive();
    bool send_ready();
    Sent send_output();
    Sent send_memory();
    Sent send_file(ChainPiece& piece);
    bool load_short_slice(ChainPiece& piece);
    void advance(size_t bytes);
    void watch_throttle();

    EventLoop& loop_;
    ConnectionOwner& owner_;
    api::SessionHost& host_;
    int fd_;
    size_t sendfile_bytes_min_;
    api::Session session_;
    std::vector<ChainPiece> output_;  // from output_at_ on: still to be sent
    size_t output_at_ = 0;
    size_t piece_sent_ = 0;           // bytes of output_[output_at_] that are sent
    BufferChain taken_;               // reused by send_ready
    env::TimerId throttle_timer_ = env::kNoTimer;
    bool readable_ = false;
    bool peer_ended_ = false;  // it sends nothing more: read to the end
    bool write_blocked_ = false;
    bool scheduled_ = false;
};

}  // namespace millrace::net
