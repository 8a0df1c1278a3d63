// tests/unit/broker/coordinator_host_test.cc: which partition coordinates a key.
#include "millrace/broker/coordinator_host.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace millrace::broker
