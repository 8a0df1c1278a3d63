// tests/bench/load.cc: raw load for any Kafka broker: batch replay, raw fetch, latency, canary.
//
// Client libraries cost more than the broker does, so this one sends batches that were encoded and
// checksummed beforehand over K connections with D requests in flight each, and reads answers
// without looking at more than the error. One thread, epoll. Prints one JSON line.
//   load produce  --port P --topic T --partitions N --connections K --depth D --batch-bytes B
//                 --record-bytes R --codec none|lz4|zstd --acks A --mebibytes M
//                 --leaders P0,P1,…   (in a cluster: the port of each partition's leader)
//   load fetch    --port P --topic T --partitions N --connections K --max-bytes B --mebibytes M
//   load latency  --port P --topic T --rate R --seconds S   (open loop: from the planned send time)
//   load canary   --connections K --depth D --batch-bytes B --mebibytes M   (bare sender/receiver)
//   load touch    --mebibytes M   (makes the host give the guest its memory back, then frees it)
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "bench/frames.h"
#include "millrace/base/endian.h"
#include "millrace/base/rng.h"
#include "millrace/record/batch_builder.h"

namespace millrace::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kAnswersEvery = 64;  // records of the open loop between two looks at answers

int64_t nanos_now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
        .count();
}

/// Latencies in buckets of 1/64 of a power of two: 1.6 % resolution from 1 us to hours.
class Histogram {
  public:
    void add(int64_t nanos) {
        const auto value = static_cast<uint64_t>(std::max<int64_t>(nanos, 1));
        const int log = 63 - __builtin_clzll(value);
        const uint64_t fine = log > 6 ? (value >> (log - 6)) & 63 : 0;
        ++counts_[static_cast<size_t>(log) * 64 + fine];
        ++total_;
    }
    double micros(double quantile) const {
        const auto wanted = static_cast<uint64_t>(quantile * static_cast<double>(total_));
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > wanted) {
                const size_t log = i / 64;
                const double base = static_cast<double>(uint64_t{1} << log);
                return base * (1.0 + static_cast<double>(i % 64) / 64.0) / 1000.0;
            }
        }
        return 0;
    }

  private:
    std::vector<uint64_t> counts_ = std::vector<uint64_t>(64 * 64, 0);
    uint64_t total_ = 0;
};

/// A broker and the requests it is asked in turn.
struct Target {
    int port = 0;
    std::vector<std::vector<uint8_t>> frames;
};

struct Connection {
    int fd = -1;
    const Target* target = nullptr;
    std::deque<std::pair<const std::vector<uint8_t>*, size_t>> outgoing;  // frame, bytes sent
    std::deque<int64_t> started;
    std::vector<uint8_t> head;      // size and the first bytes of the answer being read
    uint64_t left = 0;              // bytes of that answer still to come
    size_t next_frame = 0;
    bool want_write = false;
};

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

/// Offset just above the last whole batch of a Fetch v12 answer with one partition; -1: none.
int64_t next_offset_of(const std::vector<uint8_t>& frame) {
    // Batches start at a base offset whose magic byte is 2; walk from the first plausible place.
    for (size_t at = 60; at + 61 < frame.size(); ++at) {
        if (frame[at + 16] != 2) continue;
        const auto length = load_big<int32_t>(frame.data() + at + 8);
        if (length < 49 || at + 12 + static_cast<size_t>(length) > frame.size()) continue;
        int64_t next = -1;
        while (at + 61 <= frame.size()) {
            const auto size = load_big<int32_t>(frame.data() + at + 8);
            if (size < 49 || at + 12 + static_cast<size_t>(size) > frame.size()) break;
            next = load_big<int64_t>(frame.data() + at) + load_big<int32_t>(frame.data() + at + 23) + 1;
            at += 12 + static_cast<size_t>(size);
        }
        return next;
    }
    return -1;
}

/// Keeps D requests in flight on each of K connections until the answers of `requests` came.
class ClosedLoop {
  public:
    ClosedLoop(std::vector<Target> targets, size_t connections, size_t depth, bool produce)
        : targets_(std::move(targets)), produce_(produce), depth_(depth) {
        poll_ = ::epoll_create1(EPOLL_CLOEXEC);
        connections_.resize(connections);
        for (size_t i = 0; i < connections; ++i) {
            connections_[i].target = &targets_[i % targets_.size()];
            connections_[i].fd = connect_to(connections_[i].target->port);
            connections_[i].next_frame = i * connections_[i].target->frames.size() / connections;
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.u64 = i;
            ::epoll_ctl(poll_, EPOLL_CTL_ADD, connections_[i].fd, &event);
        }
    }

    /// Runs `requests`, counting latencies; answers with the seconds it took.
    double run(uint64_t requests) {
        to_start_ = requests;
        done_ = 0;
        received_ = 0;
        histogram_ = Histogram();
        const int64_t begin = nanos_now();
        for (Connection& connection : connections_) fill(connection);
        std::vector<epoll_event> events(256);
        while (done_ < requests) {
            const int count = ::epoll_wait(poll_, events.data(), 256, 10'000);
            if (count <= 0) die("no answer for ten seconds");
            for (int i = 0; i < count; ++i) {
                Connection& connection = connections_[events[static_cast<size_t>(i)].data.u64];
                read_answers(connection);
                fill(connection);
            }
        }
        return static_cast<double>(nanos_now() - begin) / 1e9;
    }

    const Histogram& histogram() const { return histogram_; }
    uint64_t received() const { return received_; }
    uint64_t errors() const { return errors_; }

  private:
    void fill(Connection& connection) {
        while (to_start_ > 0 && connection.started.size() < depth_) {
            const auto& frames = connection.target->frames;
            connection.outgoing.emplace_back(&frames[connection.next_frame], 0);
            connection.next_frame = (connection.next_frame + 1) % frames.size();
            connection.started.push_back(nanos_now());
            --to_start_;
        }
        flush(connection);
    }

    void flush(Connection& connection) {
        while (!connection.outgoing.empty()) {
            iovec parts[16];
            int count = 0;
            for (auto& [frame, sent] : connection.outgoing) {
                if (count == 16) break;
                parts[count].iov_base = const_cast<uint8_t*>(frame->data() + sent);
                parts[count++].iov_len = frame->size() - sent;
            }
            msghdr message{};
            message.msg_iov = parts;
            message.msg_iovlen = static_cast<size_t>(count);
            ssize_t sent = ::sendmsg(connection.fd, &message, MSG_NOSIGNAL);
            if (sent < 0) {
                if (errno != EAGAIN) die("send");
                break;
            }
            while (sent > 0) {
                auto& [frame, at] = connection.outgoing.front();
                const auto step = std::min<size_t>(static_cast<size_t>(sent), frame->size() - at);
                at += step;
                sent -= static_cast<ssize_t>(step);
                if (at == frame->size()) connection.outgoing.pop_front();
            }
        }
        const bool want = !connection.outgoing.empty();
        if (want == connection.want_write) return;
        connection.want_write = want;
        epoll_event event{};
        event.events = EPOLLIN | (want ? EPOLLOUT : 0U);
        event.data.u64 = static_cast<uint64_t>(&connection - connections_.data());
        ::epoll_ctl(poll_, EPOLL_CTL_MOD, connection.fd, &event);
    }

    void read_answers(Connection& connection) {
        while (true) {
            const ssize_t got = ::recv(connection.fd, room_.data(), room_.size(), 0);
            if (got == 0) die("the broker closed the connection");
            if (got < 0) {
                if (errno == EAGAIN) return;
                die("recv");
            }
            take(connection, room_.data(), static_cast<size_t>(got));
            if (static_cast<size_t>(got) < room_.size()) return;
        }
    }

    void take(Connection& connection, const uint8_t* data, size_t size) {
        received_ += size;
        while (size > 0) {
            if (connection.left == 0) {
                const size_t need = 4 - connection.head.size();
                const size_t step = std::min(need, size);
                connection.head.insert(connection.head.end(), data, data + step);
                data += step;
                size -= step;
                if (connection.head.size() < 4) return;
                connection.left = load_big<uint32_t>(connection.head.data());
                continue;
            }
            const size_t step = std::min<size_t>(size, connection.left);
            // The error code of the one partition stands within the first bytes.
            const size_t keep = connection.head.size() < 128
                                    ? std::min<size_t>(step, 128 - connection.head.size())
                                    : 0;
            connection.head.insert(connection.head.end(), data, data + keep);
            data += step;
            size -= step;
            connection.left -= step;
            if (connection.left == 0) finish(connection);
        }
    }

    void finish(Connection& connection) {
        if (produce_) {
            // v9 answer: size, correlation, tags, topics n, name, partitions n, index, error.
            const size_t name = connection.head.size() > 10 ? connection.head[10] : 1;
            const size_t at = 11 + (name - 1) + 1 + 4;
            const int error = connection.head.size() < at + 2
                                  ? -1
                                  : load_big<int16_t>(connection.head.data() + at);
            if (error != 0 && errors_++ == 0) {
                std::fprintf(stderr, "first error of an answer: %d\n", error);
            }
        }
        histogram_.add(nanos_now() - connection.started.front());
        connection.started.pop_front();
        connection.head.clear();
        ++done_;
    }

    std::vector<Target> targets_;
    bool produce_;
    size_t depth_;
    int poll_ = -1;
    std::vector<Connection> connections_;
    std::vector<uint8_t> room_ = std::vector<uint8_t>(256 << 10);
    uint64_t to_start_ = 0;
    uint64_t done_ = 0;
    uint64_t received_ = 0;
    uint64_t errors_ = 0;
    Histogram histogram_;
};

void print(const Options& options, double seconds, uint64_t requests, double bytes,
           const Histogram& histogram, uint64_t errors) {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                       static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    std::printf("{\"mode\":\"%s\",\"seconds\":%.4f,\"requests\":%llu,\"bytes\":%.0f,"
                "\"mb_per_s\":%.1f,\"requests_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
                "\"p999_us\":%.1f,\"client_cpu_s\":%.3f,\"errors\":%llu}\n",
                options.mode.c_str(), seconds, static_cast<unsigned long long>(requests), bytes,
                bytes / seconds / 1e6, static_cast<double>(requests) / seconds,
                histogram.micros(0.5), histogram.micros(0.99), histogram.micros(0.999), cpu,
                static_cast<unsigned long long>(errors));
}

/// The port of each partition's leader; all the same one without --leaders.
std::vector<int> leader_ports(const Options& options, int partitions) {
    std::vector<int> ports;
    const std::string text = options.text("leaders", "");
    for (size_t at = 0; at < text.size();) {
        size_t used = 0;
        ports.push_back(std::stoi(text.substr(at), &used));
        at += used + 1;
    }
    ports.resize(static_cast<size_t>(partitions), static_cast<int>(options.number("port", 9092)));
    return ports;
}

void run_produce(const Options& options) {
    Rng rng(1);
    std::map<int, Target> by_port;
    const auto partitions = static_cast<int>(options.number("partitions", 16));
    const std::vector<int> ports = leader_ports(options, partitions);
    double payload = 0;
    for (int i = 0; i < partitions; ++i) {
        const Buffer batch = make_batch(options, rng);
        payload = static_cast<double>(options.text("codec", "none") == "none"
                                          ? batch.size()
                                          : static_cast<size_t>(options.number("batch-bytes", 16384)));
        const int port = ports[static_cast<size_t>(i)];
        by_port[port].port = port;
        by_port[port].frames.push_back(produce_frame(options, batch, i));
    }
    std::vector<Target> targets;
    for (auto& [port, target] : by_port) targets.push_back(std::move(target));
    const auto requests = static_cast<uint64_t>(
        static_cast<double>(options.number("mebibytes", 512) << 20) / payload);
    ClosedLoop loop(std::move(targets), static_cast<size_t>(options.number("connections", 8)),
                    static_cast<size_t>(options.number("depth", 5)), true);
    const double seconds = loop.run(requests);
    print(options, seconds, requests, payload * static_cast<double>(requests), loop.histogram(),
          loop.errors());
}

void run_fetch(const Options& options) {
    std::vector<std::vector<uint8_t>> frames;
    const auto partitions = static_cast<int>(options.number("partitions", 16));
    const int64_t step = options.number("offset-step", 900);
    const int64_t steps = options.number("offset-steps", 16);
    for (int64_t i = 0; i < steps; ++i) {
        for (int p = 0; p < partitions; ++p) frames.push_back(fetch_frame(options, p, i * step, 0));
    }
    const auto max_bytes = static_cast<double>(options.number("max-bytes", 1 << 20));
    const auto requests = static_cast<uint64_t>(
        static_cast<double>(options.number("mebibytes", 4096) << 20) / max_bytes);
    ClosedLoop loop({{static_cast<int>(options.number("port", 9092)), std::move(frames)}},
                    static_cast<size_t>(options.number("connections", 1)),
                    static_cast<size_t>(options.number("depth", 1)), false);
    const double seconds = loop.run(requests);
    print(options, seconds, requests, static_cast<double>(loop.received()), loop.histogram(), 0);
}

/// Reads one whole frame, blocking in poll.
std::vector<uint8_t> read_frame(int fd) {
    std::vector<uint8_t> frame(4);
    size_t have = 0;
    while (have < frame.size()) {
        const ssize_t got = ::recv(fd, frame.data() + have, frame.size() - have, 0);
        if (got <= 0) die("recv");
        have += static_cast<size_t>(got);
        if (have == 4 && frame.size() == 4) frame.resize(4 + load_big<uint32_t>(frame.data()));
    }
    return frame;
}

/// The value of a record is the time at which it was planned to leave; a forked reader takes the
/// difference when it arrives. Shared memory is not needed: steady_clock is the machine's.
void run_latency(const Options& options) {
    const auto rate = static_cast<double>(options.number("rate", 1000));
    const auto total = static_cast<uint64_t>(rate * static_cast<double>(options.number("seconds", 5)));
    const auto warm = static_cast<uint64_t>(static_cast<double>(total) * 0.2);
    const int port = static_cast<int>(options.number("port", 9092));
    const pid_t reader = ::fork();
    if (reader == 0) {
        const int fd = connect_to(port);
        ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        Histogram histogram;
        int64_t offset = options.number("start-offset", 0);
        uint64_t seen = 0;
        const int64_t begin = nanos_now();
        while (seen < total) {
            const std::vector<uint8_t> frame = fetch_frame(options, 0, offset, 5000);
            if (::send(fd, frame.data(), frame.size(), 0) < 0) die("send");
            const std::vector<uint8_t> answer = read_frame(fd);
            const int64_t now = nanos_now();
            // Every record carries a marker before its planned time.
            for (size_t at = 60; at + 24 <= answer.size(); ++at) {
                if (std::memcmp(answer.data() + at, "PLANNED_", 8) != 0) continue;
                int64_t planned;
                std::memcpy(&planned, answer.data() + at + 8, 8);
                if (++seen > warm) histogram.add(now - planned);
                at += 15;
            }
            const int64_t next = next_offset_of(answer);
            if (next > offset) offset = next;
        }
        print(options, static_cast<double>(nanos_now() - begin) / 1e9, total,
              100.0 * static_cast<double>(total), histogram, 0);
        std::fflush(stdout);
        ::_exit(0);
    }
    const int fd = connect_to(port);
    std::string value(100, 'x');
    std::memcpy(value.data(), "PLANNED_", 8);
    std::vector<uint8_t> room(65536);
    int64_t next = nanos_now() + 200'000'000;
    for (uint64_t sent = 0; sent < total; ++sent) {
        while (nanos_now() < next) {
            const int64_t left = next - nanos_now();
            if (left > 100'000) {
                timespec pause{0, left - 60'000};
                ::nanosleep(&pause, nullptr);
            }
            while (::recv(fd, room.data(), room.size(), 0) > 0) {}
        }
        std::memcpy(value.data() + 8, &next, 8);
        record::BatchBuilder builder;
        builder.start({});
        record::NewRecord record;
        record.timestamp = WallMs{std::chrono::duration_cast<std::chrono::milliseconds>(
                                      std::chrono::system_clock::now().time_since_epoch())
                                      .count()};
        record.value = ByteView(std::string_view(value));
        builder.append(record);
        const std::vector<uint8_t> frame = produce_frame(options, builder.finish(), 0);
        size_t at = 0;
        while (at < frame.size()) {
            const ssize_t step = ::send(fd, frame.data() + at, frame.size() - at, MSG_NOSIGNAL);
            if (step > 0) at += static_cast<size_t>(step);
            if (step > 0 && sent % kAnswersEvery != 0) continue;
            if (step < 0 && errno != EAGAIN) die("send");
            // Answers are read also when the schedule leaves no time: a broker whose answers are
            // not taken stops reading.
            while (::recv(fd, room.data(), room.size(), 0) > 0) {}
        }
        next += static_cast<int64_t>(1e9 / rate);
    }
    int status = 0;
    ::waitpid(reader, &status, 0);
}

/// The physical limit of a shape on this machine: bytes in, 40 bytes back, nothing else done.
void run_canary(const Options& options) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0) die("bind");
    ::listen(listener, 64);
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    const auto connections = static_cast<size_t>(options.number("connections", 8));
    Options sized = options;
    Rng rng(1);
    const std::vector<uint8_t> frame = produce_frame(options, make_batch(options, rng), 0);
    const pid_t server = ::fork();
    if (server == 0) {
        const int poll = ::epoll_create1(0);
        std::vector<size_t> have(connections, 0);
        std::vector<int> fds;
        for (size_t i = 0; i < connections; ++i) {
            const int fd = ::accept(listener, nullptr, nullptr);
            ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
            const int on = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.u64 = i;
            ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            fds.push_back(fd);
        }
        std::vector<uint8_t> room(256 << 10);
        uint8_t answer[40] = {0, 0, 0, 36};
        epoll_event events[64];
        while (true) {
            const int count = ::epoll_wait(poll, events, 64, -1);
            for (int i = 0; i < count; ++i) {
                const size_t index = events[i].data.u64;
                const ssize_t got = ::recv(fds[index], room.data(), room.size(), 0);
                if (got == 0) ::_exit(0);
                if (got < 0) continue;
                have[index] += static_cast<size_t>(got);
                while (have[index] >= frame.size()) {
                    have[index] -= frame.size();
                    if (::send(fds[index], answer, sizeof answer, MSG_NOSIGNAL) < 0) ::_exit(0);
                }
            }
        }
    }
    ::close(listener);
    const double payload = static_cast<double>(frame.size());
    const auto requests = static_cast<uint64_t>(
        static_cast<double>(options.number("mebibytes", 512) << 20) / payload);
    {
        ClosedLoop loop({{ntohs(address.sin_port), {frame}}}, connections,
                        static_cast<size_t>(options.number("depth", 5)), false);
        const double seconds = loop.run(requests);
        print(options, seconds, requests, payload * static_cast<double>(requests),
              loop.histogram(), 0);
    }
    ::kill(server, SIGKILL);
    rusage usage{};
    ::wait4(server, nullptr, 0, &usage);
    std::printf("{\"server_cpu_s\":%.3f}\n",
                static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

/// A hypervisor that takes free pages back makes the first touch of a page twenty times dearer than
/// the second: whoever comes next finds M mebibytes that are there.
void run_touch(const Options& options) {
    const auto bytes = static_cast<size_t>(options.number("mebibytes", 1024)) << 20;
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    ::madvise(memory, bytes, MADV_HUGEPAGE);
    const int64_t begin = nanos_now();
    std::memset(memory, 1, bytes);
    ::munmap(memory, bytes);
    std::printf("{\"mode\":\"touch\",\"seconds\":%.3f}\n",
                static_cast<double>(nanos_now() - begin) / 1e9);
}

int run(int argc, char** argv) {
    Options options;
    if (argc > 1) options.mode = argv[1];
    for (int i = 2; i + 1 < argc; i += 2) {
        if (std::strncmp(argv[i], "--", 2) == 0) options.values[argv[i] + 2] = argv[i + 1];
    }
    if (options.mode == "produce") {
        run_produce(options);
    } else if (options.mode == "fetch") {
        run_fetch(options);
    } else if (options.mode == "latency") {
        run_latency(options);
    } else if (options.mode == "canary") {
        run_canary(options);
    } else if (options.mode == "touch") {
        run_touch(options);
    } else {
        std::fprintf(stderr, "usage: load produce|fetch|latency|canary|touch [--option value ...]\n");
        return 2;
    }
    return 0;
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) { return millrace::bench::run(argc, argv); }
