// include/millrace/net/server.h: listeners of one shard, and the connections they accepted.
//
// Reads sockets into api::Session (slabs and frames are the session's memory) and writes what it answers; understands no protocol. Limits and
// their order are Kafka's (dataplane.md A.5; SocketServer.ConnectionQuotas).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "millrace/api/session.h"
#include "millrace/base/ids.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"

namespace millrace::net {

class Runtime;

struct ListenerOptions {
    std::string name = "PLAINTEXT";
    api::ListenerKind kind = api::ListenerKind::Broker;
    api::SecurityProtocol security = api::SecurityProtocol::Plaintext;  // only Plaintext is served
    std::string host;            // numeric or a name; empty: all interfaces, IPv6 and IPv4
    uint16_t port = 9092;        // 0: chosen by the kernel, see Server::listen
    int backlog = 1024;          // socket.listen.backlog.size (Kafka's 50 is soon full)
    int send_buffer_bytes = 0;   // <= 0: left to autotuning (Kafka's 102400 costs half the speed)
    int receive_buffer_bytes = 0;
    /// TCP_CONGESTION for accepted connections; empty: cubic, else reno, for peers on this host,
    /// and the system's choice for others (BBR on loopback costs six times the CPU).
    std::string congestion;
    uint32_t max_connections = 0x7fffffff;       // listener.name.x.max.connections
    uint32_t max_creation_rate = 0x7fffffff;     // listener.name.x.max.connection.creation.rate
    bool reuse_port = false;     // every shard listens on the same port
};

/// Over all listeners of a server; may change while it runs.
struct ServerLimits {
    uint32_t max_connections = 0x7fffffff;
    uint32_t max_creation_rate = 0x7fffffff;  // max.connection.creation.rate, per second
    uint32_t max_connections_per_ip = 0x7fffffff;
    std::map<std::string, uint32_t> max_connections_per_ip_overrides;  // numeric host -> count
};

struct ServerOptions {
    Duration connections_max_idle = milliseconds(600'000);  // negative: never
    ServerLimits limits;
    size_t sendfile_bytes_min = 16U << 10;  // shorter file slices are read and gathered
};

struct ServerCounters {
    uint64_t accepted = 0;
    uint64_t refused = 0;       // closed at once by a limit
    uint64_t idle_closed = 0;
    uint64_t received_bytes = 0;
    uint64_t sent_bytes = 0;
    uint32_t open = 0;
};

/// Owned by main beside the shard it serves; every call on that shard's thread. Destroying it
/// closes all sockets at once.
class Server {
  public:
    Server(Runtime& runtime, ShardId shard, api::SessionHost& host, ServerOptions options);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Binds, listens and accepts; the port that was bound.
    Result<uint16_t> listen(const ListenerOptions& options);
    /// Binds without accepting (Kafka learns port 0 early); start_accepting() opens all of them.
    Result<uint16_t> bind(const ListenerOptions& options);
    void start_accepting();
    /// Those of one kind: controllers have to hear each other before the broker is ready.
    void start_accepting(api::ListenerKind kind);
    /// Accepts nothing more; calls `done` when every request in flight is answered and sent, or at
    /// `deadline`, and closes the connections.
    void drain(Instant deadline, MoveFunction<void()> done);
    /// Limits that changed while running; connections that are open stay.
    void set_limits(ServerLimits limits);
    /// Called before connections are accepted, and every second while a limit holds them back:
    /// the place to call set_limits with what the configuration says now.
    void before_accept(MoveFunction<void()> hook);
    const ServerCounters& counters() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace millrace::net
