// src/storage/retention.h: which of the oldest segments may go; pure decisions.
//
// Three passes run one after the other, each over what the one before left (dataplane F.4; Kafka's
// UnifiedLog.deleteOldSegments). The caller walks from the oldest segment and stops at the first
// that stays.
#pragma once

#include <cstdint>

#include "millrace/base/ids.h"
#include "millrace/base/time.h"

namespace millrace::storage {

struct SegmentFacts {
    Offset end_offset;      // base of the next segment, or the log end
    bool has_next = false;
    uint64_t size_bytes = 0;
};

/// Record timestamps are any number a client likes; differences wrap, as Java's do.
inline int64_t wrapping_minus(WallMs later, WallMs earlier) {
    return static_cast<int64_t>(static_cast<uint64_t>(later.value) -
                                static_cast<uint64_t>(earlier.value));
}

/// What every pass demands: nothing at or above the high watermark goes, nor an empty last segment.
inline bool may_delete(const SegmentFacts& segment, Offset high_watermark) {
    const bool empty_last = !segment.has_next && segment.size_bytes == 0;
    return high_watermark >= segment.end_offset && !empty_last;
}

/// Pass 1: all of it lies below the log start.
inline bool below_log_start(const SegmentFacts& segment, Offset log_start) {
    return segment.has_next && segment.end_offset <= log_start;
}

/// Pass 2: the log stays at or above retention.bytes without it. `excess_bytes` begins as log size
/// minus the limit and falls with each segment chosen.
inline bool exceeds_size(const SegmentFacts& segment, int64_t retention_bytes,
                         int64_t& excess_bytes) {
    if (retention_bytes < 0 || excess_bytes < static_cast<int64_t>(segment.size_bytes)) return false;
    excess_bytes -= static_cast<int64_t>(segment.size_bytes);
    return true;
}

/// Pass 3: its youngest record is older than retention.ms.
inline bool exceeds_age(WallMs largest_timestamp, int64_t retention_ms, WallMs now) {
    return retention_ms >= 0 && wrapping_minus(now, largest_timestamp) > retention_ms;
}

}  // namespace millrace::storage
