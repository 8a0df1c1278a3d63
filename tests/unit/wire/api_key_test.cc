// tests/unit/wire/api_key_test.cc: the table of APIs against known facts of 4.3.1.
#include "millrace/wire/api_key.h"

#include <gtest/gtest.h>

#include <string>

#include "wire/testkit.h"

namespace millrace::wire {
namespace {

TEST(ApiKey, RowsOf431) {
    EXPECT_EQ(api_rows().count, 89U);
    size_t on_controller = 0;
    int previous = -1;
    for (const ApiInfo& row : api_rows()) {
        EXPECT_GT(static_cast<int>(row.key), previous);
        previous = static_cast<int>(row.key);
        on_controller += (row.listeners & kOnController) != 0 ? 1 : 0;
        EXPECT_EQ(api_key_from(static_cast<int16_t>(row.key)), row.key);
    }
    EXPECT_EQ(previous, 92);
    EXPECT_EQ(on_controller, 41U);
    for (const int gone : {4, 5, 6, 7, -1, 93, 999}) {
        EXPECT_FALSE(api_key_from(static_cast<int16_t>(gone)).has_value()) << gone;
    }
}

TEST(ApiKey, VersionsAndListeners) {
    EXPECT_EQ(api_info(ApiKey::Produce).version_min, 3);
    EXPECT_EQ(api_info(ApiKey::Produce).version_max, 13);
    EXPECT_EQ(api_info(ApiKey::InitProducerId).version_max, 6);
    EXPECT_EQ(api_info(ApiKey::InitProducerId).version_max_stable(), 5);
    EXPECT_EQ(api_info(ApiKey::Vote).listeners, kOnController);
    EXPECT_EQ(api_info(ApiKey::Fetch).listeners, kOnBroker | kOnController);
    EXPECT_STREQ(api_name(ApiKey::DescribeTopicPartitions), "DescribeTopicPartitions");
    EXPECT_FALSE(api_info(ApiKey::ShareFetch).serves(0));
    EXPECT_TRUE(api_info(ApiKey::ShareFetch).serves(2));
}

TEST(ApiKey, HeaderVersions) {
    struct Row {
        ApiKey key;
        int16_t version;
        int16_t request;
        int16_t response;
    };
    const Row rows[] = {
        {ApiKey::Produce, 8, 1, 0},      {ApiKey::Produce, 9, 2, 1},
        {ApiKey::ApiVersions, 2, 1, 0},  {ApiKey::ApiVersions, 3, 2, 0},
        {ApiKey::ApiVersions, 99, 2, 0}, {ApiKey::SaslHandshake, 1, 1, 0},
        {ApiKey::OffsetDelete, 0, 1, 0}, {ApiKey::Vote, 0, 2, 1},
    };
    for (const Row& row : rows) {
        EXPECT_EQ(request_header_version(row.key, row.version), row.request) << api_name(row.key);
        EXPECT_EQ(response_header_version(row.key, row.version), row.response) << api_name(row.key);
    }
}

TEST(ApiKey, EveryApiHasBothMessages) {
    for (const ApiInfo& row : api_rows()) {
        for (const char* suffix : {"Request", "Response"}) {
            const WireMessage* message = find_wire_message(std::string(row.name) + suffix);
            ASSERT_NE(message, nullptr) << row.name << suffix;
            EXPECT_EQ(message->version_min, row.version_min);
            EXPECT_EQ(message->version_max, row.version_max);
        }
    }
}

}  // namespace
}  // namespace millrace::wire
