// tests/unit/wire/writer_test.cc: bytes, chunks, references and refusals.
#include "millrace/wire/writer.h"

#include <gtest/gtest.h>

#include <string>

#include "millrace/wire/reader.h"

namespace millrace::wire {
namespace {

std::string hex_of(Writer& writer) {
    static const char* const kDigits = "0123456789abcdef";
    std::string out;
    const Buffer bytes = writer.finish_flat();
    for (const uint8_t byte : bytes.view()) {
        out.push_back(kDigits[byte >> 4]);
        out.push_back(kDigits[byte & 15]);
    }
    return out;
}

TEST(Writer, PrimitivesAsKafkaWritesThem) {
    struct Row {
        void (*write)(Writer&);
        const char* bytes;
    };
    const Row rows[] = {
        {[](Writer& w) { w.i8(-1); }, "ff"},
        {[](Writer& w) { w.i16(-2); }, "fffe"},
        {[](Writer& w) { w.u16(65535); }, "ffff"},
        {[](Writer& w) { w.i32(1); }, "00000001"},
        {[](Writer& w) { w.i64(-1); }, "ffffffffffffffff"},
        {[](Writer& w) { w.f64(1.5); }, "3ff8000000000000"},
        {[](Writer& w) { w.uuid(Uuid{1, 2}); }, "00000000000000010000000000000002"},
        {[](Writer& w) { w.uvarint(300); }, "ac02"},
        {[](Writer& w) { w.uvarint(UINT32_MAX); }, "ffffffff0f"},
        {[](Writer& w) { w.varint(INT32_MIN); }, "ffffffff0f"},
        {[](Writer& w) { w.varint(-1); }, "01"},
        {[](Writer& w) { w.varlong(INT64_MAX); }, "feffffffffffffffff01"},
        {[](Writer& w) { w.string("hi", false); }, "00026869"},
        {[](Writer& w) { w.string("hi", true); }, "036869"},
        {[](Writer& w) { w.nullable_string(std::nullopt, false); }, "ffff"},
        {[](Writer& w) { w.nullable_string(std::nullopt, true); }, "00"},
        {[](Writer& w) { w.bytes(Buffer::copy_of("A"), false); }, "0000000141"},
        {[](Writer& w) { w.nullable_bytes(std::nullopt, false); }, "ffffffff"},
        {[](Writer& w) { w.nullable_records(std::nullopt, true); }, "00"},
        {[](Writer& w) { w.array_count(2, true); }, "03"},
        {[](Writer& w) { w.null_array(false); }, "ffffffff"},
        {[](Writer& w) { w.tagged(5, [](Writer& out) { out.string("ab", true); }); }, "0503036162"},
    };
    for (const Row& row : rows) {
        Writer writer;
        row.write(writer);
        EXPECT_TRUE(writer.ok());
        EXPECT_EQ(hex_of(writer), row.bytes);
    }
}

TEST(Writer, SmallResponseIsOnePiece) {
    Writer writer;
    writer.begin_frame();
    writer.i32(7);
    writer.string("topic", true);
    const BufferChain frame = writer.finish_frame();
    ASSERT_EQ(frame.pieces().size(), 1U);
    Reader reader(frame.pieces()[0].memory);
    EXPECT_EQ(reader.i32(), 10);
    EXPECT_EQ(reader.i32(), 7);
}

TEST(Writer, RecordsAreReferencedNotCopied) {
    const Buffer batch = Buffer::copy_of(std::string(5000, 'r'));
    BufferChain records(batch);
    records.append(Buffer::copy_of("tail"));
    Writer writer;
    writer.i16(1);
    writer.records(records, false);
    writer.i16(2);
    const BufferChain out = writer.finish();
    ASSERT_EQ(out.pieces().size(), 4U);
    EXPECT_EQ(out.pieces()[0].size(), 6U);
    EXPECT_EQ(out.pieces()[1].memory.data(), batch.data());
    EXPECT_EQ(out.pieces()[3].size(), 2U);
    EXPECT_EQ(out.size(), 2U + 4 + 5004 + 2);
    // The bytes after the records continue in the chunk that was begun.
    EXPECT_EQ(out.pieces()[3].memory.data(), out.pieces()[0].memory.data() + 6);
}

TEST(Writer, TinyRecordsAreCopied) {
    Writer writer;
    writer.records(BufferChain(Buffer::copy_of("batch")), true);
    EXPECT_EQ(writer.finish().pieces().size(), 1U);
}

TEST(Writer, GrowsWithoutLosingBytes) {
    Writer writer(8);
    for (int32_t i = 0; i < 100'000; ++i) writer.i32(i);
    writer.raw(Buffer::copy_of(std::string(200'000, 'z')));
    EXPECT_EQ(writer.size(), 600'000U);
    Reader reader(writer.finish_flat());
    for (int32_t i = 0; i < 100'000; ++i) ASSERT_EQ(reader.i32(), i);
    EXPECT_EQ(reader.remaining(), 200'000U);
    EXPECT_EQ(writer.size(), 0U) << "finished writers are empty";
}

TEST(Writer, TagsNestAndKeepTheirOrder) {
    UnknownTags tags;
    tags.add(RawTag{1, Buffer::copy_of("x")});
    tags.add(RawTag{9, Buffer::copy_of("")});
    Writer writer;
    uint32_t next = writer.tags_before(tags, 0, 4);
    EXPECT_EQ(next, 1U);
    writer.tagged(4, [](Writer& out) {
        out.i8(1);
        out.tagged(0, [](Writer& inner) { inner.bytes(Buffer::copy_of("yyy"), true); });
    });
    next = writer.tags_before(tags, next, UINT64_MAX);
    EXPECT_EQ(next, 2U);
    EXPECT_EQ(hex_of(writer), "010178" "0407" "01" "0004" "04797979" "0900");
}

TEST(Writer, MeasuresReferencesToo) {
    Writer writer;
    const Buffer large = Buffer::copy_of(std::string(5000, 'b'));
    writer.tagged(0, [&](Writer& out) { out.bytes(large, true); });
    Reader reader(writer.finish_flat());
    reader.uvarint();
    EXPECT_EQ(reader.uvarint(), 5002U);
    EXPECT_EQ(reader.remaining(), 5002U);
}

TEST(Writer, LatchesWhatCannotBeSaid) {
    Writer writer;
    writer.string(std::string(32'768, 'x'), true);
    EXPECT_STREQ(writer.error(), "string too long");
    writer.fail("later");
    EXPECT_STREQ(writer.error(), "string too long");
}

}  // namespace
}  // namespace millrace::wire
