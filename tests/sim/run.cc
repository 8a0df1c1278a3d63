// tests/sim/run.cc: the phases of a run: format, work under faults, heal, verify, restart, verify.
#include "sim/run.h"

#include <memory>
#include <vector>

#include "sim/admin.h"
#include "sim/crowd.h"
#include "sim/group_load.h"
#include "sim/nemesis.h"

namespace millrace::sim {

namespace {

constexpr int kFormatCrashesMax = 3;

metadata::ConfigMap node_config(Rng& rng, const GroupOptions& groups) {
    metadata::ConfigMap config = {
        {"process.roles", "broker,controller"},
        {"node.id", "1"},
        {"controller.quorum.bootstrap.servers", "localhost:9093"},
        {"controller.listener.names", "CONTROLLER"},
        {"listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"},
        {"log.dirs", "/d0,/d1"},
        {"metadata.log.dir", "/d0"},
        {"auto.create.topics.enable", "false"},
        {"log.retention.check.interval.ms", "700"},
        {"log.initial.task.delay.ms", "300"},
        {"log.flush.offset.checkpoint.interval.ms", "900"},
        {"log.flush.start.offset.checkpoint.interval.ms", "1100"},
        {"replica.high.watermark.checkpoint.interval.ms", "500"},
        {"log.segment.delete.delay.ms", "1000"},
        {"max.incremental.fetch.session.cache.slots", std::to_string(rng.below(4))},
    };
    const auto set = [&](const char* key, int64_t value) { config[key] = std::to_string(value); };
    if (rng.chance(1, 2)) set("internal.metadata.log.segment.bytes", rng.between(8000, 40'000));
    if (rng.chance(1, 2)) {
        set("metadata.log.max.record.bytes.between.snapshots", rng.between(200, 5000));
    }
    if (rng.chance(1, 3)) set("metadata.log.max.snapshot.interval.ms", rng.between(1000, 10'000));
    if (rng.chance(1, 3)) set("metadata.max.retention.bytes", 0);
    if (rng.chance(1, 4)) set("log.flush.scheduler.interval.ms", rng.between(200, 2000));
    groups.configure(config);
    return config;
}

class Run {
  public:
    Run(uint64_t seed, bool trace, const std::string& commit, const GroupOptions& groups,
        const SwarmOptions* fixed = nullptr)
        : world_(seed),
          options_(fixed != nullptr ? *fixed : SwarmOptions::draw(world_.rng())),
          groups_(groups),
          process_(world_, node_config(world_.rng(), groups), seed),
          model_(world_),
          nemesis_(world_, process_, model_, options_),
          admin_(world_, process_, model_),
          load_(world_, process_, with_walls(groups, options_)),
          crowd_(world_, process_, model_) {
        world_.trace = trace;
        world_.title = "seed=" + std::to_string(seed) + " commit=" + commit + " " + options_.text() +
                       (groups.on ? ",groups" : "");
        admin_.all_durable = options_.all_durable;
    }

    void plant(const PlantedFault& fault) { world_.disk().lie_about_syncs(fault.sync_lie); }

    RunReport run() {
        format();
        nemesis_.start_process();
        if (!world_.run_until([&] { return process_.up(); }, seconds(60))) {
            world_.fail(kExitLiveness, "start", "the first start does not end");
        }
        for (size_t i = 0; i < options_.topics; ++i) {
            admin_.create_topic(options_.all_durable || i % 2 == 0);
        }
        make_actors();
        load_.begin();
        if (options_.resets) {
            process_.network.half_open_percent = 20;
            process_.network.split_percent = 30;
            process_.network.slow_drain_percent = 10;
        }
        nemesis_.begin();
        const Instant end = world_.now() + options_.length;
        while (world_.now() < end) {
            world_.run_for(world_.random_delay(milliseconds(700)));
            if (options_.resets && world_.rng().chance(1, 3)) crowd_.reset_somebody();
            if (groups_.on && options_.resets) load_.reset_somebody(world_.rng());
            admin_.act();
        }
        verify_all();
        return {world_.hash(),        world_.events(),        model_.acked_records,
                model_.read_records,  load_.commits(),       process_.incarnation(), world_.now().nanos / 1'000'000};
    }

    /// Format, start, topics, rolls, deletions, checkpoints, stop; with one crash.
    uint64_t run_steps(uint64_t step, Crash kind) {
        world_.title += " step=" + std::to_string(step);
        if (step > 0) nemesis_.plan_crash(step, kind);
        if (!process_.format().ok()) {
            world_.check(world_.disk().halted(), "format", "fails without a fault");
            world_.disk().crash(support::CrashStyle::Random, world_.rng());
            nemesis_.forget_plan();
            world_.disk().clear_faults();
            format();
        }
        nemesis_.start_process();
        world_.run_until([&] { return process_.up(); }, seconds(60));
        TopicModel& kept = admin_.create_topic(true);
        TopicModel& gone = admin_.create_topic(false);
        make_actors();
        load_.begin();
        world_.run_for(milliseconds(900));
        admin_.delete_records(kept, 0, kept.partitions[0]->visible_end() / 2);
        admin_.alter_configs(kept);
        admin_.add_partitions(kept);
        world_.run_for(milliseconds(400));
        admin_.delete_topic(gone);
        world_.run_for(seconds(2));
        process_.stop();
        world_.run_until([&] { return process_.state() == Process::State::Down; }, seconds(20));
        const uint64_t steps = world_.disk().steps();
        verify_all();
        return steps;
    }

  private:
    void verify_all() {
        nemesis_.heal();
        drain();
        verify("after healing");
        restart(true);
        verify("after a clean restart");
        restart(false);
        verify("after a crash");
        finish();
    }

    void verify(const std::string& when) {
        Verifier(world_, process_, model_, when).verify();
        load_.verify(when);
    }

    static GroupOptions with_walls(GroupOptions groups, const SwarmOptions& options) {
        groups.wall_jumps = options.wall_jumps;
        return groups;
    }

    void format() {
        Rng& rng = world_.rng();
        for (int i = 0; options_.crash_in_format && i < kFormatCrashesMax; ++i) {
            world_.disk().halt_after(world_.disk().steps() + rng.below(40));
            const Status status = process_.format();
            const bool halted = world_.disk().halted();
            world_.check(status.ok() || halted, "format", status.to_string());
            world_.disk().crash(support::CrashStyle::Random, rng);
            world_.disk().clear_faults();
        }
        const Status status = process_.format();
        world_.check(status.ok(), "format", status.to_string());
    }

    void make_actors() {
        Rng& rng = world_.rng();
        for (size_t i = 0; i < options_.producers; ++i) {
            ActorOptions actor;
            actor.idempotent = rng.chance(2, 3);
            actor.acks = actor.idempotent ? int16_t{-1} : static_cast<int16_t>(rng.between(-1, 1));
            actor.window = actor.acks == 0 ? 1 : 1 + rng.below(5);
            actor.think_max = milliseconds(rng.between(2, 120));
            crowd_.add_producer(actor).start();
        }
        for (size_t i = 0; i < options_.consumers; ++i) {
            ActorOptions actor;
            actor.think_max = milliseconds(rng.between(2, 200));
            crowd_.add_consumer(actor).start();
        }
    }

    void drain() {
        crowd_.drain(load_);
        world_.run_for(seconds(1));  // requests that want no answer
    }

    void restart(bool clean) {
        if (clean) {
            process_.stop();
            const bool down = world_.run_until(
                [&] { return process_.state() == Process::State::Down; }, seconds(60));
            if (!down) world_.fail(kExitLiveness, "stop", "a controlled stop does not end");
        } else {
            process_.kill(options_.crash_machine ? Crash::Machine : Crash::Process);
        }
        nemesis_.start_process();
        if (!world_.run_until([&] { return process_.up(); }, seconds(60))) {
            world_.fail(kExitLiveness, "start", "the node is not ready after a minute");
        }
    }

    void finish() {
        world_.run_for(seconds(5));  // delayed deletions
        process_.stop();
        world_.run_until([&] { return process_.state() == Process::State::Down; }, seconds(60));
        Verifier::verify_folders(world_, model_, process_.log_dirs());
    }

    World world_;
    SwarmOptions options_;
    GroupOptions groups_;
    Process process_;
    Model model_;
    Nemesis nemesis_;
    Admin admin_;
    GroupLoad load_;
    Crowd crowd_;
};

constexpr uint64_t kStepsSeed = 7;

}  // namespace

uint64_t run_crash_step(uint64_t step, bool machine, bool trace, const std::string& commit) {
    SwarmOptions options;
    options.crash_machine = machine;
    options.producers = 3;
    options.consumers = 1;
    GroupOptions groups;
    groups.on = true;
    Run run(kStepsSeed, trace, commit, groups, &options);
    return run.run_steps(step, machine ? Crash::Machine : Crash::Process);
}

RunReport run_seed(uint64_t seed, bool trace, const std::string& commit, Groups wanted,
                   const PlantedFault* fault) {
    GroupOptions groups = GroupOptions::draw(seed);
    if (wanted != Groups::Drawn) groups.on = wanted == Groups::On;
    Run run(seed, trace, commit, groups);
    if (fault != nullptr) run.plant(*fault);
    return run.run();
}

}  // namespace millrace::sim
