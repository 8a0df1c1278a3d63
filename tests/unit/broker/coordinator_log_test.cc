// tests/unit/broker/coordinator_log_test.cc: coordinators' batches as Kafka writes and reads them.
#include "broker/coordinator_log.h"

#include <gtest/gtest.h>

#include "millrace/record/control_record.h"

namespace millrace::broker {
namespace {

coordinator::CoordinatorBatch two_records() {
    coordinator::CoordinatorBatch batch;
    batch.timestamp = WallMs{1'700'000'000'000};
    batch.records.push_back({Buffer::copy_of("key"), Buffer::copy_of("value")});
    batch.records.push_back({Buffer::copy_of("gone"), std::nullopt});
    return batch;
}

TEST(CoordinatorLog, RecordsComeBackAsTheyWent) {
    record::BatchBuilder builder;
    const Buffer bytes = encode_coordinator_batch(two_records(), record::kNoSequence, builder);
    const record::BatchView view(bytes.view());
    EXPECT_FALSE(view.is_compressed());
    EXPECT_FALSE(view.is_transactional());
    EXPECT_FALSE(view.has_producer_id());
    EXPECT_EQ(view.max_timestamp().value, 1'700'000'000'000);
    record::stamp_base_offset({bytes.mutable_data(), bytes.size()}, Offset(40));

    DecodedBatch decoded;
    ASSERT_TRUE(decode_batch(record::BatchView(bytes.view()), decoded).ok());
    EXPECT_EQ(decoded.loaded.base_offset, Offset(40));
    EXPECT_EQ(decoded.loaded.last_offset, Offset(41));
    EXPECT_FALSE(decoded.loaded.producer.transactional());
    ASSERT_EQ(decoded.loaded.records.size(), 2U);
    EXPECT_EQ(decoded.loaded.records[0].offset, Offset(40));
    EXPECT_EQ(decoded.loaded.records[0].key->text(), "key");
    EXPECT_EQ(decoded.loaded.records[0].value->text(), "value");
    EXPECT_EQ(decoded.loaded.records[1].key->text(), "gone");
    EXPECT_FALSE(decoded.loaded.records[1].value);
}

TEST(CoordinatorLog, ACompressedBatchComesBack) {
    record::BatchBuilder builder;
    const Buffer bytes = encode_coordinator_batch(two_records(), 0, builder,
                                                  record::CompressionType::Lz4);
    const record::BatchView view(bytes.view());
    EXPECT_EQ(view.compression(), record::CompressionType::Lz4);
    DecodedBatch decoded;
    ASSERT_TRUE(decode_batch(view, decoded).ok());
    ASSERT_EQ(decoded.loaded.records.size(), 2U);
    EXPECT_EQ(decoded.loaded.records[0].value->text(), "value");
}

TEST(CoordinatorLog, TransactionalRecordsNameTheirProducer) {
    coordinator::CoordinatorBatch batch = two_records();
    batch.producer = {ProducerId(77), ProducerEpoch(3)};
    record::BatchBuilder builder;
    const Buffer bytes = encode_coordinator_batch(batch, record::kNoSequence, builder);
    const record::BatchView view(bytes.view());
    EXPECT_TRUE(view.is_transactional());
    EXPECT_EQ(view.base_sequence(), record::kNoSequence);
    DecodedBatch decoded;
    ASSERT_TRUE(decode_batch(view, decoded).ok());
    EXPECT_EQ(decoded.loaded.producer.id, ProducerId(77));
    EXPECT_EQ(decoded.loaded.producer.epoch, ProducerEpoch(3));
}

TEST(CoordinatorLog, MarkersComeBackAsMarkers) {
    const Buffer bytes = record::make_end_txn_batch(ProducerId(77), ProducerEpoch(4),
                                                    {true, CoordinatorEpoch(9)}, WallMs{5});
    DecodedBatch decoded;
    ASSERT_TRUE(decode_batch(record::BatchView(bytes.view()), decoded).ok());
    ASSERT_TRUE(decoded.loaded.marker);
    EXPECT_TRUE(decoded.loaded.marker->commit);
    EXPECT_EQ(decoded.loaded.marker->producer.id, ProducerId(77));
    EXPECT_EQ(decoded.loaded.marker->coordinator_epoch, CoordinatorEpoch(9));
    EXPECT_TRUE(decoded.loaded.records.empty());
}

TEST(CoordinatorLog, DamageIsNamed) {
    record::BatchBuilder builder;
    const Buffer bytes = encode_coordinator_batch(two_records(), record::kNoSequence, builder);
    bytes.mutable_data()[bytes.size() - 1] ^= 1;
    DecodedBatch decoded;
    const Status status = decode_batch(record::BatchView(bytes.view()), decoded);
    EXPECT_EQ(status.errc(), Errc::Corrupt);
    EXPECT_NE(status.message().find("offset 0"), std::string::npos);
}

}  // namespace
}  // namespace millrace::broker
