// include/millrace/env/clock.h: the only place from which time enters the house.
//
// Owned by the shard's thread in production (net) and by the world in the simulator (virtual
// time). Drivers read it once per event and pass the values down; machines never see it.
#pragma once

#include "millrace/base/time.h"

namespace millrace::env {

class Clock {
  public:
    virtual ~Clock() = default;
    /// Monotonic; never goes back, and stands still while one event is being handled.
    virtual Instant now() = 0;
    /// Milliseconds since 1970; may jump either way.
    virtual WallMs wall() = 0;
};

}  // namespace millrace::env
