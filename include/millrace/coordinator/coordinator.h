// include/millrace/coordinator/coordinator.h: the command machine under every coordinator.
//
// A command yields records and a continuation: the records are replayed at once into the State, so
// that the next command sees them, and handed out for appending; the continuation runs when they
// are committed, or with the error when they were not appended (the state is then as before).
//
// State is a value made of base/persistent_map.h, cheap to copy: going back is keeping the old
// version, and readers may see the newest or the committed one. It must offer
//   Status replay(const ReplayedRecord&)  one record; changes nothing but the State
//   void end_transaction(const Marker&)   what a transaction marker does to pending records
//
// Life, driven from outside: begin_loading (elected), load (each batch, in order), finish_loading,
// then commands; resign ends it for good: the next election makes a new machine. One machine per
// partition, owned by the shard that leads it. Source: coordinators.md section 1;
// org.apache.kafka.coordinator.common.runtime.CoordinatorRuntime.
#pragma once

#include <algorithm>
#include <concepts>
#include <deque>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/assert.h"
#include "millrace/base/move_function.h"
#include "millrace/base/pending_by_offset.h"
#include "millrace/coordinator/coordinator_output.h"

namespace millrace::coordinator {

/// The partition of a coordinator topic that owns `key` (a group or transactional id): Java's
/// String.hashCode over UTF-16 units, its magnitude modulo. REQUIRES: partitions > 0.
int32_t coordinator_partition(std::string_view key, int32_t partitions);

/// What a client is told when the log refused the records with `error`.
ErrorCode append_error_for_client(ErrorCode error);

/// Bytes that one record may take in a batch, headers included; an upper bound.
size_t record_bytes_max(const CoordinatorRecord& record);

inline constexpr Duration kCommitTimeout = milliseconds(5000);  // offsets.commit.timeout.ms
inline constexpr size_t kBatchBytesMax = 1048588;               // max.message.bytes
inline constexpr size_t kBatchHeaderBytes = 61;

enum class Phase { Initial, Loading, Active, Failed, Resigned };

struct CoordinatorOptions {
    Duration commit_timeout = kCommitTimeout;
    size_t batch_bytes_max = kBatchBytesMax;  // a command above it is refused
    /// How long plain records are gathered into one batch; 0: every command is a batch of its own.
    Duration append_linger = {};
};

/// One record on its way into the State, from our own command or from the log.
struct ReplayedRecord {
    Offset offset;
    Producer producer;
    ByteView key;
    std::optional<ByteView> value;
};

template <class State, class Response>
class CoordinatorCore {
  public:
    using Output = CoordinatorOutput<Response>;
    /// Runs once: None when everything before is committed, else why it never will be (mapped by
    /// append_error_for_client). CoordinatorNotAvailable after commit_timeout: the records may
    /// still commit.
    using Done = MoveFunction<void(const Tick&, ErrorCode, Output&)>;

    explicit CoordinatorCore(CoordinatorOptions options = {}, State state = State())
        : options_(options),
          message_bytes_max_(options.batch_bytes_max),
          state_(std::move(state)),
          committed_(state_) {}

    Phase phase() const { return phase_; }
    bool active() const { return phase_ == Phase::Active; }
    /// None when commands may run, else what they are answered.
    ErrorCode not_ready() const {
        if (phase_ == Phase::Active) return ErrorCode::None;
        return phase_ == Phase::Loading || phase_ == Phase::Initial
                   ? ErrorCode::CoordinatorLoadInProgress
                   : ErrorCode::NotCoordinator;
    }
    const State& state() const { return state_; }
    const State& committed() const { return committed_; }
    /// The topic's max.message.bytes, now: what several commands, or one that may be cut, are
    /// gathered up to. A single command above it goes out alone and the log judges its true size.
    void set_message_bytes_max(size_t bytes) {
        message_bytes_max_ = std::min(bytes, options_.batch_bytes_max);
    }
    Offset next_offset() const { return next_offset_; }
    Offset committed_end() const { return committed_end_; }
    /// Continuations that wait for a commit.
    size_t waiting() const { return pending_.size(); }

    void begin_loading() {
        MILLRACE_ASSERT(phase_ == Phase::Initial, "a machine is loaded once");
        phase_ = Phase::Loading;
    }
    /// `high_watermark` may lie inside or below the batch. A bad Status has failed the machine.
    Status load(const LoadedBatch& batch, Offset high_watermark) {
        if (phase_ != Phase::Loading) return Status(Errc::Cancelled, "not loading");
        MILLRACE_ASSERT(batch.base_offset >= next_offset_, "batches load in log order");
        if (batch.marker) state_.end_transaction(*batch.marker);
        for (const LoadedRecord& record : batch.records) {
            if (!record.key) continue;  // Kafka warns and skips
            const Status status =
                state_.replay({record.offset, batch.producer, *record.key, record.value});
            if (!status.ok()) {
                phase_ = Phase::Failed;
                return status;
            }
        }
        next_offset_ = batch.last_offset + 1;
        remember(high_watermark);
        return Status();
    }
    /// The log was read to its end. From here on commands may run.
    void finish_loading(Offset log_end, Offset high_watermark) {
        MILLRACE_ASSERT(phase_ == Phase::Loading, "only a loading machine becomes active");
        MILLRACE_ASSERT(log_end >= next_offset_, "the log was read to its end");
        next_offset_ = log_end;
        remember(high_watermark);
        phase_ = Phase::Active;
    }
    void fail_loading() { phase_ = Phase::Failed; }

    /// Replays `records` and hands them out for appending, as one batch (or, when not `atomic`, as
    /// many as needed); `done` runs as said above. Without records `done` waits for what the
    /// command has seen, and runs at once when nothing is open.
    void write(const Tick& tick, std::vector<CoordinatorRecord> records, Done done, Output& out,
               Producer producer = {}, bool atomic = true) {
        // A continuation that fails with the leadership may want to write once more.
        if (!active()) return done(tick, ErrorCode::NotCoordinator, out);
        while (!records.empty()) {
            const size_t count = atomic ? records.size() : fitting(records);
            const size_t bytes = bytes_of_first(records, count);
            if (bytes > options_.batch_bytes_max) {
                return done(tick, ErrorCode::UnknownServerError, out);
            }
            CoordinatorBatch batch{next_offset_, tick.wall, producer, {}, {}};
            const auto end = records.begin() + static_cast<std::ptrdiff_t>(count);
            batch.records.assign(std::make_move_iterator(records.begin()),
                                 std::make_move_iterator(end));
            records.erase(records.begin(), end);
            if (!replay_own(batch)) return done(tick, ErrorCode::UnknownServerError, out);
            const bool lingers = options_.append_linger > Duration() &&
                                 !producer.transactional() && bytes <= message_bytes_max_;
            if (lingers) {
                gather(tick, std::move(batch), bytes, out);
            } else {
                hand_out(std::move(batch), out);
            }
        }
        park(tick, std::move(done), out);
    }
    /// Replays a marker and hands it out for appending.
    void write_marker(const Tick& tick, const Marker& marker, Done done, Output& out) {
        if (!active()) return done(tick, ErrorCode::NotCoordinator, out);
        state_.end_transaction(marker);
        hand_out({next_offset_, tick.wall, marker.producer, {}, marker}, out);
        park(tick, std::move(done), out);
    }
    /// Runs `done` when all that is written by now is committed; at once when it is.
    void park(const Tick& tick, Done done, Output& out) {
        if (committed_end_ >= next_offset_) return done(tick, ErrorCode::None, out);
        pending_.park(next_offset_ - 1, {std::move(done), tick.now + options_.commit_timeout});
    }

    /// Everything below `high_watermark` is committed. What is open is not in the log: a watermark
    /// above its base is somebody else's records there, and appending it will show that.
    void on_high_watermark(const Tick& tick, Offset high_watermark, Output& out) {
        if (open_) high_watermark = std::min(high_watermark, open_->batch.base_offset);
        if (high_watermark <= committed_end_ && phase_ == Phase::Active) return;
        remember(high_watermark);
        std::vector<Waiting> done;
        pending_.release(committed_end_, done);
        for (Waiting& waiting : done)
            waiting.done(tick, ErrorCode::None, out);
    }
    /// The log refused the batch at `base` (and was not given what came after it): the state goes
    /// back, and everything that waits from there on fails. False: nothing was written there.
    bool on_append_failed(const Tick& tick, Offset base, ErrorCode error, Output& out) {
        if (phase_ != Phase::Active) return false;
        base = std::max(base, committed_end_);  // what is committed stays, whatever the log says
        if (base >= next_offset_) return false;
        while (!uncommitted_.empty() && uncommitted_.back().end > base)
            uncommitted_.pop_back();
        state_ = uncommitted_.empty() ? committed_ : uncommitted_.back().state;
        next_offset_ = base;
        open_.reset();  // it began behind the batch that was refused
        fail_from(tick, base, append_error_for_client(error), out);
        return true;
    }
    /// Leadership is gone, or the partition; everything that waits is answered NOT_COORDINATOR.
    void resign(const Tick& tick, Output& out) {
        if (phase_ == Phase::Resigned) return;
        phase_ = Phase::Resigned;
        open_.reset();
        fail_from(tick, Offset(0), ErrorCode::NotCoordinator, out);
    }
    /// Ends every wait with `error`; for a machine that has found more to answer while resigning.
    void fail_waiting(const Tick& tick, ErrorCode error, Output& out) {
        fail_from(tick, Offset(0), error, out);
    }
    /// Hands out what lingered long enough. Answers what waited too long; its records stay and may
    /// commit later.
    void on_tick(const Tick& tick, Output& out) {
        if (open_ && open_->deadline <= tick.now) flush(out);
        while (!pending_.empty() && pending_.oldest().deadline <= tick.now) {
            Waiting late = pending_.take_oldest();
            late.done(tick, ErrorCode::CoordinatorNotAvailable, out);
        }
    }
    Instant wake_at() const {
        return std::min(pending_.empty() ? Instant::never() : pending_.oldest().deadline,
                        open_ ? open_->deadline : Instant::never());
    }

  private:
    struct Waiting {
        Done done;
        Instant deadline;
    };
    struct Uncommitted {
        Offset end;
        State state;
    };

    /// A batch that is replayed and not handed out yet.
    struct Open {
        CoordinatorBatch batch;
        size_t bytes = 0;  // at most, its header included
        Instant deadline;
    };

    /// How many of the first records to put into one batch: what fits, and at least one.
    size_t fitting(const std::vector<CoordinatorRecord>& records) const {
        size_t count = 1;
        size_t bytes = bytes_of_first(records, 1);
        for (; count < records.size(); ++count) {
            bytes += record_bytes_max(records[count]);
            if (bytes > message_bytes_max_) break;
        }
        return count;
    }
    /// Of a batch of the first `count` records; an upper bound.
    static size_t bytes_of_first(const std::vector<CoordinatorRecord>& records, size_t count) {
        size_t bytes = kBatchHeaderBytes;
        for (size_t i = 0; i < count; ++i)
            bytes += record_bytes_max(records[i]);
        return bytes;
    }
    /// Puts a batch that is replayed into the open one, or opens one with it.
    void gather(const Tick& tick, CoordinatorBatch batch, size_t bytes, Output& out) {
        const size_t more = bytes - kBatchHeaderBytes;
        if (open_ && open_->bytes + more > message_bytes_max_) flush(out);
        next_offset_ = batch.end();
        if (!open_) {
            open_ = Open{std::move(batch), bytes, tick.now + options_.append_linger};
            uncommitted_.push_back({next_offset_, state_});
            return;
        }
        open_->bytes += more;
        auto& into = open_->batch.records;
        into.insert(into.end(), std::make_move_iterator(batch.records.begin()),
                    std::make_move_iterator(batch.records.end()));
        uncommitted_.back() = {next_offset_, state_};
    }
    void flush(Output& out) {
        if (!open_) return;
        out.append.push_back(std::move(open_->batch));
        open_.reset();
    }
    bool replay_own(const CoordinatorBatch& batch) {
        State before = state_;
        Offset at = batch.base_offset;
        for (const CoordinatorRecord& record : batch.records) {
            const auto value =
                record.value ? std::optional<ByteView>(record.value->view()) : std::nullopt;
            if (!state_.replay({at, batch.producer, record.key.view(), value}).ok()) {
                state_ = std::move(before);
                return false;
            }
            at = at + 1;
        }
        return true;
    }
    /// Behind what is open.
    void hand_out(CoordinatorBatch batch, Output& out) {
        flush(out);
        next_offset_ = batch.end();
        uncommitted_.push_back({next_offset_, state_});
        out.append.push_back(std::move(batch));
    }
    /// Takes note of a commit; while loading also of the state read so far.
    void remember(Offset high_watermark) {
        if (phase_ == Phase::Loading) {
            if (next_offset_ <= high_watermark) {
                committed_ = state_;
                committed_end_ = next_offset_;
                uncommitted_.clear();
            } else {
                uncommitted_.push_back({next_offset_, state_});
            }
        }
        while (!uncommitted_.empty() && uncommitted_.front().end <= high_watermark) {
            committed_ = std::move(uncommitted_.front().state);
            uncommitted_.pop_front();
        }
        const Offset seen = std::min(high_watermark, next_offset_);
        committed_end_ = std::max(committed_end_, seen);
    }
    void fail_from(const Tick& tick, Offset base, ErrorCode error, Output& out) {
        std::vector<Waiting> failed;
        pending_.take_from(base, failed);
        for (Waiting& waiting : failed)
            waiting.done(tick, error, out);
    }

    CoordinatorOptions options_;
    size_t message_bytes_max_;
    Phase phase_ = Phase::Initial;
    State state_;                          // newest, speculative part included
    State committed_;                      // at committed_end_
    std::deque<Uncommitted> uncommitted_;  // after each batch not yet committed
    PendingByOffset<Waiting> pending_;
    std::optional<Open> open_;             // its end stands last in uncommitted_
    Offset next_offset_{0};
    Offset committed_end_{0};
};

/// What the driver of any coordinator may call. Commands (`run`, and `end_transaction` of the
/// group coordinator) differ per machine and may be given in every phase; all they answer goes out
/// through Output::replies. Rules for the driver:
/// - carry out `append` in order. A refusal by the log: on_append_failed with that batch's base
///   offset, and none of the later batches of the same output is appended. Another base offset
///   than predicted: on_resign, then a new machine is loaded.
/// - give every event an empty output, also one that is told while another output is carried out.
/// - on_high_watermark whenever it moved; never inside another event of the same machine.
/// - after each event, arm the timer for wake_at.
template <class Machine>
concept CoordinatorMachine = requires(Machine& machine, const Tick& tick, LeaderEpoch epoch,
                                      const LoadedBatch& batch, Offset offset, ErrorCode error,
                                      typename Machine::Output& out) {
    machine.on_elected(tick, epoch, out);  // then load: log start to log end
    { machine.on_load_batch(tick, batch, offset, out) } -> std::same_as<Status>;
    machine.on_loaded(tick, offset, offset, out);  // log end, high watermark
    machine.on_load_failed(tick, out);
    machine.on_high_watermark(tick, offset, out);
    machine.on_append_failed(tick, offset, error, out);
    machine.on_resign(tick, out);
    machine.on_tick(tick, out);
};

}  // namespace millrace::coordinator
