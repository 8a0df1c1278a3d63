// tests/unit/broker/producer_ids_test.cc: blocks of producer ids, never handed out twice.
#include "millrace/broker/producer_ids.h"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::broker {
namespace {

struct Fixture {
    int requests = 0;
    std::vector<ProducerIdAnswer> answers;
    ProducerIds ids{[this] { ++requests; }};
    void next() {
        ids.next(Reply<ProducerIdAnswer>([this](ProducerIdAnswer a) { answers.push_back(a); }));
    }
};

TEST(ProducerIds, WaitsForABlockThenCountsUp) {
    Fixture f;
    f.next();
    f.next();
    EXPECT_EQ(f.requests, 1);
    EXPECT_TRUE(f.answers.empty());
    f.ids.on_block(ErrorCode::None, 1000, 1000);
    ASSERT_EQ(f.answers.size(), 2U);
    EXPECT_EQ(f.answers[0].producer_id, 1000);
    EXPECT_EQ(f.answers[1].producer_id, 1001);
}

TEST(ProducerIds, FetchesTheNextBlockAhead) {
    Fixture f;
    f.next();
    f.ids.on_block(ErrorCode::None, 0, 1000);
    for (int i = 1; i < 900; ++i) f.next();
    EXPECT_EQ(f.requests, 2) << "when nine tenths are used";
    f.ids.on_block(ErrorCode::None, 5000, 1000);
    for (int i = 0; i < 101; ++i) f.next();
    EXPECT_EQ(f.answers[999].producer_id, 999);
    EXPECT_EQ(f.answers[1000].producer_id, 5000);
}

TEST(ProducerIds, FailureAnswersRetriableAndAsksAgain) {
    Fixture f;
    f.next();
    f.ids.on_block(ErrorCode::NotController, -1, 0);
    ASSERT_EQ(f.answers.size(), 1U);
    EXPECT_EQ(f.answers[0].error, ErrorCode::CoordinatorLoadInProgress);
    f.next();
    EXPECT_EQ(f.requests, 2);
    f.ids.on_block(ErrorCode::None, 0, 1);
    EXPECT_EQ(f.answers[1].producer_id, 0);
}

}  // namespace
}  // namespace millrace::broker
