// tests/unit/metadata/golden_log.h: reads Kafka's metadata logs and checkpoints for tests.
//
// This floor does not see the record floor, so a minimal walker of uncompressed batches is here.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "millrace/base/endian.h"
#include "millrace/base/time.h"
#include "millrace/metadata/record.h"

namespace millrace::metadata {

struct GoldenRecord {
    Offset offset;
    Buffer value;
};
struct GoldenBatch {
    Offset base;
    Offset last;
    LeaderEpoch epoch;
    WallMs timestamp;
    bool control = false;
    std::vector<GoldenRecord> records;
};

inline int64_t read_zigzag(const uint8_t*& at) {
    uint64_t raw = 0;
    int shift = 0;
    while (*at & 0x80) {
        raw |= static_cast<uint64_t>(*at++ & 0x7f) << shift;
        shift += 7;
    }
    raw |= static_cast<uint64_t>(*at++) << shift;
    return static_cast<int64_t>(raw >> 1) ^ -static_cast<int64_t>(raw & 1);
}

inline std::vector<GoldenBatch> read_golden(const std::string& name) {
    std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/metadata_log/" + name,
                       std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_FALSE(bytes.empty()) << name;
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    constexpr size_t kHeader = 61;
    std::vector<GoldenBatch> batches;
    size_t at = 0;
    while (at + kHeader <= bytes.size()) {
        const uint8_t* b = data + at;
        const size_t size = static_cast<size_t>(load_big<int32_t>(b + 8)) + 12;
        GoldenBatch batch;
        batch.base = Offset(load_big<int64_t>(b));
        batch.epoch = LeaderEpoch(load_big<int32_t>(b + 12));
        batch.control = (load_big<int16_t>(b + 21) & 0x20) != 0;
        batch.last = batch.base + load_big<int32_t>(b + 23);
        batch.timestamp = WallMs{load_big<int64_t>(b + 35)};
        const uint8_t* r = b + kHeader;
        for (int32_t n = load_big<int32_t>(b + 57); n > 0; --n) {
            const int64_t length = read_zigzag(r);
            const uint8_t* end = r + length;
            ++r;  // attributes
            read_zigzag(r);
            const int64_t delta = read_zigzag(r);
            const int64_t key = read_zigzag(r);
            if (key > 0) r += key;
            const int64_t value = read_zigzag(r);
            batch.records.push_back(
                {batch.base + delta, Buffer::copy_of(ByteView(r, static_cast<size_t>(value)))});
            r = end;
        }
        batches.push_back(std::move(batch));
        at += size;
    }
    return batches;
}

inline std::vector<Record> decode_batch(const GoldenBatch& batch) {
    std::vector<Record> records;
    for (const GoldenRecord& record : batch.records) {
        auto decoded = decode_record(record.value, record.offset);
        EXPECT_TRUE(decoded.ok()) << decoded.status().to_string();
        if (decoded.ok()) records.push_back(std::move(decoded).value());
    }
    return records;
}

}  // namespace millrace::metadata
