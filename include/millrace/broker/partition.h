// include/millrace/broker/partition.h: one partition on this node: its log and its leader machine.
//
// Driver: translates requests into events of replication::Leader and calls of storage::Log, and
// carries the outputs out; while another broker leads, takes that one's batches into the log. Decides nothing about the protocol.
// Owner: broker/shard (partition table); touched on that shard only.
// Promises: an answer "ok" to acks=all is given only at or below the high watermark; after a disk
//   failure every call answers KAFKA_STORAGE_ERROR and the directory is reported once.
// Sources: dataplane.md B.2, B.4, C.3, D.1-D.3; kafka.cluster.Partition.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/base/move_function.h"
#include "millrace/base/time.h"
#include "millrace/base/uuid.h"
#include "millrace/broker/fetch_wait.h"
#include "millrace/broker/topic_settings.h"
#include "millrace/env/clock.h"
#include "millrace/metadata/image.h"
#include "millrace/record/batch_validate.h"
#include "millrace/replication/fetcher.h"
#include "millrace/replication/follower.h"
#include "millrace/replication/leader.h"
#include "millrace/storage/log.h"

namespace millrace::broker {

class Partition;

/// What a partition needs of its shard.
struct PartitionHost {
    NodeId node_id;
    env::Clock& clock;
    env::Timers& timers;
    record::ValidateScratch& scratch;
    /// The first disk failure of this partition's log.
    MoveFunction<void(const std::string& directory, const Status&)> on_disk_failure;
    bool high_watermarks_moved = false;  // since the last checkpoint of them
    Duration replica_lag_time_max = seconds(30);  // replica.lag.time.max.ms
    /// The leader wants another ISR; Partition::on_isr_decision brings the answer.
    MoveFunction<void(Partition&, replication::IsrProposal)> on_isr_proposal;
    /// Records wait here for a follower that does not fetch this partition yet.
    MoveFunction<void()> on_first_fetch_awaited = [] {};
};

struct ProduceOutcome {
    ErrorCode error = ErrorCode::None;
    int64_t base_offset = -1;
    int64_t log_append_time_ms = -1;
    int64_t log_start_offset = -1;
    std::vector<record::RecordError> record_errors;
    std::optional<std::string> error_message;
    /// Set after a successful append that has to wait; see Partition::when_acked.
    Offset required = kNoOffset;
};

/// A transaction marker to be appended.
struct MarkerAppend {
    ProducerId producer_id;
    ProducerEpoch producer_epoch;
    bool commit = false;
    CoordinatorEpoch coordinator_epoch;
    int transaction_version = 0;
};

struct PartitionFetch {
    int64_t fetch_offset = 0;
    int32_t max_bytes = 0;
    int32_t current_leader_epoch = -1;
    int32_t last_fetched_epoch = -1;
    NodeId replica = NodeId(-1);      // follower id; -1: consumer, -2: debugging consumer
    bool read_committed = false;
    BrokerEpoch replica_epoch{-1};    // of a follower
    bool replica_eligible = false;    // the metadata would have this follower in the ISR
    bool progress = true;             // false: a parked fetch looks again, its position is known
    bool leader_only = false;         // consumers below v11 and followers
    bool min_one_message = false;
};

struct PartitionRead {
    ErrorCode error = ErrorCode::None;
    int64_t high_watermark = -1;
    int64_t last_stable_offset = -1;
    int64_t log_start_offset = -1;
    BufferChain records;
    std::optional<std::vector<storage::AbortedTransaction>> aborted;
    std::optional<storage::EpochEnd> diverging;
};

/// One partition of a leader's answer to this node's fetch.
struct FetchedRecords {
    BufferChain records;
    Offset high_watermark;
    Offset log_start;
    std::optional<replication::EpochEndPoint> diverging;
};
enum class FollowResult {
    Done,    // fetch on from follow_position()
    Pause,   // the leader's bytes are no good; the same again later
    Failed,  // the disk refused: nothing more comes from here
};

struct OffsetLookup {
    ErrorCode error = ErrorCode::None;
    int64_t timestamp = -1;
    int64_t offset = -1;
    int32_t leader_epoch = -1;
};

class Partition {
  public:
    Partition(PartitionHost& host, TopicPartition name, Uuid topic_id, storage::Log& log,
              Uuid directory_id, std::shared_ptr<const TopicSettings> settings);
    ~Partition();
    Partition(const Partition&) = delete;
    Partition& operator=(const Partition&) = delete;

    const TopicPartition& name() const { return name_; }
    Uuid topic_id() const { return topic_id_; }
    Uuid directory_id() const { return directory_id_; }
    /// Of its present directory; see switch_log.
    storage::Log& log() { return *log_; }
    const TopicSettings& settings() const { return *settings_; }
    /// What this replica sends to followers, or takes from a leader, counts for the broker's quota.
    bool leader_throttled() const { return leader_throttled_; }
    bool follower_throttled() const { return follower_throttled_; }
    bool is_leader() const { return leader_ != nullptr; }
    bool offline() const { return offline_; }
    Offset high_watermark() const;
    LeaderEpoch leader_epoch() const { return leader_epoch_; }

    void set_settings(std::shared_ptr<const TopicSettings> settings);
    /// The copy in another directory holds all that the log does, and takes its place.
    void switch_log(storage::Log& log, Uuid directory_id);
    /// New state from the metadata image; starts or stops leading.
    Status apply(const metadata::PartitionImage& image);
    /// Its directory failed: every waiter is answered, every later call refused.
    void go_offline();
    /// Deleted or no longer assigned here.
    void stop(ErrorCode error);

    /// `batch` passed check_produce_shape; `acks` is -1, 0 or 1. May edit the bytes. `guard` is
    /// what start_verification gave for a transactional batch.
    ProduceOutcome produce(Buffer batch, int16_t acks, storage::VerificationGuard guard = {});
    /// A coordinator's own records, built by this node, with the checks of acks=all.
    ProduceOutcome append_internal(Buffer batch, storage::VerificationGuard guard = {});
    /// Ends the transaction of a producer; the checks of acks=all, epochs as the log knows them.
    ProduceOutcome append_marker(const MarkerAppend& marker);
    /// Called inside every call that moved the high watermark; it may only take a note.
    void set_high_watermark_listener(MoveFunction<void()> listener) {
        on_high_watermark_ = std::move(listener);
    }
    /// Calls `done` once, now or later: at the high watermark (acks -1) or, for other acks where
    /// flush.messages asks for it, at the sync that covers `required`.
    void when_acked(Offset required, int16_t acks, Instant deadline,
                    MoveFunction<void(ErrorCode)> done);
    /// True when `produce` with these acks has to wait for `required`.
    bool must_wait(Offset required, int16_t acks) const;

    PartitionRead read(const PartitionFetch& fetch);
    /// The in-sync follower that a consumer in this rack had better ask, reachable by `listener`;
    /// -1 when nobody is nearer than this leader.
    NodeId nearer_replica(const metadata::Image& image, std::string_view listener,
                          std::string_view rack, Offset fetch_offset) const;
    /// Consumers wait for the high watermark, followers for the log end.
    FetchWatchList& watches(bool of_follower = false) {
        return of_follower ? follower_watches_ : watches_;
    }
    /// Offset that bounds what this fetch may see.
    Offset upper_bound(const PartitionFetch& fetch) const;

    /// ListOffsets for one timestamp or special number (dataplane.md D.1).
    OffsetLookup list_offset(int64_t timestamp, int32_t current_leader_epoch, NodeId replica,
                             bool read_committed);
    OffsetLookup offset_for_leader_epoch(int32_t leader_epoch, int32_t current_leader_epoch);
    /// DeleteRecords; the low watermark on success.
    ErrorCode delete_records(int64_t offset, int64_t& low_watermark);
    /// Checks the leader epoch a client knows, and leadership where it is needed.
    ErrorCode check_epoch(int32_t current_leader_epoch, bool leader_needed) const;

    // --- replication (partition_follow.cc)
    /// The broker whose log is to be copied; nothing while this node leads or nobody does.
    std::optional<NodeId> followed_leader() const;
    replication::FetchPosition follow_position() const;
    /// What the leader answered to a fetch at `asked`; stale answers change nothing.
    FollowResult on_fetched(const replication::FetchPosition& asked, FetchedRecords fetched);
    /// The position lies outside the leader's log, which spans these offsets.
    FollowResult reposition(Offset leader_start, Offset leader_end);
    void on_isr_decision(const replication::IsrDecision& decision);
    /// The metadata's word on a broker that may be one of the followers.
    void on_broker_changed(NodeId broker, bool eligible);
    const replication::Leader* leader() const { return leader_.get(); }

    /// Retention, flush by time, producer expiry; called by broker/log_maintenance.
    void delete_old_segments();
    void flush_if_due();

  private:
    struct PendingAck {
        uint64_t id;
        MoveFunction<void(ErrorCode)> done;
    };
    struct PendingFlush {
        Offset required;
        MoveFunction<void(ErrorCode)> done;
    };

    Status become_leader(const metadata::PartitionImage& image);
    Status become_follower(const metadata::PartitionImage& image);
    FollowResult cut_to(Offset offset, const char* why);
    FollowResult append_fetched(const FetchedRecords& fetched);
    void follow_marks(const FetchedRecords& fetched);
    ErrorCode note_follower(const PartitionFetch& fetch);
    void arm_timer(Instant wake_at);
    void append(storage::AppendInput input, ProduceOutcome& outcome);
    void carry_out(replication::LeaderOutput& output);
    void on_appended();
    void write_later();
    void on_write_due();
    void release_written();
    void advance_to(Offset end);
    void start_flush();
    void on_flushed(const Status& status);
    void fail(const Status& status);
    std::optional<storage::EpochEnd> divergence(const PartitionFetch& fetch, ErrorCode& error);

    PartitionHost& host_;
    TopicPartition name_;
    Uuid topic_id_;
    Uuid directory_id_;
    storage::Log* log_;
    std::shared_ptr<const TopicSettings> settings_;
    std::unique_ptr<replication::Leader> leader_;
    LeaderEpoch leader_epoch_{-1};
    int32_t partition_epoch_ = -1;
    NodeId leader_id_ = kNoNode;       // of leader_epoch_, as the metadata says
    bool offline_ = false;
    bool leader_throttled_ = false;
    bool follower_throttled_ = false;
    bool flushing_ = false;
    bool write_posted_ = false;        // on_write_due comes at the end of this event
    Offset flush_target_ = kNoOffset;  // of the running flush
    LeaderEpoch flush_epoch_;          // and when it began
    Offset told_end_ = kNoOffset;      // log end the leader machine knows
    uint64_t bytes_told_ = 0;          // size of the log when watchers were last told
    FetchWatchList watches_;
    FetchWatchList follower_watches_;
    Offset follower_told_end_ = kNoOffset;  // log end when waiting followers were last told
    MoveFunction<void()> on_high_watermark_;
    replication::LeaderOutput output_;
    std::vector<PendingAck> acks_;
    std::vector<PendingFlush> flushes_;
    uint64_t next_ack_ = 1;
    env::TimerId timer_ = 0;
    Instant timer_at_ = Instant::never();
    std::shared_ptr<bool> alive_;      // made with the first deferred write or async flush
};

}  // namespace millrace::broker
