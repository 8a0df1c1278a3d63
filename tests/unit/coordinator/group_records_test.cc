// tests/unit/coordinator/group_records_test.cc: records to the byte, as Kafka 4.3.1 wrote them.
//
// The hex is coordinators.md 2.4, but for the member: a live Kafka writes the tag of the classic
// metadata also when it is null (golden data). Each row is also read back by replay.
#include "coordinator/group_records.h"

#include <gtest/gtest.h>

#include <fmt/core.h>

#include "coordinator/consumer_group.h"

namespace millrace::coordinator {
namespace {

constexpr int64_t kTime = 1'700'000'000'000;
const Uuid kTopic{0x0102030405060708, 0x1112131415161718};

std::string hex(const Buffer& bytes) {
    std::string text;
    for (size_t i = 0; i < bytes.size(); ++i)
        text += fmt::format("{:02x}", bytes.data()[i]);
    return text;
}

void expect_record(const CoordinatorRecord& record, const std::string& key,
                   const std::string& value) {
    EXPECT_EQ(hex(record.key), key);
    ASSERT_TRUE(record.value.has_value());
    EXPECT_EQ(hex(*record.value), value);
    GroupState state;
    EXPECT_TRUE(state.replay({Offset(0), {}, record.key.view(), record.value->view()}).ok());
}

CommittedOffset offset(int64_t at, int32_t epoch, const std::string& metadata) {
    CommittedOffset value;
    value.offset = at;
    value.leader_epoch = epoch;
    value.metadata = metadata;
    value.commit_timestamp_ms = kTime;
    return value;
}

ConsumerMember member() {
    ConsumerMember m = new_consumer_member("m1");
    m.metadata.client_id = "c";
    m.metadata.client_host = "/127.0.0.1";
    m.metadata.subscribed_topic_names = {"foo"};
    m.metadata.rebalance_timeout_ms = 60000;
    return m;
}

TEST(GroupRecords, Offsets) {
    const TopicPartition foo3{"foo", PartitionIndex(3)};
    const std::string key = "0001000267310003666f6f00000003";
    CommittedOffset value = offset(42, 7, "m");
    value.topic_id = kTopic;
    expect_record(
        make_offset_record("g1", foo3, value), key,
        "0004000000000000002a00000007026d0000018bcfe568000100100102030405060708111213141516"
        "1718");
    expect_record(make_offset_record("g1", foo3, offset(42, -1, "")), key,
                  "0004000000000000002affffffff010000018bcfe5680000");
    value = offset(42, -1, "");
    value.expire_timestamp_ms = kTime + 86400;
    expect_record(make_offset_record("g1", foo3, value), key,
                  "0001000000000000002a00000000018bcfe568000000018bcfe6b980");
    EXPECT_EQ(hex(make_offset_tombstone("g1", foo3).key), key);
    EXPECT_FALSE(make_offset_tombstone("g1", foo3).value.has_value());
}

TEST(GroupRecords, ClassicGroup) {
    wire::GroupMetadataValue value;
    value.protocol_type = "consumer";
    value.generation = 5;
    value.protocol = "range";
    value.leader = "m-1";
    value.current_state_timestamp = kTime;
    auto& m = value.members.emplace_back();
    m.member_id = "m-1";
    m.client_id = "c";
    m.client_host = "/127.0.0.1";
    m.rebalance_timeout = 60000;
    m.session_timeout = 10000;
    m.subscription = Buffer::copy_of(std::string_view("\x00\x01\x02", 3));
    m.assignment = Buffer::copy_of(std::string_view("\x00\x01", 2));
    expect_record(make_classic_record("g1", value), "000200026731",
                  "00030008636f6e73756d657200000005000572616e676500036d2d310000018bcfe5680000000001"
                  "00036d2d31ffff000163000a2f3132372e302e302e310000ea6000002710000000030001020000"
                  "00020001");
}

TEST(GroupRecords, ConsumerGroup) {
    expect_record(make_epoch_record("g1", 2, 0x0102030405060708), "000300026731",
                  "0000000000020100080102030405060708");
    expect_record(make_epoch_record("g1", 2, 0), "000300026731", "00000000000200");
    const std::string member_key = "00050002673100026d31";
    ConsumerMember m = member();
    expect_record(make_member_record("g1", m), member_key,
                  "0000000002630b2f3132372e302e302e310204666f6f010000ea600001000100");
    auto& classic = m.metadata.classic_member_metadata.emplace();
    classic.session_timeout_ms = 10000;
    classic.supported_protocols.push_back(
        {"range", Buffer::copy_of(std::string_view("\x00\x01", 2)), {}});
    expect_record(make_member_record("g1", m), member_key,
                  "0000000002630b2f3132372e302e302e310204666f6f010000ea6000010011010000271002067261"
                  "6e67650300010000");
    expect_record(make_target_epoch_record("g1", 2, kTime), "000600026731",
                  "0000000000020100080000018bcfe56800");
    expect_record(make_target_record("g1", "m1", {{kTopic, {0, 1}}}), "00070002673100026d31",
                  "000002010203040506070811121314151617180300000000000000010000");
    ConsumerMember current = member();
    current.epoch = 2;
    current.previous_epoch = 0;
    current.assigned = {{kTopic, {{0, 2}, {1, 2}}}};
    expect_record(
        make_current_record("g1", current), "00080002673100026d31",
        "000000000002000000000002010203040506070811121314151617180300000000000000010100090"
        "300000002000000020100");
    wire::ConsumerGroupRegularExpressionValue regex;
    regex.topics = {"foo"};
    regex.version = 9;
    regex.timestamp = kTime;
    expect_record(make_regex_record("g1", "f.*", regex), "0010000267310003662e2a",
                  "00000204666f6f00000000000000090000018bcfe5680000");
}

}  // namespace
}  // namespace millrace::coordinator
