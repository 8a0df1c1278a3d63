// tests/unit/wire/messages_test.cc: every message and version, whole, cut short and damaged.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "millrace/wire/gen/add_partitions_to_txn_request.h"
#include "millrace/wire/gen/consumer_group_heartbeat_response.h"
#include "millrace/wire/gen/fetch_request.h"
#include "millrace/wire/gen/fetch_response.h"
#include "millrace/wire/gen/partition_change_record.h"
#include "millrace/wire/gen/produce_request.h"
#include "wire/testkit.h"

namespace millrace::wire {
namespace {

std::string from_hex(const std::string& text) {
    std::string out;
    for (size_t i = 0; i + 1 < text.size(); i += 2) {
        out.push_back(static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16)));
    }
    return out;
}

TEST(Messages, BytesOfKafkaComeBackUnchanged) {
    std::ifstream file(MILLRACE_SOURCE_DIR "/tests/golden/wire/kafka_messages.hex");
    std::set<std::string> seen;
    std::string line;
    while (std::getline(file, line)) {
        if (line[0] == '#') continue;
        std::istringstream words(line);
        std::string name, kind, bytes;
        int16_t version = 0;
        words >> name >> version >> kind >> bytes;
        seen.insert(name + std::to_string(version));
        const WireMessage* message = find_wire_message(name);
        ASSERT_NE(message, nullptr) << name;
        const Buffer in = Buffer::copy_of(bytes == "-" ? "" : from_hex(bytes));
        Reader reader(in);
        Writer writer;
        ASSERT_TRUE(message->round_trip(reader, writer, version)) << line << reader.error_text();
        EXPECT_EQ(reader.remaining(), 0U) << line;
        EXPECT_EQ(writer.finish_flat(), in) << line;
        if (kind != "default") continue;
        Writer fresh;
        message->write_default(fresh, version);
        EXPECT_EQ(fresh.finish_flat(), in) << line;
    }
    EXPECT_EQ(seen.size(), 721U);
}

/// Calls `each(message, version, bytes)` for `count` random instances of every version.
template <class Each>
void for_random_instances(int count, Each each) {
    Rng rng(20260801);
    for (const WireMessage& message : wire_messages()) {
        for (int16_t v = message.version_min; v <= message.version_max; ++v) {
            for (int i = 0; i < count; ++i) {
                Writer writer;
                message.write_filled(writer, rng, FillMode::Random, v);
                ASSERT_TRUE(writer.ok()) << message.name << " v" << v << ": " << writer.error();
                each(message, v, writer.finish_flat(), rng);
            }
        }
    }
}

TEST(Messages, CutAtEveryByteAreRefused) {
    for_random_instances(1, [](const WireMessage& message, int16_t v, const Buffer& whole, Rng&) {
        if (whole.size() > 2000) return;
        for (size_t n = 0; n < whole.size(); ++n) {
            Reader reader(whole.slice(0, n));
            Writer writer;
            ASSERT_FALSE(message.round_trip(reader, writer, v))
                << message.name << " v" << v << " cut at " << n << " of " << whole.size();
            ASSERT_FALSE(reader.ok());
        }
    });
}

TEST(Messages, DamagedBytesNeverHarm) {
    for_random_instances(4, [](const WireMessage& message, int16_t v, const Buffer& whole,
                               Rng& rng) {
        if (whole.empty()) return;
        for (int i = 0; i < 4; ++i) {
            Buffer bytes = Buffer::copy_of(whole.view());
            for (uint64_t n = 1 + rng.below(3); n > 0; --n) {
                const size_t at = rng.below(bytes.size());
                bytes.mutable_data()[at] = static_cast<uint8_t>(rng.below(256));
            }
            Reader reader(bytes);
            Writer first;
            if (!message.round_trip(reader, first, v)) continue;
            // What was accepted must be stable: its encoding decodes to itself.
            const Buffer once = first.finish_flat();
            Reader again(once);
            Writer second;
            ASSERT_TRUE(message.round_trip(again, second, v)) << message.name << " v" << v;
            ASSERT_EQ(second.finish_flat(), once) << message.name << " v" << v;
        }
    });
}

TEST(Messages, UndefinedVersionsAreRefused) {
    for (const WireMessage& message : wire_messages()) {
        for (const int v : {message.version_min - 1, message.version_max + 1, 32767, -32768}) {
            const auto version = static_cast<int16_t>(v);
            Writer writer;
            message.write_default(writer, version);
            EXPECT_FALSE(writer.ok()) << message.name << " v" << v;
            Reader reader(Buffer::copy_of(std::string(100, '\0')));
            Writer out;
            EXPECT_FALSE(message.round_trip(reader, out, version)) << message.name << " v" << v;
        }
    }
}

TEST(Messages, FieldsAVersionLacksAreRefusedUnlessIgnorable) {
    FetchRequest request;
    request.session_id = 5;  // 7+, ignorable
    Writer dropped;
    request.encode(dropped, 4);
    EXPECT_TRUE(dropped.ok());
    request.topics.resize(1);
    request.topics[0].partitions.resize(1);
    request.topics[0].partitions[0].last_fetched_epoch = 3;  // 12+, not ignorable
    Writer refused;
    request.encode(refused, 11);
    EXPECT_STREQ(refused.error(), "last_fetched_epoch");
    Writer carried;
    request.encode(carried, 12);
    EXPECT_TRUE(carried.ok());

    AddPartitionsToTxnRequest txn;
    txn.v3_and_below_transactional_id = "x";  // 0-3
    Writer batched;
    txn.encode(batched, 4);
    EXPECT_FALSE(batched.ok());

    FetchRequest tags;
    tags.unknown_tags.add(RawTag{50, Buffer::copy_of("t")});
    Writer old;
    tags.encode(old, 11);
    EXPECT_STREQ(old.error(), "unknown tags");
}

TEST(Messages, NullWhereTheVersionHasNoneIsRefused) {
    ProduceRequest request;
    request.topic_data.resize(1);
    request.topic_data[0].partition_data.resize(1);
    EXPECT_FALSE(request.topic_data[0].partition_data[0].records.has_value());
    Writer fine;
    request.encode(fine, 9);
    EXPECT_TRUE(fine.ok());
    ConsumerGroupHeartbeatResponse response;
    EXPECT_FALSE(response.assignment.has_value()) << "null by default";
    PartitionChangeRecord change;
    EXPECT_FALSE(change.isr.has_value()) << "null means unchanged";
    EXPECT_EQ(change.leader, -2);
}

TEST(Messages, ProducedRecordsAreSlicesOfTheFrame) {
    ProduceRequest request;
    request.acks = -1;
    request.topic_data.resize(1);
    request.topic_data[0].name = "t";
    request.topic_data[0].partition_data.resize(1);
    request.topic_data[0].partition_data[0].records = BufferChain(Buffer::copy_of("batch bytes"));
    Writer writer;
    request.encode(writer, 9);
    const Buffer frame = writer.finish_flat();
    ProduceRequest back;
    Reader reader(frame);
    ASSERT_TRUE(back.decode(reader, 9));
    EXPECT_EQ(back, request);
    const BufferChain& records = *back.topic_data[0].partition_data[0].records;
    ASSERT_EQ(records.pieces().size(), 1U);
    const uint8_t* at = records.pieces()[0].memory.data();
    EXPECT_TRUE(at > frame.data() && at < frame.data() + frame.size());
}

TEST(Messages, FetchedRecordsStayReferences) {
    const Buffer batch = Buffer::copy_of(std::string(4096, 'b'));
    FetchResponse response;
    response.responses.resize(1);
    response.responses[0].partitions.resize(1);
    response.responses[0].partitions[0].records = BufferChain(batch);
    Writer writer;
    response.encode(writer, 17);
    bool found = false;
    const BufferChain out = writer.finish();
    for (const ChainPiece& piece : out.pieces()) {
        found |= piece.memory.data() == batch.data();
    }
    EXPECT_TRUE(found);
}

}  // namespace
}  // namespace millrace::wire
