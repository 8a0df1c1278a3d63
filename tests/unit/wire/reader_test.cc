// tests/unit/wire/reader_test.cc: primitives, and bytes that mean harm.
#include "millrace/wire/reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "wire/gen_support.h"

namespace millrace::wire {
namespace {

Buffer hex(std::string_view text) {
    std::string out;
    for (size_t i = 0; i + 1 < text.size(); i += 2) {
        out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    }
    return Buffer::copy_of(out);
}

TEST(Reader, FixedNumbersAreBigEndian) {
    Reader r(hex("ff" "fffe" "fffe" "80000000" "fffffffe" "0102030405060708" "01" "00"
                 "3ff8000000000000"));
    EXPECT_EQ(r.i8(), -1);
    EXPECT_EQ(r.i16(), -2);
    EXPECT_EQ(r.u16(), 65534);
    EXPECT_EQ(r.i32(), INT32_MIN);
    EXPECT_EQ(r.u32(), 4294967294U);
    EXPECT_EQ(r.i64(), 0x0102030405060708);
    EXPECT_TRUE(r.boolean());
    EXPECT_FALSE(r.boolean());
    EXPECT_EQ(r.f64(), 1.5);
    EXPECT_TRUE(r.ok());
    EXPECT_EQ(r.remaining(), 0U);
}

TEST(Reader, Varints) {
    struct Row {
        const char* bytes;
        uint32_t unsigned_value;
        int32_t zigzag;
    };
    const Row rows[] = {
        {"00", 0, 0},          {"01", 1, -1},
        {"02", 2, 1},          {"7f", 127, -64},
        {"8001", 128, 64},     {"ffff03", 65535, -32768},
        {"ffffffff0f", 4294967295U, INT32_MIN}, {"feffffff0f", 4294967294U, INT32_MAX},
        {"8000", 0, 0},  // longer than needed, as Kafka accepts
    };
    for (const Row& row : rows) {
        Reader plain(hex(row.bytes));
        EXPECT_EQ(plain.uvarint(), row.unsigned_value) << row.bytes;
        EXPECT_TRUE(plain.ok());
        EXPECT_EQ(plain.remaining(), 0U);
        Reader signed_reader(hex(row.bytes));
        EXPECT_EQ(signed_reader.varint(), row.zigzag) << row.bytes;
    }
    Reader wide(hex("ffffffffffffffffff01" "feffffffffffffffff01" "01"));
    EXPECT_EQ(wide.varlong(), INT64_MIN);
    EXPECT_EQ(wide.varlong(), INT64_MAX);
    EXPECT_EQ(wide.varlong(), -1);
    EXPECT_TRUE(wide.ok());
}

TEST(Reader, StringsAndBytesInBothForms) {
    Reader r(hex("0002" "6869" "03" "6869" "ffff" "00" "0000" "01" "00000001" "41" "02" "41"
                 "ffffffff" "00"));
    EXPECT_EQ(r.string(false), "hi");
    EXPECT_EQ(r.string(true), "hi");
    EXPECT_EQ(r.nullable_string(false), std::nullopt);
    EXPECT_EQ(r.nullable_string(true), std::nullopt);
    EXPECT_EQ(r.nullable_string(false), "");
    EXPECT_EQ(r.nullable_string(true), "");
    EXPECT_EQ(r.bytes(false).text(), "A");
    EXPECT_EQ(r.bytes(true).text(), "A");
    EXPECT_FALSE(r.nullable_bytes(false).has_value());
    EXPECT_FALSE(r.nullable_records(true).has_value());
    EXPECT_TRUE(r.ok());
    EXPECT_EQ(r.remaining(), 0U);
}

TEST(Reader, BytesShareTheFrameAndOutliveTheReader) {
    Buffer frame = hex("00000003" "414243");
    const uint8_t* inside = frame.data() + 4;
    Buffer bytes;
    {
        Reader r(std::move(frame));
        bytes = r.bytes(false);
    }
    EXPECT_EQ(bytes.data(), inside);
    EXPECT_EQ(bytes.text(), "ABC");
    const std::string text("\0\0\0\1Z", 5);
    Reader copying{ByteView(text)};
    EXPECT_NE(copying.bytes(false).data(), ByteView(text).data + 4);
}

TEST(Reader, RefusesWhatTheFrameDoesNotHold) {
    struct Row {
        const char* bytes;
        void (*read)(Reader&);
        const char* error;
    };
    const Row rows[] = {
        {"0001", [](Reader& r) { r.i32(); }, "ends inside a number"},
        {"00", [](Reader& r) { r.uuid(); }, "ends inside a uuid"},
        {"80", [](Reader& r) { r.uvarint(); }, "ends inside a varint"},
        {"808080808001", [](Reader& r) { r.uvarint(); }, "varint too long"},
        {"8080808080808080808001", [](Reader& r) { r.varlong(); }, "varint too long"},
        {"000341", [](Reader& r) { r.string(false); }, "length beyond the frame"},
        {"ffffffff0f41", [](Reader& r) { r.string(true); }, "length beyond the frame"},
        {"ffff", [](Reader& r) { r.string(false); }, "null string where none is allowed"},
        {"8000", [](Reader& r) { r.string(false); }, "null string where none is allowed"},
        {"00", [](Reader& r) { r.string(true); }, "null string where none is allowed"},
        {"7fffffff41", [](Reader& r) { r.bytes(false); }, "length beyond the frame"},
        {"ffffffff", [](Reader& r) { r.bytes(false); }, "null bytes where none are allowed"},
        {"7fffffff", [](Reader& r) { r.array_count(false, 1, 1); }, "array too long"},
        {"000f4240", [](Reader& r) { r.array_count(false, 1, 1); }, "array beyond the frame"},
        {"00000001000000", [](Reader& r) { r.array_count(false, 4, 4); }, "array beyond the frame"},
        {"ffffffff0f", [](Reader& r) { r.array_count(true, 1, 1); }, "array too long"},
        {"0000000201020304", [](Reader& r) { r.array_count(false, 1, 1 << 20); },
         "decodes to too much memory"},
        {"914e", [](Reader& r) { r.begin_tags(); }, "too many tagged fields"},
    };
    for (const Row& row : rows) {
        Reader r(hex(row.bytes));
        row.read(r);
        EXPECT_FALSE(r.ok()) << row.bytes;
        EXPECT_STREQ(r.error(), row.error) << row.bytes;
        EXPECT_EQ(r.i64(), 0) << "reads after an error yield zero";
        EXPECT_EQ(r.string(true), "");
        EXPECT_STREQ(r.error(), row.error) << "the first error stays";
    }
}

TEST(Reader, StringLimitHoldsInBothForms) {
    std::string text(40'000, 'x');
    std::string compact("\xc1\xb8\x02", 3);  // 40,001
    Reader r(Buffer::copy_of(compact + text));
    EXPECT_EQ(r.string(true), "");
    EXPECT_STREQ(r.error(), "string too long");
    EXPECT_EQ(r.error_text(), "string too long at byte 3");
}

TEST(Reader, ManyEmptyStructsAreBoundedByAllowance) {
    // A nested array of two million empty strings would need 64 MB for 2 MB of frame: allowed. The
    // same with elements of 1 KiB is not.
    std::string frame("\x00\x00\xff\xff", 4);
    frame += std::string(65'535, '\0');
    Reader r(Buffer::copy_of(frame));
    EXPECT_EQ(r.array_count(false, 1, 1024), -1);
    EXPECT_STREQ(r.error(), "decodes to too much memory");
}

TEST(Reader, TagSectionsKeepWhatNobodyKnows) {
    // Two tags: 3 -> "ab", 70 -> "".
    Reader r(hex("02" "03" "02" "6162" "46" "00" "2a"));
    UnknownTags tags;
    r.unknown_tags(tags);
    ASSERT_TRUE(r.ok());
    ASSERT_EQ(tags.count(), 2U);
    EXPECT_EQ(tags[0].tag, 3U);
    EXPECT_EQ(tags[0].data.text(), "ab");
    EXPECT_EQ(tags[1].tag, 70U);
    EXPECT_EQ(r.i8(), 42);
}

TEST(Reader, TagOfWrongSizeIsRefused) {
    Reader r(hex("01" "00" "04" "00000007"));
    for (TagCursor cursor = r.begin_tags(); r.next_tag(cursor);) r.i16();
    EXPECT_STREQ(r.error(), "tagged field has another size than it says");
    Reader beyond(hex("01" "00" "05" "00"));
    for (TagCursor cursor = beyond.begin_tags(); beyond.next_tag(cursor);) beyond.i16();
    EXPECT_STREQ(beyond.error(), "tagged field beyond the frame");
}

TEST(Reader, ArrayOfStructsStopsAtTheFirstError) {
    Reader r(hex("00000003" "0001" "0002" "00"));
    std::vector<int16_t> out;
    decode_array(r, out, false, 1, [&](int16_t& element) { element = r.i16(); });
    EXPECT_FALSE(r.ok());
    EXPECT_EQ(r.error_position(), 8U);
}

}  // namespace
}  // namespace millrace::wire
