// tests/unit/metadata/reassignment_test.cc: transcripts of running moves: cancel, override, delete, failover.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include "controller_fixture.h"
#include "metadata/wire_nodes.h"

namespace millrace::metadata {
namespace {

/// "4,2,1 isr 2,1 leader 1 +4 -1": one line for one partition.
std::string line(const PartitionImage& partition) {
    const auto list = [](const std::vector<NodeId>& nodes) {
        return fmt::format("{}", fmt::join(to_numbers(nodes), ","));
    };
    std::string text = fmt::format("{} isr {} leader {}", list(partition.replicas),
                                   list(partition.isr), partition.leader.value);
    if (!partition.adding.empty()) text += " +" + list(partition.adding);
    if (!partition.removing.empty()) text += " -" + list(partition.removing);
    return text;
}

class Reassignment : public ::testing::Test {
  protected:
    void SetUp() override {
        f.lead();
        f.brokers(6);
        f.create(f.assigned("t", {{1, 2, 3}, {2, 3, 1}}));
    }
    using Replicas = std::optional<std::vector<int32_t>>;

    /// What a client is told, then the partition: "NONE | 1,2,3 isr ..."
    std::string move(Replicas replicas, const std::string& topic = "t", int32_t index = 0) {
        wire::AlterPartitionReassignmentsRequest request;
        auto& asked = request.topics.emplace_back();
        asked.name = topic;
        auto& partition = asked.partitions.emplace_back();
        partition.partition_index = index;
        partition.replicas = std::move(replicas);
        const auto response = f.run<wire::AlterPartitionReassignmentsResponse>(request);
        const auto& answer = response.responses.at(0).partitions.at(0);
        return fmt::format("{} {} | {}",
                           error_code_name(static_cast<ErrorCode>(answer.error_code)),
                           answer.error_message.value_or("-"), line(f.partition("t")));
    }
    /// The leader's proposal.
    std::string in_sync(const std::vector<int32_t>& isr) {
        const PartitionImage& partition = f.partition("t");
        wire::AlterPartitionRequest request;
        request.broker_id = partition.leader.value;
        request.broker_epoch = f.controller.image().cluster.broker(partition.leader)->epoch.value;
        auto& topic = request.topics.emplace_back();
        topic.topic_id = f.controller.image().topics.find("t")->id;
        auto& data = topic.partitions.emplace_back();
        data.leader_epoch = partition.leader_epoch.value;
        data.partition_epoch = partition.partition_epoch;
        for (const int32_t id : isr) {
            auto& state = data.new_isr_with_epochs.emplace_back();
            state.broker_id = id;
            state.broker_epoch = -1;
        }
        const auto response = f.run<wire::AlterPartitionResponse>(request);
        const auto error =
            static_cast<ErrorCode>(response.topics.at(0).partitions.at(0).error_code);
        return fmt::format("{} | {}", error_code_name(error), line(f.partition("t")));
    }
    size_t listed() {
        const auto response = f.run<wire::ListPartitionReassignmentsResponse>(
            wire::ListPartitionReassignmentsRequest{});
        size_t count = 0;
        for (const auto& topic : response.topics) count += topic.partitions.size();
        return count;
    }

    ControllerFixture f;
};

TEST_F(Reassignment, CompletesWhenWhatIsAddedIsInSync) {
    EXPECT_EQ(move({{4, 5, 3}}), "NONE - | 4,5,3,1,2 isr 1,2,3 leader 1 +4,5 -1,2");
    EXPECT_EQ(listed(), 1U);
    EXPECT_EQ(in_sync({1, 2, 3, 4}), "NONE | 4,5,3,1,2 isr 1,2,3,4 leader 1 +4,5 -1,2");
    // A lagging replica that merely stays (3) does not hold up a move (since 4.3).
    EXPECT_EQ(in_sync({1, 2, 4, 5}), "NEW_LEADER_ELECTED | 4,5,3 isr 4,5 leader 4");
    EXPECT_EQ(listed(), 0U);
}

TEST_F(Reassignment, ShrinkingWaitsForThoseWhoStay) {
    EXPECT_EQ(in_sync({1, 2}), "NONE | 1,2,3 isr 1,2 leader 1");
    EXPECT_EQ(move({{3}}), "NONE - | 3,1,2 isr 1,2 leader 1 -1,2");
    EXPECT_EQ(in_sync({1, 2, 3}), "NEW_LEADER_ELECTED | 3 isr 3 leader 3");
}

TEST_F(Reassignment, ShrinkingByThoseInSyncIsDoneAtOnce) {
    EXPECT_EQ(move({{1, 2}}), "NONE - | 1,2 isr 1,2 leader 1");
    EXPECT_EQ(f.partition("t").leader_epoch, LeaderEpoch(1)) << "readers of the old set are fenced";
}

TEST_F(Reassignment, CancelGoesBack) {
    EXPECT_EQ(move(std::nullopt), "NO_REASSIGNMENT_IN_PROGRESS - | 1,2,3 isr 1,2,3 leader 1");
    EXPECT_EQ(move({{4, 2, 1}}), "NONE - | 4,2,1,3 isr 1,2,3 leader 1 +4 -3");
    EXPECT_EQ(move(std::nullopt), "NONE - | 2,1,3 isr 1,2,3 leader 1");
    EXPECT_EQ(listed(), 0U);
}

TEST_F(Reassignment, CancelThatWouldLoseRecordsIsRefused) {
    EXPECT_EQ(move({{4, 5}}), "NONE - | 4,5,1,2,3 isr 1,2,3 leader 1 +4,5 -1,2,3");
    EXPECT_EQ(in_sync({1, 4}), "NONE | 4,5,1,2,3 isr 1,4 leader 1 +4,5 -1,2,3");
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(1, true));
    EXPECT_EQ(line(f.partition("t")), "4,5,1,2,3 isr 4 leader 4 +4,5 -1,2,3");
    EXPECT_EQ(move(std::nullopt),
              "INVALID_REPLICA_ASSIGNMENT Unable to revert partition assignment for t:0 because it "
              "would require an unclean leader election. | 4,5,1,2,3 isr 4 leader 4 +4,5 -1,2,3");
}

TEST_F(Reassignment, AnotherTargetOverridesTheRunningOne) {
    EXPECT_EQ(move({{4, 2, 3}}), "NONE - | 4,2,3,1 isr 1,2,3 leader 1 +4 -1");
    EXPECT_EQ(move({{5, 4, 3}}), "NONE - | 5,4,3,1,2 isr 1,2,3 leader 1 +4,5 -1,2");
    EXPECT_EQ(move({{5, 2, 3}}), "NONE - | 5,2,3,1 isr 1,2,3 leader 1 +5 -1");
    EXPECT_EQ(in_sync({1, 2, 3, 5}), "NEW_LEADER_ELECTED | 5,2,3 isr 2,3,5 leader 5");
    // Asking for what was there before ends the move.
    EXPECT_EQ(move({{6, 2, 3}}), "NONE - | 6,2,3,5 isr 2,3,5 leader 5 +6 -5");
    EXPECT_EQ(move({{5, 2, 3}}), "NONE - | 5,2,3 isr 2,3,5 leader 5");
    EXPECT_EQ(listed(), 0U);
}

TEST_F(Reassignment, CancelAfterAnOverrideKeepsTheReplicationFactor) {
    EXPECT_EQ(move({{4, 2, 3}}), "NONE - | 4,2,3,1 isr 1,2,3 leader 1 +4 -1");
    EXPECT_EQ(move({{4, 5, 3}}), "NONE - | 4,5,3,1,2 isr 1,2,3 leader 1 +4,5 -1,2");
    EXPECT_EQ(in_sync({1, 2, 3, 4}), "NONE | 4,5,3,1,2 isr 1,2,3,4 leader 1 +4,5 -1,2");
    EXPECT_EQ(move(std::nullopt), "NONE - | 3,1,2 isr 1,2,3 leader 1");
}

TEST_F(Reassignment, WhatAnOverrideGivesUpStaysWhileTheIsrNeedsIt) {
    EXPECT_EQ(move({{4, 5, 6}}), "NONE - | 4,5,6,1,2,3 isr 1,2,3 leader 1 +4,5,6 -1,2,3");
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(2, true));
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(3, true));
    EXPECT_EQ(in_sync({1, 4}), "NONE | 4,5,6,1,2,3 isr 1,4 leader 1 +4,5,6 -1,2,3");
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(1, true));
    EXPECT_EQ(move({{5, 2, 3}}), "NONE - | 5,2,3,1,4,6 isr 4 leader 4 +5 -1,4,6");
    EXPECT_EQ(in_sync({4, 5}), "NONE | 5,2,3,1,4,6 isr 4,5 leader 4 +5 -1,4,6");
}

TEST_F(Reassignment, ATopicDeletedInMidMoveIsNotListed) {
    EXPECT_EQ(move({{4, 5, 6}}), "NONE - | 4,5,6,1,2,3 isr 1,2,3 leader 1 +4,5,6 -1,2,3");
    wire::DeleteTopicsRequest request;
    request.topics.emplace_back().name = "t";
    EXPECT_EQ(f.run<wire::DeleteTopicsResponse>(request).responses.at(0).error_code, 0);
    EXPECT_EQ(listed(), 0U);
    f.create(f.assigned("t", {{1, 2, 3}}));
    EXPECT_EQ(line(f.partition("t")), "1,2,3 isr 1,2,3 leader 1");
}

TEST_F(Reassignment, ADeadTargetHoldsTheMoveOpenAndBlocksNobody) {
    EXPECT_EQ(move({{1, 2, 4}}), "NONE - | 1,2,4,3 isr 1,2,3 leader 1 +4 -3");
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(4, true));
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(1, true));
    EXPECT_EQ(line(f.partition("t")), "1,2,4,3 isr 2,3 leader 2 +4 -3");
    EXPECT_EQ(in_sync({2, 3, 4}), "INELIGIBLE_REPLICA | 1,2,4,3 isr 2,3 leader 2 +4 -3");
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(4));
    EXPECT_EQ(in_sync({2, 3, 4}), "NONE | 1,2,4 isr 2,4 leader 2");
}

TEST_F(Reassignment, TheNextControllerCompletesIt) {
    EXPECT_EQ(move({{4, 2, 3}}), "NONE - | 4,2,3,1 isr 1,2,3 leader 1 +4 -1");
    f.controller.on_resign(f.tick(), f.out);
    f.carry_out();
    f.lead(2);
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(1));
    EXPECT_EQ(listed(), 1U);
    EXPECT_EQ(in_sync({1, 2, 3, 4}), "NEW_LEADER_ELECTED | 4,2,3 isr 2,3,4 leader 4");
}

}  // namespace
}  // namespace millrace::metadata
