// tests/bench/frames.cc: requests that are encoded before the clock starts.
#include "bench/frames.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "millrace/record/batch_builder.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/headers.h"

namespace millrace::bench {
namespace {

std::vector<uint8_t> flatten(wire::Writer& writer) {
    if (!writer.ok()) die(std::string("encode: ") + writer.error());
    const Buffer flat = *writer.finish_frame().flatten();
    return {flat.data(), flat.data() + flat.size()};
}

std::string json_like(Rng& rng, size_t bytes) {
    static const char* kWords[] = {"checkout", "search", "login", "eu-west-1", "us-east-2",
                                   "mobile", "desktop", "true", "false", "premium"};
    std::string text = "{";
    while (text.size() + 2 < bytes) {
        text += "\"field" + std::to_string(rng.below(12)) + "\":\"" + kWords[rng.below(10)] +
                std::to_string(rng.below(10'000)) + "\",";
    }
    text.resize(bytes - 1);
    return text + "}";
}

}  // namespace

void die(const std::string& what) {
    std::fprintf(stderr, "error: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(1);
}

Buffer make_batch(const Options& options, Rng& rng) {
    const auto batch_bytes = static_cast<size_t>(options.number("batch-bytes", 16384));
    const auto record_bytes = static_cast<size_t>(options.number("record-bytes", 1024));
    const std::string codec = options.text("codec", "none");
    record::BatchBuilder builder;
    record::BatchOptions batch;
    batch.compression = *record::compression_from_name(codec);
    batch.levels.lz4 = 1;
    builder.start(batch);
    const int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
    do {
        record::NewRecord record;
        const std::string value = json_like(rng, record_bytes);
        record.timestamp = WallMs{now};
        record.value = ByteView(value);
        builder.append(record);
    } while (builder.uncompressed_bytes() + record_bytes + 80 < batch_bytes);
    return builder.finish();
}

std::vector<uint8_t> produce_frame(const Options& options, const Buffer& batch, int partition) {
    wire::ProduceRequest request;
    request.acks = static_cast<int16_t>(options.number("acks", 1));
    request.timeout_ms = 30'000;
    auto& topic = request.topic_data.emplace_back();
    topic.name = options.text("topic", "bench");
    auto& data = topic.partition_data.emplace_back();
    data.index = partition;
    data.records.emplace(batch);
    wire::Writer writer;
    writer.begin_frame();
    wire::encode_request_head(writer, {wire::ApiKey::Produce, 9, 1, "load"});
    request.encode(writer, 9);
    return flatten(writer);
}

std::vector<uint8_t> fetch_frame(const Options& options, int partition, int64_t offset,
                                 int32_t max_wait_ms) {
    wire::FetchRequest request;
    request.max_wait_ms = max_wait_ms;
    request.min_bytes = 1;
    const auto max_bytes = static_cast<int32_t>(options.number("max-bytes", 1 << 20));
    request.max_bytes = max_bytes;
    auto& topic = request.topics.emplace_back();
    topic.topic = options.text("topic", "bench");
    auto& entry = topic.partitions.emplace_back();
    entry.partition = partition;
    entry.fetch_offset = offset;
    entry.partition_max_bytes = max_bytes;
    wire::Writer writer;
    writer.begin_frame();
    wire::encode_request_head(writer, {wire::ApiKey::Fetch, 12, 1, "load"});
    request.encode(writer, 12);
    return flatten(writer);
}

}  // namespace millrace::bench
