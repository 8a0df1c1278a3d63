// tests/unit/broker/follow_rules_test.cc: which answers count, and where an empty copy begins.
#include "broker/follow_rules.h"

#include <gtest/gtest.h>

#include "millrace/record/batch_builder.h"

namespace millrace::broker {
namespace {

TEST(FollowRules, AnAnswerOutlivesAMoveOfTheLogStartOnly) {
    using replication::FetchPosition;
    const FetchPosition asked{LeaderEpoch(3), Offset(10), LeaderEpoch(2), Offset(0)};
    FetchPosition here = asked;
    here.log_start = Offset(5);
    EXPECT_TRUE(continues(asked, here));
    for (auto change : {+[](FetchPosition& p) { p.leader_epoch = LeaderEpoch(4); },
                        +[](FetchPosition& p) { p.fetch_offset = Offset(11); },
                        +[](FetchPosition& p) { p.last_fetched_epoch = LeaderEpoch(3); }}) {
        FetchPosition other = asked;
        change(other);
        EXPECT_FALSE(continues(asked, other));
    }
}

TEST(FollowRules, AnEmptyCopyBeginsAtTheBatchThatTheStartCuts) {
    record::BatchBuilder builder;
    builder.start(record::BatchOptions{});
    for (int i = 0; i < 10; ++i) {
        record::NewRecord record;
        record.value = ByteView(std::string_view("x"));
        builder.append(record);
    }
    const Buffer batch = builder.finish();  // offsets 0 to 9
    EXPECT_EQ(begins_within(batch.view(), Offset(4), Offset(4)), Offset(0));
    EXPECT_EQ(begins_within(batch.view(), Offset(9), Offset(9)), Offset(0));
    EXPECT_EQ(begins_within(batch.view(), Offset(0), Offset(0)), std::nullopt);    // it just follows
    EXPECT_EQ(begins_within(batch.view(), Offset(10), Offset(10)), std::nullopt);  // nothing new
    EXPECT_EQ(begins_within(batch.view(), Offset(0), Offset(4)), std::nullopt);    // it has records
    EXPECT_EQ(begins_within({}, Offset(4), Offset(4)), std::nullopt);
}

}  // namespace
}  // namespace millrace::broker
