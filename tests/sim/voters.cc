// tests/sim/voters.cc: DescribeQuorum, AddRaftVoter and RemoveRaftVoter as an admin client sends them.
#include "sim/voters.h"

#include <algorithm>

#include "millrace/base/error_code.h"
#include "millrace/broker/quorum_driver.h"
#include "millrace/wire/gen/add_raft_voter_request.h"
#include "millrace/wire/gen/add_raft_voter_response.h"
#include "millrace/wire/gen/describe_quorum_request.h"
#include "millrace/wire/gen/remove_raft_voter_request.h"
#include "millrace/wire/gen/remove_raft_voter_response.h"

namespace millrace::sim {

namespace {

constexpr Duration kChangeEvery = seconds(3);
/// A request without an answer may be carried out as late as this.
constexpr Duration kUnsure = seconds(20);
/// Fewer could not lose a disk. Nor does one of two go: a leader that removes itself and falls before
/// the other hears of it stands no more, and the other finds nobody to vote for it (as in Kafka).
constexpr size_t kVotersToLoseOne = 3;
constexpr uint16_t kControllerPort = 9093;

}  // namespace

Voters::Voters(World& world, Cluster& cluster)
    : world_(world), cluster_(cluster), rng_(world.rng().fork()), client_(world, cluster, "voters") {}

void Voters::begin() {
    active_ = true;
    plan();
}

void Voters::plan() {
    world_.after(Duration{1} + world_.random_delay(kChangeEvery), [this] {
        if (!active_) return;
        if (!busy_) ask();
        plan();
    });
}

bool Voters::may_lose(int node) const {
    if (busy_ || world_.now() < unsure_until_) return false;
    const raft::VoterSet set = cluster_.voters();
    for (const raft::Voter& voter : set.voters()) {
        if (voter.key.directory_id != cluster_.node(voter.key.id.value).directory_id()) return false;
    }
    return set.find(NodeId(node)) == nullptr || set.size() >= kVotersToLoseOne;
}

void Voters::ask() {
    wire::DescribeQuorumRequest request;
    auto& topic = request.topics.emplace_back();
    topic.topic_name = "__cluster_metadata";
    topic.partitions.emplace_back();
    busy_ = true;
    client_.call<Answer>(request, Answer::kMaxVersion, [this](std::optional<Answer> answer) {
        busy_ = false;
        const bool good = answer && answer->error_code == 0 && !answer->topics.empty() &&
                          answer->topics[0].partitions.at(0).error_code == 0;
        if (active_ && good) change(*answer);
    });
}

void Voters::change(const Answer& answer) {
    const auto& voters = answer.topics[0].partitions[0].current_voters;
    const auto votes = [&](int node) {
        return std::any_of(voters.begin(), voters.end(),
                           [&](const auto& voter) { return voter.replica_id == node; });
    };
    for (const auto& voter : voters) {
        if (voter.replica_directory_id == cluster_.node(voter.replica_id).directory_id()) continue;
        return remove(voter.replica_id, voter.replica_directory_id);
    }
    std::vector<int> others;
    for (int node = 1; node <= cluster_.size(); ++node) {
        if (!votes(node)) others.push_back(node);
    }
    if (!others.empty() && rng_.chance(2, 3)) return add(others[rng_.below(others.size())]);
    const size_t spare = world_.now() < unsure_until_ ? 1 : 0;
    if (voters.size() < kVotersToLoseOne + spare) return;
    const auto& chosen = voters[rng_.below(voters.size())];
    remove(chosen.replica_id, chosen.replica_directory_id);
}

void Voters::add(int node) {
    world_.say("operator: node " + std::to_string(node) + " shall vote");
    wire::AddRaftVoterRequest request;
    const auto version = static_cast<int16_t>(rng_.below(2));
    request.cluster_id.reset();
    request.timeout_ms = 3000;
    request.voter_id = node;
    request.voter_directory_id = cluster_.node(node).directory_id();
    auto& listener = request.listeners.emplace_back();
    listener.name = "CONTROLLER";
    listener.host = "n" + std::to_string(node);
    listener.port = kControllerPort;
    if (version > 0) request.ack_when_committed = rng_.chance(1, 2);
    busy_ = true;
    using Response = wire::AddRaftVoterResponse;
    client_.call<Response>(request, version, [this](std::optional<Response> response) {
        done("AddRaftVoter", response ? std::optional(response->error_code) : std::nullopt);
    });
}

void Voters::remove(int node, const Uuid& directory) {
    world_.say("operator: node " + std::to_string(node) + " shall vote no more");
    wire::RemoveRaftVoterRequest request;
    request.cluster_id.reset();
    request.voter_id = node;
    request.voter_directory_id = directory;
    busy_ = true;
    using Response = wire::RemoveRaftVoterResponse;
    client_.call<Response>(request, 0, [this](std::optional<Response> response) {
        done("RemoveRaftVoter", response ? std::optional(response->error_code) : std::nullopt);
    });
}

void Voters::done(const char* what, std::optional<int16_t> code) {
    busy_ = false;
    const bool known = code == int16_t{0};
    if (!known) unsure_until_ = world_.now() + kUnsure;
    world_.say(std::string("operator: ") + what + " got " +
               (code ? error_code_name(static_cast<ErrorCode>(*code)) : "no answer"));
}

}  // namespace millrace::sim
