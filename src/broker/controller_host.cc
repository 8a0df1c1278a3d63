// src/broker/controller_host.cc: commands in, records to the quorum, committed records to images.
#include "broker/controller_host.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "millrace/base/log.h"
#include "millrace/env/clock.h"
#include "millrace/env/timers.h"
#include "millrace/metadata/snapshot.h"

namespace millrace::broker {

namespace {
static_assert(metadata::kKRaftUpgradeRecords == raft::kKRaftUpgradeRecords);
constexpr LogChannel kLog{"controller"};
/// Records handed to the snapshot sink at once.
constexpr size_t kSnapshotChunkRecords = 1'000;
}  // namespace

ControllerHost::ControllerHost(const env::Env& env, QuorumDriver& quorum,
                               metadata::ControllerOptions options, Settings settings,
                               Events events)
    : env_(env),
      quorum_(quorum),
      machine_(std::move(options)),
      loader_(metadata::empty_image()),
      settings_(std::move(settings)),
      events_(std::move(events)),
      remote_(
          env, [this] { return quorum_.leader_address(); },
          [this] { return machine_.active(); }),
      watch_(env, {settings_.connection_grace, settings_.heartbeat_time, settings_.self},
             [this](NodeId id, BrokerEpoch epoch, Instant since) {
                 machine_.on_broker_gone(tick(), id, epoch, since, output_);
                 carry_out();
             }) {}

ControllerHost::~ControllerHost() {
    env_.timers.cancel(timer_);
    MILLRACE_ASSERT(waiting_.empty(), "answer_waiting comes before the end");
}

void ControllerHost::answer_waiting() {
    stopped_ = true;
    remote_.stop();
    refuse_waiting();
}

void ControllerHost::refuse_waiting() {
    machine_.on_resign(tick(), output_);
    for (metadata::ControllerReply& answer : output_.replies) {
        const auto found = waiting_.find(answer.id);
        if (found == waiting_.end()) continue;
        Reply<metadata::ControllerResponse> reply = std::move(found->second);
        waiting_.erase(found);
        reply.send(std::move(answer.response));
    }
    output_ = {};
}

metadata::Tick ControllerHost::tick() const {
    // The quorum appends control records of its own between those of the controller.
    const Offset end =
        machine_.active() ? std::max(next_offset_, quorum_.next_offset()) : next_offset_;
    return {env_.clock.now(), env_.clock.wall(), end};
}

void ControllerHost::run(metadata::ControllerRequest request, metadata::Requester who,
                         Reply<metadata::ControllerResponse> reply) {
    if (machine_.active() || stopped_) {
        return run_here(std::move(request), std::move(who), std::move(reply));
    }
    run_there(std::move(request), std::move(who), std::move(reply));
}

void ControllerHost::watch_broker(NodeId id, BrokerEpoch epoch, std::function<bool()> connected) {
    if (machine_.active()) watch_.on_heartbeat(id, epoch, std::move(connected));
}

void ControllerHost::run_here(metadata::ControllerRequest request, metadata::Requester who,
                              Reply<metadata::ControllerResponse> reply) {
    const metadata::RequestId id = next_request_++;
    // Voters tell the leader one by one what an upgrade needs to know.
    if (std::holds_alternative<wire::UpdateFeaturesRequest>(request)) learn_quorum();
    waiting_.emplace(id, std::move(reply));
    machine_.run(tick(), id, who, std::move(request), output_);
    if (stopped_) return refuse_waiting();
    carry_out();
}

void ControllerHost::carry_out() {
    if (stopped_) return;
    metadata::ControllerOutput output = std::exchange(output_, {});
    if (!output.fatal.ok()) return stop_with("records", output.fatal);
    if (output.upgrade_kraft_version) quorum_.upgrade_kraft_version();
    for (metadata::BatchToAppend& batch : output.append) {
        const auto count = static_cast<int64_t>(batch.values.size());
        const raft::ProposeResult result = quorum_.propose(batch.epoch, std::move(batch.values));
        if (result.error != raft::ProposeError::None ||
            result.last_offset != batch.base_offset + (count - 1)) {
            // What the machine replayed will not be in the log where it thinks: start over.
            log_error(kLog, "a proposal at offset {} was not accepted there; resigning",
                      batch.base_offset.value);
            quorum_.resign(batch.epoch);
            machine_.on_resign(tick(), output_);
            break;
        }
        next_offset_ = result.last_offset + 1;
    }
    if (output.wake_at != Instant::never()) {
        env_.timers.cancel(timer_);
        timer_ = env_.timers.arm(output.wake_at, [this] {
            timer_ = env::kNoTimer;
            machine_.on_tick(tick(), output_);
            carry_out();
        });
    }
    for (metadata::ControllerReply& answer : output.replies) {
        const auto found = waiting_.find(answer.id);
        MILLRACE_ASSERT(found != waiting_.end(), "a controller reply nobody waits for");
        Reply<metadata::ControllerResponse> reply = std::move(found->second);
        waiting_.erase(found);
        reply.send(std::move(answer.response));
    }
    if (!output_.append.empty() || !output_.replies.empty()) carry_out();
}

void ControllerHost::on_load_snapshot(MetadataSnapshotSource& source) {
    const raft::SnapshotId id = source.id();
    metadata::SnapshotReader reader(
        {id.end_offset - 1, id.epoch, source.last_contained_log_timestamp()});
    while (true) {
        Result<std::optional<MetadataBatch>> batch = source.next();
        if (!batch.ok()) return stop_with("snapshot", batch.status());
        if (!*batch) break;
        for (const Buffer& value : (*batch)->records) {
            Result<metadata::Record> record = metadata::decode_record(value, id.end_offset);
            Status status = record.ok() ? reader.on_record(*record) : record.status();
            if (!status.ok()) return stop_with("snapshot", status);
        }
    }
    const metadata::ImagePtr image = reader.finish();
    loader_.on_snapshot(image);
    machine_.on_snapshot(image, output_);
    next_offset_ = id.end_offset;
    carry_out();
}

void ControllerHost::apply_batch(const MetadataBatch& batch) {
    if (batch.is_control) {
        loader_.on_control(batch.last_offset, batch.epoch, batch.append_timestamp);
        learn_quorum();  // it may have been a voters or a kraft.version record
    }
    std::vector<metadata::Record> records;
    Offset offset = batch.base_offset;
    for (const Buffer& value : batch.records) {
        Result<metadata::Record> record = metadata::decode_record(value, offset);
        Status status = record.ok() ? loader_.on_record(offset, batch.epoch,
                                                        batch.append_timestamp, *record)
                                    : record.status();
        if (!status.ok()) return stop_with("records", status);
        if (!machine_.active()) records.push_back(std::move(*record));
        offset = offset + 1;
    }
    if (!machine_.active()) {
        next_offset_ = batch.last_offset + 1;
        machine_.on_committed(tick(), batch.base_offset, batch.last_offset, batch.epoch,
                              batch.append_timestamp, records, output_);
    }
}

void ControllerHost::on_commit(const std::vector<MetadataBatch>& batches) {
    if (batches.empty() || stopped_) return;
    for (const MetadataBatch& batch : batches) apply_batch(batch);
    // A follower serves from what it has as soon as it knows that no more was committed when it
    // asked (MetadataLoader); a leader from its own epoch on (on_leader).
    if (!caught_up_ && !machine_.active() && quorum_.status().role == raft::QuorumRole::Follower &&
        quorum_.status().high_watermark <= batches.back().last_offset + 1) {
        caught_up_ = true;
    }
    // The machine first: who hears of the image may run a command that ends its reign, and it would
    // fall back behind what is never delivered again. Answers last: a client finds what it asked for.
    if (machine_.active()) {
        machine_.on_high_watermark(tick(), batches.back().last_offset + 1, output_);
    }
    std::vector<metadata::ControllerReply> answers = std::exchange(output_.replies, {});
    if (caught_up_) publish();
    std::move(answers.begin(), answers.end(), std::back_inserter(output_.replies));
    carry_out();
}

void ControllerHost::publish() {
    if (std::optional<metadata::ImageLoader::Published> published = loader_.publish()) {
        if (machine_.active()) watch_.on_image(published->image->cluster);
        events_.on_publish(*published);
    }
}

void ControllerHost::learn_quorum() {
    const QuorumStatus status = quorum_.status();
    std::vector<NodeId> voters;
    for (const raft::Voter& voter : status.voter_set.voters()) voters.push_back(voter.key.id);
    machine_.set_quorum(status.kraft_version, std::move(voters), quorum_.kraft_upgrade_problem());
}

void ControllerHost::on_leader(LeaderEpoch epoch, Offset offset) {
    log_info(kLog, "this node is the active controller of epoch {}", epoch.value);
    next_offset_ = offset;
    caught_up_ = true;
    learn_quorum();
    machine_.on_leader(tick(), epoch, output_);
    watch_.on_active(machine_.image().cluster, quorum_.status().former_leader_id);
    carry_out();
    publish();
}

void ControllerHost::on_resign(LeaderEpoch epoch, NodeId leader_id) {
    log_info(kLog, "epoch {} is led by {} from now on", epoch.value, leader_id.value);
    machine_.on_resign(tick(), output_);
    watch_.on_standby();
    carry_out();
}

void ControllerHost::on_snapshot_due() {
    const metadata::ImagePtr image = loader_.published();
    if (loader_.in_transaction() || image->provenance.offset < Offset(0)) return;
    Result<std::unique_ptr<MetadataSnapshotSink>> sink =
        quorum_.begin_snapshot(image->provenance.offset);
    if (!sink.ok()) {
        if (sink.status().errc() != Errc::AlreadyExists) stop_with("snapshot", sink.status());
        return;
    }
    const std::vector<metadata::Record> records = metadata::snapshot_records(*image);
    for (size_t from = 0; from < records.size(); from += kSnapshotChunkRecords) {
        std::vector<Buffer> values;
        const size_t to = std::min(records.size(), from + kSnapshotChunkRecords);
        for (size_t i = from; i < to; ++i) values.push_back(metadata::encode_record(records[i]));
        const Status status = (*sink)->append(std::move(values));
        if (!status.ok()) return stop_with("snapshot", status);
    }
    const Status status = (*sink)->finish();
    if (!status.ok()) return stop_with("snapshot", status);
    log_info(kLog, "snapshot up to offset {} written, {} records", image->provenance.offset.value,
             records.size());
}

void ControllerHost::on_fatal(const Status& cause) { stop_with("quorum", cause); }

void ControllerHost::stop_with(std::string_view doing, const Status& cause) {
    if (stopped_) return;
    stopped_ = true;
    events_.on_fatal(Status(cause.errc(), fmt::format("metadata {}: {}", doing, cause.message())));
}

}  // namespace millrace::broker
