// tests/sim/world.cc: the event loop of the simulator.
#include "sim/world.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "millrace/base/log.h"

namespace millrace::sim {

namespace {

constexpr int64_t kWallStartMs = 1'700'000'000'000;
constexpr size_t kLinesKept = 60;

// One world at a time per process, for the log sink (base/log.h takes a plain function).
World* current_world = nullptr;
std::deque<std::string>& last_lines() {
    static auto* lines = new std::deque<std::string>();
    return *lines;
}

void keep_line(LogLevel, const LogChannel& channel, std::string_view line) {
    if (current_world != nullptr) {
        current_world->say(std::string("  [") + channel.name + "] " + std::string(line));
    }
}

/// What dead processes left behind, reachable so that no leak checker complains.
template <class T>
void bury(T corpse) {
    static auto* graveyard = new std::vector<std::unique_ptr<T>>();
    graveyard->push_back(std::make_unique<T>(std::move(corpse)));
}

}  // namespace

World::World(uint64_t seed) : seed_(seed), rng_(seed), tie_rng_(rng_.fork()) {
    current_world = this;
    last_lines().clear();
    set_log_sink(keep_line);
    set_log_level(LogLevel::Info);
    disk_.set_wall([this] { return wall(); });
}

World::~World() {
    set_log_sink(nullptr);
    current_world = nullptr;
    bury(std::move(heap_));
}

WallMs World::wall() const {
    return WallMs{kWallStartMs + now_.nanos / 1'000'000 + wall_shift_ms_};
}

Duration World::random_delay(Duration max) {
    return {max.nanos <= 0 ? 0 : static_cast<int64_t>(rng_.below(static_cast<uint64_t>(max.nanos)))};
}

uint64_t World::at(Instant when, Owner owner, MoveFunction<void()> task) {
    const uint64_t id = next_id_++;
    const Key key{std::max(when, now_), tie_rng_.next(), id};
    heap_.emplace(key, Event{owner, std::move(task)});
    keys_.emplace(id, key);
    return id;
}

void World::cancel(uint64_t id) {
    const auto found = keys_.find(id);
    if (found == keys_.end()) return;
    heap_.erase(found->second);
    keys_.erase(found);
}

void World::bury_events_of(Owner owner) {
    for (auto it = heap_.begin(); it != heap_.end();) {
        if (it->second.owner != owner) {
            ++it;
            continue;
        }
        keys_.erase(it->first.id);
        bury(std::move(it->second.task));
        it = heap_.erase(it);
    }
}

void World::drop_events_of(Owner owner) {
    for (auto it = heap_.begin(); it != heap_.end();) {
        if (it->second.owner != owner) {
            ++it;
            continue;
        }
        keys_.erase(it->first.id);
        it = heap_.erase(it);
    }
}

support::SimDisk& World::add_disk() {
    more_disks_.push_back(std::make_unique<support::SimDisk>());
    more_disks_.back()->set_wall([this] { return wall(); });
    return *more_disks_.back();
}

/// Moves the first event behind its owner's pause; true when there was one.
bool World::defer_paused() {
    const auto first = heap_.begin();
    const auto pause = paused_.find(first->second.owner);
    if (pause == paused_.end()) return false;
    if (first->first.when >= pause->second) {
        paused_.erase(pause);
        return false;
    }
    const Key key{pause->second, first->first.tie, first->first.id};
    keys_[key.id] = key;
    auto node = heap_.extract(first);
    node.key() = key;
    heap_.insert(std::move(node));
    return true;
}

void World::step() {
    if (!paused_.empty() && defer_paused()) return;
    const auto first = heap_.begin();
    now_ = first->first.when;
    keys_.erase(first->first.id);
    Event event = std::move(first->second);
    heap_.erase(first);
    ++events_;
    note("event", static_cast<uint64_t>(now_.nanos) ^ (event.owner << 56U) ^ (event.owner >> 32U));
    running_ = event.owner;
    event.task();
    note("disk", disk_.steps());
    for (const auto& disk : more_disks_) note("disk", disk->steps());
    if (after_event_) after_event_();
    running_ = kWorld;
}

void World::run_for(Duration time) {
    const Instant end = now_ + time;
    while (!heap_.empty() && heap_.begin()->first.when <= end) step();
    now_ = end;
}

bool World::run_until(MoveFunction<bool()> condition, Duration at_most) {
    const Instant end = now_ + at_most;
    while (!condition()) {
        if (heap_.empty() || heap_.begin()->first.when > end) return false;
        step();
    }
    return true;
}

void World::note(std::string_view kind, uint64_t value) {
    for (const char c : kind) hash_ = (hash_ ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15ULL;
    hash_ ^= hash_ >> 29U;
}

void World::note_bytes(std::string_view kind, std::string_view bytes) {
    uint64_t sum = bytes.size();
    for (const char c : bytes) sum = (sum ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
    note(kind, sum);
}

void World::say(std::string_view line) const {
    const Owner node = running_ >> 32U;
    const std::string full =
        fmt::format("{:11.6f} {}{}", static_cast<double>(now_.nanos) / 1e9,
                    node == 0 ? "" : "n" + std::to_string(node) + " ", line);
    if (trace) {
        std::printf("%s\n", full.c_str());
        std::fflush(stdout);  // an assert may be next
        return;
    }
    last_lines().push_back(full);
    if (last_lines().size() > kLinesKept) last_lines().pop_front();
}

void World::fail(int exit_code, std::string_view invariant, std::string_view text) {
    if (!trace) {
        for (const std::string& line : last_lines()) std::printf("%s\n", line.c_str());
    }
    std::printf("FAIL %s t=%.6f event=%llu %.*s: %.*s\n", title.c_str(),
                static_cast<double>(now_.nanos) / 1e9, static_cast<unsigned long long>(events_),
                static_cast<int>(invariant.size()), invariant.data(),
                static_cast<int>(text.size()), text.data());
    std::fflush(stdout);
    ::_exit(exit_code);
}

env::TimerId ProcessPorts::arm(Instant when, MoveFunction<void()> fire) {
    if (when == Instant::never()) when = Instant{Instant::never().nanos - 1};
    // The heap must not run the callback inside arm, and timers are late by up to a millisecond.
    return world_.at(std::max(when, world_.now()) + world_.random_delay(milliseconds(1)), owner_,
                     std::move(fire));
}

void ProcessPorts::post(MoveFunction<void()> task) {
    posted_.push_back(std::move(task));
    world_.at(world_.now(), owner_, [this] {
        MoveFunction<void()> first = std::move(posted_.front());
        posted_.pop_front();
        first();
    });
}

void ProcessPorts::run(MoveFunction<void()> work, MoveFunction<void()> done) {
    world_.at(world_.now() + world_.random_delay(background_delay_max), owner_,
              [this, work = std::move(work), done = std::move(done)]() mutable {
                  work();
                  // Gone before `done`, as on a thread that takes the next task.
                  work = nullptr;
                  world_.at(world_.now() + world_.random_delay(milliseconds(1)), owner_,
                            std::move(done));
              });
}

void ProcessPorts::send(const env::PeerAddress&, BufferChain, Duration,
                        MoveFunction<void(Result<Buffer>)> done) {
    post([done = std::move(done)]() mutable {
        done(Status(Errc::Disconnected, "a world of one node"));
    });
}

}  // namespace millrace::sim
