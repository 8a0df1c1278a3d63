// tests/unit/broker/coordinator_host_test.cc: which partition coordinates a key; commits of offsets
// that linger.
#include "millrace/broker/coordinator_host.h"

#include <gtest/gtest.h>

#include <map>

#include "unit/broker/node_world.h"

namespace millrace::broker {
namespace {

void add_partitions(NodeWorld& w, const std::string& topic, int32_t count) {
    wire::CreatePartitionsRequest request;
    request.timeout_ms = 1000;
    auto& entry = request.topics.emplace_back();
    entry.name = topic;
    entry.count = count;
    entry.assignments.reset();
    int16_t error = -1;
    w.node->shard().controller().run(
        std::move(request), {}, Reply<metadata::ControllerResponse>([&](auto response) {
            error = std::get<wire::CreatePartitionsResponse>(response).results.at(0).error_code;
        }));
    w.run(seconds(1));
    ASSERT_EQ(error, 0);
    ASSERT_EQ(w.node->shard().image().topics.find(topic)->partitions.size(),
              static_cast<size_t>(count));
}

TEST(CoordinatorHost, PartitionsAddedToAnInternalTopicMoveNoKeyOfARunningNode) {
    const std::pair<CoordinatorKind, const char*> kTable[] = {
        {CoordinatorKind::Group, kOffsetsTopic},
        {CoordinatorKind::Transaction, kTransactionsTopic},
    };
    for (const auto& [kind, topic] : kTable) {
        NodeWorld w;
        w.settings["offsets.topic.num.partitions"] = "5";
        w.settings["transaction.state.log.num.partitions"] = "5";
        w.start();
        const auto at = [&, kind = kind](const char* key) {
            return w.node->shard().coordinators().partition_of(kind, key);
        };
        const auto by = [](const char* key, int32_t count) {
            return PartitionIndex(coordinator::coordinator_partition(key, count));
        };
        const char* const kKeys[] = {"a", "b", "c", "orders", "payments"};
        for (const char* key : kKeys) EXPECT_EQ(at(key), by(key, 5)) << "before the topic";
        w.create_topic(topic, 3, {});
        for (const char* key : kKeys) EXPECT_EQ(at(key), by(key, 3)) << "as it was made";
        add_partitions(w, topic, 7);
        for (const char* key : kKeys) EXPECT_EQ(at(key), by(key, 3)) << "while the node runs";
        w.stop();
        w.start();
        for (const char* key : kKeys) EXPECT_EQ(at(key), by(key, 7)) << "after a restart";
        w.stop();
    }
}

/// One node with one partition of __consumer_offsets, whose coordinator gathers.
class LingeringCommits : public testing::Test {
  protected:
    void start(const char* linger_ms, const char* message_bytes_max) {
        w.settings["offsets.topic.num.partitions"] = "1";
        w.settings["group.coordinator.append.linger.ms"] = linger_ms;
        w.settings["message.max.bytes"] = message_bytes_max;
        w.start();
        w.create_topic(kOffsetsTopic, 1, {});
        ASSERT_EQ(w.node->shard().coordinators().group_partitions().size(), 1u);
    }
    void ask(coordinator::GroupRequest request, MoveFunction<void(coordinator::GroupResponse)> on) {
        w.node->shard().coordinators().run_group(
            PartitionIndex(0),
            [request = std::move(request)](auto& machine, const auto& tick, auto id, auto& out) {
                machine.run(tick, id, {9, "c", "/127.0.0.1"}, request, out);
            },
            Reply<coordinator::GroupResponse>(std::move(on)));
    }
    /// `count` groups commit `offset` each; their answers go into `answers`.
    void commit(int first, int count, int64_t offset) {
        for (int i = first; i < first + count; ++i) {
            wire::OffsetCommitRequest request;
            request.group_id = "g" + std::to_string(i);
            auto& topic = request.topics.emplace_back();
            topic.name = "t";
            topic.partitions.emplace_back().committed_offset = offset;
            ask(std::move(request), [this, i](coordinator::GroupResponse response) {
                const auto& answer = std::get<wire::OffsetCommitResponse>(response);
                answers[i] = answer.topics.at(0).partitions.at(0).error_code;
            });
        }
    }
    int64_t committed(int group) {
        wire::OffsetFetchRequest request;
        auto& asked = request.groups.emplace_back();
        asked.group_id = "g" + std::to_string(group);
        asked.topics->emplace_back().name = "t";
        asked.topics->front().partition_indexes = {0};
        int64_t offset = -2;
        ask(std::move(request), [&](coordinator::GroupResponse response) {
            const auto& answer = std::get<wire::OffsetFetchResponse>(response).groups.at(0);
            if (answer.error_code != 0) return;
            offset = answer.topics.at(0).partitions.at(0).committed_offset;
        });
        w.run(milliseconds(10));
        return offset;
    }
    /// What a client may do who says that it is an admin client.
    void write_foreign(int count) {
        const std::string key("\0\x63", 2);  // a kind of record that nobody knows
        for (int i = 0; i < count; ++i) {
            ASSERT_EQ(w.produce(*w.partition(kOffsetsTopic, 0), key, "x"), ErrorCode::None);
        }
    }
    std::map<int16_t, int> by_error() const {
        std::map<int16_t, int> counts;
        for (const auto& [group, error] : answers) ++counts[error];
        return counts;
    }
    using Counts = std::map<int16_t, int>;
    static constexpr auto kNotCoordinator = static_cast<int16_t>(ErrorCode::NotCoordinator);

    static constexpr auto kLoading = static_cast<int16_t>(ErrorCode::CoordinatorLoadInProgress);

    NodeWorld w;
    std::map<int, int16_t> answers;  // by group
};

TEST_F(LingeringCommits, ForeignRecordsUnderThemAcknowledgeNothing) {
    start("2000", "1048588");
    commit(0, 1, 5);
    w.run(seconds(3));
    EXPECT_EQ(by_error(), (Counts{{0, 1}}));
    answers.clear();
    commit(0, 1, 6);
    write_foreign(1);
    w.run(seconds(1));
    EXPECT_TRUE(answers.empty());
    EXPECT_EQ(committed(0), 5);
    w.run(seconds(2));
    EXPECT_EQ(by_error(), (Counts{{kNotCoordinator, 1}}));
    commit(0, 1, 7);
    w.run(seconds(3));
    EXPECT_EQ(by_error(), (Counts{{0, 1}}));
    EXPECT_EQ(committed(0), 7);
}

TEST_F(LingeringCommits, ForeignRecordsBetweenSmallBatchesOnlyMakeClientsAskAgain) {
    start("500", "1500");
    commit(0, 30, 5);
    write_foreign(40);
    commit(30, 30, 5);
    w.run(seconds(2));
    ASSERT_EQ(answers.size(), 60u);
    for (int i = 0; i < 60; ++i) {
        if (answers[i] == 0) {
            EXPECT_EQ(committed(i), 5) << i;
        } else {
            EXPECT_TRUE(answers[i] == kNotCoordinator || answers[i] == kLoading) << answers[i];
        }
    }
    EXPECT_GT(by_error()[0], 0);
    EXPECT_GT(by_error()[kNotCoordinator], 0);
    answers.clear();
    commit(0, 60, 6);
    w.run(seconds(2));
    EXPECT_EQ(by_error(), (Counts{{0, 60}}));
    w.stop();
    w.start();
    for (int i = 0; i < 60; ++i) EXPECT_EQ(committed(i), 6) << i;
}

TEST_F(LingeringCommits, AreRefusedAndNotWrittenWhenTheNodeStops) {
    start("500", "1048588");
    commit(0, 1, 5);
    w.run(seconds(1));
    answers.clear();
    commit(0, 2, 6);
    w.stop();
    EXPECT_EQ(by_error(), (Counts{{kNotCoordinator, 2}}));
    w.start();
    EXPECT_EQ(committed(0), 5);
    EXPECT_EQ(committed(1), -1);
}

TEST_F(LingeringCommits, AreGatheredUpToWhatTheTopicTakesNow) {
    start("500", "1500");
    commit(0, 60, 5);
    w.run(seconds(1));
    EXPECT_EQ(by_error(), (Counts{{0, 60}}));
    wire::IncrementalAlterConfigsRequest request;
    auto& resource = request.resources.emplace_back();
    resource.resource_type = 2;
    resource.resource_name = kOffsetsTopic;
    auto& config = resource.configs.emplace_back();
    config.name = "max.message.bytes";
    config.value = "300";
    w.node->shard().controller().run(std::move(request), {},
                                     Reply<metadata::ControllerResponse>([](const auto&) {}));
    w.run(seconds(1));
    answers.clear();
    commit(0, 60, 6);
    w.run(seconds(1));
    EXPECT_EQ(by_error(), (Counts{{0, 60}}));
}

}  // namespace
}  // namespace millrace::broker
