// tests/unit/metadata/record_test.cc: framed records against Kafka's bytes, and hostile input.
#include "millrace/metadata/record.h"

#include <gtest/gtest.h>

#include <string>

#include "millrace/base/rng.h"
#include "unit/metadata/golden_log.h"

namespace millrace::metadata {
namespace {

std::string hex(ByteView bytes) {
    std::string text;
    for (uint8_t b : bytes) {
        text += "0123456789abcdef"[b >> 4];
        text += "0123456789abcdef"[b & 15];
    }
    return text;
}

// kraft.md 6.3: vectors of Kafka's own serialisers.
TEST(MetadataRecord, WorkedBytes) {
    EXPECT_EQ(hex(encode_record(Record(wire::NoOpRecord{}))), "01140000");
    wire::FeatureLevelRecord feature;
    feature.name = "metadata.version";
    feature.feature_level = 30;
    EXPECT_EQ(hex(encode_record(Record(feature))),
              "010c00116d657461646174612e76657273696f6e001e00");
    wire::BrokerRegistrationChangeRecord change;
    change.broker_id = 1;
    change.broker_epoch = 13;
    change.fenced = -1;
    EXPECT_EQ(hex(encode_record(Record(change, 0))), "01110000000001000000000000000d010001ff");
    change.fenced = 0;
    change.cordoned_log_dirs.emplace();
    EXPECT_EQ(hex(encode_record(Record(change, 3))), "01110300000001000000000000000d01030101");
    wire::BeginTransactionRecord begin;
    begin.name = "Bootstrap records";
    EXPECT_EQ(hex(encode_record(Record(begin))),
              "01170001001212426f6f747374726170207265636f726473");
    wire::ClearElrRecord clear;
    clear.topic_name = "t";
    EXPECT_EQ(hex(encode_record(Record(clear))), "011c00027400");
}

TEST(MetadataRecord, GoldenRecordsSurviveARoundTrip) {
    int count = 0;
    for (const char* name :
         {"dynamic/00000000000000000000.log", "dynamic/00000000000000000045-0000000001.checkpoint",
          "static/00000000000000000000.log", "static/00000000000000000066-0000000001.checkpoint"}) {
        for (const GoldenBatch& batch : read_golden(name)) {
            if (batch.control) continue;
            for (const GoldenRecord& golden : batch.records) {
                auto record = decode_record(golden.value, golden.offset);
                ASSERT_TRUE(record.ok()) << record.status().to_string();
                EXPECT_EQ(hex(encode_record(*record)), hex(golden.value)) << record_name(*record);
                ++count;
            }
        }
    }
    EXPECT_GT(count, 150);
}

TEST(MetadataRecord, NamesAndTypes) {
    EXPECT_STREQ(record_name(Record(wire::PartitionChangeRecord{})), "PARTITION_CHANGE_RECORD");
    EXPECT_EQ(record_type(Record(wire::ClearElrRecord{})), 28);
    EXPECT_EQ(std::variant_size_v<RecordBody>, 26u);
}

TEST(MetadataRecord, RefusesWhatItDoesNotKnow) {
    const struct {
        std::vector<uint8_t> bytes;
        Errc errc;
        const char* says;
    } cases[] = {
        {{}, Errc::Corrupt, "offset 7"},
        {{2, 20, 0, 0}, Errc::Unsupported, "frame version 2"},
        {{1, 13, 0, 0}, Errc::Unsupported, "unknown type 13"},
        {{1, 29, 0, 0}, Errc::Unsupported, "offset 7"},
        {{1, 20, 1, 0}, Errc::Unsupported, "NoOpRecord (type 20) has version 1"},
        {{1, 0, 5}, Errc::Unsupported, "RegisterBrokerRecord"},
        {{1, 20, 0, 0, 0}, Errc::Corrupt, "1 bytes left over"},
        {{1, 2, 0, 5, 'a'}, Errc::Corrupt, "TopicRecord version 0"},
        {{1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}, Errc::Unsupported, "unknown type 4294967295"},
    };
    for (const auto& c : cases) {
        auto record = decode_record(ByteView(c.bytes.data(), c.bytes.size()), Offset(7));
        ASSERT_FALSE(record.ok());
        EXPECT_EQ(record.status().errc(), c.errc) << record.status().to_string();
        EXPECT_NE(record.status().message().find(c.says), std::string::npos)
            << record.status().message();
    }
}

TEST(MetadataRecord, DamagedBytesNeverCrash) {
    Rng rng(5);
    for (const GoldenBatch& batch : read_golden("dynamic/00000000000000000000.log")) {
        if (batch.control) continue;
        for (const GoldenRecord& golden : batch.records) {
            std::vector<uint8_t> bytes(golden.value.view().begin(), golden.value.view().end());
            for (size_t cut = 0; cut < bytes.size(); ++cut) {
                EXPECT_FALSE(decode_record(ByteView(bytes.data(), cut), Offset(0)).ok());
            }
            for (int i = 0; i < 200; ++i) {
                auto damaged = bytes;
                damaged[rng.below(damaged.size())] ^= static_cast<uint8_t>(1U << rng.below(8));
                static_cast<void>(
                    decode_record(ByteView(damaged.data(), damaged.size()), Offset(0)).ok());
            }
        }
    }
}

}  // namespace
}  // namespace millrace::metadata
