// src/storage/segment_recovery.cc: one pass over a segment that rebuilds what is derived from it.
#include "storage/segment_recovery.h"

#include <algorithm>
#include <limits>

namespace millrace::storage {
namespace {

constexpr uint64_t kPositionMax = std::numeric_limits<int32_t>::max();  // of an index entry

}  // namespace

Result<std::string> SegmentRecovery::judge(BatchScanner& scanner, Offset next) {
    const record::BatchView header = scanner.header();
    if (header.base_offset() < next) return std::string("its offset does not follow");
    if (header.last_offset() - segment_.base() > std::numeric_limits<int32_t>::max()) {
        return std::string("its offset is too far from the segment's base");
    }
    if (scanner.position() > kPositionMax) return std::string("the segment is too large");
    if (options_.epochs && header.leader_epoch() < last_epoch_) {
        return std::string("its leader epoch is older than the batch's before");
    }
    if (options_.verify) {
        MILLRACE_TRY_ASSIGN(const bool valid, scanner.verify_crc());
        if (!valid) return std::string("its checksum fails");
    }
    return std::string();
}

Status SegmentRecovery::take(BatchScanner& scanner) {
    const record::BatchView header = scanner.header();
    MILLRACE_TRY(segment_.note_batch(header, scanner.position(), *log_.config));
    if (options_.epochs) {
        MILLRACE_TRY(log_.assign_epoch(header.leader_epoch(), header.base_offset()));
        last_epoch_ = header.leader_epoch();
    }
    if (!options_.txns) return {};
    std::optional<record::EndTxnMarker> marker;
    if (header.is_control()) {
        MILLRACE_TRY_ASSIGN(const ByteView bytes, scanner.bytes());
        if (!bytes.empty()) marker = record::read_end_txn_batch(record::BatchView(bytes));
    }
    return log_.replay_batch(header, marker, &segment_);
}

Result<SegmentRecovery::Outcome> SegmentRecovery::run() {
    if (segment_.size_bytes() == 0) {
        // A node may have thousands of these.
        MILLRACE_TRY(segment_.clear_indexes(options_.txns));
        Outcome empty;
        empty.next_offset = empty.affected = segment_.base();
        return empty;
    }
    MILLRACE_TRY(segment_.reset_indexes(*log_.config, options_.txns));
    MILLRACE_TRY_ASSIGN(auto file, segment_.log_file());
    BatchScanner scanner(*file, 0, segment_.size_bytes(), BatchScanner::kRecoveryChunkBytes);
    Outcome outcome;
    outcome.next_offset = segment_.base();
    bool jumped = false;
    while (true) {
        MILLRACE_TRY_ASSIGN(const bool more, scanner.next());
        if (!more) break;
        MILLRACE_TRY_ASSIGN(outcome.reason, judge(scanner, outcome.next_offset));
        if (!outcome.reason.empty()) {
            // A base offset that rotted upwards (no checksum covers it) shows in its successor.
            outcome.affected = jumped ? std::min(outcome.next_offset, scanner.header().base_offset())
                                      : outcome.next_offset;
            return outcome;
        }
        jumped = scanner.header().base_offset() > outcome.next_offset;
        MILLRACE_TRY(take(scanner));
        outcome.valid_bytes = scanner.valid_end();
        outcome.next_offset = scanner.header().next_offset();
    }
    outcome.affected = outcome.next_offset;
    if (scanner.end() == record::WalkEnd::CutOff) outcome.reason = "the batch is cut off";
    if (scanner.end() == record::WalkEnd::Corrupt) outcome.reason = "no batch starts here";
    return outcome;
}

}  // namespace millrace::storage
