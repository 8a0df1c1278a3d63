// src/net/sync_threads.h: fdatasync away from the shard, one run for all that wait for one file.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "millrace/net/posix_disk.h"
#include "net/event_loop.h"
#include "net/task_threads.h"

namespace millrace::net {

/// Calls that come while a file waits for its turn join it; calls that come while its sync runs
/// make one more run, since the running one may not cover their bytes.
class SyncThreads final : public SyncPool {
  public:
    /// `fallback` gets the completions of calls from threads without a loop (start-up).
    SyncThreads(uint32_t threads, EventLoop& fallback);
    void run(std::shared_ptr<void> file, Status (*sync)(void*),
             MoveFunction<void(Status)> done) override;
    void stop() { threads_.stop(); }

  private:
    struct Waiter {
        EventLoop* loop;
        MoveFunction<void(Status)> done;
    };
    struct Job {
        std::shared_ptr<void> file;
        Status (*sync)(void*) = nullptr;
        std::vector<Waiter> waiters;
    };
    void run_job(const void* key);
    static void complete(Job job, const Status& status);

    EventLoop& fallback_;
    std::mutex mutex_;
    std::map<const void*, Job> waiting_;  // by file; not started yet
    TaskThreads threads_;
};

}  // namespace millrace::net
