// src/raft/quorum.cc: the quorum's door: each event, then whatever became due.
#include "millrace/raft/quorum.h"

#include <utility>

#include "raft/machine.h"

namespace millrace::raft {

Quorum::Quorum(QuorumConfig config, const LogView& log, Rng rng)
    : machine_(std::make_unique<QuorumMachine>(std::move(config), log, rng)) {}
Quorum::~Quorum() = default;

// After a contradiction nothing may be decided any more; events fall through unanswered because the
// node stops.
#define MILLRACE_QUORUM_EVENT(call)     \
    do {                                \
        if (machine_->failed()) return; \
        machine_->begin_event();        \
        call;                           \
        machine_->drive(now, out);      \
    } while (false)

void Quorum::on_start(Instant now, QuorumStart start, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->start(now, std::move(start), out));
}
void Quorum::on_tick(Instant now, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(static_cast<void>(0));
}
ProposeResult Quorum::on_propose(Instant now, LeaderEpoch epoch, std::vector<Buffer> records,
                                 QuorumOutput& out) {
    if (machine_->failed()) return {ProposeError::NotLeader, kNoOffset};
    machine_->begin_event();
    const ProposeResult result = machine_->propose(now, epoch, std::move(records), out);
    machine_->drive(now, out);
    return result;
}
void Quorum::on_log_synced(Instant now, Offset end_offset, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->log_synced(now, end_offset, out));
}
void Quorum::on_vote(Instant now, RequestId id, const VoteRequest& request, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->vote(now, id, request, out));
}
void Quorum::on_begin_quorum_epoch(Instant now, RequestId id,
                                   const BeginQuorumEpochRequest& request, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->begin_epoch(now, id, request, out));
}
void Quorum::on_end_quorum_epoch(Instant now, RequestId id, const EndQuorumEpochRequest& request,
                                 QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->end_epoch(now, id, request, out));
}
void Quorum::on_fetch(Instant now, RequestId id, const FetchRequest& request, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->fetch(now, id, request, out));
}
void Quorum::on_fetch_snapshot(Instant now, RequestId id, const FetchSnapshotRequest& request,
                               QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->fetch_snapshot(now, id, request, out));
}
void Quorum::on_add_voter(Instant now, RequestId id, const AddVoterRequest& request,
                          QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->add_voter(now, id, request, out));
}
void Quorum::on_remove_voter(Instant now, RequestId id, const RemoveVoterRequest& request,
                             QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->remove_voter(now, id, request, out));
}
void Quorum::on_update_voter(Instant now, RequestId id, const UpdateVoterRequest& request,
                             QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->update_voter(now, id, request, out));
}
void Quorum::on_upgrade_kraft_version(Instant now, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->upgrade_kraft_version(now, out));
}
void Quorum::on_response(Instant now, uint64_t correlation, PeerResponse response,
                         QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->response(now, correlation, std::move(response), out));
}
void Quorum::on_request_failed(Instant now, uint64_t correlation, RequestFailure why,
                               QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->request_failed(now, correlation, why, out));
}
void Quorum::on_snapshot_loaded(Instant now, const SnapshotId& id,
                                std::optional<int16_t> kraft_version,
                                std::optional<VoterSet> voters, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->snapshot_loaded(id, kraft_version, std::move(voters)));
}
void Quorum::on_resign(Instant now, LeaderEpoch epoch, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->resign(epoch));
}
void Quorum::on_shutdown(Instant now, QuorumOutput& out) {
    MILLRACE_QUORUM_EVENT(machine_->shutdown());
}
#undef MILLRACE_QUORUM_EVENT

void Quorum::on_log_start_moved(Offset log_start_offset) {
    machine_->history().truncate_old(log_start_offset);
}

QuorumRole Quorum::role() const { return machine_->role(); }
LeaderEpoch Quorum::epoch() const { return machine_->epoch(); }
NodeId Quorum::leader_id() const { return machine_->leader_id(); }
Endpoints Quorum::leader_endpoints() const { return machine_->leader_endpoints(); }
std::optional<Offset> Quorum::high_watermark() const { return machine_->high_watermark(); }
Offset Quorum::next_offset() const { return machine_->next_offset(); }
const VoterSet& Quorum::voters() const { return std::as_const(*machine_).history().last(); }
int16_t Quorum::kraft_version() const {
    return std::as_const(*machine_).history().last_kraft_version();
}
const VoterSet& Quorum::voters_at(Offset offset) const {
    return std::as_const(*machine_).history().at(offset);
}
int16_t Quorum::kraft_version_at(Offset offset) const {
    return std::as_const(*machine_).history().kraft_version_at(offset);
}
ElectionState Quorum::election_state() const { return machine_->election_state(); }
std::optional<std::string> Quorum::kraft_upgrade_problem() const {
    return machine_->kraft_upgrade_problem();
}
std::vector<ReplicaProgress> Quorum::replicas(bool voters) const {
    return machine_->replicas(voters);
}
void Quorum::check_invariants() const { machine_->check_invariants(); }
std::string Quorum::debug_line() const { return machine_->debug_line(); }

}  // namespace millrace::raft
