// include/millrace/env/env.h: the bundle of ports that one shard gets at its start.
#pragma once

#include <cstdint>

namespace millrace::env {

class Background;
class Clock;
class FileSystem;
class Peers;
class Shards;
class Timers;

/// References to the shard's ports; they outlive everything built on them.
struct Env {
    Clock& clock;
    Timers& timers;
    FileSystem& files;
    Background& background;
    Shards& shards;
    Peers& peers;
    uint64_t seed;  // of every Rng below
};

}  // namespace millrace::env
