// tests/unit/placement/throttle_note_test.cc: notes of throttles come back, and only they are taken away.
#include "millrace/placement/throttle_note.h"

#include <gtest/gtest.h>

namespace millrace::placement {
namespace {

constexpr int8_t kTopic = ThrottleNote::kTopic;
constexpr int8_t kBroker = ThrottleNote::kBroker;
constexpr const char* kList = "leader.replication.throttled.replicas";
constexpr const char* kRate = "leader.replication.throttled.rate";

TEST(ThrottleNote, ComesBackFromItsRecords) {
    const std::vector<ThrottleNote> notes = {{kTopic, "t", kList, "0:1,1:2"},
                                             {kBroker, "7", kRate, "500,600"}};
    const auto records = throttle_records("r-1", notes);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records.begin()->first, "r-1/throttles/0");
    EXPECT_EQ(records.begin()->second,
              "millrace throttles 1\n2 t leader.replication.throttled.replicas 0:1,1:2\n"
              "4 7 leader.replication.throttled.rate 500,600\n");
    EXPECT_EQ(read_throttles(records.begin()->second), notes);
    EXPECT_TRUE(throttle_records("r-1", {}).empty());
    EXPECT_EQ(plan_of_key("r-1/throttles/0"), "r-1");
    EXPECT_EQ(plan_of_key("r-1"), "r-1");
    EXPECT_TRUE(is_throttles_key("r-1/throttles/0"));
    EXPECT_FALSE(is_throttles_key("r-1/moves/0"));
}

TEST(ThrottleNote, LargeListsAreKeptInPieces) {
    const std::string value(100'000, '1');
    const std::vector<ThrottleNote> notes(7, {kTopic, "t", kList, value});
    const auto records = throttle_records("r-1", notes);
    EXPECT_EQ(records.size(), 4U);
    size_t count = 0;
    for (const auto& [key, text] : records)
        count += read_throttles(text)->size();
    EXPECT_EQ(count, 7U);
}

TEST(ThrottleNote, RecordsOfOthersAreNotTakenForNotes) {
    for (const char* text : {"", "x", "{}", "millrace throttles 1\n3 t k v\n",
                             "millrace throttles 1\n2 t leader.replication.throttled.replicas\n", "millrace throttles 1\n2\n",
                             "millrace throttles 1\n\n",
                             "millrace throttles 1\n2  leader.replication.throttled.replicas 0:1\n"})
        EXPECT_EQ(read_throttles(text), std::nullopt) << text;
    EXPECT_EQ(read_throttles("millrace throttles 1\n"), std::vector<ThrottleNote>());
}

TEST(ThrottleNote, NothingButThrottlesAndCordonsCanBeNoted) {
    struct Case {
        int8_t type;
        const char* key;
        bool may;
    };
    const Case cases[] = {
        {kTopic, "leader.replication.throttled.replicas", true},
        {kTopic, "follower.replication.throttled.replicas", true},
        {kTopic, "leader.replication.throttled.rate", false},
        {kTopic, "cordoned.log.dirs", false},
        {kTopic, "retention.ms", false},
        {kBroker, "leader.replication.throttled.rate", true},
        {kBroker, "follower.replication.throttled.rate", true},
        {kBroker, "cordoned.log.dirs", true},
        {kBroker, "leader.replication.throttled.replicas", false},
        {kBroker, "log.cleaner.threads", false},
        {kBroker, "", false},
    };
    for (const Case& one : cases) {
        const auto records =
            throttle_records("r-1", {{kBroker, "7", kRate, "5"}, {one.type, "n", one.key, "1"}});
        EXPECT_EQ(read_throttles(records.begin()->second).has_value(), one.may)
            << int{one.type} << ' ' << one.key;
    }
}

TEST(ThrottleNote, TakesAwayWhatItNotesAndNothingElse) {
    struct Case {
        int8_t type;
        const char* noted;
        std::optional<std::string> set;
        bool removes;
        std::optional<std::string> rest;
    };
    const Case cases[] = {
        {kBroker, "500", "500", true, std::nullopt},
        {kBroker, "500,600", "600", true, std::nullopt},
        {kBroker, "500", "700", false, std::nullopt},  // somebody's own by now
        {kBroker, "500", std::nullopt, false, std::nullopt},
        {kTopic, "0:1,0:2", "0:1,0:2", true, std::nullopt},
        {kTopic, "0:1", "0:2,0:1,7:9", true, "0:2,7:9"},
        {kTopic, "0:1", "7:9", false, std::nullopt},
        {kTopic, "0:1", "*", false, std::nullopt},
    };
    for (const Case& one : cases) {
        const auto removal = removal_of({one.type, "n", "k", one.noted}, one.set);
        EXPECT_EQ(removal.has_value(), one.removes) << one.noted << " of " << one.set.value_or("-");
        if (!removal) continue;
        EXPECT_EQ(removal->rest, one.rest) << one.noted;
    }
}

}  // namespace
}  // namespace millrace::placement
