// tests/unit/record/batch_builder_test.cc: exact bytes, every codec, copies and empty batches.
#include "millrace/record/batch_builder.h"

#include <gtest/gtest.h>

#include "test_batches.h"

namespace millrace::record {
namespace {

TEST(BatchBuilder, WritesTheWorkedExampleOfFormatMd) {
    BatchBuilder builder;
    builder.start({});
    builder.append({.timestamp = WallMs{1700000000000},
                    .key = ByteView("k1"),
                    .value = ByteView("v1")});
    const RecordHeader headers[] = {{"h", ByteView("x")}, {"n", std::nullopt}};
    builder.append({.timestamp = WallMs{1700000000005},
                    .value = ByteView("v2"),
                    .headers = headers,
                    .header_count = 2});
    EXPECT_EQ(builder.size_bytes(), 88U);
    EXPECT_EQ(builder.finish(), from_hex(R"(
        0000000000000000 0000004c ffffffff 02 83bddbbf 0000 00000001
        0000018bcfe56800 0000018bcfe56805 ffffffffffffffff ffff ffffffff 00000002
        14 00 00 00 04 6b31 04 7631 00
        1e 00 0a 02 01 04 7632 04 02 68 02 78 02 6e 01)"));
}

TEST(BatchBuilder, RebuildsKafkasUncompressedBatchesByteForByte) {
    int rebuilt = 0;
    for (const std::string& name : golden_logs()) {
        const std::string bytes = read_golden(name);
        BatchIterator batches(view_of(bytes));
        while (batches.next()) {
            const BatchView batch = batches.batch();
            if (batch.is_compressed()) continue;
            BatchOptions options;
            options.base_offset = batch.base_offset();
            options.leader_epoch = batch.leader_epoch();
            options.producer_id = batch.producer_id();
            options.producer_epoch = batch.producer_epoch();
            options.base_sequence = batch.base_sequence();
            options.is_transactional = batch.is_transactional();
            options.is_control = batch.is_control();
            BatchBuilder builder;
            builder.start(options);
            RecordIterator records(batch.payload(), batch.record_count());
            RecordView record;
            while (records.next(record)) {
                builder.append_copy(record.offset_delta, record_timestamp(batch, record), record);
            }
            EXPECT_EQ(builder.finish().view(), batch.bytes()) << name << batches.start();
            ++rebuilt;
        }
    }
    EXPECT_EQ(rebuilt, 10);
}

TEST(BatchBuilder, EveryCodecGivesTheRecordsBack) {
    for (const size_t value_bytes : {0U, 20U, 5000U, 50'000U}) {
        const std::vector<PlainRecord> wanted =
            [&] {
            const Buffer plain = sample_batch(30, {}, 5000, value_bytes);
            return records_of(BatchView(plain));
        }();
        for (const CompressionType codec : kAllCodecs) {
            BatchOptions options;
            options.compression = codec;
            const Buffer batch = sample_batch(30, options, 5000, value_bytes);
            const BatchView view(batch);
            EXPECT_TRUE(view.valid_crc());
            EXPECT_EQ(view.compression(), codec);
            EXPECT_EQ(view.last_offset_delta(), 29);
            EXPECT_EQ(view.base_timestamp(), WallMs{5000});
            EXPECT_EQ(view.max_timestamp(), WallMs{5290});
            EXPECT_EQ(records_of(view), wanted) << compression_name(codec) << value_bytes;
        }
    }
}

TEST(BatchBuilder, IsReusable) {
    BatchBuilder builder;
    for (int round = 0; round < 3; ++round) {
        for (const CompressionType codec : kAllCodecs) {
            BatchOptions options;
            options.compression = codec;
            builder.start(options);
            builder.append({.timestamp = WallMs{1}, .value = ByteView("dropped")});
            builder.start(options);
            builder.append({.timestamp = WallMs{7}, .value = ByteView("kept")});
            const std::vector<PlainRecord> wanted = {{0, 7, "(null)", "kept", 0}};
            EXPECT_EQ(records_of(BatchView(builder.finish())), wanted);
        }
    }
}

TEST(BatchBuilder, KeepsGapsEndAndDeleteHorizonOfACleanedBatch) {
    BatchOptions options;
    options.delete_horizon = WallMs{90'000};
    BatchBuilder builder;
    builder.start(options);
    builder.append_at(3, {.timestamp = WallMs{1000}, .key = ByteView("a")});
    builder.append_at(9, {.timestamp = WallMs{999}, .key = ByteView("b")});
    const Buffer batch = builder.finish(20);
    const BatchView view(batch);
    EXPECT_TRUE(view.has_delete_horizon());
    EXPECT_EQ(view.base_timestamp(), WallMs{90'000});
    EXPECT_EQ(view.max_timestamp(), WallMs{1000});
    EXPECT_EQ(view.last_offset_delta(), 20);
    EXPECT_EQ(view.record_count(), 2);
    const std::vector<PlainRecord> wanted = {{3, 1000, "a", "(null)", 0},
                                             {9, 999, "b", "(null)", 0}};
    EXPECT_EQ(records_of(view), wanted);
}

TEST(BatchBuilder, EmptyBatchKeepsProducerAndEnd) {
    BatchOptions options;
    options.compression = CompressionType::Zstd;
    options.producer_id = ProducerId(900);
    options.producer_epoch = ProducerEpoch(0);
    options.base_sequence = 0;
    BatchBuilder builder;
    builder.start(options);
    const Buffer batch = builder.finish(1, WallMs{1234});
    const BatchView view(batch);
    EXPECT_EQ(batch.size(), kBatchHeaderBytes);
    EXPECT_EQ(view.attributes(), 0);
    EXPECT_EQ(view.last_offset_delta(), 1);
    EXPECT_EQ(view.base_timestamp(), kNoTimestamp);
    EXPECT_EQ(view.max_timestamp(), WallMs{1234});
    EXPECT_EQ(view.record_count(), 0);
    EXPECT_TRUE(view.valid_crc());
    EXPECT_TRUE(records_of(view).empty());
}

}  // namespace
}  // namespace millrace::record
