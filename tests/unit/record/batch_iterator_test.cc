// tests/unit/record/batch_iterator_test.cc: walks over whole, cut-off and hostile bytes.
#include "millrace/record/batch_iterator.h"

#include <gtest/gtest.h>

#include "test_batches.h"

namespace millrace::record {
namespace {

TEST(BatchIterator, StopsAtEveryCut) {
    const std::string bytes = read_golden("codecs-0/00000000000000000000.log");  // 439 + 163 bytes
    for (size_t size = 0; size <= bytes.size(); ++size) {
        BatchIterator batches(view_of(bytes).sub(0, size));
        size_t count = 0;
        while (batches.next()) ++count;
        const size_t whole = size == 602 ? 2 : size >= 439 ? 1 : 0;
        ASSERT_EQ(count, whole) << size;
        ASSERT_EQ(batches.valid_bytes(), whole == 2 ? 602U : whole == 1 ? 439U : 0U);
        const bool clean = size == 0 || size == 439 || size == 602;
        ASSERT_EQ(batches.end(), clean ? WalkEnd::Clean : WalkEnd::CutOff) << size;
        ASSERT_FALSE(batches.next());
    }
}

TEST(BatchIterator, RefusesImpossibleHeaders) {
    const Buffer good = sample_batch(1);
    for (const int32_t length : {0, -1, 48, INT32_MIN}) {
        const Buffer bad = with_field(good, kLengthAt, length, false);
        BatchIterator batches(bad);
        EXPECT_FALSE(batches.next());
        EXPECT_EQ(batches.end(), WalkEnd::Corrupt) << length;
    }
    for (const int magic : {0, 1, 3, 255}) {
        const Buffer bad = with_field(good, kMagicAt, static_cast<uint8_t>(magic), false);
        BatchIterator batches(bad);
        EXPECT_FALSE(batches.next());
        EXPECT_EQ(batches.end(), WalkEnd::Corrupt) << magic;
    }
    const Buffer long_one = with_field(good, kLengthAt, INT32_MAX, false);
    BatchIterator batches(long_one);
    EXPECT_FALSE(batches.next());
    EXPECT_EQ(batches.end(), WalkEnd::CutOff);
}

TEST(RecordIterator, ReadsNullsAndHeaders) {
    const Buffer payload = from_hex("1e 00 0a 02 01 04 7632 04 02 68 02 78 02 6e 01");
    RecordIterator records(payload, 1);
    RecordView record;
    ASSERT_TRUE(records.next(record));
    EXPECT_EQ(record.timestamp_delta, 5);
    EXPECT_EQ(record.offset_delta, 1);
    EXPECT_FALSE(record.key.has_value());
    EXPECT_EQ(record.value->text(), "v2");
    EXPECT_EQ(record.size_bytes, payload.size());
    HeaderIterator headers = record.headers();
    HeaderView header;
    ASSERT_TRUE(headers.next(header));
    EXPECT_EQ(header.key, "h");
    EXPECT_EQ(header.value->text(), "x");
    ASSERT_TRUE(headers.next(header));
    EXPECT_EQ(header.key, "n");
    EXPECT_FALSE(header.value.has_value());
    EXPECT_FALSE(headers.next(header));
    EXPECT_FALSE(records.next(record));
    EXPECT_EQ(records.end_reason(), RecordsEnd::Complete);
}

TEST(RecordIterator, RefusesMalformedRecords) {
    const char* rows[] = {
        "",                                 // nothing where one record was promised
        "00",                               // no room for attributes
        "02",                               // body cut off
        "01 00",                            // negative body length
        "0e 00 00 00 04 6b31 04 7631",      // body reaches past the end
        "14 00 00 00 06 6b31 04 7631 00",   // key swallows the rest
        "14 00 00 00 04 6b31 08 7631 00",   // value reaches past the record
        "14 00 00 00 04 6b31 04 7631 01",   // negative header count
        "14 00 00 00 04 6b31 04 7631 02",   // a header promised, none there
        "12 00 00 00 04 6b31 04 7631 00",   // fields overrun the declared body
        "16 00 00 00 04 6b31 04 7631 00 00",  // fields do not fill the declared body
        "18 00 00 00 04 6b31 04 7631 02 01 01",  // null header key
        "0a ff ff ff ff ff ff ff ff ff ff 01",  // varint that does not end
        "feffffff0f 00",                    // a body of 2 GiB
        "14 00 00 00 04 6b31 04 7631 00 00",  // a byte left over
    };
    for (const char* hex : rows) {
        const Buffer payload = from_hex(hex);
        RecordIterator records(payload, 1);
        RecordView record;
        while (records.next(record)) {
        }
        EXPECT_EQ(records.end_reason(), RecordsEnd::Malformed) << hex;
    }
    RecordIterator negative(ByteView(), -1);
    RecordView record;
    EXPECT_FALSE(negative.next(record));
    EXPECT_EQ(negative.end_reason(), RecordsEnd::Malformed);
}

TEST(BatchRecords, RefusesUnknownCodecAndBrokenPayload) {
    for (const int16_t id : std::initializer_list<int16_t>{5, 6, 7}) {
        const Buffer batch = with_field(sample_batch(1), kAttributesAt, id);
        EXPECT_EQ(BatchRecords::open(BatchView(batch)).status().errc(), Errc::Corrupt);
    }
    for (const int16_t id : std::initializer_list<int16_t>{1, 2, 3, 4}) {  // not of the codec
        const Buffer batch = with_field(sample_batch(2), kAttributesAt, id);
        EXPECT_EQ(BatchRecords::open(BatchView(batch)).status().errc(), Errc::Corrupt) << id;
    }
}

TEST(BatchRecords, StopsABomb) {
    for (const CompressionType codec : kAllCodecs) {
        if (codec == CompressionType::None) continue;
        BatchOptions options;
        options.compression = codec;
        BatchBuilder builder;
        builder.start(options);
        const std::string zeros(1 << 20, '\0');
        builder.append({.value = view_of(zeros)});
        const Buffer batch = builder.finish();
        EXPECT_EQ(BatchRecords::open(BatchView(batch), 100'000).status().errc(),
                  Errc::LimitExceeded)
            << compression_name(codec);
        EXPECT_TRUE(BatchRecords::open(BatchView(batch)).ok());
    }
}

TEST(BatchRecords, NeverReadsOutsideWhateverTheBytes) {  // meaningful under the address sanitizer
    Rng rng(11);
    for (const std::string& name : golden_logs()) {
        const std::string golden = read_golden(name);
        for (int round = 0; round < 300; ++round) {
            std::string bytes = golden.substr(0, rng.below(golden.size()) + 1);
            for (int i = 0; i < 3; ++i) bytes[rng.below(bytes.size())] = static_cast<char>(rng.next());
            const Buffer exact = Buffer::copy_of(std::string_view(bytes));
            BatchIterator batches(exact);
            while (batches.next()) {
                Result<BatchRecords> records = BatchRecords::open(batches.batch(), 1 << 20);
                if (!records.ok()) continue;
                RecordView record;
                while (records->next(record)) {
                    HeaderIterator headers = record.headers();
                    HeaderView header;
                    while (headers.next(header)) {
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace millrace::record
