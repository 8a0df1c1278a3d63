// tests/bench/net_bench.cc: requests per second and CPU per request of the network floor alone.
//
// Runs ApiVersions (refused for its name, the smallest answer there is) against a Server without a
// broker, then a bare epoll echo of the same sizes, each with a raw client in a process of its own:
//     net_bench [connections] [requests in flight each] [seconds]
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "millrace/api/session.h"
#include "millrace/base/endian.h"
#include "millrace/net/runtime.h"
#include "millrace/net/server.h"
#include "millrace/wire/gen/api_versions_request.h"
#include "millrace/wire/headers.h"

namespace {

using namespace millrace;

struct Shape {
    int connections = 64;
    int in_flight = 1;
    int seconds = 3;
};

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto of = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

std::string make_request() {
    wire::Writer writer;
    writer.begin_frame();
    wire::RequestHead head;
    head.api = wire::ApiKey::ApiVersions;
    head.api_version = 3;
    head.client_id = "net_bench";
    wire::encode_request_head(writer, head);
    wire::ApiVersionsRequest request;
    request.client_software_name = "-" + std::string(60, 'x');  // not acceptable: a short answer
    request.client_software_version = "1";
    request.encode(writer, 3);
    const Result<Buffer> flat = writer.finish_frame().flatten();
    return std::string(flat->text());
}

int connect_to(uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/// Counts whole answers in a stream of frames.
struct AnswerCounter {
    std::vector<uint8_t> rest;
    size_t answer_bytes = 0;  // learned from the first
    int take(const uint8_t* data, size_t size) {
        rest.insert(rest.end(), data, data + size);
        if (answer_bytes == 0 && rest.size() >= 4) {
            answer_bytes = 4 + static_cast<size_t>(load_big<int32_t>(rest.data()));
        }
        const size_t whole = answer_bytes == 0 ? 0 : rest.size() / answer_bytes;
        rest.erase(rest.begin(), rest.begin() + static_cast<ptrdiff_t>(whole * answer_bytes));
        return static_cast<int>(whole);
    }
};

/// Returns the number of answers.
uint64_t run_client(uint16_t port, const Shape& shape, const std::string& request) {
    const int poller = ::epoll_create1(0);
    std::vector<AnswerCounter> counters(static_cast<size_t>(shape.connections));
    std::vector<int> sockets;
    std::string burst;
    for (int i = 0; i < shape.in_flight; ++i) burst += request;
    for (int i = 0; i < shape.connections; ++i) {
        sockets.push_back(connect_to(port));
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.u32 = static_cast<uint32_t>(i);
        ::epoll_ctl(poller, EPOLL_CTL_ADD, sockets.back(), &event);
    }
    for (const int fd : sockets) {
        if (::send(fd, burst.data(), burst.size(), 0) < 0) std::abort();
    }
    uint64_t answers = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(shape.seconds);
    std::vector<uint8_t> room(256 * 1024);
    for (uint32_t turn = 0;; ++turn) {
        epoll_event events[128];
        const int count = ::epoll_wait(poller, events, 128, 1000);
        for (int i = 0; i < count; ++i) {
            const uint32_t at = events[i].data.u32;
            const ssize_t n = ::recv(sockets[at], room.data(), room.size(), MSG_DONTWAIT);
            if (n <= 0) continue;
            const int whole = counters[at].take(room.data(), static_cast<size_t>(n));
            answers += static_cast<uint64_t>(whole);
            const size_t bytes = request.size() * static_cast<size_t>(whole);
            if (bytes > 0 && ::send(sockets[at], burst.data(), bytes, 0) < 0) std::abort();
        }
        if (turn % 64 == 0 && std::chrono::steady_clock::now() >= end) break;
    }
    return answers;
}

/// Runs the client in a child; calls `ended` (on another thread) with its number of answers.
template <class Ended>
std::thread start_client(uint16_t port, const Shape& shape, const std::string& request,
                         Ended ended) {
    int pipe_ends[2];
    if (::pipe(pipe_ends) != 0) std::abort();
    const pid_t child = ::fork();
    if (child == 0) {
        const uint64_t answers = run_client(port, shape, request);
        const bool told = ::write(pipe_ends[1], &answers, sizeof answers) == sizeof answers;
        ::_exit(told ? 0 : 1);
    }
    ::close(pipe_ends[1]);
    return std::thread([fd = pipe_ends[0], child, ended] {
        uint64_t answers = 0;
        if (::read(fd, &answers, sizeof answers) != sizeof answers) answers = 0;
        ::close(fd);
        ::waitpid(child, nullptr, 0);
        ended(answers);
    });
}

void report(const char* name, uint64_t answers, double cpu, const Shape& shape) {
    const double count = static_cast<double>(answers);
    std::printf("%-8s %9.0f requests/s  %6.3f us of CPU each\n", name, count / shape.seconds,
                cpu / count * 1e6);
}

void bench_server(const Shape& shape, const std::string& request) {
    net::Runtime runtime({});
    api::SessionHost host(nullptr, {});
    net::Server server(runtime, ShardId{0}, host, {});
    net::ListenerOptions options;
    options.host = "127.0.0.1";
    options.port = 0;
    options.backlog = 1024;
    const Result<uint16_t> port = server.listen(options);
    if (!port.ok()) std::abort();
    uint64_t answers = 0;
    const double before = cpu_seconds();
    std::thread client = start_client(*port, shape, request, [&](uint64_t n) {
        answers = n;
        runtime.stop();
    });
    runtime.run({});
    const double cpu = cpu_seconds() - before;
    client.join();
    report("server", answers, cpu, shape);
}

/// Answers every read with 26 bytes, the size of the refusal, per request.
void bench_echo(const Shape& shape, const std::string& request) {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
    ::setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    const int one = 1;
    ::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::listen(listener, 1024);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    uint64_t answers = 0;
    const double before = cpu_seconds();
    std::thread client = start_client(ntohs(address.sin_port), shape, request,
                                      [&](uint64_t n) { answers = n; });
    const int poller = ::epoll_create1(0);
    for (int i = 0; i < shape.connections; ++i) {
        const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLET;
        event.data.fd = fd;
        ::epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
    std::vector<uint8_t> room(256 * 1024);
    std::string answer(22, '\0');
    answer[3] = 18;
    std::string answers_text;
    for (int i = 0; i < shape.in_flight; ++i) answers_text += answer;
    for (int open = shape.connections; open > 0;) {
        epoll_event events[128];
        const int count = ::epoll_wait(poller, events, 128, -1);
        for (int i = 0; i < count; ++i) {
            const int fd = events[i].data.fd;
            const ssize_t n = ::recv(fd, room.data(), room.size(), 0);
            if (n > 0) {
                const size_t whole = static_cast<size_t>(n) / request.size();
                if (::send(fd, answers_text.data(), answer.size() * whole, MSG_NOSIGNAL) < 0) {
                    continue;
                }
            } else if (n == 0 || errno != EAGAIN) {
                ::close(fd);
                open -= 1;
            }
        }
    }
    const double cpu = cpu_seconds() - before;
    client.join();
    report("echo", answers, cpu, shape);
}

}  // namespace

int main(int argc, char** argv) {
    Shape shape;
    if (argc > 1) shape.connections = std::atoi(argv[1]);
    if (argc > 2) shape.in_flight = std::atoi(argv[2]);
    if (argc > 3) shape.seconds = std::atoi(argv[3]);
    const std::string request = make_request();
    std::printf("%d connections, %d in flight, requests of %zu bytes\n", shape.connections,
                shape.in_flight, request.size());
    for (int round = 0; round < 2; ++round) {
        bench_echo(shape, request);
        bench_server(shape, request);
    }
    return 0;
}
