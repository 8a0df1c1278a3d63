// tests/unit/metadata/replay_test.cc: Kafka's logs and checkpoints into images; corrupt logs.
#include <gtest/gtest.h>

#include "millrace/metadata/delta.h"
#include "millrace/metadata/snapshot.h"
#include "unit/metadata/golden_log.h"

namespace millrace::metadata {
namespace {

constexpr const char* kDynamicLog = "dynamic/00000000000000000000.log";
constexpr const char* kDynamicSnapshot = "dynamic/00000000000000000045-0000000001.checkpoint";

/// Feeds a log up to `end` (exclusive) and publishes after every batch.
ImagePtr load(ImageLoader& loader, const char* log, Offset end) {
    for (const GoldenBatch& batch : read_golden(log)) {
        if (batch.base >= end) break;
        if (batch.control) {
            loader.on_control(batch.last, batch.epoch, batch.timestamp);
            continue;
        }
        for (const GoldenRecord& golden : batch.records) {
            auto record = decode_record(golden.value, golden.offset);
            EXPECT_TRUE(record.ok());
            const Status status =
                loader.on_record(golden.offset, batch.epoch, batch.timestamp, *record);
            EXPECT_TRUE(status.ok()) << status.to_string();
        }
        loader.publish();
    }
    return loader.published();
}

ImagePtr read_snapshot(const char* name, Provenance last) {
    SnapshotReader reader(last);
    for (const GoldenBatch& batch : read_golden(name)) {
        if (batch.control) continue;
        for (const Record& record : decode_batch(batch)) {
            const Status status = reader.on_record(record);
            EXPECT_TRUE(status.ok()) << status.to_string();
        }
    }
    return reader.finish();
}

ImagePtr rebuild(const Image& image) {
    SnapshotReader reader(image.provenance);
    for (const Record& record : snapshot_records(image)) {
        EXPECT_TRUE(reader.on_record(record).ok());
    }
    return reader.finish();
}

TEST(Replay, GoldenLogGivesTheExpectedImage) {
    ImageLoader loader(empty_image());
    const ImagePtr image = load(loader, kDynamicLog, Offset(100));
    EXPECT_EQ(image->provenance.offset, Offset(57));
    EXPECT_EQ(image->provenance.epoch, LeaderEpoch(1));
    EXPECT_EQ(image->features.metadata_version(), 30);
    EXPECT_EQ(image->features.level("transaction.version"), 2);
    EXPECT_TRUE(image->features.elr());
    EXPECT_EQ(image->configs.broker("").at("min.insync.replicas"), "1");
    EXPECT_EQ(image->configs.topic("codecs").at("max.message.bytes"), "2000000");
    EXPECT_EQ(image->producer_ids.next_producer_id, 1000);
    EXPECT_EQ(image->topics.ids_by_name.size(), 5u);
    EXPECT_EQ(image->topics.find("gone"), nullptr);
    EXPECT_EQ(image->topics.find("codecs")->partitions.size(), 3u);

    const BrokerImage* broker = image->cluster.broker(NodeId(1));
    ASSERT_NE(broker, nullptr);
    EXPECT_EQ(broker->epoch, BrokerEpoch(13));
    EXPECT_EQ(broker->rack, "r1");
    EXPECT_TRUE(broker->fenced);
    EXPECT_TRUE(broker->in_controlled_shutdown);
    ASSERT_TRUE(broker->cordoned_directories.has_value());
    EXPECT_TRUE(broker->cordoned_directories->empty());
    EXPECT_EQ(broker->endpoint("PLAINTEXT")->port, 39192);
    EXPECT_EQ(image->cluster.controllers.size(), 1u);

    // The controlled shutdown of the only replica: leaderless, remembered in ELR.
    const PartitionImage* partition = image->topics.partition("codecs", PartitionIndex(2));
    EXPECT_TRUE(partition->isr.empty());
    EXPECT_EQ(partition->leader, kNoNode);
    EXPECT_EQ(partition->elr, std::vector<NodeId>{NodeId(1)});
    EXPECT_EQ(partition->last_known_elr, std::vector<NodeId>{NodeId(1)});
    EXPECT_EQ(partition->leader_epoch, LeaderEpoch(1));
    EXPECT_EQ(partition->partition_epoch, 1);
}

TEST(Replay, GoldenSnapshotEqualsTheLogUpToIt) {
    ImageLoader loader(empty_image());
    const ImagePtr from_log = load(loader, kDynamicLog, Offset(45));
    const ImagePtr from_snapshot =
        read_snapshot(kDynamicSnapshot, {Offset(44), LeaderEpoch(1), WallMs{1795234684480}});
    EXPECT_TRUE(same_contents(*from_log, *from_snapshot));
    EXPECT_EQ(from_log->provenance, from_snapshot->provenance);
    EXPECT_TRUE(difference(*from_log, *from_snapshot).empty());
}

TEST(Replay, StaticQuorumSnapshotsEqualTheLog) {
    for (const auto& [name, end] :
         {std::pair("static/00000000000000000025-0000000001.checkpoint", 25),
          std::pair("static/00000000000000000046-0000000001.checkpoint", 46),
          std::pair("static/00000000000000000066-0000000001.checkpoint", 66)}) {
        ImageLoader loader(empty_image());
        const ImagePtr from_log = load(loader, "static/00000000000000000000.log", Offset(end));
        const ImagePtr from_snapshot = read_snapshot(name, from_log->provenance);
        EXPECT_TRUE(same_contents(*from_log, *from_snapshot)) << name;
    }
}

TEST(Replay, SnapshotOfAnImageIsThatImage) {
    for (const char* log : {kDynamicLog, "static/00000000000000000000.log"}) {
        for (int64_t end : {0, 12, 14, 30, 46, 50, 100}) {
            ImageLoader loader(empty_image());
            const ImagePtr image = load(loader, log, Offset(end));
            EXPECT_TRUE(same_contents(*image, *rebuild(*image))) << log << " up to " << end;
        }
    }
}

TEST(Replay, ChangesNameWhatChanged) {
    ImageLoader loader(empty_image());
    Changes all;
    std::vector<Changes> published;
    for (const GoldenBatch& batch : read_golden(kDynamicLog)) {
        if (batch.control) continue;
        for (const GoldenRecord& golden : batch.records) {
            auto record = decode_record(golden.value, golden.offset);
            ASSERT_TRUE(
                loader.on_record(golden.offset, batch.epoch, batch.timestamp, *record).ok());
        }
        auto result = loader.publish();
        ASSERT_TRUE(result.has_value());
        published.push_back(std::move(result->changes));
    }
    EXPECT_EQ(published[0].features.size(), 6u);  // the bootstrap transaction
    EXPECT_EQ(published[1].controllers.size(), 1u);
    EXPECT_EQ(published[2].brokers.size(), 1u);
    size_t created = 0;
    size_t deleted = 0;
    for (const Changes& changes : published) {
        created += changes.topics_created.size();
        deleted += changes.topics_deleted.size();
    }
    EXPECT_EQ(created, 6u);
    EXPECT_EQ(deleted, 1u);
    EXPECT_EQ(published.back().brokers.size(), 1u);
    EXPECT_TRUE(published.back().partitions.empty());
    EXPECT_EQ(loader.publish(), std::nullopt);
}

Record topic(const char* name, uint64_t id) {
    wire::TopicRecord record;
    record.name = name;
    record.topic_id = {9, id};
    return Record(record);
}
template <class Body>
Record with_topic(uint64_t id) {
    Body record;
    record.topic_id = {9, id};
    return Record(record);
}

TEST(Replay, ContradictionsAreCorrupt) {
    wire::PartitionRecord partition;
    partition.topic_id = {9, 1};
    partition.partition_id = 0;
    partition.replicas = {1};
    partition.isr = {1};
    partition.leader = 1;
    wire::BrokerRegistrationChangeRecord change;
    change.broker_id = 7;
    wire::UnregisterBrokerRecord unregister;
    unregister.broker_id = 7;
    wire::ProducerIdsRecord ids;
    ids.next_producer_id = 0;
    wire::ClearElrRecord clear;
    clear.topic_name = "nope";
    wire::ConfigRecord logger;
    logger.resource_type = 8;
    wire::RemoveUserScramCredentialRecord scram;
    wire::PartitionRecord two_directories = partition;
    two_directories.directories = {Uuid{1, 1}, Uuid{1, 2}};

    Delta delta(*empty_image());
    ASSERT_TRUE(delta.replay(topic("a", 1)).ok());
    ASSERT_TRUE(delta.replay(Record(partition, 2)).ok());
    const Image before = delta.image();
    const Record bad[] = {topic("a", 2),
                          topic("b", 1),
                          with_topic<wire::PartitionRecord>(5),
                          with_topic<wire::PartitionChangeRecord>(5),
                          with_topic<wire::PartitionChangeRecord>(1),
                          with_topic<wire::RemoveTopicRecord>(5),
                          Record(change, 0),
                          Record(unregister),
                          Record(ids),
                          Record(clear),
                          Record(logger),
                          Record(scram),
                          Record(two_directories, 1),
                          Record(wire::RemoveAccessControlEntryRecord{})};
    for (const Record& record : bad) {
        const Status status = delta.replay(record);
        EXPECT_EQ(status.errc(), Errc::Corrupt) << record_name(record);
        EXPECT_NE(status.message().find(record_name(record)), std::string::npos);
        EXPECT_TRUE(same_contents(before, delta.image())) << record_name(record);
    }
}

TEST(Replay, OneDeltaSharesTheRestOfTheImage) {
    Delta delta(*empty_image());
    wire::PartitionRecord partition;
    partition.replicas = {1};
    partition.isr = {1};
    partition.leader = 1;
    for (uint64_t t = 0; t < 100; ++t) {
        const std::string name = "t" + std::to_string(t);
        ASSERT_TRUE(delta.replay(topic(name.c_str(), t)).ok());
        partition.topic_id = {9, t};
        for (int32_t p = 0; p < 10; ++p) {
            partition.partition_id = p;
            ASSERT_TRUE(delta.replay(Record(partition, 0)).ok());
        }
    }
    const Image first = delta.take_image();
    Delta second(first);
    wire::PartitionChangeRecord change;
    change.topic_id = {9, 50};
    change.partition_id = 3;
    change.leader = -1;
    ASSERT_TRUE(second.replay(Record(change, 0)).ok());
    EXPECT_EQ(first.topics.find(Uuid{9, 51}), second.image().topics.find(Uuid{9, 51}));
    EXPECT_NE(first.topics.find(Uuid{9, 50}), second.image().topics.find(Uuid{9, 50}));
    EXPECT_EQ(first.topics.partition("t50", PartitionIndex(3))->leader, NodeId(1));
    EXPECT_EQ(second.image().topics.partition("t50", PartitionIndex(3))->leader, kNoNode);
    const Changes changes = difference(first, second.image());
    EXPECT_EQ(changes.partitions.size(), 1u);
    EXPECT_EQ(changes.partitions.at(Uuid{9, 50}), std::set<PartitionIndex>{PartitionIndex(3)});
}

class Transactions : public testing::Test {
  protected:
    Status feed(Record record) {
        offset_ = offset_ + 1;
        return loader_.on_record(offset_, LeaderEpoch(1), WallMs{5}, record);
    }
    ImageLoader loader_{empty_image()};
    Offset offset_{-1};
};

TEST_F(Transactions, BecomeVisibleAtTheEnd) {
    ASSERT_TRUE(feed(topic("before", 1)).ok());
    ASSERT_TRUE(feed(Record(wire::BeginTransactionRecord{})).ok());
    ASSERT_TRUE(feed(topic("inside", 2)).ok());
    auto published = loader_.publish();
    ASSERT_TRUE(published.has_value());
    EXPECT_EQ(published->image->provenance.offset, Offset(0));
    EXPECT_EQ(published->image->topics.find("inside"), nullptr);
    EXPECT_EQ(published->changes.topics_created.size(), 1u);
    EXPECT_TRUE(loader_.in_transaction());
    EXPECT_FALSE(loader_.publish().has_value());
    ASSERT_TRUE(feed(Record(wire::EndTransactionRecord{})).ok());
    published = loader_.publish();
    ASSERT_TRUE(published.has_value());
    EXPECT_EQ(published->image->provenance.offset, Offset(3));
    EXPECT_NE(published->image->topics.find("inside"), nullptr);
    EXPECT_EQ(published->changes.topics_created, (std::set<Uuid>{Uuid{9, 2}}));
}

TEST_F(Transactions, AbortDiscards) {
    ASSERT_TRUE(feed(Record(wire::BeginTransactionRecord{})).ok());
    ASSERT_TRUE(feed(topic("inside", 2)).ok());
    ASSERT_TRUE(feed(Record(wire::AbortTransactionRecord{})).ok());
    ASSERT_TRUE(feed(topic("after", 3)).ok());
    const auto published = loader_.publish();
    EXPECT_EQ(published->image->topics.find("inside"), nullptr);
    EXPECT_NE(published->image->topics.find("after"), nullptr);
    EXPECT_EQ(published->changes.topics_created, (std::set<Uuid>{Uuid{9, 3}}));
}

TEST_F(Transactions, MarkersInTheWrongPlaceAreCorrupt) {
    EXPECT_FALSE(feed(Record(wire::EndTransactionRecord{})).ok());
    EXPECT_FALSE(feed(Record(wire::AbortTransactionRecord{})).ok());
    ASSERT_TRUE(feed(Record(wire::BeginTransactionRecord{})).ok());
    EXPECT_FALSE(feed(Record(wire::BeginTransactionRecord{})).ok());
    SnapshotReader reader({});
    EXPECT_FALSE(reader.on_record(Record(wire::BeginTransactionRecord{})).ok());
}

TEST(Loader, SnapshotReplacesAndReportsTheDifference) {
    ImageLoader loader(empty_image());
    load(loader, kDynamicLog, Offset(30));
    const ImagePtr snapshot =
        read_snapshot(kDynamicSnapshot, {Offset(44), LeaderEpoch(1), WallMs{1}});
    loader.on_snapshot(snapshot);
    const auto published = loader.publish();
    ASSERT_TRUE(published.has_value());
    EXPECT_TRUE(same_contents(*published->image, *snapshot));
    EXPECT_EQ(published->image->provenance.offset, Offset(44));
    EXPECT_EQ(published->changes.topics_created.size(), 2u);  // the two internal topics
    EXPECT_TRUE(published->changes.producer_ids);
    EXPECT_TRUE(published->changes.brokers.empty());
}

}  // namespace
}  // namespace millrace::metadata
