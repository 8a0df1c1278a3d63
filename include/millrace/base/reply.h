// include/millrace/base/reply.h: a one-shot answer that must be given exactly once.
//
// Whoever accepts a Reply<T> owes one call of send(). Destroying an unsent Reply is a programming
// error (a client would wait for ever), except after abandon(), which the owner of a closed
// connection or a stopping shard may call. Lives and fires on one shard.
#pragma once

#include <utility>

#include "millrace/base/assert.h"
#include "millrace/base/move_function.h"

namespace millrace {

template <class T>
class Reply {
  public:
    Reply() noexcept = default;
    explicit Reply(MoveFunction<void(T)> done) : done_(std::move(done)) {}
    Reply(Reply&&) noexcept = default;
    Reply& operator=(Reply&& other) noexcept {
        MILLRACE_ASSERT(!done_, "an unsent Reply was overwritten");
        done_ = std::move(other.done_);
        return *this;
    }
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;
    ~Reply() { MILLRACE_ASSERT(!done_, "a Reply was dropped without an answer"); }

    bool pending() const noexcept { return static_cast<bool>(done_); }
    void send(T value) {
        MILLRACE_ASSERT(static_cast<bool>(done_), "a Reply was sent twice");
        MoveFunction<void(T)> done = std::move(done_);
        done_ = nullptr;
        done(std::move(value));
    }
    void abandon() noexcept { done_ = nullptr; }

  private:
    MoveFunction<void(T)> done_;
};

}  // namespace millrace
