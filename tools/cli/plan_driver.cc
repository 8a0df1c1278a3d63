// tools/cli/plan_driver.cc: carries a stored plan out, wave by wave.
#include "cli/plan_driver.h"

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <iostream>
#include <limits>

#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/plan_throttle.h"
#include "cli/shim_java.h"
#include "millrace/wire/gen/elect_leaders_request.h"
#include "millrace/wire/gen/elect_leaders_response.h"

namespace millrace::cli {
namespace {

constexpr int kPollMs = 300;
constexpr int64_t kBeatMs = 2'000;  // well below the lease of broker/throttle_keeper
constexpr int kSaveTries = 20;
constexpr int64_t kTakerMs = 10'000;  // for whoever took the plan away to be done with it
constexpr int64_t kLookAtStoreMs = 1'000;
constexpr int64_t kLineMs = 10'000;       // between lines of progress when nobody sits there
constexpr int64_t kPatienceMs = 120'000;  // with a cluster that does not answer
constexpr int64_t kGraceMs = 10'000;      // until brokers know what the controller has ended
constexpr size_t kRefusalsShown = 5;
constexpr int8_t kPreferred = 0;

/// Nobody answered, or nobody who leads: it may be another broker in a moment.
bool is_silence(const Failure& failure) {
    if (failure.exit_code == kNoConnection) return true;
    const auto code = error_code_from(failure.kafka_error);
    return code == ErrorCode::LeaderNotAvailable || code == ErrorCode::NotLeaderOrFollower ||
           code == ErrorCode::NotController || code == ErrorCode::NotEnoughReplicas ||
           code == ErrorCode::NotEnoughReplicasAfterAppend;
}

/// Thrown inside the driver when the stored plan is no longer ours to carry out.
struct TakenAway {};
/// Thrown when the caller wanted to wait no longer.
struct TimeOver {};

class Driver {
  public:
    Driver(Client& client, PlanStore& store, StoredPlan plan, int wait_ms)
        : client_(client), store_(store), plan_(std::move(plan)) {
        if (wait_ms > 0) end_ms_ = now_ms() + wait_ms;
    }

    StoredPlan run() {
        InterruptGuard guard;
        try {
            claim();
            limit();
            const int32_t waves = plan_.waves();
            for (; plan_.wave < waves; ++plan_.wave) {
                if (paused_by_command()) break;
                run_wave();
            }
            finish();
        } catch (const TakenAway&) {
            end_progress();
            leave_to_taker();
        } catch (const TimeOver&) {
            end_progress();
            plan_.driver.clear();
            save();
            std::cerr << fmt::format("moves under way go on; the rest: millrace "
                                     "reassign-partitions resume {}\n",
                                     plan_.id);
        } catch (const Failure& failure) {
            fail(failure);
            throw;
        }
        return plan_;
    }

  private:
    void claim() {
        StoredPlan mine = plan_;
        plan_.driver.clear();  // until it is won: what the winner has set is not ours to take away
        mine.driver = me_;
        mine.phase = PlanPhase::Running;
        mine.note.clear();
        mine.beat_ms = now_ms();
        client_.renew();
        if (store_.try_save(mine)) {
            plan_ = std::move(mine);
            return;
        }
        throw Failure{kConflict, fmt::format("another command has taken {}", plan_.id),
                      "millrace reassign-partitions status " + plan_.id};
    }

    void limit() {
        // What a driver that died has set is taken away and set anew.
        remove_throttles(client_, store_, plan_);
        for (const std::string& line : set_throttles(client_, store_, plan_))
            std::cerr << line << '\n';
        save();
    }

    /// Does it again while the cluster does not answer.
    template <class Work>
    void patiently(const Work& work) {
        const int64_t until = now_ms() + kPatienceMs;
        for (;;) {
            try {
                client_.renew();
                work();
                return;
            } catch (const Failure& failure) {
                if (!is_silence(failure) || interrupted() || now_ms() > until) throw;
                client_.forget_connections();
            }
            ::poll(nullptr, 0, kPollMs);
        }
    }

    void save() {
        patiently([this] { save_now(); });
    }

    /// Stores what this driver knows on top of what others have ordered since.
    void save_now() {
        for (int i = 0; i < kSaveTries; ++i) {
            client_.renew();
            store_.refresh();
            take_orders();
            plan_.beat_ms = now_ms();
            if (store_.try_save(plan_)) return;
        }
        throw Failure{kConflict, fmt::format("others keep changing plan {}", plan_.id), ""};
    }

    /// The stored plan's revision and what commands elsewhere have written into it.
    void take_orders() {
        const auto found = store_.plans().find(plan_.id);
        if (found == store_.plans().end()) throw TakenAway{};
        const StoredPlan& stored = found->second;
        if (stored.driver != me_ || is_over(stored.phase)) throw TakenAway{};
        submitted_.clear();  // whoever takes the plan from here on sees them
        plan_.revision = stored.revision;
        plan_.throttle = stored.throttle;
        if (stored.phase == PlanPhase::Pausing && plan_.phase == PlanPhase::Running)
            plan_.phase = PlanPhase::Pausing;
    }

    /// The rate that is wanted now; and notes that the cluster has taken for left behind, because
    /// this process was not heard of for a while, are set anew.
    void obey_rate() {
        const bool lost = plan_.throttle_set > 0 && !plan_.throttles.empty() &&
                          store_.plans().at(plan_.id).throttles.empty();
        if (plan_.throttle == plan_.throttle_set && !lost) return;
        // Else what is left of it would be taken for an operator's own.
        if (plan_.throttle == 0 || lost) remove_throttles(client_, store_, plan_);
        if (plan_.throttle_set == 0)
            set_throttles(client_, store_, plan_);
        else
            change_throttle(client_, store_, plan_);
        save_now();
    }

    /// Whoever took the plan away ends it; what was started in the same moment is taken back here.
    void leave_to_taker() {
        const int64_t until = now_ms() + kTakerMs;
        for (;;) {
            client_.renew();
            store_.refresh();
            const auto found = store_.plans().find(plan_.id);
            if (found == store_.plans().end()) return;
            const StoredPlan& stored = found->second;
            if (is_over(stored.phase) || stored.phase == PlanPhase::Paused || now_ms() > until) {
                plan_ = stored;
                break;
            }
            ::poll(nullptr, 0, kPollMs);
        }
        if (plan_.phase == PlanPhase::Cancelled || plan_.phase == PlanPhase::Paused) {
            StoredPlan late = plan_;
            late.moves = late_moves(plan_, submitted_, store_.plans());
            stop_moves(client_, late, false);
        }
        std::cerr << fmt::format("stopped: {} by {}\n", phase_name(plan_.phase), plan_.by);
    }

    std::vector<PlannedMove> wave_moves() const {
        std::vector<PlannedMove> moves;
        for (const PlannedMove& move : plan_.moves) {
            if (move.wave == plan_.wave) moves.push_back(move);
        }
        return moves;
    }

    void run_wave() {
        const auto moves = wave_moves();
        plan_.wave_started_ms = now_ms();
        save();
        patiently([&] { submit(moves); });
        looked_ms_ = 0;  // an order may have come in between
        wait_for(moves);
        patiently([&] { elect(moves); });
    }

    /// Starts what is not under way or done yet: a resumed plan meets both.
    void submit(const std::vector<PlannedMove>& moves) {
        const PlanView view = look_at(client_, moves);
        std::map<TopicPartition, std::optional<std::vector<int32_t>>> targets;
        for (const PlannedMove& move : moves) {
            const MoveState state = state_of(move, view);
            // Another order of the same copies is drift too, and is put right.
            if (state == MoveState::Pending || state == MoveState::Drifted)
                targets[move.partition] = move.to;
        }
        if (targets.empty()) return;
        for (const auto& [partition, target] : targets)
            submitted_.insert(partition);
        const auto refusals = alter_reassignments(client_, targets);
        move_dirs(moves);
        if (refusals.empty()) return;
        for (const auto& [partition, refusal] : refusals) {
            given_up_.insert(partition);
            if (given_up_.size() > kRefusalsShown) continue;
            plan_.note +=
                fmt::format("{}{}: {}", plan_.note.empty() ? "" : "; ", partition.to_string(),
                            java_message(refusal.error_code, refusal.message));
        }
    }

    /// Tells brokers the directories for the copies that come; those without a copy yet keep it in
    /// mind for when it comes.
    void move_dirs(const std::vector<PlannedMove>& moves) {
        std::map<PartitionReplica, std::string> targets;
        for (const PlannedMove& move : moves) {
            for (size_t i = 0; i < std::min(move.to.size(), move.log_dirs.size()); ++i) {
                if (move.log_dirs[i] != "any")
                    targets[{move.to[i], move.partition}] = move.log_dirs[i];
            }
        }
        if (targets.empty()) return;
        for (const auto& [replica, error] : move_replica_dirs(client_, targets)) {
            if (error != 0 && error != wire_error(ErrorCode::ReplicaNotAvailable))
                std::cerr << fmt::format("directory of {}: {}\n", replica.to_string(),
                                         error_text(error, std::nullopt));
        }
    }

    void wait_for(const std::vector<PlannedMove>& moves) {
        int64_t silent_since = 0;
        int64_t still_since = 0;
        for (;;) {
            look_for_orders();
            try {
                client_.renew();
                const PlanView view = look_at(client_, moves);
                silent_since = 0;
                show(view);
                bool moving = false;
                bool settled = true;
                for (const PlannedMove& move : moves) {
                    if (given_up_.contains(move.partition)) continue;
                    const MoveState state = state_of(move, view);
                    moving = moving || state == MoveState::Moving;
                    settled = settled && (state == MoveState::Done || state == MoveState::Gone);
                }
                if (moving) still_since = 0;
                if (!moving && still_since == 0) still_since = now_ms();
                if (settled || (!moving && now_ms() - still_since > kGraceMs)) return;
            } catch (const Failure& failure) {
                if (!is_silence(failure)) throw;
                if (silent_since == 0) silent_since = now_ms();
                if (now_ms() - silent_since > kPatienceMs) throw;
                client_.forget_connections();
            }
            ::poll(nullptr, 0, kPollMs);
        }
    }

    /// Ctrl-C here, and what commands on other machines have stored.
    void look_for_orders() {
        if (interrupted()) stop_by_signal();
        const int64_t now = now_ms();
        if (now >= end_ms_) throw TimeOver{};
        if (now - looked_ms_ < kLookAtStoreMs) return;
        looked_ms_ = now;
        try {
            client_.renew();
            store_.refresh();
            take_orders();
            obey_rate();
            if (now - plan_.beat_ms > kBeatMs) save_now();
        } catch (const Failure& failure) {
            // The sign of life is late; the moves themselves are waited for elsewhere.
            if (!is_silence(failure)) throw;
            client_.forget_connections();
        }
    }

    [[noreturn]] void stop_by_signal() {
        end_progress();
        client_.renew();
        store_.refresh();
        take_orders();
        const Stopped stopped = stop_plan(client_, store_, plan_, PlanPhase::Paused,
                                          "interrupted by " + who_am_i(), false);
        check_stopped(plan_, stopped);
        throw Failure{kInterrupted,
                      "interrupted: moves under way were taken back, " + throttles_text(plan_),
                      "go on with: millrace reassign-partitions resume " + plan_.id};
    }

    bool paused_by_command() {
        looked_ms_ = 0;
        look_for_orders();
        return plan_.phase == PlanPhase::Pausing;
    }

    void elect(const std::vector<PlannedMove>& moves) {
        using Request = wire::ElectLeadersRequest;
        if (!client_.any().serves<Request>()) return;
        Request request;
        request.election_type = kPreferred;
        request.timeout_ms = client_.timeout_ms();
        std::map<std::string, std::vector<int32_t>> topics;
        for (const PlannedMove& move : moves) {
            if (!move.from.empty() && move.from.front() != move.to.front())
                topics[move.partition.topic].push_back(move.partition.partition);
        }
        if (topics.empty()) return;
        for (auto& [topic, partitions] : topics) {
            auto& entry = request.topic_partitions->emplace_back();
            entry.topic = topic;
            entry.partitions = std::move(partitions);
        }
        // One that is not needed, or not possible now, is no failure of the plan.
        client_.ask<wire::ElectLeadersResponse>(request);
    }

    void finish() {
        end_progress();
        PlanView view;
        patiently([&] {
            remove_throttles(client_, store_, plan_);
            view = look_at(client_, plan_.moves);
        });
        const PlanProgress progress = progress_of(plan_, view, {});
        const int64_t there =
            progress.moves_in(MoveState::Done) + progress.moves_in(MoveState::Gone);
        const bool all = there == static_cast<int64_t>(progress.moves.size());
        if (plan_.phase == PlanPhase::Pausing) {
            plan_.phase = PlanPhase::Paused;
        } else {
            plan_.phase = all ? PlanPhase::Done : PlanPhase::Failed;
            if (!all && plan_.note.empty())
                plan_.note = fmt::format(
                    "{} not where the plan says",
                    counted(static_cast<int64_t>(progress.moves.size()) - there, "partition"));
        }
        plan_.driver.clear();
        save();
    }

    /// Takes the throttles away if the cluster still listens; the plan stays to be resumed.
    void fail(const Failure& failure) {
        end_progress();
        if (failure.exit_code == kInterrupted || plan_.driver != me_) return;
        try {
            client_.forget_connections();
            client_.renew();
            remove_throttles(client_, store_, plan_);
            plan_.phase = PlanPhase::Paused;
            plan_.note = failure.error;
            plan_.driver.clear();
            save_now();
        } catch (const TakenAway&) {
            return;
        } catch (const Failure&) {
            std::cerr << fmt::format("the cluster does not answer; it removes the throttles of {} "
                                     "itself; millrace reassign-partitions resume {} goes on\n",
                                     plan_.id, plan_.id);
        }
    }

    void show(const PlanView& wave_view) {
        const bool terminal = isatty(STDERR_FILENO) != 0;
        const int64_t now = now_ms();
        if (!terminal && now - shown_ms_ < kLineMs) return;
        if (shown_ms_ == 0 && !terminal) {
            shown_ms_ = now;
            return;  // short moves need no lines
        }
        shown_ms_ = now;
        PlanView view = wave_view;
        for (const PlannedMove& move : plan_.moves) {
            if (move.wave < plan_.wave) view.replicas[move.partition] = move.to;
            if (move.wave > plan_.wave) view.replicas[move.partition] = move.from;
        }
        const auto progress = progress_of(plan_, view, copied_bytes(client_, plan_, wave_view));
        const std::string line = progress_line(plan_, progress, now);
        std::cerr << (terminal ? "\r\033[K" : "") << line << (terminal ? "" : "\n") << std::flush;
    }
    void end_progress() {
        if (shown_ms_ != 0 && isatty(STDERR_FILENO) != 0) std::cerr << '\n';
        shown_ms_ = 0;
    }

    Client& client_;
    PlanStore& store_;
    StoredPlan plan_;
    const std::string me_ = driver_name();
    std::set<TopicPartition> given_up_;   // refused by the controller
    std::set<TopicPartition> submitted_;  // since the plan was seen to be ours
    int64_t end_ms_ = std::numeric_limits<int64_t>::max();
    int64_t looked_ms_ = 0;
    int64_t shown_ms_ = 0;
};

}  // namespace

void check_nothing_runs(Client& client, PlanStore& store, bool additional) {
    store.refresh();
    for (const auto& [id, plan] : store.plans()) {
        if (is_over(plan.phase) || !is_driven(plan)) continue;
        throw Failure{kConflict, fmt::format("plan {} is under way, by {}", id, plan.driver),
                      fmt::format("wait for it, or: millrace reassign-partitions cancel {}", id)};
    }
    const auto ongoing = list_reassignments(client);
    if (ongoing.empty() || additional) return;
    throw Failure{
        kConflict,
        fmt::format("{} being reassigned, {} among them",
                    ongoing.size() == 1 ? "1 partition is"
                                        : fmt::format("{} partitions are", ongoing.size()),
                    ongoing.begin()->first.to_string()),
        "millrace reassign-partitions status shows them; --additional runs beside them"};
}

StoredPlan drive(Client& client, PlanStore& store, StoredPlan plan, int wait_ms) {
    return Driver(client, store, std::move(plan), wait_ms).run();
}

}  // namespace millrace::cli
