// tests/unit/replication/follower_test.cc: cuts, verdicts and new beginnings of a follower.
#include "millrace/replication/follower.h"

#include <gtest/gtest.h>

namespace millrace::replication {
namespace {

EpochEndPoint point(int32_t epoch, int64_t end) { return {LeaderEpoch(epoch), Offset(end)}; }

TEST(Follower, CutsWhereTheLogsPart) {
    struct Case {
        const char* what;
        EpochEndPoint leader, local;
        int64_t local_end, cut;
    };
    const Case cases[] = {
        {"leader's epoch ends before ours", point(3, 10), point(3, 15), 15, 10},
        {"ours ends before the leader's", point(3, 20), point(3, 15), 18, 15},
        {"the leader's epoch is unknown here", point(4, 20), point(3, 12), 18, 12},
        {"nothing as old here", point(1, 5), point(-1, -1), 18, 5},
        {"an answer beyond our end", point(1, 50), point(-1, -1), 18, 18},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(divergence_cut(c.leader, c.local, Offset(c.local_end)), Offset(c.cut)) << c.what;
    }
}

TEST(Follower, JudgesErrors) {
    const std::pair<ErrorCode, FetchVerdict> cases[] = {
        {ErrorCode::None, FetchVerdict::Process},
        {ErrorCode::OffsetOutOfRange, FetchVerdict::AskOffsets},
        {ErrorCode::FencedLeaderEpoch, FetchVerdict::WaitForImage},
        {ErrorCode::NotLeaderOrFollower, FetchVerdict::BackOff},
        {ErrorCode::UnknownLeaderEpoch, FetchVerdict::BackOff},
        {ErrorCode::UnknownTopicId, FetchVerdict::BackOff},
        {ErrorCode::KafkaStorageError, FetchVerdict::BackOff},
    };
    for (const auto& [error, verdict] : cases) {
        EXPECT_EQ(judge_fetch_error(error), verdict) << error_code_name(error);
    }
}

TEST(Follower, FindsItsPlaceInTheLeadersLog) {
    using Kind = Reposition::Kind;
    EXPECT_EQ(reposition(Offset(0), Offset(10), Offset(20)).kind, Kind::Truncate);
    EXPECT_EQ(reposition(Offset(0), Offset(10), Offset(20)).offset, Offset(10));
    EXPECT_EQ(reposition(Offset(30), Offset(40), Offset(20)).kind, Kind::StartAt);
    EXPECT_EQ(reposition(Offset(30), Offset(40), Offset(20)).offset, Offset(30));
    EXPECT_EQ(reposition(Offset(10), Offset(40), Offset(20)).kind, Kind::Keep);
}

}  // namespace
}  // namespace millrace::replication
