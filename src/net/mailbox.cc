// src/net/mailbox.cc: tasks from other threads to one loop, with a wake-up only when it may sleep.
#include "net/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::net {

Mailbox::Mailbox() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    MILLRACE_ASSERT(event_ >= 0, "an eventfd can be made at start");
}

Mailbox::~Mailbox() { ::close(event_); }

void Mailbox::post(MoveFunction<void()> task) {
    bool first = false;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        first = tasks_.empty();
        tasks_.push_back(std::move(task));
    }
    if (!first) return;
    const uint64_t one = 1;
    // Fails only when the counter is full, and then the reader is signalled anyway.
    [[maybe_unused]] const ssize_t written = ::write(event_, &one, sizeof one);
}

void Mailbox::drain(std::vector<MoveFunction<void()>>& out) {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(event_, &count, sizeof count);
    const std::lock_guard<std::mutex> lock(mutex_);
    out.swap(tasks_);
}

}  // namespace millrace::net
