// src/net/mailbox.h: tasks from other threads to one loop, with a wake-up only when it may sleep.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "millrace/base/move_function.h"

namespace millrace::net {

/// Any thread posts; one thread drains. The eventfd is written once per batch: by the post that
/// finds the box empty. Tasks of one sender run in the order posted.
class Mailbox {
  public:
    Mailbox();
    ~Mailbox();
    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    void post(MoveFunction<void()> task);
    /// Moves what waits into `out` (empty before) and clears the signal.
    void drain(std::vector<MoveFunction<void()>>& out);
    /// Readable while there is mail. Owned by the mailbox.
    int descriptor() const { return event_; }

  private:
    int event_;
    std::mutex mutex_;
    std::vector<MoveFunction<void()>> tasks_;
};

}  // namespace millrace::net
