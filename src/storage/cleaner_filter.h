// src/storage/cleaner_filter.h: what one batch becomes when it is cleaned.
//
// Pure: bytes and the clock's value in, bytes out. Rules: dataplane F.9; Kafka's
// MemoryRecords.filterTo and the RecordFilter of Cleaner.cleanInto.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "millrace/record/batch_builder.h"
#include "storage/cleaner_txns.h"
#include "storage/offset_map.h"

namespace millrace::storage {

/// The newest thing a log holds of a producer that is still known: the batch that must stay, if
/// only as an empty one, so that a reopened log knows the producer's sequence or epoch.
struct LastRecord {
    Offset last_data_offset = kNoOffset;  // -1: only a marker
    ProducerEpoch epoch = kNoProducerEpoch;
};
using LastRecords = std::map<ProducerId, LastRecord>;

struct FilterRules {
    Offset range_end;  // the batch that ends here stays, if only as an empty one
    WallMs now;
    int64_t delete_retention_ms = 0;
};

class CleanerFilter {
  public:
    CleanerFilter(const FilterRules& rules, const OffsetMap& map, CleanedTransactions& txns)
        : rules_(rules), map_(map), txns_(txns) {}

    struct Outcome {
        /// Nothing: the batch goes. Points into the input or into `rebuilt`.
        std::optional<ByteView> kept;
        Buffer rebuilt;
        std::optional<AbortedEntry> aborted;  // for the new segment's transaction index
        uint64_t records_read = 0;
        uint64_t records_kept = 0;
        uint64_t keyless_records = 0;
    };
    /// Batches of the range in order. Corrupt: a batch that does not decode or whose offsets do
    /// not rise. REQUIRES: the batch's checksum holds.
    Result<Outcome> apply(const record::BatchView& batch, const LastRecords& last_records);

  private:
    enum class Fate {
        Delete,      // with everything in it
        DropEmpty,   // goes when no record stays
        KeepEmpty,   // stays even when no record does
    };
    struct Verdict {
        Fate fate = Fate::DropEmpty;
        bool drop_records = false;
        bool marker_without_data = false;
    };
    Verdict judge(const record::BatchView& batch, bool discardable,
                  const LastRecords& last_records) const;
    bool keeps(const record::BatchView& batch, const record::RecordView& record,
               Outcome& outcome) const;
    Status keep_records(const record::BatchView& batch, const Verdict& verdict, Outcome& outcome);
    Status rebuild(const record::BatchView& batch, std::optional<WallMs> horizon,
                   Outcome& outcome);
    void make_empty(const record::BatchView& batch, Outcome& outcome);

    FilterRules rules_;
    const OffsetMap& map_;
    CleanedTransactions& txns_;
    record::BatchBuilder builder_;
    std::vector<bool> kept_;  // of the current batch, per record
};

}  // namespace millrace::storage
