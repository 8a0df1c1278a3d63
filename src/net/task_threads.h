// src/net/task_threads.h: a fixed number of threads that run tasks in the order given.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "millrace/base/move_function.h"

namespace millrace::net {

/// Each is started when a task finds nobody idle. The destructor drops tasks that nobody started
/// and joins.
class TaskThreads {
  public:
    TaskThreads(const char* name, uint32_t count);
    ~TaskThreads();
    TaskThreads(const TaskThreads&) = delete;
    TaskThreads& operator=(const TaskThreads&) = delete;

    /// From any thread.
    void run(MoveFunction<void()> task);
    /// Waits for running tasks, drops the others; later tasks are dropped too.
    void stop();

  private:
    void work();

    const char* name_;
    uint32_t count_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<MoveFunction<void()>> tasks_;
    std::vector<std::thread> threads_;
    size_t idle_ = 0;
    bool stopping_ = false;
};

}  // namespace millrace::net
