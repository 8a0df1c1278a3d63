// tests/unit/cli/record_json_test.cc: records of internal topics in the words of Kafka's dumper.
#include "cli/record_json.h"

#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

std::string bytes_of(std::string_view hex) {
    std::string bytes;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    }
    return bytes;
}

struct Row {
    const char* name;
    RecordDecoder decoder;
    const char* key;
    const char* value;  // nullptr: a tombstone
    const char* key_text;
    const char* value_text;
};

// The bytes are those of coordinators.md 2.4, which Kafka 4.3.1's classes made.
const Row kRows[] = {
    {"offset", RecordDecoder::Offsets, "0001000267310003666f6f00000003",
     "0004000000000000002a00000007026d0000018bcfe5680001001001020304050607081112131415161718",
     R"({"type":"1","data":{"group":"g1","topic":"foo","partition":3}})",
     R"({"version":"4","data":{"offset":42,"leaderEpoch":7,"metadata":"m","commitTimestamp":1700000000000,)"
     R"("topicId":"AQIDBAUGBwgREhMUFRYXGA"}})"},
    {"old offset", RecordDecoder::Offsets, "0001000267310003666f6f00000003",
     "0001000000000000002a00000000018bcfe568000000018bcfe6b980",
     R"({"type":"1","data":{"group":"g1","topic":"foo","partition":3}})",
     R"({"version":"1","data":{"offset":42,"metadata":"","commitTimestamp":1700000000000,)"
     R"("expireTimestamp":1700000086400}})"},
    {"classic group", RecordDecoder::Offsets, "000200026731",
     "00030008636f6e73756d657200000005000572616e676500036d2d310000018bcfe568000000000100036d2d31ffff"
     "000163000a2f3132372e302e302e310000ea600000271000000003000102000000020001",
     R"({"type":"2","data":{"group":"g1"}})",
     R"({"version":"3","data":{"protocolType":"consumer","generation":5,"protocol":"range",)"
     R"("leader":"m-1","currentStateTimestamp":1700000000000,"members":[{"memberId":"m-1",)"
     R"("groupInstanceId":null,"clientId":"c","clientHost":"/127.0.0.1","rebalanceTimeout":60000,)"
     R"("sessionTimeout":10000,"subscription":"AAEC","assignment":"AAE="}]}})"},
    {"member", RecordDecoder::Offsets, "00050002673100026d31",
     "0000000002630b2f3132372e302e302e310204666f6f010000ea60000100110100002710020672616e676503000100"
     "00",
     R"({"type":"5","data":{"groupId":"g1","memberId":"m1"}})",
     R"({"version":"0","data":{"instanceId":null,"rackId":null,"clientId":"c",)"
     R"("clientHost":"/127.0.0.1","subscribedTopicNames":["foo"],"subscribedTopicRegex":"",)"
     R"("rebalanceTimeoutMs":60000,"serverAssignor":null,"classicMemberMetadata":{)"
     R"("sessionTimeoutMs":10000,"supportedProtocols":[{"name":"range","metadata":"AAE="}]}}})"},
    {"tombstone", RecordDecoder::Offsets, "000300026731", nullptr,
     R"({"type":"3","data":{"groupId":"g1"}})", "<DELETE>"},
    {"unknown type", RecordDecoder::Offsets, "004d00026731", "0000",
     "Unknown record type 77 at offset 9, skipping.", nullptr},
    {"unknown version", RecordDecoder::Offsets, "000300026731", "0063",
     "Error at offset 9, skipping. Found an unknown record version 99 for 3 type", nullptr},
    {"cut short", RecordDecoder::Offsets, "0003000267", "0000",
     "Error at offset 9, skipping. key: length beyond the frame at byte 4", nullptr},
    {"transaction", RecordDecoder::Transactions, "00000003747831",
     "000100000000000003e800050000ea60010204666f6f0200000000000000018bcfe568010000018bcfe568000200080"
     "0000000000003e802020002",
     R"({"type":"0","data":{"transactionalId":"tx1"}})",
     R"({"version":"1","data":{"producerId":1000,"previousProducerId":1000,"producerEpoch":5,)"
     R"("transactionTimeoutMs":60000,"transactionStatus":1,"transactionPartitions":[{"topic":"foo",)"
     R"("partitionIds":[0]}],"transactionLastUpdateTimestampMs":1700000000001,)"
     R"("transactionStartTimestampMs":1700000000000,"clientTransactionVersion":2}})"},
    {"metadata", RecordDecoder::Metadata, nullptr, "01020004666f6f0102030405060708111213141516171800",
     nullptr,
     R"({"type":"TOPIC_RECORD","version":0,"data":{"name":"foo","topicId":"AQIDBAUGBwgREhMUFRYXGA"}})"},
    {"metadata of no kind", RecordDecoder::Metadata, nullptr, "01e80700", nullptr,
     "Error at 9, skipping. Unknown metadata id 1000"},
};

TEST(RecordJson, SaysWhatKafkasDumperSays) {
    for (const Row& row : kRows) {
        SCOPED_TRACE(row.name);
        const std::string key = bytes_of(row.key == nullptr ? "" : row.key);
        const std::string value = bytes_of(row.value == nullptr ? "" : row.value);
        const auto view = [](const char* hex, const std::string& bytes) {
            return hex == nullptr ? std::nullopt : std::optional(ByteView(bytes));
        };
        const DecodedRecord decoded =
            decode_record(row.decoder, 9, view(row.key, key), view(row.value, value));
        EXPECT_EQ(decoded.key, row.key_text == nullptr ? std::nullopt
                                                       : std::optional<std::string>(row.key_text));
        EXPECT_EQ(decoded.payload, row.value_text == nullptr
                                       ? std::nullopt
                                       : std::optional<std::string>(row.value_text));
    }
}

}  // namespace
}  // namespace millrace::cli
