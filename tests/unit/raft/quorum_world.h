// tests/unit/raft/quorum_world.h: N quorum machines, their logs and the messages between them.
//
// Carries outputs out as the driver does, with syncs, deliveries and time under the test's control.
// A crash loses what was not synced. Everything that happens is printed when a trace is wanted.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "millrace/raft/quorum.h"

namespace millrace::raft {

inline Uuid test_directory(int id) { return Uuid{7, static_cast<uint64_t>(id)}; }
inline Endpoints test_endpoints(int id) {
    return {{"CONTROLLER", "host" + std::to_string(id), 9093}};
}
inline VoterSet test_voters(int count, bool dynamic) {
    std::vector<Voter> voters;
    for (int id = 1; id <= count; ++id) {
        voters.push_back(
            {{NodeId(id), dynamic ? test_directory(id) : Uuid{}}, test_endpoints(id), {0, 1}});
    }
    return VoterSet(std::move(voters));
}

struct FakeLog : LogView {
    std::vector<AppendBatch> batches;
    Offset synced_end{0};
    std::optional<SnapshotId> snapshot;

    Offset log_start_offset() const override { return Offset(0); }
    Offset log_end_offset() const override {
        return batches.empty() ? Offset(0) : batches.back().last_offset + 1;
    }
    LeaderEpoch last_epoch() const override {
        return batches.empty() ? LeaderEpoch(0) : batches.back().epoch;
    }
    EpochEndOffset end_offset_for_epoch(LeaderEpoch epoch) const override {
        EpochEndOffset found{LeaderEpoch(0), Offset(0)};
        for (const AppendBatch& batch : batches) {
            if (batch.epoch <= epoch) found = {batch.epoch, batch.last_offset + 1};
        }
        return found;
    }
    std::optional<SnapshotId> latest_snapshot() const override { return snapshot; }
    std::optional<SnapshotId> earliest_snapshot() const override { return snapshot; }
    std::optional<int64_t> snapshot_size_bytes(const SnapshotId&) const override {
        return std::nullopt;
    }
    void truncate(Offset end) {
        while (!batches.empty() && batches.back().last_offset >= end)
            batches.pop_back();
        synced_end = std::min(synced_end, end);
    }
};

class QuorumWorld {
  public:
    struct Message {
        int from = 0;
        int to = 0;
        uint64_t correlation = 0;  // of the request, at its sender
        std::optional<PeerRequest> request;
        std::optional<PeerResponse> response;
        int life = 0;  // of the requester, which dies with all it waits for
    };
    struct Node {
        FakeLog log;
        std::unique_ptr<Quorum> quorum;  // empty while down
        std::optional<ElectionState> file;
        Instant wake_at = Instant::never();
        struct Asker {
            int id = 0;
            uint64_t correlation = 0;
            int life = 0;
        };
        std::map<RequestId, Asker> asked;
        int life = 0;
        RequestId next_request = 1;
        Offset committed{0};
        std::vector<LeaderEpoch> led;
        Uuid directory;
        bool auto_join = false;
    };

    /// `extra` nodes are no voters at first and find the others by bootstrap servers.
    QuorumWorld(int count, bool dynamic, uint64_t seed, int extra = 0)
        : dynamic_(dynamic), rng_(seed), voters_(test_voters(count, dynamic)) {
        for (int id = 1; id <= count + extra; ++id)
            nodes_[id].directory = test_directory(id);
        if (extra > 0) bootstrap_servers_ = static_cast<uint32_t>(count + extra);
    }

    std::string trace;  // cleared by whoever reads it
    bool auto_sync = false;
    std::deque<Message> messages;
    std::set<int> cut_off;

    bool changes_voters() const { return bootstrap_servers_ > 0; }
    Instant now() const { return now_; }
    Node& node(int id) { return nodes_.at(id); }
    std::map<int, Node>& nodes() { return nodes_; }

    void start(int id) {
        Node& n = nodes_.at(id);
        QuorumConfig config;
        config.local = {NodeId(id), n.directory};
        config.local_endpoints = test_endpoints(id);
        config.auto_join = n.auto_join;
        config.bootstrap_server_count = bootstrap_servers_;
        n.quorum = std::make_unique<Quorum>(config, n.log, rng_.fork());
        QuorumStart begin;
        begin.election_state = n.file;
        if (dynamic_) {
            begin.snapshot_kraft_version = int16_t{1};
            begin.snapshot_voters = voters_;
        } else {
            begin.static_voters = voters_;
        }
        for (const AppendBatch& batch : n.log.batches) {
            if (batch.control_records.empty()) continue;
            begin.log_control_batches.push_back(
                {batch.base_offset, batch.last_offset, batch.epoch, batch.control_records, {}});
        }
        event(id, [&](QuorumOutput& out) { n.quorum->on_start(now_, std::move(begin), out); });
    }
    void crash(int id) {
        Node& n = nodes_.at(id);
        ++n.life;
        n.quorum.reset();
        n.log.truncate(n.log.synced_end);
        n.committed = Offset(0);  // known to the others; this node learns it again
        n.wake_at = Instant::never();
        // Whoever waits for its answers notices that the connection broke.
        for (const auto& [request, asker] : std::exchange(n.asked, {})) {
            Message lost;
            lost.from = asker.id;
            lost.correlation = asker.correlation;
            lost.life = asker.life;
            fail_request(lost);
        }
    }
    /// An empty disk in place of the old one.
    void replace_disk(int id) {
        Node& n = nodes_.at(id);
        n.log = FakeLog();
        n.file.reset();
        n.directory = Uuid{n.directory.high + 1, n.directory.low};
    }
    Voter voter(int id) { return {{NodeId(id), nodes_.at(id).directory}, test_endpoints(id), {}}; }
    /// A tool asks `at`; its answer is only printed.
    void add_voter(int at, int id, bool ack_when_committed = true) {
        Node& n = nodes_.at(at);
        const RequestId request = ask(n);
        const Voter added = voter(id);
        event(at, [&](QuorumOutput& out) {
            n.quorum->on_add_voter(now_, request, {added.key, added.endpoints, ack_when_committed},
                                   out);
        });
    }
    void remove_voter(int at, int id) {
        Node& n = nodes_.at(at);
        const RequestId request = ask(n);
        const Voter* known = n.quorum->voters().find(NodeId(id));
        const ReplicaKey key = known != nullptr ? known->key : voter(id).key;
        event(at, [&](QuorumOutput& out) {
            n.quorum->on_remove_voter(now_, request, {key}, out);
        });
    }
    std::string upgrade(int at) {
        Node& n = nodes_.at(at);
        if (const auto problem = n.quorum->kraft_upgrade_problem()) return *problem;
        event(at, [&](QuorumOutput& out) { n.quorum->on_upgrade_kraft_version(now_, out); });
        return "raised";
    }
    void sync(int id) {
        Node& n = nodes_.at(id);
        if (n.quorum == nullptr) return;
        n.log.synced_end = n.log.log_end_offset();
        const Offset end = n.log.synced_end;
        event(id, [&](QuorumOutput& out) { n.quorum->on_log_synced(now_, end, out); });
    }
    ProposeResult propose(int id, int count) {
        Node& n = nodes_.at(id);
        std::vector<Buffer> records;
        for (int i = 0; i < count; ++i)
            records.push_back(Buffer::copy_of("r"));
        ProposeResult result;
        event(id, [&](QuorumOutput& out) {
            result = n.quorum->on_propose(now_, n.quorum->epoch(), std::move(records), out);
        });
        return result;
    }
    void resign(int id) {
        Node& n = nodes_.at(id);
        event(id, [&](QuorumOutput& out) { n.quorum->on_resign(now_, n.quorum->epoch(), out); });
    }
    void shutdown(int id) {
        Node& n = nodes_.at(id);
        event(id, [&](QuorumOutput& out) { n.quorum->on_shutdown(now_, out); });
    }

    /// Fires what is due on the way, in order of time, then of node id.
    void advance(Duration by) {
        const Instant target = now_ + by;
        for (int guard = 0; guard < 100000; ++guard) {
            int next = 0;
            for (auto& [id, n] : nodes_) {
                if (n.quorum == nullptr || n.wake_at > target) continue;
                if (next == 0 || n.wake_at < nodes_.at(next).wake_at) next = id;
            }
            if (next == 0) break;
            now_ = std::max(now_, nodes_.at(next).wake_at);
            Node& n = nodes_.at(next);
            event(next, [&](QuorumOutput& out) { n.quorum->on_tick(now_, out); });
        }
        now_ = target;
    }
    void deliver_one(size_t index) {
        Message m = std::move(messages[index]);
        messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(index));
        const bool lost = cut_off.contains(m.from) || cut_off.contains(m.to);
        if (m.request.has_value()) {
            auto to = nodes_.find(m.to);
            if (lost || to == nodes_.end() || to->second.quorum == nullptr) return fail_request(m);
            Node& n = to->second;
            if (std::holds_alternative<VersionsRequest>(*m.request)) {
                messages.push_back({m.to, m.from, m.correlation, {},
                                    VersionsResponse{ErrorCode::None, KRaftVersionRange{0, 1}},
                                    m.life});
                return;
            }
            const RequestId id = n.next_request++;
            n.asked[id] = {m.from, m.correlation, m.life};
            event(m.to, [&](QuorumOutput& out) { handle(*n.quorum, id, *m.request, out); });
        } else {
            auto to = nodes_.find(m.to);
            if (to == nodes_.end() || to->second.quorum == nullptr) return;
            Node& n = to->second;
            if (m.life != n.life) return;
            event(m.to, [&](QuorumOutput& out) {
                if (lost) {
                    n.quorum->on_request_failed(now_, m.correlation, RequestFailure::Disconnected, out);
                } else {
                    n.quorum->on_response(now_, m.correlation, *std::move(m.response), out);
                }
            });
        }
    }
    void fail_request(const Message& m) {
        auto from = nodes_.find(m.from);
        if (from == nodes_.end() || from->second.quorum == nullptr) return;
        if (m.life != from->second.life) return;
        event(m.from, [&](QuorumOutput& out) {
            from->second.quorum->on_request_failed(now_, m.correlation, RequestFailure::Disconnected, out);
        });
    }
    /// Delivers until nothing is under way; fetches at a leader wait there.
    void deliver_all() {
        for (int guard = 0; guard < 1000 && !messages.empty(); ++guard)
            deliver_one(0);
    }

    /// Time passes and messages flow, a millisecond each way.
    void run(Duration duration) {
        const Instant end = now_ + duration;
        while (now_ < end) {
            advance(milliseconds(1));
            for (size_t count = messages.size(); count > 0 && !messages.empty(); --count) {
                deliver_one(0);
            }
        }
    }

    template <class Event>
    void event(int id, Event&& run) {
        QuorumOutput out;
        run(out);
        carry_out(id, out);
    }

  private:
    void handle(Quorum& q, RequestId id, const PeerRequest& request, QuorumOutput& out) {
        if (const auto* vote = std::get_if<VoteRequest>(&request)) {
            q.on_vote(now_, id, *vote, out);
        } else if (const auto* begin = std::get_if<BeginQuorumEpochRequest>(&request)) {
            q.on_begin_quorum_epoch(now_, id, *begin, out);
        } else if (const auto* end = std::get_if<EndQuorumEpochRequest>(&request)) {
            q.on_end_quorum_epoch(now_, id, *end, out);
        } else if (const auto* fetch = std::get_if<FetchRequest>(&request)) {
            q.on_fetch(now_, id, *fetch, out);
        } else if (const auto* add = std::get_if<AddVoterRequest>(&request)) {
            q.on_add_voter(now_, id, *add, out);
        } else if (const auto* remove = std::get_if<RemoveVoterRequest>(&request)) {
            q.on_remove_voter(now_, id, *remove, out);
        } else if (const auto* update = std::get_if<UpdateVoterRequest>(&request)) {
            q.on_update_voter(now_, id, *update, out);
        } else {
            q.on_fetch_snapshot(now_, id, std::get<FetchSnapshotRequest>(request), out);
        }
    }
    /// A request from outside: nobody's correlation.
    static RequestId ask(Node& n) {
        const RequestId id = n.next_request++;
        n.asked[id] = {0, 0, 0};
        return id;
    }
    void say(int id, const std::string& what) { trace += fmt::format("{}: {}\n", id, what); }

    void carry_out(int id, QuorumOutput& out) {
        Node& n = nodes_.at(id);
        if (out.persist_state.has_value()) {
            n.file = *out.persist_state;
            const ElectionState& s = *out.persist_state;
            say(id, fmt::format("persist leader={} epoch={} voted={}", s.leader_id.value,
                                s.epoch.value, s.voted.id.value));
        }
        if (out.truncate.has_value()) {
            say(id, fmt::format("truncate to {}", out.truncate->end_offset.value));
            n.log.truncate(out.truncate->end_offset);
        }
        for (AppendBatch& batch : out.append_records) {
            say(id, print(batch));
            n.log.batches.push_back(std::move(batch));
        }
        for (PeerSend& s : out.send_now) {
            // Bootstrap server -2 is node 1, -3 node 2, and so on.
            const int to = s.destination.value < -1 ? -1 - s.destination.value
                                                    : s.destination.value;
            say(id, fmt::format("send to {}: {}", to, print(s.request)));
            messages.push_back({id, to, s.correlation, s.request, {}, n.life});
        }
        for (PeerReply& reply : out.send_after_persist) {
            const auto [asker, correlation, life] = n.asked.at(reply.id);
            n.asked.erase(reply.id);
            if (auto* fetch = std::get_if<FetchResponse>(&reply.response)) {
                if (fetch->read_from.has_value()) read(n.log, *fetch);
            }
            say(id, fmt::format("reply to {}: {}", asker, print(reply.response)));
            messages.push_back({id, asker, correlation, {}, std::move(reply.response), life});
        }
        if (out.committed.has_value()) {
            say(id, fmt::format("committed {}", out.committed->value));
            n.committed = *out.committed;
        }
        for (const RoleChange& change : out.role_changes) {
            say(id, fmt::format("role {} epoch={} leader={}", role_name(change.role),
                                change.epoch.value, change.leader_id.value));
            if (change.role == QuorumRole::Leader) n.led.push_back(change.epoch);
        }
        if (out.fatal.has_value()) say(id, "FATAL " + *out.fatal);
        n.wake_at = out.wake_at;
        const bool appended = !out.append_records.empty();
        if (appended && auto_sync) sync(id);
    }
    static void read(const FakeLog& log, FetchResponse& fetch) {
        for (const AppendBatch& batch : log.batches) {
            if (batch.last_offset < *fetch.read_from) continue;
            fetch.batches.push_back(
                {batch.base_offset, batch.last_offset, batch.epoch, batch.control_records, {}});
        }
    }

    static std::string print(const AppendBatch& batch) {
        std::string text = fmt::format("append {}..{} epoch={}", batch.base_offset.value,
                                       batch.last_offset.value, batch.epoch.value);
        for (const ControlRecord& record : batch.control_records) {
            if (const auto* change = std::get_if<LeaderChange>(&record)) {
                text += fmt::format(" LeaderChange(leader={} voters={} granting={})",
                                    change->leader_id.value, print(change->voters),
                                    print(change->granting_voters));
            } else if (const auto* version = std::get_if<KRaftVersionChange>(&record)) {
                text += fmt::format(" KRaftVersion({})", version->kraft_version);
            } else {
                text += " Voters(";
                for (const Voter& voter : std::get<VotersChange>(record).voters.voters()) {
                    text += text.ends_with('(') ? "" : ",";
                    text += std::to_string(voter.key.id.value);
                }
                text += ")";
            }
        }
        return text;
    }
    static std::string print(const std::vector<NodeId>& ids) {
        std::string text;
        for (const NodeId id : ids)
            text += (text.empty() ? "" : ",") + std::to_string(id.value);
        return text;
    }
    static std::string print(const PeerRequest& request) {
        if (const auto* vote = std::get_if<VoteRequest>(&request)) {
            return fmt::format("{} epoch={} log={}@{}", vote->pre_vote ? "PreVote" : "Vote",
                               vote->epoch.value, vote->end_offset.value, vote->last_epoch.value);
        }
        if (const auto* begin = std::get_if<BeginQuorumEpochRequest>(&request)) {
            return fmt::format("BeginQuorumEpoch epoch={}", begin->epoch.value);
        }
        if (const auto* end = std::get_if<EndQuorumEpochRequest>(&request)) {
            std::vector<NodeId> ids;
            for (const ReplicaKey& key : end->preferred_candidates)
                ids.push_back(key.id);
            return fmt::format("EndQuorumEpoch epoch={} preferred={}", end->epoch.value,
                               print(ids));
        }
        if (const auto* fetch = std::get_if<FetchRequest>(&request)) {
            return fmt::format("Fetch epoch={} from={}@{}", fetch->current_leader_epoch.value,
                               fetch->fetch_offset.value, fetch->last_fetched_epoch.value);
        }
        if (const auto* add = std::get_if<AddVoterRequest>(&request)) {
            return fmt::format("AddVoter {}", add->voter.id.value);
        }
        if (const auto* remove = std::get_if<RemoveVoterRequest>(&request)) {
            return fmt::format("RemoveVoter {}", remove->voter.id.value);
        }
        if (const auto* update = std::get_if<UpdateVoterRequest>(&request)) {
            return fmt::format("UpdateVoter {}", update->voter.id.value);
        }
        return std::holds_alternative<VersionsRequest>(request) ? "Versions" : "FetchSnapshot";
    }
    static std::string print(const PeerResponse& response) {
        if (const auto* vote = std::get_if<VoteResponse>(&response)) {
            return fmt::format("vote error={} {} epoch={} leader={}", static_cast<int>(vote->error),
                               vote->vote_granted ? "granted" : "refused", vote->epoch.value,
                               vote->leader_id.value);
        }
        if (const auto* epoch = std::get_if<EpochResponse>(&response)) {
            return fmt::format("epoch error={} epoch={} leader={}", static_cast<int>(epoch->error),
                               epoch->epoch.value, epoch->leader_id.value);
        }
        if (const auto* fetch = std::get_if<FetchResponse>(&response)) {
            std::string text = fmt::format("fetch error={} epoch={} leader={} hw={} batches={}",
                                           static_cast<int>(fetch->error), fetch->epoch.value,
                                           fetch->leader_id.value, fetch->high_watermark.value,
                                           fetch->batches.size());
            if (fetch->diverging_epoch.has_value()) {
                text += fmt::format(" diverging={}@{}", fetch->diverging_epoch->end_offset.value,
                                    fetch->diverging_epoch->epoch.value);
            }
            return text;
        }
        if (const auto* change = std::get_if<VoterChangeResponse>(&response)) {
            return fmt::format("voters error={}{}{}", static_cast<int>(change->error),
                               change->message.empty() ? "" : " ", change->message);
        }
        return "fetch snapshot";
    }

    bool dynamic_;
    uint32_t bootstrap_servers_ = 0;
    Rng rng_;
    VoterSet voters_;
    std::map<int, Node> nodes_;
    Instant now_{};
};

}  // namespace millrace::raft
