// tests/bench/record_bench.cc: time per record and bytes per second of the record floor.
//
//     record_bench [milliseconds per measurement]
// Prints checksum speed by size, the produce check by record size and codec, codecs both ways,
// and building. Numbers in build type Release only mean something.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "millrace/base/crc32c.h"
#include "millrace/base/rng.h"
#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_validate.h"

namespace {

using namespace millrace;
using namespace millrace::record;

double g_seconds = 0.2;

double now_seconds() {
    using Clock = std::chrono::steady_clock;
    return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

// Seconds per call: the best of the slices of about g_seconds, since the machine has other work.
template <class Run>
double seconds_per_call(Run&& run) {
    run();
    double best = 1e9;
    int calls = 1;
    const double begin = now_seconds();
    for (double start = begin; start - begin < g_seconds;) {
        for (int i = 0; i < calls; ++i) run();
        const double end = now_seconds();
        best = std::min(best, (end - start) / calls);
        if (end - start < g_seconds / 50) calls *= 2;
        start = end;
    }
    return best;
}

// Text that compresses about as JSON does.
std::string sample_text(size_t size, Rng& rng) {
    std::string text;
    while (text.size() < size) {
        text += "{\"user\":" + std::to_string(rng.below(100'000)) + ",\"event\":\"click\",\"at\":" +
                std::to_string(rng.next() % 1'000'000) + "},";
    }
    text.resize(size);
    return text;
}

Buffer batch_of(CompressionType codec, size_t record_bytes, size_t total_bytes) {
    Rng rng(1);
    BatchOptions options;
    options.compression = codec;
    BatchBuilder builder;
    builder.start(options);
    while (builder.uncompressed_bytes() < total_bytes) {
        const std::string value = sample_text(record_bytes - 10, rng);
        builder.append({.timestamp = WallMs{1000 + builder.record_count()},
                        .value = ByteView(std::string_view(value))});
    }
    return builder.finish();
}

void bench_crc() {
    const Buffer bytes = Buffer::allocate(1 << 20);
    for (size_t i = 0; i < bytes.size(); ++i) bytes.mutable_data()[i] = static_cast<uint8_t>(i);
    for (const size_t size : {64, 128, 255, 256, 1024, 4096, 16384, 65536, 1 << 20}) {
        uint32_t sum = 0;
        const double s = seconds_per_call([&] { sum ^= crc32c(bytes.view().sub(0, size)); });
        std::printf("crc32c          %8zu B  %7.1f GB/s  %8.1f ns  (%x)\n", size,
                    static_cast<double>(size) / s / 1e9, s * 1e9, sum & 1);
    }
    const double s = seconds_per_call([&] { (void)crc32c_combine(1, 2, 1'000'003); });
    std::printf("crc32c_combine   1 MB after %28.1f ns\n", s * 1e9);
}

void bench_validate(CompressionType codec, size_t record_bytes, size_t total_bytes) {
    const Buffer original = batch_of(codec, record_bytes, total_bytes);
    const int32_t count = BatchView(original).record_count();
    Buffer batch = Buffer::copy_of(original.view());
    ValidateScratch scratch;
    const ProduceRules rules;
    const TopicPartition partition{"bench", PartitionIndex(0)};
    const double s = seconds_per_call([&] {
        if (!validate_produce(batch, rules, partition, WallMs{5000}, scratch).ok()) std::abort();
    });
    std::printf("validate %-7s %6zu B x %6d  %7.2f ns/record  %6.2f GB/s sent  %6.2f GB/s inside\n",
                compression_name(codec), record_bytes, count, s * 1e9 / count,
                static_cast<double>(batch.size()) / s / 1e9,
                static_cast<double>(count) * static_cast<double>(record_bytes) / s / 1e9);
}

void bench_codec(CompressionType codec) {
    const Buffer plain = batch_of(CompressionType::None, 100, 65536);
    const ByteView bytes = plain.view().from(kBatchHeaderBytes);
    Compressor compressor;
    std::vector<uint8_t> out;
    const double pack = seconds_per_call([&] {
        out.clear();
        compressor.start(codec, {}, out);
        compressor.append(bytes);
        compressor.finish();
    });
    Decompressor decompressor;
    const double unpack = seconds_per_call([&] {
        decompressor.start(codec, {out.data(), out.size()});
        while (true) {
            const Result<ByteView> chunk = decompressor.next();
            if (!chunk.ok()) std::abort();
            if (chunk->empty()) break;
        }
    });
    const double size = static_cast<double>(bytes.size);
    std::printf("%-7s 64 KiB  compress %6.3f GB/s  decompress %6.3f GB/s  ratio %.2f\n",
                compression_name(codec), size / pack / 1e9, size / unpack / 1e9,
                size / static_cast<double>(out.size()));
}

void bench_build(size_t record_bytes) {
    Rng rng(3);
    const std::string value = sample_text(record_bytes, rng);
    BatchBuilder builder;
    const double s = seconds_per_call([&] {
        builder.start({});
        for (int i = 0; i < 100; ++i) {
            builder.append({.timestamp = WallMs{1000 + i},
                            .value = ByteView(std::string_view(value))});
        }
        (void)builder.finish();
    });
    std::printf("build           %6zu B x    100  %7.2f ns/record\n", record_bytes, s * 1e7);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) g_seconds = std::atof(argv[1]) / 1000;
    bench_crc();
    for (const size_t record_bytes : {20, 100, 1000, 10'000}) {
        bench_validate(CompressionType::None, record_bytes, 16384);
        bench_validate(CompressionType::None, record_bytes, 1'000'000);
    }
    for (const int codec : {1, 2, 3, 4}) {
        bench_validate(static_cast<CompressionType>(codec), 100, 65536);
        bench_codec(static_cast<CompressionType>(codec));
    }
    for (const size_t record_bytes : {100, 1000}) bench_build(record_bytes);
    return 0;
}
