// include/millrace/env/timers.h: wake-ups on the owner's shard.
//
// A driver owns one timer per machine and arms it with the machine's wake_at. Callbacks run on the
// shard that armed them, never inside arm().
#pragma once

#include <cstdint>

#include "millrace/base/move_function.h"
#include "millrace/base/time.h"

namespace millrace::env {

using TimerId = uint64_t;
inline constexpr TimerId kNoTimer = 0;

class Timers {
  public:
    virtual ~Timers() = default;
    /// Calls `fire` once at or after `when`. Resolution is a millisecond.
    virtual TimerId arm(Instant when, MoveFunction<void()> fire) = 0;
    /// After cancel the callback never runs; an id that fired or kNoTimer is ignored.
    virtual void cancel(TimerId id) = 0;
    /// Runs `task` on this shard after the current event, in order of the calls.
    virtual void post(MoveFunction<void()> task) = 0;
};

}  // namespace millrace::env
