// tests/unit/record/compression_test.cc: round trips, foreign variants, cut-off and lying input.
#include "millrace/record/compression.h"

#include <gtest/gtest.h>

#include "test_batches.h"

namespace millrace::record {
namespace {

Buffer sample_bytes(size_t size, bool random) {
    Rng rng(size + (random ? 1 : 0));
    Buffer bytes = Buffer::allocate(size);
    for (size_t i = 0; i < size; ++i) {
        bytes.mutable_data()[i] = static_cast<uint8_t>(random ? rng.next() : rng.below(3));
    }
    return bytes;
}

TEST(Compression, RoundTripsAtBlockBorders) {
    for (const size_t size : {0, 1, 100, 32'767, 32'768, 32'769, 65'536, 65'537, 700'000}) {
        for (const bool random : {false, true}) {
            const Buffer bytes = sample_bytes(size, random);
            for (const CompressionType codec : kAllCodecs) {
                const Buffer packed = compress_all(codec, bytes);
                Result<Buffer> back = decompress_all(codec, packed);
                ASSERT_TRUE(back.ok()) << compression_name(codec) << size << back.status().message();
                ASSERT_EQ(*back, bytes) << compression_name(codec) << size;
            }
        }
    }
}

TEST(Compression, EveryLevelIsReadable) {
    const Buffer bytes = sample_bytes(100'000, false);
    const CompressionLevels rows[] = {{-1, 1, -131072}, {1, 2, -5}, {9, 17, 22}, {6, 9, 19},
                                      {100, 100, 100}};  // out of range: clamped
    for (const CompressionLevels& levels : rows) {
        for (const CompressionType codec : kAllCodecs) {
            Result<Buffer> back = decompress_all(codec, compress_all(codec, bytes, levels));
            ASSERT_TRUE(back.ok());
            EXPECT_EQ(*back, bytes) << compression_name(codec);
        }
    }
}

TEST(Compression, PiecewiseInputIsOneStream) {
    const Buffer bytes = sample_bytes(150'000, false);
    Rng rng(3);
    for (const CompressionType codec : kAllCodecs) {
        Compressor compressor;
        std::vector<uint8_t> out = {1, 2, 3};
        compressor.start(codec, {}, out);
        for (size_t at = 0; at < bytes.size();) {
            const size_t step = std::min<size_t>(rng.below(20'000) + 1, bytes.size() - at);
            compressor.append(bytes.view().sub(at, step));
            at += step;
        }
        compressor.finish();
        Result<Buffer> back = decompress_all(codec, {out.data() + 3, out.size() - 3});
        ASSERT_TRUE(back.ok());
        EXPECT_EQ(*back, bytes) << compression_name(codec);
    }
}

TEST(Decompressor, SurvivesEveryCut) {
    const Buffer bytes = sample_bytes(3000, false);
    for (const CompressionType codec : kAllCodecs) {
        if (codec == CompressionType::None) continue;
        const Buffer packed = compress_all(codec, bytes);
        for (size_t size = 1; size < packed.size(); ++size) {
            const Buffer cut = Buffer::copy_of(packed.view().sub(0, size));
            Result<Buffer> back = decompress_all(codec, cut);
            // Framed snappy may end between blocks; every other codec knows its end.
            if (codec == CompressionType::Snappy && back.ok()) {
                EXPECT_LT(back->size(), bytes.size());
                continue;
            }
            EXPECT_EQ(back.status().errc(), Errc::Corrupt) << compression_name(codec) << size;
        }
    }
}

TEST(Decompressor, NoBytesAreNoStreamExceptToZstd) {
    for (const CompressionType codec : kAllCodecs) {
        const bool fine = codec == CompressionType::None || codec == CompressionType::Zstd;
        EXPECT_EQ(decompress_all(codec, ByteView()).ok(), fine) << compression_name(codec);
    }
}

TEST(Decompressor, SurvivesFlippedBits) {
    const Buffer bytes = sample_bytes(5000, false);
    Rng rng(9);
    for (const CompressionType codec : kAllCodecs) {
        const Buffer packed = compress_all(codec, bytes);
        for (int round = 0; round < 500; ++round) {
            const Buffer bad = Buffer::copy_of(packed.view());
            bad.mutable_data()[rng.below(bad.size())] ^= static_cast<uint8_t>(1U << rng.below(8));
            Result<Buffer> back = decompress_all(codec, bad, 1 << 20);
            EXPECT_TRUE(!back.ok() || back->size() <= size_t{1} << 20);
        }
    }
}

TEST(Decompressor, StopsAtItsBoundAndStaysStopped) {
    const Buffer zeros = Buffer::allocate(4 << 20);
    std::memset(zeros.mutable_data(), 0, zeros.size());
    for (const CompressionType codec : kAllCodecs) {
        const Buffer packed = compress_all(codec, zeros);
        Decompressor decompressor;
        decompressor.start(codec, packed, 1'000'000);
        uint64_t seen = 0;
        Status status;
        while (status.ok()) {
            const Result<ByteView> chunk = decompressor.next();
            status = chunk.status();
            if (chunk.ok()) seen += chunk->size;
        }
        EXPECT_LE(seen, 1'000'000U);
        EXPECT_EQ(status.errc(), Errc::LimitExceeded) << compression_name(codec);
        EXPECT_EQ(decompressor.next().status().errc(), Errc::LimitExceeded);
        const Buffer again = compress_all(codec, ByteView("again"));
        decompressor.start(codec, again);
        EXPECT_EQ(decompressor.next()->text(), "again");
        EXPECT_TRUE(decompressor.next()->empty());
    }
}

TEST(DecompressorSnappy, ReadsRawBlocksAndRefusesLies) {
    // "hello" as one raw block, the way librdkafka and Go clients may send it.
    EXPECT_EQ(decompress_all(CompressionType::Snappy, from_hex("05 10 68656c6c6f"))->text(),
              "hello");
    // A claim of 4 GiB - 1 in six bytes must not be believed.
    EXPECT_EQ(decompress_all(CompressionType::Snappy, from_hex("ffffffff0f 00")).status().errc(),
              Errc::Corrupt);
    // The same inside xerial framing, and a block longer than the payload.
    const std::string header = "82534e4150505900 00000001 00000001";
    EXPECT_FALSE(
        decompress_all(CompressionType::Snappy, from_hex(header + "00000006 ffffffff0f00")).ok());
    EXPECT_FALSE(decompress_all(CompressionType::Snappy, from_hex(header + "7fffffff 00")).ok());
    EXPECT_FALSE(decompress_all(CompressionType::Snappy, from_hex(header + "ffffffff 00")).ok());
    // Two framed streams, one after the other.
    EXPECT_EQ(decompress_all(CompressionType::Snappy,
                             from_hex(header + "00000007 05 10 68656c6c6f" + header +
                                      "00000003 01 00 21"))
                  ->text(),
              "hello!");
}

TEST(DecompressorGzip, ReadsMembersInARow) {
    const std::string two =
        std::string(compress_all(CompressionType::Gzip, ByteView("ab")).text()) +
        std::string(compress_all(CompressionType::Gzip, ByteView("")).text()) +
        std::string(compress_all(CompressionType::Gzip, ByteView("cd")).text());
    EXPECT_EQ(decompress_all(CompressionType::Gzip, view_of(two))->text(), "abcd");
    EXPECT_EQ(decompress_all(CompressionType::Gzip, view_of(two + "tail"))->text(), "abcd");
}

TEST(DecompressorLz4, DemandsTheFrameKafkaReads) {
    const Buffer good = compress_all(CompressionType::Lz4, ByteView("hello"));
    EXPECT_EQ(good.data()[4], 0x60);  // version 1, independent blocks, no checksums
    EXPECT_EQ(good.data()[5], 0x40);  // 64 KiB blocks
    EXPECT_EQ(good.data()[6], 0x82);  // the header checksum Kafka writes for these flags
    // Dependent blocks, a dictionary, and two unknown versions.
    for (const uint8_t flags : std::initializer_list<uint8_t>{0x40, 0x61, 0x20, 0xa0}) {
        const Buffer bad = Buffer::copy_of(good.view());
        bad.mutable_data()[4] = flags;
        EXPECT_EQ(decompress_all(CompressionType::Lz4, bad).status().errc(), Errc::Corrupt);
    }
    const Buffer bad = Buffer::copy_of(good.view());
    bad.mutable_data()[6] ^= 1;
    EXPECT_EQ(decompress_all(CompressionType::Lz4, bad).status().errc(), Errc::Corrupt);
}

TEST(DecompressorZstd, ReadsFramesInARow) {
    const std::string two =
        std::string(compress_all(CompressionType::Zstd, ByteView("ab")).text()) +
        std::string(compress_all(CompressionType::Zstd, ByteView("cd")).text());
    EXPECT_EQ(decompress_all(CompressionType::Zstd, view_of(two))->text(), "abcd");
}

}  // namespace
}  // namespace millrace::record
