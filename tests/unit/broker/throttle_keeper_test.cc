// tests/unit/broker/throttle_keeper_test.cc: a silent plan's throttles go when its moves have ended.
#include "broker/throttle_keeper.h"

#include <gtest/gtest.h>

#include "unit/broker/node_world.h"

namespace millrace::broker {
namespace {

using metadata::ConfigResource;
using placement::ThrottleNote;

constexpr const char* kRate = "leader.replication.throttled.rate";
constexpr const char* kList = "leader.replication.throttled.replicas";
constexpr Duration kLease = ThrottleKeeper::kLease;

std::string note_text(const std::vector<ThrottleNote>& notes) {
    return placement::throttle_records("x", notes).begin()->second;
}

/// A topic "t" of two partitions on brokers 1 and 2, and configs.
struct Cluster {
    metadata::Image image;
    Uuid id = Uuid::from_random_bits(1, 2);

    Cluster() { moving(-1); }
    void moving(int32_t partition) {
        auto topic = std::make_shared<metadata::TopicImage>();
        topic->name = "t";
        topic->id = id;
        for (int32_t i = 0; i < 2; ++i) {
            auto state = std::make_shared<metadata::PartitionImage>();
            state->replicas = {NodeId(1), NodeId(2)};
            if (i == partition) state->adding = {NodeId(2)};
            topic->partitions.set(PartitionIndex(i), std::move(state));
        }
        image.topics.by_id.set(id, topic);
        image.topics.ids_by_name.set("t", id);
    }
    void config(ConfigResource type, const std::string& name, const std::string& key,
                const std::string& value) {
        const metadata::ConfigTarget target{type, name};
        auto map = std::make_shared<metadata::ConfigMap>(image.configs.of(target));
        (*map)[key] = value;
        image.configs.by_target.set(target, std::move(map));
    }
};

const std::vector<ThrottleNote> kNotes = {{ThrottleNote::kTopic, "t", kList, "0:1,0:2"},
                                          {ThrottleNote::kBroker, "1", kRate, "500"},
                                          {ThrottleNote::kBroker, "2", kRate, "500"}};

TEST(ThrottleKeeper, ClearsWhatASilentPlanNotedAndNothingElse) {
    Cluster cluster;
    cluster.config(ConfigResource::Topic, "t", kList, "7:9,0:1,0:2");
    cluster.config(ConfigResource::Topic, "t", "retention.ms", "1");
    cluster.config(ConfigResource::Broker, "1", kRate, "500");
    cluster.config(ConfigResource::Broker, "2", kRate, "777");  // an operator's by now
    ThrottleKeeper keeper;
    const Instant start = Instant{} + seconds(100);
    keeper.on_record(start, "r-1", "{}");
    keeper.on_record(start, "r-1/throttles/0", note_text(kNotes));
    EXPECT_FALSE(keeper.look(start + (kLease - milliseconds(1)), cluster.image));
    // A sign of life gives another lease; one of another plan does not.
    keeper.on_record(start + seconds(5), "r-1", "{}");
    keeper.on_record(start + seconds(9), "r-2", "{}");
    EXPECT_FALSE(keeper.look(start + kLease, cluster.image));
    const auto duty = keeper.look(start + seconds(5) + kLease, cluster.image);
    ASSERT_TRUE(duty);
    EXPECT_EQ(duty->plan, "r-1");
    EXPECT_EQ(duty->tombstones, std::vector<std::string>{"r-1/throttles/0"});
    ASSERT_EQ(duty->changes.size(), 2U);
    EXPECT_EQ(duty->changes[0].value, "7:9");
    EXPECT_EQ(duty->changes[1].target, (metadata::ConfigTarget{ConfigResource::Broker, "1"}));
    EXPECT_EQ(duty->changes[1].value, std::nullopt);
    // Its own tombstone comes back from the log.
    keeper.on_record(start, "r-1/throttles/0", std::nullopt);
    EXPECT_FALSE(keeper.look(start + seconds(99), cluster.image));
}

TEST(ThrottleKeeper, WaitsForTheMovesThatAreThrottled) {
    Cluster cluster;
    ThrottleKeeper keeper;
    const Instant start{};
    const Instant late = start + kLease;
    keeper.on_record(start, "r-1/throttles/0", note_text(kNotes));
    cluster.moving(0);
    EXPECT_FALSE(keeper.look(late, cluster.image));
    cluster.moving(1);  // somebody else's move
    EXPECT_TRUE(keeper.look(late, cluster.image));
    // With brokers alone in the notes, any move on them counts.
    ThrottleKeeper rates;
    rates.on_record(start, "r-1/throttles/0", note_text({kNotes[1]}));
    EXPECT_FALSE(rates.look(late, cluster.image));
    cluster.moving(-1);
    EXPECT_TRUE(rates.look(late, cluster.image));
    // A topic that is gone moves no more.
    ThrottleKeeper gone;
    gone.on_record(start, "r-1/throttles/0",
                   note_text({{ThrottleNote::kTopic, "gone", kList, "0:1"}}));
    const auto duty = gone.look(late, cluster.image);
    ASSERT_TRUE(duty);
    EXPECT_TRUE(duty->changes.empty());
    EXPECT_EQ(duty->tombstones.size(), 1U);
}

TEST(ThrottleKeeper, BytesOfOthersAreNoNotes) {
    Cluster cluster;
    ThrottleKeeper keeper;
    keeper.on_record(Instant{}, "", "x");
    keeper.on_record(Instant{}, "r-1/throttles/0", "junk");
    keeper.on_record(Instant{}, "r-1/throttles/0", std::nullopt);
    keeper.on_record(Instant{}, "/throttles/", std::nullopt);
    EXPECT_FALSE(keeper.look(Instant{} + seconds(99), cluster.image));
    keeper.on_record(Instant{}, "r-1/throttles/1",
                     note_text({{ThrottleNote::kTopic, "t", kList, "x,:,0,99999999999:1,5:1"}}));
    EXPECT_TRUE(keeper.look(Instant{} + seconds(99), cluster.image));
    keeper.reset();
    EXPECT_FALSE(keeper.look(Instant{} + seconds(99), cluster.image));
}

class ThrottleKeeperNode : public ::testing::Test {
  protected:
    void set(const std::string& key, const std::string& value) {
        wire::IncrementalAlterConfigsRequest request;
        auto& resource = request.resources.emplace_back();
        resource.resource_type = static_cast<int8_t>(ConfigResource::Broker);
        resource.resource_name = "1";
        auto& config = resource.configs.emplace_back();
        config.name = key;
        config.value = value;
        int16_t error = -1;
        w.node->shard().controller().run(
            std::move(request), {}, Reply<metadata::ControllerResponse>([&](auto response) {
                error = std::get<wire::IncrementalAlterConfigsResponse>(response)
                            .responses.at(0)
                            .error_code;
            }));
        w.run(seconds(1));
        ASSERT_EQ(error, 0);
    }
    metadata::ConfigMap configs() { return w.node->shard().image().configs.broker("1"); }

    NodeWorld w;
};

TEST_F(ThrottleKeeperNode, ReadsThePlansAndClearsAlsoAfterAStart) {
    w.start();
    w.create_topic(placement::kPlansTopic, 1, {{"cleanup.policy", "compact"}});
    set(kRate, "500");
    set("follower.replication.throttled.rate", "600");  // an operator's
    Partition* plans = w.partition(placement::kPlansTopic, 0);
    ASSERT_NE(plans, nullptr);
    const std::string notes = note_text({kNotes[1]});
    ASSERT_EQ(w.produce(*plans, "r-1/throttles/0", notes), ErrorCode::None);
    w.run(kLease - seconds(2));
    ASSERT_EQ(w.produce(*plans, "r-1", "{}"), ErrorCode::None);
    w.run(kLease - seconds(2));
    EXPECT_EQ(configs().size(), 2U) << "the driver was heard";
    w.stop();
    w.start();
    EXPECT_EQ(configs().size(), 2U) << "a whole lease from the start on";
    w.run(kLease + seconds(4));
    EXPECT_EQ(configs(), (metadata::ConfigMap{{"follower.replication.throttled.rate", "600"}}));
    plans = w.partition(placement::kPlansTopic, 0);
    EXPECT_EQ(plans->log().log_end_offset(), Offset(3)) << "one tombstone, once";
    // The same rate, set by somebody later, is nobody's to take away.
    set(kRate, "500");
    w.run(kLease + seconds(4));
    EXPECT_EQ(configs().size(), 2U);
}

}  // namespace
}  // namespace millrace::broker
