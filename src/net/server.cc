// src/net/server.cc: listeners of one shard, and the connections they accepted.
#include "millrace/net/server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "millrace/base/assert.h"
#include "millrace/base/log.h"
#include "millrace/net/runtime.h"
#include "net/connection.h"
#include "net/connection_limits.h"
#include "net/event_loop.h"
#include "net/socket_options.h"

namespace millrace::net {
namespace {

const LogChannel kLog{"net"};
constexpr int kAcceptsPerTurnMax = 64;
constexpr Duration kAcceptPause = milliseconds(100);  // when descriptors or memory ran out
constexpr Duration kFullRecheck = seconds(1);          // limits may change meanwhile
constexpr Duration kDrainPoll = milliseconds(5);
// The sweep wakes at the earliest possible expiry, and at most this often.
constexpr Duration kIdleSweepMin = milliseconds(50);
// Ids of shards interleave so that they are unique in the process.
constexpr uint64_t kConnectionIdsPerShard = 1ULL << 40;

using Descriptor = boost::asio::posix::stream_descriptor;

}  // namespace

struct Server::Impl final : public ConnectionOwner, public std::enable_shared_from_this<Impl> {
    struct Listener {
        Listener(EventLoop& loop, int fd, ListenerOptions wanted)
            : socket(loop.context(), fd),
              options(std::move(wanted)),
              system_congestion(choose_congestion(fd, options.congestion)),
              rate(options.max_creation_rate) {}
        Descriptor socket;
        ListenerOptions options;
        std::string system_congestion;
        CreationRate rate;
        uint32_t open = 0;
        bool enabled = false;    // start_accepting named it
        bool accepting = false;  // an async_wait is outstanding
        bool paused = false;     // a timer will go on
    };
    /// A connection and the listener that counts it.
    struct Entry {
        Entry(const ConnectionParts& parts, int fd, api::ConnectionFacts facts, Listener& from)
            : connection(parts, fd, std::move(facts)), listener(from) {}
        Connection connection;
        Listener& listener;
    };

    Impl(EventLoop& event_loop, api::SessionHost& session_host, ServerOptions wanted)
        : loop(event_loop),
          host(session_host),
          options(std::move(wanted)),
          per_address(options.limits.max_connections_per_ip,
                      options.limits.max_connections_per_ip_overrides),
          rate(options.limits.max_creation_rate),
          next_id(loop.shard().value * kConnectionIdsPerShard + 1) {}

    void on_activity(Connection& connection) override;
    void on_closed(Connection& connection) override;
    void count_traffic(size_t received, size_t sent) override {
        counters.received_bytes += received;
        counters.sent_bytes += sent;
    }

    void wait_for_accept(Listener& listener);
    void accept_some(Listener& listener);
    void accepted(Listener& listener, int fd, const Endpoint& peer);
    void pause(Listener& listener, Duration time);
    bool full(const Listener& listener) const {
        return counters.open >= options.limits.max_connections ||
               listener.open >= listener.options.max_connections;
    }
    void resume_accepting();
    void arm_idle_sweep();
    void sweep_idle();
    void link_last(Connection& connection);
    void unlink(Connection& connection);
    void poll_drain();
    void stop();

    EventLoop& loop;
    api::SessionHost& host;
    ServerOptions options;
    PerAddressLimit per_address;
    CreationRate rate;
    uint64_t next_id;
    ServerCounters counters;
    std::vector<std::unique_ptr<Listener>> listeners;
    std::map<const Connection*, std::unique_ptr<Entry>> entries;
    Connection* oldest = nullptr;
    Connection* newest = nullptr;
    env::TimerId idle_timer = env::kNoTimer;
    env::TimerId drain_timer = env::kNoTimer;
    Instant drain_deadline = Instant::never();
    MoveFunction<void()> drained;
    MoveFunction<void()> before_accept;
    bool accepting = false;
    bool stopped = false;
};

void Server::Impl::wait_for_accept(Listener& listener) {
    if (!accepting || !listener.enabled || listener.accepting || listener.paused) return;
    if (full(listener)) {
        if (before_accept) pause(listener, kFullRecheck);
        return;
    }
    listener.accepting = true;
    listener.socket.async_wait(
        Descriptor::wait_read,
        [self = shared_from_this(), &listener](const boost::system::error_code& error) {
            if (error || self->stopped) return;
            const EventLoop::Turn turn(self->loop);
            listener.accepting = false;
            self->accept_some(listener);
            self->wait_for_accept(listener);
        });
}

void Server::Impl::accept_some(Listener& listener) {
    if (before_accept) before_accept();
    for (int i = 0; i < kAcceptsPerTurnMax && accepting && !listener.paused; ++i) {
        if (full(listener)) return;  // on_closed goes on; peers wait in the backlog meanwhile
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        const int fd = ::accept4(listener.socket.native_handle(),
                                 reinterpret_cast<sockaddr*>(&address), &size,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted(listener, fd, endpoint_of(address));
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        if (errno == EINTR || errno == ECONNABORTED) continue;
        // Out of descriptors or memory: the backlog stays readable, so waiting at once would spin.
        log_error(kLog, "accept on {}: {}; trying again in {} ms", listener.options.name,
                  std::strerror(errno), kAcceptPause.millis());
        pause(listener, kAcceptPause);
    }
}

void Server::Impl::accepted(Listener& listener, int fd, const Endpoint& peer) {
    const Duration wait = std::max(listener.rate.take(loop.now()), rate.take(loop.now()));
    if (wait.nanos > 0) pause(listener, wait);
    if (!per_address.add(peer.host)) {
        ::close(fd);
        counters.refused += 1;
        log_info(kLog, "refused {}: max.connections.per.ip reached", peer.host);
        return;
    }
    const Endpoint local = local_endpoint(fd);
    restore_congestion(fd, listener.system_congestion, local, peer);
    api::ConnectionFacts facts;
    facts.id = next_id++;
    facts.listener = listener.options.name;
    facts.kind = listener.options.kind;
    facts.security = listener.options.security;
    facts.local_host = local.host;
    facts.local_port = local.port;
    facts.peer_host = peer.host;
    facts.peer_port = peer.port;
    const ConnectionParts parts{loop, *this, host, options.sendfile_bytes_min};
    auto entry = std::make_unique<Entry>(parts, fd, std::move(facts), listener);
    Connection& connection = entry->connection;
    entries.emplace(&connection, std::move(entry));
    listener.open += 1;
    counters.open += 1;
    counters.accepted += 1;
    connection.last_active = loop.now();
    link_last(connection);
    arm_idle_sweep();
}

void Server::Impl::pause(Listener& listener, Duration time) {
    if (listener.paused) return;
    listener.paused = true;
    loop.arm(loop.now() + time, [weak = weak_from_this(), &listener] {
        const std::shared_ptr<Impl> self = weak.lock();
        if (!self || self->stopped) return;
        listener.paused = false;
        if (self->before_accept) self->before_accept();
        self->wait_for_accept(listener);
    });
}

void Server::Impl::resume_accepting() {
    for (const auto& listener : listeners) wait_for_accept(*listener);
}

void Server::Impl::on_activity(Connection& connection) {
    connection.last_active = loop.now();
    if (newest == &connection) return;
    unlink(connection);
    link_last(connection);
}

void Server::Impl::on_closed(Connection& connection) {
    const auto found = entries.find(&connection);
    MILLRACE_ASSERT(found != entries.end(), "a connection closes once");
    unlink(connection);
    per_address.remove(connection.facts().peer_host);
    found->second->listener.open -= 1;
    counters.open -= 1;
    // It may be in the middle of one of its functions, and named by events of this turn.
    loop.post([self = shared_from_this(), key = &connection] {
        self->entries.erase(key);
        if (!self->stopped) self->resume_accepting();
    });
}

void Server::Impl::link_last(Connection& connection) {
    connection.previous = newest;
    connection.next = nullptr;
    (newest == nullptr ? oldest : newest->next) = &connection;
    newest = &connection;
}

void Server::Impl::unlink(Connection& connection) {
    (connection.previous == nullptr ? oldest : connection.previous->next) = connection.next;
    (connection.next == nullptr ? newest : connection.next->previous) = connection.previous;
    connection.previous = connection.next = nullptr;
}

void Server::Impl::arm_idle_sweep() {
    if (idle_timer != env::kNoTimer || oldest == nullptr || stopped) return;
    if (options.connections_max_idle.nanos < 0) return;
    const Instant expiry = oldest->last_active + options.connections_max_idle;
    idle_timer = loop.arm(std::max(expiry, loop.now() + kIdleSweepMin), [weak = weak_from_this()] {
        const std::shared_ptr<Impl> self = weak.lock();
        if (!self || self->stopped) return;
        self->idle_timer = env::kNoTimer;
        self->sweep_idle();
        self->arm_idle_sweep();
    });
}

// Idle means no bytes either way, also while a request is parked (dataplane.md A.5).
void Server::Impl::sweep_idle() {
    const Instant now = loop.now();
    while (oldest != nullptr && now - oldest->last_active >= options.connections_max_idle) {
        counters.idle_closed += 1;
        log_debug(kLog, "closing {}: idle", oldest->facts().peer());
        oldest->close();
    }
}

void Server::Impl::poll_drain() {
    bool quiet = true;
    for (const Connection* c = oldest; c != nullptr && quiet; c = c->next) quiet = c->quiet();
    if (!quiet && loop.now() < drain_deadline) {
        drain_timer = loop.arm(loop.now() + kDrainPoll, [weak = weak_from_this()] {
            const std::shared_ptr<Impl> self = weak.lock();
            if (self && !self->stopped) self->poll_drain();
        });
        return;
    }
    while (oldest != nullptr) oldest->close();
    MoveFunction<void()> done = std::move(drained);
    drained = nullptr;
    if (done) done();
}

void Server::Impl::stop() {
    stopped = true;
    accepting = false;
    loop.cancel(idle_timer);
    loop.cancel(drain_timer);
    for (const auto& listener : listeners) {
        boost::system::error_code ignored;
        listener->socket.close(ignored);
    }
    while (oldest != nullptr) oldest->close();
}

Server::Server(Runtime& runtime, ShardId shard, api::SessionHost& host, ServerOptions options)
    : impl_(std::make_shared<Impl>(runtime.loop(shard), host, std::move(options))) {}

Server::~Server() {
    impl_->stop();
    // Sessions must not outlive their host; nothing of the server is on the stack here.
    impl_->entries.clear();
}

Result<uint16_t> Server::bind(const ListenerOptions& options) {
    if (options.security != api::SecurityProtocol::Plaintext) {
        return {Errc::Unsupported, "listener " + options.name + ": only PLAINTEXT is served"};
    }
    MILLRACE_TRY_ASSIGN(const int fd, bind_listener(options));
    impl_->listeners.push_back(std::make_unique<Impl::Listener>(impl_->loop, fd, options));
    return local_endpoint(fd).port;
}

void Server::start_accepting() {
    start_accepting(api::ListenerKind::Controller);
    start_accepting(api::ListenerKind::Broker);
}

void Server::start_accepting(api::ListenerKind kind) {
    impl_->accepting = true;
    for (const auto& listener : impl_->listeners) {
        if (listener->options.kind != kind || listener->enabled) continue;
        listener->enabled = true;
        if (::listen(listener->socket.native_handle(), listener->options.backlog) != 0) {
            log_error(kLog, "listen on {}: {}", listener->options.name, std::strerror(errno));
        }
    }
    impl_->resume_accepting();
}

Result<uint16_t> Server::listen(const ListenerOptions& options) {
    MILLRACE_TRY_ASSIGN(const uint16_t port, bind(options));
    start_accepting();
    return port;
}

void Server::drain(Instant deadline, MoveFunction<void()> done) {
    impl_->accepting = false;
    for (const auto& listener : impl_->listeners) {
        boost::system::error_code ignored;
        listener->socket.close(ignored);
    }
    impl_->drain_deadline = deadline;
    impl_->drained = std::move(done);
    impl_->poll_drain();
}

void Server::set_limits(ServerLimits limits) {
    impl_->per_address.set_limits(limits.max_connections_per_ip,
                                  std::move(limits.max_connections_per_ip_overrides));
    impl_->rate.set_limit(limits.max_creation_rate);
    impl_->options.limits.max_connections = limits.max_connections;
}

void Server::before_accept(MoveFunction<void()> hook) { impl_->before_accept = std::move(hook); }

const ServerCounters& Server::counters() const { return impl_->counters; }

}  // namespace millrace::net
