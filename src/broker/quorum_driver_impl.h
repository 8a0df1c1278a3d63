// src/broker/quorum_driver_impl.h: the driver behind broker/quorum_driver.h.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "broker/quorum_log.h"
#include "broker/quorum_wire.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"

namespace millrace::broker {

/// Read from the log and handed to listeners in one call at most.
inline constexpr size_t kDeliverBytesMax = 1024 * 1024;
/// KafkaMetadataLogCleaner: how often snapshots and log are looked at.
inline constexpr Duration kCleanInterval = seconds(60);
/// A problem with a peer is said again when it lasts this long.
inline constexpr Duration kProblemInterval = seconds(60);
inline constexpr size_t kProblemsMax = 64;
/// How long a stop waits for the others to hear that the leader goes.
inline constexpr Duration kFarewellTime = milliseconds(500);

class QuorumDriverImpl : public QuorumDriver {
  public:
    QuorumDriverImpl(env::Env& env, QuorumDriverConfig config);
    ~QuorumDriverImpl() override;
    Status load();

    void add_listener(QuorumListener* listener) override;
    void start() override;
    raft::ProposeResult propose(LeaderEpoch epoch, std::vector<Buffer> records) override;
    Offset next_offset() const override { return quorum_->next_offset(); }
    Result<std::unique_ptr<MetadataSnapshotSink>> begin_snapshot(Offset last_offset) override;
    void resign(LeaderEpoch epoch) override;
    void shutdown(MoveFunction<void(Status)> done) override;
    QuorumStatus status() const override;
    Offset log_start_offset() const override;
    std::optional<env::PeerAddress> leader_address() const override;
    void vote(QuorumCaller who, wire::VoteRequest request,
              Reply<wire::VoteResponse> reply) override;
    void begin_epoch(QuorumCaller who, wire::BeginQuorumEpochRequest request,
                     Reply<wire::BeginQuorumEpochResponse> reply) override;
    void end_epoch(QuorumCaller who, wire::EndQuorumEpochRequest request,
                   Reply<wire::EndQuorumEpochResponse> reply) override;
    void fetch(QuorumCaller who, wire::FetchRequest request,
               Reply<wire::FetchResponse> reply) override;
    void fetch_snapshot(QuorumCaller who, wire::FetchSnapshotRequest request,
                        Reply<wire::FetchSnapshotResponse> reply) override;

    void add_voter(QuorumCaller who, wire::AddRaftVoterRequest request,
                   Reply<wire::AddRaftVoterResponse> reply) override;
    void remove_voter(QuorumCaller who, wire::RemoveRaftVoterRequest request,
                      Reply<wire::RemoveRaftVoterResponse> reply) override;
    void update_voter(QuorumCaller who, wire::UpdateRaftVoterRequest request,
                      Reply<wire::UpdateRaftVoterResponse> reply) override;
    std::optional<std::string> kraft_upgrade_problem() const override {
        return quorum_->kraft_upgrade_problem();
    }
    void upgrade_kraft_version() override;

    /// A sink finished: the snapshot is there.
    Status on_snapshot_finished();

  private:
    /// Runs one event of the machine and carries its output out; never inside another.
    template <class Event>
    void event(Event&& run);
    void carry_out(raft::QuorumOutput& out);
    Status change_log(raft::QuorumOutput& out);
    Status store_snapshot(const raft::SnapshotChunk& chunk);
    void note_voters(const raft::AppendBatch& batch);
    void check_same_voters(const raft::LeaderChange& change);
    void after_event();
    void begin_sync();
    void on_synced(uint64_t generation, Offset end, const Status& status);

    // quorum_peers.cc
    using Answer = MoveFunction<void(raft::PeerResponse)>;
    /// A request on its way, in the version that the peer speaks too.
    struct Outgoing {
        uint64_t correlation = 0;
        raft::PeerRequest request;
        int16_t version = 0;
    };
    void send(raft::PeerSend request);
    void transmit(const env::PeerAddress& to, Outgoing outgoing);
    void ask_versions(const env::PeerAddress& to);
    void on_versions(const env::PeerAddress& to, Result<Buffer> frame);
    void fail_later(Outgoing outgoing, Status why);
    void on_answer(const env::PeerAddress& to, const Outgoing& outgoing, Result<Buffer> frame);
    /// One line about what stands between this node and another, not one for each try.
    void note_problem(const std::string& who, const std::string& text);
    /// True when the request never reaches the quorum; then it is answered, and said why.
    template <class Response>
    bool refuse(const char* api, const QuorumCaller& who, ErrorCode error, Reply<Response>& reply);
    void answer_ready();
    /// `refusal`: what it is told when this node stops first.
    raft::RequestId park(raft::PeerResponse refusal, Answer answer);
    void refuse_waiting();
    Result<BufferChain> records_for(const raft::FetchResponse& response);
    void close_now();
    void arm(Instant wake_at);
    void fail(Status cause);

    void schedule_delivery();
    void deliver();
    bool deliver_snapshot();
    bool deliver_batches();
    void announce_roles();
    void check_snapshot_due();
    void clean();

    env::Env& env_;
    QuorumDriverConfig config_;
    std::unique_ptr<QuorumLog> log_;
    std::unique_ptr<raft::Quorum> quorum_;
    raft::QuorumStart start_;
    std::vector<QuorumListener*> listeners_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

    bool in_event_ = false;
    bool started_ = false;
    bool stopped_ = false;
    env::TimerId timer_ = env::kNoTimer;
    env::TimerId clean_timer_ = env::kNoTimer;

    bool sync_running_ = false;
    bool sync_again_ = false;
    uint64_t sync_generation_ = 0;           // a truncation makes running syncs say nothing
    std::optional<Offset> synced_in_event_;  // a sync that ended on the spot

    QuorumWireContext wire_;
    int32_t next_correlation_ = 1;
    raft::RequestId next_request_ = 1;
    struct Waiting {
        raft::PeerResponse refusal;
        Answer answer;
    };
    /// First and last version of each API, as the peer said on its present connection.
    using Spoken = std::map<int16_t, std::pair<int16_t, int16_t>>;
    std::map<env::PeerAddress, Spoken> spoken_;
    std::map<env::PeerAddress, std::vector<Outgoing>> unasked_;  // until its versions are known
    struct Problem {
        std::string text;
        Instant said;
    };
    std::map<std::string, Problem> problems_;  // by peer, at most kProblemsMax
    std::map<raft::RequestId, Waiting> waiting_;  // requests of peers inside the machine
    std::deque<raft::PeerReply> ready_;           // to be sent when the event is over
    std::unique_ptr<storage::MetadataSnapshotWriter> partial_snapshot_;
    std::optional<raft::SnapshotId> fetched_snapshot_;  // complete; the quorum is yet to be told
    uint64_t farewells_ = 0;                            // EndQuorumEpoch requests unanswered
    MoveFunction<void(Status)> on_closed_;
    env::TimerId farewell_timer_ = env::kNoTimer;

    bool delivery_scheduled_ = false;
    std::optional<raft::SnapshotId> snapshot_to_load_;
    Offset delivered_{0};  // exclusive
    Offset committed_{0};  // exclusive
    std::deque<raft::RoleChange> role_changes_;
    NodeId former_leader_ = kNoNode;
    std::optional<LeaderEpoch> announced_epoch_;  // that listeners were told this node leads

    int64_t bytes_since_snapshot_ = 0;
    Instant last_snapshot_;
};

template <class Event>
void QuorumDriverImpl::event(Event&& run) {
    if (stopped_) return;
    MILLRACE_ASSERT(!in_event_, "one event at a time");
    raft::QuorumOutput out;
    in_event_ = true;
    run(env_.clock.now(), out);
    carry_out(out);
    in_event_ = false;
    answer_ready();
    after_event();
}

}  // namespace millrace::broker
