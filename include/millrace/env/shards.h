// include/millrace/env/shards.h: messages between the shards of one node.
//
// A message is a function that owns what it carries; it runs on the target's thread, in the order
// posted by one sender. The only way in which one shard may touch another's state.
#pragma once

#include "millrace/base/ids.h"
#include "millrace/base/move_function.h"

namespace millrace::env {

class Shards {
  public:
    virtual ~Shards() = default;
    virtual uint32_t count() const = 0;
    /// The shard whose thread is calling.
    virtual ShardId current() const = 0;
    virtual void post(ShardId target, MoveFunction<void()> message) = 0;
};

}  // namespace millrace::env
