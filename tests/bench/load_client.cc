// tests/bench/load_client.cc: many connections in one thread, each answer to its own continuation.
#include "bench/load_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "millrace/base/endian.h"
#include "millrace/wire/gen/find_coordinator_request.h"
#include "millrace/wire/gen/find_coordinator_response.h"
#include "millrace/wire/gen/heartbeat_request.h"
#include "millrace/wire/gen/heartbeat_response.h"

namespace millrace::bench {
namespace {

constexpr int64_t kSilenceNanosMax = 60'000'000'000;
constexpr int64_t kAskAgainNanos = 20'000'000;
constexpr int kEventsMax = 256;

int connect_to(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // Sender and receiver share one host: BBR's pacing would measure the kernel, not the broker.
    ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    return fd;
}

/// Repeats the request until `satisfied` with the answer.
template <class Request>
void ask_until(Client& client, const Request& request, int16_t version,
               bool (*satisfied)(wire::Reader&)) {
    const int64_t until = nanos_now() + kSilenceNanosMax;
    for (bool ready = false; !ready;) {
        if (nanos_now() > until) die("no coordinator");
        bool answered = false;
        client.ask(0, version, request, [&](wire::Reader& reader) {
            ready = satisfied(reader);
            client.after(ready ? 0 : kAskAgainNanos, [&] { answered = true; });
        });
        while (!answered) client.turn(100);
    }
}

/// utime and stime of /proc/PID/stat.
double cpu_of(const std::string& pid) {
    std::ifstream file("/proc/" + pid + "/stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream fields(text.substr(name_end + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

int64_t nanos_now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

Meter::Meter(const Options& options)
    : pid_(options.text("pid", "self")),
      begin_(nanos_now()),
      client_(cpu_seconds()),
      broker_(cpu_of(pid_)) {}

double Meter::seconds() const { return static_cast<double>(nanos_now() - begin_) / 1e9; }

std::string Meter::tail() const {
    char text[128];
    std::snprintf(text, sizeof text, "\"seconds\":%.4f,\"client_cpu_s\":%.3f,\"cpu\":%.3f,\"errors\":0}",
                  seconds(), cpu_seconds() - client_, cpu_of(pid_) - broker_);
    return text;
}

double Sample::quantile(double q) {
    if (values_.empty()) return 0;
    std::sort(values_.begin(), values_.end());
    const auto last = static_cast<double>(values_.size() - 1);
    return values_[static_cast<size_t>(std::floor(q * last + 0.5))];
}

Client::Client(int port, size_t connections) {
    poll_ = ::epoll_create1(EPOLL_CLOEXEC);
    peers_.resize(connections);
    for (size_t i = 0; i < connections; ++i) {
        peers_[i].fd = connect_to(port);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = i;
        ::epoll_ctl(poll_, EPOLL_CTL_ADD, peers_[i].fd, &event);
    }
}

void Client::send(size_t connection, ByteView frame, wire::ApiKey api, int16_t version,
                  Answer then) {
    Peer& peer = peers_[connection];
    peer.out.insert(peer.out.end(), frame.data, frame.data + frame.size);
    peer.waiting.push_back({api, version, std::move(then)});
    if (peer.dirty) return;
    peer.dirty = true;
    dirty_.push_back(connection);
}

void Client::after(int64_t nanos, std::function<void()> then) {
    timers_.push_back({nanos_now() + nanos, std::move(then)});
    std::push_heap(timers_.begin(), timers_.end(),
                   [](const Timer& a, const Timer& b) { return a.at > b.at; });
}

void Client::run_timers() {
    while (!timers_.empty() && timers_.front().at <= nanos_now()) {
        std::pop_heap(timers_.begin(), timers_.end(),
                      [](const Timer& a, const Timer& b) { return a.at > b.at; });
        const std::function<void()> then = std::move(timers_.back().then);
        timers_.pop_back();
        then();
    }
}

void Client::turn(int wait_ms) {
    for (size_t i = 0; i < dirty_.size(); ++i) {
        peers_[dirty_[i]].dirty = false;
        flush(dirty_[i]);
    }
    dirty_.clear();
    if (!timers_.empty()) {
        const int64_t until = std::max<int64_t>(0, timers_.front().at - nanos_now());
        wait_ms = static_cast<int>(std::min<int64_t>(wait_ms, (until + 999'999) / 1'000'000));
    }
    epoll_event events[kEventsMax];
    const int count = ::epoll_wait(poll_, events, kEventsMax, wait_ms);
    for (int i = 0; i < count; ++i) {
        const size_t index = events[i].data.u64;
        if ((events[i].events & EPOLLOUT) != 0) flush(index);
        if ((events[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) read(index);
    }
    run_timers();
}

void Client::flush(size_t index) {
    Peer& peer = peers_[index];
    while (peer.sent < peer.out.size()) {
        const ssize_t sent =
            ::send(peer.fd, peer.out.data() + peer.sent, peer.out.size() - peer.sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) die("send");
        peer.sent += static_cast<size_t>(sent);
    }
    if (peer.sent == peer.out.size()) {
        peer.out.clear();
        peer.sent = 0;
    }
    const bool want = !peer.out.empty();
    if (want == peer.want_write) return;
    peer.want_write = want;
    epoll_event event{};
    event.events = EPOLLIN | (want ? EPOLLOUT : 0U);
    event.data.u64 = index;
    ::epoll_ctl(poll_, EPOLL_CTL_MOD, peer.fd, &event);
}

void Client::read(size_t index) {
    while (true) {
        const ssize_t got = ::recv(peers_[index].fd, room_.data(), room_.size(), 0);
        if (got == 0) die("the broker closed the connection");
        if (got < 0 && errno == EAGAIN) return;
        if (got < 0) die("recv");
        take(index, room_.data(), static_cast<size_t>(got));
        if (static_cast<size_t>(got) < room_.size()) return;
    }
}

void Client::take(size_t index, const uint8_t* data, size_t size) {
    Peer& peer = peers_[index];
    received_ += size;
    while (size > 0) {
        if (peer.in.size() < 4) {
            const size_t step = std::min(4 - peer.in.size(), size);
            peer.in.insert(peer.in.end(), data, data + step);
            data += step;
            size -= step;
            if (peer.in.size() < 4) return;
            peer.left = load_big<uint32_t>(peer.in.data());
            continue;
        }
        const size_t step = std::min(size, peer.left);
        const size_t have = peer.in.size() - 4;
        const size_t keep = have < keep_max_ ? std::min(step, keep_max_ - have) : 0;
        peer.in.insert(peer.in.end(), data, data + keep);
        data += step;
        size -= step;
        peer.left -= step;
        if (peer.left > 0) continue;
        const Waiting waiting = std::move(peer.waiting.front());
        peer.waiting.pop_front();
        wire::Reader reader(Buffer::copy_of(ByteView(peer.in.data() + 4, peer.in.size() - 4)));
        peer.in.clear();
        if (!wire::decode_response_head(reader, waiting.api, waiting.version)) die("answer's head");
        waiting.then(reader);
    }
}

void await_coordinator(Client& client, const std::string& key, int8_t type) {
    wire::FindCoordinatorRequest find;
    find.key = key;
    find.key_type = type;
    ask_until(client, find, 3, [](wire::Reader& reader) {
        wire::FindCoordinatorResponse response;
        if (!response.decode(reader, 3)) die("FindCoordinator");
        return response.error_code == 0;
    });
    if (type != 0) return;  // InitProducerId is asked again by its own caller
    wire::HeartbeatRequest beat;
    beat.group_id = key;
    beat.member_id = "nobody";
    ask_until(client, beat, 4, [](wire::Reader& reader) {
        wire::HeartbeatResponse response;
        if (!response.decode(reader, 4)) die("Heartbeat");
        // UNKNOWN_MEMBER_ID; Kafka answers heartbeats with no error while it loads.
        return response.error_code == 25;
    });
}

}  // namespace millrace::bench
