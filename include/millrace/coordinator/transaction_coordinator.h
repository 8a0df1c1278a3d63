// include/millrace/coordinator/transaction_coordinator.h: the transactions of one partition of __transaction_state.
//
// A CoordinatorMachine (coordinator.h): decides what producers with a transactional id may do, asks
// for transaction markers once a decision is committed, ends transactions that outlive their
// timeout, forgets ids that nobody uses. A transition is in force, and seen by readers, when its
// record is committed; until then, and until all markers of an ended transaction are written, every
// other command on that id is answered CONCURRENT_TRANSACTIONS.
// Owner: broker/coordinator_host. Requires: markers asked for are reported through on_marker, ids
// through on_producer_id, both exactly once, never inside another event.
// Source: coordinators.md 6; Kafka's TransactionCoordinator, TransactionStateManager.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "millrace/coordinator/transaction.h"

namespace millrace::coordinator {

struct TxnOptions {
    int32_t timeout_max_ms = 900'000;                 // transaction.max.timeout.ms
    int64_t id_expiration_ms = 604'800'000;           // transactional.id.expiration.ms
    Duration abort_interval = milliseconds(10'000);   // transaction.abort.timed.out....interval.ms
    Duration expire_interval = milliseconds(3'600'000);  // transaction.remove.expired....
    bool two_phase_commit = false;                    // transaction.two.phase.commit.enable
    int16_t transaction_version = 0;                  // finalized level of the feature
};

struct InitProducerIdCommand {
    std::string transactional_id;
    int32_t timeout_ms = 0;
    Producer expected;  // none: whatever is there is fenced
    bool enable_two_phase = false;
    bool keep_prepared = false;
};
struct AddPartitionsCommand {
    std::string transactional_id;
    Producer producer;
    std::set<TopicPartition> partitions;
    bool verify_only = false;
    int16_t client_version = 0;  // transaction.version that the request speaks
};
struct EndTxnCommand {
    std::string transactional_id;
    Producer producer;
    bool commit = false;
    int16_t client_version = 0;
};

/// What every command is answered with; which fields count depends on the command.
struct TxnResponse {
    ErrorCode error = ErrorCode::None;
    Producer producer;  // InitProducerId, EndTxn from version 2: the pair to use next
    std::map<TopicPartition, ErrorCode> partitions;  // of a verification without error
};

/// Markers to be written, one answer per partition.
struct MarkersWanted {
    std::string transactional_id;
    Marker marker;
    std::vector<TopicPartition> partitions;
};
/// A command waits for a producer id.
using ProducerIdTicket = uint64_t;

struct TxnOutput : CoordinatorOutput<TxnResponse> {
    std::vector<MarkersWanted> markers;
    std::vector<ProducerIdTicket> producer_ids;
};

class TransactionCoordinator {
  public:
    using Output = TxnOutput;

    /// One transactional id, the committed part of it.
    struct Entry {
        std::shared_ptr<const Transaction> txn;
        /// A record is not yet committed, or markers are not yet all written; where it leads to.
        std::optional<TxnState> pending;

        // Soft state below: TV < 2 keeps a raised epoch in memory when its record failed.
        bool failed_epoch_fence = false;
        std::set<TopicPartition> unmarked;     // partitions whose marker is still to be written
        std::set<TopicPartition> marker_retry;  // of those, refused and to be asked for again
        bool completion_retry = false;         // the record that completes was refused
    };
    using Entries = std::map<std::string, Entry, std::less<>>;

    explicit TransactionCoordinator(TxnOptions options);

    // --- commands
    void init_producer_id(const Tick& tick, RequestId id, InitProducerIdCommand command,
                          Output& out);
    void add_partitions(const Tick& tick, RequestId id, const AddPartitionsCommand& command,
                        Output& out);
    void end_transaction(const Tick& tick, RequestId id, const EndTxnCommand& command, Output& out);

    // --- what was asked for
    void on_producer_id(const Tick& tick, ProducerIdTicket ticket, ErrorCode error, ProducerId id,
                        Output& out);
    /// `gone`: the partition does not exist any more, by an image that is caught up.
    void on_marker(const Tick& tick, const std::string& transactional_id, const Marker& marker,
                   const TopicPartition& partition, ErrorCode error, bool gone, Output& out);
    void set_transaction_version(int16_t level) { options_.transaction_version = level; }

    // --- CoordinatorMachine
    void on_elected(const Tick& tick, LeaderEpoch epoch, Output& out);
    Status on_load_batch(const Tick& tick, const LoadedBatch& batch, Offset high_watermark,
                         Output& out);
    void on_loaded(const Tick& tick, Offset log_end, Offset high_watermark, Output& out);
    void on_load_failed(const Tick& tick, Output& out);
    void on_high_watermark(const Tick& tick, Offset high_watermark, Output& out);
    void on_append_failed(const Tick& tick, Offset base, ErrorCode error, Output& out);
    void on_resign(const Tick& tick, Output& out);
    void on_tick(const Tick& tick, Output& out);

    // --- reads
    ErrorCode not_ready() const { return core_.not_ready(); }
    const Entries& entries() const { return entries_; }
    LeaderEpoch epoch() const { return epoch_; }

  private:
    /// EndTxn as it runs inside: from a client, from the timeout, or to fence for InitProducerId.
    struct End {
        std::string transactional_id;
        Producer producer;
        bool commit = false;
        int16_t version = 0;
        bool fence = false;          // by this coordinator; the client's epoch is not looked at
        bool answer_concurrent = false;  // success is answered CONCURRENT_TRANSACTIONS
    };
    struct Verdict {
        ErrorCode error = ErrorCode::None;
        bool retried = false;  // it was done before: answer as then
    };
    using NeedsId = std::variant<std::pair<RequestId, InitProducerIdCommand>,
                                 std::pair<RequestId, End>>;
    static constexpr RequestId kNobody = 0;

    void init_with(const Tick& tick, RequestId id, InitProducerIdCommand command,
                   std::optional<ProducerId> fresh, Output& out);
    void end_with(const Tick& tick, RequestId id, End end, std::optional<ProducerId> fresh,
                  Output& out);
    Verdict judge_end(const Entry& entry, const End& end) const;
    Verdict judge_end_old(const Entry& entry, const End& end) const;
    void need_id(NeedsId command, Output& out);
    ErrorCode check_init(const InitProducerIdCommand& command) const;
    /// Writes `next`; `then` runs when it is in force, or with the error.
    void write(const Tick& tick, const std::string& id, Transaction next,
               MoveFunction<void(const Tick&, ErrorCode, CoordinatorOutput<TxnResponse>&)> then,
               Output& out);
    void on_prepared(const Tick& tick, const std::string& id);
    void ask_markers(const std::string& id, const std::set<TopicPartition>& partitions);
    void complete(const Tick& tick, const std::string& id, Output& out);
    void on_completed(const std::string& id, const Transaction& next, ErrorCode error);
    void abort_timed_out(const Tick& tick, Output& out);
    void expire(const Tick& tick, Output& out);
    void retry(const Tick& tick, Output& out);
    void arm_retry(const Tick& tick, const std::string& id);
    void forget_retry(const std::string& id);
    void reply(RequestId id, TxnResponse response, CoordinatorOutput<TxnResponse>& out) const;
    /// Every event ends here.
    void finish(const Tick& tick, Output& out);

    TxnOptions options_;
    CoordinatorCore<TransactionTable, TxnResponse> core_;
    Entries entries_;
    LeaderEpoch epoch_ = kNoLeaderEpoch;
    std::map<ProducerIdTicket, NeedsId> needs_id_;
    ProducerIdTicket next_ticket_ = 1;
    std::vector<MarkersWanted> markers_;       // found by continuations, given out by finish
    std::vector<std::string> to_complete_;     // prepared without partitions: nothing to mark
    Instant next_abort_ = Instant::never();
    Instant next_expire_ = Instant::never();
    /// Ids whose markers or completion were refused; each waits longer from time to time.
    struct Retry {
        Instant at = Instant::never();  // never: asked again, not yet answered
        Duration delay;
    };
    std::map<std::string, Retry> retries_;
    std::set<std::pair<Instant, std::string>> retry_queue_;  // those with a time
};

static_assert(CoordinatorMachine<TransactionCoordinator>);

}  // namespace millrace::coordinator
