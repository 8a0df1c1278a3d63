// tests/unit/record/batch_validate_test.cc: the produce checks, row by row of Kafka's order.
#include "millrace/record/batch_validate.h"

#include <gtest/gtest.h>

#include <limits>

#include "test_batches.h"

namespace millrace::record {
namespace {

constexpr WallMs kNow{1'795'233'350'276};
constexpr int64_t kMin64 = std::numeric_limits<int64_t>::min();
const TopicPartition kPartition{"t", PartitionIndex(0)};

ProduceVerdict judge(Buffer& batch, const ProduceRules& rules = {}) {
    static ValidateScratch scratch;  // shared on purpose: reuse must not leak between batches
    return validate_produce(batch, rules, kPartition, kNow, scratch);
}

ErrorCode error_of(Buffer batch, const ProduceRules& rules = {}) {
    const Buffer before = Buffer::copy_of(batch.view());
    const ProduceVerdict verdict = judge(batch, rules);
    EXPECT_TRUE(verdict.ok() || batch == before) << "a refused batch stays as it was";
    return verdict.error;
}

Buffer packed_sample(CompressionType codec, int count = 5, BatchOptions options = {}) {
    options.compression = codec;
    return sample_batch(count, options, kNow.value - 1000);
}

std::string joined(std::initializer_list<ByteView> parts) {
    std::string all;
    for (const ByteView part : parts) all += part.text();
    return all;
}

// ---- check_produce_shape

TEST(ProduceShape, OneBatchIsWanted) {
    const Buffer one = sample_batch(2);
    const Buffer zstd = packed_sample(CompressionType::Zstd);
    struct Row {
        const char* what;
        std::string records;
        int16_t version;
        ErrorCode error;
        bool whole_request;
    };
    const std::string text(one.text());
    const Row rows[] = {
        {"one batch", text, 13, ErrorCode::None, false},
        {"no bytes", "", 13, ErrorCode::InvalidRecord, false},
        {"11 bytes", text.substr(0, 11), 13, ErrorCode::InvalidRecord, false},
        {"16 bytes", text.substr(0, 16), 13, ErrorCode::InvalidRecord, false},
        {"cut off by 3", text.substr(0, text.size() - 3), 13, ErrorCode::InvalidRecord, false},
        {"magic 1", joined({with_field(one, kMagicAt, uint8_t{1}, false)}), 13,
         ErrorCode::InvalidRecord, false},
        {"magic 9", joined({with_field(one, kMagicAt, uint8_t{9}, false)}), 13,
         ErrorCode::CorruptMessage, true},
        {"length 13", joined({with_field(one, kLengthAt, int32_t{13}, false)}), 13,
         ErrorCode::CorruptMessage, true},
        {"length -1", joined({with_field(one, kLengthAt, int32_t{-1}, false)}), 13,
         ErrorCode::CorruptMessage, true},
        {"zstd in version 6", std::string(zstd.text()), 6, ErrorCode::UnsupportedCompressionType,
         false},
        {"zstd in version 7", std::string(zstd.text()), 7, ErrorCode::None, false},
        {"codec 6 in version 6",
         joined({with_field(one, kAttributesAt, int16_t{6})}), 6, ErrorCode::UnknownServerError,
         false},
        {"codec 6 in version 7", joined({with_field(one, kAttributesAt, int16_t{6})}), 7,
         ErrorCode::None, false},
        {"two batches", text + text, 13, ErrorCode::InvalidRecord, false},
        {"11 stray bytes", text + text.substr(0, 11), 13, ErrorCode::None, false},
        {"a second one cut off", text + text.substr(0, text.size() - 1), 13, ErrorCode::None,
         false},
        {"a second of bad magic",
         joined({one, with_field(one, kMagicAt, uint8_t{9}, false)}), 13,
         ErrorCode::CorruptMessage, false},
        {"a second of bad length", joined({one, ByteView(std::string_view("\0\0\0\0\0\0\0\0\0\0\0\1", 12))}),
         13, ErrorCode::CorruptMessage, false},
    };
    for (const Row& row : rows) {
        const ProduceShape shape = check_produce_shape(view_of(row.records), row.version);
        EXPECT_EQ(shape.error, row.error) << row.what;
        EXPECT_EQ(shape.request_error.has_value(), row.whole_request) << row.what;
        if (shape.error == ErrorCode::None) {
            EXPECT_GE(row.records.size(), shape.batch_bytes) << row.what;
        }
    }
    EXPECT_EQ(check_produce_shape(with_field(one, kMagicAt, uint8_t{9}, false), 13).request_error,
              "Invalid magic found in record: 9");
    EXPECT_EQ(check_produce_shape(with_field(one, kLengthAt, int32_t{13}, false), 13).request_error,
              "Record size 13 is less than the minimum record overhead (14)");
    EXPECT_EQ(check_produce_shape(one, 3).batch_bytes, one.size());
}

TEST(ProduceShape, TellsTheProducer) {
    BatchOptions options;
    options.producer_id = ProducerId(77);
    options.producer_epoch = ProducerEpoch(3);
    options.base_sequence = 0;
    options.is_transactional = true;
    const ProduceShape shape = check_produce_shape(sample_batch(1, options), 13);
    EXPECT_TRUE(shape.is_transactional);
    EXPECT_EQ(shape.producer_id, ProducerId(77));
    EXPECT_EQ(shape.producer_epoch, ProducerEpoch(3));
    EXPECT_FALSE(check_produce_shape(sample_batch(1), 13).is_transactional);
}

// ---- validate_produce: the header (rows 2 to 7)

TEST(ValidateHeader, Rows) {
    const Buffer good = sample_batch(3, {}, kNow.value);
    BatchOptions with_producer;
    with_producer.producer_id = ProducerId(9);
    with_producer.producer_epoch = ProducerEpoch(0);
    with_producer.base_sequence = 4;
    const Buffer idempotent = sample_batch(3, with_producer, kNow.value);
    ProduceRules small;
    small.max_message_bytes = static_cast<int32_t>(good.size()) - 1;
    ProduceRules exact;
    exact.max_message_bytes = static_cast<int32_t>(good.size());
    struct Row {
        const char* what;
        Buffer batch;
        ErrorCode error;
        ProduceRules rules;
    };
    const Row rows[] = {
        {"good", good, ErrorCode::None, {}},
        {"good idempotent", idempotent, ErrorCode::None, {}},
        {"base offset 5", with_field(good, kBaseOffsetAt, int64_t{5}), ErrorCode::InvalidRecord, {}},
        {"at the size limit", good, ErrorCode::None, exact},
        {"over the size limit", good, ErrorCode::MessageTooLarge, small},
        {"shorter than a header", good.slice(0, 60), ErrorCode::CorruptMessage, {}},
        {"checksum", with_field(good, kCrcAt, uint32_t{1}, false), ErrorCode::CorruptMessage, {}},
        {"codec 5", with_field(good, kAttributesAt, int16_t{5}), ErrorCode::UnknownServerError, {}},
        {"codec 7", with_field(good, kAttributesAt, int16_t{7}), ErrorCode::UnknownServerError, {}},
        {"last offset delta -1", with_field(good, kLastOffsetDeltaAt, -1), ErrorCode::InvalidRecord,
         {}},
        {"last offset delta min", with_field(good, kLastOffsetDeltaAt, INT32_MIN),
         ErrorCode::InvalidRecord, {}},
        {"last offset delta max", with_field(good, kLastOffsetDeltaAt, INT32_MAX),
         ErrorCode::InvalidRecord, {}},
        {"count 0", with_field(good, kRecordCountAt, 0), ErrorCode::InvalidRecord, {}},
        {"count -3", with_field(good, kRecordCountAt, -3), ErrorCode::InvalidRecord, {}},
        {"count 4 of 3", with_field(good, kRecordCountAt, 4), ErrorCode::InvalidRecord, {}},
        {"control", with_field(good, kAttributesAt, kControlBit), ErrorCode::InvalidRecord, {}},
        {"no sequence", with_field(idempotent, kBaseSequenceAt, -1), ErrorCode::InvalidRecord, {}},
        {"producer id -2, no sequence", with_field(good, kProducerIdAt, int64_t{-2}),
         ErrorCode::None, {}},
    };
    for (const Row& row : rows) {
        EXPECT_EQ(error_of(Buffer::copy_of(row.batch.view()), row.rules), row.error) << row.what;
    }
}

TEST(ValidateHeader, FirstFailureWins) {
    // Every row broken at once; repairing them in order shows the next one.
    Buffer batch = sample_batch(3, {}, kNow.value);
    uint8_t* at = batch.mutable_data();
    const auto repair = [&] { store_big(at + kCrcAt, BatchView(batch).compute_crc()); };
    store_big(at + kBaseOffsetAt, int64_t{1});
    store_big(at + kAttributesAt, static_cast<int16_t>(kControlBit | 6));
    store_big(at + kRecordCountAt, 0);
    store_big(at + kProducerIdAt, int64_t{1});
    ProduceRules small;
    small.max_message_bytes = 61;
    EXPECT_EQ(error_of(batch, small), ErrorCode::InvalidRecord);
    store_big(at + kBaseOffsetAt, int64_t{0});
    EXPECT_EQ(error_of(batch, small), ErrorCode::MessageTooLarge);
    EXPECT_EQ(error_of(batch), ErrorCode::CorruptMessage);
    repair();
    EXPECT_EQ(error_of(batch), ErrorCode::UnknownServerError);
    store_big(at + kAttributesAt, kControlBit);
    repair();
    EXPECT_EQ(error_of(batch), ErrorCode::InvalidRecord);
    store_big(at + kRecordCountAt, 3);
    repair();
    EXPECT_EQ(error_of(batch), ErrorCode::InvalidRecord);
    store_big(at + kAttributesAt, int16_t{0});
    repair();
    EXPECT_EQ(error_of(batch), ErrorCode::InvalidRecord);  // sequence
    store_big(at + kBaseSequenceAt, 0);
    repair();
    EXPECT_EQ(error_of(batch), ErrorCode::None);
}

// ---- the records (row 8)

TEST(ValidateRecords, MalformedPayloadsOfEveryCodec) {
    const Buffer two = with_field(with_field(sample_batch(1, {}, kNow.value), kRecordCountAt, 2),
                                  kLastOffsetDeltaAt, 1);
    const char* rows[] = {
        "14 00 00 00 04 6b31 04 7631 00",                                   // one record of two
        "14 00 00 00 04 6b31 04 7631 00 14 00 00 02 04 6b31 04 7631 00 00",  // a byte left over
        "14 00 00 00 04 6b31 04 7631 00 16 00 00 02 04 6b31 04 7631 00",    // length beyond the end
        "14 00 00 00 04 6b31 04 7631 00 12 00 00 02 04 6b31 04 7631 00",    // length too short
        "14 00 00 00 04 6b31 04 7631 00 14 00 00 02 7f 6b31 04 7631 01",    // header count -1
        "14 00 00 00 04 6b31 04 7631 00 1a 00 00 02 04 6b31 04 7631 02 01 00 00",  // null header key
        "01 00",
        "",
    };
    for (const char* hex : rows) {
        for (const CompressionType codec : kAllCodecs) {
            const Buffer typed = with_field(two, kAttributesAt, static_cast<int16_t>(codec));
            const Buffer payload = compress_all(codec, from_hex(hex));
            EXPECT_EQ(error_of(with_payload(typed, payload)), ErrorCode::InvalidRecord)
                << hex << " " << compression_name(codec);
        }
    }
}

TEST(ValidateRecords, PayloadThatDoesNotDecompressIsAnUnknownError) {
    for (const CompressionType codec : kAllCodecs) {
        if (codec == CompressionType::None) continue;
        const Buffer lying =
            with_field(sample_batch(3, {}, kNow.value), kAttributesAt, static_cast<int16_t>(codec));
        EXPECT_EQ(error_of(lying), ErrorCode::UnknownServerError) << compression_name(codec);
    }
}

TEST(ValidateRecords, TruncatedAtEveryByte) {
    for (const CompressionType codec : kAllCodecs) {
        const Buffer good = packed_sample(codec);
        const ByteView payload = good.view().from(kBatchHeaderBytes);
        for (size_t size = 0; size < payload.size; ++size) {
            const ErrorCode error = error_of(with_payload(good, payload.sub(0, size)));
            EXPECT_TRUE(error == ErrorCode::InvalidRecord || error == ErrorCode::UnknownServerError)
                << compression_name(codec) << size;
        }
    }
}

TEST(ValidateRecords, BombStopsAtTheBound) {
    const std::string zeros(8 << 20, '\0');
    ProduceRules rules;
    rules.inflated_bytes_max = 1 << 20;
    for (const CompressionType codec : kAllCodecs) {
        if (codec == CompressionType::None) continue;
        BatchOptions options;
        options.compression = codec;
        BatchBuilder builder;
        builder.start(options);
        builder.append({.value = view_of(zeros)});
        const Buffer bomb = builder.finish();
        EXPECT_EQ(error_of(Buffer::copy_of(bomb.view()), rules), ErrorCode::MessageTooLarge)
            << compression_name(codec);
        EXPECT_EQ(error_of(bomb), ErrorCode::None) << compression_name(codec);
    }
}

TEST(ValidateRecords, WrongDeltasOfUncompressedBatchesAreKept) {
    Buffer batch = with_payload(sample_batch(1, {}, kNow.value),
                                from_hex("14 00 00 0e 04 6b31 04 7631 00"));
    const Buffer before = Buffer::copy_of(batch.view());
    const ProduceVerdict verdict = judge(batch);
    EXPECT_TRUE(verdict.ok());
    EXPECT_FALSE(verdict.rebuilt);
    EXPECT_EQ(batch, before);
}

// ---- keys and timestamps (row 9)

TEST(ValidateKeys, CompactedTopicNamesEveryKeylessRecord) {
    ProduceRules rules;
    rules.compacted = true;
    for (const CompressionType codec : kAllCodecs) {
        BatchOptions options;
        options.compression = codec;
        BatchBuilder builder;
        builder.start(options);
        builder.append({.timestamp = kNow, .value = ByteView("v")});
        builder.append({.timestamp = kNow, .key = ByteView("a"), .value = ByteView("v")});
        builder.append({.timestamp = kNow, .value = ByteView("v")});
        Buffer batch = builder.finish();
        static ValidateScratch scratch;
        const ProduceVerdict verdict =
            validate_produce(batch, rules, {"cmp", PartitionIndex(0)}, kNow, scratch);
        EXPECT_EQ(verdict.error, ErrorCode::InvalidRecord);
        ASSERT_EQ(verdict.record_errors.size(), 2U);
        EXPECT_EQ(verdict.record_errors[0].batch_index, 0);
        EXPECT_EQ(verdict.record_errors[1].batch_index, 2);
        EXPECT_EQ(verdict.record_errors[1].message,
                  "Compacted topic cannot accept message without key in topic partition cmp-0");
        EXPECT_EQ(verdict.error_message,
                  "One or more records have been rejected due to 2 record errors in total, and only "
                  "showing the first three errors at most: [RecordError(batchIndex=0, "
                  "message='Compacted topic cannot accept message without key in topic partition "
                  "cmp-0'), RecordError(batchIndex=2, message='Compacted topic cannot accept message "
                  "without key in topic partition cmp-0')]");
        EXPECT_EQ(error_of(batch), ErrorCode::None) << "fine in a topic that is not compacted";
    }
}

TEST(ValidateKeys, MessageShowsThreeOfMany) {
    ProduceRules rules;
    rules.compacted = true;
    BatchBuilder builder;
    builder.start({});
    for (int i = 0; i < 5; ++i) builder.append({.timestamp = kNow, .value = ByteView("v")});
    Buffer batch = builder.finish();
    const ProduceVerdict verdict = judge(batch, rules);
    EXPECT_EQ(verdict.record_errors.size(), 5U);
    EXPECT_NE(verdict.error_message->find("due to 5 record errors"), std::string::npos);
    EXPECT_NE(verdict.error_message->find("batchIndex=2"), std::string::npos);
    EXPECT_EQ(verdict.error_message->find("batchIndex=3"), std::string::npos);
}

TEST(ValidateTimestamps, GoldenExchangeSeven) {
    BatchBuilder builder;
    builder.start({});
    builder.append({.timestamp = kNow, .key = ByteView("k"), .value = ByteView("v")});
    builder.append({.timestamp = WallMs{kNow.value + 3'699'901},
                    .key = ByteView("k"),
                    .value = ByteView("v")});
    Buffer batch = builder.finish();
    const ProduceVerdict verdict = judge(batch);
    EXPECT_EQ(verdict.error, ErrorCode::InvalidTimestamp);
    EXPECT_EQ(verdict.error_message,
              "One or more records have been rejected due to invalid timestamp");
    ASSERT_EQ(verdict.record_errors.size(), 1U);
    EXPECT_EQ(verdict.record_errors[0].batch_index, 1);
    EXPECT_EQ(verdict.record_errors[0].message,
              "Timestamp 1795237050177 of message with offset 1 is out of range. The timestamp "
              "should be within [-9223370241621425531, 1795236950276]");
}

TEST(ValidateTimestamps, Bounds) {
    struct Row {
        int64_t timestamp;
        int64_t before;
        int64_t after;
        ErrorCode error;
    };
    constexpr int64_t kMax64 = std::numeric_limits<int64_t>::max();
    const int64_t now = kNow.value;
    const Row rows[] = {
        {now, kMax64, 3'600'000, ErrorCode::None},
        {now + 3'600'000, kMax64, 3'600'000, ErrorCode::None},
        {now + 3'600'001, kMax64, 3'600'000, ErrorCode::InvalidTimestamp},
        {0, kMax64, 3'600'000, ErrorCode::None},
        {-1, 10, 10, ErrorCode::None},  // no timestamp
        {now - 10, 10, 10, ErrorCode::None},
        {now - 11, 10, 10, ErrorCode::InvalidTimestamp},
        {now + 10, 10, 10, ErrorCode::None},
        {now + 11, 10, 10, ErrorCode::InvalidTimestamp},
        {kMax64, kMax64, kMax64, ErrorCode::None},
        {kMin64, kMax64, 3'600'000, ErrorCode::InvalidTimestamp},  // the difference wraps, as in Java
        {-2, kMax64, 3'600'000, ErrorCode::None},
    };
    for (const Row& row : rows) {
        ProduceRules rules;
        rules.timestamp_before_max_ms = row.before;
        rules.timestamp_after_max_ms = row.after;
        for (const CompressionType codec : kAllCodecs) {
            BatchOptions options;
            options.compression = codec;
            BatchBuilder builder;
            builder.start(options);
            builder.append({.timestamp = WallMs{row.timestamp}, .value = ByteView("v")});
            EXPECT_EQ(error_of(builder.finish(), rules), row.error)
                << row.timestamp << " " << compression_name(codec);
        }
    }
}

TEST(ValidateTimestamps, TimestampErrorsOutweighKeyErrors) {
    ProduceRules rules;
    rules.compacted = true;
    BatchBuilder builder;
    builder.start({});
    builder.append({.timestamp = kNow, .value = ByteView("v")});
    builder.append({.timestamp = WallMs{kNow.value * 2}, .key = ByteView("k")});
    builder.append({.timestamp = WallMs{kNow.value * 2}});  // the key is looked at first
    Buffer batch = builder.finish();
    const ProduceVerdict verdict = judge(batch, rules);
    EXPECT_EQ(verdict.error, ErrorCode::InvalidTimestamp);
    ASSERT_EQ(verdict.record_errors.size(), 3U);
    EXPECT_TRUE(verdict.record_errors[2].message.starts_with("Compacted topic"));
}

TEST(ValidateRecords, StructuralFaultHidesRecordErrors) {
    ProduceRules rules;
    rules.compacted = true;
    Buffer batch = sample_batch(2, {}, kNow.value);
    const std::string payload =
        std::string(from_hex("0e 00 00 00 01 02 76 00").text()) + "\x05 rest";
    batch = with_payload(batch, view_of(payload));
    const ProduceVerdict verdict = judge(batch, rules);
    EXPECT_EQ(verdict.error, ErrorCode::InvalidRecord);
    EXPECT_TRUE(verdict.record_errors.empty());
    EXPECT_FALSE(verdict.error_message.has_value());
}

// ---- what is written (B.3)

TEST(ValidateInPlace, GoodBatchesStayByteForByte) {
    for (const CompressionType codec : kAllCodecs) {
        Buffer batch = packed_sample(codec);
        const Buffer before = Buffer::copy_of(batch.view());
        const uint8_t* at = batch.data();
        const ProduceVerdict verdict = judge(batch);
        EXPECT_TRUE(verdict.ok());
        EXPECT_FALSE(verdict.rebuilt);
        EXPECT_EQ(batch, before);
        EXPECT_EQ(batch.data(), at);
        EXPECT_EQ(verdict.record_count, 5);
        EXPECT_EQ(verdict.offset_delta_of_max_timestamp, 4);
        EXPECT_EQ(verdict.max_timestamp, WallMs{kNow.value - 1000 + 40});
        EXPECT_EQ(verdict.log_append_time, kNoTimestamp);
    }
}

TEST(ValidateInPlace, WrongMaximumIsRecomputed) {
    for (const CompressionType codec : kAllCodecs) {
        const Buffer good = packed_sample(codec);
        Buffer batch = with_field(good, kMaxTimestampAt, int64_t{12345});
        EXPECT_TRUE(judge(batch).ok());
        EXPECT_EQ(batch, good) << compression_name(codec);
    }
}

TEST(ValidateInPlace, NoTimestampsAtAll) {
    BatchBuilder builder;
    builder.start({});
    builder.append({.value = ByteView("v")});
    Buffer batch = builder.finish();
    const ProduceVerdict verdict = judge(batch);
    EXPECT_TRUE(verdict.ok());
    EXPECT_EQ(verdict.max_timestamp, kNoTimestamp);
}

TEST(ValidateInPlace, LogAppendTimeChangesAttributesMaximumAndChecksumOnly) {
    ProduceRules rules;
    rules.timestamp_type = TimestampType::LogAppendTime;
    for (const CompressionType codec : kAllCodecs) {
        Buffer batch = packed_sample(codec);
        const Buffer before = Buffer::copy_of(batch.view());
        const ProduceVerdict verdict = judge(batch, rules);
        ASSERT_TRUE(verdict.ok());
        EXPECT_EQ(verdict.max_timestamp, kNow);
        EXPECT_EQ(verdict.log_append_time, kNow);
        const BatchView view(batch);
        EXPECT_TRUE(view.valid_crc());
        EXPECT_EQ(view.timestamp_type(), TimestampType::LogAppendTime);
        EXPECT_EQ(view.max_timestamp(), kNow);
        EXPECT_EQ(view.base_timestamp(), BatchView(before).base_timestamp());
        EXPECT_EQ(view.payload(), BatchView(before).payload());
    }
}

TEST(ValidateInPlace, LogAppendTimeBitFromTheProducer) {
    ProduceRules append_time;
    append_time.timestamp_type = TimestampType::LogAppendTime;
    BatchOptions options;
    options.timestamp_type = TimestampType::LogAppendTime;
    options.log_append_time = kNow;
    for (const CompressionType codec : kAllCodecs) {
        // Cleared on a CreateTime topic when its timestamps pass.
        Buffer batch = packed_sample(codec, 2, options);
        EXPECT_TRUE(judge(batch).ok());
        EXPECT_EQ(BatchView(batch).timestamp_type(), TimestampType::CreateTime);
        EXPECT_EQ(BatchView(batch).max_timestamp(), kNow);
        EXPECT_TRUE(BatchView(batch).valid_crc());
        // Refused on a LogAppendTime topic, and where it carries no timestamp.
        Buffer other = packed_sample(codec, 2, options);
        const ProduceVerdict verdict = judge(other, append_time);
        EXPECT_EQ(verdict.error, ErrorCode::InvalidTimestamp);
        ASSERT_EQ(verdict.record_errors.size(), 2U);
        const std::string type =
            codec == CompressionType::None ? "DefaultRecord" : "PartialDefaultRecord";
        EXPECT_EQ(verdict.record_errors[1].message,
                  "Invalid timestamp type in message " + type +
                      "(offset=1, timestamp=1795233350276, key=2 bytes, value=20 bytes). Producer "
                      "should not set timestamp type to LogAppendTime.");
        BatchOptions untimed = options;
        untimed.log_append_time = kNoTimestamp;
        EXPECT_EQ(error_of(packed_sample(codec, 2, untimed)), ErrorCode::InvalidTimestamp);
    }
}

TEST(ValidateRebuild, EveryPairOfCodecs) {
    BatchOptions options;
    options.producer_id = ProducerId(9);
    options.producer_epoch = ProducerEpoch(2);
    options.base_sequence = 70;
    options.is_transactional = true;
    for (const CompressionType source : kAllCodecs) {
        for (const CompressionType target : kAllCodecs) {
            ProduceRules rules;
            rules.target = target;
            Buffer batch = packed_sample(source, 200, options);
            const Buffer before = Buffer::copy_of(batch.view());
            const ProduceVerdict verdict = judge(batch, rules);
            ASSERT_TRUE(verdict.ok()) << compression_name(source) << compression_name(target);
            EXPECT_EQ(verdict.rebuilt, source != target);
            EXPECT_EQ(verdict.record_count, 200);
            const BatchView view(batch);
            EXPECT_EQ(view.compression(), target);
            EXPECT_TRUE(view.valid_crc());
            EXPECT_TRUE(view.is_transactional());
            EXPECT_EQ(view.producer_id(), ProducerId(9));
            EXPECT_EQ(view.producer_epoch(), ProducerEpoch(2));
            EXPECT_EQ(view.base_sequence(), 70);
            EXPECT_EQ(view.last_offset_delta(), 199);
            EXPECT_EQ(view.max_timestamp(), BatchView(before).max_timestamp());
            EXPECT_EQ(verdict.max_timestamp, view.max_timestamp());
            EXPECT_EQ(records_of(view), records_of(BatchView(before)));
        }
    }
}

TEST(ValidateRebuild, LogAppendTime) {
    ProduceRules rules;
    rules.timestamp_type = TimestampType::LogAppendTime;
    rules.target = CompressionType::Zstd;
    Buffer batch = packed_sample(CompressionType::Gzip);
    const ProduceVerdict verdict = judge(batch, rules);
    ASSERT_TRUE(verdict.ok());
    EXPECT_TRUE(verdict.rebuilt);
    EXPECT_EQ(BatchView(batch).timestamp_type(), TimestampType::LogAppendTime);
    EXPECT_EQ(BatchView(batch).max_timestamp(), kNow);
    EXPECT_EQ(BatchView(batch).base_timestamp(), WallMs{kNow.value - 1000});
    EXPECT_EQ(verdict.log_append_time, kNow);
}

TEST(ValidateRebuild, WrongDeltasOfCompressedBatchesAreRenumbered) {
    // Two records that both claim offset delta 7, as some old clients wrote.
    const Buffer payload =
        from_hex("14 00 00 0e 04 6b31 04 7631 00 14 00 02 0e 04 6b32 04 7632 00");
    for (const CompressionType codec : kAllCodecs) {
        if (codec == CompressionType::None) continue;
        Buffer batch =
            with_payload(packed_sample(codec, 2), compress_all(codec, payload.view()));
        const ProduceVerdict verdict = judge(batch);
        ASSERT_TRUE(verdict.ok());
        EXPECT_TRUE(verdict.rebuilt);
        const int64_t base = kNow.value - 1000;
        const std::vector<PlainRecord> wanted = {{0, base, "k1", "v1", 0},
                                                 {1, base + 1, "k2", "v2", 0}};
        EXPECT_EQ(records_of(BatchView(batch)), wanted) << compression_name(codec);
    }
}

TEST(ValidateRebuild, ResultIsHeldToTheSizeLimit) {
    const std::string zeros(100'000, 'z');
    ProduceRules rules;
    rules.target = CompressionType::None;
    rules.max_message_bytes = 50'000;
    for (const CompressionType codec : kAllCodecs) {
        if (codec == CompressionType::None) continue;
        BatchOptions options;
        options.compression = codec;
        BatchBuilder builder;
        builder.start(options);
        for (int i = 0; i < 3; ++i) builder.append({.value = view_of(zeros)});
        EXPECT_EQ(error_of(builder.finish(), rules), ErrorCode::MessageTooLarge);
    }
}

TEST(ValidateRebuild, WhatKafkasBuilderRefusesIsAnUnknownErrorOnlyThere) {
    ProduceRules rules;
    rules.target = CompressionType::Lz4;
    BatchBuilder builder;
    builder.start({});
    builder.append({.timestamp = WallMs{-5}, .value = ByteView("v")});
    BatchOptions producer;
    producer.producer_id = ProducerId(3);
    producer.base_sequence = 0;  // but no epoch
    const Buffer plain = sample_batch(1);
    const Buffer rows[] = {builder.finish(), sample_batch(1, producer),
                           with_field(plain, kProducerIdAt, int64_t{-2}),
                           with_field(plain, kAttributesAt, kTransactionalBit)};
    for (const Buffer& batch : rows) {
        EXPECT_EQ(error_of(Buffer::copy_of(batch.view()), rules), ErrorCode::UnknownServerError);
        EXPECT_EQ(error_of(Buffer::copy_of(batch.view())), ErrorCode::None);
    }
}

// ---- trusting headers

TEST(ValidateHeaderOnly, SkipsOnlyWhatNoRuleNeeds) {
    ProduceRules trust;
    trust.compressed_validation = CompressedValidation::Header;
    const Buffer garbage = with_payload(packed_sample(CompressionType::Zstd), ByteView("garbage"));
    EXPECT_EQ(error_of(Buffer::copy_of(garbage.view()), trust), ErrorCode::None);
    EXPECT_EQ(error_of(Buffer::copy_of(garbage.view())), ErrorCode::UnknownServerError);
    for (const int rule : {0, 1, 2}) {
        ProduceRules strict = trust;
        if (rule == 0) strict.compacted = true;
        if (rule == 1) strict.target = CompressionType::Lz4;
        if (rule == 2) strict.timestamp_before_max_ms = 1'000'000;
        EXPECT_EQ(error_of(Buffer::copy_of(garbage.view()), strict),
                  ErrorCode::UnknownServerError);
    }
    // Uncompressed batches are always walked; header timestamps are always judged.
    EXPECT_EQ(error_of(with_payload(sample_batch(1), ByteView("garbage")), trust),
              ErrorCode::InvalidRecord);
    const Buffer ahead = with_field(garbage, kMaxTimestampAt, kNow.value + 3'600'001);
    EXPECT_EQ(error_of(ahead, trust), ErrorCode::InvalidTimestamp);
    ProduceRules append_time = trust;
    append_time.timestamp_type = TimestampType::LogAppendTime;
    const Buffer marked = with_field(garbage, kAttributesAt, static_cast<int16_t>(4 | 8));
    EXPECT_EQ(error_of(marked, append_time), ErrorCode::InvalidTimestamp);
}

TEST(ValidateHostile, RandomDamageNeverBreaksTheBroker) {
    Rng rng(5);
    for (int round = 0; round < 4000; ++round) {
        const CompressionType codec = kAllCodecs[rng.below(5)];
        Buffer batch = packed_sample(codec, static_cast<int>(rng.below(4)) + 1);
        for (uint64_t i = rng.below(4); i > 0; --i) {
            batch.mutable_data()[kAttributesAt + rng.below(batch.size() - kAttributesAt)] =
                static_cast<uint8_t>(rng.next());
        }
        store_big(batch.mutable_data() + kCrcAt, BatchView(batch).compute_crc());
        ProduceRules rules;
        rules.inflated_bytes_max = 1 << 20;
        if (rng.chance(1, 2)) rules.target = kAllCodecs[rng.below(5)];
        rules.compacted = rng.chance(1, 4);
        const ProduceVerdict verdict = judge(batch, rules);
        if (verdict.ok()) {
            EXPECT_TRUE(BatchView(batch).valid_crc());
            Result<BatchRecords> records = BatchRecords::open(BatchView(batch), 1 << 21);
            ASSERT_TRUE(records.ok()) << round;
            RecordView record;
            while (records->next(record)) {
            }
            EXPECT_EQ(records->end_reason(), RecordsEnd::Complete) << round;
        }
    }
}

}  // namespace
}  // namespace millrace::record
