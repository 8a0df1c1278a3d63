// tests/sim/connection.cc: bytes between a client model and an api::Session, as net moves them.
#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/process.h"

namespace millrace::sim {

namespace {
/// Bytes of a killed process arrive within this time or never: before the next one starts.
constexpr Duration kLateBytesMax = milliseconds(8);

std::vector<api::Session*>& buried_sessions() {
    static auto* sessions = new std::vector<api::Session*>();
    return *sessions;
}
}  // namespace

Connection::Connection(World& world, Process& process, uint64_t id, const Caller& caller)
    : world_(world),
      process_(process),
      id_(id),
      owner_(process.incarnation()),
      caller_(caller),
      peer_(caller.peer) {}

void Connection::open() {
    api::ConnectionFacts facts;
    facts.id = id_;
    facts.kind = caller_.listener;
    const bool controller = facts.kind == api::ListenerKind::Controller;
    facts.listener = controller ? "CONTROLLER" : "PLAINTEXT";
    facts.local_host = "10.0.0.1";
    facts.local_port = controller ? 9093 : 9092;
    facts.peer_host = "10.0.0." + std::to_string(7 + caller_.site);
    facts.peer_port = static_cast<uint16_t>(20'000 + id_ % 40'000);
    session_ = std::make_unique<api::Session>(*process_.sessions_, std::move(facts),
                                              [this] { schedule(); });
}

void Connection::schedule() {
    if (std::exchange(scheduled_, true)) return;
    world_.at(world_.now(), owner_, [self = shared_from_this()] {
        self->scheduled_ = false;
        if (self->closed()) return;
        self->session_->resume(self->world_.now());
        self->pump();
    });
}

void Connection::send(std::string bytes) {
    if (closed()) return;
    world_.note_bytes("request", bytes);
    transmit(std::move(bytes), true);
}

/// Cuts the bytes at random places; later pieces arrive later.
void Connection::transmit(std::string bytes, bool to_server) {
    Direction& way = to_server ? to_server_ : to_client_;
    Rng& rng = world_.rng();
    Network* links = process_.site().links;
    const int here = process_.site().number;
    for (size_t at = 0; at < bytes.size();) {
        size_t count = bytes.size() - at;
        if (count > 1 && rng.chance(process_.network.split_percent, 100)) {
            count = 1 + rng.below(rng.chance(1, 2) ? std::min<size_t>(count - 1, 12) : count - 1);
        }
        const Duration delay =
            links == nullptr ? world_.random_delay(process_.network.delay_max)
            : to_server      ? links->delay(caller_.site, here)
                             : links->delay(here, caller_.site);
        // Later than the piece before: the order of one connection is kept.
        put_on_the_way(bytes.substr(at, count), to_server,
                       std::max(way.last + Duration{1}, world_.now() + delay));
        at += count;
    }
}

void Connection::put_on_the_way(std::string bytes, bool to_server, Instant due) {
    Direction& way = to_server ? to_server_ : to_client_;
    way.last = due;
    const bool end = bytes.empty();
    way.pieces.push_back({due, std::move(bytes)});
    const bool in_cluster = process_.site().links != nullptr;
    const Owner owner = !to_server ? caller_.owner : in_cluster ? owner_ : kWorld;
    world_.at(due, owner, [weak = weak_from_this(), to_server,
                           keep = end ? shared_from_this() : nullptr] {
        if (const std::shared_ptr<Connection> self = weak.lock()) self->deliver(to_server);
    });
}

void Connection::deliver(bool to_server) {
    Direction& way = to_server ? to_server_ : to_client_;
    const int here = process_.site().number;
    const int from = to_server ? caller_.site : here;
    const int to = to_server ? here : caller_.site;
    const auto keep = shared_from_this();
    while (!way.pieces.empty() && way.pieces.front().due <= world_.now()) {
        if (Network* links = process_.site().links; links != nullptr && links->is_cut(from, to)) {
            if (!std::exchange(way.stalled, true)) {
                links->wait_for_mending(from, to, weak_from_this(), to_server);
            }
            return;
        }
        const std::string bytes = std::move(way.pieces.front().bytes);
        way.pieces.pop_front();
        if (bytes.empty()) {
            way.pieces.clear();
            if (to_server) {
                drop_session();
            } else if (Peer* end = std::exchange(peer_, nullptr)) {
                end->on_closed();
            }
        } else if (to_server) {
            deliver_to_server(bytes);
        } else if (peer_ != nullptr) {
            peer_->on_bytes(bytes);
        }
    }
}

/// Runs outside of the receiver's events: it has one of its own, so that a pause holds.
void Connection::resume_delivery(bool to_server) {
    (to_server ? to_server_ : to_client_).stalled = false;
    world_.at(world_.now(), to_server ? owner_ : caller_.owner,
              [self = shared_from_this(), to_server] { self->deliver(to_server); });
}

void Connection::deliver_to_server(std::string_view bytes) {
    if (closed()) return;
    inbox_.append(bytes);
    pump();
}

/// The order of steps is that of net::Connection::work.
void Connection::pump() {
    while (!closed()) {
        if (!take_answers()) return;
        if (session_->closing()) {
            if (!draining_) close_from_server();
            return;
        }
        if (session_->wants_resume()) {
            session_->resume(world_.now());
            continue;
        }
        if (inbox_.empty() || !receive()) break;
    }
    if (!closed()) watch_throttle();
}

bool Connection::receive() {
    const api::ReceiveRoom room = session_->receive_room();
    if (room.size() == 0) return false;
    const size_t count = std::min(room.size(), inbox_.size());
    const size_t first = std::min(count, room.parts[0].size);
    if (first > 0) std::memcpy(room.parts[0].data, inbox_.data(), first);
    if (count > first) std::memcpy(room.parts[1].data, inbox_.data() + first, count - first);
    inbox_.erase(0, count);
    session_->on_received(count, world_.now());
    return true;
}

/// Answers leave at once or, with a slow reader on the other side, later.
bool Connection::take_answers() {
    BufferChain taken;
    if (session_->take_output(taken)) outbox_.append(std::move(taken));
    if (outbox_.empty() || draining_) return true;
    if (!world_.rng().chance(process_.network.slow_drain_percent, 100)) {
        send_answers();
        return !closed();
    }
    draining_ = true;
    world_.at(world_.now() + world_.random_delay(milliseconds(300)), owner_,
              [self = shared_from_this()] {
                  self->draining_ = false;
                  if (self->closed()) return;
                  self->send_answers();
                  self->pump();
              });
    return true;
}

void Connection::send_answers() {
    BufferChain leaving = std::move(outbox_);
    outbox_.clear();
    if (leaving.empty()) return;
    Result<Buffer> bytes = leaving.flatten();
    if (!bytes.ok() || bytes->size() != leaving.size()) {
        world_.say("an answer's file cannot be read: " + bytes.status().to_string());
        return close_from_server();
    }
    // A process whose disk has stopped dies with this event: nothing leaves it any more.
    if (process_.disk().halted()) return;
    session_->on_sent(bytes->size());
    world_.note_bytes("answer", bytes->text());
    transmit(std::string(bytes->text()), false);
}

void Connection::close_from_server() {
    if (closed()) return;
    session_.reset();
    world_.cancel(throttle_timer_);
    Peer* peer = std::exchange(peer_, nullptr);
    auto keep = shared_from_this();
    process_.connections_.erase(id_);
    if (peer == nullptr) return;
    if (world_.rng().chance(process_.network.half_open_percent, 100)) return;
    peer_ = peer;  // until the close arrives, behind the bytes on the way
    put_on_the_way("", false, std::max(to_client_.last, world_.now()) + Duration{1});
}

void Connection::drop_session() {
    if (closed()) return;
    const auto keep = shared_from_this();
    session_.reset();
    world_.cancel(throttle_timer_);
    inbox_.clear();
    process_.connections_.erase(id_);
}

void Connection::reset() {
    peer_ = nullptr;
    if (closed()) return;
    world_.note("reset", id_);
    drop_session();
}

void Connection::abandon(bool told) {
    peer_ = nullptr;
    if (closed() || !told) return;
    put_on_the_way("", true, std::max(to_server_.last, world_.now()) + Duration{1});
}

void Connection::bury(bool drop_all) {
    if (closed()) return;
    buried_sessions().push_back(session_.release());
    static auto* chains = new std::vector<BufferChain>();
    chains->push_back(std::move(outbox_));
    Peer* peer = std::exchange(peer_, nullptr);
    if (peer == nullptr || world_.rng().chance(process_.network.half_open_percent, 100)) return;
    // What the dead process had sent may still arrive, or not.
    const bool lost = drop_all || world_.rng().chance(1, 2) ||
                      to_client_.last > world_.now() + kLateBytesMax;
    if (lost) {
        to_client_.pieces.clear();
        to_client_.last = world_.now();
    }
    peer_ = peer;
    put_on_the_way("", false, std::max(to_client_.last, world_.now()) + Duration{1});
}

void Connection::watch_throttle() {
    const Instant until = session_->wake_at();
    if (throttle_timer_ != 0 || until == Instant::never()) return;
    throttle_timer_ = world_.at(until, owner_, [self = shared_from_this()] {
        self->throttle_timer_ = 0;
        if (self->closed()) return;
        self->session_->resume(self->world_.now());
        self->pump();
    });
}

}  // namespace millrace::sim
