// tests/unit/metadata/topic_control_test.cc: checks of topic commands in order, and their records.
#include <gtest/gtest.h>

#include <set>

#include "unit/metadata/controller_fixture.h"

namespace millrace::metadata {
namespace {

int16_t code(ErrorCode error) { return static_cast<int16_t>(error); }

class TopicControl : public testing::Test {
  protected:
    void SetUp() override {
        f.lead();
        f.brokers(3);
    }
    void expect_refused(wire::CreateTopicsRequest request, ErrorCode error,
                        const std::string& message) {
        const auto result = f.create(std::move(request));
        EXPECT_EQ(result.error_code, code(error)) << message;
        EXPECT_EQ(result.error_message, message);
        EXPECT_TRUE(result.topic_id.is_zero());
        EXPECT_EQ(result.num_partitions, -1);
        EXPECT_TRUE(f.last_batch.empty());
    }
    wire::CreateTopicsRequest configured(const char* key, std::optional<std::string> value) {
        auto request = f.topic("t", 1, 1);
        auto& config = request.topics[0].configs.emplace_back();
        config.name = key;
        config.value = std::move(value);
        return request;
    }
    ControllerFixture f;
};

TEST_F(TopicControl, Names) {
    const std::string invalid = "Topic name is invalid: ";
    expect_refused(f.topic("", 1, 1), ErrorCode::InvalidTopicException,
                   invalid + "the empty string is not allowed");
    expect_refused(f.topic(".", 1, 1), ErrorCode::InvalidTopicException,
                   invalid + "'.' is not allowed");
    expect_refused(f.topic("..", 1, 1), ErrorCode::InvalidTopicException,
                   invalid + "'..' is not allowed");
    const std::string too_long(250, 'x');
    expect_refused(
        f.topic(too_long, 1, 1), ErrorCode::InvalidTopicException,
        invalid + "the length of '" + too_long + "' is longer than the max allowed length 249");
    expect_refused(f.topic("a b", 1, 1), ErrorCode::InvalidTopicException,
                   invalid +
                       "'a b' contains one or more characters other than ASCII "
                       "alphanumerics, '.', '_' and '-'");
    EXPECT_EQ(f.create(f.topic("a.b", 1, 1)).error_code, 0);
    expect_refused(f.topic("a_b", 1, 1), ErrorCode::InvalidTopicException,
                   "Topic 'a_b' collides with existing topic: a.b");
    expect_refused(f.topic("a.b", 1, 1), ErrorCode::TopicAlreadyExists,
                   "Topic 'a.b' already exists.");
    expect_refused(f.topic("__cluster_metadata", 1, 1), ErrorCode::InvalidRequest,
                   "Creation of internal topic __cluster_metadata is prohibited.");
    wire::DeleteTopicsRequest remove;
    remove.topics.emplace_back().name = "a.b";
    f.run<wire::DeleteTopicsResponse>(remove);
    EXPECT_EQ(f.create(f.topic("a_b", 1, 1)).error_code, 0) << "the name is free again";
}

TEST_F(TopicControl, Counts) {
    expect_refused(f.topic("t", 0, 1), ErrorCode::InvalidPartitions,
                   "Number of partitions was set to an invalid non-positive value.");
    expect_refused(f.topic("t", 1, 0), ErrorCode::InvalidReplicationFactor,
                   "Replication factor must be larger than 0, or -1 to use the default value.");
    expect_refused(f.topic("t", 1, 4), ErrorCode::InvalidReplicationFactor,
                   "Unable to replicate the partition 4 time(s): The target replication factor of "
                   "4 cannot be reached because only 3 broker(s) are registered or some brokers "
                   "have all their log directories cordoned.");
    expect_refused(f.topic("t", 10'001, 1), ErrorCode::PolicyViolation,
                   "Excessively large number of partitions per request.");
    const auto defaults = f.create(f.topic("t", -1, -1));
    EXPECT_EQ(defaults.num_partitions, 1);
    EXPECT_EQ(defaults.replication_factor, 1);
}

TEST_F(TopicControl, Configs) {
    expect_refused(configured("retention.ms", std::nullopt), ErrorCode::InvalidConfig,
                   "Null value not supported for topic configs: retention.ms");
    expect_refused(configured("foo", "1"), ErrorCode::InvalidConfig,
                   "Unknown topic config name: foo");
    const auto result = f.create(configured("min.insync.replicas", "2"));
    EXPECT_EQ(result.error_code, 0);
    EXPECT_EQ(f.batch_names(), "TOPIC_RECORD CONFIG_RECORD CLEAR_ELR_RECORD PARTITION_RECORD/2");
    ASSERT_TRUE(result.configs.has_value());
    EXPECT_GT(result.configs->size(), 30u);
    for (const auto& config : *result.configs) {
        EXPECT_EQ(config.config_source, config.name == "min.insync.replicas" ? 1 : 5);
    }
}

TEST_F(TopicControl, ManualAssignments) {
    auto factor = f.assigned("t", {{1}});
    factor.topics[0].replication_factor = 1;
    expect_refused(factor, ErrorCode::InvalidRequest,
                   "A manual partition assignment was specified, but replication factor was not "
                   "set to -1.");
    auto count = f.assigned("t", {{1}});
    count.topics[0].num_partitions = 1;
    expect_refused(count, ErrorCode::InvalidRequest,
                   "A manual partition assignment was specified, but numPartitions was not set to "
                   "-1.");
    auto twice = f.assigned("t", {{1}, {2}});
    twice.topics[0].assignments[1].partition_index = 0;
    expect_refused(twice, ErrorCode::InvalidReplicaAssignment,
                   "Found multiple manual partition assignments for partition 0");
    auto gap = f.assigned("t", {{1}, {2}});
    gap.topics[0].assignments[1].partition_index = 2;
    expect_refused(gap, ErrorCode::InvalidReplicaAssignment,
                   "partitions should be a consecutive 0-based integer sequence");
    const std::string the = "The manual partition assignment includes ";
    expect_refused(f.assigned("t", {{}}), ErrorCode::InvalidReplicaAssignment,
                   the + "an empty replica list.");
    expect_refused(f.assigned("t", {{1, 9}}), ErrorCode::InvalidReplicaAssignment,
                   the + "broker 9, but no such broker is registered.");
    expect_refused(f.assigned("t", {{2, 2}}), ErrorCode::InvalidReplicaAssignment,
                   the + "the broker 2 more than once.");
    expect_refused(f.assigned("t", {{1, 2}, {3}}), ErrorCode::InvalidReplicaAssignment,
                   the +
                       "a partition with 1 replica(s), but this is not consistent with previous "
                       "partitions, which have 2 replica(s).");
    EXPECT_EQ(f.create(f.assigned("t", {{3, 1}, {2, 3}})).error_code, 0);
    EXPECT_EQ(f.partition("t", 0).leader, NodeId(3));
    EXPECT_EQ(f.partition("t", 1).directories, (std::vector<Uuid>{directory(2), directory(3)}));
}

TEST_F(TopicControl, FencedBrokersStayOutOfTheIsr) {
    f.run<wire::BrokerHeartbeatResponse>(f.heartbeat(3, true));
    expect_refused(f.assigned("t", {{3}}), ErrorCode::InvalidReplicaAssignment,
                   "All brokers specified in the manual partition assignment for partition 0 are "
                   "fenced or in controlled shutdown.");
    EXPECT_EQ(f.create(f.assigned("t", {{3, 1, 2}})).error_code, 0);
    EXPECT_EQ(f.partition("t").isr, (std::vector<NodeId>{NodeId(1), NodeId(2)}));
    EXPECT_EQ(f.partition("t").leader, NodeId(1));
    EXPECT_EQ(f.create(f.topic("placed", 4, 3)).error_code, 0);
    for (int32_t i = 0; i < 4; ++i)
        EXPECT_NE(f.partition("placed", i).replicas[0], NodeId(3));
}

TEST_F(TopicControl, RequestWithSeveralTopics) {
    auto request = f.topic("a", 1, 1);
    request.topics.push_back(f.topic("twice", 1, 1).topics[0]);
    request.topics.push_back(f.topic("bad name", 1, 1).topics[0]);
    request.topics.push_back(f.topic("twice", 1, 1).topics[0]);
    const auto response = f.run<wire::CreateTopicsResponse>(request);
    ASSERT_EQ(response.topics.size(), 3u);
    EXPECT_EQ(response.topics[0].error_code, 0);
    EXPECT_EQ(response.topics[1].error_message, "Duplicate topic name.");
    EXPECT_EQ(response.topics[2].error_code, code(ErrorCode::InvalidTopicException));
    EXPECT_EQ(f.batch_names(), "TOPIC_RECORD PARTITION_RECORD/2");
}

TEST_F(TopicControl, ValidateOnlyWritesNothing) {
    auto request = f.topic("t", 2, 3);
    request.validate_only = true;
    const auto result = f.create(request);
    EXPECT_EQ(result.error_code, 0);
    EXPECT_FALSE(result.topic_id.is_zero());
    EXPECT_EQ(result.num_partitions, 2);
    EXPECT_TRUE(f.last_batch.empty());
    EXPECT_EQ(f.controller.image().topics.find("t"), nullptr);
}

TEST_F(TopicControl, Delete) {
    f.create(f.topic("a", 1, 1));
    f.create(f.topic("b", 1, 1));
    f.create(f.topic("c", 1, 1));
    f.create(f.topic("d", 1, 1));
    const Uuid d = f.controller.image().topics.find("d")->id;
    const Uuid b = f.controller.image().topics.find("b")->id;
    const Uuid c = f.controller.image().topics.find("c")->id;
    wire::DeleteTopicsRequest request;
    const auto add = [&](std::optional<std::string> name, Uuid id) {
        auto& topic = request.topics.emplace_back();
        topic.name = std::move(name);
        topic.topic_id = id;
    };
    add("a", {});
    add(std::nullopt, b);
    add("a.unknown", {});
    add(std::nullopt, Uuid{4, 4});
    add(std::nullopt, {});
    add("c", c);
    add("d", {});
    add(std::nullopt, d);
    add("x", {});
    add("x", {});
    const auto response = f.run<wire::DeleteTopicsResponse>(request);
    std::map<std::string, std::pair<int16_t, std::string>> by;
    for (const auto& r : response.responses) {
        by[r.name.value_or("-") + r.topic_id.to_string()] = {r.error_code,
                                                             r.error_message.value_or("null")};
    }
    const std::string zero = Uuid{}.to_string();
    const std::string unknown = Uuid{4, 4}.to_string();
    EXPECT_EQ(response.responses.size(), 8u);
    EXPECT_EQ(by.size(), 8u);
    EXPECT_EQ(by["-" + unknown].first, code(ErrorCode::UnknownTopicId));
    EXPECT_EQ(by["-" + zero].second, "Neither topic name nor id were specified.");
    EXPECT_EQ(by["c" + c.to_string()].second, "You may not specify both topic name and topic id.");
    EXPECT_EQ(by["a.unknown" + zero].first, code(ErrorCode::UnknownTopicOrPartition));
    EXPECT_EQ(by["d" + d.to_string()].second,
              "The provided topic name maps to an ID that was already supplied.");
    EXPECT_EQ(by["x" + zero].second, "Duplicate topic name.");
    EXPECT_EQ(f.batch_names(), "REMOVE_TOPIC_RECORD REMOVE_TOPIC_RECORD");
    EXPECT_EQ(f.controller.image().topics.ids_by_name.size(), 2u);
}

TEST_F(TopicControl, DeletionDisabled) {
    ControllerOptions options = ControllerFixture::default_options();
    options.delete_topic_enable = false;
    ControllerFixture off(options);
    off.lead();
    wire::DeleteTopicsRequest request;
    request.topic_names = {"a"};
    const auto response = off.run<wire::DeleteTopicsResponse>(request);
    EXPECT_EQ(response.responses.at(0).error_code, code(ErrorCode::TopicDeletionDisabled));
}

TEST_F(TopicControl, CreatePartitions) {
    f.create(f.topic("t", 2, 3));
    const auto grow = [&](const char* name, int32_t count,
                          std::optional<std::vector<std::vector<int32_t>>> assignments =
                              std::nullopt) {
        wire::CreatePartitionsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = name;
        topic.count = count;
        topic.assignments = std::nullopt;
        if (assignments) {
            topic.assignments.emplace();
            for (const auto& replicas : *assignments) {
                topic.assignments->emplace_back().broker_ids = replicas;
            }
        }
        const auto result = f.run<wire::CreatePartitionsResponse>(request).results.at(0);
        return std::pair(result.error_code, result.error_message.value_or("null"));
    };
    using Result = std::pair<int16_t, std::string>;
    EXPECT_EQ(grow("u", 3), (Result{3, "null"}));
    EXPECT_EQ(grow("t", 2), (Result{37, "Topic already has 2 partition(s)."}));
    EXPECT_EQ(grow("t", 1), (Result{37,
                                    "The topic t currently has 2 partition(s); 1 would not be "
                                    "an increase."}));
    EXPECT_EQ(grow("t", 4, {{{1, 2, 3}}}),
              (Result{39,
                      "Attempted to add 2 additional partition(s), but only 1 assignment(s) "
                      "were specified."}));
    EXPECT_EQ(grow("t", 3, {{{1, 2}}}).first, 39);
    EXPECT_TRUE(f.last_batch.empty());
    EXPECT_EQ(grow("t", 4, {{{3, 2, 1}, {2, 1, 3}}}), (Result{0, "null"}));
    EXPECT_EQ(f.batch_names(), "PARTITION_RECORD/2 PARTITION_RECORD/2");
    EXPECT_EQ(f.partition("t", 2).leader, NodeId(3));
    EXPECT_EQ(grow("t", 10), (Result{0, "null"}));
    EXPECT_EQ(f.partition("t", 9).replicas.size(), 3u);
}

TEST_F(TopicControl, PlacementSpreadsLeadersAndRacks) {
    ControllerFixture racks;
    racks.lead();
    for (int32_t id = 1; id <= 6; ++id) {
        auto request = racks.registration(id);
        request.rack = id % 2 == 0 ? "even" : "odd";
        racks.run<wire::BrokerRegistrationResponse>(request);
        racks.run<wire::BrokerHeartbeatResponse>(racks.heartbeat(id));
    }
    racks.create(racks.topic("t", 12, 2));
    std::map<NodeId, int> led;
    for (int32_t i = 0; i < 12; ++i) {
        const PartitionImage& partition = racks.partition("t", i);
        ++led[partition.leader];
        const auto& cluster = racks.controller.image().cluster;
        EXPECT_NE(cluster.broker(partition.replicas[0])->rack,
                  cluster.broker(partition.replicas[1])->rack);
    }
    EXPECT_EQ(led.size(), 6u);
    for (const auto& [id, count] : led)
        EXPECT_EQ(count, 2) << id.value;
}

TEST_F(TopicControl, CordonedBrokersGetNothingNew) {
    auto beat = f.heartbeat(2);
    beat.cordoned_log_dirs = {directory(2)};
    f.run<wire::BrokerHeartbeatResponse>(beat);
    EXPECT_EQ(f.batch_names(), "BROKER_REGISTRATION_CHANGE_RECORD/3");
    f.create(f.topic("t", 6, 2));
    for (int32_t i = 0; i < 6; ++i)
        EXPECT_FALSE(f.partition("t", i).has_replica(NodeId(2)));
    EXPECT_EQ(f.create(f.assigned("u", {{2}})).error_code, 0) << "by hand it is allowed";
}

}  // namespace
}  // namespace millrace::metadata
