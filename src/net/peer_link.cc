// src/net/peer_link.cc: one outbound connection: its requests, their deadlines, its reconnects.
#include "net/peer_link.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "millrace/base/endian.h"
#include "net/socket_options.h"

namespace millrace::net {
namespace {

constexpr Duration kBackOffFirst = milliseconds(50);    // reconnect.backoff.ms
constexpr Duration kBackOffMost = milliseconds(1'000);  // reconnect.backoff.max.ms
constexpr size_t kPrefixBytes = 4;
constexpr size_t kReceiveStep = 64U << 10;
constexpr size_t kKeptReceiveBytes = 1U << 20;  // a larger receive buffer is given back when idle
constexpr size_t kAnswerBytesMax = 256U << 20;
constexpr size_t kRequestsMax = 10'000;

/// Where a host name points: the first address, as a number.
struct Resolved {
    std::string host;
    int family = AF_UNSPEC;
};

Resolved resolve(const std::string& name) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return {};
    Resolved result;
    sockaddr_storage address{};
    const addrinfo* chosen = prefer_ipv4(found);
    std::memcpy(&address, chosen->ai_addr, chosen->ai_addrlen);
    result.family = chosen->ai_family;
    result.host = endpoint_of(address).host;
    ::freeaddrinfo(found);
    return result;
}

socklen_t fill_address(sockaddr_storage& address, const std::string& host, int family,
                       uint16_t port) {
    if (family == AF_INET) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        ::inet_pton(AF_INET, host.c_str(), &v4.sin_addr);
        std::memcpy(&address, &v4, sizeof v4);
        return sizeof v4;
    }
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    ::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr);
    std::memcpy(&address, &v6, sizeof v6);
    return sizeof v6;
}

/// Disconnected says that a process is not there; a network in between says nothing about it.
Errc errc_of_connect(int error) {
    return error == 0 || error == ECONNREFUSED || error == ECONNRESET ? Errc::Disconnected
                                                                      : Errc::NotFound;
}

/// The correlation id of a request frame (behind key and version), or -1 when it is too short.
int32_t correlation_id_of(ByteView framed) {
    constexpr size_t kAt = kPrefixBytes + 4;
    return framed.size < kAt + 4 ? -1 : load_big<int32_t>(framed.data + kAt);
}

}  // namespace

PeerLink::PeerLink(EventLoop& loop, env::Background& background, env::PeerAddress address)
    : loop_(loop),
      background_(background),
      address_(std::move(address)),
      back_off_(kBackOffFirst) {}

PeerLink::~PeerLink() { abandon(); }

std::string PeerLink::name() const {
    return address_.host + ":" + std::to_string(address_.port);
}

void PeerLink::abandon() {
    loop_.cancel(deadline_timer_);
    loop_.cancel(back_off_timer_);
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    requests_.clear();
}

void PeerLink::send(BufferChain frame, Duration timeout, MoveFunction<void(Result<Buffer>)> done) {
    auto fail_later = [this, &done](Errc errc, std::string why) {
        loop_.post([callback = std::move(done), errc, text = std::move(why)]() mutable {
            callback(Status(errc, std::move(text)));
        });
    };
    if (requests_.size() >= kRequestsMax) {
        return fail_later(Errc::LimitExceeded, "too many requests wait for " + name());
    }
    Buffer bytes = Buffer::allocate(kPrefixBytes + frame.size());
    store_big(bytes.mutable_data(), static_cast<int32_t>(frame.size()));
    const Result<Buffer> flat = frame.flatten();
    if (!flat.ok()) return fail_later(flat.status().errc(), flat.status().message());
    std::memcpy(bytes.mutable_data() + kPrefixBytes, flat->data(), flat->size());
    Request request;
    request.correlation_id = correlation_id_of(bytes.view());
    request.bytes = std::move(bytes);
    request.deadline = loop_.now() + timeout;
    request.done = std::move(done);
    requests_.push_back(std::move(request));
    arm_deadline();
    if (state_ == State::Idle) {
        start();
    } else if (state_ == State::Open) {
        // Later in this turn, so that frames sent together leave together and failures do not
        // call back from here.
        loop_.post([self = shared_from_this()] {
            if (self->state_ == State::Open) self->send_some();
        });
    }
}

void PeerLink::start() {
    sockaddr_storage unused{};
    if (::inet_pton(AF_INET, address_.host.c_str(), &unused) == 1) {
        return connect_to(address_.host, AF_INET);
    }
    if (::inet_pton(AF_INET6, address_.host.c_str(), &unused) == 1) {
        return connect_to(address_.host, AF_INET6);
    }
    state_ = State::Resolving;
    auto result = std::make_shared<Resolved>();
    background_.run([result, host = address_.host] { *result = resolve(host); },
                    [self = shared_from_this(), result] {
        if (result->family == AF_UNSPEC) {
            return self->lose(Errc::NotFound, "cannot resolve " + self->address_.host);
        }
        self->connect_to(result->host, result->family);
    });
}

void PeerLink::connect_to(const std::string& host, int family) {
    state_ = State::Connecting;
    fd_ = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = errno;
    if (fd_ >= 0) {
        const int one = 1;
        ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        system_congestion_ = choose_congestion(fd_, "");
        sockaddr_storage address{};
        const socklen_t size = fill_address(address, host, family, address_.port);
        const int result = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), size);
        error = result == 0 ? 0 : errno;
        if (error == 0 || error == EINPROGRESS) {
            loop_.watch_socket(fd_, this);  // becomes writable when connected
            return;
        }
    }
    loop_.post([self = shared_from_this(), error] {
        self->lose(errc_of_connect(error),
                   "connect to " + self->name() + ": " + std::strerror(error));
    });
}

void PeerLink::on_socket(uint32_t events) {
    if (fd_ < 0) return;
    if (state_ == State::Connecting) {
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return;
        int error = 0;
        socklen_t size = sizeof error;
        ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0 || (events & (EPOLLERR | EPOLLHUP)) != 0) {
            const std::string why = error != 0 ? std::strerror(error) : "closed";
            return lose(errc_of_connect(error), "connect to " + name() + ": " + why);
        }
        state_ = State::Open;
        const Endpoint local = local_endpoint(fd_);
        restore_congestion(fd_, system_congestion_, local, {address_.host, address_.port});
    }
    if (!send_some()) return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) receive_some();
}

bool PeerLink::send_some() {
    while (sent_count_ < requests_.size()) {
        Request& request = requests_[sent_count_];
        const ssize_t n = ::send(fd_, request.bytes.data() + request.sent,
                                 request.bytes.size() - request.sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN || errno == EWOULDBLOCK) return true;
            lose(Errc::Disconnected, "send to " + name() + ": " + std::strerror(errno));
            return false;
        }
        request.sent += static_cast<size_t>(n);
        if (request.sent < request.bytes.size()) continue;
        request.bytes = Buffer();
        sent_count_ += 1;
    }
    return true;
}

bool PeerLink::receive_some() {
    const std::shared_ptr<PeerLink> alive = shared_from_this();
    for (;;) {
        if (received_.size() - received_filled_ < kReceiveStep) {
            received_.resize(received_filled_ + std::max(kReceiveStep, received_filled_));
        }
        const ssize_t n = ::recv(fd_, received_.data() + received_filled_,
                                 received_.size() - received_filled_, 0);
        if (n > 0) {
            received_filled_ += static_cast<size_t>(n);
            if (!take_answers()) return false;
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
        lose(Errc::Disconnected,
             n == 0 ? name() + " closed the connection"
                    : "receive from " + name() + ": " + std::strerror(errno));
        return false;
    }
}

// Gives every complete answer to its request. False when the connection was lost meanwhile.
bool PeerLink::take_answers() {
    size_t at = 0;
    while (received_filled_ - at >= kPrefixBytes) {
        const int32_t size = load_big<int32_t>(received_.data() + at);
        if (size < 4 || static_cast<size_t>(size) > kAnswerBytesMax) {
            lose(Errc::Corrupt, name() + " sent an answer of " + std::to_string(size) + " bytes");
            return false;
        }
        const size_t bytes = static_cast<size_t>(size);
        if (received_filled_ - at - kPrefixBytes < bytes) break;
        const uint8_t* answer = received_.data() + at + kPrefixBytes;
        if (sent_count_ == 0 || load_big<int32_t>(answer) != requests_.front().correlation_id) {
            lose(Errc::Corrupt, name() + " answered what was not asked");
            return false;
        }
        Buffer frame = Buffer::copy_of(ByteView(answer, bytes));
        at += kPrefixBytes + bytes;
        back_off_ = kBackOffFirst;
        Request request = std::move(requests_.front());
        requests_.pop_front();
        sent_count_ -= 1;
        request.done(std::move(frame));
    }
    received_filled_ -= at;
    std::memmove(received_.data(), received_.data() + at, received_filled_);
    if (received_filled_ == 0 && received_.size() > kKeptReceiveBytes) {
        received_.clear();
        received_.shrink_to_fit();
    }
    return true;
}

// Ends the connection, fails all its requests, and waits a little before the next try.
void PeerLink::lose(Errc errc, const std::string& why) {
    const std::shared_ptr<PeerLink> alive = shared_from_this();
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    received_filled_ = 0;
    sent_count_ = 0;
    state_ = State::BackingOff;
    // The events of this turn may still name this; the owner keeps links for ever.
    back_off_timer_ = loop_.arm(loop_.now() + back_off_, [this] {
        back_off_timer_ = env::kNoTimer;
        state_ = State::Idle;
        if (!requests_.empty()) start();
    });
    back_off_ = std::min(back_off_ * 2, kBackOffMost);
    std::deque<Request> failed;
    failed.swap(requests_);
    for (Request& request : failed) request.done(Status(errc, why));
}

void PeerLink::arm_deadline() {
    Instant earliest = Instant::never();
    for (const Request& request : requests_) earliest = std::min(earliest, request.deadline);
    if (earliest >= deadline_armed_) return;
    loop_.cancel(deadline_timer_);
    deadline_armed_ = earliest;
    deadline_timer_ = loop_.arm(earliest, [this] {
        deadline_timer_ = env::kNoTimer;
        deadline_armed_ = Instant::never();
        expire();
    });
}

void PeerLink::expire() {
    const std::shared_ptr<PeerLink> alive = shared_from_this();
    const Instant now = loop_.now();
    bool sent_one_expired = false;
    std::vector<Request> expired;
    for (size_t i = 0; i < requests_.size();) {
        if (requests_[i].deadline > now) {
            ++i;
            continue;
        }
        const bool started = i < sent_count_ || requests_[i].sent > 0;
        sent_one_expired = sent_one_expired || started;
        if (i < sent_count_) sent_count_ -= 1;
        expired.push_back(std::move(requests_[i]));
        requests_.erase(requests_.begin() + static_cast<ptrdiff_t>(i));
    }
    for (Request& request : expired) {
        request.done(Status(Errc::TimedOut, "no answer from " + name() + " in time"));
    }
    if (sent_one_expired && fd_ >= 0) {
        lose(Errc::Disconnected, "an earlier request to " + name() + " timed out");
    }
    arm_deadline();
}

}  // namespace millrace::net
