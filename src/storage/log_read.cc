// src/storage/log_read.cc: reads by offset and by timestamp.
#include <algorithm>

#include "storage/log_state.h"

namespace millrace::storage {

void Log::State::remember(Offset offset, Offset segment_base, uint64_t position) {
    for (Hint& hint : hints) {
        if (hint.offset == offset) {
            hint = {offset, segment_base, position};
            return;
        }
    }
    hints[next_hint] = {offset, segment_base, position};
    next_hint = static_cast<uint8_t>((next_hint + 1U) % hints.size());
}

void Log::State::forget_positions() { hints.fill({}); }

Result<Log::State::Located> Log::State::locate(Offset offset) {
    if (offset == log_end) return Located{segments.size() - 1, active().size_bytes()};
    size_t index = segment_index(offset);
    const Segment& first = *segments[index];
    if (offset <= first.base() && first.size_bytes() > 0) return Located{index, 0};
    for (const Hint& hint : hints) {
        // A hint at the file's end says nothing: the offset may have gone to the next segment.
        if (hint.offset == offset && hint.segment_base == first.base() &&
            hint.position < first.size_bytes()) {
            return Located{index, hint.position};
        }
    }
    for (; index < segments.size(); ++index) {
        MILLRACE_TRY_ASSIGN(const auto place, segments[index]->find(offset));
        if (place) return Located{index, place->position};
    }
    return Located{segments.size() - 1, active().size_bytes()};
}

Result<ReadOutcome> Log::State::read(const ReadInput& input) {
    ReadOutcome outcome;
    const Offset start = input.start_offset;
    if (start < log_start || start > log_end) {
        outcome.error = ErrorCode::OffsetOutOfRange;
        return outcome;
    }
    const Offset bound = std::min(input.upper_bound, log_end);
    if (start >= bound) {
        outcome.start.offset = start;
        if (start == log_end) {
            outcome.start = {start, active().base(), active().size_bytes()};
            remember(start, active().base(), active().size_bytes());
        }
        return outcome;
    }
    MILLRACE_TRY_ASSIGN(const Located from, locate(start));
    Segment& segment = *segments[from.segment];
    outcome.start = {start, segment.base(), from.position};
    uint64_t end = segment.size_bytes();
    const bool bound_here =
        from.segment + 1 == segments.size() || bound < segments[from.segment + 1]->base();
    if (bound_here) {
        MILLRACE_TRY_ASSIGN(const Located to, locate(bound));
        if (to.segment == from.segment) end = to.position;
        if (end > from.position) remember(bound, segment.base(), end);
    }
    const uint64_t available = end > from.position ? end - from.position : 0;
    uint64_t bytes = std::min<uint64_t>(input.max_bytes, available);
    if (bytes < available) {
        // Cut: at least the first batch must be whole, or nothing is sent (KIP-74).
        MILLRACE_TRY_ASSIGN(const auto first, segment.batch_at(from.position));
        MILLRACE_ASSERT(first.has_value(), "bytes below the segment's end");
        if (bytes < first->size_bytes) bytes = input.min_one_message ? first->size_bytes : 0;
    }
    if (bytes > 0) {
        MILLRACE_TRY_ASSIGN(auto file, segment.log_file());
        outcome.records.append(FileSlice{std::move(file), from.position, bytes});
    }
    if (input.aborted_transactions) {
        MILLRACE_TRY(collect_aborted(from.segment, from.position + bytes, start, outcome.aborted));
    }
    return outcome;
}

Status Log::State::collect_aborted(size_t segment, uint64_t end_position, Offset fetch_offset,
                                   std::vector<AbortedTransaction>& out) {
    const auto any = [](const auto& candidate) { return candidate->txns().exists(); };
    if (std::none_of(segments.begin() + static_cast<std::ptrdiff_t>(segment), segments.end(), any)) {
        return {};
    }
    // The index is sparse, so the bound may lie behind the bytes read: a superset is allowed.
    MILLRACE_TRY_ASSIGN(const auto bound,
                        segments[segment]->offsets().first_at_position(end_position));
    Offset upper = log_end;
    if (bound) {
        upper = bound->offset;
    } else if (segment + 1 < segments.size()) {
        upper = segments[segment + 1]->base();
    }
    for (size_t i = segment; i < segments.size(); ++i) {
        if (!segments[i]->txns().exists()) continue;
        MILLRACE_TRY_ASSIGN(const bool done, segments[i]->txns().collect(fetch_offset, upper, out));
        if (done) break;
    }
    return {};
}

Result<std::optional<TimestampOffset>> Log::offset_for_timestamp(WallMs target) {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    for (const auto& segment : s.segments) {
        if (segment->size_bytes() == 0) continue;
        MILLRACE_TRY_ASSIGN(const WallMs largest, segment->largest_timestamp_or_modified());
        if (largest < target) continue;
        return segment->find_timestamp(target, s.log_start);
    }
    return std::optional<TimestampOffset>{};
}

Result<std::optional<TimestampOffset>> Log::max_timestamp() {
    State& s = *state_;
    MILLRACE_TRY(s.ready());
    Segment* youngest = nullptr;
    TimeIndexEntry largest;
    for (const auto& segment : s.segments) {
        if (segment->size_bytes() == 0) continue;
        MILLRACE_TRY_ASSIGN(const TimeIndexEntry entry, segment->largest_timestamp());
        if (entry.timestamp <= largest.timestamp) continue;
        largest = entry;
        youngest = segment.get();
    }
    if (youngest == nullptr) return std::optional<TimestampOffset>{};
    return youngest->find_record_at(largest.timestamp, largest.offset);
}

}  // namespace millrace::storage
