// tests/unit/base/uuid_test.cc: Kafka's text form of ids.
#include "millrace/base/uuid.h"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(Uuid, MetadataTopicPrintsAsKafkaPrintsIt) {
    EXPECT_EQ(kMetadataTopicId.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    EXPECT_EQ(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAQ"), kMetadataTopicId);
}

TEST(Uuid, RoundTripsEveryBit) {
    const Uuid id{0xfedcba9876543210ULL, 0x0123456789abcdefULL};
    EXPECT_EQ(Uuid::parse(id.to_string()), id);
    EXPECT_EQ(Uuid::from_bytes(id.to_bytes().data()), id);
}

TEST(Uuid, RefusesOtherText) {
    EXPECT_FALSE(Uuid::parse("").has_value());
    EXPECT_FALSE(Uuid::parse("AAAAAAAAAAAAAAAAAAAA!Q").has_value());
    EXPECT_FALSE(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAQA").has_value());
}

}  // namespace
}  // namespace millrace
