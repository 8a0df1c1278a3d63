// tests/sim/cluster_run.cc: the phases of a cluster's run: work under faults, heal, rest, verify.
#include <memory>
#include <vector>

#include "millrace/wire/gen/alter_partition_reassignments_request.h"
#include "millrace/wire/gen/alter_partition_reassignments_response.h"
#include "sim/admin.h"
#include "sim/cluster_nemesis.h"
#include "sim/crowd.h"
#include "sim/group_load.h"
#include "sim/run.h"

namespace millrace::sim {

namespace {

constexpr Duration kRestMax = seconds(60);
const char* const kAutoJoin = "controller.quorum.auto.join.enable";
constexpr uint64_t kSettingsSeed = 0x636c7573746572ULL;

metadata::ConfigMap common_config(Rng& rng, const GroupOptions& groups) {
    metadata::ConfigMap config = {
        {"auto.create.topics.enable", "false"},
        {"log.cleaner.enable", "false"},
        {"log.retention.check.interval.ms", "700"},
        {"log.initial.task.delay.ms", "300"},
        {"log.flush.offset.checkpoint.interval.ms", "900"},
        {"log.flush.start.offset.checkpoint.interval.ms", "1100"},
        {"replica.high.watermark.checkpoint.interval.ms", "500"},
        {"log.segment.delete.delay.ms", "1000"},
        {"controller.quorum.append.linger.ms", "5"},
        {"max.incremental.fetch.session.cache.slots", std::to_string(1 + rng.below(12))},
    };
    const auto set = [&](const char* key, int64_t low, int64_t high) {
        config[key] = std::to_string(rng.between(low, high));
    };
    set("broker.session.timeout.ms", 1000, 4000);
    set("broker.heartbeat.interval.ms", 150, 450);
    set("controller.quorum.election.timeout.ms", 200, 1000);
    set("controller.quorum.election.backoff.max.ms", 50, 600);
    set("controller.quorum.fetch.timeout.ms", 500, 2000);
    set("controller.quorum.request.timeout.ms", 400, 1500);
    set("replica.fetch.wait.max.ms", 50, 400);
    set("replica.lag.time.max.ms", 500, 3000);
    set("replica.fetch.backoff.ms", 20, 500);
    set("replica.socket.timeout.ms", 1000, 6000);
    set("leader.imbalance.check.interval.seconds", 1, 6);
    groups.configure(config);
    if (rng.chance(1, 2)) config.erase("log.flush.interval.messages");
    if (rng.chance(1, 2)) set("internal.metadata.log.segment.bytes", 8000, 40'000);
    if (rng.chance(1, 2)) set("metadata.log.max.record.bytes.between.snapshots", 500, 8000);
    if (rng.chance(1, 3)) set("metadata.log.max.snapshot.interval.ms", 1000, 10'000);
    if (rng.chance(1, 3)) set("metadata.max.retention.bytes", 0, 0);
    if (rng.chance(1, 4)) set("log.flush.scheduler.interval.ms", 200, 2000);
    if (rng.chance(1, 4)) set("replica.fetch.max.bytes", 200, 5000);
    return config;
}

class ClusterRun {
  public:
    ClusterRun(uint64_t seed, int nodes, const GroupOptions& groups, const ClusterOptions& options)
        : world_(seed ^ kSettingsSeed),
          groups_(groups),
          faults_(ClusterFaults::draw(world_.rng(), nodes)),
          cluster_(world_, options, seed),
          model_(world_),
          watch_(world_, cluster_),
          nemesis_(world_, cluster_, watch_, model_, faults_),
          admin_(world_, cluster_, model_),
          load_(world_, cluster_, with_walls(groups, faults_)),
          crowd_(world_, cluster_, model_),
          voters_(world_, cluster_),
          dynamic_(options.first_voters > 0) {
        nemesis_.voters = dynamic_ ? &voters_ : nullptr;
        watch_.all_vote = options.config.contains(kAutoJoin);
        model_.many_nodes = true;
        admin_.keep_all = world_.rng().chance(1, 2);
        admin_.replication_factor = options.replication_factor;
        admin_.min_isr = options.min_isr;
        world_.set_after_event([this] {
            watch_.after_event();
            nemesis_.after_event();
        });
    }

    void plant(const PlantedFault& fault) {
        if (fault.make != nullptr) meddler_ = fault.make();
        for (Process* process : cluster_.all_servers()) {
            process->meddler = meddler_.get();
            process->disk().lie_about_syncs(fault.sync_lie);
        }
    }

    void entitle(uint64_t seed, int nodes, bool trace, const std::string& commit) {
        world_.trace = trace;
        world_.title = "nodes=" + std::to_string(nodes) + " seed=" + std::to_string(seed) +
                       " commit=" + commit + " " + faults_.text() + (groups_.on ? ",groups" : "") + (dynamic_ ? ",voters" : "");
    }

    RunReport run() {
        nemesis_.start_all();
        cluster_.begin_discovery();
        const size_t topics = 1 + world_.rng().below(3);
        for (size_t i = 0; i < topics; ++i) admin_.create_topic(world_.rng().chance(1, 4));
        expect_stale_answers(true);
        make_actors();
        load_.begin();
        cluster_.wrong_percent = world_.rng().below(4);
        nemesis_.begin();
        if (dynamic_) voters_.begin();
        const Instant end = world_.now() + faults_.length;
        while (world_.now() < end) {
            world_.run_for(world_.random_delay(milliseconds(900)));
            if (faults_.resets && world_.rng().chance(1, 3)) crowd_.reset_somebody();
            if (groups_.on && faults_.resets) load_.reset_somebody(world_.rng());
            if (world_.rng().chance(1, 2)) admin_.act();
            if (cluster_.size() > admin_.replication_factor) reassign();
        }
        voters_.end();
        nemesis_.heal();
        crowd_.drain(load_);
        rest();
        verify("after healing");
        nemesis_.restart_all();
        model_.on_down(false, false);  // log starts are written down from time to time only
        rest();
        verify("after a restart of all");
        return report();
    }

  private:
    static GroupOptions with_walls(GroupOptions groups, const ClusterFaults& faults) {
        groups.wall_jumps = groups.walls_differ = faults.wall_jumps;
        return groups;
    }

    void expect_stale_answers(bool may) {
        model_.stale_answers = may;
        load_.expect_stale_answers(may);
    }

    void make_actors() {
        Rng& rng = world_.rng();
        const size_t producers = 1 + rng.below(4);
        const size_t consumers = 1 + rng.below(3);
        for (size_t i = 0; i < producers; ++i) {
            ActorOptions actor;
            actor.idempotent = rng.chance(4, 5);
            actor.window = 1 + rng.below(5);
            actor.think_max = milliseconds(rng.between(5, 150));
            Producer& producer = crowd_.add_producer(actor);
            producer.client().timeout = milliseconds(rng.between(1500, 6000));
            producer.start();
        }
        for (size_t i = 0; i < consumers; ++i) {
            ActorOptions actor;
            actor.think_max = milliseconds(rng.between(10, 200));
            crowd_.add_consumer(actor).start();
        }
    }

    /// Moves a partition to other nodes; whatever comes of it, records stay and it ends.
    void reassign() {
        Rng& rng = world_.rng();
        const auto live = model_.live_topics();
        if (live.empty() || rng.chance(1, 2)) return;
        std::vector<int32_t> nodes;
        for (int32_t n = 1; n <= cluster_.size(); ++n) nodes.push_back(n);
        for (size_t i = nodes.size(); i > 1; --i) std::swap(nodes[i - 1], nodes[rng.below(i)]);
        nodes.resize(static_cast<size_t>(admin_.replication_factor));
        const TopicModel& topic = *live[rng.below(live.size())];
        wire::AlterPartitionReassignmentsRequest request;
        request.timeout_ms = 2000;
        auto& asked = request.topics.emplace_back();
        asked.name = topic.name;
        auto& part = asked.partitions.emplace_back();
        part.partition_index = static_cast<int32_t>(rng.below(topic.partitions.size()));
        part.replicas = nodes;
        admin_.client().call_now<wire::AlterPartitionReassignmentsResponse>(request, 0);
    }

    /// Every partition gets a leader and all its replicas in sync, in bounded time.
    void rest() {
        world_.run_until([this] { return watch_.unrest().empty(); }, kRestMax);
        const std::string unrest = watch_.unrest();
        if (!unrest.empty()) world_.fail(kExitLiveness, "rest", "after a minute of health " + unrest);
        world_.run_for(seconds(1));  // clients hear of it
        watch_.compare_logs();
        expect_stale_answers(false);
    }

    void verify(const std::string& when) {
        Verifier(world_, cluster_, model_, when).verify();
        load_.verify(when);
    }

    RunReport report() {
        RunReport report;
        report.hash = world_.hash();
        report.events = world_.events();
        report.acked_records = model_.acked_records;
        report.read_records = model_.read_records;
        report.commits = load_.commits();
        report.processes = static_cast<uint64_t>(model_.incarnation);
        report.virtual_ms = world_.now().nanos / 1'000'000;
        report.elections = watch_.elections();
        report.quorum_elections = watch_.quorum_elections();
        report.voter_changes = watch_.voter_changes();
        return report;
    }

    World world_;
    GroupOptions groups_;
    ClusterFaults faults_;
    std::unique_ptr<Meddler> meddler_;
    Cluster cluster_;
    Model model_;
    ClusterWatch watch_;
    ClusterNemesis nemesis_;
    Admin admin_;
    GroupLoad load_;
    Crowd crowd_;
    Voters voters_;
    bool dynamic_;
};

}  // namespace

RunReport run_cluster_seed(uint64_t seed, int nodes, bool trace, const std::string& commit,
                           Groups wanted, const PlantedFault* fault) {
    Rng rng(seed + 0x73657474696e6773ULL);
    GroupOptions groups = GroupOptions::draw(seed);
    if (wanted != Groups::Drawn) groups.on = wanted == Groups::On;
    ClusterOptions options;
    options.nodes = nodes;
    options.replication_factor = std::min(nodes, 3);
    options.min_isr = std::max(1, options.replication_factor - 1);
    groups.replication_factor = options.replication_factor;
    groups.min_isr = options.min_isr;
    options.config = common_config(rng, groups);
    options.config["min.insync.replicas"] = std::to_string(options.min_isr);
    if (nodes > 1 && rng.chance(1, 2)) {
        options.first_voters = rng.chance(1, 2) ? nodes : static_cast<int>(rng.between(1, nodes));
        if (rng.chance(1, 3)) options.config[kAutoJoin] = "true";
    }
    if (fault != nullptr) {
        for (const auto& [key, value] : fault->config) options.config[key] = value;
    }
    ClusterRun run(seed, nodes, groups, options);
    if (fault != nullptr) run.plant(*fault);
    run.entitle(seed, nodes, trace, commit);
    return run.run();
}

}  // namespace millrace::sim
