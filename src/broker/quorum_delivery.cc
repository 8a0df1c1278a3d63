// src/broker/quorum_delivery.cc: committed batches to the listeners, snapshots from their hands.
//
// Delivery runs from the event loop, never inside a call a listener made, and stops at what is
// committed. A leader is announced once everything below its next record was delivered.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "broker/quorum_driver_impl.h"
#include "millrace/base/log.h"
#include "millrace/env/clock.h"

namespace millrace::broker {

namespace {

const LogChannel kLog{"quorum"};
/// KafkaRaftClient.MAX_BATCH_SIZE_BYTES, less room for the batch header and one record's overhead.
constexpr size_t kSnapshotBatchBytesMax = 8 * 1024 * 1024;
constexpr size_t kRecordOverheadBytes = 21;

MetadataBatch to_batch(const record::BatchView& view) {
    MetadataBatch batch;
    batch.base_offset = view.base_offset();
    batch.last_offset = view.last_offset();
    batch.epoch = view.leader_epoch();
    batch.append_timestamp = view.max_timestamp();
    batch.size_bytes = static_cast<uint32_t>(view.size_bytes());
    batch.is_control = view.is_control();
    return batch;
}

class SnapshotSource : public MetadataSnapshotSource {
  public:
    SnapshotSource(raft::SnapshotId id, QuorumLog::OpenSnapshot snapshot)
        : id_(id), snapshot_(std::move(snapshot)) {}
    raft::SnapshotId id() const override { return id_; }
    WallMs last_contained_log_timestamp() const override {
        return snapshot_.header.last_contained_log_timestamp;
    }
    Result<std::optional<MetadataBatch>> next() override {
        while (true) {
            MILLRACE_TRY_ASSIGN(const std::optional<Buffer> bytes, snapshot_.reader->next());
            if (!bytes.has_value()) return std::optional<MetadataBatch>();
            const record::BatchView view(bytes->view());
            if (view.is_control()) continue;  // the footer
            MetadataBatch batch = to_batch(view);
            MILLRACE_TRY_ASSIGN(batch.records, decode_record_values(*bytes));
            return std::optional<MetadataBatch>(std::move(batch));
        }
    }

  private:
    raft::SnapshotId id_;
    QuorumLog::OpenSnapshot snapshot_;
};

class SnapshotSink : public MetadataSnapshotSink {
  public:
    SnapshotSink(QuorumDriverImpl& driver, raft::SnapshotId id, WallMs now,
                 std::unique_ptr<storage::MetadataSnapshotWriter> writer)
        : driver_(driver), id_(id), now_(now), writer_(std::move(writer)) {}

    Status begin(const SnapshotHeader& header) {
        return write(encode_snapshot_header(header, id_.epoch, now_));
    }
    raft::SnapshotId id() const override { return id_; }
    Status append(std::vector<Buffer> records) override {
        for (Buffer& record : records) {
            const size_t bytes = record.size() + kRecordOverheadBytes;
            if (pending_bytes_ + bytes > kSnapshotBatchBytesMax) MILLRACE_TRY(flush());
            pending_bytes_ += bytes;
            pending_.push_back(std::move(record));
        }
        return {};
    }
    Status finish() override {
        MILLRACE_TRY(flush());
        MILLRACE_TRY(write(encode_snapshot_footer(next_offset_, id_.epoch, now_)));
        MILLRACE_TRY(writer_->finish());
        return driver_.on_snapshot_finished();
    }

  private:
    Status flush() {
        if (pending_.empty()) return {};
        const std::vector<Buffer> records = std::exchange(pending_, {});
        pending_bytes_ = 0;
        return write(encode_snapshot_records(next_offset_, id_.epoch, records, now_));
    }
    Status write(const Buffer& batch) {
        next_offset_ = record::BatchView(batch.view()).next_offset();
        return writer_->append(batch);
    }

    QuorumDriverImpl& driver_;
    raft::SnapshotId id_;
    WallMs now_;
    std::unique_ptr<storage::MetadataSnapshotWriter> writer_;
    Offset next_offset_{0};
    std::vector<Buffer> pending_;
    size_t pending_bytes_ = 0;
};

}  // namespace

void QuorumDriverImpl::schedule_delivery() {
    if (delivery_scheduled_ || stopped_) return;
    delivery_scheduled_ = true;
    env_.timers.post([this, alive = alive_] {
        if (!*alive) return;
        delivery_scheduled_ = false;
        if (!stopped_) deliver();
    });
}

/// One chunk per turn of the event loop, so that a long log does not hold everybody else up.
void QuorumDriverImpl::deliver() {
    if (snapshot_to_load_.has_value() && !deliver_snapshot()) return;
    if (delivered_ < committed_ && !deliver_batches()) return;
    if (stopped_) return;
    if (delivered_ < committed_) return schedule_delivery();
    announce_roles();
    if (!stopped_) check_snapshot_due();
}

bool QuorumDriverImpl::deliver_snapshot() {
    const raft::SnapshotId id = *std::exchange(snapshot_to_load_, std::nullopt);
    auto snapshot = log_->open_snapshot(id);
    if (!snapshot.ok()) {
        fail(snapshot.status());
        return false;
    }
    for (QuorumListener* listener : listeners_) {
        // Every listener reads the file for itself.
        auto again = listener == listeners_.front() ? std::move(snapshot) : log_->open_snapshot(id);
        if (!again.ok()) {
            fail(again.status());
            return false;
        }
        SnapshotSource source(id, *std::move(again));
        listener->on_load_snapshot(source);
    }
    bytes_since_snapshot_ = 0;
    last_snapshot_ = env_.clock.now();
    return !stopped_;
}

bool QuorumDriverImpl::deliver_batches() {
    auto stored = log_->read(delivered_, committed_, kDeliverBytesMax);
    if (!stored.ok()) {
        fail(stored.status());
        return false;
    }
    std::vector<MetadataBatch> batches;
    for (const StoredBatch& one : *stored) {
        MetadataBatch batch = to_batch(one.view);
        if (!batch.is_control) {
            auto values = decode_record_values(one.bytes);
            if (!values.ok()) {
                fail(values.status());
                return false;
            }
            batch.records = *std::move(values);
        }
        bytes_since_snapshot_ += batch.size_bytes;
        batches.push_back(std::move(batch));
    }
    MILLRACE_ASSERT(batches.front().base_offset == delivered_, "delivery is contiguous");
    delivered_ = batches.back().last_offset + 1;
    MILLRACE_ASSERT(delivered_ <= committed_, "only what is committed is delivered");
    for (QuorumListener* listener : listeners_)
        listener->on_commit(batches);
    return true;
}

void QuorumDriverImpl::announce_roles() {
    while (!role_changes_.empty()) {
        const raft::RoleChange change = role_changes_.front();
        const bool leads = change.role == raft::QuorumRole::Leader;
        const bool is_last = role_changes_.size() == 1;
        // A leader waits until its own epoch is committed and replayed; if it lost the epoch
        // meanwhile, nobody needs to hear of it.
        if (leads && is_last && delivered_ < quorum_->next_offset()) return;
        role_changes_.pop_front();
        if (leads && is_last) {
            announced_epoch_ = change.epoch;
            for (QuorumListener* listener : listeners_) {
                listener->on_leader(change.epoch, quorum_->next_offset());
            }
        } else if (!leads && announced_epoch_.has_value()) {
            announced_epoch_.reset();
            for (QuorumListener* listener : listeners_) {
                listener->on_resign(change.epoch, change.leader_id);
            }
        }
    }
}

void QuorumDriverImpl::check_snapshot_due() {
    const bool by_bytes = bytes_since_snapshot_ >= config_.snapshot_record_bytes_max;
    const bool by_time =
        bytes_since_snapshot_ > 0 && config_.snapshot_interval_ms_max > 0 &&
        env_.clock.now() - last_snapshot_ >= milliseconds(config_.snapshot_interval_ms_max);
    if (!by_bytes && !by_time) return;
    log_info(kLog, "a snapshot is due: {} since the last one",
             by_bytes ? "enough records" : "enough time");
    for (QuorumListener* listener : listeners_)
        listener->on_snapshot_due();
}

Result<std::unique_ptr<MetadataSnapshotSink>> QuorumDriverImpl::begin_snapshot(Offset last_offset) {
    if (stopped_) return {Errc::Cancelled, "the metadata log is closed"};
    if (last_offset < Offset(0) || last_offset >= delivered_) {
        return {Errc::InvalidInput,
                fmt::format("offset {} was not delivered yet", last_offset.value)};
    }
    const auto newest = log_->latest_snapshot();
    if (newest.has_value() && newest->end_offset > last_offset) {
        return {Errc::AlreadyExists,
                fmt::format("there is a snapshot up to {}", newest->end_offset.value)};
    }
    MILLRACE_TRY_ASSIGN(const auto batch, log_->read_batch_at(last_offset));
    if (!batch.has_value()) {
        return {Errc::InvalidInput, fmt::format("offset {} is not in the log", last_offset.value)};
    }
    if (batch->view.last_offset() != last_offset) {
        return {Errc::InvalidInput,
                fmt::format("offset {} lies inside a batch", last_offset.value)};
    }
    const raft::SnapshotId id{last_offset + 1, batch->view.leader_epoch()};
    MILLRACE_TRY_ASSIGN(auto writer, log_->new_snapshot(id));
    SnapshotHeader header;
    header.last_contained_log_timestamp = batch->view.max_timestamp();
    header.kraft_version = quorum_->kraft_version_at(last_offset);
    if (*header.kraft_version > 0) header.voters = quorum_->voters_at(last_offset);
    auto sink = std::make_unique<SnapshotSink>(*this, id, env_.clock.wall(), std::move(writer));
    MILLRACE_TRY(sink->begin(header));
    bytes_since_snapshot_ = 0;
    last_snapshot_ = env_.clock.now();
    return std::unique_ptr<MetadataSnapshotSink>(std::move(sink));
}

Status QuorumDriverImpl::on_snapshot_finished() { return log_->refresh_snapshots(); }

void QuorumDriverImpl::clean() {
    clean_timer_ = env::kNoTimer;
    if (stopped_) return;
    const auto cleaned = log_->clean(env_.clock.wall());
    if (!cleaned.ok()) return fail(cleaned.status());
    if (*cleaned) quorum_->on_log_start_moved(log_->log_start_offset());
    clean_timer_ = env_.timers.arm(env_.clock.now() + kCleanInterval, [this] { clean(); });
}

}  // namespace millrace::broker
