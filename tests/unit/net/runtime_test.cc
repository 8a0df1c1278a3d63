// tests/unit/net/runtime_test.cc: loops, mailboxes, timers, background and merged syncs.
#include "millrace/net/runtime.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "millrace/env/disk.h"
#include "millrace/env/shards.h"
#include "millrace/env/timers.h"
#include "net/event_loop.h"

namespace millrace::net {
namespace {

TEST(RuntimeTimers, FireInOrderAndNotAfterCancel) {
    Runtime runtime({});
    env::Env env = runtime.env(ShardId{0});
    std::vector<int> order;
    const Instant start = env.clock.now();
    env.timers.arm(start + milliseconds(20), [&] {
        order.push_back(3);
        EXPECT_GE(env.clock.now(), start + milliseconds(20));
        runtime.stop();
    });
    env.timers.arm(start + milliseconds(2), [&] {
        order.push_back(1);
        env.timers.post([&] { order.push_back(2); });
    });
    env.timers.cancel(env.timers.arm(start + milliseconds(1), [&] { order.push_back(-1); }));
    runtime.run({});
    EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(RuntimeTimers, TimeStandsStillDuringOneEvent) {
    Runtime runtime({});
    env::Env env = runtime.env(ShardId{0});
    runtime.run([&](ShardId) {
        const Instant first = env.clock.now();
        std::this_thread::yield();
        EXPECT_EQ(env.clock.now(), first);
        EXPECT_GT(env.clock.wall().value, 1'600'000'000'000);
        runtime.stop();
    });
}

TEST(RuntimeTimers, ATaskThatPostsItselfDoesNotStarveTimers) {
    Runtime runtime({});
    env::Env env = runtime.env(ShardId{0});
    struct Again {
        env::Env& env;
        void operator()() { env.timers.post(Again{env}); }
    };
    env.timers.post(Again{env});
    env.timers.arm(env.clock.now() + milliseconds(5), [&] { runtime.stop(); });
    runtime.run({});
}

TEST(RuntimeShards, MessagesKeepTheOrderOfTheirSender) {
    RuntimeOptions options;
    options.shard_count = 3;
    Runtime runtime(options);
    constexpr int kMessages = 20'000;
    std::vector<int> got;  // touched on shard 2 only
    int finished = 0;
    auto sent = [&](int number) {
        got.push_back(number);
        EXPECT_EQ(runtime.env(ShardId{2}).shards.current(), ShardId{2});
        if (number == kMessages - 1 && ++finished == 2) runtime.stop();
    };
    runtime.run([&](ShardId shard) {
        if (shard == ShardId{2}) return;
        env::Shards& shards = runtime.env(shard).shards;
        EXPECT_EQ(shards.count(), 3U);
        for (int i = 0; i < kMessages; ++i) shards.post(ShardId{2}, [&sent, i] { sent(i); });
    });
    EXPECT_EQ(got.size(), 2U * kMessages);
    int in_order = 0;
    for (const int number : got) in_order += number == in_order % kMessages ? 1 : 0;
    EXPECT_GT(in_order, 0);
}

TEST(RuntimeShards, PingPongAcrossThreads) {
    RuntimeOptions options;
    options.shard_count = 2;
    Runtime runtime(options);
    int rounds = 0;  // handed over by the messages
    struct Ball {
        Runtime& runtime;
        int& rounds;
        void operator()() {
            rounds += 1;
            if (rounds == 2'000) return runtime.stop();
            env::Shards& shards = runtime.env(ShardId{0}).shards;
            const ShardId other{1 - shards.current().value};
            shards.post(other, Ball{runtime, rounds});
        }
    };
    runtime.run([&](ShardId shard) {
        if (shard == ShardId{0}) Ball{runtime, rounds}();
    });
    EXPECT_EQ(rounds, 2'000);
}

TEST(RuntimeBackground, WorkRunsElsewhereAndDoneOnTheShard) {
    Runtime runtime({});
    env::Env env = runtime.env(ShardId{0});
    const std::thread::id loop_thread = std::this_thread::get_id();
    int done = 0;
    for (int i = 0; i < 50; ++i) {
        env.background.run([&] { EXPECT_NE(std::this_thread::get_id(), loop_thread); },
                           [&] {
                               EXPECT_EQ(std::this_thread::get_id(), loop_thread);
                               if (++done == 50) runtime.stop();
                           });
    }
    runtime.run({});
    EXPECT_EQ(done, 50);
}

TEST(RuntimeFiles, SyncsCallBackOnTheShardEachOnce) {
    char name[] = "/tmp/millrace_sync_XXXXXX";
    const int fd = ::mkstemp(name);
    ::close(fd);
    Runtime runtime({});
    env::Env env = runtime.env(ShardId{0});
    auto file = env.files.open(name, env::OpenMode::ReadWrite);
    ASSERT_TRUE(file.ok());
    int done = 0;
    runtime.run([&](ShardId) {
        for (int i = 0; i < 200; ++i) {
            EXPECT_TRUE((*file)->write_at(static_cast<uint64_t>(i), ByteView("x")).ok());
            (*file)->sync_async([&](const Status& status) {
                EXPECT_TRUE(status.ok());
                EXPECT_EQ(EventLoop::current(), &runtime.loop(ShardId{0}));
                if (++done == 200) runtime.stop();
            });
        }
    });
    EXPECT_EQ(done, 200);
    ::unlink(name);
}

TEST(RuntimeSignals, StopSignalCallsTheHandlerOnShardZero) {
    Runtime runtime({});
    int got = 0;
    ASSERT_TRUE(runtime.on_stop_signal([&](int number) {
        got = number;
        runtime.stop();
    }).ok());
    runtime.run([](ShardId) { ::kill(::getpid(), SIGTERM); });
    EXPECT_EQ(got, SIGTERM);
}

TEST(RuntimeSpin, SpinningLoopStillSleepsAndStops) {
    RuntimeOptions options;
    options.spin = microseconds(50);
    Runtime runtime(options);
    env::Env env = runtime.env(ShardId{0});
    env.timers.arm(env.clock.now() + milliseconds(3), [&] { runtime.stop(); });
    runtime.run({});
}

}  // namespace
}  // namespace millrace::net
