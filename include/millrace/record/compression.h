// include/millrace/record/compression.h: the codecs of record payloads, streaming both ways.
//
// gzip, snappy (Java's xerial framing, and raw blocks as librdkafka writes), lz4 frames with
// independent blocks, zstd. What Kafka's clients and librdkafka write is read here and the other
// way round. Contexts and windows are kept between uses, so a warm object allocates nothing.
// Source of the formats: org.apache.kafka.common.compress, org.xerial.snappy, RFC 1952, RFC 8878,
// the LZ4 frame description.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/record/batch.h"

namespace millrace::record {

/// Default bound of what one batch may decompress to; the work of a bomb ends here.
inline constexpr uint64_t kInflatedBytesMax = uint64_t{1} << 30;
/// Levels as Kafka's topic settings compression.{gzip,lz4,zstd}.level allow them.
inline constexpr int kGzipLevelDefault = -1;
inline constexpr int kLz4LevelDefault = 9;
inline constexpr int kZstdLevelDefault = 3;

struct CompressionLevels {
    int gzip = kGzipLevelDefault;  // -1 or 1..9
    int lz4 = kLz4LevelDefault;    // 1..17
    int zstd = kZstdLevelDefault;  // -131072..22

    friend bool operator==(const CompressionLevels&, const CompressionLevels&) = default;
};

/// Decompresses one payload after the other, chunk by chunk. Owned by whoever reads batches (one
/// per shard is enough); not shared between threads. Memory: one window of 64 KiB, the codec's
/// own state (zstd: up to the frame's window, given back when large), for raw snappy the block.
class Decompressor {
  public:
    Decompressor();
    ~Decompressor();
    Decompressor(Decompressor&&) noexcept;
    Decompressor& operator=(Decompressor&&) noexcept;

    /// Forgets what was before. `compressed` must stay alive until the last next().
    void start(CompressionType type, ByteView compressed,
               uint64_t inflated_bytes_max = kInflatedBytesMax);
    /// The next bytes, valid until the following call; empty at the end. Corrupt: not of this
    /// codec or cut off. LimitExceeded: more than `inflated_bytes_max`. After a failure: the same.
    /// REQUIRES: start() was called.
    Result<ByteView> next();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Compresses a stream appended in pieces into one growing vector. Owned like a Decompressor.
class Compressor {
  public:
    Compressor();
    ~Compressor();
    Compressor(Compressor&&) noexcept;
    Compressor& operator=(Compressor&&) noexcept;

    /// Output is appended to `out`, which must outlive finish(). Levels out of range are clamped.
    void start(CompressionType type, const CompressionLevels& levels, std::vector<uint8_t>& out);
    void append(ByteView bytes);
    void finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// All of a payload in one Buffer, growing as the bytes come; same failures as Decompressor.
Result<Buffer> decompress_all(CompressionType type, ByteView compressed,
                              uint64_t inflated_bytes_max = kInflatedBytesMax);
Buffer compress_all(CompressionType type, ByteView bytes, const CompressionLevels& levels = {});

}  // namespace millrace::record
