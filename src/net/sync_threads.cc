// src/net/sync_threads.cc: fdatasync away from the shard, one run for all that wait for one file.
#include "net/sync_threads.h"

#include <utility>

namespace millrace::net {

SyncThreads::SyncThreads(uint32_t threads, EventLoop& fallback)
    : fallback_(fallback), threads_("sync", threads) {}

void SyncThreads::run(std::shared_ptr<void> file, Status (*sync)(void*),
                      MoveFunction<void(Status)> done) {
    EventLoop* loop = EventLoop::current();
    if (loop == nullptr) loop = &fallback_;
    const void* key = file.get();
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        Job& job = waiting_[key];
        job.waiters.push_back({loop, std::move(done)});
        if (job.file != nullptr) return;
        job.file = std::move(file);
        job.sync = sync;
    }
    threads_.run([this, key] { run_job(key); });
}

void SyncThreads::run_job(const void* key) {
    Job job;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found = waiting_.find(key);
        job = std::move(found->second);
        waiting_.erase(found);
    }
    const Status status = job.sync(job.file.get());
    complete(std::move(job), status);
}

// One message per loop; nearly always there is only one loop.
void SyncThreads::complete(Job job, const Status& status) {
    std::vector<Waiter> waiters = std::move(job.waiters);
    while (!waiters.empty()) {
        EventLoop* loop = waiters.front().loop;
        std::vector<MoveFunction<void(Status)>> here;
        std::vector<Waiter> others;
        for (Waiter& waiter : waiters) {
            if (waiter.loop == loop) {
                here.push_back(std::move(waiter.done));
            } else {
                others.push_back(std::move(waiter));
            }
        }
        // The file travels along, so that it is closed on a shard and not here.
        loop->post_from_any_thread([dones = std::move(here), status, file = job.file]() mutable {
            for (MoveFunction<void(Status)>& done : dones) done(status);
        });
        waiters = std::move(others);
    }
}

}  // namespace millrace::net
