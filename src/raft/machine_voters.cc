// src/raft/machine_voters.cc: membership of the quorum: add, remove, update, and kraft.version 1.
//
// The leader changes one voter at a time, so that any majority of the old set and any of the new one
// share a member; the new set holds from the moment it is appended (KIP-853). Source:
// AddVoterHandler, RemoveVoterHandler, UpdateVoterHandler, LeaderState; kraft.md 1.10.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"
#include "raft/machine.h"

namespace millrace::raft {

Voter QuorumMachine::local_voter() const {
    return {config_.local, config_.local_endpoints, config_.local_versions};
}

VoterChangeResponse QuorumMachine::voter_response(ErrorCode error, std::string message) const {
    return {error, std::move(message), leader_id(), epoch_, leader_endpoints()};
}

/// Voters reach each other by the first controller listener of each.
bool QuorumMachine::names_default_listener(const Endpoints& endpoints) const {
    if (config_.local_endpoints.empty()) return !endpoints.empty();
    return std::any_of(endpoints.begin(), endpoints.end(), [&](const Endpoint& endpoint) {
        return endpoint.listener == config_.local_endpoints.front().listener && endpoint.port != 0;
    });
}

/// What every change of the voters waits for; nothing when it may go on.
std::optional<VoterChangeResponse> QuorumMachine::refuse_change(bool needs_kraft_version) const {
    const auto& leader = std::get<StateLeader>(state_);
    if (leader.change.has_value()) {
        return voter_response(ErrorCode::RequestTimedOut, "another change of voters is under way");
    }
    if (!high_watermark_.has_value()) {
        return voter_response(ErrorCode::RequestTimedOut,
                              "the leader has not committed a record of its epoch yet");
    }
    if (history_.last_kraft_version() == 0) {
        if (!needs_kraft_version) return std::nullopt;
        return voter_response(ErrorCode::UnsupportedVersion,
                              "voters can be changed from kraft.version 1 on, and it is 0");
    }
    const std::optional<Offset> latest = history_.last_offset();
    if (!latest.has_value() || *latest >= *high_watermark_) {
        return voter_response(ErrorCode::RequestTimedOut,
                              "the latest change of voters is not committed yet");
    }
    return std::nullopt;
}

void QuorumMachine::append_control(Instant now, StateLeader& leader,
                                   std::vector<ControlRecord> records, QuorumOutput& out) {
    append_pending(now, leader, out);  // what already has offsets comes first
    AppendBatch batch;
    batch.base_offset = leader.appended_end;
    batch.epoch = epoch_;
    batch.last_offset = batch.base_offset + (static_cast<int64_t>(records.size()) - 1);
    batch.control_records = std::move(records);
    history_.add(batch.base_offset, batch.control_records);
    leader.appended_end = batch.last_offset + 1;
    leader.accumulator = Accumulator(epoch_, leader.appended_end);
    out.append_records.push_back(std::move(batch));

    leader.set_voters(history_.last());
    if (history_.last().is_only_voter(config_.local)) {
        leader.check_quorum_deadline = Instant::never();
    } else if (leader.check_quorum_deadline == Instant::never()) {
        leader.check_quorum_deadline = now + Duration{config_.fetch_timeout.nanos * 3 / 2};
    }
    retry_parked(now, out);
}

std::optional<VoterChangeResponse> QuorumMachine::refuse_voter(const ReplicaKey& voter) const {
    const ErrorCode error = check_leadership(epoch_);
    if (error != ErrorCode::None) return voter_response(error);
    if (voter.id.value >= 0 && !voter.directory_id.is_zero()) return std::nullopt;
    return voter_response(ErrorCode::InvalidRequest, "a voter has a node id and a directory id");
}

void QuorumMachine::add_voter(Instant now, RequestId id, const AddVoterRequest& request,
                              QuorumOutput& out) {
    auto answer = [&](VoterChangeResponse response) {
        out.send_after_persist.push_back({id, std::move(response)});
    };
    if (auto refusal = refuse_voter(request.voter)) return answer(*std::move(refusal));
    if (!names_default_listener(request.endpoints)) {
        return answer(voter_response(ErrorCode::InvalidRequest,
                                     "the voter's endpoints lack the leader's controller listener"));
    }
    if (auto refusal = refuse_change(true)) return answer(*std::move(refusal));
    if (history_.last().find(request.voter.id) != nullptr) {
        return answer(voter_response(
            ErrorCode::DuplicateVoter,
            fmt::format("node {} is a voter already", request.voter.id.value)));
    }
    if (!send(now, request.voter.id, request.endpoints, RequestKind::Versions, VersionsRequest{},
              out)) {
        return answer(voter_response(
            ErrorCode::RequestTimedOut,
            fmt::format("node {} cannot be asked what it supports", request.voter.id.value)));
    }
    VoterChangeUnderWay change;
    change.request = id;
    change.added = Voter{request.voter, request.endpoints, {}};
    change.ack_when_committed = request.ack_when_committed;
    change.deadline = now + config_.request_timeout;
    std::get<StateLeader>(state_).change = std::move(change);
}

void QuorumMachine::on_versions_response(Instant now, NodeId from, const VersionsResponse& response,
                                         QuorumOutput& out) {
    auto* leader = std::get_if<StateLeader>(&state_);
    if (leader == nullptr || !leader->change.has_value()) return;
    VoterChangeUnderWay& change = *leader->change;
    if (!change.added.has_value() || change.added->key.id != from || change.offset.has_value()) {
        return;
    }
    if (response.error != ErrorCode::None) {
        return finish_change(*leader, ErrorCode::RequestTimedOut,
                             fmt::format("node {} does not say what it supports", from.value), out);
    }
    const int16_t level = history_.last_kraft_version();
    const KRaftVersionRange range = response.kraft_versions.value_or(KRaftVersionRange{0, 0});
    if (level < range.min || level > range.max) {
        return finish_change(*leader, ErrorCode::InvalidRequest,
                             fmt::format("node {} supports kraft.version {} to {}, not {}",
                                         from.value, range.min, range.max, level),
                             out);
    }
    if (!leader->is_caught_up(now, change.added->key)) {
        return finish_change(*leader, ErrorCode::RequestTimedOut,
                             fmt::format("{} has not caught up with the leader's log",
                                         change.added->key.to_string()),
                             out);
    }
    change.added->versions = range;
    const auto voters = history_.last().with(*change.added);
    MILLRACE_ASSERT(voters.has_value(), "nobody was added meanwhile");
    append_control(now, *leader, {VotersChange{*voters}}, out);
    change.offset = leader->appended_end - 1;
    if (!change.ack_when_committed && change.request.has_value()) {
        out.send_after_persist.push_back({*change.request, voter_response(ErrorCode::None)});
        change.request.reset();
    }
}

void QuorumMachine::remove_voter(Instant now, RequestId id, const RemoveVoterRequest& request,
                                 QuorumOutput& out) {
    auto answer = [&](VoterChangeResponse response) {
        out.send_after_persist.push_back({id, std::move(response)});
    };
    if (auto refusal = refuse_voter(request.voter)) return answer(*std::move(refusal));
    if (auto refusal = refuse_change(true)) return answer(*std::move(refusal));
    const auto voters = history_.last().without(request.voter);
    if (!voters.has_value()) {
        return answer(voter_response(
            ErrorCode::VoterNotFound,
            fmt::format("{} is not a voter, or the only one", request.voter.to_string())));
    }
    auto& leader = std::get<StateLeader>(state_);
    append_control(now, leader, {VotersChange{*voters}}, out);
    VoterChangeUnderWay change;
    change.request = id;
    change.deadline = now + config_.request_timeout;
    change.offset = leader.appended_end - 1;
    leader.change = std::move(change);
}

void QuorumMachine::finish_change(StateLeader& leader, ErrorCode error, std::string message,
                                  QuorumOutput& out) {
    const std::optional<RequestId> request = leader.change->request;
    leader.change.reset();
    if (!request.has_value()) return;
    out.send_after_persist.push_back({*request, voter_response(error, std::move(message))});
}

/// The high watermark moved: a change may be done, and the leader may have removed itself.
void QuorumMachine::check_change_committed(StateLeader& leader, QuorumOutput& out) {
    if (leader.change.has_value() && leader.change->offset.has_value() &&
        *high_watermark_ > *leader.change->offset) {
        finish_change(leader, ErrorCode::None, {}, out);
    }
    const std::optional<Offset> latest = history_.last_offset();
    if (latest.has_value() && *high_watermark_ > *latest && !is_voter()) {
        leader.resign_requested = true;
    }
}

void QuorumMachine::update_voter(Instant now, RequestId id, const UpdateVoterRequest& request,
                                 QuorumOutput& out) {
    auto answer = [&](ErrorCode error) {
        out.send_after_persist.push_back({id, voter_response(error)});
    };
    const ErrorCode error = check_leadership(request.current_leader_epoch);
    if (error != ErrorCode::None) return answer(error);
    const KRaftVersionRange range = request.versions;
    const int16_t level = history_.last_kraft_version();
    const bool malformed = request.voter.id.value < 0 || request.voter.directory_id.is_zero() ||
                           !names_default_listener(request.endpoints) || range.min < 0 ||
                           range.max < range.min;
    if (malformed) return answer(ErrorCode::InvalidRequest);
    if (auto refusal = refuse_change(false)) return answer(refusal->error);
    if (level < range.min || level > range.max) return answer(ErrorCode::InvalidRequest);

    auto& leader = std::get<StateLeader>(state_);
    const Voter voter{request.voter, request.endpoints, range};
    if (level == 0) {
        auto told = leader.told_voters.replaced(voter);
        if (!told.has_value()) return answer(ErrorCode::VoterNotFound);
        leader.told_voters = *std::move(told);
    } else {
        const auto voters = history_.last().updated(voter);
        if (!voters.has_value()) return answer(ErrorCode::VoterNotFound);
        append_control(now, leader, {VotersChange{*voters}}, out);
    }
    if (voter.key.id != config_.local.id) note_alive(now, leader, voter.key);
    answer(ErrorCode::None);
}

std::optional<std::string> QuorumMachine::kraft_upgrade_problem() const {
    const auto* leader = std::get_if<StateLeader>(&state_);
    if (leader == nullptr) return "this node does not lead the quorum";
    if (history_.last_kraft_version() != 0) return "kraft.version is raised already";
    for (const Voter& voter : leader->told_voters.voters()) {
        if (voter.key.directory_id.is_zero()) {
            return fmt::format("voter {} has not told its directory id yet", voter.key.id.value);
        }
        if (voter.versions.max < 1) {
            return fmt::format("voter {} does not support it", voter.key.id.value);
        }
    }
    return leader->told_voters.empty() ? std::optional<std::string>("no voters are known")
                                       : std::nullopt;
}

void QuorumMachine::upgrade_kraft_version(Instant now, QuorumOutput& out) {
    MILLRACE_ASSERT(!kraft_upgrade_problem().has_value(), "the caller asked first");
    auto& leader = std::get<StateLeader>(state_);
    append_control(now, leader, {KRaftVersionChange{1}, VotersChange{leader.told_voters}}, out);
}

/// A voter tells a new leader, or one that knows it otherwise, about itself; an observer that wants
/// to vote asks to be taken in, after its former self (another disk) is removed. True when a request
/// left, in place of a fetch.
bool QuorumMachine::send_own_voter(Instant now, StateFollower& follower, QuorumOutput& out) {
    if (now < follower.update_voter_at || !links_.is_ready(follower.leader_id, now)) return false;
    const bool dynamic = history_.last_kraft_version() > 0;
    const Voter* stored = history_.last().find(config_.local.id);
    bool sent = false;
    if (is_voter()) {
        const bool wanted =
            dynamic ? !stored->same_as(local_voter()) : !follower.has_updated_leader;
        if (wanted) {
            sent = send(now, follower.leader_id, follower.leader_endpoints,
                        RequestKind::UpdateVoter,
                        UpdateVoterRequest{epoch_, config_.local, config_.local_endpoints,
                                           config_.local_versions},
                        out);
        }
    } else if (dynamic && config_.can_become_voter && config_.auto_join) {
        if (stored != nullptr) {
            sent = send(now, follower.leader_id, follower.leader_endpoints,
                        RequestKind::RemoveVoter, RemoveVoterRequest{stored->key}, out);
        } else {
            sent = send(now, follower.leader_id, follower.leader_endpoints, RequestKind::AddVoter,
                        AddVoterRequest{config_.local, config_.local_endpoints, false}, out);
        }
    }
    follower.update_voter_at = now + config_.fetch_timeout;
    return sent;
}

void QuorumMachine::on_voter_change_response(Instant now, const PeerLinks::InFlight& request,
                                             const VoterChangeResponse& response,
                                             QuorumOutput& out) {
    // Asked again at the next look; until then whatever stood in the way may pass. Unlike a Fetch
    // or a Vote, a request that the leader calls invalid says nothing about this node's log.
    if (request.kind != RequestKind::UpdateVoter || response.error == ErrorCode::InvalidRequest) {
        return;
    }
    if (!accept_response(now, request, response.error, response.epoch, response.leader_id,
                         response.leader_endpoints, out)) {
        return;
    }
    auto* follower = std::get_if<StateFollower>(&state_);
    if (follower == nullptr) return;
    follower->has_updated_leader = true;
    follower->fetch_deadline = now + config_.fetch_timeout;
}

}  // namespace millrace::raft
