// src/raft/machine.cc: start, transitions between states, timers of the quorum machine.
#include "raft/machine.h"

#include <algorithm>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::raft {

namespace {
// A step may change the state, and the new state may have something due at once; the longest chain
// is Resigned, Unattached, Prospective, Candidate, Leader.
constexpr int kStepsPerEventMax = 16;
}  // namespace

QuorumMachine::QuorumMachine(QuorumConfig config, const LogView& log, Rng rng)
    : config_(std::move(config)), log_(log), rng_(rng), history_(VoterSet()) {}

void QuorumMachine::start(Instant now, QuorumStart start, QuorumOutput& out) {
    history_ = VoterHistory(std::move(start.static_voters));
    history_.load_snapshot(start.snapshot_id.end_offset - 1, start.snapshot_kraft_version,
                           std::move(start.snapshot_voters));
    for (const ReplicatedBatch& batch : start.log_control_batches) {
        history_.add(batch.base_offset, batch.control_records);
    }
    replicated_end_ = log_.log_end_offset();

    // QuorumState.initialize: never resume leadership, because an unsynced tail may be gone and
    // (offset, epoch) would no longer name one record. Unlike Kafka 4.3.1, a candidate that lost
    // and then followed the winner stays a follower: with records of that epoch in its log, its
    // Vote would be an invalid request, which is fatal to whoever sent it.
    const ElectionState stored = start.election_state.value_or(ElectionState{});
    epoch_ = stored.epoch;
    StateUnattached unattached;
    unattached.voted = stored.voted;
    const Instant deadline = is_voter() ? random_election_deadline(now) : Instant::never();
    unattached.election_deadline = deadline;
    if (stored.epoch < log_.last_epoch()) {
        epoch_ = log_.last_epoch();
        unattached.voted = ReplicaKey{};
        state_ = unattached;
    } else if (stored.leader_id == config_.local.id) {
        // Also for a node that was removed meanwhile: it leaves the epoch, then observes.
        state_ = StateResigned{other_voters(), {},
                               is_voter() ? deadline : random_election_deadline(now)};
    } else if (is_voter() && stored.leader_id == kNoNode && stored.voted.id == config_.local.id &&
               (stored.voted.directory_id.is_zero() || stored.voted == config_.local)) {
        state_ = StateCandidate{VoteTally(history_.last(), config_.local.id), deadline};
    } else if (stored.leader_id != kNoNode && !endpoints_of(stored.leader_id).empty()) {
        StateFollower follower;
        follower.leader_id = stored.leader_id;
        follower.leader_endpoints = endpoints_of(stored.leader_id);
        follower.voted = stored.voted;
        follower.fetch_deadline = now + config_.fetch_timeout;
        follower.update_voter_at = now + config_.fetch_timeout;
        state_ = std::move(follower);
    } else {
        unattached.leader_id = stored.leader_id;
        state_ = unattached;
    }
    persist(out);
    note_role(out);

    if (!history_.last().is_only_voter(config_.local)) return;
    if (role() == QuorumRole::Candidate) {
        to_leader(now, out);
    } else {
        to_prospective(now, out);
    }
}

NodeId QuorumMachine::leader_id() const {
    switch (role()) {
        case QuorumRole::Unattached: return std::get<StateUnattached>(state_).leader_id;
        case QuorumRole::Prospective: return std::get<StateProspective>(state_).leader_id;
        case QuorumRole::Candidate: return kNoNode;
        case QuorumRole::Leader: return config_.local.id;
        case QuorumRole::Follower: return std::get<StateFollower>(state_).leader_id;
        case QuorumRole::Resigned: return config_.local.id;
    }
    MILLRACE_UNREACHABLE("role");
}

ReplicaKey QuorumMachine::voted() const {
    switch (role()) {
        case QuorumRole::Unattached: return std::get<StateUnattached>(state_).voted;
        case QuorumRole::Prospective: return std::get<StateProspective>(state_).voted;
        case QuorumRole::Candidate: return config_.local;
        case QuorumRole::Leader: return {};
        case QuorumRole::Follower: return std::get<StateFollower>(state_).voted;
        case QuorumRole::Resigned: return {};
    }
    MILLRACE_UNREACHABLE("role");
}

Endpoints QuorumMachine::leader_endpoints() const {
    if (const auto* follower = std::get_if<StateFollower>(&state_)) {
        return follower->leader_endpoints;
    }
    if (const auto* prospective = std::get_if<StateProspective>(&state_)) {
        return prospective->leader_endpoints;
    }
    if (role() == QuorumRole::Leader || role() == QuorumRole::Resigned) {
        return config_.local_endpoints;
    }
    return {};
}

ElectionState QuorumMachine::election_state() const { return {leader_id(), epoch_, voted()}; }

Instant QuorumMachine::random_election_deadline(Instant now) {
    const int64_t timeout = config_.election_timeout.nanos;
    if (timeout == 0) return now;
    return now + Duration{timeout + rng_.between(0, timeout - 1)};
}

Endpoints QuorumMachine::endpoints_of(NodeId id) const {
    const Voter* voter = history_.last().find(id);
    return voter == nullptr ? Endpoints{} : voter->endpoints;
}

std::vector<NodeId> QuorumMachine::other_voters() const {
    std::vector<NodeId> ids;
    for (const Voter& voter : history_.last().voters()) {
        if (voter.key.id != config_.local.id) ids.push_back(voter.key.id);
    }
    return ids;
}

void QuorumMachine::persist(QuorumOutput& out) { out.persist_state = election_state(); }

void QuorumMachine::note_role(QuorumOutput& out) {
    RoleChange change{role(), epoch_, leader_id(), kNoOffset};
    if (const auto* leader = std::get_if<StateLeader>(&state_)) {
        change.epoch_start_offset = leader->epoch_start_offset;
    }
    if (last_role_.has_value() && last_role_->role == change.role &&
        last_role_->epoch == change.epoch && last_role_->leader_id == change.leader_id) {
        return;
    }
    last_role_ = change;
    out.role_changes.push_back(change);
}

/// The one place where the state changes. Fetches that waited at a leader are answered from the
/// new state, so that followers learn at once who leads.
void QuorumMachine::enter(QuorumState next, bool durable, QuorumOutput& out) {
    std::map<RequestId, ParkedFetch> parked;
    std::optional<RequestId> change;
    if (auto* leader = std::get_if<StateLeader>(&state_)) {
        if (leader->change.has_value()) change = leader->change->request;
        parked = std::move(leader->parked);
        replicated_end_ = leader->appended_end;
        awaiting_sync_ = leader->synced_end < leader->appended_end;
    }
    if (std::holds_alternative<StateFollower>(state_) &&
        std::get<StateFollower>(state_).fetching_snapshot.has_value()) {
        out.drop_partial_snapshot = true;
    }
    state_ = std::move(next);
    if (durable) persist(out);
    note_role(out);
    for (const auto& [id, fetch] : parked) {
        out.send_after_persist.push_back(
            {id, fetch_response(check_leadership(fetch.request.current_leader_epoch))});
    }
    if (change.has_value()) {
        out.send_after_persist.push_back(
            {*change, voter_response(ErrorCode::NotLeaderOrFollower)});
    }
}

void QuorumMachine::to_unattached(Instant now, LeaderEpoch epoch, NodeId leader_id,
                                  QuorumOutput& out) {
    MILLRACE_ASSERT(epoch > epoch_ || (epoch == epoch_ && role() == QuorumRole::Prospective),
                    "the epoch never decreases");
    StateUnattached next;
    next.leader_id = leader_id;
    if (epoch == epoch_) next.voted = voted();  // one vote per epoch
    // A node that waits for its turn keeps waiting from where it was, lest higher epochs of others
    // postpone its own election for ever.
    if (!is_voter()) {
        next.election_deadline = Instant::never();
    } else if (const auto* unattached = std::get_if<StateUnattached>(&state_)) {
        next.election_deadline = unattached->election_deadline;
    } else if (const auto* candidate = std::get_if<StateCandidate>(&state_)) {
        next.election_deadline = candidate->election_deadline;
    } else if (const auto* resigned = std::get_if<StateResigned>(&state_)) {
        next.election_deadline = resigned->election_deadline;
    } else if (const auto* prospective = std::get_if<StateProspective>(&state_);
               prospective != nullptr && !prospective->tally.is_rejected()) {
        next.election_deadline = prospective->election_deadline;
    } else {
        next.election_deadline = random_election_deadline(now);
    }
    if (next.election_deadline == Instant::never() && is_voter()) {
        next.election_deadline = random_election_deadline(now);  // it just became a voter
    }
    epoch_ = epoch;
    enter(std::move(next), true, out);
}

void QuorumMachine::to_prospective(Instant now, QuorumOutput& out) {
    MILLRACE_ASSERT(is_voter(), "only voters stand for election");
    MILLRACE_ASSERT(role() != QuorumRole::Leader && role() != QuorumRole::Prospective,
                    "a leader never stands again in its epoch");
    StateProspective next{leader_id(), leader_endpoints(), voted(),
                          VoteTally(history_.last(), config_.local.id),
                          random_election_deadline(now)};
    enter(std::move(next), false, out);  // epoch, leader and vote stay as they were
    after_tally(now, out);
}

void QuorumMachine::to_candidate(Instant now, QuorumOutput& out) {
    MILLRACE_ASSERT(role() == QuorumRole::Prospective, "pre-vote comes before the vote");
    epoch_ = LeaderEpoch(epoch_.value + 1);
    enter(
        StateCandidate{VoteTally(history_.last(), config_.local.id), random_election_deadline(now)},
        true, out);
    after_tally(now, out);
}

void QuorumMachine::to_leader(Instant now, QuorumOutput& out) {
    auto& candidate = std::get<StateCandidate>(state_);
    MILLRACE_ASSERT(candidate.tally.is_granted(), "a leader has a majority of votes");
    StateLeader leader(epoch_, log_.log_end_offset(), candidate.tally.granting());
    // A new leader cannot know how far the high watermark of its predecessor got, and must not
    // show a lower one: it has none until a majority holds the start of its epoch.
    high_watermark_.reset();
    const bool alone = history_.last().majority() == 1;
    leader.check_quorum_deadline =
        alone ? Instant::never() : now + Duration{config_.fetch_timeout.nanos * 3 / 2};
    leader.begin_epoch_at = now;
    enter(std::move(leader), true, out);
    auto& state = std::get<StateLeader>(state_);
    append_epoch_start(state, out);
    state.set_voters(history_.last());
    if (history_.last_kraft_version() == 0) {
        state.told_voters = history_.last().replaced(local_voter()).value_or(VoterSet());
    }
}

void QuorumMachine::to_follower(Instant now, LeaderEpoch epoch, NodeId leader_id,
                                Endpoints endpoints, QuorumOutput& out) {
    MILLRACE_ASSERT(epoch >= epoch_, "the epoch never decreases");
    MILLRACE_ASSERT(leader_id != config_.local.id, "nobody follows himself");
    MILLRACE_ASSERT(epoch > epoch_ || role() != QuorumRole::Leader,
                    "a leader never follows in its own epoch");
    StateFollower next;
    next.leader_id = leader_id;
    next.leader_endpoints = std::move(endpoints);
    if (epoch == epoch_) next.voted = voted();
    next.fetch_deadline = now + config_.fetch_timeout;
    next.update_voter_at = now + config_.fetch_timeout;
    epoch_ = epoch;
    enter(std::move(next), true, out);
}

void QuorumMachine::to_resigned(Instant now, std::vector<ReplicaKey> preferred, QuorumOutput& out) {
    MILLRACE_ASSERT(role() == QuorumRole::Leader, "only a leader resigns");
    // What quorum-state says does not change: this node led the epoch.
    enter(StateResigned{other_voters(), std::move(preferred), random_election_deadline(now)}, false,
          out);
}

void QuorumMachine::fail(QuorumOutput& out, std::string why) {
    failed_ = true;
    out.fatal = std::move(why) + " [" + debug_line() + "]";
}

bool QuorumMachine::learn(Instant now, LeaderEpoch epoch, NodeId leader_id,
                          const Endpoints& endpoints, QuorumOutput& out) {
    if (epoch < epoch_) return true;
    Endpoints reachable = endpoints;
    if (reachable.empty() && leader_id != kNoNode) reachable = endpoints_of(leader_id);
    if (leader_id == config_.local.id) {
        // Ourselves: true of the present epoch while we lead it or just gave it up.
        // Of another one only when this node lost its disk, and with it the memory of having led:
        // it takes no part in that epoch (Kafka stops here).
        if (epoch == epoch_ && this->leader_id() == leader_id) return true;
        if (epoch == epoch_ && (role() != QuorumRole::Unattached || this->leader_id() != kNoNode)) {
            fail(out, "a peer names this node leader of an epoch that it does not lead");
            return false;
        }
        if (epoch > epoch_) to_unattached(now, epoch, leader_id, out);
        std::get<StateUnattached>(state_).leader_id = leader_id;
        persist(out);
        note_role(out);
        return true;
    }
    if (epoch > epoch_) {
        if (leader_id == kNoNode || reachable.empty()) {
            to_unattached(now, epoch, leader_id, out);
        } else {
            to_follower(now, epoch, leader_id, std::move(reachable), out);
        }
        return true;
    }
    if (leader_id == kNoNode) return true;
    const NodeId known = this->leader_id();
    if (known != kNoNode && known != leader_id) {
        fail(out, "two leaders in one epoch: node " + std::to_string(leader_id.value) + " too");
        return false;
    }
    if (reachable.size() > leader_endpoints().size()) {
        to_follower(now, epoch, leader_id, std::move(reachable), out);
    }
    return true;
}

bool QuorumMachine::send(Instant now, NodeId to, Endpoints endpoints, RequestKind kind,
                         PeerRequest request, QuorumOutput& out) {
    if (!links_.is_ready(to, now)) return false;
    out.send_now.push_back(
        {links_.start(to, kind, epoch_), to, std::move(endpoints), std::move(request)});
    return true;
}

void QuorumMachine::resign(LeaderEpoch epoch) {
    if (epoch != epoch_) return;
    if (auto* leader = std::get_if<StateLeader>(&state_)) leader->resign_requested = true;
}

void QuorumMachine::drive(Instant now, QuorumOutput& out) {
    for (int i = 0; i < kStepsPerEventMax && !failed_; ++i) {
        if (!step(now, out)) break;
    }
    if (failed_) return;
    set_wake(now, out);
    MILLRACE_VERIFY((check_invariants(), true));
}

/// One look at what the state has due; true when the state changed and wants another look.
bool QuorumMachine::step(Instant now, QuorumOutput& out) {
    switch (role()) {
        case QuorumRole::Unattached: {
            const bool due = std::get<StateUnattached>(state_).election_deadline <= now;
            if (due && is_voter() && !shutting_down_) {
                to_prospective(now, out);
                return true;
            }
            send_fetch(now, out);
            return false;
        }
        case QuorumRole::Prospective: {
            if (std::get<StateProspective>(state_).election_deadline <= now && !shutting_down_) {
                prospective_lost(now, out);
                return true;
            }
            send_votes(now, out);
            return false;
        }
        case QuorumRole::Candidate: {
            if (std::get<StateCandidate>(state_).election_deadline <= now && !shutting_down_) {
                to_prospective(now, out);
                return true;
            }
            send_votes(now, out);
            return false;
        }
        case QuorumRole::Leader: return step_leader(now, std::get<StateLeader>(state_), out);
        case QuorumRole::Follower: {
            if (shutting_down_) return false;
            auto& follower = std::get<StateFollower>(state_);
            if (follower.fetch_deadline <= now && is_voter()) {
                to_prospective(now, out);
                return true;
            }
            if (!send_own_voter(now, follower, out)) send_fetch(now, out);
            return false;
        }
        case QuorumRole::Resigned: return step_resigned(now, std::get<StateResigned>(state_), out);
    }
    MILLRACE_UNREACHABLE("role");
}

/// The earliest moment at which step would do something that it cannot do now.
void QuorumMachine::set_wake(Instant now, QuorumOutput& out) const {
    Instant wake = log_changed_ ? now : Instant::never();
    auto consider = [&](Instant when) { wake = std::min(wake, when); };
    auto consider_links = [&](const std::vector<NodeId>& peers) {
        for (const NodeId peer : peers) {
            const Instant ready = links_.ready_at(peer, now);
            if (ready > now) consider(ready);
        }
    };
    if (const auto* unattached = std::get_if<StateUnattached>(&state_)) {
        if (!shutting_down_) consider(unattached->election_deadline);
    } else if (const auto* prospective = std::get_if<StateProspective>(&state_)) {
        if (!shutting_down_) consider(prospective->election_deadline);
        consider_links(prospective->tally.unrecorded());
    } else if (const auto* candidate = std::get_if<StateCandidate>(&state_)) {
        if (!shutting_down_) consider(candidate->election_deadline);
        consider_links(candidate->tally.unrecorded());
    } else if (const auto* follower = std::get_if<StateFollower>(&state_)) {
        if (is_voter() && !shutting_down_) consider(follower->fetch_deadline);
    } else if (const auto* resigned = std::get_if<StateResigned>(&state_)) {
        if (!shutting_down_) consider(resigned->election_deadline);
        consider_links(resigned->unacknowledged);
    } else if (const auto* leader = std::get_if<StateLeader>(&state_)) {
        consider(leader->accumulator.deadline());
        consider(leader->check_quorum_deadline);
        if (leader->change.has_value()) consider(leader->change->deadline);
        if (history_.last().size() > 1) consider(leader->begin_epoch_at);
        for (const auto& [id, fetch] : leader->parked)
            consider(fetch.deadline);
        consider_links({leader->begin_epoch_pending.begin(), leader->begin_epoch_pending.end()});
    }
    const bool fetches = role() == QuorumRole::Unattached || role() == QuorumRole::Follower;
    if (fetches && !links_.has_fetch_in_flight()) {
        if (const auto* follower = std::get_if<StateFollower>(&state_)) {
            consider_links({follower->leader_id});
        }
        consider_links(discovery_targets());
    }
    out.wake_at = wake;
}

}  // namespace millrace::raft
