// tests/unit/cli/group_test.cc: what group commands work out without a cluster.
#include <gtest/gtest.h>

#include "cli/group_lag.h"
#include "cli/group_member.h"
#include "cli/group_reset.h"
#include "cli/time_text.h"

namespace millrace::cli {
namespace {

struct TextCase {
    const char* text;
    std::optional<int64_t> wanted;
};

TEST(CliTime, ReadsDatesAsKafkaWritesThem) {
    const TextCase cases[] = {
        {"2026-11-21T09:14:02.118", 1795252442118},
        {"2026-11-21T09:14:02.118Z", 1795252442118},
        {"2026-11-21T11:14:02.118+02:00", 1795252442118},
        {"2026-11-21T11:14:02.118+0200", 1795252442118},
        {"2026-11-21T09:14:02", 1795252442000},
        {"1970-01-01T00:00:00.000-01", 3600000},
        {"2026-11-21", std::nullopt},
        {"2026-11-21T09:14", std::nullopt},
        {"2026-11-21T09:14:02.118x", std::nullopt},
        {"", std::nullopt},
    };
    for (const TextCase& one : cases)
        EXPECT_EQ(parse_datetime(one.text), one.wanted) << one.text;
}

TEST(CliTime, ReadsDurationsAsJavaDoes) {
    const TextCase cases[] = {
        {"PT5M", 300'000},     {"P1DT2H30M5.5S", 95'405'500}, {"P2D", 172'800'000},
        {"-PT1S", -1000},      {"PT-3S", -3000},              {"pt1h", 3'600'000},
        {"P1M", std::nullopt}, {"PT", std::nullopt},          {"5m", std::nullopt},
        {"", std::nullopt},    {"PT5", std::nullopt},         {"PT5D", std::nullopt},
    };
    for (const TextCase& one : cases)
        EXPECT_EQ(parse_duration(one.text), one.wanted) << one.text;
    EXPECT_EQ(parse_short_duration("5m"), 300'000);
    EXPECT_EQ(parse_short_duration("500ms"), 500);
    EXPECT_EQ(parse_short_duration("2d"), 172'800'000);
    EXPECT_EQ(parse_short_duration("PT1M"), 60'000);
    EXPECT_EQ(parse_short_duration("5"), std::nullopt);
    EXPECT_EQ(parse_short_duration("5 parsecs"), std::nullopt);
}

TEST(CliTime, SaysHowFarBehind) {
    EXPECT_EQ(behind_text(0), "0.0 s");
    EXPECT_EQ(behind_text(345), "0.3 s");
    EXPECT_EQ(behind_text(570'000), "9m 30s");
    EXPECT_EQ(behind_text(7'500'000), "2h 05m");
    EXPECT_EQ(behind_text(273'600'000), "3d 04h");
}

TEST(CliReset, ReadsBothFormsOfPlan) {
    const OffsetPlans one = parse_reset_csv("orders,0,5\n\"orders\",1,7\r\n", "g");
    EXPECT_EQ(one, (OffsetPlans{{"g", {{{"orders", 0}, 5}, {{"orders", 1}, 7}}}}));
    const OffsetPlans two = parse_reset_csv("a,orders,0,5\nb,orders,0,6\n", "");
    EXPECT_EQ(two, (OffsetPlans{{"a", {{{"orders", 0}, 5}}}, {"b", {{{"orders", 0}, 6}}}}));
    for (const char* bad : {"orders,0", "orders,zero,5", "orders,0,x", "orders,0,5,6,7"}) {
        try {
            parse_reset_csv(bad, "g");
            FAIL() << bad;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.exit_code, kUsage);
            EXPECT_EQ(failure.fix, "each line is topic,partition,offset");
        }
    }
}

std::vector<int32_t> partitions_in(const std::vector<TopicPartition>& assigned) {
    std::vector<int32_t> numbers;
    for (const TopicPartition& partition : assigned)
        numbers.push_back(partition.partition);
    return numbers;
}

TEST(CliMember, AssignsRangesAsJavaDoes) {
    auto assigned =
        assign_ranges({{"b", {}, {"t"}}, {"a", {}, {"t"}}, {"c", {}, {"t"}}}, {{"t", 7}});
    EXPECT_EQ(partitions_in(assigned["a"]), (std::vector<int32_t>{0, 1, 2}));
    EXPECT_EQ(partitions_in(assigned["b"]), (std::vector<int32_t>{3, 4}));
    EXPECT_EQ(partitions_in(assigned["c"]), (std::vector<int32_t>{5, 6}));

    // Static members come first, by instance id; who does not subscribe gets nothing.
    assigned = assign_ranges({{"a", {}, {"t"}}, {"z", "i2", {"t"}}, {"y", "i1", {"u"}}},
                             {{"t", 2}, {"u", 1}});
    EXPECT_EQ(partitions_in(assigned["z"]), (std::vector<int32_t>{0}));
    EXPECT_EQ(partitions_in(assigned["a"]), (std::vector<int32_t>{1}));
    EXPECT_EQ(assigned["y"], (std::vector<TopicPartition>{{"u", 0}}));

    assigned = assign_ranges({{"a", {}, {"t"}}, {"b", {}, {"t"}}}, {{"t", 1}});
    EXPECT_TRUE(assigned.at("b").empty());
}

TEST(CliMember, AnUnreadableAssignmentIsNone) {
    EXPECT_EQ(parse_assignment(Buffer()), std::vector<TopicPartition>());
    EXPECT_EQ(parse_assignment(Buffer::copy_of(std::string_view("\0", 1))), std::nullopt);
    EXPECT_EQ(parse_assignment(Buffer::copy_of(std::string_view("\0\0\x7f\xff\xff\xff", 6))),
              std::nullopt);
}

TEST(CliLag, TotalsAndTheWorst) {
    std::vector<PartitionLag> rows(3);
    rows[0].committed = 5;
    rows[0].lag = 10;
    rows[0].behind_ms = 300;
    rows[1].committed = 9;
    rows[1].lag = -1;  // the log was cut behind the group
    const LagTotal total = total_of(rows);
    EXPECT_EQ(total.lag, 10);
    EXPECT_EQ(total.behind_ms, 300);
    EXPECT_EQ(total.unread, 1);
}

}  // namespace
}  // namespace millrace::cli
