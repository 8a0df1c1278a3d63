// src/storage/segment_recovery.h: one pass over a segment that rebuilds what is derived from it.
#pragma once

#include <string>

#include "storage/log_state.h"

namespace millrace::storage {

/// Walks a segment from its start, rebuilding its indexes, and on request the log's leader epochs
/// and producer state. Stops at the first byte that is no valid next batch; cuts nothing.
class SegmentRecovery {
  public:
    struct Options {
        bool verify = true;  // checksums
        bool epochs = true;  // assign epochs; a batch of an older epoch is no valid successor
        bool txns = true;    // producer state and transaction index
    };
    struct Outcome {
        uint64_t valid_bytes = 0;
        Offset next_offset;  // after the last valid batch
        Offset affected;     // lowest offset that is lost with what does not follow
        std::string reason;  // empty: the file ends with a whole batch
    };
    SegmentRecovery(Log::State& log, Segment& segment, Options options)
        : log_(log), segment_(segment), options_(options) {}
    Result<Outcome> run();

  private:
    Result<std::string> judge(BatchScanner& scanner, Offset next);
    Status take(BatchScanner& scanner);
    Log::State& log_;
    Segment& segment_;
    Options options_;
    LeaderEpoch last_epoch_ = kNoLeaderEpoch;
};

}  // namespace millrace::storage
