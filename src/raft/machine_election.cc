// src/raft/machine_election.cc: votes, pre-votes, and the begin and end of epochs.
#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"
#include "raft/machine.h"

namespace millrace::raft {

/// Checks that Vote, BeginQuorumEpoch and EndQuorumEpoch share.
ErrorCode QuorumMachine::check_voter_request(LeaderEpoch request_epoch, NodeId sender) const {
    if (request_epoch < epoch_) return ErrorCode::FencedLeaderEpoch;
    if (request_epoch.value < 0 || request_epoch.value > kEpochMax || sender.value < 0) {
        return ErrorCode::InvalidRequest;
    }
    return ErrorCode::None;
}

/// BeginQuorumEpoch and EndQuorumEpoch also say who leads. One that contradicts what is known of the
/// epoch is refused: anybody can send it, so it is no reason to stop (Kafka stops).
ErrorCode QuorumMachine::check_leader_request(LeaderEpoch request_epoch, NodeId leader) const {
    const ErrorCode error = check_voter_request(request_epoch, leader);
    if (error != ErrorCode::None || request_epoch != epoch_) return error;
    const NodeId known = leader_id();
    const bool contradicts = known != kNoNode ? known != leader : leader == config_.local.id;
    return contradicts ? ErrorCode::InvalidRequest : ErrorCode::None;
}

/// A request names the receiver as its sender knows it; an unknown part matches.
bool QuorumMachine::is_this_voter_key(const ReplicaKey& key) const {
    if (key.id.value >= 0 && key.id != config_.local.id) return false;
    return key.directory_id.is_zero() || key.directory_id == config_.local.directory_id;
}

VoteResponse QuorumMachine::vote_response(ErrorCode error, bool granted) const {
    return {error, leader_id(), epoch_, granted, leader_endpoints()};
}

EpochResponse QuorumMachine::epoch_response(ErrorCode error) const {
    return {error, leader_id(), epoch_, leader_endpoints()};
}

void QuorumMachine::vote(Instant now, RequestId id, const VoteRequest& request, QuorumOutput& out) {
    auto answer = [&](ErrorCode error, bool granted) {
        out.send_after_persist.push_back({id, vote_response(error, granted)});
    };
    const bool epochs_fit =
        request.pre_vote ? request.last_epoch <= request.epoch : request.last_epoch < request.epoch;
    if (request.end_offset < Offset(0) || request.last_epoch.value < 0 || !epochs_fit) {
        return answer(ErrorCode::InvalidRequest, false);
    }
    const ErrorCode error = check_voter_request(request.epoch, request.candidate.id);
    if (error != ErrorCode::None) return answer(error, false);
    // Also for a pre-vote: a higher epoch exists only because somebody already started it.
    if (request.epoch > epoch_) to_unattached(now, request.epoch, kNoNode, out);
    if (!is_this_voter_key(request.voter)) return answer(ErrorCode::InvalidVoterKey, false);
    answer(ErrorCode::None, decide_vote(now, request, out));
}

/// KIP-595 and KIP-996. Whether the sender is a voter is not asked: during a change of membership
/// the receiver may not know it yet.
bool QuorumMachine::decide_vote(Instant now, const VoteRequest& request, QuorumOutput& out) {
    const auto theirs = std::pair(request.last_epoch, request.end_offset);
    const auto ours = std::pair(log_.last_epoch(), log_.log_end_offset());
    const bool up_to_date = theirs >= ours;
    switch (role()) {
        case QuorumRole::Leader: return false;
        case QuorumRole::Candidate:
        case QuorumRole::Resigned: return request.pre_vote && up_to_date;
        case QuorumRole::Follower:
            // Once the leader answered, it is alive as far as this node can tell.
            return request.pre_vote && up_to_date &&
                   !std::get<StateFollower>(state_).has_fetched_from_leader;
        case QuorumRole::Unattached:
        case QuorumRole::Prospective: break;
    }
    if (request.pre_vote) return up_to_date;
    const ReplicaKey vote = voted();
    if (vote.id != kNoNode) {
        return vote.id == request.candidate.id &&
               (vote.directory_id.is_zero() || vote.directory_id == request.candidate.directory_id);
    }
    if (leader_id() != kNoNode || !up_to_date) return false;
    // Whoever got the vote has at least as good a chance as this node: start waiting anew.
    const Instant deadline = is_voter() ? random_election_deadline(now) : Instant::never();
    if (auto* unattached = std::get_if<StateUnattached>(&state_)) {
        unattached->voted = request.candidate;
        unattached->election_deadline = deadline;
    } else {
        auto& prospective = std::get<StateProspective>(state_);
        prospective.voted = request.candidate;
        prospective.election_deadline = deadline;
        prospective.tally = VoteTally(history_.last(), config_.local.id);
    }
    persist(out);
    return true;
}

void QuorumMachine::begin_epoch(Instant now, RequestId id, const BeginQuorumEpochRequest& request,
                                QuorumOutput& out) {
    ErrorCode error = check_leader_request(request.epoch, request.leader_id);
    if (error == ErrorCode::None) {
        if (!learn(now, request.epoch, request.leader_id, request.leader_endpoints, out)) return;
        // A node whose directory id is wrong still learns who leads.
        if (!is_this_voter_key(request.voter)) error = ErrorCode::InvalidVoterKey;
    }
    out.send_after_persist.push_back({id, epoch_response(error)});
}

void QuorumMachine::end_epoch(Instant now, RequestId id, const EndQuorumEpochRequest& request,
                              QuorumOutput& out) {
    const ErrorCode error = check_leader_request(request.epoch, request.leader_id);
    if (error == ErrorCode::None) {
        if (!learn(now, request.epoch, request.leader_id, request.leader_endpoints, out)) return;
        auto* follower = std::get_if<StateFollower>(&state_);
        if (follower != nullptr && follower->leader_id == request.leader_id && is_voter()) {
            // The best successor stands at once, the others later and later, so that they do not
            // split the vote (binary exponential from the back).
            const auto& list = request.preferred_candidates;
            Duration wait = config_.election_backoff_max;
            for (size_t position = 0; position < list.size() && position < 31; ++position) {
                if (list[position].id != config_.local.id) continue;
                if (position == 0) {
                    wait = Duration{};
                } else {
                    const size_t shift = std::min<size_t>(list.size() - 1, 31);
                    const Duration base{config_.election_backoff_max.nanos >> shift};
                    wait = std::min(wait, Duration{base.nanos << (position - 1)});
                }
                break;
            }
            follower->fetch_deadline = now + wait;
        }
    }
    out.send_after_persist.push_back({id, epoch_response(error)});
}

void QuorumMachine::send_votes(Instant now, QuorumOutput& out) {
    const bool pre_vote = role() == QuorumRole::Prospective;
    const VoteTally& tally = pre_vote ? std::get<StateProspective>(state_).tally
                                      : std::get<StateCandidate>(state_).tally;
    if (tally.is_rejected()) return;
    for (const NodeId id : tally.unrecorded()) {
        const Voter* voter = history_.last().find(id);
        if (voter == nullptr) continue;  // the set changed after the round began
        VoteRequest request{config_.local,         voter->key, epoch_, log_.last_epoch(),
                            log_.log_end_offset(), pre_vote};
        send(now, id, voter->endpoints, pre_vote ? RequestKind::PreVote : RequestKind::Vote,
             request, out);
    }
}

void QuorumMachine::on_vote_response(Instant now, const PeerLinks::InFlight& request,
                                     const VoteResponse& response, QuorumOutput& out) {
    if (!accept_response(now, request, response.error, response.epoch, response.leader_id,
                         response.leader_endpoints, out)) {
        return;
    }
    if (request.kind == RequestKind::PreVote && role() == QuorumRole::Prospective) {
        std::get<StateProspective>(state_).tally.record(request.destination, response.vote_granted);
    } else if (request.kind == RequestKind::Vote && role() == QuorumRole::Candidate) {
        std::get<StateCandidate>(state_).tally.record(request.destination, response.vote_granted);
    }
    after_tally(now, out);
}

void QuorumMachine::after_tally(Instant now, QuorumOutput& out) {
    if (const auto* prospective = std::get_if<StateProspective>(&state_)) {
        if (prospective->tally.is_granted()) {
            to_candidate(now, out);
        } else if (prospective->tally.is_rejected()) {
            prospective_lost(now, out);
        }
    } else if (const auto* candidate = std::get_if<StateCandidate>(&state_)) {
        // A candidate that lost waits for its timer; more rounds would only disturb the winner.
        if (candidate->tally.is_granted()) to_leader(now, out);
    }
}

void QuorumMachine::prospective_lost(Instant now, QuorumOutput& out) {
    const auto& state = std::get<StateProspective>(state_);
    const NodeId leader = state.leader_id;
    Endpoints endpoints = state.leader_endpoints;
    if (leader != kNoNode && leader != config_.local.id && !endpoints.empty()) {
        to_follower(now, epoch_, leader, std::move(endpoints), out);
    } else {
        to_unattached(now, epoch_, leader, out);
        // The old deadline may be the one that just passed.
        auto& unattached = std::get<StateUnattached>(state_);
        if (unattached.election_deadline <= now) {
            unattached.election_deadline = random_election_deadline(now);
        }
    }
}

bool QuorumMachine::step_resigned(Instant now, StateResigned& state, QuorumOutput& out) {
    if (!shutting_down_ && state.election_deadline <= now) {
        to_unattached(now, LeaderEpoch(epoch_.value + 1), kNoNode, out);
        return true;
    }
    for (const NodeId id : state.unacknowledged) {
        EndQuorumEpochRequest request{config_.local.id, epoch_, state.preferred_candidates, {}};
        send(now, id, endpoints_of(id), RequestKind::EndQuorumEpoch, std::move(request), out);
    }
    return false;
}

void QuorumMachine::on_epoch_response(Instant now, const PeerLinks::InFlight& request,
                                      const EpochResponse& response, QuorumOutput& out) {
    if (!accept_response(now, request, response.error, response.epoch, response.leader_id,
                         response.leader_endpoints, out)) {
        return;
    }
    if (auto* leader = std::get_if<StateLeader>(&state_);
        leader != nullptr && request.kind == RequestKind::BeginQuorumEpoch) {
        leader->begin_epoch_pending.erase(request.destination);
    }
    if (auto* resigned = std::get_if<StateResigned>(&state_);
        resigned != nullptr && request.kind == RequestKind::EndQuorumEpoch) {
        std::erase(resigned->unacknowledged, request.destination);
    }
}

}  // namespace millrace::raft
