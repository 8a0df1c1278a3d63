// src/broker/quorum_driver.cc: carries the quorum's outputs out: disk, timer, listeners.
#include "broker/quorum_driver_impl.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "broker/quorum_state_file.h"
#include "millrace/base/log.h"
#include "millrace/env/clock.h"

namespace millrace::broker {

namespace {
const LogChannel kLog{"quorum"};
/// Batches scanned at once for control records at the start.
constexpr size_t kScanBytes = 4 * 1024 * 1024;
}  // namespace

Result<std::unique_ptr<QuorumDriver>> QuorumDriver::open(env::Env& env, QuorumDriverConfig config) {
    auto driver = std::make_unique<QuorumDriverImpl>(env, std::move(config));
    MILLRACE_TRY(driver->load());
    return std::unique_ptr<QuorumDriver>(std::move(driver));
}

QuorumDriverImpl::QuorumDriverImpl(env::Env& env, QuorumDriverConfig config)
    : env_(env),
      config_(std::move(config)),
      wire_{config_.cluster_id, config_.listener,
            fmt::format("raft-client-{}", config_.quorum.local.id.value),
            static_cast<int32_t>(config_.quorum.request_timeout.millis())} {}

QuorumDriverImpl::~QuorumDriverImpl() {
    refuse_waiting();
    *alive_ = false;
    env_.timers.cancel(timer_);
    env_.timers.cancel(clean_timer_);
    env_.timers.cancel(farewell_timer_);
}

Status QuorumDriverImpl::load() {
    MILLRACE_TRY_ASSIGN(
        log_, QuorumLog::open(env_, config_, [this](Status cause) { fail(std::move(cause)); }));
    start_.static_voters = config_.static_voters;
    MILLRACE_TRY_ASSIGN(start_.election_state, read_quorum_state(env_.files, log_->directory()));
    delivered_ = log_->log_start_offset();
    Offset scan_from = delivered_;
    if (const auto newest = log_->latest_snapshot(); newest.has_value()) {
        MILLRACE_TRY_ASSIGN(auto snapshot, log_->open_snapshot(*newest));
        start_.snapshot_id = *newest;
        start_.snapshot_kraft_version = snapshot.header.kraft_version;
        start_.snapshot_voters = std::move(snapshot.header.voters);
        scan_from = std::max(scan_from, newest->end_offset);
        delivered_ = scan_from;
        if (*newest != raft::kBootstrapSnapshotId) snapshot_to_load_ = newest;
    }
    while (scan_from < log_->log_end_offset()) {
        MILLRACE_TRY_ASSIGN(auto batches,
                            log_->read(scan_from, log_->log_end_offset(), kScanBytes));
        for (const StoredBatch& batch : batches) {
            scan_from = batch.view.next_offset();
            if (!batch.view.is_control()) continue;
            raft::ReplicatedBatch control;
            control.base_offset = batch.view.base_offset();
            control.last_offset = batch.view.last_offset();
            control.epoch = batch.view.leader_epoch();
            MILLRACE_TRY_ASSIGN(control.control_records, decode_control_batch(batch.view));
            start_.log_control_batches.push_back(std::move(control));
        }
    }
    quorum_ = std::make_unique<raft::Quorum>(config_.quorum, *log_, Rng(env_.seed));
    return {};
}

void QuorumDriverImpl::add_listener(QuorumListener* listener) {
    MILLRACE_ASSERT(!started_, "listeners come before start");
    listeners_.push_back(listener);
}

void QuorumDriverImpl::start() {
    MILLRACE_ASSERT(!started_, "a driver starts once");
    started_ = true;
    last_snapshot_ = env_.clock.now();
    clean_timer_ = env_.timers.arm(env_.clock.now() + kCleanInterval, [this] { clean(); });
    event([this](Instant now, raft::QuorumOutput& out) {
        quorum_->on_start(now, std::move(start_), out);
    });
    schedule_delivery();
}

void QuorumDriverImpl::after_event() {
    // A file system without helper threads syncs on the spot; its result is the next event.
    if (synced_in_event_.has_value() && !stopped_) {
        on_synced(sync_generation_, *std::exchange(synced_in_event_, std::nullopt), Status());
    }
    if (!fetched_snapshot_.has_value() || stopped_) return;
    const raft::SnapshotId id = *std::exchange(fetched_snapshot_, std::nullopt);
    auto snapshot = log_->open_snapshot(id);
    if (!snapshot.ok()) return fail(snapshot.status());
    event([&](Instant now, raft::QuorumOutput& out) {
        quorum_->on_snapshot_loaded(now, id, snapshot->header.kraft_version,
                                    std::move(snapshot->header.voters), out);
    });
}

/// Top to bottom, as output.h says.
void QuorumDriverImpl::carry_out(raft::QuorumOutput& out) {
    if (out.persist_state.has_value()) {
        const Status status = write_quorum_state(
            env_.files, log_->directory(),
            print_quorum_state(*out.persist_state, quorum_->kraft_version(), quorum_->voters()));
        if (!status.ok()) return fail(status);
    }
    if (const Status status = change_log(out); !status.ok()) return fail(status);
    for (raft::PeerSend& request : out.send_now) send(std::move(request));
    // Sent when the event is over: an answer may make room for the next request of its connection.
    for (raft::PeerReply& reply : out.send_after_persist) ready_.push_back(std::move(reply));
    if (out.committed.has_value()) {
        committed_ = *out.committed;
        log_->set_high_watermark(committed_);
    }
    for (const raft::RoleChange& change : out.role_changes) {
        log_info(kLog, "{} in epoch {}, leader {}", raft::role_name(change.role),
                 change.epoch.value, change.leader_id.value);
        role_changes_.push_back(change);
        if (change.role == raft::QuorumRole::Follower) former_leader_ = change.leader_id;
    }
    if (out.committed.has_value() || !out.role_changes.empty()) schedule_delivery();
    if (out.fatal.has_value()) return fail({Errc::Corrupt, *out.fatal});
    arm(out.wake_at);
}

/// Snapshot, truncation, appends: what changes the disk besides quorum-state.
Status QuorumDriverImpl::change_log(raft::QuorumOutput& out) {
    const WallMs wall = env_.clock.wall();
    if (out.drop_partial_snapshot) partial_snapshot_.reset();
    if (out.snapshot_chunk.has_value()) MILLRACE_TRY(store_snapshot(*out.snapshot_chunk));
    if (out.truncate.has_value()) {
        MILLRACE_TRY(log_->truncate(*out.truncate, wall));
        ++sync_generation_;
        if (out.truncate->to_snapshot.has_value()) {
            fetched_snapshot_ = snapshot_to_load_ = out.truncate->to_snapshot;
            delivered_ = out.truncate->end_offset;
        }
    }
    for (const raft::AppendBatch& batch : out.append_records) {
        note_voters(batch);
        MILLRACE_TRY(batch.replicated_bytes.empty()
                         ? log_->append(batch, wall)
                         : log_->append_replicated(batch.replicated_bytes, batch.epoch, wall));
    }
    if (!out.append_records.empty()) begin_sync();
    return {};
}

/// With static voters nothing but the configs of all nodes makes them agree; a new leader says whom
/// it counts.
void QuorumDriverImpl::check_same_voters(const raft::LeaderChange& change) {
    if (quorum_->kraft_version() > 0 || config_.static_voters.empty()) return;
    std::string theirs;
    std::string ours;
    for (const NodeId id : change.voters) theirs += fmt::format(" {}", id.value);
    for (const raft::Voter& voter : config_.static_voters.voters()) {
        ours += fmt::format(" {}", voter.key.id.value);
    }
    if (ours == theirs) return;
    note_problem(fmt::format("leader {}", change.leader_id.value),
                 fmt::format("it counts the voters{}, this node{}: make controller.quorum.voters "
                             "the same on all nodes, or records may be lost",
                             theirs, ours));
}

void QuorumDriverImpl::note_voters(const raft::AppendBatch& batch) {
    for (const raft::ControlRecord& record : batch.control_records) {
        if (const auto* leader = std::get_if<raft::LeaderChange>(&record)) {
            check_same_voters(*leader);
        }
        const auto* change = std::get_if<raft::VotersChange>(&record);
        if (change == nullptr) continue;
        std::string keys;
        for (const raft::Voter& voter : change->voters.voters()) {
            keys += (keys.empty() ? "" : ", ") + voter.key.to_string();
        }
        log_info(kLog, "voters from offset {} on: {}", batch.base_offset.value, keys);
    }
}

Status QuorumDriverImpl::store_snapshot(const raft::SnapshotChunk& chunk) {
    if (chunk.position == 0) {
        MILLRACE_TRY_ASSIGN(partial_snapshot_, log_->new_snapshot(chunk.id));
    }
    MILLRACE_ASSERT(partial_snapshot_ != nullptr, "a snapshot starts at its first byte");
    MILLRACE_TRY(partial_snapshot_->append(chunk.bytes));
    if (!chunk.last) return {};
    MILLRACE_TRY(partial_snapshot_->finish());
    partial_snapshot_.reset();
    return log_->refresh_snapshots();
}

void QuorumDriverImpl::begin_sync() {
    if (sync_running_) {
        sync_again_ = true;
        return;
    }
    sync_running_ = true;
    sync_again_ = false;
    const Offset end = log_->log_end_offset();
    log_->sync_async(
        [this, alive = alive_, generation = sync_generation_, end](const Status& status) {
            if (*alive) on_synced(generation, end, status);
        });
}

void QuorumDriverImpl::on_synced(uint64_t generation, Offset end, const Status& status) {
    if (stopped_) return;
    sync_running_ = false;
    if (!status.ok()) return fail(status);
    if (in_event_) {
        synced_in_event_ = end;
        return;
    }
    // The log was cut meanwhile: what was synced is not what stands there now.
    if (generation != sync_generation_) return begin_sync();
    if (sync_again_) begin_sync();
    event([end, this](Instant now, raft::QuorumOutput& out) {
        quorum_->on_log_synced(now, end, out);
    });
}

void QuorumDriverImpl::arm(Instant wake_at) {
    env_.timers.cancel(timer_);
    timer_ = env::kNoTimer;
    if (wake_at == Instant::never()) return;
    timer_ = env_.timers.arm(wake_at, [this] {
        timer_ = env::kNoTimer;
        event([this](Instant now, raft::QuorumOutput& out) { quorum_->on_tick(now, out); });
    });
}

void QuorumDriverImpl::fail(Status cause) {
    if (stopped_) return;
    stopped_ = true;
    log_error(kLog, "the metadata log cannot go on: {}", cause.to_string());
    env_.timers.cancel(timer_);
    env_.timers.cancel(clean_timer_);
    // From the event loop: the failure may have been found inside a listener's own call.
    env_.timers.post([this, alive = alive_, cause = std::move(cause)] {
        if (!*alive) return;
        refuse_waiting();
        for (QuorumListener* listener : listeners_)
            listener->on_fatal(cause);
    });
}

raft::ProposeResult QuorumDriverImpl::propose(LeaderEpoch epoch, std::vector<Buffer> records) {
    raft::ProposeResult result{raft::ProposeError::NotLeader, kNoOffset};
    event([&](Instant now, raft::QuorumOutput& out) {
        result = quorum_->on_propose(now, epoch, std::move(records), out);
    });
    return result;
}

void QuorumDriverImpl::upgrade_kraft_version() {
    event([this](Instant now, raft::QuorumOutput& out) {
        quorum_->on_upgrade_kraft_version(now, out);
    });
}

void QuorumDriverImpl::resign(LeaderEpoch epoch) {
    event([&](Instant now, raft::QuorumOutput& out) { quorum_->on_resign(now, epoch, out); });
}

void QuorumDriverImpl::shutdown(MoveFunction<void(Status)> done) {
    on_closed_ = std::move(done);
    event([this](Instant now, raft::QuorumOutput& out) { quorum_->on_shutdown(now, out); });
    if (farewells_ == 0) return close_now();
    // A leader that goes asks the others to elect at once, and gives them a moment to hear it.
    farewell_timer_ = env_.timers.arm(env_.clock.now() + kFarewellTime, [this] {
        farewell_timer_ = env::kNoTimer;
        close_now();
    });
}

void QuorumDriverImpl::close_now() {
    if (!on_closed_) return;
    stopped_ = true;
    refuse_waiting();
    env_.timers.cancel(timer_);
    env_.timers.cancel(clean_timer_);
    env_.timers.cancel(farewell_timer_);
    std::exchange(on_closed_, nullptr)(log_->close(env_.clock.wall()));
}

QuorumStatus QuorumDriverImpl::status() const {
    QuorumStatus status;
    status.voter_set =
        started_ ? quorum_->voters() : start_.snapshot_voters.value_or(start_.static_voters);
    status.kraft_version =
        started_ ? quorum_->kraft_version() : start_.snapshot_kraft_version.value_or(int16_t{0});
    if (!started_) {
        for (const raft::ReplicatedBatch& batch : start_.log_control_batches) {
            for (const raft::ControlRecord& record : batch.control_records) {
                if (const auto* change = std::get_if<raft::KRaftVersionChange>(&record)) {
                    status.kraft_version = change->kraft_version;
                } else if (const auto* voters = std::get_if<raft::VotersChange>(&record)) {
                    status.voter_set = voters->voters;
                }
            }
        }
        return status;
    }
    status.role = quorum_->role();
    status.leader_id = quorum_->leader_id();
    status.former_leader_id = former_leader_;
    status.epoch = quorum_->epoch();
    status.high_watermark = quorum_->high_watermark().value_or(kNoOffset);
    status.log_end_offset = stopped_ ? quorum_->next_offset() : log_->log_end_offset();
    const Instant now = env_.clock.now();
    const WallMs wall = env_.clock.wall();
    auto wall_of = [&](const std::optional<Instant>& when) {
        return when.has_value() ? WallMs{wall.value - (now - *when).millis()} : kNoTimestamp;
    };
    auto rows = [&](bool voters) {
        std::vector<QuorumReplica> out;
        for (const raft::ReplicaProgress& row : quorum_->replicas(voters)) {
            const bool self = voters && row.key.id == config_.quorum.local.id;
            out.push_back({row.key, row.log_end_offset, self ? wall : wall_of(row.last_fetch),
                           self ? wall : wall_of(row.last_caught_up)});
        }
        return out;
    };
    status.voters = rows(true);
    status.observers = rows(false);
    return status;
}

Offset QuorumDriverImpl::log_start_offset() const { return log_->log_start_offset(); }

}  // namespace millrace::broker
