// include/millrace/env/background.h: work that takes long, away from the shard's thread.
//
// For log recovery, cleaning, deletion of files and compression of whole segments. `work` may touch
// only what it owns or what nobody changes meanwhile (sealed files); `done` runs on the shard that
// called run. The simulator runs both on virtual time, one after the other.
#pragma once

#include "millrace/base/move_function.h"

namespace millrace::env {

class Background {
  public:
    virtual ~Background() = default;
    virtual void run(MoveFunction<void()> work, MoveFunction<void()> done) = 0;
};

}  // namespace millrace::env
