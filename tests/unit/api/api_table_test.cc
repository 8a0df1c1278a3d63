// tests/unit/api/api_table_test.cc: the table against the schemas and against Apache Kafka 4.3.1.
#include <gtest/gtest.h>

#include <map>

#include "api/api_versions.h"
#include "millrace/api/dispatch.h"

namespace millrace::api {
namespace {

struct Range {
    int16_t low;
    int16_t high;
};

// What Apache Kafka 4.3.1 advertises on a broker listener (dataplane.md A.2, observed).
const std::map<int16_t, Range> kKafkaBroker = {
    {0, {0, 13}},  {1, {4, 18}},  {2, {1, 11}},  {3, {0, 13}},  {8, {2, 10}},  {9, {1, 10}},
    {10, {0, 6}},  {11, {0, 9}},  {12, {0, 4}},  {13, {0, 5}},  {14, {0, 5}},  {15, {0, 6}},
    {16, {0, 5}},  {17, {0, 1}},  {18, {0, 4}},  {19, {2, 7}},  {20, {1, 6}},  {21, {0, 2}},
    {22, {0, 5}},  {23, {2, 4}},  {24, {0, 5}},  {25, {0, 4}},  {26, {0, 5}},  {27, {1, 2}},
    {28, {0, 5}},  {29, {1, 3}},  {30, {1, 3}},  {31, {1, 3}},  {32, {1, 4}},  {33, {0, 2}},
    {34, {1, 2}},  {35, {1, 5}},  {36, {0, 2}},  {37, {0, 3}},  {38, {1, 3}},  {39, {1, 2}},
    {40, {1, 2}},  {41, {1, 3}},  {42, {0, 2}},  {43, {0, 2}},  {44, {0, 1}},  {45, {0, 1}},
    {46, {0, 0}},  {47, {0, 0}},  {48, {0, 1}},  {49, {0, 1}},  {50, {0, 0}},  {51, {0, 0}},
    {55, {0, 2}},  {57, {0, 2}},  {60, {0, 2}},  {61, {0, 0}},  {64, {0, 0}},  {65, {0, 0}},
    {66, {0, 2}},  {68, {0, 1}},  {69, {0, 1}},  {74, {0, 1}},  {75, {0, 0}},  {76, {1, 1}},
    {77, {1, 1}},  {78, {1, 2}},  {79, {1, 2}},  {80, {0, 1}},  {81, {0, 0}},  {83, {0, 0}},
    {84, {0, 0}},  {85, {0, 1}},  {86, {0, 0}},  {87, {0, 1}},  {88, {0, 0}},  {89, {0, 0}},
    {90, {0, 1}},  {91, {0, 0}},  {92, {0, 0}},
};

TEST(ApiTable, AdvertisesKafkasRangesForWhatItServes) {
    const auto response = make_api_versions(api_table(), ListenerKind::Broker, 4, {});
    int16_t previous = -1;
    for (const auto& entry : response.api_keys) {
        EXPECT_GT(entry.api_key, previous);
        previous = entry.api_key;
        const auto expected = kKafkaBroker.find(entry.api_key);
        ASSERT_NE(expected, kKafkaBroker.end()) << entry.api_key;
        EXPECT_EQ(entry.min_version, expected->second.low) << entry.api_key;
        EXPECT_EQ(entry.max_version, expected->second.high) << entry.api_key;
    }
}

TEST(ApiTable, EveryRowIsServedOnAListenerItsSchemaNames) {
    for (const ApiRow& row : api_table()) {
        const wire::ApiInfo& info = wire::api_info(row.key);
        EXPECT_NE(row.serve, nullptr);
        EXPECT_NE(row.listeners, 0);
        EXPECT_EQ(row.listeners & ~info.listeners, 0) << info.name;
    }
}

TEST(ApiVersions, FeaturesWithMinimumZeroOnlyFromV4) {
    const auto v3 = make_api_versions(api_table(), ListenerKind::Broker, 3, {});
    ASSERT_EQ(v3.supported_features.size(), 1U);
    EXPECT_EQ(v3.supported_features[0].name, "metadata.version");
    const auto v4 = make_api_versions(api_table(), ListenerKind::Broker, 4, {});
    EXPECT_EQ(v4.supported_features.size(), 7U);
    const auto v0 = make_api_versions(api_table(), ListenerKind::Broker, 0, {});
    EXPECT_TRUE(v0.supported_features.empty());
}

TEST(ApiVersions, FinalizedFeaturesLeaveOutLevelZero) {
    FinalizedFeatures finalized;
    finalized.epoch = 42;
    finalized.levels = {{"kraft.version", 0}, {"metadata.version", 30}};
    const auto response = make_api_versions(api_table(), ListenerKind::Broker, 4, finalized);
    EXPECT_EQ(response.finalized_features_epoch, 42);
    ASSERT_EQ(response.finalized_features.size(), 1U);
    EXPECT_EQ(response.finalized_features[0].min_version_level, 30);
    EXPECT_EQ(response.finalized_features[0].max_version_level, 30);
}

TEST(ApiVersions, ClientSoftwareText) {
    for (const char* good : {"a", "librdkafka", "apache-kafka-java", "4.3.1", "a..b", "0"}) {
        EXPECT_TRUE(is_client_software_text(good)) << good;
    }
    for (const char* bad : {"", "-", "a-", ".a", "a b", "a_b", "\x80"}) {
        EXPECT_FALSE(is_client_software_text(bad)) << bad;
    }
}

}  // namespace
}  // namespace millrace::api
