// src/raft/accumulator.cc: gathering proposals into batches.
#include "raft/accumulator.h"

#include <iterator>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace::raft {

size_t Accumulator::bytes_of(const std::vector<Buffer>& records) {
    size_t bytes = 0;
    for (const Buffer& record : records)
        bytes += record.size() + kRecordOverheadBytesMax;
    return bytes;
}

Offset Accumulator::add(Instant now, Duration linger, std::vector<Buffer> records) {
    MILLRACE_ASSERT(!records.empty(), "a proposal has records");
    const size_t bytes = bytes_of(records);
    MILLRACE_ASSERT(bytes <= kBatchBytesMax, "a proposal fits one batch");
    if (batches_.empty()) deadline_ = now + linger;
    if (batches_.empty() || last_batch_bytes_ + bytes > kBatchBytesMax) {
        AppendBatch batch;
        batch.base_offset = next_offset_;
        batch.epoch = epoch_;
        batches_.push_back(std::move(batch));
        last_batch_bytes_ = 0;
    }
    AppendBatch& batch = batches_.back();
    next_offset_ = next_offset_ + static_cast<int64_t>(records.size());
    batch.last_offset = next_offset_ - 1;
    batch.records.insert(batch.records.end(), std::make_move_iterator(records.begin()),
                         std::make_move_iterator(records.end()));
    last_batch_bytes_ += bytes;
    pending_bytes_ += bytes;
    return batch.last_offset;
}

std::vector<AppendBatch> Accumulator::take() {
    pending_bytes_ = 0;
    last_batch_bytes_ = 0;
    deadline_ = Instant::never();
    return std::exchange(batches_, {});
}

}  // namespace millrace::raft
