// tests/sim/process.h: one broker process on the simulated disk, and its client connections.
//
// The real broker::Node and api::Session on simulated ports. A kill runs no destructor: everything
// the process owned is set aside, as a real kill would. A clean stop destroys it in the order of
// src/app/run.cc, so that owed answers are found out.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/api/session.h"
#include "millrace/broker/config.h"
#include "millrace/broker/node.h"
#include "sim/world.h"

namespace millrace::sim {

class Connection;
class Process;

/// The client's end of a connection.
class Peer {
  public:
    virtual ~Peer() = default;
    virtual void on_bytes(std::string_view bytes) = 0;
    /// Closed by the server or by the network; at most once, and nothing comes afterwards.
    virtual void on_closed() = 0;
};

struct NetworkOptions {
    Duration delay_max = milliseconds(2);
    uint64_t split_percent = 10;        // chance that a run of bytes is cut in two, again and again
    uint64_t slow_drain_percent = 2;    // chance that answers wait before they leave the server
    uint64_t half_open_percent = 0;     // chance that a close is never told
};

/// A byte stream between a Peer and a Session. Order is kept in each direction.
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(World& world, Process& process, uint64_t id, Peer* peer);
    void open();
    void send(std::string bytes);
    /// By the client (or the network for it): nothing on the way arrives any more.
    void reset();
    bool closed() const { return session_ == nullptr; }

  private:
    friend class Process;
    void transmit(std::string bytes, bool to_server);
    void deliver_to_server(std::string_view bytes);
    void pump();
    bool receive();
    bool take_answers();
    void send_answers();
    void close_from_server();
    void watch_throttle();
    void schedule();
    void bury(bool drop_all);

    World& world_;
    Process& process_;
    uint64_t id_;
    Owner owner_;
    Peer* peer_;
    std::unique_ptr<api::Session> session_;
    std::string inbox_;          // arrived at the server, not yet read
    BufferChain outbox_;         // taken from the session, not yet sent
    bool draining_ = false;
    bool scheduled_ = false;
    uint64_t throttle_timer_ = 0;
    Instant last_to_server_{};
    Instant last_to_client_{};
};

enum class Crash { Process, Machine };

class Process {
  public:
    enum class State { Down, Starting, Up, Stopping };

    Process(World& world, metadata::ConfigMap config, uint64_t seed);
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    /// Formats the directories that are not formatted; fails where the disk fails.
    Status format();
    /// Starts; state Starting or, where the start failed, Down with `last_error`.
    void start();
    void kill(Crash kind);
    /// Controlled shutdown; Down follows.
    void stop();
    /// After on_fatal: what src/app/run.cc does then, without a controlled shutdown.
    void exit_after_fatal();

    State state() const { return state_; }
    bool up() const { return state_ == State::Up; }
    Owner incarnation() const { return incarnation_; }
    broker::Node& node() { return *node_; }
    const std::string& last_error() const { return last_error_; }
    /// The process wants to end itself (on_fatal, or a failed start).
    bool fatal() const { return fatal_; }
    const std::vector<std::string>& log_dirs() const { return config_.log_dirs; }

    /// Null while nothing listens.
    std::shared_ptr<Connection> connect(Peer* peer);

    NetworkOptions network;
    /// How long background work and syncs take at the most, from now on.
    void set_background_delay_max(Duration delay);
    /// What a machine crash does with unsynced bytes.
    support::CrashStyle crash_style = support::CrashStyle::Random;
    /// Told of every end of a process, after it; true when it was a clean stop.
    MoveFunction<void(Crash, bool clean)> on_down;

  private:
    friend class Connection;
    void went_down(Crash kind, bool clean);
    void destroy();

    World& world_;
    uint64_t seed_;
    broker::BrokerConfig config_;
    State state_ = State::Down;
    Owner incarnation_ = 0;
    Duration background_delay_max_ = milliseconds(20);
    ProcessPorts* ports_ = nullptr;  // never freed: later events may refer to it
    std::unique_ptr<api::SessionHost> sessions_;
    std::unique_ptr<broker::Node> node_;
    std::map<uint64_t, std::shared_ptr<Connection>> connections_;
    uint64_t next_connection_ = 1;
    std::string last_error_;
    bool fatal_ = false;
};

}  // namespace millrace::sim
