// src/storage/producer_state.h: idempotence windows, open transactions, last stable offset.
//
// One per log that has seen a producer id; in memory, rebuilt from a snapshot and the log behind
// it. Pure but for its own containers: time comes as an argument, checks change nothing, apply()
// takes what the log has written. Rules: dataplane B.6, coordinators 6.9-6.10; Kafka's
// ProducerStateManager, ProducerAppendInfo, VerificationStateEntry.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "millrace/record/batch.h"
#include "millrace/record/control_record.h"
#include "millrace/storage/log_types.h"

namespace millrace::storage {

/// What is known of one batch of a producer.
struct ProducerBatch {
    int32_t last_sequence = record::kNoSequence;
    int32_t offset_delta = 0;
    Offset last_offset = kNoOffset;
    WallMs timestamp = kNoTimestamp;

    int32_t first_sequence() const;
    Offset first_offset() const { return last_offset - offset_delta; }
};

struct ProducerEntry {
    static constexpr size_t kBatchesMax = 5;  // NUM_BATCHES_TO_RETAIN

    ProducerEpoch epoch = kNoProducerEpoch;
    uint8_t batch_count = 0;
    int32_t coordinator_epoch = -1;
    WallMs last_timestamp = kNoTimestamp;
    Offset current_txn_first_offset = kNoOffset;  // -1: none open
    std::array<ProducerBatch, kBatchesMax> batches{};  // oldest first

    bool has_transaction() const { return current_txn_first_offset >= Offset(0); }
    int32_t last_sequence() const {
        return batch_count == 0 ? record::kNoSequence : batches[batch_count - 1U].last_sequence;
    }
    Offset last_offset() const {
        return batch_count == 0 ? kNoOffset : batches[batch_count - 1U].last_offset;
    }
    /// A newer epoch forgets the batches of the old one.
    void move_to_epoch(ProducerEpoch newer);
    void add_batch(const ProducerBatch& batch);
};

/// A transaction that a marker just ended.
struct CompletedTransaction {
    ProducerId producer_id;
    Offset first_offset;
    Offset last_offset;  // of the marker
    bool aborted = false;
};

/// Everything one batch does to the state, worked out before it is written.
struct ProducerChange {
    ErrorCode error = ErrorCode::None;
    std::optional<ProducerBatch> duplicate;
    ProducerId producer_id = kNoProducerId;
    ProducerEntry entry;
    std::optional<Offset> begins_transaction;
    std::optional<CompletedTransaction> completes;
    bool is_marker = false;
    bool is_transactional = false;
};

class ProducerState {
  public:
    /// Where a batch comes from, as the checks see it. Replication: verbatim from a leader or read
    /// back from disk; nothing is refused.
    enum class Source { Client, Coordinator, Replication };

    struct CheckInput {
        const record::BatchView& batch;  // with its final base offset
        std::optional<record::EndTxnMarker> marker;  // of a control batch
        Source source = Source::Client;
        bool verification_enabled = true;
        VerificationGuard guard;
        int transaction_version = 0;
    };
    /// REQUIRES: the batch has a producer id.
    ProducerChange check(const CheckInput& input) const;
    /// Takes over a change without error and without duplicate.
    void apply(const ProducerChange& change);

    /// Aborted index entry's LSO: what is stable once `done` is complete.
    Offset stable_offset_after(const CompletedTransaction& done) const;
    std::optional<Offset> first_unstable_offset() const;
    void on_high_watermark(Offset high_watermark);
    void on_log_start(Offset log_start);

    struct GuardOutcome {
        ErrorCode error = ErrorCode::None;
        VerificationGuard guard;
    };
    GuardOutcome start_verification(ProducerId id, ProducerEpoch epoch, int32_t sequence,
                                    bool supports_epoch_bump, WallMs now);
    bool has_ongoing_transaction(ProducerId id, ProducerEpoch epoch) const;
    const ProducerEntry* find(ProducerId id) const;
    const std::map<ProducerId, ProducerEntry>& producers() const { return producers_; }

    static bool expired(const ProducerEntry& entry, WallMs now, int64_t expiration_ms);
    void expire(WallMs now, int64_t expiration_ms);
    /// Restores an entry of a snapshot.
    void restore(ProducerId id, const ProducerEntry& entry);
    bool empty() const { return producers_.empty() && verifications_.empty(); }
    void clear();

  private:
    struct Verification {
        uint64_t guard = 0;
        WallMs created;
        int32_t lowest_sequence = 0;
        ProducerEpoch epoch;
        bool supports_epoch_bump = false;
    };
    struct OpenTransaction {
        ProducerId producer_id;
        Offset last_offset = kNoOffset;  // of the marker, once complete
    };
    ErrorCode check_epoch(const ProducerEntry& known, const CheckInput& input) const;
    ErrorCode check_sequence(ProducerId id, const ProducerEntry& known,
                             const record::BatchView& batch) const;
    bool guard_missing(const CheckInput& input) const;
    void check_marker(const CheckInput& input, const ProducerEntry& known,
                      ProducerChange& change) const;
    void check_data(const CheckInput& input, const ProducerEntry& known,
                    ProducerChange& change) const;

    std::map<ProducerId, ProducerEntry> producers_;
    std::map<ProducerId, Verification> verifications_;
    std::map<Offset, OpenTransaction> ongoing_;       // by first offset
    std::map<Offset, OpenTransaction> unreplicated_;  // complete, marker not below HW yet
    uint64_t next_guard_ = 1;
};

}  // namespace millrace::storage
