// tests/unit/storage/meta_properties_test.cc: Kafka's text and Kafka's checks.
#include "millrace/storage/meta_properties.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace millrace::storage {
namespace {

std::string golden() {
    std::ifstream in(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/formatted/meta.properties");
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(MetaProperties, WritesWhatKafkaWrites) {
    const std::string text = golden();
    ASSERT_FALSE(text.empty());
    const auto properties = parse_meta_properties(text);
    ASSERT_TRUE(properties.ok()) << properties.status().to_string();
    EXPECT_EQ(properties->node_id, NodeId(1));
    EXPECT_EQ(properties->cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
    EXPECT_EQ(properties->directory_id, Uuid::parse("ojBbeR18RumznFhzNNcEHA"));
    // Sat Nov 21 04:17:53 UTC 2026
    EXPECT_EQ(print_meta_properties(*properties, WallMs{1'795'234'673'000}), text);
}

TEST(MetaProperties, ReadsJavaPropertiesText) {
    const auto properties = parse_meta_properties(
        "! a comment\r\n  node.id : 7\nversion 1\ncluster.id=a\\=b\\u0041\\\n   c\n\nother=1\n");
    ASSERT_TRUE(properties.ok()) << properties.status().to_string();
    EXPECT_EQ(properties->node_id, NodeId(7));
    EXPECT_EQ(properties->cluster_id, "a=bAc");
    EXPECT_FALSE(properties->directory_id.has_value());
}

TEST(MetaProperties, EscapesWhatItPrints) {
    MetaProperties properties;
    properties.node_id = NodeId(1);
    properties.cluster_id = " a=b:c#\\";
    const auto again = parse_meta_properties(print_meta_properties(properties, WallMs{0}));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, properties);
}

TEST(MetaProperties, RefusesWithKafkasWords) {
    struct Row {
        const char* text;
        const char* message;
    };
    for (const Row& row : {
             Row{"version=2", "Unknown meta.properties version number 2"},
             Row{"version=x", "Invalid meta.properties version string 'x'"},
             Row{"version=1\ncluster.id=c", "Failed to find node.id"},
             Row{"version=1\nnode.id=1", "cluster.id was not found."},
             Row{"version=1\nnode.id=one", "Unable to read node.id as a base-10 number."},
             Row{"version=1\nnode.id=1\ncluster.id=c\ndirectory.id=!",
                 "Unable to read directory.id as a Uuid: !"},
         }) {
        const auto properties = parse_meta_properties(row.text);
        ASSERT_FALSE(properties.ok()) << row.text;
        EXPECT_EQ(properties.status().message(), row.message);
    }
}

TEST(MetaProperties, VersionZeroHasBrokerId) {
    const auto properties = parse_meta_properties("broker.id=3\n");
    ASSERT_TRUE(properties.ok());
    EXPECT_EQ(properties->version, 0);
    EXPECT_EQ(properties->node_id, NodeId(3));
}

MetaProperties make(const char* cluster, int node, uint64_t directory) {
    return {1, cluster, NodeId(node), Uuid{5, directory}};
}

TEST(MetaPropertiesEnsemble, ChecksAcrossDirectories) {
    MetaPropertiesEnsemble ensemble;
    ensemble.log_dirs["/a"] = make("c", 1, 1);
    ensemble.log_dirs["/b"] = make("c", 1, 2);
    EXPECT_TRUE(ensemble.verify("c", NodeId(1)).ok());
    EXPECT_EQ(ensemble.verify("d", NodeId(1)).message(),
              "Invalid cluster.id in: /a/meta.properties. Expected d, but read c");
    EXPECT_EQ(ensemble.verify({}, NodeId(2)).message(),
              "Stored node id 1 doesn't match previous node id 2 in /a/meta.properties. If you "
              "moved your data, make sure your configured node id matches. If you intend to create "
              "a new node, you should remove all data in your data directories.");
    ensemble.log_dirs["/b"] = make("c", 1, 1);
    EXPECT_FALSE(ensemble.verify("c", NodeId(1)).ok());
    ensemble.log_dirs["/b"] = make("d", 1, 2);
    EXPECT_FALSE(ensemble.verify({}, {}).ok());
    ensemble.log_dirs["/b"] = {1, "c", NodeId(1), Uuid{0, 7}};
    EXPECT_EQ(ensemble.verify("c", NodeId(1)).message(),
              "Invalid reserved directory ID AAAAAAAAAAAAAAAAAAAABw found in /b");
    EXPECT_EQ(MetaPropertiesEnsemble{}.verify_for_start(NodeId(1), "/a").message(),
              "No readable meta.properties files found.");
}

}  // namespace
}  // namespace millrace::storage
