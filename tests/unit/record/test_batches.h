// tests/unit/record/test_batches.h: golden files and hand-made batches for this floor's tests.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/rng.h"
#include "millrace/record/batch_builder.h"
#include "millrace/record/batch_iterator.h"

namespace millrace::record {

inline std::string read_golden(const std::string& name) {
    std::ifstream file(std::string(MILLRACE_SOURCE_DIR) + "/tests/golden/log_dir/" + name,
                       std::ios::binary);
    EXPECT_TRUE(file.good()) << name;
    return {std::istreambuf_iterator<char>(file), {}};
}

inline const std::vector<std::string>& golden_logs() {
    static const std::vector<std::string> names = {
        "codecs-0/00000000000000000000.log", "codecs-0/00000000000000000008.log",
        "codecs-0/00000000000000000016.log", "codecs-0/00000000000000000023.log",
        "txn-0/00000000000000000000.log",    "txn-0/00000000000000000013.log",
        "open-0/00000000000000000000.log"};
    return names;
}

/// "0001 0aff" to bytes; anything but hex digits is skipped.
inline Buffer from_hex(std::string_view text) {
    std::string digits;
    for (const char c : text) {
        if (std::isxdigit(static_cast<unsigned char>(c)) != 0) digits += c;
    }
    Buffer bytes = Buffer::allocate(digits.size() / 2);
    for (size_t i = 0; i < bytes.size(); ++i) {
        bytes.mutable_data()[i] =
            static_cast<uint8_t>(std::stoi(digits.substr(i * 2, 2), nullptr, 16));
    }
    return bytes;
}

inline ByteView view_of(const std::string& text) { return ByteView(std::string_view(text)); }

/// A batch of `count` records "k<i>" / a value of `value_bytes`, 10 ms apart from `timestamp`.
inline Buffer sample_batch(int count, BatchOptions options = {}, int64_t timestamp = 1000,
                           size_t value_bytes = 20) {
    BatchBuilder builder;
    builder.start(options);
    Rng rng(7);
    for (int i = 0; i < count; ++i) {
        const std::string key = "k" + std::to_string(i);
        std::string value(value_bytes, 'v');
        for (char& c : value) c = static_cast<char>('a' + rng.below(6));
        builder.append({.timestamp = WallMs{timestamp + 10 * i},
                        .key = view_of(key),
                        .value = view_of(value)});
    }
    return builder.finish();
}

/// Edits bytes of a copy and, unless told otherwise, repairs the checksum.
template <class Number>
Buffer with_field(const Buffer& batch, size_t at, Number value, bool repair_crc = true) {
    Buffer copy = Buffer::copy_of(batch.view());
    store_big(copy.mutable_data() + at, value);
    if (repair_crc) store_big(copy.mutable_data() + kCrcAt, BatchView(copy).compute_crc());
    return copy;
}

/// The batch with another payload, its length and checksum repaired.
inline Buffer with_payload(const Buffer& batch, ByteView payload) {
    Buffer copy = Buffer::allocate(kBatchHeaderBytes + payload.size);
    std::memcpy(copy.mutable_data(), batch.data(), kBatchHeaderBytes);
    if (payload.size > 0) {
        std::memcpy(copy.mutable_data() + kBatchHeaderBytes, payload.data, payload.size);
    }
    return with_field(copy, kLengthAt, static_cast<int32_t>(copy.size() - kLogOverheadBytes));
}

struct PlainRecord {
    int32_t offset_delta;
    int64_t timestamp;
    std::string key;
    std::string value;
    int32_t headers;
    friend bool operator==(const PlainRecord&, const PlainRecord&) = default;
};

inline std::vector<PlainRecord> records_of(const BatchView& batch) {
    std::vector<PlainRecord> all;
    Result<BatchRecords> records = BatchRecords::open(batch);
    EXPECT_TRUE(records.ok()) << records.status().to_string();
    if (!records.ok()) return all;
    RecordView record;
    while (records->next(record)) {
        all.push_back({record.offset_delta, record_timestamp(batch, record).value,
                       record.key ? std::string(record.key->text()) : "(null)",
                       record.value ? std::string(record.value->text()) : "(null)",
                       record.header_count});
    }
    EXPECT_EQ(records->end_reason(), RecordsEnd::Complete);
    return all;
}

inline constexpr CompressionType kAllCodecs[] = {
    CompressionType::None, CompressionType::Gzip, CompressionType::Snappy, CompressionType::Lz4,
    CompressionType::Zstd};

}  // namespace millrace::record
