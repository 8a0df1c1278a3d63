// tests/unit/base/error_code_test.cc: the table is aligned with the numbers.
#include "millrace/base/error_code.h"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

TEST(ErrorCode, RowsStandAtTheirNumbers) {
    EXPECT_STREQ(error_code_name(ErrorCode::UnknownServerError), "UNKNOWN_SERVER_ERROR");
    EXPECT_STREQ(error_code_name(ErrorCode::None), "NONE");
    EXPECT_STREQ(error_code_name(ErrorCode::InvalidRecord), "INVALID_RECORD");
    EXPECT_STREQ(error_code_name(ErrorCode::ShareSessionLimitReached),
                 "SHARE_SESSION_LIMIT_REACHED");
    EXPECT_EQ(wire_error(ErrorCode::NotLeaderOrFollower), 6);
}

TEST(ErrorCode, RetriableAsInKafka) {
    EXPECT_TRUE(error_code_retriable(ErrorCode::NotLeaderOrFollower));
    EXPECT_TRUE(error_code_retriable(ErrorCode::CorruptMessage));
    EXPECT_FALSE(error_code_retriable(ErrorCode::RebalanceInProgress));
    EXPECT_FALSE(error_code_retriable(ErrorCode::None));
}

TEST(ErrorCode, OnlyDefinedNumbersConvert) {
    int retriable = 0;
    for (int16_t n = kErrorCodeMin; n <= kErrorCodeMax; ++n) {
        ASSERT_TRUE(error_code_from(n).has_value());
        EXPECT_NE(std::string(error_code_message(*error_code_from(n))), "");
        retriable += error_code_retriable(*error_code_from(n)) ? 1 : 0;
    }
    EXPECT_EQ(retriable, 32);
    EXPECT_FALSE(error_code_from(-2).has_value());
    EXPECT_FALSE(error_code_from(134).has_value());
}

}  // namespace
}  // namespace millrace
