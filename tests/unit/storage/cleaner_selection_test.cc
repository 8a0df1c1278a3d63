// tests/unit/storage/cleaner_selection_test.cc: range, ratio, lags and grouping, as tables.
#include "storage/cleaner_selection.h"

#include <gtest/gtest.h>

namespace millrace::storage {
namespace {

TEST(CleanerSelection, FirstDirtyOffset) {
    struct Case {
        std::optional<Offset> checkpoint;
        int64_t expected;
        bool invalid;
    };
    const Case cases[] = {
        {std::nullopt, 10, false},  {Offset(9), 10, true},   {Offset(10), 10, false},
        {Offset(55), 55, false},    {Offset(100), 100, false}, {Offset(101), 10, true},
    };
    for (const Case& c : cases) {
        const FirstDirty found = first_dirty_offset(Offset(10), Offset(100), c.checkpoint);
        EXPECT_EQ(found.offset, Offset(c.expected));
        EXPECT_EQ(found.checkpoint_invalid, c.invalid);
    }
}

/// Segments of 10 offsets and 100, 200, 300 ... bytes; the last is the active one.
CleanerFacts facts_of(size_t count) {
    CleanerFacts facts;
    for (size_t i = 0; i < count; ++i) {
        CleanerSegment segment;
        segment.base = Offset(static_cast<int64_t>(i) * 10);
        segment.size_bytes = 100 * (i + 1);
        segment.largest_timestamp = WallMs{1000 + static_cast<int64_t>(i) * 100};
        segment.first_batch_timestamp = WallMs{1000 + static_cast<int64_t>(i) * 100 - 50};
        facts.segments.push_back(segment);
    }
    facts.log_end = Offset(static_cast<int64_t>(count) * 10);
    facts.last_stable = facts.recovery_point = facts.log_end;
    return facts;
}

TEST(CleanerSelection, RangeAndBytes) {
    struct Case {
        const char* what;
        int64_t dirty;
        int64_t last_stable;
        int64_t recovery_point;
        int64_t min_lag;
        int64_t first_uncleanable;
        uint64_t clean_bytes;
        uint64_t dirty_bytes;
    };
    // Five segments at 0, 10, 20, 30 and the active one at 40; the clock shows 1500.
    const Case cases[] = {
        {"all sealed segments", 0, 50, 50, 0, 40, 0, 1000},
        {"from a checkpoint", 20, 50, 50, 0, 40, 300, 700},
        {"from inside a segment: counted on both sides", 25, 50, 50, 0, 40, 600, 700},
        {"the segment with the last stable offset stays", 0, 27, 50, 0, 20, 0, 300},
        {"last stable offset at a base", 0, 30, 50, 0, 30, 0, 600},
        {"not above the recovery point", 0, 50, 10, 0, 10, 0, 100},
        {"nothing: the stable part is clean", 20, 15, 50, 0, 20, 300, 0},
        {"nothing: stable inside the dirty segment", 25, 27, 50, 0, 20, 600, 0},
        {"min lag: largest 1200 > 1500 - 400", 0, 50, 50, 400, 20, 0, 300},
        {"min lag: equal is old enough", 0, 50, 50, 300, 30, 0, 600},
        {"min lag: all old enough", 0, 50, 50, 10, 40, 0, 1000},
        {"min lag below the dirty part does not count", 30, 50, 50, 250, 30, 600, 0},
    };
    for (const Case& c : cases) {
        CleanerFacts facts = facts_of(5);
        facts.last_stable = Offset(c.last_stable);
        facts.recovery_point = Offset(c.recovery_point);
        LogConfig config;
        config.min_compaction_lag_ms = c.min_lag;
        const CleaningPlan plan =
            decide_cleaning(facts, {Offset(c.dirty), false}, config, WallMs{1500});
        EXPECT_EQ(plan.first_dirty, Offset(c.dirty)) << c.what;
        EXPECT_EQ(plan.first_uncleanable, Offset(c.first_uncleanable)) << c.what;
        EXPECT_EQ(plan.clean_bytes, c.clean_bytes) << c.what;
        EXPECT_EQ(plan.dirty_bytes, c.dirty_bytes) << c.what;
        EXPECT_FALSE(plan.must_clean) << c.what;
    }
}

TEST(CleanerSelection, OnlyTheActiveSegment) {
    const CleaningPlan plan = decide_cleaning(facts_of(1), {Offset(0), false}, {}, WallMs{9});
    EXPECT_EQ(plan.dirty_bytes, 0U);
    EXPECT_EQ(plan.clean_bytes, 0U);
    EXPECT_EQ(plan.dirty_ratio(), 0.0);
    EXPECT_FALSE(plan.worth_it({}));
}

TEST(CleanerSelection, MustClean) {
    struct Case {
        const char* what;
        int64_t dirty;
        int64_t max_lag;
        bool expected;
    };
    // First batches of the sealed segments: 950, 1050, 1150, 1250; the clock shows 1500.
    const Case cases[] = {
        {"oldest 950 < 1500 - 549", 0, 549, true},
        {"equal is not over", 0, 550, false},
        {"clean segments do not count", 10, 549, false},
        {"dirty from inside one", 5, 549, true},
        {"for ever", 0, LogConfig::kForever, false},
        {"the active one does not count", 40, 1, false},
    };
    for (const Case& c : cases) {
        LogConfig config;
        config.max_compaction_lag_ms = c.max_lag;
        const CleaningPlan plan =
            decide_cleaning(facts_of(5), {Offset(c.dirty), false}, config, WallMs{1500});
        EXPECT_EQ(plan.must_clean, c.expected) << c.what;
    }
    CleanerFacts untimed = facts_of(3);
    for (CleanerSegment& segment : untimed.segments) segment.first_batch_timestamp = WallMs{0};
    LogConfig config;
    config.max_compaction_lag_ms = 1;
    EXPECT_FALSE(decide_cleaning(untimed, {Offset(0), false}, config, WallMs{1500}).must_clean);
}

TEST(CleanerSelection, WorthIt) {
    struct Case {
        uint64_t clean;
        uint64_t dirty;
        bool must;
        double min_ratio;
        bool expected;
    };
    const Case cases[] = {
        {100, 100, false, 0.5, false}, {100, 101, false, 0.5, true}, {100, 1, true, 0.5, true},
        {100, 0, true, 0.5, false},    {0, 1, false, 0.99, true},    {0, 1, false, 1.0, false},
        {1000, 1, false, 0.0, true},   {0, 0, true, 0.0, false},
    };
    for (const Case& c : cases) {
        CleaningPlan plan;
        plan.clean_bytes = c.clean;
        plan.dirty_bytes = c.dirty;
        plan.must_clean = c.must;
        LogConfig config;
        config.min_cleanable_dirty_ratio = c.min_ratio;
        EXPECT_EQ(plan.worth_it(config), c.expected) << c.clean << " " << c.dirty;
    }
}

CleanerSegment of(int64_t base, uint64_t size, uint64_t index = 8, uint64_t times = 12) {
    CleanerSegment segment;
    segment.base = Offset(base);
    segment.size_bytes = size;
    segment.offset_index_bytes = index;
    segment.time_index_bytes = times;
    return segment;
}

TEST(CleanerSelection, Groups) {
    LogConfig config;
    config.segment_bytes = 100;
    config.segment_index_bytes = 50;
    constexpr int64_t kFar = int64_t{1} << 31;
    struct Case {
        const char* what;
        std::vector<CleanerSegment> segments;
        int64_t end;
        std::vector<SegmentGroup> expected;
    };
    const Case cases[] = {
        {"none", {}, 0, {}},
        {"all fit exactly", {of(0, 50), of(5, 30), of(9, 20)}, 12, {{0, 3}}},
        {"one byte more", {of(0, 50), of(5, 30), of(9, 21)}, 12, {{0, 2}, {2, 3}}},
        {"too large alone", {of(0, 500), of(5, 30), of(9, 21)}, 12, {{0, 1}, {1, 3}}},
        {"offset index", {of(0, 1, 30), of(5, 1, 20), of(9, 1, 8)}, 12, {{0, 2}, {2, 3}}},
        {"time index", {of(0, 1, 8, 26), of(5, 1, 8, 25), of(9, 1)}, 12, {{0, 1}, {1, 3}}},
        {"span just fits", {of(0, 1), of(5, 1)}, kFar, {{0, 2}}},
        {"span too far", {of(0, 1), of(5, 1)}, kFar + 1, {{0, 1}, {1, 2}}},
        {"span by the next base", {of(0, 1), of(5, 1), of(kFar, 1)}, kFar + 9, {{0, 2}, {2, 3}}},
        {"empty ones have no span", {of(0, 1), of(5, 0)}, 9 * kFar, {{0, 2}}},
    };
    for (const Case& c : cases) {
        EXPECT_EQ(group_segments(c.segments, config, Offset(c.end)), c.expected) << c.what;
    }
}

}  // namespace
}  // namespace millrace::storage
