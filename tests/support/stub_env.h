// tests/support/stub_env.h: an env::Env for tests of one floor: settable time, work done on demand.
#pragma once

#include <utility>
#include <vector>

#include "millrace/env/background.h"
#include "millrace/env/clock.h"
#include "millrace/env/env.h"
#include "millrace/env/peers.h"
#include "millrace/env/shards.h"
#include "millrace/env/timers.h"
#include "support/sim_disk.h"

namespace millrace::support {

class StubClock final : public env::Clock {
  public:
    Instant now() override { return now_; }
    WallMs wall() override { return wall_; }
    void advance(Duration step) {
        now_ = now_ + step;
        wall_.value += step.millis();
    }
    void set_wall(WallMs wall) { wall_ = wall; }

  private:
    Instant now_{1'000'000'000};
    WallMs wall_{1'700'000'000'000};
};

/// Runs work when told to, `done` right after it.
class StubBackground final : public env::Background {
  public:
    void run(MoveFunction<void()> work, MoveFunction<void()> done) override {
        waiting_.emplace_back(std::move(work), std::move(done));
    }
    size_t run_all() {
        size_t ran = 0;
        while (!waiting_.empty()) {
            auto tasks = std::move(waiting_);
            waiting_.clear();
            for (auto& [work, done] : tasks) {
                work();
                done();
                ++ran;
            }
        }
        return ran;
    }
    void drop_all() { waiting_.clear(); }
    size_t waiting() const { return waiting_.size(); }

  private:
    std::vector<std::pair<MoveFunction<void()>, MoveFunction<void()>>> waiting_;
};

class NoTimers final : public env::Timers {
  public:
    env::TimerId arm(Instant, MoveFunction<void()>) override { return env::kNoTimer; }
    void cancel(env::TimerId) override {}
    void post(MoveFunction<void()>) override {}
};

class OneShard final : public env::Shards {
  public:
    uint32_t count() const override { return 1; }
    ShardId current() const override { return ShardId(0); }
    void post(ShardId, MoveFunction<void()> message) override { message(); }
};

class NoPeers final : public env::Peers {
  public:
    void send(const env::PeerAddress&, BufferChain, Duration,
              MoveFunction<void(Result<Buffer>)> done) override {
        done(Status(Errc::Disconnected, "no peers in this test"));
    }
};

/// A disk and an Env on it. The disk outlives restarts: make a new env() user after each.
class StubWorld {
  public:
    SimDisk disk;
    StubClock clock;
    StubBackground background;
    env::Env env() {
        return {clock, timers_, disk, background, shards_, peers_, seed_++};
    }
    /// Everything that waits, until nothing does.
    void settle() {
        while (background.run_all() + disk.run_posted() > 0) {
        }
    }

  private:
    NoTimers timers_;
    OneShard shards_;
    NoPeers peers_;
    uint64_t seed_ = 1;
};

}  // namespace millrace::support
