// src/raft/machine_leader.cc: what a leader does: append, count majorities, serve fetches.
#include <algorithm>
#include <iterator>
#include <utility>

#include "millrace/base/assert.h"
#include "raft/machine.h"

namespace millrace::raft {

/// The first batch of an epoch: who leads it and, when the log has never said so or this node's
/// endpoints changed, kraft.version and voters (LeaderState.appendStartOfEpochControlRecords).
void QuorumMachine::append_epoch_start(StateLeader& leader, QuorumOutput& out) {
    AppendBatch batch;
    batch.base_offset = leader.epoch_start_offset;
    batch.epoch = epoch_;
    LeaderChange change;
    change.leader_id = config_.local.id;
    for (const Voter& voter : history_.last().voters())
        change.voters.push_back(voter.key.id);
    change.granting_voters = leader.granting_voters;
    batch.control_records.emplace_back(std::move(change));

    if (history_.last_kraft_version() > 0) {
        const Voter self = local_voter();
        const Voter* stored = history_.last().find(config_.local.id);
        MILLRACE_ASSERT(stored != nullptr, "a leader starts its epoch as a voter");
        const bool never_logged = history_.last_offset() == Offset(-1);
        if (never_logged || !stored->same_as(self)) {
            const auto voters = history_.last().updated(self);
            MILLRACE_ASSERT(voters.has_value(), "the leader is in the set that it updates");
            batch.control_records.emplace_back(KRaftVersionChange{history_.last_kraft_version()});
            batch.control_records.emplace_back(VotersChange{*voters});
        }
    }
    const auto count = static_cast<int64_t>(batch.control_records.size());
    batch.last_offset = batch.base_offset + (count - 1);
    history_.add(batch.base_offset, batch.control_records);
    leader.appended_end = batch.last_offset + 1;
    leader.accumulator = Accumulator(epoch_, leader.appended_end);
    out.append_records.push_back(std::move(batch));
}

Offset QuorumMachine::next_offset() const {
    if (const auto* leader = std::get_if<StateLeader>(&state_)) {
        return leader->accumulator.next_offset();
    }
    return replicated_end_;
}

ProposeResult QuorumMachine::propose(Instant now, LeaderEpoch epoch, std::vector<Buffer> records,
                                     QuorumOutput& out) {
    auto* leader = std::get_if<StateLeader>(&state_);
    if (leader == nullptr || leader->resign_requested || shutting_down_) {
        return {ProposeError::NotLeader, kNoOffset};
    }
    if (epoch != epoch_) return {ProposeError::EpochMismatch, kNoOffset};
    const size_t bytes = Accumulator::bytes_of(records);
    if (records.empty() || bytes > kBatchBytesMax) return {ProposeError::TooLarge, kNoOffset};
    if (leader->accumulator.pending_bytes() + bytes > kPendingBytesMax) {
        return {ProposeError::QueueFull, kNoOffset};
    }
    const Offset last = leader->accumulator.add(now, config_.append_linger, std::move(records));
    // With the disk idle nothing is gained by waiting; while it is busy, whatever arrives until it
    // is done goes into the next batch (group commit).
    if (leader->synced_end == leader->appended_end) append_pending(now, *leader, out);
    return {ProposeError::None, last};
}

void QuorumMachine::append_pending(Instant now, StateLeader& leader, QuorumOutput& out) {
    std::vector<AppendBatch> batches = leader.accumulator.take();
    if (batches.empty()) return;
    MILLRACE_ASSERT(batches.front().base_offset == leader.appended_end, "appends are contiguous");
    leader.appended_end = batches.back().last_offset + 1;
    out.append_records.insert(out.append_records.end(), std::make_move_iterator(batches.begin()),
                              std::make_move_iterator(batches.end()));
    retry_parked(now, out);
}

void QuorumMachine::log_synced(Instant now, Offset end_offset, QuorumOutput& out) {
    if (auto* leader = std::get_if<StateLeader>(&state_)) {
        const Offset synced = std::min(end_offset, leader->appended_end);
        if (synced <= leader->synced_end) return;
        leader->synced_end = synced;
        update_high_watermark(now, *leader, out);
        append_pending(now, *leader, out);
        return;
    }
    if (end_offset >= replicated_end_) awaiting_sync_ = false;
}

void QuorumMachine::update_high_watermark(Instant now, StateLeader& leader, QuorumOutput& out) {
    const std::optional<Offset> end = leader.majority_end(config_.local.id);
    // Only with a record of its own epoch on a majority may a leader count older ones as committed
    // (Raft 5.4.2), and a replica that restarts empty must not pull the mark back.
    if (!end.has_value() || *end <= leader.epoch_start_offset) return;
    if (high_watermark_.has_value() && *end <= *high_watermark_) return;
    high_watermark_ = *end;
    if (*end > committed_) {
        committed_ = *end;
        out.committed = *end;
    }
    check_change_committed(leader, out);
    retry_parked(now, out);
}

bool QuorumMachine::step_leader(Instant now, StateLeader& leader, QuorumOutput& out) {
    if (shutting_down_ || leader.resign_requested || leader.check_quorum_deadline <= now) {
        to_resigned(now, leader.voters_by_progress(config_.local.id), out);
        return true;
    }
    if (leader.change.has_value() && leader.change->deadline <= now) {
        finish_change(leader, ErrorCode::RequestTimedOut, "the change of voters took too long",
                      out);
    }
    if (leader.accumulator.deadline() <= now) append_pending(now, leader, out);
    leader.expire_observers(now);
    if (leader.begin_epoch_at <= now) {
        const Duration period{config_.fetch_timeout.nanos / 2};
        leader.begin_epoch_at = now + period;
        for (const NodeId id : other_voters()) {
            const auto row = leader.voters.find(id);
            const bool fetched = row != leader.voters.end() && row->second.last_fetch.has_value() &&
                                 now < *row->second.last_fetch + period;
            if (!fetched) leader.begin_epoch_pending.insert(id);
        }
    }
    for (const NodeId id : leader.begin_epoch_pending) {
        const Voter* voter = history_.last().find(id);
        if (voter == nullptr) continue;
        BeginQuorumEpochRequest request{voter->key, config_.local.id, epoch_,
                                        config_.local_endpoints};
        send(now, id, voter->endpoints, RequestKind::BeginQuorumEpoch, std::move(request), out);
    }
    // An answer may move the high watermark, which looks at everybody who is parked.
    decltype(leader.parked) expired;
    for (auto it = leader.parked.begin(); it != leader.parked.end();) {
        const auto next = std::next(it);
        if (it->second.deadline <= now) expired.insert(leader.parked.extract(it));
        it = next;
    }
    for (auto& [id, waiting] : expired) {
        auto response = try_fetch(now, waiting.request, false, out);
        MILLRACE_ASSERT(response.has_value(), "a fetch that may not wait is answered");
        out.send_after_persist.push_back({id, *std::move(response)});
    }
    return leader.resign_requested;  // this look may have committed the leader's own removal
}

ErrorCode QuorumMachine::check_leadership(LeaderEpoch request_epoch) const {
    if (request_epoch < epoch_) return ErrorCode::FencedLeaderEpoch;
    if (request_epoch > epoch_) return ErrorCode::UnknownLeaderEpoch;
    if (role() != QuorumRole::Leader) return ErrorCode::NotLeaderOrFollower;
    if (shutting_down_) return ErrorCode::BrokerNotAvailable;
    return ErrorCode::None;
}

FetchResponse QuorumMachine::fetch_response(ErrorCode error) const {
    FetchResponse response;
    response.error = error;
    response.leader_id = leader_id();
    response.epoch = epoch_;
    response.leader_endpoints = leader_endpoints();
    response.high_watermark = high_watermark_.value_or(kNoOffset);
    response.log_start_offset = log_.log_start_offset();
    return response;
}

/// Where the requester stands relative to this log; fills in where to go when it diverged.
bool QuorumMachine::position_is_valid(const FetchRequest& request, FetchResponse& response) const {
    const Offset offset = request.fetch_offset;
    const LeaderEpoch epoch = request.last_fetched_epoch;
    const std::optional<SnapshotId> latest = log_.latest_snapshot();
    if (offset == Offset(0) && latest.has_value() && *latest != kBootstrapSnapshotId) {
        response.snapshot_id = *latest;
        return false;
    }
    const Offset start = log_.log_start_offset();
    if (start == Offset(0) && offset == Offset(0)) return true;
    if (const auto oldest = log_.earliest_snapshot(); oldest.has_value()) {
        if (offset < start || epoch < oldest->epoch ||
            (offset == start && epoch != oldest->epoch)) {
            response.snapshot_id = *latest;
            return false;
        }
    }
    const auto* leader = std::get_if<StateLeader>(&state_);
    EpochEndOffset end = log_.end_offset_for_epoch(epoch);
    // The leader's own epoch may be ahead of the view by what this event appends.
    if (end.epoch == epoch_ && leader != nullptr) end.end_offset = leader->appended_end;
    if (end.epoch == epoch && offset <= end.end_offset) return true;
    response.diverging_epoch = end;
    return false;
}

void QuorumMachine::note_alive(Instant now, StateLeader& leader, const ReplicaKey& key) {
    if (leader.note_voter_alive(history_.last(), key, config_.local) &&
        leader.check_quorum_deadline != Instant::never()) {
        leader.check_quorum_deadline = now + Duration{config_.fetch_timeout.nanos * 3 / 2};
    }
}

std::optional<FetchResponse> QuorumMachine::try_fetch(Instant now, const FetchRequest& request,
                                                      bool may_wait, QuorumOutput& out) {
    FetchResponse response = fetch_response(check_leadership(request.current_leader_epoch));
    // Another node with this leader's id: what it has says nothing about anybody's progress.
    if (response.error == ErrorCode::None && request.replica.id == config_.local.id) {
        response.error = ErrorCode::UnknownServerError;
    }
    if (response.error != ErrorCode::None) return response;
    if (!position_is_valid(request, response)) return response;
    auto& leader = std::get<StateLeader>(state_);
    // Only a valid position says anything about what the replica has.
    leader.on_replica_fetch(now, history_.last(), request.replica, request.fetch_offset,
                            config_.local.id);
    note_alive(now, leader, request.replica);
    update_high_watermark(now, leader, out);
    response.high_watermark = high_watermark_.value_or(kNoOffset);
    const bool has_records = request.fetch_offset < leader.appended_end;
    const bool news = high_watermark_.has_value() && request.high_watermark < *high_watermark_;
    if (may_wait && !has_records && !news && request.max_wait > Duration{}) return std::nullopt;
    if (has_records) {
        response.read_from = request.fetch_offset;
        response.bytes_max = request.bytes_max;
    }
    return response;
}

void QuorumMachine::fetch(Instant now, RequestId id, const FetchRequest& request,
                          QuorumOutput& out) {
    const bool malformed = request.max_wait < Duration{} || request.fetch_offset < Offset(0) ||
                           request.last_fetched_epoch.value < 0 ||
                           request.last_fetched_epoch > request.current_leader_epoch;
    if (malformed) {
        out.send_after_persist.push_back({id, fetch_response(ErrorCode::InvalidRequest)});
        return;
    }
    auto* leader = std::get_if<StateLeader>(&state_);
    const bool room = leader != nullptr && leader->parked.size() < kParkedFetchCountMax;
    if (auto response = try_fetch(now, request, room, out); response.has_value()) {
        out.send_after_persist.push_back({id, *std::move(response)});
        return;
    }
    leader->parked[id] = ParkedFetch{request, now + request.max_wait};
}

/// Looks at waiting fetches again after an append or a move of the high watermark. Waiters do not
/// count as a sign of life: they asked once.
void QuorumMachine::retry_parked(Instant now, QuorumOutput& out) {
    auto* leader = std::get_if<StateLeader>(&state_);
    if (leader == nullptr || leader->parked.empty()) return;
    // try_fetch may advance the high watermark and come back here; it then finds nobody waiting.
    std::map<RequestId, ParkedFetch> waiting = std::exchange(leader->parked, {});
    for (auto& [id, fetch] : waiting) {
        const bool has_records = fetch.request.fetch_offset < leader->appended_end;
        const bool news =
            high_watermark_.has_value() && fetch.request.high_watermark < *high_watermark_;
        if (!has_records && !news) {
            leader->parked.emplace(id, std::move(fetch));
            continue;
        }
        FetchResponse response = fetch_response(ErrorCode::None);
        if (position_is_valid(fetch.request, response) && has_records) {
            response.read_from = fetch.request.fetch_offset;
            response.bytes_max = fetch.request.bytes_max;
        }
        out.send_after_persist.push_back({id, std::move(response)});
    }
    static_cast<void>(now);
}

void QuorumMachine::fetch_snapshot(Instant now, RequestId id, const FetchSnapshotRequest& request,
                                   QuorumOutput& out) {
    FetchSnapshotResponse response;
    response.error = check_leadership(request.current_leader_epoch);
    response.leader_id = leader_id();
    response.epoch = epoch_;
    response.leader_endpoints = leader_endpoints();
    response.snapshot_id = request.snapshot_id;
    if (response.error == ErrorCode::None) {
        const auto size = request.snapshot_id == kBootstrapSnapshotId
                              ? std::nullopt
                              : log_.snapshot_size_bytes(request.snapshot_id);
        if (!size.has_value()) {
            response.error = ErrorCode::SnapshotNotFound;
        } else if (request.position < 0 || request.position >= *size) {
            response.error = ErrorCode::PositionOutOfRange;
        } else {
            note_alive(now, std::get<StateLeader>(state_), request.replica);
            response.size_bytes = *size;
            response.position = request.position;
            response.bytes_max = static_cast<int32_t>(std::clamp<int64_t>(
                *size - request.position, 0, std::max<int32_t>(request.bytes_max, 0)));
        }
    }
    out.send_after_persist.push_back({id, std::move(response)});
}

std::vector<ReplicaProgress> QuorumMachine::replicas(bool voters) const {
    std::vector<ReplicaProgress> rows;
    const auto* leader = std::get_if<StateLeader>(&state_);
    if (leader == nullptr) return rows;
    auto add = [&](const ReplicaState& row) {
        const bool self = row.key.id == config_.local.id && voters;
        rows.push_back({row.key, self ? leader->appended_end : row.end_offset.value_or(kNoOffset),
                        row.last_fetch, row.last_caught_up});
    };
    if (voters) {
        for (const auto& [id, row] : leader->voters)
            add(row);
    } else {
        for (const auto& [key, row] : leader->observers)
            add(row);
    }
    return rows;
}

}  // namespace millrace::raft
