// src/raft/accumulator.h: proposals that wait to be appended together.
//
// Offsets are given at once, so that a command knows where its records will stand; the bytes wait
// while an earlier append is being synced, at most append_linger. Source: BatchAccumulator.
#pragma once

#include <cstddef>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/ids.h"
#include "millrace/base/time.h"
#include "millrace/raft/output.h"

namespace millrace::raft {

/// KafkaRaftClient.MAX_BATCH_SIZE_BYTES: also the bound of one proposal.
inline constexpr size_t kBatchBytesMax = 8 * 1024 * 1024;
/// Proposals waiting for the disk beyond this are refused (QueueFull).
inline constexpr size_t kPendingBytesMax = 64 * 1024 * 1024;
/// Per record: length, attributes, deltas, key length and header count, all varints.
inline constexpr size_t kRecordOverheadBytesMax = 21;

class Accumulator {
  public:
    Accumulator(LeaderEpoch epoch, Offset next_offset) : epoch_(epoch), next_offset_(next_offset) {}

    /// REQUIRES: records is not empty and fits() them.
    Offset add(Instant now, Duration linger, std::vector<Buffer> records);
    bool empty() const { return batches_.empty(); }
    size_t pending_bytes() const { return pending_bytes_; }
    /// When the oldest waiting proposal has to be appended; never when none waits.
    Instant deadline() const { return batches_.empty() ? Instant::never() : deadline_; }
    Offset next_offset() const { return next_offset_; }
    std::vector<AppendBatch> take();
    static size_t bytes_of(const std::vector<Buffer>& records);

  private:
    LeaderEpoch epoch_;
    Offset next_offset_;
    std::vector<AppendBatch> batches_;
    size_t last_batch_bytes_ = 0;
    size_t pending_bytes_ = 0;
    Instant deadline_ = Instant::never();
};

}  // namespace millrace::raft
