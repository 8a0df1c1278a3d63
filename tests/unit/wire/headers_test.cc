// tests/unit/wire/headers_test.cc: headers as clients send them.
#include "millrace/wire/headers.h"

#include <gtest/gtest.h>

namespace millrace::wire {
namespace {

Buffer head_bytes(int16_t key, int16_t version, bool flexible) {
    Writer writer;
    writer.i16(key);
    writer.i16(version);
    writer.i32(77);
    writer.string("me", false);
    if (flexible) writer.uvarint(0);
    writer.i8(5);
    return writer.finish_flat();
}

TEST(Headers, DecodesBothVersions) {
    struct Row {
        int16_t key;
        int16_t version;
        bool flexible;
    };
    const Row rows[] = {{0, 8, false}, {0, 9, true}, {17, 1, false}, {18, 3, true}};
    for (const Row& row : rows) {
        Reader reader(head_bytes(row.key, row.version, row.flexible));
        RequestHead head;
        ASSERT_EQ(decode_request_head(reader, head), HeaderError::None);
        EXPECT_EQ(static_cast<int16_t>(head.api), row.key);
        EXPECT_EQ(head.correlation_id, 77);
        EXPECT_EQ(head.client_id, "me");
        EXPECT_EQ(reader.i8(), 5) << "stands at the body";
    }
}

TEST(Headers, NullClientIdIsEmpty) {
    Writer writer;
    writer.i16(3);
    writer.i16(1);
    writer.i32(1);
    writer.i16(-1);
    Reader reader(writer.finish_flat());
    RequestHead head;
    head.client_id = "old";
    EXPECT_EQ(decode_request_head(reader, head), HeaderError::None);
    EXPECT_EQ(head.client_id, "");
}

TEST(Headers, TellsUnknownFromUnsupported) {
    RequestHead head;
    Reader unknown(head_bytes(999, 0, false));
    EXPECT_EQ(decode_request_head(unknown, head), HeaderError::UnknownApi);
    Reader removed(head_bytes(4, 0, false));
    EXPECT_EQ(decode_request_head(removed, head), HeaderError::UnknownApi);
    Reader future(head_bytes(18, 50, true));
    EXPECT_EQ(decode_request_head(future, head), HeaderError::UnsupportedVersion);
    EXPECT_EQ(head.correlation_id, 77);
    Reader old(head_bytes(0, 2, false));
    EXPECT_EQ(decode_request_head(old, head), HeaderError::UnsupportedVersion);
    Reader empty{Buffer{}};
    EXPECT_EQ(decode_request_head(empty, head), HeaderError::Malformed);
    Reader cut(head_bytes(0, 9, true).slice(0, 9));
    EXPECT_EQ(decode_request_head(cut, head), HeaderError::Malformed);
}

TEST(Headers, EncodedRequestDecodes) {
    for (const ApiInfo& row : api_rows()) {
        Writer writer;
        encode_request_head(writer, {row.key, row.version_max, 9, "client"});
        Reader reader(writer.finish_flat());
        RequestHead head;
        ASSERT_EQ(decode_request_head(reader, head), HeaderError::None) << row.name;
        EXPECT_EQ(reader.remaining(), 0U);
        Writer answer;
        encode_response_head(answer, row.key, row.version_max, 9);
        Reader back(answer.finish_flat());
        EXPECT_EQ(decode_response_head(back, row.key, row.version_max), 9);
        EXPECT_EQ(back.remaining(), 0U);
    }
}

}  // namespace
}  // namespace millrace::wire
