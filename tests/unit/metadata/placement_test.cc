// tests/unit/metadata/placement_test.cc: the promises of both placements, for many shapes.
#include "metadata/placement.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace millrace::metadata {
namespace {

/// `racks[i]` is the rack of broker i ("" none); `fenced` lists fenced ones.
ClusterImage cluster(const std::vector<std::string>& racks, const std::set<int32_t>& fenced = {}) {
    ClusterImage image;
    for (size_t i = 0; i < racks.size(); ++i) {
        auto broker = std::make_shared<BrokerImage>();
        broker->id = NodeId(static_cast<int32_t>(i));
        if (!racks[i].empty()) broker->rack = racks[i];
        broker->fenced = fenced.count(broker->id.value) != 0;
        broker->directories = {Uuid{9, i}};
        image.brokers.set(broker->id, broker);
    }
    return image;
}

Placement place(const ClusterImage& image, int32_t partitions, int16_t factor, uint64_t seed) {
    Rng rng(seed);
    const PartitionIndexes loads;
    auto placed = ReplicaPlacer(image, loads, rng).place("t", static_cast<int32_t>(seed), partitions, factor);
    EXPECT_TRUE(std::holds_alternative<Placement>(placed));
    return std::get<Placement>(placed);
}

std::string refusal(const ClusterImage& image, int16_t factor) {
    Rng rng(1);
    const PartitionIndexes loads;
    auto placed = ReplicaPlacer(image, loads, rng).place("t", 0, 1, factor);
    const auto* error = std::get_if<PlacementError>(&placed);
    return error == nullptr ? "" : error->message;
}

TEST(Placement, LeadersAreEvenAndReplicasDistinct) {
    const std::vector<std::vector<std::string>> shapes = {
        {"", "", ""}, {"a", "b", "c"}, {"a", "a", "b", "b"}, {"a", "a", "b", "b", "c", "c"}};
    for (const auto& racks : shapes) {
        const ClusterImage image = cluster(racks);
        const auto brokers = static_cast<int32_t>(racks.size());
        for (uint64_t seed = 1; seed <= 20; ++seed) {
            std::map<NodeId, int> leaders;
            for (const auto& replicas : place(image, brokers * 10, 2, seed)) {
                ++leaders[replicas[0]];
                EXPECT_EQ(std::set<NodeId>(replicas.begin(), replicas.end()).size(), 2u);
                const std::string& first = racks[static_cast<size_t>(replicas[0].value)];
                const std::string& second = racks[static_cast<size_t>(replicas[1].value)];
                EXPECT_TRUE(first.empty() || first != second) << "racks before anything";
            }
            // With several brokers to a rack, a rack that follows advances too, and Kafka's
            // stripes are even only over the reshuffles.
            if (std::set<std::string>(racks.begin(), racks.end()).size() == racks.size() ||
                racks[0].empty()) {
                for (const auto& [id, count] : leaders)
                    EXPECT_EQ(count, 10) << id.value;
            }
        }
    }
}

TEST(Placement, FencedBrokersOnlyFillUp) {
    const ClusterImage image = cluster({"", "", ""}, {2});
    for (const auto& replicas : place(image, 12, 3, 5)) {
        EXPECT_NE(replicas[0], NodeId(2));
        EXPECT_EQ(replicas[2], NodeId(2)) << "after every unfenced one";
    }
    for (const auto& replicas : place(image, 12, 2, 5)) {
        EXPECT_NE(replicas[1], NodeId(2));
    }
}

TEST(Placement, WhoCannotBePlacedOn) {
    ClusterImage image = cluster({"", "", ""});
    auto leaving = std::make_shared<BrokerImage>(*image.broker(NodeId(0)));
    leaving->in_controlled_shutdown = true;
    image.brokers.set(NodeId(0), leaving);
    auto cordoned = std::make_shared<BrokerImage>(*image.broker(NodeId(1)));
    cordoned->cordoned_directories = cordoned->directories;
    image.brokers.set(NodeId(1), cordoned);
    for (const auto& replicas : place(image, 6, 1, 3))
        EXPECT_EQ(replicas[0], NodeId(2));
    cordoned = std::make_shared<BrokerImage>(*cordoned);
    cordoned->directories.push_back(Uuid{9, 77});
    image.brokers.set(NodeId(1), cordoned);
    EXPECT_EQ(refusal(image, 2), "") << "one directory is still open";
}

TEST(Placement, Refusals) {
    EXPECT_EQ(refusal(cluster({"", ""}), 3),
              "The target replication factor of 3 cannot be reached because only 2 broker(s) are "
              "registered or some brokers have all their log directories cordoned.");
    EXPECT_EQ(refusal(cluster({""}), 0),
              "Invalid replication factor 0: the replication factor must be positive.");
    const char* kNobody =
        "All brokers are currently fenced, or have all their log directories cordoned.";
    EXPECT_EQ(refusal(cluster({""}, {0}), 1), kNobody);
    EXPECT_EQ(refusal(cluster({}), 1), kNobody);
}

TEST(Placement, SameSeedSamePlaces) {
    const ClusterImage image = cluster({"a", "b", "a", "b", ""});
    EXPECT_EQ(place(image, 30, 3, 9), place(image, 30, 3, 9));
    EXPECT_NE(place(image, 30, 3, 9), place(image, 30, 3, 10));
}

const std::vector<std::string> kGrid = {"FD0UD0", "FD0UD1", "FD0UD2", "FD1UD0", "FD1UD1",
                                        "FD1UD2", "FD2UD0", "FD2UD1", "FD2UD2"};

TEST(Placement, TwoAxesKeepDomainsApart) {
    const ClusterImage image = cluster(kGrid);
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        std::map<NodeId, int> leaders;
        std::map<NodeId, int> copies;
        for (const auto& replicas : place(image, 27, 3, seed)) {
            ++leaders[replicas[0]];
            std::set<int> fault, update;
            for (const NodeId node : replicas) {
                ++copies[node];
                fault.insert(node.value / 3);
                update.insert(node.value % 3);
            }
            EXPECT_EQ(fault.size(), 3u);
            EXPECT_EQ(update.size(), 3u);
        }
        for (int32_t id = 0; id < 9; ++id) {
            EXPECT_EQ(copies[NodeId(id)], 9);
            EXPECT_EQ(leaders[NodeId(id)], 3);
        }
    }
}

TEST(Placement, TwoAxesAvoidFencedAndCordoned) {
    ClusterImage image = cluster(kGrid, {0});
    auto cordoned = std::make_shared<BrokerImage>(*image.broker(NodeId(4)));
    cordoned->cordoned_directories = cordoned->directories;
    image.brokers.set(NodeId(4), cordoned);
    for (const auto& replicas : place(image, 40, 3, 7)) {
        std::set<int> fault;
        for (const NodeId node : replicas) {
            EXPECT_NE(node, NodeId(0));
            EXPECT_NE(node, NodeId(4));
            fault.insert(node.value / 3);
        }
        EXPECT_EQ(fault.size(), 3u);
    }
    EXPECT_EQ(refusal(image, 9),
              "The target replication factor of 9 cannot be reached because only 8 broker(s) are "
              "registered or some brokers have all their log directories cordoned.");
    for (const auto& replicas : place(image, 8, 8, 7)) {
        EXPECT_EQ(replicas.back(), NodeId(0)) << "fenced: only where there are too few others";
    }
}

TEST(Placement, ALabelThatIsMissingLeavesKafkasRule) {
    std::vector<std::string> racks = kGrid;
    racks.push_back("");
    EXPECT_EQ(place(cluster(racks), 30, 3, 9), place(cluster(racks), 30, 3, 9));
    std::set<NodeId> used;
    for (const auto& replicas : place(cluster(racks), 30, 3, 9))
        used.insert(replicas.begin(), replicas.end());
    EXPECT_EQ(used.size(), 10u);
}

TEST(Placement, TopicsOfOneCommandSeeEachOther) {
    const ClusterImage image = cluster(kGrid);
    const PartitionIndexes loads;
    Rng rng(3);
    ReplicaPlacer placer(image, loads, rng);
    std::map<NodeId, int> copies;
    std::map<NodeId, int> leaders;
    for (int topic = 0; topic < 18; ++topic) {
        auto placed = placer.place("t" + std::to_string(topic), 0, 1, 3);
        const auto& replicas = std::get<Placement>(placed).front();
        ++leaders[replicas.front()];
        for (const NodeId node : replicas)
            ++copies[node];
    }
    for (int32_t id = 0; id < 9; ++id) {
        EXPECT_EQ(copies[NodeId(id)], 6);
        EXPECT_NEAR(leaders[NodeId(id)], 2, 1) << "a topic that is there keeps its leader";
    }
}

}  // namespace
}  // namespace millrace::metadata
