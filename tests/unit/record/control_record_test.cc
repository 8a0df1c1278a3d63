// tests/unit/record/control_record_test.cc: keys and markers, byte for byte with Kafka's.
#include "millrace/record/control_record.h"

#include <gtest/gtest.h>

#include "test_batches.h"

namespace millrace::record {
namespace {

TEST(ControlKey, BothWays) {
    for (int16_t type = 0; type <= 6; ++type) {
        const auto key = control_key(static_cast<ControlType>(type));
        EXPECT_EQ(parse_control_key({key.data(), key.size()}), static_cast<ControlType>(type));
    }
    EXPECT_EQ(parse_control_key(from_hex("0000 0007")), ControlType::Unknown);
    EXPECT_EQ(parse_control_key(from_hex("0001 0001")), ControlType::Commit);  // a later version
    EXPECT_FALSE(parse_control_key(from_hex("ffff 0001")).has_value());
    EXPECT_FALSE(parse_control_key(from_hex("0000 00")).has_value());
}

TEST(EndTxnMarker, WritesKafkasBytes) {
    // The abort marker in txn-0 at offset 12: producer 1, epoch 2.
    const std::string log = read_golden("txn-0/00000000000000000000.log");
    const ByteView wanted = view_of(log).from(1004);
    const Buffer batch = make_end_txn_batch(ProducerId(1), ProducerEpoch(2),
                                            {false, CoordinatorEpoch(0)}, WallMs{1795234682492});
    stamp_base_offset({batch.mutable_data(), batch.size()}, Offset(12));
    stamp_leader_epoch({batch.mutable_data(), batch.size()}, LeaderEpoch(0));
    EXPECT_EQ(batch.view(), wanted);
}

TEST(EndTxnMarker, ReadsBackAndRefusesOthers) {
    const Buffer batch = make_end_txn_batch(ProducerId(4), ProducerEpoch(1),
                                            {true, CoordinatorEpoch(33)}, WallMs{5});
    const auto marker = read_end_txn_batch(BatchView(batch));
    ASSERT_TRUE(marker.has_value());
    EXPECT_TRUE(marker->commit);
    EXPECT_EQ(marker->coordinator_epoch, CoordinatorEpoch(33));
    EXPECT_FALSE(read_end_txn_batch(BatchView(sample_batch(1))).has_value());
    const Buffer value = from_hex("0000 00000021");
    EXPECT_FALSE(parse_end_txn_marker(from_hex("0000 0002"), value).has_value());
    EXPECT_FALSE(parse_end_txn_marker(from_hex("0000 0001"), value.slice(0, 5)).has_value());
    EXPECT_FALSE(parse_end_txn_marker(from_hex("0000 0001"), from_hex("ffff 00000021")).has_value());
}

}  // namespace
}  // namespace millrace::record
