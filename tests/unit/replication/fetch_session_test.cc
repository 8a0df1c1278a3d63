// tests/unit/replication/fetch_session_test.cc: the session table of dataplane.md C.2.
#include "millrace/replication/fetch_session.h"

#include <gtest/gtest.h>

namespace millrace::replication {
namespace {

const Uuid kTopic{1, 2};

FetchTarget target(int32_t partition, int64_t offset = 0) {
    FetchTarget t;
    t.topic_id = kTopic;
    t.partition = partition;
    t.fetch_offset = offset;
    return t;
}

FetchSessionRequest request(int32_t id, int32_t epoch, int16_t version = 17) {
    return {version, id, epoch, false};
}

std::vector<FetchAnswerFacts> good(size_t count, int64_t high_watermark = 5) {
    FetchAnswerFacts facts;
    facts.high_watermark = high_watermark;
    facts.log_start_offset = 0;
    return std::vector<FetchAnswerFacts>(count, facts);
}

int32_t open_session(FetchSessionCache& cache, int32_t partitions, Instant now = {}) {
    std::vector<FetchTarget> targets;
    for (int32_t i = 0; i < partitions; ++i) targets.push_back(target(i));
    const FetchContext context = cache.open(request(0, 0), targets, {}, now);
    return cache.finish(context, good(targets.size()), now).session_id;
}

TEST(FetchSession, OldVersionsAndFinalEpochAreSessionless) {
    FetchSessionCache cache(1000, 1);
    FetchContext context = cache.open(request(0, 0, 6), {target(0)}, {}, {});
    EXPECT_EQ(context.kind, FetchContext::Kind::Sessionless);
    const int32_t id = open_session(cache, 1);
    EXPECT_EQ(cache.session_count(), 1U);
    context = cache.open(request(id, -1), {target(0)}, {}, {});
    EXPECT_EQ(context.kind, FetchContext::Kind::Sessionless);
    EXPECT_EQ(cache.session_count(), 0U);
}

TEST(FetchSession, IncrementalLeavesOutWhatDidNotChange) {
    FetchSessionCache cache(1000, 1);
    const int32_t id = open_session(cache, 2);
    ASSERT_GT(id, 0);
    FetchContext context = cache.open(request(id, 1), {}, {}, {});
    ASSERT_EQ(context.targets.size(), 2U);
    auto answers = good(2);
    answers[1].has_records = true;
    FetchFinish finish = cache.finish(context, answers, {});
    EXPECT_EQ(finish.session_id, id);
    EXPECT_EQ(finish.include, (std::vector<bool>{false, true}));
    // An error is always sent, and so is the first good answer after it.
    context = cache.open(request(id, 2), {}, {}, {});
    answers = good(2);
    answers[0].error = ErrorCode::NotLeaderOrFollower;
    EXPECT_EQ(cache.finish(context, answers, {}).include, (std::vector<bool>{true, false}));
    context = cache.open(request(id, 3), {}, {}, {});
    EXPECT_EQ(cache.finish(context, good(2), {}).include, (std::vector<bool>{true, false}));
}

TEST(FetchSession, PartitionsWithDataMoveToTheEnd) {
    FetchSessionCache cache(1000, 1);
    const int32_t id = open_session(cache, 3);
    FetchContext context = cache.open(request(id, 1), {}, {}, {});
    auto answers = good(3);
    answers[0].has_records = true;
    (void)cache.finish(context, answers, {});
    context = cache.open(request(id, 2), {}, {}, {});
    EXPECT_EQ(context.targets[0].partition, 1);
    EXPECT_EQ(context.targets[2].partition, 0);
}

TEST(FetchSession, ErrorsKeepTheSession) {
    FetchSessionCache cache(1000, 1);
    const int32_t id = open_session(cache, 1);
    EXPECT_EQ(cache.open(request(id, 9), {}, {}, {}).error, ErrorCode::InvalidFetchSessionEpoch);
    EXPECT_EQ(cache.open(request(id, 1, 12), {}, {}, {}).error,
              ErrorCode::FetchSessionTopicIdError);
    EXPECT_EQ(cache.open(request(id + 1, 1), {}, {}, {}).error,
              ErrorCode::FetchSessionIdNotFound);
    EXPECT_EQ(cache.open(request(id, 1), {}, {}, {}).kind, FetchContext::Kind::Incremental);
}

TEST(FetchSession, RemembersTheNameOfATopic) {
    FetchSessionCache cache(1000, 1);
    const int32_t id = open_session(cache, 1);
    FetchContext context = cache.open(request(id, 1), {}, {}, {});
    EXPECT_EQ(context.targets[0].known_name, nullptr);
    context.targets[0].known_name = std::make_shared<const std::string>("birds");
    (void)cache.finish(context, good(1), {});
    context = cache.open(request(id, 2), {target(0, 7)}, {}, {});  // listed again, by its id
    ASSERT_NE(context.targets[0].known_name, nullptr);
    EXPECT_EQ(*context.targets[0].known_name, "birds");
    EXPECT_EQ(context.targets[0].fetch_offset, 7);
}

TEST(FetchSession, ForgettingTheLastPartitionClosesIt) {
    FetchSessionCache cache(1000, 1);
    const int32_t id = open_session(cache, 1);
    const FetchContext context = cache.open(request(id, 1), {}, {target(0)}, {});
    EXPECT_EQ(context.kind, FetchContext::Kind::Sessionless);
    EXPECT_EQ(cache.finish(context, {}, {}).session_id, 0);
    EXPECT_EQ(cache.open(request(id, 2), {}, {}, {}).error, ErrorCode::FetchSessionIdNotFound);
}

TEST(FetchSession, AnotherRequestInBetweenIsAnEpochError) {
    FetchSessionCache cache(1000, 1);
    const int32_t id = open_session(cache, 1);
    const FetchContext first = cache.open(request(id, 1), {}, {}, {});
    (void)cache.open(request(id, 2), {}, {}, {});
    const FetchFinish finish = cache.finish(first, good(1), {});
    EXPECT_EQ(finish.error, ErrorCode::InvalidFetchSessionEpoch);
    EXPECT_EQ(finish.session_id, id);
}

TEST(FetchSession, EightSlotsGrantEightSessionsThenRefuseYoungRivals) {
    FetchSessionCache cache(8, 1);
    for (int i = 0; i < 8; ++i) EXPECT_GT(open_session(cache, 1), 0);
    EXPECT_EQ(open_session(cache, 1), 0);
    EXPECT_EQ(open_session(cache, 5), 0) << "bigger, but nobody is old enough to give way";
    EXPECT_GT(open_session(cache, 1, Instant{} + seconds(121)), 0) << "unused for 120 s";
}

}  // namespace
}  // namespace millrace::replication
