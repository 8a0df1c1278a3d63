// tests/sim/producer.cc: a producer that loses no batch and sends none twice.
#include <algorithm>

#include "millrace/base/error_code.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/init_producer_id_response.h"
#include "millrace/wire/gen/produce_request.h"
#include "sim/actors.h"

namespace millrace::sim {

namespace {

constexpr uint64_t kRecordsMax = 8;
/// The least internal.segment.bytes that Admin asks for.
constexpr size_t kSegmentBytesMin = 200;
constexpr int64_t kAheadMs = 3'599'000;

/// The answer may come again later with another outcome; the batch may be in the log or not.
bool is_transient(ErrorCode error) {
    return error == ErrorCode::UnknownTopicOrPartition || error == ErrorCode::UnknownTopicId ||
           error == ErrorCode::NotLeaderOrFollower || error == ErrorCode::KafkaStorageError ||
           error == ErrorCode::RequestTimedOut || error == ErrorCode::LeaderNotAvailable ||
           error == ErrorCode::NotEnoughReplicas ||
           error == ErrorCode::NotEnoughReplicasAfterAppend;
}

}  // namespace

Producer::Producer(World& world, Servers& servers, Model& model, std::string name,
                   ActorOptions options)
    : world_(world),
      servers_(servers),
      model_(model),
      rng_(world.rng().fork()),
      options_(options),
      client_(world, servers, std::move(name)),
      version_(static_cast<int16_t>(rng_.between(3, 13))) {}

void Producer::think() {
    world_.after(Duration{1} + world_.random_delay(options_.think_max), [this] { act(); });
}

void Producer::act() {
    if (!asking_) {
        if (finishing_ && unresolved_.empty()) return;
        if (topic_ == nullptr || (unresolved_.empty() && rng_.chance(1, 10))) choose_partition();
        if (topic_ != nullptr) {
            if (options_.idempotent && producer_id_ < 0) {
                ask_producer_id();
            } else {
                send_batches();
            }
        }
    }
    think();
}

void Producer::choose_partition() {
    const auto live = model_.live_topics();
    topic_ = nullptr;
    ++round_;
    resend_ = false;
    if (live.empty()) return;
    topic_ = live[rng_.below(live.size())];
    partition_ = rng_.below(topic_->partitions.size());
    PartitionModel* partition = topic_->partitions[partition_].get();
    if (!losses_seen_.contains(partition)) losses_seen_[partition] = partition->losses();
    // Sequences on a partition that lost records belong to nobody any more.
    if (losses_seen_[partition] != partition->losses() && options_.idempotent) producer_id_ = -1;
}

void Producer::ask_producer_id() {
    asking_ = true;
    client_.talk_to(nullptr);
    wire::InitProducerIdRequest request;
    request.transactional_id.reset();
    request.transaction_timeout_ms = 60'000;
    const auto version = static_cast<int16_t>(rng_.between(0, 5));
    client_.call<wire::InitProducerIdResponse>(
        request, version, [this](std::optional<wire::InitProducerIdResponse> response) {
            asking_ = false;
            if (!response || response->error_code != 0) return;
            world_.check(model_.producer_ids.insert(response->producer_id).second, "I14",
                         "a producer id was given out twice");
            producer_id_ = response->producer_id;
            producer_epoch_ = response->producer_epoch;
            next_sequence_.clear();
            losses_seen_.clear();
        });
}

void Producer::send_batches() {
    PartitionModel& partition = *topic_->partitions[partition_];
    if (!topic_->live()) return abandon();
    const bool busy = std::any_of(unresolved_.begin(), unresolved_.end(),
                                  [](const Batch& batch) { return batch.in_flight; });
    // Batches in flight to two nodes could overtake each other.
    if (!busy) {
        client_.talk_to(servers_.server_for({Target::Kind::Leader, topic_->name, topic_->id,
                                             static_cast<int32_t>(partition_)}));
    }
    if (resend_) {
        if (busy) return;
        resend_ = false;
        for (Batch& batch : unresolved_) send(batch);
        return;
    }
    losses_seen_.try_emplace(&partition, partition.losses());
    while (!finishing_ && unresolved_.size() < options_.window) {
        const size_t records = 1 + rng_.below(kRecordsMax);
        Attempt& attempt = partition.make_attempt(records, rng_);
        if (options_.idempotent) {
            attempt.producer_id = producer_id_;
            attempt.producer_epoch = producer_epoch_;
            attempt.base_sequence = next_sequence_[&partition];
            next_sequence_[&partition] += static_cast<int32_t>(records);
        }
        unresolved_.push_back({&attempt});
        send(unresolved_.back());
        if (rng_.chance(1, 2)) break;
    }
}

void Producer::send(Batch& batch) {
    wire::ProduceRequest request;
    request.acks = options_.acks;
    request.timeout_ms = 3000;
    auto& topic = request.topic_data.emplace_back();
    topic.name = topic_->name;
    topic.topic_id = topic_->id;
    if (version_ >= 13) topic.name.clear();
    if (version_ < 13) topic.topic_id = Uuid{};
    auto& data = topic.partition_data.emplace_back();
    data.index = static_cast<int32_t>(partition_);
    // Only 7 and later may carry zstd.
    if (version_ < 7 && batch.attempt->compression == record::CompressionType::Zstd) {
        batch.attempt->compression = record::CompressionType::Lz4;
    }
    data.records = BufferChain(batch.attempt->encode());
    topic_->quiet_since = world_.now();
    if (options_.acks == 0) {
        client_.send_only(request, version_);
        unresolved_.pop_back();
        return;
    }
    batch.in_flight = true;
    const uint64_t id = batch.attempt->id;
    client_.call<wire::ProduceResponse>(
        request, version_, [this, id, round = round_](std::optional<wire::ProduceResponse> answer) {
            if (round == round_) on_answer(id, answer);
        });
}

void Producer::on_answer(uint64_t attempt_id, const std::optional<wire::ProduceResponse>& response) {
    const auto found =
        std::find_if(unresolved_.begin(), unresolved_.end(),
                     [&](const Batch& batch) { return batch.attempt->id == attempt_id; });
    if (found == unresolved_.end()) return;
    found->in_flight = false;
    topic_->quiet_since = world_.now();
    PartitionModel& partition = *topic_->partitions[partition_];
    if (!response) {
        if (options_.idempotent) {
            resend_ = true;
        } else {
            unresolved_.erase(found);  // may be there or not
        }
        return;
    }
    world_.check(response->responses.size() == 1 &&
                     response->responses[0].partition_responses.size() == 1,
                 "wire", client_.name() + ": a Produce answer of another shape");
    const auto& answer = response->responses[0].partition_responses[0];
    if (answer.error_code != 0) return on_error(*found, answer.error_code);
    partition.on_ack(*found->attempt, answer.base_offset);
    unresolved_.erase(found);
}

void Producer::on_error(Batch& batch, int16_t code) {
    const auto error = static_cast<ErrorCode>(code);
    PartitionModel& partition = *topic_->partitions[partition_];
    const bool lossy = losses_seen_[&partition] != partition.losses();
    const std::string what = client_.name() + ": batch " + std::to_string(batch.attempt->id) +
                             " for " + partition.name() + " got " + error_code_name(error);
    world_.say(what);
    if (is_transient(error)) {
        // With a deleted topic there is nothing to wait for.
        if (!topic_->live()) return abandon();
        if (options_.idempotent) {
            resend_ = true;
        } else {
            std::erase_if(unresolved_, [&](const Batch& b) { return b.attempt == batch.attempt; });
        }
        return;
    }
    if (error == ErrorCode::OutOfOrderSequenceNumber && options_.idempotent) {
        // Legal behind a batch that failed, and where the log lost its end.
        const bool behind_failure = resend_ || unresolved_.front().attempt != batch.attempt;
        // A leader that is deposed and does not know judges by what it has seen itself.
        const Target there{Target::Kind::Leader, topic_->name, topic_->id,
                           static_cast<int32_t>(partition_), true};
        const bool astray =
            model_.many_nodes && client_.talks_to() != servers_.server_for(there);
        if ((behind_failure || astray) && !lossy) {
            resend_ = true;
            return;
        }
        // A restarted node knows the last batch of each producer only (the snapshot's format), so
        // an older one that is sent again is out of order, in Kafka too.
        const bool forgotten =
            options_.window > 1 && batch.attempt->made_in != model_.incarnation;
        // A log that knows nothing of a producer takes any sequence, in Kafka too: where a leader
        // begins to serve between two batches in flight, the second may be the first it takes.
        const bool overtaken = model_.many_nodes && options_.window > 1 &&
                               batch.attempt->base_sequence == 0;
        world_.check(lossy || forgotten || overtaken || !topic_->live(), "I14",
                     what + " although nothing was lost");
        return abandon();
    }
    const bool elsewhere = model_.many_nodes && batch.attempt->made_in != model_.incarnation;
    if (error == ErrorCode::DuplicateSequenceNumber && (lossy || elsewhere)) return abandon();
    // Larger than a segment of the topic, perhaps since its configs were altered.
    if (error == ErrorCode::RecordListTooLarge && batch.attempt->encode().size() > kSegmentBytesMin) {
        return abandon();
    }
    // The wall clock went back by more than message.timestamp.after.max.ms since it was made.
    const auto& times = batch.attempt->timestamps;
    if (error == ErrorCode::InvalidTimestamp &&
        *std::max_element(times.begin(), times.end()) > world_.wall().value + kAheadMs) {
        return abandon();
    }
    world_.fail(kExitSafety, "I7", what);
}

/// Outcomes stay unknown; a new producer id begins anew.
void Producer::abandon() {
    unresolved_.clear();
    topic_ = nullptr;
    ++round_;
    resend_ = false;
    if (options_.idempotent) producer_id_ = -1;
}

}  // namespace millrace::sim
