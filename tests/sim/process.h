// tests/sim/process.h: one broker process on the simulated disk, and its client connections.
//
// The real broker::Node and api::Session on simulated ports. A kill runs no destructor: everything
// the process owned is set aside, as a real kill would. A clean stop destroys it in the order of
// src/app/run.cc, so that owed answers are found out.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/api/session.h"
#include "millrace/broker/config.h"
#include "millrace/broker/node.h"
#include "sim/network.h"
#include "sim/servers.h"
#include "sim/world.h"

namespace millrace::sim {

class Connection;
class PeerLinks;
class Process;

/// The client's end of a connection.
class Peer {
  public:
    virtual ~Peer() = default;
    virtual void on_bytes(std::string_view bytes) = 0;
    /// Closed by the server or by the network; at most once, and nothing comes afterwards.
    virtual void on_closed() = 0;
};

/// Stands between a node and those who ask it, and may alter what is said: planted faults (zoo.h).
class Meddler {
  public:
    virtual ~Meddler() = default;
    /// `frame` without length prefix, from a site. True: `answer` is what the sender hears, and
    /// nothing leaves.
    virtual bool on_request(int from, Process& to, std::string& frame, std::string& answer) = 0;
    virtual void on_answer(int from, Process& to, std::string_view request, std::string& answer) = 0;
};

/// Who connects, and to which listener.
struct Caller {
    Peer* peer = nullptr;
    int site = kClientSite;
    Owner owner = kWorld;  // of the events that carry bytes to the peer
    api::ListenerKind listener = api::ListenerKind::Broker;
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
    Connection(World& world, Process& process, uint64_t id, const Caller& caller);
    void open();
    void send(std::string bytes);
    /// By the client (or the network for it): nothing on the way arrives any more.
    void reset();
    /// The client's process ended: the server may hear of it, behind what is on the way.
    void abandon(bool told);
    /// A cut on the way was lifted.
    void resume_delivery(bool to_server);
    bool closed() const { return session_ == nullptr; }

  private:
    friend class Process;
    /// Bytes on the way; none: the end of the stream.
    struct Piece {
        Instant due;
        std::string bytes;
    };
    struct Direction {
        std::deque<Piece> pieces;
        Instant last{};
        bool stalled = false;
    };
    void transmit(std::string bytes, bool to_server);
    void put_on_the_way(std::string bytes, bool to_server, Instant due);
    void deliver(bool to_server);
    void deliver_to_server(std::string_view bytes);
    void pump();
    bool receive();
    bool take_answers();
    void send_answers();
    void close_from_server();
    void drop_session();
    void watch_throttle();
    void schedule();
    void bury(bool drop_all);

    World& world_;
    Process& process_;
    uint64_t id_;
    Owner owner_;
    Caller caller_;
    Peer* peer_;
    std::unique_ptr<api::Session> session_;
    std::string inbox_;          // arrived at the server, not yet read
    BufferChain outbox_;         // taken from the session, not yet sent
    bool draining_ = false;
    bool scheduled_ = false;
    uint64_t throttle_timer_ = 0;
    Direction to_server_;
    Direction to_client_;
};

enum class Crash { Process, Machine };

/// Where a process runs. A lone node needs none of it.
struct Site {
    int number = 0;                     // of the node in its cluster, from 1
    support::SimDisk* disk = nullptr;   // null: the world's
    Network* links = nullptr;           // null: no cuts
    Hosts* hosts = nullptr;             // null: no other nodes
};

class Process : public Servers {
  public:
    enum class State { Down, Starting, Up, Stopping };

    Process(World& world, metadata::ConfigMap config, uint64_t seed, Site site = {});
    ~Process() override;
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
    bool started() const { return started_ && node_ != nullptr; }
    Owner incarnation() const { return incarnation_; }
    broker::Node& node() { return *node_; }
    const std::string& last_error() const { return last_error_; }
    /// The process wants to end itself (on_fatal, or a failed start).
    bool fatal() const { return fatal_; }
    const std::vector<std::string>& log_dirs() const { return config_.log_dirs; }

    /// Null while nothing listens there.
    std::shared_ptr<Connection> connect(const Caller& caller);
    /// A lone node serves everything.
    Process* server_for(const Target&) override { return this; }
    std::vector<Process*> all_servers() override { return {this}; }
    /// Breaks one of its connections.
    void break_a_connection(Rng& rng);
    /// Stands still (SIGSTOP) for that long.
    void pause(Duration time);
    /// It fetches from no leader for that long.
    void hold_fetches(Duration time);
    bool paused() const { return world_.now() < paused_until_; }

    support::SimDisk& disk() { return disk_; }
    const Site& site() const { return site_; }
    const broker::BrokerConfig& config() const { return config_; }
    /// How far its machine's wall clock is off from now on, restarts or not.
    void set_wall_shift(int64_t ms);
    /// Alters the frames between nodes, for planted faults; null: none.
    Meddler* meddler = nullptr;
    /// As what it formats: a quorum of its own, a voter of controller.quorum.voters, one of the
    /// first voters of a dynamic quorum, or a node that may be made a voter later.
    enum class Quorum { Alone, Static, Initial, Later };
    Quorum quorum = Quorum::Alone;
    std::string initial_voters;  // as kafka-storage takes them
    /// Of the directory of the metadata log; zero when it is not formatted.
    Uuid directory_id();
    /// Another, empty disk. REQUIRES: down.
    void lose_disk();

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

    bool listens(api::ListenerKind listener) const;

    World& world_;
    uint64_t seed_;
    Site site_;
    support::SimDisk& disk_;
    broker::BrokerConfig config_;
    State state_ = State::Down;
    Owner incarnation_ = 0;
    Duration background_delay_max_ = milliseconds(20);
    ProcessPorts* ports_ = nullptr;  // never freed: later events may refer to it
    std::unique_ptr<PeerLinks> peers_;
    std::unique_ptr<api::SessionHost> sessions_;
    std::unique_ptr<broker::Node> node_;
    bool started_ = false;  // node_->start() succeeded
    Instant paused_until_{};
    int64_t wall_shift_ms_ = 0;
    std::map<uint64_t, std::shared_ptr<Connection>> connections_;
    uint64_t next_connection_ = 1;
    std::string last_error_;
    bool fatal_ = false;
    uint64_t disks_lost_ = 0;
};

}  // namespace millrace::sim
