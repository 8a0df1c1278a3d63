// src/storage/cleaner_selection.cc: which range may be cleaned, whether it is worth it, grouping.
#include "storage/cleaner_selection.h"

#include <algorithm>
#include <limits>

#include "storage/retention.h"

namespace millrace::storage {

double CleaningPlan::dirty_ratio() const {
    const uint64_t total = clean_bytes + dirty_bytes;
    return total == 0 ? 0.0 : static_cast<double>(dirty_bytes) / static_cast<double>(total);
}

bool CleaningPlan::worth_it(const LogConfig& config) const {
    if (dirty_bytes == 0) return false;
    return must_clean || dirty_ratio() > config.min_cleanable_dirty_ratio;
}

FirstDirty first_dirty_offset(Offset log_start, Offset log_end,
                              std::optional<Offset> checkpoint) {
    if (!checkpoint) return {log_start, false};
    if (*checkpoint < log_start || *checkpoint > log_end) return {log_start, true};
    return {*checkpoint, false};
}

size_t segment_of(const std::vector<CleanerSegment>& segments, Offset offset) {
    const auto after = std::upper_bound(
        segments.begin(), segments.end(), offset,
        [](Offset wanted, const CleanerSegment& segment) { return wanted < segment.base; });
    return after == segments.begin() ? 0 : static_cast<size_t>(after - segments.begin()) - 1;
}

CleaningPlan decide_cleaning(const CleanerFacts& facts, const FirstDirty& dirty,
                             const LogConfig& config, WallMs now) {
    const std::vector<CleanerSegment>& segments = facts.segments;
    const size_t active = segments.size() - 1;
    const size_t first = segment_of(segments, dirty.offset);
    CleaningPlan plan;
    plan.first_dirty = dirty.offset;
    plan.checkpoint_invalid = dirty.checkpoint_invalid;

    Offset bound = std::min({facts.last_stable, segments[active].base, facts.recovery_point});
    if (config.min_compaction_lag_ms > 0) {
        for (size_t i = first; i < active; ++i) {
            // largest > now - lag, as Java's wrapping numbers have it
            if (segments[i].largest_timestamp.value >
                wrapping_minus(now, WallMs{config.min_compaction_lag_ms})) {
                bound = std::min(bound, segments[i].base);
                break;
            }
        }
    }
    bound = std::max(bound, dirty.offset);
    // Whole segments only: the one that holds the bound stays as it is.
    const size_t uncleanable = segment_of(segments, bound);
    plan.first_uncleanable = segments[uncleanable].base;
    for (size_t i = 0; i <= active && segments[i].base < dirty.offset; ++i) {
        plan.clean_bytes += segments[i].size_bytes;
    }
    for (size_t i = first; i < uncleanable; ++i) plan.dirty_bytes += segments[i].size_bytes;

    const int64_t lag = std::max<int64_t>(config.max_compaction_lag_ms, 0);
    const int64_t clean_until = wrapping_minus(now, WallMs{lag});
    for (size_t i = first; i < active; ++i) {
        const int64_t timestamp = segments[i].first_batch_timestamp.value;
        if (timestamp > 0 && timestamp < clean_until) plan.must_clean = true;
    }
    return plan;
}

std::vector<SegmentGroup> group_segments(const std::vector<CleanerSegment>& segments,
                                         const LogConfig& config, Offset first_uncleanable) {
    constexpr int64_t kSpanMax = std::numeric_limits<int32_t>::max();
    const auto index_max = static_cast<uint64_t>(config.segment_index_bytes);
    std::vector<SegmentGroup> groups;
    for (size_t at = 0; at < segments.size();) {
        SegmentGroup group{at, at + 1};
        uint64_t log_bytes = segments[at].size_bytes;
        uint64_t index_bytes = segments[at].offset_index_bytes;
        uint64_t time_bytes = segments[at].time_index_bytes;
        for (; group.last < segments.size(); ++group.last) {
            const CleanerSegment& next = segments[group.last];
            const Offset end = group.last + 1 < segments.size() ? segments[group.last + 1].base
                                                                : first_uncleanable;
            // The worst last offset is the one before the next segment's; an empty one has none.
            const bool span_fits =
                next.size_bytes == 0 || end - segments[at].base - 1 <= kSpanMax;
            log_bytes += next.size_bytes;
            index_bytes += next.offset_index_bytes;
            time_bytes += next.time_index_bytes;
            if (!span_fits || log_bytes > static_cast<uint64_t>(config.segment_bytes) ||
                index_bytes > index_max || time_bytes > index_max) {
                break;
            }
        }
        groups.push_back(group);
        at = group.last;
    }
    return groups;
}

}  // namespace millrace::storage
