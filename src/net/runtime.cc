// src/net/runtime.cc: the threads of a node and the production ports (env) they offer.
#include "millrace/net/runtime.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/base/assert.h"
#include "millrace/env/background.h"
#include "millrace/env/shards.h"
#include "millrace/net/posix_disk.h"
#include "net/event_loop.h"
#include "net/peer_links.h"
#include "net/sync_threads.h"
#include "net/task_threads.h"

namespace millrace::net {
namespace {

class PoolBackground final : public env::Background {
  public:
    PoolBackground(EventLoop& loop, TaskThreads& threads) : loop_(loop), threads_(threads) {}
    void run(MoveFunction<void()> work, MoveFunction<void()> done) override {
        threads_.run([loop = &loop_, job = std::move(work), after = std::move(done)]() mutable {
            job();
            job = nullptr;
            loop->post_from_any_thread(std::move(after));
        });
    }

  private:
    EventLoop& loop_;
    TaskThreads& threads_;
};

using Loops = std::vector<std::unique_ptr<EventLoop>>;

class LoopShards final : public env::Shards {
  public:
    explicit LoopShards(const Loops& loops) : loops_(loops) {}
    uint32_t count() const override { return static_cast<uint32_t>(loops_.size()); }
    ShardId current() const override {
        const EventLoop* loop = EventLoop::current();
        return loop == nullptr ? ShardId{0} : loop->shard();
    }
    void post(ShardId target, MoveFunction<void()> message) override {
        MILLRACE_ASSERT(target.value < loops_.size(), "the shard exists");
        // To itself too: a message waits for the next turn, so that sockets get theirs in between.
        loops_[target.value]->post_from_any_thread(std::move(message));
    }

  private:
    const Loops& loops_;
};

/// What one shard has for itself.
struct ShardPorts {
    ShardPorts(EventLoop& loop, TaskThreads& background_threads)
        : background(loop, background_threads), peers(loop, background) {}
    PoolBackground background;
    PeerLinks peers;
};

void block_stop_signals(sigset_t& set) {
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGINT);
    ::sigaddset(&set, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

struct Runtime::Impl {
    explicit Impl(const RuntimeOptions& wanted)
        : options(wanted),
          loops(make_loops(wanted)),
          background("background", wanted.background_threads),
          syncs(wanted.sync_threads, *loops.front()),
          files(make_posix_file_system(&syncs)),
          shards(loops) {
        for (const auto& loop : loops) {
            ports.push_back(std::make_unique<ShardPorts>(*loop, background));
        }
    }

    static Loops make_loops(const RuntimeOptions& wanted) {
        MILLRACE_ASSERT(wanted.shard_count > 0, "a node has a shard");
        Loops made;
        for (uint32_t i = 0; i < wanted.shard_count; ++i) {
            made.push_back(std::make_unique<EventLoop>(ShardId{i}, wanted.spin));
        }
        return made;
    }

    void wait_for_signal() {
        signals->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                            [this](const boost::system::error_code& error) {
            if (error) return;
            const EventLoop::Turn turn(*loops.front());
            signalfd_siginfo info{};
            const ssize_t n = ::read(signals->native_handle(), &info, sizeof info);
            if (n == static_cast<ssize_t>(sizeof info)) {
                on_signal(static_cast<int>(info.ssi_signo));
            }
            wait_for_signal();
        });
    }

    // Destroyed in the reverse order: threads first, then what they post to.
    RuntimeOptions options;
    Loops loops;
    TaskThreads background;
    SyncThreads syncs;
    std::unique_ptr<env::FileSystem> files;
    LoopShards shards;
    std::vector<std::unique_ptr<ShardPorts>> ports;
    std::unique_ptr<boost::asio::posix::stream_descriptor> signals;
    MoveFunction<void(int)> on_signal;
};

Runtime::Runtime(RuntimeOptions options) : impl_(std::make_unique<Impl>(options)) {
    ::signal(SIGPIPE, SIG_IGN);
}

Runtime::~Runtime() {
    impl_->background.stop();
    impl_->syncs.stop();
}

env::Env Runtime::env(ShardId shard) {
    EventLoop& its_loop = loop(shard);
    ShardPorts& ports = *impl_->ports[shard.value];
    return {its_loop, its_loop, *impl_->files, ports.background, impl_->shards, ports.peers,
            impl_->options.seed + shard.value};
}

env::FileSystem& Runtime::files() { return *impl_->files; }

EventLoop& Runtime::loop(ShardId shard) {
    MILLRACE_ASSERT(shard.value < impl_->loops.size(), "the shard exists");
    return *impl_->loops[shard.value];
}

void Runtime::run(MoveFunction<void(ShardId)> started) {
    for (const auto& each : impl_->loops) {
        each->post_from_any_thread([&started, shard = each->shard()] {
            if (started) started(shard);
        });
    }
    std::vector<std::thread> threads;
    for (size_t i = 1; i < impl_->loops.size(); ++i) {
        threads.emplace_back([loop = impl_->loops[i].get()] {
            sigset_t all;
            ::sigfillset(&all);
            ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
            loop->run();
        });
    }
    impl_->loops.front()->run();
    for (std::thread& thread : threads) thread.join();
}

void Runtime::stop() {
    for (const auto& each : impl_->loops) each->stop();
}

Status Runtime::on_stop_signal(MoveFunction<void(int)> handler) {
    sigset_t set;
    block_stop_signals(set);
    const int fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) return {Errc::IoError, std::string("signalfd: ") + std::strerror(errno)};
    impl_->on_signal = std::move(handler);
    impl_->signals = std::make_unique<boost::asio::posix::stream_descriptor>(
        impl_->loops.front()->context(), fd);
    impl_->wait_for_signal();
    return {};
}

}  // namespace millrace::net
