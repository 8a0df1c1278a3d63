// tests/unit/net/server_test.cc: connections over loopback: limits, silence, slow readers, files.
#include "millrace/net/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "millrace/api/dispatch.h"
#include "millrace/base/endian.h"
#include "millrace/env/disk.h"
#include "millrace/env/peers.h"
#include "millrace/env/timers.h"
#include "millrace/net/runtime.h"
#include "net/event_loop.h"

namespace millrace::net {
namespace {

/// A blocking client that gives up after five seconds.
class Client {
  public:
    explicit Client(uint16_t port, int receive_buffer = 0) {
        fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
        const timeval limit{5, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        if (receive_buffer > 0) {
            ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        }
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    ~Client() { close(); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }
    void send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return;
            bytes.remove_prefix(static_cast<size_t>(n));
        }
    }
    /// Exactly `size` bytes, or fewer at the end of the stream.
    std::string receive(size_t size) const {
        std::string out(size, '\0');
        size_t done = 0;
        while (done < size) {
            const ssize_t n = ::recv(fd_, out.data() + done, size - done, 0);
            if (n <= 0) break;
            done += static_cast<size_t>(n);
        }
        out.resize(done);
        return out;
    }
    void end_sending() const { ::shutdown(fd_, SHUT_WR); }
    /// The peer closed without sending anything more (a timeout is not an end).
    bool at_end() const {
        char byte = 0;
        const ssize_t n = ::recv(fd_, &byte, 1, 0);
        return n == 0 || (n < 0 && errno == ECONNRESET);
    }

  private:
    int fd_ = -1;
};

std::string request(int16_t key, int32_t correlation, size_t extra = 0) {
    std::string bytes(14 + extra, '\0');
    uint8_t* data = reinterpret_cast<uint8_t*>(bytes.data());
    store_big(data, static_cast<int32_t>(bytes.size() - 4));
    store_big(data + 4, key);
    store_big(data + 8, correlation);
    return bytes;  // version 0, empty client id
}

constexpr int16_t kApiVersions = 18;
constexpr int16_t kMetadata = 3;

std::string receive_frame(const Client& client) {
    const std::string size = client.receive(4);
    if (size.size() < 4) return {};
    return client.receive(
        static_cast<size_t>(load_big<int32_t>(reinterpret_cast<const uint8_t*>(size.data()))));
}

int32_t correlation_of(const std::string& answer) {
    if (answer.size() < 4) return -1;
    return load_big<int32_t>(reinterpret_cast<const uint8_t*>(answer.data()));
}

/// What the fake handler answers behind the correlation id.
BufferChain answer_body;
std::vector<api::ServeCall> parked;

void answer_with_body(api::ServeCall&& call) {
    Buffer head = Buffer::allocate(8);
    store_big(head.mutable_data(), static_cast<int32_t>(4 + answer_body.size()));
    store_big(head.mutable_data() + 4, call.context.correlation_id);
    BufferChain frame(std::move(head));
    frame.append(answer_body);
    call.context.slot.answer(std::move(frame));
}
void park_call(api::ServeCall&& call) { parked.push_back(std::move(call)); }

ListenerOptions local_listener() {
    ListenerOptions listener;
    listener.host = "127.0.0.1";
    return listener;
}

class ServerTest : public ::testing::Test {
  protected:
    void start(ServerOptions options = {}, api::SessionHost::Options sessions = {},
               ListenerOptions listener = local_listener()) {
        host = std::make_unique<api::SessionHost>(nullptr, sessions);
        server = std::make_unique<Server>(runtime, ShardId{0}, *host, options);
        listener.port = 0;
        const auto bound = server->listen(listener);
        ASSERT_TRUE(bound.ok()) << bound.status().to_string();
        port = *bound;
        if (run_at_once) run();
    }
    void run() {
        thread = std::thread([this] { runtime.run({}); });
    }
    void TearDown() override {
        runtime.stop();
        if (thread.joinable()) thread.join();
        server.reset();
        for (api::ServeCall& call : parked) call.context.slot = {};
        parked.clear();
        answer_body.clear();
        host.reset();
    }
    /// Runs `task` on the shard and waits for its value.
    template <class Task>
    auto on_shard(Task task) {
        std::promise<decltype(task())> promise;
        auto future = promise.get_future();
        runtime.loop(ShardId{0}).post_from_any_thread([&] { promise.set_value(task()); });
        return future.get();
    }
    ServerCounters counters() {
        return on_shard([this] { return server->counters(); });
    }
    /// Until `condition` holds on the counters; the test's timeout bounds it.
    template <class Condition>
    void wait_until(Condition condition) {
        while (!condition(counters())) std::this_thread::yield();
    }

    Runtime runtime{RuntimeOptions{}};
    std::unique_ptr<api::SessionHost> host;
    std::unique_ptr<Server> server;
    std::thread thread;
    bool run_at_once = true;  // else by run()
    uint16_t port = 0;
};

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
    start();
    const Client client(port);
    std::string many;
    for (int32_t i = 0; i < 500; ++i) many += request(kApiVersions, i);
    client.send(many);
    for (int32_t i = 0; i < 500; ++i) ASSERT_EQ(correlation_of(receive_frame(client)), i);
    EXPECT_GE(counters().received_bytes, many.size());
}

TEST_F(ServerTest, AnEndThatCameWithTheLastRequestIsSeenAfterItsAnswer) {
    run_at_once = false;
    start();
    const Client client(port);
    client.send(request(kApiVersions, 7));
    client.end_sending();
    run();
    EXPECT_EQ(correlation_of(receive_frame(client)), 7);
    EXPECT_TRUE(client.at_end());
}

TEST_F(ServerTest, IPv4ClientsReachWildcardAndNamedListeners) {
    ListenerOptions listener;
    listener.host = "";
    start({}, {}, listener);
    listener.host = "localhost";
    listener.port = 0;
    const auto named = on_shard([&] { return server->listen(listener); });
    ASSERT_TRUE(named.ok()) << named.status().to_string();
    for (const uint16_t each : {port, *named}) {
        const Client client(each);
        client.send(request(kApiVersions, 3));
        EXPECT_EQ(correlation_of(receive_frame(client)), 3);
    }
}

TEST_F(ServerTest, HalfAFrameAndSilenceIsClosedByTheIdleLimit) {
    ServerOptions options;
    options.connections_max_idle = milliseconds(80);
    start(options);
    const Client silent(port);
    const Client half(port);
    half.send(request(kApiVersions, 1).substr(0, 7));
    EXPECT_TRUE(silent.at_end());
    EXPECT_TRUE(half.at_end());
    EXPECT_EQ(counters().idle_closed, 2U);
    EXPECT_EQ(counters().open, 0U);
}

TEST_F(ServerTest, IdleLimitHitsParkedRequestsToo) {
    ServerOptions options;
    options.connections_max_idle = milliseconds(80);
    api::SessionHost::Options sessions;
    sessions.serve_instead = park_call;
    start(options, sessions);
    const Client client(port);
    client.send(request(kMetadata, 1));
    EXPECT_TRUE(client.at_end());
}

TEST_F(ServerTest, BadBytesCloseAtOnceAndHurtNobodyElse) {
    start();
    const Client good(port);
    for (const std::string& bytes :
         {std::string("\x7f\xff\xff\xff", 4), std::string("GET / HTTP/1.1\r\n\r\n"),
          std::string("\x16\x03\x01\x02\x00\x01\x00", 7), std::string(4, '\0'),
          request(999, 1), request(kApiVersions, 1).replace(12, 2, "\x7f\xff")}) {
        const Client bad(port);
        bad.send(bytes);
        EXPECT_TRUE(bad.at_end());
    }
    good.send(request(kApiVersions, 7));
    EXPECT_EQ(correlation_of(receive_frame(good)), 7);
}

TEST_F(ServerTest, PerAddressLimitClosesAfterAcceptAndCountsDown) {
    ServerOptions options;
    options.limits.max_connections_per_ip = 2;
    start(options);
    Client first(port);
    const Client second(port);
    wait_until([](const ServerCounters& c) { return c.open == 2; });
    {
        const Client third(port);
        EXPECT_TRUE(third.at_end());
    }
    EXPECT_EQ(counters().refused, 1U);
    first.close();
    wait_until([](const ServerCounters& c) { return c.open == 1; });
    const Client fourth(port);
    fourth.send(request(kApiVersions, 4));
    EXPECT_EQ(correlation_of(receive_frame(fourth)), 4);
}

TEST_F(ServerTest, PerAddressOverrideWins) {
    ServerOptions options;
    options.limits.max_connections_per_ip = 100;
    options.limits.max_connections_per_ip_overrides = {{"127.0.0.1", 1}};
    start(options);
    const Client first(port);
    wait_until([](const ServerCounters& c) { return c.open == 1; });
    const Client second(port);
    EXPECT_TRUE(second.at_end());
}

TEST_F(ServerTest, ARaisedLimitLetsTheWaitingIn) {
    ServerOptions options;
    options.limits.max_connections = 1;
    start(options);
    ServerLimits limits;  // touched on the shard
    limits.max_connections = 1;
    on_shard([&] {
        server->before_accept([&] { server->set_limits(limits); });
        return true;
    });
    const Client first(port);
    wait_until([](const ServerCounters& c) { return c.open == 1; });
    const Client second(port);
    second.send(request(kApiVersions, 2));
    on_shard([&] { return limits.max_connections = 2; });
    EXPECT_EQ(correlation_of(receive_frame(second)), 2);
}

TEST_F(ServerTest, MaxConnectionsLetsOthersWaitInTheBacklog) {
    ServerOptions options;
    options.limits.max_connections = 1;
    start(options);
    Client first(port);
    wait_until([](const ServerCounters& c) { return c.open == 1; });
    const Client second(port);
    second.send(request(kApiVersions, 2));
    first.send(request(kApiVersions, 1));
    EXPECT_EQ(correlation_of(receive_frame(first)), 1);
    EXPECT_EQ(counters().open, 1U);
    first.close();
    EXPECT_EQ(correlation_of(receive_frame(second)), 2) << "served when a place is free";
}

TEST_F(ServerTest, ASlowReaderStopsBeingReadAndGetsEverythingInTheEnd) {
    constexpr size_t kBody = 1U << 20;
    answer_body = BufferChain(Buffer::copy_of(std::string(kBody, 'm')));
    api::SessionHost::Options sessions;
    sessions.serve_instead = answer_with_body;
    sessions.limits.unsent_answer_bytes_max = 2U << 20;
    start({}, sessions);
    const Client client(port, 32 << 10);
    constexpr int32_t kRequests = 100;
    std::string many;
    for (int32_t i = 0; i < kRequests; ++i) many += request(kMetadata, i);
    client.send(many);
    for (int32_t i = 0; i < kRequests; ++i) {
        const std::string answer = receive_frame(client);
        ASSERT_EQ(answer.size(), 4 + kBody);
        ASSERT_EQ(correlation_of(answer), i);
    }
}

TEST_F(ServerTest, FileSlicesOfEverySizeArriveWhole) {
    char name[] = "/tmp/millrace_slices_XXXXXX";
    ::close(::mkstemp(name));
    auto file = runtime.files().open(name, env::OpenMode::ReadWrite);
    ASSERT_TRUE(file.ok());
    std::string content(3U << 20, '\0');
    for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + i / 251);
    ASSERT_TRUE((*file)->write_at(0, ByteView(content)).ok());
    std::string expected;
    for (const size_t size : {10UL, 5'000UL, 100'000UL, 1UL, 2'000'000UL, 16'384UL, 16'383UL}) {
        answer_body.append(FileSlice{*file, size / 2, size});
        expected += content.substr(size / 2, size);
        answer_body.append(Buffer::copy_of("between"));
        expected += "between";
    }
    api::SessionHost::Options sessions;
    sessions.serve_instead = answer_with_body;
    start({}, sessions);
    const Client client(port);
    client.send(request(kMetadata, 1) + request(kMetadata, 2));
    for (const int32_t id : {1, 2}) {
        const std::string answer = receive_frame(client);
        ASSERT_EQ(correlation_of(answer), id);
        EXPECT_TRUE(answer.substr(4) == expected);
    }
    // A slice that the file cannot give ends the connection: its answer cannot be completed.
    ASSERT_TRUE((*file)->truncate(1000).ok());
    client.send(request(kMetadata, 3));
    EXPECT_LT(receive_frame(client).size(), expected.size());
    EXPECT_TRUE(client.at_end());
    ::unlink(name);
}

TEST_F(ServerTest, LateAnswersAreSentWithoutBeingAsked) {
    api::SessionHost::Options sessions;
    sessions.serve_instead = park_call;
    start({}, sessions);
    const Client client(port);
    client.send(request(kMetadata, 1) + request(kMetadata, 2));
    while (on_shard([] { return parked.size(); }) < 2) std::this_thread::yield();
    on_shard([] {
        for (api::ServeCall& call : parked) answer_with_body(std::move(call));
        parked.clear();
        return true;
    });
    EXPECT_EQ(correlation_of(receive_frame(client)), 1);
    EXPECT_EQ(correlation_of(receive_frame(client)), 2);
}

TEST_F(ServerTest, ThrottledConnectionGoesOnByItself) {
    api::SessionHost::Options sessions;
    sessions.serve_instead = [](api::ServeCall&& call) {
        if (call.context.correlation_id == 1) call.context.throttle(milliseconds(30));
        answer_with_body(std::move(call));
    };
    start({}, sessions);
    const Client client(port);
    const auto begin = std::chrono::steady_clock::now();
    client.send(request(kMetadata, 1) + request(kMetadata, 2));
    EXPECT_EQ(correlation_of(receive_frame(client)), 1);
    EXPECT_EQ(correlation_of(receive_frame(client)), 2);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(29));
}

TEST_F(ServerTest, LargeRequestsOverManyReads) {
    api::SessionHost::Options sessions;
    sessions.serve_instead = answer_with_body;
    start({}, sessions);
    const Client client(port);
    for (const size_t size : {30'000UL, 70'000UL, 1'100'000UL, 9'000'000UL}) {
        client.send(request(kMetadata, 1, size) + request(kMetadata, 2, size));
        EXPECT_EQ(correlation_of(receive_frame(client)), 1);
        EXPECT_EQ(correlation_of(receive_frame(client)), 2);
    }
}

TEST_F(ServerTest, DrainAnswersWhatIsInFlightFirst) {
    api::SessionHost::Options sessions;
    sessions.serve_instead = park_call;
    start({}, sessions);
    const Client client(port);
    client.send(request(kMetadata, 1));
    while (on_shard([] { return parked.size(); }) < 1) std::this_thread::yield();
    std::promise<void> drained;
    on_shard([&] {
        EventLoop& loop = runtime.loop(ShardId{0});
        server->drain(loop.now() + seconds(5), [&] { drained.set_value(); });
        loop.arm(loop.now() + milliseconds(20), [] {
            answer_with_body(std::move(parked.front()));
            parked.clear();
        });
        return true;
    });
    EXPECT_EQ(correlation_of(receive_frame(client)), 1);
    drained.get_future().wait();
    EXPECT_TRUE(client.at_end());
}

TEST_F(ServerTest, AThousandIdleConnectionsCostLittle) {
    start();
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < 1000; ++i) clients.push_back(std::make_unique<Client>(port));
    wait_until([](const ServerCounters& c) { return c.open == 1000; });
    clients.back()->send(request(kApiVersions, 5));
    EXPECT_EQ(correlation_of(receive_frame(*clients.back())), 5);
    clients.clear();
    wait_until([](const ServerCounters& c) { return c.open == 0; });
}

TEST(ServerListen, APortInUseIsBusy) {
    Runtime runtime({});
    api::SessionHost host(nullptr, {});
    Server server(runtime, ShardId{0}, host, {});
    ListenerOptions options;
    options.host = "127.0.0.1";
    options.port = 0;
    const auto port = server.bind(options);
    ASSERT_TRUE(port.ok());
    server.start_accepting();
    options.port = *port;
    EXPECT_EQ(server.bind(options).status().errc(), Errc::Busy);
    options.security = api::SecurityProtocol::Ssl;
    EXPECT_EQ(server.bind(options).status().errc(), Errc::Unsupported);
    options = {};
    options.host = "no such host";
    EXPECT_EQ(server.bind(options).status().errc(), Errc::InvalidInput);
}

TEST_F(ServerTest, PeersAskAndAreAnswered) {
    start();
    env::Env env = runtime.env(ShardId{0});
    static constexpr int kCalls = 50;
    std::promise<int> answered;
    on_shard([&] {
        auto count = std::make_shared<int>(0);
        for (int32_t i = 0; i < kCalls; ++i) {
            const std::string frame = request(kApiVersions, i).substr(4);
            env.peers.send({i % 2 == 0 ? "127.0.0.1" : "localhost", port},
                           BufferChain(Buffer::copy_of(frame)), seconds(5),
                           [&answered, count, i](Result<Buffer> answer) {
                EXPECT_TRUE(answer.ok()) << answer.status().to_string();
                if (answer.ok()) {
                    EXPECT_EQ(load_big<int32_t>(answer->data()), i);
                }
                if (++*count == kCalls) answered.set_value(*count);
            });
        }
        return true;
    });
    EXPECT_EQ(answered.get_future().get(), kCalls);
}

TEST_F(ServerTest, PeersTimeOutAndReportRefusedConnections) {
    api::SessionHost::Options sessions;
    sessions.serve_instead = park_call;
    start({}, sessions);
    env::Env env = runtime.env(ShardId{0});
    std::promise<Errc> late;
    std::promise<Errc> refused;
    on_shard([&] {
        const Buffer frame = Buffer::copy_of(request(kMetadata, 1).substr(4));
        env.peers.send({"127.0.0.1", port}, BufferChain(frame), milliseconds(30),
                       [&](Result<Buffer> r) { late.set_value(r.status().errc()); });
        env.peers.send({"127.0.0.1", 1}, BufferChain(frame), seconds(5),
                       [&](Result<Buffer> r) { refused.set_value(r.status().errc()); });
        return true;
    });
    EXPECT_EQ(late.get_future().get(), Errc::TimedOut);
    EXPECT_EQ(refused.get_future().get(), Errc::Disconnected);
}

}  // namespace
}  // namespace millrace::net
