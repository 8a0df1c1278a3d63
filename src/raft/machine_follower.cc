// src/raft/machine_follower.cc: fetching from a leader: append, truncate, or take a snapshot.
#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"
#include "raft/machine.h"

namespace millrace::raft {

namespace {
/// The first loss may be a connection's own end; the second is a new one refused.
constexpr int kLeaderLostCount = 2;
constexpr Duration kFetchMaxWait = milliseconds(500);  // KafkaRaftClient.MAX_FETCH_WAIT_MS
}  // namespace

/// Who may know the leader: the bootstrap servers and the voters last heard of. Kafka asks the
/// bootstrap servers alone where there are any; a node whose list names nobody but itself, and which
/// leads no more, would ask in vain for ever.
std::vector<NodeId> QuorumMachine::discovery_targets() const {
    std::vector<NodeId> targets = other_voters();
    for (uint32_t i = 0; i < config_.bootstrap_server_count; ++i) {
        targets.push_back(NodeId(-2 - static_cast<int32_t>(i)));
    }
    return targets;
}

void QuorumMachine::send_fetch(Instant now, QuorumOutput& out) {
    // One fetch in total; its position must be that of a log which is written and, for a node that
    // may vote, durable, because asking for an offset claims everything below it.
    if (links_.has_fetch_in_flight() || log_changed_ || awaiting_sync_ || shutting_down_) return;
    const auto* follower = std::get_if<StateFollower>(&state_);
    if (follower != nullptr && links_.is_changing_voters(follower->leader_id)) return;
    if (follower != nullptr && links_.is_ready(follower->leader_id, now) &&
        (is_voter() || now < follower->fetch_deadline)) {
        if (follower->fetching_snapshot.has_value()) {
            FetchSnapshotRequest request{config_.local, epoch_, *follower->fetching_snapshot,
                                         follower->snapshot_position,
                                         config_.fetch_snapshot_bytes_max};
            send(now, follower->leader_id, follower->leader_endpoints, RequestKind::FetchSnapshot,
                 request, out);
        } else {
            send(now, follower->leader_id, follower->leader_endpoints, RequestKind::Fetch,
                 make_fetch(), out);
        }
        return;
    }
    std::vector<NodeId> ready = discovery_targets();
    std::erase_if(ready, [&](NodeId id) { return !links_.is_ready(id, now); });
    if (ready.empty()) return;
    const NodeId target = ready[rng_.below(ready.size())];
    send(now, target, endpoints_of(target), RequestKind::Fetch, make_fetch(), out);
}

FetchRequest QuorumMachine::make_fetch() const {
    FetchRequest request;
    request.replica = config_.local;
    request.current_leader_epoch = epoch_;
    request.fetch_offset = log_.log_end_offset();
    request.last_fetched_epoch = log_.last_epoch();
    request.high_watermark = high_watermark_.value_or(kNoOffset);
    request.max_wait = kFetchMaxWait;
    request.bytes_max = config_.fetch_bytes_max;
    return request;
}

void QuorumMachine::response(Instant now, uint64_t correlation, PeerResponse response,
                             QuorumOutput& out) {
    const auto request = links_.finish(correlation);
    if (!request.has_value()) return;
    const bool is_vote =
        request->kind == RequestKind::Vote || request->kind == RequestKind::PreVote;
    const bool is_epoch = request->kind == RequestKind::BeginQuorumEpoch ||
                          request->kind == RequestKind::EndQuorumEpoch;
    if (auto* vote = std::get_if<VoteResponse>(&response); vote != nullptr && is_vote) {
        on_vote_response(now, *request, *vote, out);
    } else if (auto* epoch = std::get_if<EpochResponse>(&response); epoch != nullptr && is_epoch) {
        on_epoch_response(now, *request, *epoch, out);
    } else if (auto* fetch = std::get_if<FetchResponse>(&response);
               fetch != nullptr && request->kind == RequestKind::Fetch) {
        on_fetch_response(now, *request, std::move(*fetch), out);
    } else if (auto* snapshot = std::get_if<FetchSnapshotResponse>(&response);
               snapshot != nullptr && request->kind == RequestKind::FetchSnapshot) {
        on_fetch_snapshot_response(now, *request, std::move(*snapshot), out);
    } else if (auto* change = std::get_if<VoterChangeResponse>(&response);
               change != nullptr && request->kind >= RequestKind::AddVoter) {
        on_voter_change_response(now, *request, *change, out);
    } else if (auto* versions = std::get_if<VersionsResponse>(&response);
               versions != nullptr && request->kind == RequestKind::Versions) {
        on_versions_response(now, request->destination, *versions, out);
    } else {
        MILLRACE_UNREACHABLE("the driver answers a request with its own kind of response");
    }
}

/// A process that dies resets its connections, and the next one is refused: nothing is gained by
/// waiting for the fetch timeout, which is there for silence. Whoever still hears the leader refuses
/// the pre-vote, so a broken link alone moves nothing (Kafka waits the whole timeout).
void QuorumMachine::note_leader_lost(Instant now, StateFollower& follower) {
    if (++follower.leader_lost_count < kLeaderLostCount || !is_voter()) return;
    const int64_t spread = config_.election_timeout.nanos / 4;
    const Instant soon = now + Duration{spread > 0 ? rng_.between(0, spread) : 0};
    follower.fetch_deadline = std::min(follower.fetch_deadline, soon);
}

void QuorumMachine::request_failed(Instant now, uint64_t correlation, RequestFailure why,
                                   QuorumOutput& out) {
    const auto request = links_.finish(correlation);
    if (!request.has_value()) return;
    links_.back_off(request->destination, now + config_.retry_backoff);
    // A voter of Kafka before 4.0 knows no pre-vote: stand at once, as Kafka does (KIP-996).
    const bool unsupported_version = why == RequestFailure::Unsupported;
    if (unsupported_version && request->kind == RequestKind::PreVote && request->epoch == epoch_ &&
        role() == QuorumRole::Prospective) {
        to_candidate(now, out);
    }
    if (request->kind == RequestKind::Versions) {
        on_versions_response(now, request->destination,
                             {ErrorCode::NetworkException, std::nullopt}, out);
    }
    if (auto* follower = std::get_if<StateFollower>(&state_);
        follower != nullptr && follower->leader_id == request->destination &&
        why == RequestFailure::Disconnected) {
        note_leader_lost(now, *follower);
    }
    // A follower whose leader does not answer asks around, for leadership may have moved.
    if (role() == QuorumRole::Follower) send_fetch(now, out);
}

bool QuorumMachine::accept_response(Instant now, const PeerLinks::InFlight& request,
                                    ErrorCode error, LeaderEpoch epoch, NodeId leader_id,
                                    const Endpoints& endpoints, QuorumOutput& out) {
    const auto back_off = [&] {
        links_.back_off(request.destination, now + config_.retry_backoff);
        return false;
    };
    // Kafka stops; who answers so may be a stranger at a wrong address, and the driver says it.
    if (error == ErrorCode::InvalidRequest) return back_off();
    if (epoch < epoch_ || error == ErrorCode::UnknownLeaderEpoch) return back_off();
    // A stranger's number must not become this node's: its peers would call it invalid for ever.
    if (epoch.value > kEpochMax) return back_off();
    if (!learn(now, epoch, leader_id, endpoints, out)) return false;
    if (error != ErrorCode::None) return back_off();
    return request.epoch == epoch_ && epoch == epoch_;
}

void QuorumMachine::on_fetch_response(Instant now, const PeerLinks::InFlight& request,
                                      FetchResponse response, QuorumOutput& out) {
    if (!accept_response(now, request, response.error, response.epoch, response.leader_id,
                         response.leader_endpoints, out)) {
        return;
    }
    auto* follower = std::get_if<StateFollower>(&state_);
    if (follower == nullptr) return;
    if (response.diverging_epoch.has_value()) {
        const EpochEndOffset& diverging = *response.diverging_epoch;
        if (diverging.end_offset < Offset(0) || diverging.epoch.value < 0) {
            links_.back_off(request.destination, now + config_.retry_backoff);
            return;
        }
        on_diverging(diverging, out);
    } else if (response.snapshot_id.has_value()) {
        const SnapshotId id = *response.snapshot_id;
        if (id.end_offset < Offset(0) || id.epoch.value < 0) {
            links_.back_off(request.destination, now + config_.retry_backoff);
            return;
        }
        follower->fetching_snapshot = id;
        follower->snapshot_position = 0;
    } else {
        append_fetched(std::move(response.batches), out);
        if (failed_) return;
        follow_high_watermark(response.high_watermark, out);
    }
    if (failed_) return;
    follower->fetch_deadline = now + config_.fetch_timeout;
    follower->has_fetched_from_leader = true;
    follower->leader_lost_count = 0;
}

void QuorumMachine::on_diverging(const EpochEndOffset& diverging, QuorumOutput& out) {
    const Offset end = log_.log_end_offset();
    Offset cut;
    if (diverging.epoch.value == 0) {
        cut = std::min(diverging.end_offset, end);
    } else {
        const EpochEndOffset local = log_.end_offset_for_epoch(diverging.epoch);
        cut = local.epoch == diverging.epoch ? std::min(local.end_offset, diverging.end_offset)
                                             : local.end_offset;
    }
    if (cut < high_watermark_.value_or(Offset(0))) {
        return fail(out, "the leader asks to cut the log to " + std::to_string(cut.value) +
                             ", below what is committed");
    }
    out.truncate = Truncation{cut, std::nullopt};
    history_.truncate_new(cut);
    replicated_end_ = cut;
    awaiting_sync_ = false;
    log_changed_ = true;
}

void QuorumMachine::append_fetched(std::vector<ReplicatedBatch> batches, QuorumOutput& out) {
    Offset next = log_.log_end_offset();
    bool appended = false;
    for (ReplicatedBatch& batch : batches) {
        // Batches of a later epoch than this node knows belong to a leader it has not heard of.
        if (batch.epoch > epoch_ || batch.base_offset != next) break;
        history_.add(batch.base_offset, batch.control_records);
        AppendBatch append;
        append.base_offset = batch.base_offset;
        append.last_offset = batch.last_offset;
        append.epoch = batch.epoch;
        append.control_records = std::move(batch.control_records);
        append.replicated_bytes = std::move(batch.bytes);
        out.append_records.push_back(std::move(append));
        next = batch.last_offset + 1;
        appended = true;
    }
    if (!appended) return;
    replicated_end_ = next;
    log_changed_ = true;
    awaiting_sync_ = config_.can_become_voter;
}

void QuorumMachine::follow_high_watermark(Offset leader_high_watermark, QuorumOutput& out) {
    if (leader_high_watermark < Offset(0)) return;  // the leader does not know it yet
    const Offset mark = std::min(leader_high_watermark, replicated_end_);
    if (high_watermark_.has_value() && mark < *high_watermark_) {
        return fail(out, "the leader's high watermark went back to " + std::to_string(mark.value));
    }
    high_watermark_ = mark;
    if (mark > committed_) {
        committed_ = mark;
        out.committed = mark;
    }
}

void QuorumMachine::on_fetch_snapshot_response(Instant now, const PeerLinks::InFlight& request,
                                               FetchSnapshotResponse response, QuorumOutput& out) {
    auto* before = std::get_if<StateFollower>(&state_);
    if (response.error == ErrorCode::SnapshotNotFound ||
        response.snapshot_id.end_offset < Offset(0) || response.snapshot_id.epoch.value < 0) {
        // It was cleaned away meanwhile, or cannot be read: ask the log again, not at once.
        links_.back_off(request.destination, now + config_.retry_backoff);
        if (before != nullptr && response.epoch == epoch_) {
            before->fetching_snapshot.reset();
            before->fetch_deadline = now + config_.fetch_timeout;
            out.drop_partial_snapshot = true;
        }
        return;
    }
    if (!accept_response(now, request, response.error, response.epoch, response.leader_id,
                         response.leader_endpoints, out)) {
        return;
    }
    auto* follower = std::get_if<StateFollower>(&state_);
    if (follower == nullptr || !follower->fetching_snapshot.has_value()) return;
    const SnapshotId id = *follower->fetching_snapshot;
    if (response.snapshot_id != id || response.position != follower->snapshot_position) {
        return fail(out, "the leader answered with another part of a snapshot than was asked for");
    }
    const auto size = static_cast<int64_t>(response.bytes.size());
    const bool last = response.position + size >= response.size_bytes;
    out.snapshot_chunk = SnapshotChunk{id, response.position, std::move(response.bytes), last};
    follower->snapshot_position += size;
    follower->fetch_deadline = now + config_.fetch_timeout;
    log_changed_ = true;
    if (!last) return;
    out.truncate = Truncation{id.end_offset, id};
    follower->fetching_snapshot.reset();
    replicated_end_ = id.end_offset;
    awaiting_sync_ = false;
    history_.clear();  // on_snapshot_loaded brings the snapshot's own voters
    high_watermark_ = id.end_offset;
    if (id.end_offset > committed_) {
        committed_ = id.end_offset;
        out.committed = id.end_offset;
    }
}

void QuorumMachine::snapshot_loaded(const SnapshotId& id, std::optional<int16_t> kraft_version,
                                    std::optional<VoterSet> voters) {
    history_.load_snapshot(id.end_offset - 1, kraft_version, std::move(voters));
}

}  // namespace millrace::raft
