// src/broker/partition_read.cc: what a partition answers to Fetch, ListOffsets and DeleteRecords.
#include <algorithm>
#include <utility>

#include "millrace/broker/partition.h"
#include "millrace/env/clock.h"
#include "millrace/replication/replica_selector.h"

namespace millrace::broker {

namespace {
// Special timestamps of ListOffsets.
constexpr int64_t kLatest = -1;
constexpr int64_t kEarliest = -2;
constexpr int64_t kMaxTimestamp = -3;
constexpr int64_t kEarliestLocal = -4;
constexpr int64_t kLatestTiered = -5;
constexpr int64_t kEarliestPendingUpload = -6;
constexpr NodeId kConsumer{-1};
}  // namespace

Offset Partition::upper_bound(const PartitionFetch& fetch) const {
    if (fetch.replica.value >= 0) return log_->log_end_offset();
    return fetch.read_committed ? log_->last_stable_offset() : high_watermark();
}

std::optional<storage::EpochEnd> Partition::divergence(const PartitionFetch& fetch,
                                                       ErrorCode& error) {
    const storage::EpochEnd end = log_->end_offset_for(LeaderEpoch(fetch.last_fetched_epoch));
    if (end.epoch == kNoLeaderEpoch || end.end_offset == kNoOffset ||
        fetch.fetch_offset < log_->log_start_offset().value) {
        error = ErrorCode::OffsetOutOfRange;
        return std::nullopt;
    }
    if (end.epoch.value < fetch.last_fetched_epoch || end.end_offset.value < fetch.fetch_offset) {
        return end;
    }
    return std::nullopt;
}

PartitionRead Partition::read(const PartitionFetch& fetch) {
    PartitionRead result;
    result.error = check_epoch(fetch.current_leader_epoch,
                               fetch.leader_only || fetch.replica.value >= 0);
    if (result.error != ErrorCode::None) return result;
    // Sampled before the read, as Kafka does: a reader may see bytes above the watermark it is told.
    const int64_t high_watermark_now = high_watermark().value;
    const int64_t stable = log_->last_stable_offset().value;
    const int64_t start = log_->log_start_offset().value;
    if (fetch.last_fetched_epoch >= 0) {
        result.diverging = divergence(fetch, result.error);
        if (result.error != ErrorCode::None) return result;
    }
    if (!result.diverging) {
        storage::ReadInput input;
        input.start_offset = Offset(fetch.fetch_offset);
        input.max_bytes = static_cast<size_t>(std::max(0, fetch.max_bytes));
        input.upper_bound = upper_bound(fetch);
        input.min_one_message = fetch.min_one_message;
        input.aborted_transactions = fetch.read_committed;
        Result<storage::ReadOutcome> read = log_->read(input);
        if (!read.ok()) {
            fail(read.status());
            result.error = ErrorCode::KafkaStorageError;
            return result;
        }
        if (read->error == ErrorCode::None && fetch.replica.value >= 0 && fetch.progress) {
            read->error = note_follower(fetch);
        }
        if (read->error != ErrorCode::None) {
            result.error = read->error;
            return result;
        }
        result.records = std::move(read->records);
        if (fetch.read_committed) result.aborted = std::move(read->aborted);
    }
    // A follower's own progress may have moved it: the sooner it knows, the shorter its log lags.
    result.high_watermark = fetch.replica.value >= 0 ? high_watermark().value : high_watermark_now;
    result.last_stable_offset = stable;
    result.log_start_offset = start;
    return result;
}

NodeId Partition::nearer_replica(const metadata::Image& image, std::string_view listener,
                                 std::string_view rack, Offset fetch_offset) const {
    if (!leader_) return kNoNode;
    std::vector<replication::ReadReplica> followers;
    for (const replication::FollowerView& follower : leader_->followers()) {
        const metadata::BrokerImage* broker = image.cluster.broker(follower.id);
        const bool reachable = follower.in_isr && broker != nullptr && !broker->fenced &&
                               broker->endpoint(listener) != nullptr;
        if (!reachable) continue;
        followers.push_back({follower.id, broker->rack.value_or(""), follower.log_end});
    }
    const metadata::BrokerImage* self = image.cluster.broker(host_.node_id);
    const std::string own = self == nullptr ? "" : self->rack.value_or("");
    return replication::select_read_replica(rack, own, fetch_offset, followers).value_or(kNoNode);
}

OffsetLookup Partition::list_offset(int64_t timestamp, int32_t current_leader_epoch, NodeId replica,
                                    bool read_committed) {
    OffsetLookup result;
    result.error = check_epoch(current_leader_epoch, replica != NodeId(-2));
    if (result.error != ErrorCode::None) return result;
    if (timestamp == kEarliest || timestamp == kEarliestLocal) {
        result.offset = log_->log_start_offset().value;
        const auto first = log_->leader_epochs().earliest();
        if (first && first->start_offset <= log_->log_start_offset()) {
            result.leader_epoch = first->epoch.value;
        }
        return result;
    }
    if (timestamp == kLatestTiered || timestamp == kEarliestPendingUpload) return result;

    const Offset bound = replica != kConsumer ? log_->log_end_offset()
                         : read_committed     ? log_->last_stable_offset()
                                              : high_watermark();
    // Until the watermark reaches this epoch's first record, what was committed before is unknown.
    const bool uncertain =
        replica == kConsumer && leader_ && high_watermark() < leader_->epoch_start();
    if (timestamp == kLatest) {
        if (uncertain) {
            result.error = ErrorCode::OffsetNotAvailable;
            return result;
        }
        result.offset = bound.value;
        result.leader_epoch = leader_epoch_.value;
        return result;
    }
    Result<std::optional<storage::TimestampOffset>> found =
        timestamp == kMaxTimestamp ? log_->max_timestamp()
                                   : log_->offset_for_timestamp(WallMs{timestamp});
    if (!found.ok()) {
        fail(found.status());
        result.error = ErrorCode::KafkaStorageError;
        return result;
    }
    const std::optional<storage::TimestampOffset>& place = *found;
    if (place && place->offset < bound) {
        result.timestamp = place->timestamp.value;
        result.offset = place->offset.value;
        result.leader_epoch = place->leader_epoch.value;
    } else if (uncertain) {
        result.error = ErrorCode::OffsetNotAvailable;
    }
    return result;
}

OffsetLookup Partition::offset_for_leader_epoch(int32_t leader_epoch,
                                                int32_t current_leader_epoch) {
    OffsetLookup result;
    result.error = check_epoch(current_leader_epoch, true);
    if (result.error != ErrorCode::None) return result;
    const storage::EpochEnd end = log_->end_offset_for(LeaderEpoch(leader_epoch));
    result.leader_epoch = end.epoch.value;
    result.offset = end.end_offset.value;
    return result;
}

ErrorCode Partition::delete_records(int64_t offset, int64_t& low_watermark) {
    low_watermark = -1;
    if (const ErrorCode error = check_epoch(-1, true); error != ErrorCode::None) return error;
    const TopicConfig& topic = settings_->topic;
    if (topic.cleanup_compact && !topic.cleanup_delete) return ErrorCode::PolicyViolation;
    if (offset == -1) offset = high_watermark().value;
    if (offset < 0 || offset > high_watermark().value) return ErrorCode::OffsetOutOfRange;
    Result<ErrorCode> moved = log_->advance_start(Offset(offset));
    if (!moved.ok()) {
        fail(moved.status());
        return ErrorCode::KafkaStorageError;
    }
    if (*moved == ErrorCode::None) low_watermark = log_->log_start_offset().value;
    return *moved;
}

}  // namespace millrace::broker
