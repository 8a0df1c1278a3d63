// tests/sim/cluster_nemesis.cc: kills, cuts, pauses, bad disks, and the return to health.
//
// What may be lost: nothing. A lossy crash or an empty disk hits a node only while every other
// replica is whole, the bound of reliability.md 3.1 for min.insync.replicas=2.
#include "sim/cluster_nemesis.h"

#include <algorithm>

#include "millrace/broker/quorum_driver.h"

namespace millrace::sim {

namespace {
constexpr Duration kDownMin = milliseconds(10);
constexpr Duration kDownShort = milliseconds(900);
constexpr Duration kDownLong = seconds(7);  // longer than a session
constexpr Duration kStepCrashMax = seconds(2);
constexpr Duration kWipedDown = seconds(8);  // requests of its former life are gone
constexpr Duration kHealMax = seconds(90);
constexpr Duration kLastStand = seconds(10);
/// Two clocks differ by less than message.timestamp.after.max.ms.
constexpr int64_t kWallShiftMs = 1'500'000;
const std::string kSecondDirectory = "/d1";
}  // namespace

ClusterFaults ClusterFaults::draw(Rng& rng, int nodes) {
    ClusterFaults f;
    const uint64_t level = rng.below(12);
    const auto on = [&](uint64_t percent) {
        return level > 0 && rng.chance(level == 11 ? 85 : percent, 100);
    };
    f.kill = on(45);
    f.crash = on(40) && nodes >= 3;
    f.in_steps = on(40);
    f.in_start = on(25);
    f.stop = on(30);
    f.pause = on(35);
    f.isolate = on(40);
    f.one_way = on(30);
    f.client_cut = on(20);
    f.slow_links = on(30);
    f.lag = on(35);
    f.resets = on(35);
    f.slow_disk = on(25);
    f.io_error = on(20);
    f.bad_directory = on(15);
    f.disk_full = on(15);
    f.wall_jumps = on(20);
    f.empty_disk = on(15) && nodes >= 3;
    f.rot = on(15) && nodes >= 3;
    f.last_stand = on(30) && nodes >= 3;
    f.disturbed_max = rng.chance(2, 3) ? (nodes - 1) / 2 : nodes;
    f.disturbed_max = std::max(f.disturbed_max, 1);
    f.interval = milliseconds(rng.between(300, 3000));
    f.length = milliseconds(rng.between(5000, 25'000));
    return f;
}

std::string ClusterFaults::text() const {
    std::string all;
    const auto add = [&](bool on, const char* name) {
        if (on) all += std::string(all.empty() ? "" : ",") + name;
    };
    add(kill, "kill");
    add(crash, "crash");
    add(in_steps, "steps");
    add(in_start, "start");
    add(stop, "stop");
    add(pause, "pause");
    add(isolate, "isolate");
    add(one_way, "oneway");
    add(client_cut, "clients");
    add(lag, "lag");
    add(slow_links, "links");
    add(resets, "reset");
    add(slow_disk, "slow");
    add(io_error, "io");
    add(bad_directory, "dir");
    add(disk_full, "full");
    add(wall_jumps, "wall");
    add(empty_disk, "empty");
    add(last_stand, "last");
    add(rot, "rot");
    return "faults=" + (all.empty() ? "none" : all) + " at_once=" + std::to_string(disturbed_max);
}

ClusterNemesis::ClusterNemesis(World& world, Cluster& cluster, ClusterWatch& watch, Model& model,
                               const ClusterFaults& faults)
    : world_(world),
      cluster_(cluster),
      watch_(watch),
      model_(model),
      faults_(faults),
      rng_(world.rng().fork()) {
    for (Process* process : cluster_.all_servers()) {
        const int node = process->site().number;
        process->on_down = [this, node](Crash kind, bool clean) { on_down(node, kind, clean); };
    }
}

ClusterNemesis::~ClusterNemesis() {
    for (Process* process : cluster_.all_servers()) process->on_down = nullptr;
}

void ClusterNemesis::format(int node) {
    const Status status = cluster_.node(node).format();
    world_.check(status.ok(), "format", status.to_string());
}

void ClusterNemesis::start_all() {
    for (int node = 1; node <= cluster_.size(); ++node) format(node);
    for (int node = 1; node <= cluster_.size(); ++node) start(node);
    wait_until_up("the first start");
}

void ClusterNemesis::wait_until_up(const char* when) {
    const bool up = world_.run_until(
        [this] {
            for (Process* process : cluster_.all_servers()) {
                if (!process->up()) return false;
            }
            return true;
        },
        kHealMax);
    if (up) return;
    std::string who;
    for (Process* process : cluster_.all_servers()) {
        if (!process->up()) who += " " + std::to_string(process->site().number);
    }
    world_.fail(kExitLiveness, "start", std::string(when) + ": not ready in time:" + who);
}

void ClusterNemesis::start(int node) {
    Process& process = cluster_.node(node);
    if (process.state() != Process::State::Down) return;
    Trouble& trouble = trouble_[node];
    trouble.injected = trouble.crash_planned = false;
    process.disk().clear_faults();
    if (std::exchange(trouble.wiped, false)) format(node);
    ++model_.incarnation;
    process.start();
    if (active_ && faults_.in_start && rng_.chance(1, 3) && may_end(node)) crash_in_steps(node);
}

void ClusterNemesis::begin() {
    active_ = true;
    plan();
}

void ClusterNemesis::plan() {
    world_.after(Duration{1} + world_.random_delay(faults_.interval * 2), [this] {
        if (!active_) return;
        act();
        plan();
    });
}

Duration ClusterNemesis::draw_time() {
    return milliseconds(rng_.chance(2, 3) ? rng_.between(20, 1500) : rng_.between(1500, 8000));
}

bool ClusterNemesis::disturb(int node, Duration time) {
    int others = 0;
    for (const auto& [number, trouble] : trouble_) {
        if (number != node && trouble.disturbed_until > world_.now()) ++others;
    }
    if (others >= faults_.disturbed_max) return false;
    Instant& until = trouble_[node].disturbed_until;
    until = std::max(until, world_.now() + time);
    return true;
}

/// min.insync.replicas is 2: of a partition's replicas one may lose what was not synced while the
/// others go on. A replica that was killed counts as lost until it is in sync again (KIP-966).
bool ClusterNemesis::may_lose(int node) {
    watch_.forget_whole_nodes();
    for (const auto& [number, trouble] : trouble_) {
        if (number != node && trouble.injected) return false;
    }
    return watch_.others_clean(node);
}

/// May end without a controlled stop.
bool ClusterNemesis::may_end(int node) {
    watch_.forget_whole_nodes();
    return watch_.others_whole(node);
}

Crash ClusterNemesis::draw_crash(int node) {
    if (!faults_.crash || !may_lose(node)) return Crash::Process;
    return !faults_.kill || rng_.chance(1, 2) ? Crash::Machine : Crash::Process;
}

void ClusterNemesis::kill(int node, Crash kind) {
    Process& process = cluster_.node(node);
    if (process.state() == Process::State::Down) return;
    if (kind == Crash::Machine && !may_lose(node)) kind = Crash::Process;
    world_.say("nemesis: " + std::string(kind == Crash::Machine ? "crash" : "kill") + " of node " +
               std::to_string(node));
    process.network.half_open_percent = kind == Crash::Machine ? 60 : 0;
    process.kill(kind);
}

void ClusterNemesis::crash_in_steps(int node) {
    Process& process = cluster_.node(node);
    const uint64_t ahead = rng_.below(rng_.chance(1, 2) ? 10 : 100);
    world_.say("nemesis: crash of node " + std::to_string(node) + " after " +
               std::to_string(ahead) + " disk steps");
    Trouble& trouble = trouble_[node];
    trouble.injected = trouble.crash_planned = true;
    trouble.step_crash = draw_crash(node);
    process.disk().halt_after(process.disk().steps() + ahead);
    const Owner planned_for = process.incarnation();
    world_.after(kStepCrashMax, [this, node, planned_for] {
        Process& again = cluster_.node(node);
        if (again.incarnation() == planned_for) kill(node, trouble_[node].step_crash);
    });
}

void ClusterNemesis::on_down(int node, Crash kind, bool clean) {
    watch_.on_new_life(node);
    if (!clean) watch_.on_unclean_end(node);
    if (kind == Crash::Machine) watch_.on_lossy_crash(node);
    if (!active_) return;
    Duration down = kDownMin + world_.random_delay(rng_.chance(2, 3) ? kDownShort : kDownLong);
    if (trouble_[node].wiped) down = kWipedDown + down;
    disturb(node, down + seconds(1));
    world_.after(down, [this, node] { start(node); });
}

/// All others have everything, in the quorum as in the partitions.
bool ClusterNemesis::may_wipe(int node) {
    watch_.forget_whole_nodes();
    if (voters != nullptr && !voters->may_lose(node)) return false;
    if (!watch_.others_clean(0) || cluster_.links.any_cut() || !watch_.unrest().empty()) return false;
    int64_t end = -1;
    for (Process* process : cluster_.all_servers()) {
        if (!process->up() || trouble_[process->site().number].injected) return false;
        const broker::QuorumStatus status = process->node().shard().quorum->status();
        if (end >= 0 && status.log_end_offset.value != end) return false;
        end = status.log_end_offset.value;
    }
    return cluster_.node(node).up();
}

void ClusterNemesis::wipe(int node) {
    world_.say("nemesis: node " + std::to_string(node) + " loses its disk");
    Process& process = cluster_.node(node);
    trouble_[node].wiped = true;
    disturb(node, kWipedDown + seconds(4));
    process.kill(Crash::Process);
    process.lose_disk();
    watch_.on_lossy_crash(node);
}

bool ClusterNemesis::may_flip(int node) {
    watch_.forget_whole_nodes();
    for (const auto& [number, trouble] : trouble_) {
        if (trouble.injected) return false;
    }
    return watch_.others_clean(0) && cluster_.node(node).up();
}

void ClusterNemesis::flip_a_bit(int node) {
    const auto victim = watch_.pick_batch(node, rng_);
    if (!victim) return;
    const std::string name = victim->rot.topic + "-" + std::to_string(victim->rot.partition);
    world_.say("nemesis: a bit of " + name + " flips on node " + std::to_string(node));
    cluster_.node(node).disk().flip_bit(victim->file, victim->from + rng_.below(victim->size),
                                        static_cast<int>(rng_.below(8)));
    model_.rotten.insert(name);
    watch_.on_rot(victim->rot);
}

/// What an operator does about a copy that is reported damaged: it is thrown away.
void ClusterNemesis::cure() {
    for (const ClusterWatch::Rot& rot : watch_.rot()) {
        const std::string name = rot.topic + "-" + std::to_string(rot.partition);
        world_.say("the operator throws away " + name + " of node " + std::to_string(rot.node));
        Process& process = cluster_.node(rot.node);
        process.kill(Crash::Process);
        process.disk().erase_folder(rot.folder);
        model_.rotten.erase(name);
        start(rot.node);
    }
    watch_.on_cured();
}

void ClusterNemesis::mend_later(const std::vector<std::pair<int, int>>& cuts, Duration time) {
    world_.after(time, [this, cuts] {
        for (const auto& [from, to] : cuts) cluster_.links.mend(from, to);
    });
}

void ClusterNemesis::isolate(int node, Duration time) {
    const bool from_clients = rng_.chance(1, 2);
    world_.say("nemesis: node " + std::to_string(node) + " is cut off" +
               (from_clients ? ", also from clients" : ""));
    std::vector<std::pair<int, int>> cuts;
    for (int other = from_clients ? 0 : 1; other <= cluster_.size(); ++other) {
        if (other == node) continue;
        cuts.emplace_back(node, other);
        cuts.emplace_back(other, node);
    }
    for (const auto& [from, to] : cuts) cluster_.links.cut(from, to);
    mend_later(cuts, time);
}

/// What KIP-966 is for. All but two lag and fall out of the ISR; of the two one loses what it had
/// not synced, then the other goes away: it alone has everything, and nobody else may lead. Or all but
/// the one that loses lag: nothing was acked by it alone.
void ClusterNemesis::last_stand(int node) {
    const bool alone = rng_.chance(1, 3);
    int keeper = alone ? node : draw_node();
    if (keeper == node && !alone) keeper = 1 + keeper % cluster_.size();
    world_.say("nemesis: node " + std::to_string(keeper) + " shall be the last one, node " +
               std::to_string(node) + " loses");
    for (Process* process : cluster_.all_servers()) {
        const int other = process->site().number;
        if (other != node && other != keeper) process->hold_fetches(kLastStand);
    }
    const Duration lag = milliseconds(rng_.between(1000, 4500));
    const Duration more = world_.random_delay(kDownShort);
    world_.after(lag, [this, node] {
        if (!active_ || !may_lose(node)) return;
        Process& loser = cluster_.node(node);
        const auto style = std::exchange(loser.crash_style, support::CrashStyle::DropUnsynced);
        kill(node, Crash::Machine);
        loser.crash_style = style;
    });
    if (alone) return;
    world_.after(lag + more, [this, keeper] {
        if (!active_) return;
        trouble_[keeper].disturbed_until = world_.now() + seconds(5);
        isolate(keeper, kLastStand - seconds(3));
    });
}

void ClusterNemesis::cut_one_way() {
    const int from = draw_node();
    const int to = draw_node();
    if (from == to || !disturb(from, seconds(4))) return;
    world_.say("nemesis: nothing gets from node " + std::to_string(from) + " to node " +
               std::to_string(to));
    std::vector<std::pair<int, int>> cuts{{from, to}};
    if (rng_.chance(1, 3)) cuts.emplace_back(to, from);
    for (const auto& [a, b] : cuts) cluster_.links.cut(a, b);
    mend_later(cuts, draw_time());
}

void ClusterNemesis::slow_links() {
    const int node = draw_node();
    LinkOptions link;
    link.delay_max = milliseconds(rng_.between(2, 300));
    link.drop_percent = rng_.below(20);
    for (int other = 0; other <= cluster_.size(); ++other) {
        if (rng_.chance(1, 2)) cluster_.links.set_link(node, other, link);
        if (rng_.chance(1, 2)) cluster_.links.set_link(other, node, link);
    }
    world_.after(draw_time(), [this] { cluster_.links.reset_links(); });
}

void ClusterNemesis::fail_disk(int node) {
    Process& process = cluster_.node(node);
    trouble_[node].injected = true;
    const bool whole = !faults_.io_error || (faults_.bad_directory && rng_.chance(1, 2));
    world_.say("nemesis: node " + std::to_string(node) + (whole ? ": a directory fails"
                                                                 : ": an i/o error to come"));
    if (!whole) {
        process.disk().fail_at(process.disk().steps() + 1 + rng_.below(40), Errc::IoError);
        return;
    }
    process.disk().set_hook([](support::DiskOp, const std::string& path) -> std::optional<Status> {
        if (!path.starts_with(kSecondDirectory)) return std::nullopt;
        return Status(Errc::IoError, "a dead device: " + path);
    });
}

void ClusterNemesis::fill_disk(int node) {
    world_.say("nemesis: the disk of node " + std::to_string(node) + " is nearly full");
    support::SimDisk& disk = cluster_.node(node).disk();
    trouble_[node].injected = true;
    disk.set_capacity_bytes(disk.used_bytes() + rng_.below(16) * support::SimDisk::kPageBytes);
}

void ClusterNemesis::act() {
    const int node = draw_node();
    Process& process = cluster_.node(node);
    if (process.state() == Process::State::Down) return;
    std::vector<MoveFunction<void()>> choices;
    const auto with = [&](bool on, Duration time, MoveFunction<void()> what) {
        if (!on) return;
        choices.emplace_back([this, node, time, what = std::move(what)]() mutable {
            if (disturb(node, time)) what();
        });
    };
    const bool ends = may_end(node);
    if (faults_.last_stand && rng_.chance(1, 4) && ends && may_lose(node)) {
        if (disturb(node, kLastStand)) last_stand(node);
        return;
    }
    with(ends && (faults_.kill || faults_.crash), seconds(1), [this, node] { kill(node, draw_crash(node)); });
    with(ends && (faults_.kill || faults_.crash) && faults_.in_steps, seconds(2),
         [this, node] { crash_in_steps(node); });
    with(faults_.stop && process.up(), seconds(2), [&process] { process.stop(); });
    with(faults_.pause, seconds(1), [this, &process] {
        const Duration time = draw_time();
        world_.say("nemesis: a pause of node " + std::to_string(process.site().number));
        disturb(process.site().number, time);
        process.pause(time);
    });
    with(faults_.isolate, seconds(3), [this, node] { isolate(node, draw_time()); });
    with(ends && (faults_.io_error || faults_.bad_directory), seconds(4), [this, node] { fail_disk(node); });
    with(ends && faults_.disk_full, seconds(4), [this, node] { fill_disk(node); });
    with(faults_.empty_disk && may_wipe(node), seconds(12), [this, node] { wipe(node); });
    if (faults_.rot && may_flip(node)) choices.emplace_back([this, node] { flip_a_bit(node); });
    if (faults_.one_way) choices.emplace_back([this] { cut_one_way(); });
    if (faults_.client_cut) {
        choices.emplace_back([this, node] {
            const std::vector<std::pair<int, int>> cuts{{rng_.chance(1, 2) ? 0 : node,
                                                         rng_.chance(1, 2) ? 0 : node}};
            if (cuts[0].first == cuts[0].second) return;
            cluster_.links.cut(cuts[0].first, cuts[0].second);
            mend_later(cuts, draw_time());
        });
    }
    if (faults_.lag) {
        choices.emplace_back([this, &process] {
            world_.say("nemesis: node " + std::to_string(process.site().number) + " lags");
            process.hold_fetches(draw_time());
        });
    }
    if (faults_.slow_links) choices.emplace_back([this] { slow_links(); });
    if (faults_.resets) choices.emplace_back([&process, this] { process.break_a_connection(rng_); });
    if (faults_.slow_disk) {
        choices.emplace_back([&process, this] {
            process.set_background_delay_max(
                rng_.chance(1, 2) ? milliseconds(20) : milliseconds(rng_.between(100, 1500)));
        });
    }
    if (faults_.wall_jumps) {
        choices.emplace_back([&process, this] {
            process.set_wall_shift(rng_.between(-kWallShiftMs, kWallShiftMs));
        });
    }
    if (!choices.empty()) choices[rng_.below(choices.size())]();
}

void ClusterNemesis::after_event() {
    for (Process* process : cluster_.all_servers()) {
        if (process->state() == Process::State::Down) continue;
        const int node = process->site().number;
        if (process->disk().halted()) {
            kill(node, trouble_[node].step_crash);
        } else if (process->fatal()) {
            if (!trouble_[node].injected) {
                world_.fail(kExitSafety, "I9", "node " + std::to_string(node) +
                                                   " gave up without a fault: " +
                                                   process->last_error());
            }
            const bool dies = process->state() == Process::State::Starting || rng_.chance(1, 2);
            if (dies) process->kill(Crash::Process);
            if (!dies) process->exit_after_fatal();
        }
    }
}

void ClusterNemesis::heal() {
    world_.say("heal");
    active_ = false;
    cluster_.links.mend_all();
    cluster_.links.reset_links();
    cluster_.wrong_percent = 0;
    for (Process* process : cluster_.all_servers()) {
        const int node = process->site().number;
        process->network = NetworkOptions{};
        process->set_background_delay_max(milliseconds(20));
        if (trouble_[node].injected && process->state() != Process::State::Down) {
            process->kill(Crash::Process);
        }
    }
    // A stop or a pause under way is waited for.
    world_.run_for(seconds(9));
    for (int node = 1; node <= cluster_.size(); ++node) {
        Process& process = cluster_.node(node);
        if (!world_.run_until([&] { return process.state() != Process::State::Stopping; },
                              kHealMax)) {
            world_.fail(kExitLiveness, "stop", "a controlled stop does not end");
        }
        start(node);
    }
    wait_until_up("after healing");
    cure();
    wait_until_up("after a cure");
}

void ClusterNemesis::restart_all() {
    for (Process* process : cluster_.all_servers()) process->kill(Crash::Process);
    for (int node = 1; node <= cluster_.size(); ++node) start(node);
    wait_until_up("after a restart of all");
}

}  // namespace millrace::sim
