// src/storage/cleaner_selection.h: which range of a log may be cleaned, whether it is worth it, and
// which segments become one; pure decisions.
//
// Rules: dataplane F.9; Kafka's LogCleanerManager, LogToClean, Cleaner.groupSegmentsBySize. One
// bound is ours: nothing above the recovery point is cleaned, so that what a crash recovers was
// never rewritten.
#pragma once

#include <optional>
#include <vector>

#include "millrace/storage/cleaner.h"
#include "millrace/storage/log_config.h"

namespace millrace::storage {

/// What the decisions need of a segment. The timestamps are looked at for sealed dirty segments
/// only, and only when the settings ask for a lag: others may leave them out.
struct CleanerSegment {
    Offset base;
    uint64_t size_bytes = 0;
    WallMs largest_timestamp = kNoTimestamp;      // file time when no record has one
    WallMs first_batch_timestamp = kNoTimestamp;  // its maximum
    uint64_t offset_index_bytes = 0;
    uint64_t time_index_bytes = 0;
};

struct CleanerFacts {
    Offset log_start;
    Offset log_end;
    Offset last_stable;
    Offset recovery_point;
    std::vector<CleanerSegment> segments;  // by base; the last is the active one
};

struct FirstDirty {
    Offset offset;
    bool checkpoint_invalid = false;  // to be rewritten
};
FirstDirty first_dirty_offset(Offset log_start, Offset log_end, std::optional<Offset> checkpoint);

/// Index of the segment that holds `offset` (the first one when it lies below all).
size_t segment_of(const std::vector<CleanerSegment>& segments, Offset offset);

CleaningPlan decide_cleaning(const CleanerFacts& facts, const FirstDirty& dirty,
                             const LogConfig& config, WallMs now);

/// Runs of segments that become one each: [first, last) into `segments`, which are those below the
/// end of the cleaning.
struct SegmentGroup {
    size_t first = 0;
    size_t last = 0;
    friend bool operator==(const SegmentGroup&, const SegmentGroup&) = default;
};
std::vector<SegmentGroup> group_segments(const std::vector<CleanerSegment>& segments,
                                         const LogConfig& config, Offset first_uncleanable);

}  // namespace millrace::storage
