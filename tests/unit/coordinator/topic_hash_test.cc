// tests/unit/coordinator/topic_hash_test.cc: hashes that Kafka 4.3.1 computed.
#include "coordinator/topic_hash.h"

#include <gtest/gtest.h>

namespace millrace::coordinator {
namespace {

metadata::Image image_with_foo(std::optional<std::string> rack) {
    metadata::Image image;
    auto broker = std::make_shared<metadata::BrokerImage>();
    broker->id = NodeId(1);
    broker->rack = std::move(rack);
    image.cluster.brokers.set(NodeId(1), broker);
    auto topic = std::make_shared<metadata::TopicImage>();
    topic->name = "foo";
    topic->id = Uuid{0, 1};
    for (int32_t i = 0; i < 4; ++i) {
        auto partition = std::make_shared<metadata::PartitionImage>();
        partition->replicas = {NodeId(1)};
        topic->partitions.set(PartitionIndex(i), std::move(partition));
    }
    image.topics.ids_by_name.set("foo", topic->id);
    image.topics.by_id.set(topic->id, topic);
    return image;
}

TEST(TopicHash, IsKafkas) {
    EXPECT_EQ(topic_hash(image_with_foo({}), "foo"), -5666831995135091720);
    EXPECT_EQ(group_hash(image_with_foo({}), {"foo"}), 4044368843541306145);
    EXPECT_EQ(topic_hash(image_with_foo(""), "foo"), -5378529585197703508);
    EXPECT_EQ(group_hash(image_with_foo(""), {"bar", "foo"}), -3626421874285103058);
}

TEST(TopicHash, OfWhatIsNotThereIsZero) {
    EXPECT_EQ(topic_hash(image_with_foo({}), "bar"), 0);
    EXPECT_EQ(group_hash(image_with_foo({}), {"bar"}), 0);
    EXPECT_EQ(group_hash(image_with_foo({}), {}), 0);
}

}  // namespace
}  // namespace millrace::coordinator
