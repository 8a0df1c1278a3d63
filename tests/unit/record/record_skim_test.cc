// tests/unit/record/record_skim_test.cc: the quick walk sees what the full decoding sees.
#include "record/record_skim.h"

#include <gtest/gtest.h>

#include "test_batches.h"

namespace millrace::record {
namespace {

struct Walk {
    SkimEnd end;
    std::vector<int64_t> deltas;
    std::vector<int32_t> sizes;
};

Walk skim(CompressionType codec, ByteView payload, int32_t count, uint64_t limit = 1 << 26) {
    Walk walk;
    Decompressor decompressor;
    walk.end = skim_records(codec, payload, count, limit, decompressor,
                            [&walk](int32_t index, const SkimmedRecord& record) {
                                EXPECT_EQ(record.offset_delta, index);
                                walk.deltas.push_back(record.timestamp_delta);
                                walk.sizes.push_back(record.key_size);
                                walk.sizes.push_back(record.value_size);
                            });
    return walk;
}

TEST(SkimRecords, EveryCodecAndSizeAcrossWindows) {
    for (const size_t value_bytes : {0U, 100U, 65'000U, 65'536U, 300'000U}) {
        const Buffer plain = sample_batch(7, {}, 0, value_bytes);
        const Walk wanted = skim(CompressionType::None, plain.view().from(61), 7);
        EXPECT_EQ(wanted.end, SkimEnd::Complete);
        EXPECT_EQ(wanted.deltas[6], 60);
        EXPECT_EQ(wanted.sizes[13], static_cast<int32_t>(value_bytes));
        for (const CompressionType codec : kAllCodecs) {
            BatchOptions options;
            options.compression = codec;
            const Buffer batch = sample_batch(7, options, 0, value_bytes);
            const Walk got = skim(codec, batch.view().from(61), 7);
            EXPECT_EQ(got.end, SkimEnd::Complete) << compression_name(codec) << value_bytes;
            EXPECT_EQ(got.deltas, wanted.deltas);
            EXPECT_EQ(got.sizes, wanted.sizes);
        }
    }
}

TEST(SkimRecords, CountAndLeftOvers) {
    for (const CompressionType codec : kAllCodecs) {
        BatchOptions options;
        options.compression = codec;
        const Buffer batch = sample_batch(10, options);
        const ByteView payload = batch.view().from(61);
        EXPECT_EQ(skim(codec, payload, 9).end, SkimEnd::Malformed) << compression_name(codec);
        EXPECT_EQ(skim(codec, payload, 10).end, SkimEnd::Complete) << compression_name(codec);
        EXPECT_EQ(skim(codec, payload, 11).end, SkimEnd::Malformed) << compression_name(codec);
        EXPECT_EQ(skim(codec, payload, 10, 100).end, codec == CompressionType::None
                                                          ? SkimEnd::Complete
                                                          : SkimEnd::LimitReached);
        if (codec == CompressionType::None) continue;
        const SkimEnd cut = skim(codec, payload.sub(0, payload.size - 9), 10).end;
        EXPECT_EQ(cut, SkimEnd::Undecodable) << compression_name(codec);
    }
}

// Whatever the bytes: in place, and streamed through a codec, the verdict is the same as that of
// the full decoding.
TEST(SkimRecords, AgreesWithTheFullDecoding) {
    Rng rng(21);
    const RecordHeader headers[] = {{"header", ByteView("value")}, {"", std::nullopt}};
    BatchBuilder builder;
    builder.start({});
    for (int i = 0; i < 6; ++i) {
        builder.append({.timestamp = WallMs{i * 1000},
                        .key = i % 2 == 0 ? std::optional<ByteView>(ByteView("key")) : std::nullopt,
                        .value = i % 3 == 0 ? std::nullopt : std::optional(ByteView("value")),
                        .headers = headers,
                        .header_count = static_cast<size_t>(i % 3)});
    }
    const Buffer good = builder.finish().slice(61, builder.size_bytes() - 61);
    int complete = 0;
    for (int round = 0; round < 20'000; ++round) {
        Buffer bytes = Buffer::copy_of(good.view().sub(0, good.size() - rng.below(3) / 2));
        if (!rng.chance(1, 10)) {
            bytes.mutable_data()[rng.below(bytes.size())] = static_cast<uint8_t>(rng.next());
        }
        RecordIterator records(bytes, 6);
        RecordView record;
        bool offsets_fine = true;
        for (int32_t i = 0; records.next(record); ++i) offsets_fine &= record.offset_delta == i;
        if (!offsets_fine) continue;  // skim() above expects good ones
        const SkimEnd wanted = records.end_reason() == RecordsEnd::Complete ? SkimEnd::Complete
                                                                            : SkimEnd::Malformed;
        complete += wanted == SkimEnd::Complete ? 1 : 0;
        ASSERT_EQ(skim(CompressionType::None, bytes, 6).end, wanted) << round;
        if (round % 20 == 0) {
            const Buffer packed = compress_all(CompressionType::Lz4, bytes);
            ASSERT_EQ(skim(CompressionType::Lz4, packed, 6).end, wanted) << round;
        }
    }
    EXPECT_GT(complete, 1000);
}

}  // namespace
}  // namespace millrace::record
