// src/net/task_threads.cc: a fixed number of threads that run tasks in the order given.
#include "net/task_threads.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace millrace::net {

TaskThreads::TaskThreads(const char* name, uint32_t count)
    : name_(name), count_(count == 0 ? 1 : count) {}

TaskThreads::~TaskThreads() { stop(); }

void TaskThreads::run(MoveFunction<void()> task) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (stopping_) return;
        tasks_.push_back(std::move(task));
        if (threads_.size() < count_ && idle_ < tasks_.size()) {
            threads_.emplace_back([this] { work(); });
        }
    }
    changed_.notify_one();
}

void TaskThreads::stop() {
    std::deque<MoveFunction<void()>> dropped;
    std::vector<std::thread> threads;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
        dropped.swap(tasks_);
        threads.swap(threads_);
    }
    changed_.notify_all();
    for (std::thread& thread : threads) thread.join();
}

void TaskThreads::work() {
    ::pthread_setname_np(::pthread_self(), name_);
    sigset_t all;  // signals are the main thread's business
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        idle_ += 1;
        changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
        idle_ -= 1;
        if (stopping_) return;
        MoveFunction<void()> task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        task();
        task = nullptr;
        lock.lock();
    }
}

}  // namespace millrace::net
