// tests/sim/nemesis.h: the faults of a run, which of them happen (swarm), and who restarts the node.
#pragma once

#include <optional>
#include <string>

#include "sim/model.h"
#include "sim/process.h"

namespace millrace::sim {

/// Drawn from the seed: each fault class is on or off, so that runs differ in kind.
struct SwarmOptions {
    bool kill_process = false;
    bool crash_machine = false;
    bool crash_in_steps = false;   // between two disk operations instead of between two events
    bool crash_in_start = false;
    bool crash_in_format = false;
    bool clean_stop = false;
    bool io_error = false;
    bool bad_directory = false;    // one of two log directories fails as a whole
    bool disk_full = false;
    bool slow_disk = false;
    bool wall_jumps = false;
    bool resets = false;
    Duration fault_interval = seconds(2);
    Duration length = seconds(10);
    size_t producers = 2;
    size_t consumers = 2;
    size_t topics = 2;
    bool all_durable = false;      // every topic has flush.messages=1

    static SwarmOptions draw(Rng& rng);
    std::string text() const;
};

class Nemesis {
  public:
    Nemesis(World& world, Process& process, Model& model, const SwarmOptions& options);
    /// Starts the process (again), perhaps with a crash in the middle.
    void start_process();
    void begin();
    /// No more faults: the process is made to run, on a sound disk.
    void heal();
    /// No chance here: one crash after that disk step in all, and restarts.
    void plan_crash(uint64_t step, Crash kind);
    void forget_plan() { planned_step_.reset(); }

  private:
    void plan();
    void act();
    void after_event();
    void on_down(Crash kind, bool clean);
    void lift();
    void crash_at_step(uint64_t steps_ahead);
    Crash draw_crash();
    void fail_directory();
    void fill_disk();

    World& world_;
    Process& process_;
    Model& model_;
    SwarmOptions options_;
    Rng rng_;
    bool active_ = false;
    bool injected_ = false;     // a fault that the present process may die of
    bool disk_errors_ = false;  // one that keeps files from being synced at a stop
    std::optional<uint64_t> planned_step_;
    Crash step_crash_ = Crash::Process;
    uint64_t lift_timer_ = 0;
};

}  // namespace millrace::sim
