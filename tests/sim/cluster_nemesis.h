// tests/sim/cluster_nemesis.h: the faults of a cluster's run, and who restarts its nodes.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "sim/cluster.h"
#include "sim/cluster_watch.h"
#include "sim/model.h"
#include "sim/voters.h"

namespace millrace::sim {

/// Drawn from the seed: each class of faults is on or off, so that runs differ in kind.
struct ClusterFaults {
    bool kill = false;
    bool crash = false;        // with the loss of what was not synced; one node at a time
    bool in_steps = false;     // between two disk operations
    bool in_start = false;
    bool stop = false;         // controlled
    bool pause = false;
    bool isolate = false;      // one node from all others
    bool one_way = false;
    bool client_cut = false;
    bool lag = false;          // followers that fetch nothing for a while
    bool slow_links = false;   // delay and loss
    bool resets = false;
    bool slow_disk = false;
    bool io_error = false;
    bool bad_directory = false;
    bool disk_full = false;
    bool wall_jumps = false;
    bool empty_disk = false;
    bool last_stand = false;   // one lags, one loses, the third goes: nobody else may lead
    bool rot = false;          // a bit of a committed batch flips on one replica
    int disturbed_max = 1;     // nodes in trouble at one time
    Duration interval = seconds(2);
    Duration length = seconds(12);

    static ClusterFaults draw(Rng& rng, int nodes);
    std::string text() const;
};

class ClusterNemesis {
  public:
    ClusterNemesis(World& world, Cluster& cluster, ClusterWatch& watch, Model& model,
                   const ClusterFaults& faults);
    ~ClusterNemesis();
    /// Who changes voters must agree before a disk is lost.
    Voters* voters = nullptr;
    void start_all();
    void begin();
    /// No more faults: everything is mended, every node made to run.
    void heal();
    /// Kills all and starts them again.
    void restart_all();
    void after_event();

  private:
    struct Trouble {
        Instant disturbed_until{};
        bool injected = false;     // a fault that the process may die of
        bool crash_planned = false;
        Crash step_crash = Crash::Process;
        bool wiped = false;
    };
    void plan();
    void act();
    void start(int node);
    void format(int node);
    void on_down(int node, Crash kind, bool clean);
    void kill(int node, Crash kind);
    void crash_in_steps(int node);
    Crash draw_crash(int node);
    bool may_lose(int node);
    bool may_end(int node);
    bool may_wipe(int node);
    void wipe(int node);
    void flip_a_bit(int node);
    void cure();
    bool may_flip(int node);
    void last_stand(int node);
    void isolate(int node, Duration time);
    void cut_one_way();
    void mend_later(const std::vector<std::pair<int, int>>& cuts, Duration time);
    void slow_links();
    void fail_disk(int node);
    void fill_disk(int node);
    /// Marks the node; false when too many are in trouble already.
    bool disturb(int node, Duration time);
    int draw_node() { return static_cast<int>(1 + rng_.below(static_cast<uint64_t>(cluster_.size()))); }
    Duration draw_time();
    void wait_until_up(const char* when);

    World& world_;
    Cluster& cluster_;
    ClusterWatch& watch_;
    Model& model_;
    ClusterFaults faults_;
    Rng rng_;
    bool active_ = false;
    std::map<int, Trouble> trouble_;
};

}  // namespace millrace::sim
