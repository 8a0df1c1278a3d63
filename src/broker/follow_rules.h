// src/broker/follow_rules.h: small rules of copying a log, for followers and for other directories.
#pragma once

#include <optional>

#include "millrace/record/batch_iterator.h"
#include "millrace/replication/fetcher.h"

namespace millrace::broker {

/// The answer to what was asked from `asked` continues the log that is `here` now. A log start that
/// moved meanwhile does not matter: with the answer its watermark would be thrown away, and a
/// session says that once.
inline bool continues(const replication::FetchPosition& asked,
                      const replication::FetchPosition& here) {
    return asked.leader_epoch == here.leader_epoch && asked.fetch_offset == here.fetch_offset &&
           asked.last_fetched_epoch == here.last_fetched_epoch;
}

/// The base of the first batch, where the copy is empty and its end lies within that batch:
/// DeleteRecords cut the other log there. The copy has to begin anew at the batch
/// (Kafka: UnexpectedAppendOffsetException).
inline std::optional<Offset> begins_within(ByteView batches, Offset local_start, Offset local_end) {
    record::BatchIterator walk(batches);
    if (local_start != local_end || !walk.next()) return std::nullopt;
    const record::BatchView first = walk.batch();
    if (first.base_offset() >= local_end || first.last_offset() < local_end) return std::nullopt;
    return first.base_offset();
}

}  // namespace millrace::broker
