// tests/sim/world.h: one seed, one thread, virtual time: the event heap and the env ports on it.
//
// Everything that happens in a simulation is an event of the heap: timers, posted tasks, deliveries
// of bytes, completions of syncs, faults. Simultaneous events run in random order, except where an
// interface promises one (tasks posted by one process, bytes of one connection). All randomness
// comes from the seed, so that the same seed gives the same trace hash.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/move_function.h"
#include "millrace/base/rng.h"
#include "millrace/base/time.h"
#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "millrace/env/env.h"
#include "millrace/env/peers.h"
#include "millrace/env/shards.h"
#include "millrace/env/timers.h"
#include "support/sim_disk.h"

namespace millrace::sim {

inline constexpr int kExitCrash = 10;
inline constexpr int kExitSafety = 11;
inline constexpr int kExitLiveness = 12;
inline constexpr int kExitNonDeterminism = 13;

/// Whose event it is: 0 is the world (clients, network, faults), else a process's incarnation.
using Owner = uint64_t;
inline constexpr Owner kWorld = 0;
/// Of a cluster's node: its incarnations count from here. A lone node's from 0.
constexpr Owner first_owner(int node_index) { return static_cast<Owner>(node_index) << 32; }

class World {
  public:
    explicit World(uint64_t seed);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    Instant now() const { return now_; }
    WallMs wall() const;
    void jump_wall(int64_t ms) {
        wall_shift_ms_ += ms;
        ++wall_jumps_;
    }
    uint64_t wall_jumps() const { return wall_jumps_; }
    Rng& rng() { return rng_; }
    support::SimDisk& disk() { return disk_; }
    /// Of a further node. It lives as long as the world.
    support::SimDisk& add_disk();
    Duration random_delay(Duration max);

    /// Runs `task` as an event of its own at `when` or later.
    uint64_t at(Instant when, Owner owner, MoveFunction<void()> task);
    uint64_t after(Duration delay, MoveFunction<void()> task) {
        return at(now_ + delay, kWorld, std::move(task));
    }
    void cancel(uint64_t id);
    /// No event of `owner` runs before `until` (SIGSTOP, SIGCONT); then those that were due do.
    void pause(Owner owner, Instant until) { paused_[owner] = until; }
    /// Whose event is running.
    Owner running() const { return running_; }
    /// A killed process runs no destructors: what its events own is never touched again.
    void bury_events_of(Owner owner);
    /// An orderly end instead: they are destroyed, and owed answers in them are found out.
    void drop_events_of(Owner owner);

    /// Called after each event.
    void set_after_event(MoveFunction<void()> hook) { after_event_ = std::move(hook); }
    void run_for(Duration time);
    /// False when the condition did not come true in time.
    bool run_until(MoveFunction<bool()> condition, Duration at_most);

    /// Mixes into the trace hash.
    void note(std::string_view kind, uint64_t value);
    void note_bytes(std::string_view kind, std::string_view bytes);
    uint64_t hash() const { return hash_; }
    uint64_t events() const { return events_; }

    /// Prints the one line that says what broke and ends the process.
    [[noreturn]] void fail(int exit_code, std::string_view invariant, std::string_view text);
    void check(bool holds, std::string_view invariant, std::string_view text) {
        if (!holds) fail(kExitSafety, invariant, text);
    }
    /// Said at the start of the failure line: seed and drawn options.
    std::string title;
    bool trace = false;
    void say(std::string_view line) const;

  private:
    struct Key {
        Instant when;
        uint64_t tie;
        uint64_t id;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    struct Event {
        Owner owner;
        MoveFunction<void()> task;
    };
    void step();
    bool defer_paused();

    uint64_t seed_;
    Rng rng_;
    Rng tie_rng_;
    support::SimDisk disk_;
    std::vector<std::unique_ptr<support::SimDisk>> more_disks_;
    std::map<Owner, Instant> paused_;
    Owner running_ = kWorld;
    Instant now_{1'000'000'000};
    int64_t wall_shift_ms_ = 0;
    uint64_t wall_jumps_ = 0;
    std::map<Key, Event> heap_;
    std::map<uint64_t, Key> keys_;
    uint64_t next_id_ = 1;
    uint64_t events_ = 0;
    uint64_t hash_ = 0xcbf29ce484222325ULL;
    MoveFunction<void()> after_event_;
};

/// The ports of one process. Kept after its death, for the objects that still refer to them.
class ProcessPorts final : public env::Clock,
                           public env::Timers,
                           public env::Background,
                           public env::Shards,
                           public env::Peers {
  public:
    ProcessPorts(World& world, Owner owner) : world_(world), owner_(owner) {}
    env::Env env(support::SimDisk& disk, env::Peers* peers, uint64_t seed) {
        return {*this, *this, disk, *this, *this, peers != nullptr ? *peers : *this, seed};
    }

    // Clock
    Instant now() override { return world_.now(); }
    WallMs wall() override { return WallMs{world_.wall().value + wall_shift_ms}; }
    // Timers
    env::TimerId arm(Instant when, MoveFunction<void()> fire) override;
    void cancel(env::TimerId id) override { world_.cancel(id); }
    void post(MoveFunction<void()> task) override;
    // Background
    void run(MoveFunction<void()> work, MoveFunction<void()> done) override;
    // Shards
    uint32_t count() const override { return 1; }
    ShardId current() const override { return ShardId(0); }
    void post(ShardId, MoveFunction<void()> message) override { post(std::move(message)); }
    // Peers
    void send(const env::PeerAddress&, BufferChain, Duration,
              MoveFunction<void(Result<Buffer>)> done) override;

    Duration background_delay_max = milliseconds(20);
    int64_t wall_shift_ms = 0;  // of this machine's wall clock alone

  private:
    World& world_;
    Owner owner_;
    std::deque<MoveFunction<void()>> posted_;
};

}  // namespace millrace::sim
