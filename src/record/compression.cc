// src/record/compression.cc: gzip, snappy, lz4 and zstd streams; the only user of their libraries.
#include "millrace/record/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "millrace/base/assert.h"
#include "millrace/base/endian.h"

namespace millrace::record {

namespace {
constexpr size_t kWindowBytes = size_t{64} << 10;
constexpr size_t kOutStepBytes = size_t{16} << 10;  // gzip and zstd output grows by this
constexpr int kGzipWindowBits = 15 + 16;  // 32 KiB window, gzip wrapper
constexpr int kGzipMemoryLevel = 8;

// org.xerial.snappy.SnappyCodec: magic, version 1, lowest compatible version 1; then blocks, each
// a big-endian length and a raw snappy block of at most 32 KiB of input.
constexpr std::array<uint8_t, 16> kXerialHeader{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                                0,    0,   0,   1,   0,   0,   0,   1};
constexpr size_t kXerialMagicBytes = 8;
constexpr size_t kXerialBlockBytes = size_t{32} << 10;
// A snappy copy of 64 bytes takes 3 bytes at least, so a longer claim is a lie.
constexpr uint64_t kSnappyRatioMax = 64 / 3 + 1;

constexpr uint32_t kLz4FrameMagic = 0x184d2204;
constexpr size_t kLz4HeaderBytesMin = 7;  // magic, flags, block descriptor, header checksum
// Frame flags as Kafka's Lz4BlockInputStream demands: version 1, independent blocks, no dictionary.
constexpr uint8_t kLz4FlagsMask = 0xe3;
constexpr uint8_t kLz4FlagsWanted = 0x60;
constexpr int kLz4HighLevelMin = 3;
constexpr int kLz4HighLevelMax = 12;

// Contexts and blocks larger than this are given back before the next payload.
constexpr size_t kKeptBytesMax = size_t{16} << 20;

Status corrupt(const char* what) { return {Errc::Corrupt, what}; }
}  // namespace

struct Decompressor::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (gzip_ready) inflateEnd(&gzip);
        LZ4F_freeDecompressionContext(lz4);
        ZSTD_freeDCtx(zstd);
    }

    void start_gzip();
    void start_snappy();
    void start_lz4();
    void start_zstd();
    Result<ByteView> next_chunk();
    Result<ByteView> next_gzip();
    Result<ByteView> next_snappy();
    Result<ByteView> next_lz4();
    Result<ByteView> next_zstd();
    Result<ByteView> uncompress_snappy(ByteView block);
    uint8_t* room() {
        if (window == nullptr) window = std::make_unique_for_overwrite<uint8_t[]>(kWindowBytes);
        return window.get();
    }
    void consume(size_t bytes) { input = input.from(bytes); }

    CompressionType type = CompressionType::None;
    ByteView input;
    uint64_t inflated_max = 0;
    uint64_t inflated = 0;
    bool done = true;
    bool framed = false;  // snappy: xerial framing was seen
    Status failure;

    std::unique_ptr<uint8_t[]> window;
    std::unique_ptr<uint8_t[]> block;  // one decompressed snappy block
    size_t block_capacity = 0;
    z_stream gzip{};
    bool gzip_ready = false;
    LZ4F_dctx* lz4 = nullptr;
    ZSTD_DCtx* zstd = nullptr;
};

Decompressor::Decompressor() : state_(std::make_unique<State>()) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

void Decompressor::start(CompressionType type, ByteView compressed, uint64_t inflated_bytes_max) {
    State& s = *state_;
    s.type = type;
    s.input = compressed;
    s.inflated_max = inflated_bytes_max;
    s.inflated = 0;
    s.done = false;
    s.failure = Status();
    switch (type) {
        case CompressionType::None: return;
        case CompressionType::Gzip: return s.start_gzip();
        case CompressionType::Snappy: return s.start_snappy();
        case CompressionType::Lz4: return s.start_lz4();
        case CompressionType::Zstd: return s.start_zstd();
    }
}

Result<ByteView> Decompressor::next() {
    State& s = *state_;
    if (!s.failure.ok()) return s.failure;
    if (s.done) return ByteView();
    Result<ByteView> chunk = s.next_chunk();
    if (!chunk.ok()) {
        s.failure = chunk.status();
        return chunk;
    }
    s.inflated += chunk->size;
    if (s.inflated > s.inflated_max) {
        s.failure = Status(Errc::LimitExceeded, "a payload decompresses to more than " +
                                                    std::to_string(s.inflated_max) + " bytes");
        return s.failure;
    }
    return chunk;
}

Result<ByteView> Decompressor::State::next_chunk() {
    switch (type) {
        case CompressionType::None: done = true; return input;
        case CompressionType::Gzip: return next_gzip();
        case CompressionType::Snappy: return next_snappy();
        case CompressionType::Lz4: return next_lz4();
        case CompressionType::Zstd: return next_zstd();
    }
    MILLRACE_UNREACHABLE("codec");
}

void Decompressor::State::start_gzip() {
    if (gzip_ready) {
        inflateReset(&gzip);
    } else {
        MILLRACE_ASSERT(inflateInit2(&gzip, kGzipWindowBits) == Z_OK, "zlib starts");
        gzip_ready = true;
    }
    gzip.next_in = const_cast<uint8_t*>(input.data);  // zlib does not write its input
    gzip.avail_in = static_cast<uInt>(input.size);
}

// Java's GZIPInputStream reads concatenated members and ignores other bytes after a member.
Result<ByteView> Decompressor::State::next_gzip() {
    gzip.next_out = room();
    gzip.avail_out = static_cast<uInt>(kWindowBytes);
    while (true) {
        const int result = inflate(&gzip, Z_NO_FLUSH);
        const ByteView chunk(room(), kWindowBytes - gzip.avail_out);
        if (result == Z_STREAM_END) {
            const bool another =
                gzip.avail_in >= 2 && gzip.next_in[0] == 0x1f && gzip.next_in[1] == 0x8b;
            if (another) {
                inflateReset(&gzip);
            } else {
                done = true;
            }
            if (done || !chunk.empty()) return chunk;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return corrupt("a gzip payload does not decompress");
        } else if (!chunk.empty()) {
            return chunk;
        } else if (gzip.avail_in == 0 || result == Z_BUF_ERROR) {
            return corrupt("a gzip payload is cut off");
        }
    }
}

void Decompressor::State::start_snappy() {
    if (block_capacity > kKeptBytesMax) {
        block.reset();
        block_capacity = 0;
    }
    framed = input.size >= kXerialHeader.size() &&
             std::memcmp(input.data, kXerialHeader.data(), kXerialMagicBytes) == 0;
    if (framed) consume(kXerialHeader.size());
}

Result<ByteView> Decompressor::State::next_snappy() {
    if (!framed) {
        done = true;
        return uncompress_snappy(input);
    }
    while (input.size >= 4) {
        const uint32_t size = load_big<uint32_t>(input.data);
        // A second stream may follow the first: its magic stands where a length would.
        if (size == load_big<uint32_t>(kXerialHeader.data()) &&
            input.size >= kXerialHeader.size()) {
            consume(kXerialHeader.size());
            continue;
        }
        consume(4);
        if (size > input.size) return corrupt("a snappy block reaches past its payload");
        const ByteView compressed = input.sub(0, size);
        consume(size);
        Result<ByteView> chunk = uncompress_snappy(compressed);
        if (!chunk.ok() || !chunk->empty()) return chunk;
    }
    done = true;  // like SnappyInputStream, fewer than four bytes left are the end
    return ByteView();
}

Result<ByteView> Decompressor::State::uncompress_snappy(ByteView compressed) {
    const auto* from = reinterpret_cast<const char*>(compressed.data);
    size_t size = 0;
    if (!snappy::GetUncompressedLength(from, compressed.size, &size) ||
        size > compressed.size * kSnappyRatioMax) {
        return corrupt("a snappy block has an impossible length");
    }
    if (size > inflated_max - inflated) {
        return Status(Errc::LimitExceeded, "a snappy block exceeds the bound of its payload");
    }
    if (size > block_capacity) {
        block = std::make_unique_for_overwrite<uint8_t[]>(size);
        block_capacity = size;
    }
    if (!snappy::RawUncompress(from, compressed.size, reinterpret_cast<char*>(block.get()))) {
        return corrupt("a snappy block does not decompress");
    }
    return ByteView(block.get(), size);
}

void Decompressor::State::start_lz4() {
    if (lz4 == nullptr) {
        MILLRACE_ASSERT(!LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)));
    } else {
        LZ4F_resetDecompressionContext(lz4);
    }
    const bool acceptable =
        input.size >= kLz4HeaderBytesMin &&
        byte_swap(load_big<uint32_t>(input.data)) == kLz4FrameMagic &&
        (input[4] & kLz4FlagsMask) == kLz4FlagsWanted;
    if (!acceptable) failure = corrupt("an lz4 payload does not start with a frame Kafka reads");
}

Result<ByteView> Decompressor::State::next_lz4() {
    while (true) {
        size_t written = kWindowBytes;
        size_t taken = input.size;
        const size_t hint =
            LZ4F_decompress(lz4, room(), &written, input.data, &taken, nullptr);
        if (LZ4F_isError(hint)) return corrupt("an lz4 payload does not decompress");
        consume(taken);
        if (hint == 0) done = true;
        if (done || written > 0) return ByteView(room(), written);
        if (taken == 0) return corrupt("an lz4 payload is cut off");
    }
}

void Decompressor::State::start_zstd() {
    if (zstd != nullptr && ZSTD_sizeof_DCtx(zstd) > kKeptBytesMax) {
        ZSTD_freeDCtx(zstd);
        zstd = nullptr;
    }
    if (zstd == nullptr) zstd = ZSTD_createDCtx();
    MILLRACE_ASSERT(zstd != nullptr, "zstd starts");
    ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only);
    done = input.empty();  // no frame at all is an empty stream to Kafka's reader too
}

Result<ByteView> Decompressor::State::next_zstd() {
    ZSTD_inBuffer in{input.data, input.size, 0};
    ZSTD_outBuffer out{room(), kWindowBytes, 0};
    while (true) {
        const size_t hint = ZSTD_decompressStream(zstd, &out, &in);
        if (ZSTD_isError(hint)) return corrupt("a zstd payload does not decompress");
        const bool input_used_up = in.pos == in.size;
        if (hint == 0 && input_used_up) done = true;  // frames may follow one another
        if (done || out.pos > 0) {
            consume(in.pos);
            return ByteView(room(), out.pos);
        }
        if (input_used_up) return corrupt("a zstd payload is cut off");
    }
}

struct Compressor::State {
    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
        if (gzip_ready) deflateEnd(&gzip);
        LZ4F_freeCompressionContext(lz4);
        ZSTD_freeCCtx(zstd);
    }

    void start_gzip(int level);
    void start_lz4(int level);
    void start_zstd(int level);
    void run_gzip(ByteView bytes, int flush);
    void run_snappy(ByteView bytes);
    void write_snappy_block(ByteView bytes);
    void run_lz4(ByteView bytes);
    void run_zstd(ByteView bytes, ZSTD_EndDirective mode);
    uint8_t* extend(size_t bytes) {
        out->resize(out->size() + bytes);
        return out->data() + out->size() - bytes;
    }
    void drop(size_t unused_bytes) {
        out->erase(out->end() - static_cast<ptrdiff_t>(unused_bytes), out->end());
    }

    CompressionType type = CompressionType::None;
    std::vector<uint8_t>* out = nullptr;
    std::vector<uint8_t> pending;  // snappy: less than one block
    z_stream gzip{};
    bool gzip_ready = false;
    int gzip_level = 0;
    LZ4F_cctx* lz4 = nullptr;
    LZ4F_preferences_t lz4_preferences{};
    ZSTD_CCtx* zstd = nullptr;
};

Compressor::Compressor() : state_(std::make_unique<State>()) {}
Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

void Compressor::start(CompressionType type, const CompressionLevels& levels,
                       std::vector<uint8_t>& out) {
    State& s = *state_;
    s.type = type;
    s.out = &out;
    switch (type) {
        case CompressionType::None: return;
        case CompressionType::Gzip: return s.start_gzip(levels.gzip);
        case CompressionType::Snappy:
            s.pending.clear();
            out.insert(out.end(), kXerialHeader.begin(), kXerialHeader.end());
            return;
        case CompressionType::Lz4: return s.start_lz4(levels.lz4);
        case CompressionType::Zstd: return s.start_zstd(levels.zstd);
    }
}

void Compressor::append(ByteView bytes) {
    State& s = *state_;
    if (bytes.empty()) return;
    switch (s.type) {
        case CompressionType::None:
            s.out->insert(s.out->end(), bytes.begin(), bytes.end());
            return;
        case CompressionType::Gzip: return s.run_gzip(bytes, Z_NO_FLUSH);
        case CompressionType::Snappy: return s.run_snappy(bytes);
        case CompressionType::Lz4: return s.run_lz4(bytes);
        case CompressionType::Zstd: return s.run_zstd(bytes, ZSTD_e_continue);
    }
}

void Compressor::finish() {
    State& s = *state_;
    switch (s.type) {
        case CompressionType::None: return;
        case CompressionType::Gzip: return s.run_gzip({}, Z_FINISH);
        case CompressionType::Snappy:
            if (!s.pending.empty()) s.write_snappy_block({s.pending.data(), s.pending.size()});
            s.pending.clear();
            return;
        case CompressionType::Lz4: {
            const size_t room = LZ4F_compressBound(0, &s.lz4_preferences);
            const size_t used = LZ4F_compressEnd(s.lz4, s.extend(room), room, nullptr);
            MILLRACE_ASSERT(!LZ4F_isError(used), "lz4 ends within its bound");
            return s.drop(room - used);
        }
        case CompressionType::Zstd: return s.run_zstd({}, ZSTD_e_end);
    }
}

void Compressor::State::start_gzip(int level) {
    level = std::clamp(level, Z_DEFAULT_COMPRESSION, Z_BEST_COMPRESSION);
    if (gzip_ready && gzip_level == level) {
        deflateReset(&gzip);
        return;
    }
    if (gzip_ready) deflateEnd(&gzip);
    const int result = deflateInit2(&gzip, level, Z_DEFLATED, kGzipWindowBits, kGzipMemoryLevel,
                                    Z_DEFAULT_STRATEGY);
    MILLRACE_ASSERT(result == Z_OK, "zlib starts");
    gzip_ready = true;
    gzip_level = level;
}

void Compressor::State::run_gzip(ByteView bytes, int flush) {
    gzip.next_in = const_cast<uint8_t*>(bytes.data);  // zlib does not write its input
    gzip.avail_in = static_cast<uInt>(bytes.size);
    int result = Z_OK;
    do {
        gzip.next_out = extend(kOutStepBytes);
        gzip.avail_out = static_cast<uInt>(kOutStepBytes);
        result = deflate(&gzip, flush);
        drop(gzip.avail_out);
    } while (gzip.avail_in > 0 || (flush == Z_FINISH && result == Z_OK));
}

void Compressor::State::run_snappy(ByteView bytes) {
    while (!bytes.empty()) {
        if (pending.empty() && bytes.size >= kXerialBlockBytes) {
            write_snappy_block(bytes.sub(0, kXerialBlockBytes));
            bytes = bytes.from(kXerialBlockBytes);
            continue;
        }
        const size_t take = std::min(bytes.size, kXerialBlockBytes - pending.size());
        pending.insert(pending.end(), bytes.begin(), bytes.begin() + take);
        bytes = bytes.from(take);
        if (pending.size() == kXerialBlockBytes) {
            write_snappy_block({pending.data(), pending.size()});
            pending.clear();
        }
    }
}

void Compressor::State::write_snappy_block(ByteView bytes) {
    const size_t room = 4 + snappy::MaxCompressedLength(bytes.size);
    uint8_t* to = extend(room);
    size_t used = 0;
    snappy::RawCompress(reinterpret_cast<const char*>(bytes.data), bytes.size,
                        reinterpret_cast<char*>(to + 4), &used);
    store_big(to, static_cast<uint32_t>(used));
    drop(room - 4 - used);
}

void Compressor::State::start_lz4(int level) {
    if (lz4 == nullptr) {
        MILLRACE_ASSERT(!LZ4F_isError(LZ4F_createCompressionContext(&lz4, LZ4F_VERSION)));
    }
    // Kafka's Lz4BlockOutputStream: its default level 9 is the fast compressor, any other level
    // the high one.
    lz4_preferences = LZ4F_preferences_t{};
    lz4_preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    lz4_preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    if (level != kLz4LevelDefault) {
        lz4_preferences.compressionLevel = std::clamp(level, kLz4HighLevelMin, kLz4HighLevelMax);
    }
    const size_t used =
        LZ4F_compressBegin(lz4, extend(LZ4F_HEADER_SIZE_MAX), LZ4F_HEADER_SIZE_MAX,
                           &lz4_preferences);
    MILLRACE_ASSERT(!LZ4F_isError(used), "lz4 starts");
    drop(LZ4F_HEADER_SIZE_MAX - used);
}

void Compressor::State::run_lz4(ByteView bytes) {
    const size_t room = LZ4F_compressBound(bytes.size, &lz4_preferences);
    const size_t used =
        LZ4F_compressUpdate(lz4, extend(room), room, bytes.data, bytes.size, nullptr);
    MILLRACE_ASSERT(!LZ4F_isError(used), "lz4 fits its bound");
    drop(room - used);
}

void Compressor::State::start_zstd(int level) {
    if (zstd == nullptr) zstd = ZSTD_createCCtx();
    MILLRACE_ASSERT(zstd != nullptr, "zstd starts");
    ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
    level = std::clamp(level, ZSTD_minCLevel(), ZSTD_maxCLevel());
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
}

void Compressor::State::run_zstd(ByteView bytes, ZSTD_EndDirective mode) {
    ZSTD_inBuffer in{bytes.data, bytes.size, 0};
    size_t left = 0;
    do {
        ZSTD_outBuffer room{extend(kOutStepBytes), kOutStepBytes, 0};
        left = ZSTD_compressStream2(zstd, &room, &in, mode);
        MILLRACE_ASSERT(!ZSTD_isError(left), "zstd takes its input");
        drop(room.size - room.pos);
    } while (in.pos < in.size || (mode == ZSTD_e_end && left > 0));
}

Result<Buffer> decompress_all(CompressionType type, ByteView compressed,
                              uint64_t inflated_bytes_max) {
    Decompressor decompressor;
    decompressor.start(type, compressed, inflated_bytes_max);
    std::vector<uint8_t> all;
    while (true) {
        MILLRACE_TRY_ASSIGN(const ByteView chunk, decompressor.next());
        if (chunk.empty()) return Buffer::copy_of(ByteView(all.data(), all.size()));
        all.insert(all.end(), chunk.begin(), chunk.end());
    }
}

Buffer compress_all(CompressionType type, ByteView bytes, const CompressionLevels& levels) {
    Compressor compressor;
    std::vector<uint8_t> out;
    compressor.start(type, levels, out);
    compressor.append(bytes);
    compressor.finish();
    return Buffer::copy_of(ByteView(out.data(), out.size()));
}

}  // namespace millrace::record
