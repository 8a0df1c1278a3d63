// include/millrace/net/runtime.h: the threads of a node and the production ports (env) they offer.
//
// One thread per shard, each with one event loop; one small pool for syncs and one for background
// work. Everything a shard's thread runs (timers, socket events, messages, completions) runs one
// after the other, so what a shard owns needs no lock.
#pragma once

#include <cstdint>
#include <memory>

#include "millrace/base/ids.h"
#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/base/time.h"
#include "millrace/env/env.h"

namespace millrace::net {

class EventLoop;

struct RuntimeOptions {
    uint32_t shard_count = 1;
    uint64_t seed = 0;
    uint32_t background_threads = 1;  // recovery, cleaning, deletion
    /// fdatasync, merged per file. They wait for the device, which does many at once.
    uint32_t sync_threads = 32;
    /// How long a loop polls before it sleeps, after it had work. 0: sleep at once (right where
    /// client and broker share the cores: performance.md 3.5).
    Duration spin{};
};

/// Owned by main; built before and destroyed after everything that uses its ports. Promises that
/// env(s) calls back on shard s only. Requires that run() is called once, from the main thread.
class Runtime {
  public:
    explicit Runtime(RuntimeOptions options);
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    /// The ports of one shard; valid as long as the Runtime.
    env::Env env(ShardId shard);
    env::FileSystem& files();
    /// For net's own classes (Server).
    EventLoop& loop(ShardId shard);

    /// Runs shard 0 on the calling thread and the others on threads of their own until stop().
    /// `started` runs on each shard first.
    void run(MoveFunction<void(ShardId)> started);
    /// May be called from any thread and from a signal's handler function; run() returns after the
    /// event being handled. Later events are not run.
    void stop();
    /// Calls `handler` on shard 0 for SIGINT and SIGTERM (with the number). SIGPIPE is ignored.
    Status on_stop_signal(MoveFunction<void(int)> handler);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::net
