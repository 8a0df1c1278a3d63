// tests/sim/nemesis.cc: killing, breaking, filling, slowing down, and starting again.
#include "sim/nemesis.h"

#include <vector>

namespace millrace::sim {

namespace {
constexpr Duration kDownMin = milliseconds(10);
constexpr Duration kDownMax = milliseconds(800);
/// A crash planned at a disk step happens at the latest after this time.
constexpr Duration kStepCrashMax = seconds(2);
constexpr int64_t kWallJumpMs = 3'600'000;
const std::string kSecondDirectory = "/d1";
}  // namespace

SwarmOptions SwarmOptions::draw(Rng& rng) {
    SwarmOptions o;
    // A few runs without any fault, most with some classes, some with all.
    const uint64_t level = rng.below(10);
    const auto on = [&](uint64_t percent) {
        return level > 0 && rng.chance(level == 9 ? 90 : percent, 100);
    };
    o.kill_process = on(50);
    o.crash_machine = on(50);
    o.crash_in_steps = on(50);
    o.crash_in_start = on(30);
    o.crash_in_format = on(30);
    o.clean_stop = on(40);
    o.io_error = on(25);
    o.bad_directory = on(20);
    o.disk_full = on(20);
    o.slow_disk = on(30);
    o.wall_jumps = on(30);
    o.resets = on(40);
    o.fault_interval = milliseconds(rng.between(300, 4000));
    o.length = milliseconds(rng.between(3000, 12'000));
    o.producers = 1 + rng.below(4);
    o.consumers = 1 + rng.below(3);
    o.topics = 1 + rng.below(4);
    o.all_durable = rng.chance(1, 4);
    return o;
}

std::string SwarmOptions::text() const {
    std::string all;
    const auto add = [&](bool on, const char* name) {
        if (on) all += std::string(all.empty() ? "" : ",") + name;
    };
    add(kill_process, "kill");
    add(crash_machine, "crash");
    add(crash_in_steps, "steps");
    add(crash_in_start, "start");
    add(crash_in_format, "format");
    add(clean_stop, "stop");
    add(io_error, "io");
    add(bad_directory, "dir");
    add(disk_full, "full");
    add(slow_disk, "slow");
    add(wall_jumps, "wall");
    add(resets, "reset");
    add(all_durable, "durable");
    return "faults=" + (all.empty() ? "none" : all);
}

Nemesis::Nemesis(World& world, Process& process, Model& model, const SwarmOptions& options)
    : world_(world), process_(process), model_(model), options_(options), rng_(world.rng().fork()) {
    process_.on_down = [this](Crash kind, bool clean) { on_down(kind, clean); };
    world_.set_after_event([this] { after_event(); });
}

void Nemesis::begin() {
    active_ = true;
    plan();
}

void Nemesis::plan_crash(uint64_t step, Crash kind) {
    active_ = true;
    planned_step_ = step;
    step_crash_ = kind;
    world_.disk().halt_after(step);
}

void Nemesis::plan() {
    const Duration wait = Duration{1} + world_.random_delay(options_.fault_interval * 2);
    world_.after(wait, [this] {
        if (!active_) return;
        act();
        plan();
    });
}

void Nemesis::start_process() {
    if (process_.state() != Process::State::Down) return;
    injected_ = planned_step_.has_value();
    disk_errors_ = false;
    lift();
    if (planned_step_) world_.disk().halt_after(*planned_step_);
    if (active_ && options_.crash_in_start && rng_.chance(1, 3)) crash_at_step(1 + rng_.below(60));
    process_.start();
    model_.incarnation = process_.incarnation();
}

Crash Nemesis::draw_crash() {
    if (!options_.crash_machine) return Crash::Process;
    return !options_.kill_process || rng_.chance(1, 2) ? Crash::Machine : Crash::Process;
}

void Nemesis::crash_at_step(uint64_t steps_ahead) {
    world_.say("nemesis: crash after " + std::to_string(steps_ahead) + " disk steps");
    injected_ = true;
    step_crash_ = draw_crash();
    world_.disk().halt_after(world_.disk().steps() + steps_ahead);
    const Owner planned_for = process_.incarnation() + (process_.state() == Process::State::Down);
    world_.after(kStepCrashMax, [this, planned_for] {
        if (process_.incarnation() == planned_for) process_.kill(step_crash_);
    });
}

void Nemesis::act() {
    std::vector<MoveFunction<void()>> choices;
    const bool runs = process_.state() == Process::State::Up;
    if (process_.state() == Process::State::Down) return;
    if (options_.kill_process || options_.crash_machine) {
        choices.emplace_back([this] { process_.kill(draw_crash()); });
        if (options_.crash_in_steps) {
            choices.emplace_back([this] { crash_at_step(rng_.below(rng_.chance(1, 2) ? 10 : 100)); });
        }
    }
    if (options_.clean_stop && runs) choices.emplace_back([this] { process_.stop(); });
    if (options_.io_error) {
        choices.emplace_back([this] {
            world_.say("nemesis: an i/o error to come");
            injected_ = disk_errors_ = true;
            world_.disk().fail_at(world_.disk().steps() + 1 + rng_.below(40), Errc::IoError);
        });
    }
    if (options_.bad_directory) choices.emplace_back([this] { fail_directory(); });
    if (options_.disk_full) choices.emplace_back([this] { fill_disk(); });
    if (options_.slow_disk) {
        choices.emplace_back([this] {
            process_.set_background_delay_max(
                rng_.chance(1, 2) ? milliseconds(20) : milliseconds(rng_.between(100, 1500)));
        });
    }
    if (options_.wall_jumps) {
        choices.emplace_back([this] { world_.jump_wall(rng_.between(-kWallJumpMs, kWallJumpMs)); });
    }
    if (!choices.empty()) choices[rng_.below(choices.size())]();
}

void Nemesis::fail_directory() {
    world_.say("nemesis: " + kSecondDirectory + " fails");
    injected_ = disk_errors_ = true;
    world_.disk().set_hook([](support::DiskOp, const std::string& path) -> std::optional<Status> {
        if (!path.starts_with(kSecondDirectory)) return std::nullopt;
        return Status(Errc::IoError, "a dead device: " + path);
    });
}

void Nemesis::fill_disk() {
    world_.say("nemesis: the disk is nearly full");
    injected_ = disk_errors_ = true;
    world_.disk().set_capacity_bytes(world_.disk().used_bytes() + rng_.below(16) * 4096);
    if (rng_.chance(1, 2)) return;  // full until the next start
    lift_timer_ = world_.after(world_.random_delay(seconds(3)), [this] {
        world_.disk().set_capacity_bytes(uint64_t{1} << 50);
    });
}

void Nemesis::lift() {
    world_.cancel(lift_timer_);
    world_.disk().clear_faults();
}

void Nemesis::after_event() {
    if (process_.state() == Process::State::Down) return;
    if (world_.disk().halted()) {
        process_.kill(step_crash_);
    } else if (process_.fatal()) {
        if (!injected_) {
            world_.fail(kExitSafety, "I9", "the node gave up without a fault: " +
                        process_.last_error());
        }
        if (process_.state() == Process::State::Starting || rng_.chance(1, 2)) {
            process_.kill(Crash::Process);
        } else {
            process_.exit_after_fatal();
        }
    }
}

void Nemesis::on_down(Crash kind, bool clean) {
    model_.on_down(kind == Crash::Machine, clean && !disk_errors_);
    if (!clean) planned_step_.reset();
    if (!active_) return;
    world_.after(kDownMin + world_.random_delay(kDownMax), [this] { start_process(); });
}

void Nemesis::heal() {
    world_.say("heal");
    active_ = false;
    planned_step_.reset();
    if (injected_ && process_.state() != Process::State::Down) process_.kill(Crash::Process);
    process_.set_background_delay_max(milliseconds(20));
    process_.network = NetworkOptions{};
    // A stop under way is waited for.
    world_.run_until([this] { return process_.state() != Process::State::Stopping; }, seconds(60));
    if (process_.state() == Process::State::Stopping) {
        world_.fail(kExitLiveness, "stop", "a controlled stop does not end");
    }
    lift();
    start_process();
    if (!world_.run_until([this] { return process_.up(); }, seconds(60))) {
        world_.fail(kExitLiveness, "start", "the node is not ready after a minute");
    }
}

}  // namespace millrace::sim
