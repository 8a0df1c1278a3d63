// tests/unit/metadata/cluster_control_test.cc: registration, heartbeats, fencing, AlterPartition.
#include <gtest/gtest.h>

#include "unit/metadata/controller_fixture.h"

namespace millrace::metadata {
namespace {

using Registered = wire::BrokerRegistrationResponse;
using Beat = wire::BrokerHeartbeatResponse;

int16_t code(ErrorCode error) { return static_cast<int16_t>(error); }
std::vector<NodeId> nodes(std::initializer_list<int32_t> ids) {
    std::vector<NodeId> out;
    for (int32_t id : ids)
        out.emplace_back(id);
    return out;
}

class ClusterControl : public testing::Test {
  protected:
    void SetUp() override { f.lead(); }
    ErrorCode register_with(wire::BrokerRegistrationRequest request) {
        return static_cast<ErrorCode>(f.run<Registered>(std::move(request)).error_code);
    }
    const BrokerImage& broker(int32_t id) {
        return *f.controller.image().cluster.broker(NodeId(id));
    }
    ControllerFixture f;
};

TEST_F(ClusterControl, RegistrationChecks) {
    auto request = f.registration(1);
    request.cluster_id = "other";
    EXPECT_EQ(register_with(request), ErrorCode::InconsistentClusterId);
    request = f.registration(1);
    request.is_migrating_zk_broker = true;
    EXPECT_EQ(register_with(request), ErrorCode::BrokerIdNotRegistered);
    request = f.registration(1);
    request.log_dirs = {};
    EXPECT_EQ(register_with(request), ErrorCode::InvalidRegistration);
    request.log_dirs = {Uuid{0, 99}};
    EXPECT_EQ(register_with(request), ErrorCode::InvalidRegistration);
    request.log_dirs = {directory(1), directory(1)};
    EXPECT_EQ(register_with(request), ErrorCode::InvalidRegistration);
    request = f.registration(1);
    request.listeners[0].security_protocol = 4;
    EXPECT_EQ(register_with(request), ErrorCode::UnknownServerError);
    request = f.registration(1);
    for (auto& feature : request.features) {
        if (feature.name == "group.version") feature.max_supported_version = 0;
    }
    EXPECT_EQ(register_with(request), ErrorCode::UnsupportedVersion);
    request = f.registration(1);
    std::erase_if(request.features, [](const auto& x) { return x.name == "group.version"; });
    EXPECT_EQ(register_with(request), ErrorCode::UnsupportedVersion);
    request = f.registration(1);
    std::erase_if(request.features, [](const auto& x) { return x.name == "metadata.version"; });
    EXPECT_EQ(register_with(request), ErrorCode::InvalidRegistration);
    EXPECT_TRUE(f.controller.image().cluster.brokers.empty());

    EXPECT_EQ(register_with(f.registration(1)), ErrorCode::None);
    request = f.registration(2);
    request.log_dirs = {directory(1)};
    EXPECT_EQ(register_with(request), ErrorCode::InvalidRegistration) << "owned by broker 1";
}

TEST_F(ClusterControl, IncarnationsAndSessions) {
    const Offset at = f.log_end;
    EXPECT_EQ(f.run<Registered>(f.registration(1, 1)).broker_epoch, at.value);
    f.run<Beat>(f.heartbeat(1));
    EXPECT_EQ(register_with(f.registration(1, 2)), ErrorCode::DuplicateBrokerRegistration);
    // The same incarnation keeps epoch and fencing.
    const auto again = f.run<Registered>(f.registration(1, 1));
    EXPECT_EQ(again.broker_epoch, at.value);
    EXPECT_FALSE(broker(1).fenced);
    EXPECT_FALSE(broker(1).cordoned_directories.has_value());
    f.now = f.now + milliseconds(9000);
    const auto next = f.run<Registered>(f.registration(1, 2));
    EXPECT_EQ(next.error_code, 0);
    EXPECT_EQ(next.broker_epoch, (f.log_end - 1).value);
    EXPECT_TRUE(broker(1).fenced);
}

TEST_F(ClusterControl, UnfencingNeedsItsOwnRegistration) {
    f.run<Registered>(f.registration(1));
    auto early = f.heartbeat(1);
    early.current_metadata_offset = f.log_end.value - 2;
    auto response = f.run<Beat>(early);
    EXPECT_FALSE(response.is_caught_up);
    EXPECT_TRUE(response.is_fenced);
    response = f.run<Beat>(f.heartbeat(1, true));
    EXPECT_TRUE(response.is_caught_up);
    EXPECT_TRUE(response.is_fenced) << "it wants to stay fenced";
    response = f.run<Beat>(f.heartbeat(1));
    EXPECT_FALSE(response.is_fenced);
    auto stale = f.heartbeat(1);
    stale.broker_epoch += 1;
    EXPECT_EQ(f.run<Beat>(stale).error_code, code(ErrorCode::StaleBrokerEpoch));
    stale.broker_id = 9;
    EXPECT_EQ(f.run<Beat>(stale).error_code, code(ErrorCode::StaleBrokerEpoch));
}

TEST_F(ClusterControl, SilentBrokerIsFencedAndComesBack) {
    f.brokers(2);
    f.create(f.assigned("t", {{1, 2}, {2, 1}}));
    f.now = f.now + milliseconds(8000);
    f.run<Beat>(f.heartbeat(2));
    EXPECT_LT(f.out.wake_at, Instant::never());
    f.pass(milliseconds(1000));
    EXPECT_EQ(f.batch_names(),
              "PARTITION_CHANGE_RECORD/2 PARTITION_CHANGE_RECORD/2 "
              "BROKER_REGISTRATION_CHANGE_RECORD");
    EXPECT_TRUE(broker(1).fenced);
    EXPECT_EQ(f.partition("t", 0).leader, NodeId(2));
    EXPECT_EQ(f.partition("t", 0).isr, nodes({2}));
    EXPECT_FALSE(f.run<Beat>(f.heartbeat(1)).is_fenced);
    EXPECT_EQ(f.partition("t", 0).leader, NodeId(2)) << "nothing was leaderless";
}

TEST_F(ClusterControl, ABrokerWhoseProcessIsGoneIsFencedAtOnceAndMayRegisterAnew) {
    f.brokers(2);
    f.create(f.assigned("t", {{1, 2}}));
    const Instant before = f.now;
    f.now = f.now + milliseconds(100);
    f.run<Beat>(f.heartbeat(1));
    const BrokerEpoch epoch = broker(1).epoch;
    EXPECT_EQ(f.run<Registered>(f.registration(1, 2)).error_code,
              code(ErrorCode::DuplicateBrokerRegistration));
    f.controller.on_broker_gone(f.tick(), NodeId(1), epoch, before, f.out);
    f.carry_out();
    EXPECT_FALSE(broker(1).fenced) << "heard later than that";
    f.controller.on_broker_gone(f.tick(), NodeId(1), epoch, f.now, f.out);
    f.carry_out();
    f.commit_all();
    EXPECT_TRUE(broker(1).fenced);
    EXPECT_EQ(f.partition("t", 0).leader, NodeId(2));
    EXPECT_EQ(f.run<Registered>(f.registration(1, 2)).error_code, code(ErrorCode::None));
}

TEST_F(ClusterControl, OnlyReplicaLeavesAndReturns) {
    f.brokers(1);
    f.create(f.topic("t", 2, 1));
    f.run<Beat>(f.heartbeat(1, true));
    EXPECT_EQ(f.partition("t").leader, kNoNode);
    EXPECT_EQ(f.partition("t").elr, nodes({1}));
    f.run<Beat>(f.heartbeat(1));
    EXPECT_EQ(f.batch_names(),
              "BROKER_REGISTRATION_CHANGE_RECORD PARTITION_CHANGE_RECORD/2 "
              "PARTITION_CHANGE_RECORD/2");
    EXPECT_EQ(f.partition("t").leader, NodeId(1));
    EXPECT_EQ(f.partition("t").isr, nodes({1}));
    EXPECT_TRUE(f.partition("t").elr.empty());
    EXPECT_TRUE(f.partition("t").last_known_elr.empty());
    EXPECT_EQ(f.partition("t").recovery, LeaderRecoveryState::Recovered);
}

TEST_F(ClusterControl, ControlledShutdownWaitsForTheOthers) {
    f.brokers(2);
    f.create(f.assigned("t", {{1, 2}}));
    auto leaving = f.run<Beat>(f.heartbeat(1, false, true));
    EXPECT_FALSE(leaving.should_shut_down);
    EXPECT_EQ(f.partition("t").leader, NodeId(2));
    const Offset left = f.log_end - 1;
    auto behind = f.heartbeat(2);
    behind.current_metadata_offset = left.value - 1;
    f.run<Beat>(behind);
    EXPECT_FALSE(f.run<Beat>(f.heartbeat(1, false, true)).should_shut_down);
    f.run<Beat>(f.heartbeat(2));
    leaving = f.run<Beat>(f.heartbeat(1, false, true));
    EXPECT_TRUE(leaving.should_shut_down);
    EXPECT_TRUE(leaving.is_fenced);
    EXPECT_TRUE(broker(1).fenced);
}

TEST_F(ClusterControl, NoLeadershipsMeansImmediateShutdown) {
    f.brokers(2);
    EXPECT_TRUE(f.run<Beat>(f.heartbeat(2, false, true)).should_shut_down);
    EXPECT_TRUE(broker(2).fenced);
}

TEST_F(ClusterControl, UncleanRestartLosesEligibility) {
    f.brokers(2);
    f.create(f.assigned("t", {{1, 2}}));
    f.run<Beat>(f.heartbeat(2, true));
    f.run<Beat>(f.heartbeat(1, true));
    EXPECT_EQ(f.partition("t").elr, nodes({1}));
    auto request = f.registration(1, 2);
    f.now = f.now + milliseconds(9000);
    request.previous_broker_epoch = broker(1).epoch.value;
    ControllerFixture& clean = f;
    clean.run<Registered>(request);
    EXPECT_EQ(f.partition("t").elr, nodes({1})) << "a clean shutdown keeps its data";
    f.now = f.now + milliseconds(9000);
    f.run<Registered>(f.registration(1, 3));
    EXPECT_TRUE(f.partition("t").elr.empty());
    EXPECT_EQ(f.partition("t").last_known_elr, nodes({1}));
}

TEST_F(ClusterControl, Unregister) {
    f.brokers(2);
    f.create(f.assigned("t", {{1, 2}}));
    wire::UnregisterBrokerRequest request;
    request.broker_id = 9;
    auto response = f.run<wire::UnregisterBrokerResponse>(request);
    EXPECT_EQ(response.error_code, code(ErrorCode::BrokerIdNotRegistered));
    EXPECT_EQ(response.error_message, "Broker ID 9 is not currently registered");
    request.broker_id = 1;
    EXPECT_EQ(f.run<wire::UnregisterBrokerResponse>(request).error_code, 0);
    EXPECT_EQ(f.batch_names(), "PARTITION_CHANGE_RECORD/2 UNREGISTER_BROKER_RECORD");
    EXPECT_EQ(f.partition("t").isr, nodes({2}));
    auto reuse = f.registration(3);
    reuse.log_dirs = {directory(1)};
    EXPECT_EQ(register_with(reuse), ErrorCode::None) << "its directory is free again";
}

TEST_F(ClusterControl, OfflineDirectoryMovesLeaders) {
    auto request = f.registration(1);
    request.log_dirs = {directory(1, 200), directory(1, 201)};
    f.run<Registered>(request);
    f.run<Beat>(f.heartbeat(1));
    f.run<Registered>(f.registration(2));
    f.run<Beat>(f.heartbeat(2));
    f.create(f.assigned("t", {{1, 2}}));
    EXPECT_EQ(f.partition("t").directories[0], kDirectoryUnassigned);
    wire::AssignReplicasToDirsRequest assign;
    assign.broker_id = 1;
    assign.broker_epoch = broker(1).epoch.value;
    auto& data = assign.directories.emplace_back();
    data.id = directory(1, 200);
    auto& topic = data.topics.emplace_back();
    topic.topic_id = f.controller.image().topics.find("t")->id;
    topic.partitions.emplace_back().partition_index = 0;
    topic.partitions.emplace_back().partition_index = 5;
    const auto assigned = f.run<wire::AssignReplicasToDirsResponse>(assign);
    EXPECT_EQ(assigned.directories[0].topics[0].partitions[0].error_code, 0);
    EXPECT_EQ(assigned.directories[0].topics[0].partitions[1].error_code,
              code(ErrorCode::UnknownTopicOrPartition));
    EXPECT_EQ(f.partition("t").directories[0], directory(1, 200));

    auto beat = f.heartbeat(1);
    beat.offline_log_dirs = {directory(1, 200), Uuid{7, 7}};
    f.run<Beat>(beat);
    EXPECT_EQ(f.batch_names(), "PARTITION_CHANGE_RECORD/2 BROKER_REGISTRATION_CHANGE_RECORD/2");
    EXPECT_EQ(f.partition("t").leader, NodeId(2));
    EXPECT_EQ(broker(1).directories, std::vector<Uuid>{directory(1, 201)});
}

TEST_F(ClusterControl, ControllersRegister) {
    wire::ControllerRegistrationRequest request;
    request.controller_id = 7;
    auto& listener = request.listeners.emplace_back();
    listener.name = "CONTROLLER";
    listener.port = 9093;
    EXPECT_EQ(f.run<wire::ControllerRegistrationResponse>(request).error_code, 0);
    EXPECT_EQ(f.controller.image().cluster.controller(NodeId(7))->endpoints[0].port, 9093);
}

TEST_F(ClusterControl, ProducerIdBlocks) {
    f.brokers(1);
    wire::AllocateProducerIdsRequest request;
    request.broker_id = 1;
    request.broker_epoch = broker(1).epoch.value;
    EXPECT_EQ(f.run<wire::AllocateProducerIdsResponse>(request).producer_id_start, 0);
    EXPECT_EQ(f.run<wire::AllocateProducerIdsResponse>(request).producer_id_start, 1000);
    request.broker_epoch += 1;
    EXPECT_EQ(f.run<wire::AllocateProducerIdsResponse>(request).error_code,
              code(ErrorCode::StaleBrokerEpoch));
}

class AlterPartition : public ClusterControl {
  protected:
    void SetUp() override {
        f.lead();
        f.brokers(4);
        f.create(f.assigned("t", {{1, 2, 3}}));
    }
    wire::AlterPartitionRequest request(std::initializer_list<int32_t> isr, int32_t sender = 1) {
        wire::AlterPartitionRequest asked;
        asked.broker_id = sender;
        asked.broker_epoch = broker(sender).epoch.value;
        auto& topic = asked.topics.emplace_back();
        topic.topic_id = f.controller.image().topics.find("t")->id;
        auto& data = topic.partitions.emplace_back();
        data.leader_epoch = f.partition("t").leader_epoch.value;
        data.partition_epoch = f.partition("t").partition_epoch;
        for (int32_t id : isr) {
            auto& state = data.new_isr_with_epochs.emplace_back();
            state.broker_id = id;
            state.broker_epoch = -1;
        }
        return asked;
    }
    wire::AlterPartitionResponse::PartitionData send(const wire::AlterPartitionRequest& asked) {
        const auto response = f.run<wire::AlterPartitionResponse>(asked);
        EXPECT_EQ(response.error_code, 0);
        return response.topics.at(0).partitions.at(0);
    }
    void refused(const wire::AlterPartitionRequest& asked, ErrorCode error) {
        EXPECT_EQ(send(asked).error_code, code(error));
        EXPECT_TRUE(f.last_batch.empty());
    }
};

TEST_F(AlterPartition, FirstRuleThatFailsWins) {
    auto asked = request({1, 2});
    asked.broker_epoch += 1;
    EXPECT_EQ(f.run<wire::AlterPartitionResponse>(asked).error_code,
              code(ErrorCode::StaleBrokerEpoch));
    asked = request({1});
    asked.topics[0].topic_id = {5, 5};
    refused(asked, ErrorCode::UnknownTopicId);
    const auto with = [&](auto change) {
        auto r = request({1, 2});
        change(r.topics[0].partitions[0]);
        return r;
    };
    refused(with([](auto& p) { p.partition_index = 8; }), ErrorCode::UnknownTopicOrPartition);
    refused(with([](auto& p) { p.leader_epoch += 1; }), ErrorCode::NotController);
    refused(with([](auto& p) { p.partition_epoch += 1; }), ErrorCode::NotController);
    refused(with([](auto& p) { p.leader_epoch -= 1; }), ErrorCode::FencedLeaderEpoch);
    refused(request({1, 2}, 2), ErrorCode::InvalidRequest);
    refused(with([](auto& p) { p.partition_epoch -= 1; }), ErrorCode::InvalidUpdateVersion);
    refused(request({1, 4}), ErrorCode::InvalidRequest);
    refused(request({1, 1}), ErrorCode::InvalidRequest);
    refused(request({2, 3}), ErrorCode::InvalidRequest);
    refused(with([](auto& p) { p.leader_recovery_state = 1; }), ErrorCode::InvalidRequest);
    refused(with([](auto& p) { p.leader_recovery_state = 7; }), ErrorCode::InvalidRequest);
    auto epochs = request({1, 2});
    epochs.topics[0].partitions[0].new_isr_with_epochs[1].broker_epoch = 1;
    refused(epochs, ErrorCode::IneligibleReplica);
    f.run<Beat>(f.heartbeat(3, true));
    refused(request({1, 3}), ErrorCode::IneligibleReplica);
}

TEST_F(AlterPartition, ShrinksAndExpands) {
    auto answer = send(request({1}));
    EXPECT_EQ(answer.error_code, 0);
    EXPECT_EQ(answer.isr, (std::vector<int32_t>{1}));
    EXPECT_EQ(answer.partition_epoch, 1);
    EXPECT_EQ(answer.leader_epoch, 0);
    answer = send(request({1, 2, 3}));
    EXPECT_EQ(answer.partition_epoch, 2);
    const auto unchanged = send(request({1, 2, 3}));
    EXPECT_EQ(unchanged.error_code, 0);
    EXPECT_EQ(unchanged.partition_epoch, 2);
    EXPECT_TRUE(f.last_batch.empty());
    auto old_version = request({});
    old_version.topics[0].partitions[0].new_isr = {1, 3};
    EXPECT_EQ(send(old_version).isr, (std::vector<int32_t>{1, 3}));
}

TEST_F(AlterPartition, CompletesAReassignment) {
    wire::AlterPartitionReassignmentsRequest move;
    auto& topic = move.topics.emplace_back();
    topic.name = "t";
    auto& partition = topic.partitions.emplace_back();
    partition.replicas = {{4, 2}};
    auto moved = f.run<wire::AlterPartitionReassignmentsResponse>(move);
    EXPECT_EQ(moved.responses[0].partitions[0].error_code, 0);
    EXPECT_EQ(f.partition("t").replicas, nodes({4, 2, 1, 3}));
    EXPECT_EQ(f.partition("t").adding, nodes({4}));
    EXPECT_EQ(f.partition("t").removing, nodes({1, 3}));
    const auto listed =
        f.run<wire::ListPartitionReassignmentsResponse>(wire::ListPartitionReassignmentsRequest{});
    ASSERT_EQ(listed.topics.size(), 1u);
    EXPECT_EQ(listed.topics[0].partitions[0].replicas, (std::vector<int32_t>{4, 2, 1, 3}));

    const auto answer = send(request({1, 2, 3, 4}));
    EXPECT_EQ(answer.error_code, code(ErrorCode::NewLeaderElected));
    EXPECT_EQ(f.partition("t").replicas, nodes({4, 2}));
    EXPECT_EQ(f.partition("t").leader, NodeId(4));
    EXPECT_FALSE(f.partition("t").is_reassigning());
    EXPECT_TRUE(
        f.run<wire::ListPartitionReassignmentsResponse>(wire::ListPartitionReassignmentsRequest{})
            .topics.empty());
}

TEST_F(AlterPartition, ReassignmentRefusalsAndCancel) {
    const auto move = [&](const char* name, int32_t index,
                          std::optional<std::vector<int32_t>> replicas, bool factor_change = true) {
        wire::AlterPartitionReassignmentsRequest asked;
        asked.allow_replication_factor_change = factor_change;
        auto& topic = asked.topics.emplace_back();
        topic.name = name;
        auto& partition = topic.partitions.emplace_back();
        partition.partition_index = index;
        partition.replicas = std::move(replicas);
        const auto answer = f.run<wire::AlterPartitionReassignmentsResponse>(asked);
        return static_cast<ErrorCode>(answer.responses[0].partitions[0].error_code);
    };
    using Replicas = std::vector<int32_t>;
    EXPECT_EQ(move("u", 0, Replicas{1}), ErrorCode::UnknownTopicOrPartition);
    EXPECT_EQ(move("t", 4, Replicas{1}), ErrorCode::UnknownTopicOrPartition);
    EXPECT_EQ(move("t", 0, Replicas{}), ErrorCode::InvalidReplicaAssignment);
    EXPECT_EQ(move("t", 0, Replicas{1, 9}), ErrorCode::InvalidReplicaAssignment);
    EXPECT_EQ(move("t", 0, Replicas{1, 4}, false), ErrorCode::InvalidReplicationFactor);
    EXPECT_EQ(move("t", 0, std::nullopt), ErrorCode::NoReassignmentInProgress);
    EXPECT_EQ(move("t", 0, Replicas{3, 2, 1}), ErrorCode::None) << "a new order is no move";
    EXPECT_FALSE(f.partition("t").is_reassigning());
    EXPECT_EQ(f.partition("t").replicas, nodes({3, 2, 1}));
    EXPECT_EQ(move("t", 0, Replicas{4, 2, 1}), ErrorCode::None);
    EXPECT_TRUE(f.partition("t").is_reassigning());
    EXPECT_EQ(move("t", 0, std::nullopt), ErrorCode::None);
    EXPECT_EQ(f.partition("t").replicas, nodes({2, 1, 3}));
    EXPECT_FALSE(f.partition("t").is_reassigning());
}

TEST_F(AlterPartition, Elections) {
    const auto elect = [&](int8_t type, std::optional<int32_t> index) {
        wire::ElectLeadersRequest asked;
        asked.election_type = type;
        asked.topic_partitions = std::nullopt;
        if (index) {
            asked.topic_partitions.emplace();
            auto& topic = asked.topic_partitions->emplace_back();
            topic.topic = "t";
            topic.partitions = {*index};
        }
        return f.run<wire::ElectLeadersResponse>(asked);
    };
    const auto first = [](const wire::ElectLeadersResponse& response) {
        return static_cast<ErrorCode>(
            response.replica_election_results.at(0).partition_result.at(0).error_code);
    };
    EXPECT_EQ(first(elect(0, 0)), ErrorCode::ElectionNotNeeded);
    EXPECT_EQ(first(elect(1, 0)), ErrorCode::ElectionNotNeeded);
    EXPECT_EQ(first(elect(0, 3)), ErrorCode::UnknownTopicOrPartition);
    EXPECT_EQ(elect(5, 0).error_code, code(ErrorCode::InvalidRequest));
    EXPECT_TRUE(elect(0, std::nullopt).replica_election_results.at(0).partition_result.empty());
    f.run<Beat>(f.heartbeat(1, true));
    EXPECT_EQ(f.partition("t").leader, NodeId(2));
    EXPECT_EQ(first(elect(0, 0)), ErrorCode::PreferredLeaderNotAvailable);
    f.run<Beat>(f.heartbeat(1));
    send(request({2, 3, 1}, 2));
    EXPECT_EQ(first(elect(0, std::nullopt)), ErrorCode::None);
    EXPECT_EQ(f.partition("t").leader, NodeId(1));
}

TEST_F(AlterPartition, BalancingGivesLeadershipBack) {
    ControllerOptions options = ControllerFixture::default_options();
    options.leader_rebalance = true;
    options.leader_rebalance_interval = seconds(5);
    ControllerFixture g(options);
    g.lead();
    g.brokers(2);
    g.create(g.assigned("t", {{1, 2}}));
    g.run<Beat>(g.heartbeat(1, true));
    g.run<Beat>(g.heartbeat(1));
    wire::AlterPartitionRequest back;
    back.broker_id = 2;
    back.broker_epoch = g.controller.image().cluster.broker(NodeId(2))->epoch.value;
    auto& topic = back.topics.emplace_back();
    topic.topic_id = g.controller.image().topics.find("t")->id;
    auto& data = topic.partitions.emplace_back();
    data.leader_epoch = g.partition("t").leader_epoch.value;
    data.partition_epoch = g.partition("t").partition_epoch;
    for (int32_t id : {2, 1}) {
        auto& state = data.new_isr_with_epochs.emplace_back();
        state.broker_id = id;
        state.broker_epoch = -1;
    }
    g.run<wire::AlterPartitionResponse>(back);
    EXPECT_EQ(g.partition("t").leader, NodeId(2));
    g.pass(seconds(5));
    EXPECT_EQ(g.partition("t").leader, NodeId(1));
}

}  // namespace
}  // namespace millrace::metadata
