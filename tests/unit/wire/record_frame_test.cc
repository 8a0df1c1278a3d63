// tests/unit/wire/record_frame_test.cc: wrapping of metadata and coordinator records.
#include "millrace/wire/record_frame.h"

#include <gtest/gtest.h>

#include <string>

#include "millrace/wire/gen/no_op_record.h"
#include "millrace/wire/gen/offset_commit_key.h"
#include "millrace/wire/gen/offset_commit_value.h"
#include "millrace/wire/gen/topic_record.h"

namespace millrace::wire {
namespace {

TEST(RecordFrame, NoOpAsKafkaWritesIt) {
    Writer writer;
    encode_metadata_record(writer, NoOpRecord{}, 0);
    EXPECT_EQ(writer.finish_flat().text(), std::string("\x01\x14\x00\x00", 4));
}

TEST(RecordFrame, MetadataRecordComesBack) {
    TopicRecord topic;
    topic.name = "orders";
    topic.topic_id = Uuid{3, 4};
    Writer writer;
    encode_metadata_record(writer, topic, 0);
    Reader reader(writer.finish_flat());
    RecordFrame frame;
    ASSERT_TRUE(decode_record_frame(reader, frame));
    EXPECT_EQ(frame.type, TopicRecord::kRecordType);
    TopicRecord back;
    ASSERT_TRUE(back.decode(reader, frame.version));
    EXPECT_EQ(back, topic);
}

TEST(RecordFrame, RefusesOtherFrames) {
    for (const char* bytes : {"\x02\x01\x01", "\x01\xff\xff\x7f\x01", "\x01"}) {
        Reader reader{ByteView(std::string_view(bytes))};
        RecordFrame frame;
        EXPECT_FALSE(decode_record_frame(reader, frame));
        EXPECT_FALSE(reader.ok());
    }
}

TEST(RecordFrame, CoordinatorKeysAndValues) {
    OffsetCommitKey key;
    key.group = "g";
    key.topic = "t";
    key.partition = 2;
    Writer writer;
    encode_coordinator_key(writer, key);
    EXPECT_EQ(writer.finish_flat().text(),
              std::string("\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x02", 12));
    OffsetCommitValue value;
    value.offset = 17;
    Writer out;
    encode_coordinator_value(out, value, 3);
    const Buffer bytes = out.finish_flat();
    OffsetCommitValue back;
    Reader reader(bytes);
    ASSERT_TRUE(decode_coordinator_value(reader, back));
    EXPECT_EQ(back, value);
    Reader newer{ByteView(std::string_view("\x00\x63", 2))};
    EXPECT_FALSE(decode_coordinator_value(newer, back));
}

}  // namespace
}  // namespace millrace::wire
