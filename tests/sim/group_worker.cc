// tests/sim/group_worker.cc: offsets fetched and committed by a member, plainly.
#include "sim/group_worker.h"

#include <algorithm>

#include "millrace/wire/gen/offset_commit_request.h"
#include "millrace/wire/gen/offset_commit_response.h"
#include "millrace/wire/gen/offset_fetch_request.h"
#include "millrace/wire/gen/offset_fetch_response.h"

namespace millrace::sim {

namespace {
constexpr int16_t kRequireStableFrom = 7;
}

GroupWorker::GroupWorker(World& world, Servers& servers, GroupModel& group, TxnModel& txns,
                         const LoadTopics& topics, std::string name, WorkerOptions options)
    : world_(world),
      group_(group),
      model_(txns),
      topics_(topics),
      rng_(world.rng().fork()),
      options_(std::move(options)),
      client_(world, servers, name),
      member_(world, servers, group, name + "-member") {
    if (!transactional()) step_ = Step::Idle;
}

void GroupWorker::start() {
    member_.start();
    think();
}

void GroupWorker::finish() {
    finishing_ = true;
    member_.finish();
}

bool GroupWorker::finished() const {
    if (!finishing_ || busy_) return false;
    return fenced_ ? member_.gone() : done_ && step_ == Step::Idle && member_.stable();
}

void GroupWorker::halt() {
    halted_ = true;
    member_.halt();
}

std::string GroupWorker::text() const {
    return client_.name() + " step " + std::to_string(static_cast<int>(step_)) + " " + step_name_ +
           (member_.stable() ? " stable" : " not stable") + (busy_ ? " busy" : "") +
           (fenced_ ? " fenced" : "") + (done_ ? " done" : "") + " partitions " +
           std::to_string(positions_.size()) + "/" + std::to_string(partitions_.size());
}

void GroupWorker::think() {
    world_.after(Duration{1} + world_.random_delay(options_.think_max), [this] {
        if (halted_) return;
        act();
        think();
    });
}

void GroupWorker::act() {
    if (busy_ || member_.paused() || world_.now() < paused_until_) return;
    if (finishing_ && fenced_) return;
    if (step_ == Step::Init) return init();
    if (step_ != Step::Idle) return run_step();
    act_idle();
}

void GroupWorker::act_idle() {
    if (!member_.stable()) return;
    if (membership_ != member_.membership()) {
        membership_ = member_.membership();
        partitions_ = member_.partitions();
        positions_.clear();
        sent_.clear();
    }
    if (finishing_ && partitions_.empty()) done_ = true;
    if (positions_.size() < partitions_.size()) return fetch_offsets();
    if (partitions_.empty() || resting()) return;
    if (transactional()) {
        begin();
    } else {
        commit_plain();
    }
}

void GroupWorker::fetch_offsets() {
    wire::OffsetFetchRequest request;
    const bool whole = transactional();
    const auto version = static_cast<int16_t>(rng_.between(whole ? kRequireStableFrom : 1, 10));
    request.require_stable = version >= kRequireStableFrom && (whole || rng_.chance(1, 2));
    std::map<int32_t, int64_t> floors;
    for (const int32_t partition : partitions_) floors[partition] = group_.committed(partition);
    if (version >= 8) {
        auto& group = request.groups.emplace_back();
        group.group_id = group_.name();
        auto& topic = group.topics->emplace_back();
        if (version < 10) topic.name = kInputTopic;
        if (version >= 10) topic.topic_id = topics_.input;
        topic.partition_indexes = partitions_;
    } else {
        request.group_id = group_.name();
        auto& topic = request.topics->emplace_back();
        topic.name = kInputTopic;
        topic.partition_indexes = partitions_;
    }
    ask<wire::OffsetFetchResponse>(request, version, [this, version, floors](auto answer) {
        if (!answer) return;
        if (version >= 8) {
            world_.check(answer->groups.size() == 1, "wire", "OffsetFetch of another shape");
            const auto& group = answer->groups[0];
            const auto error = static_cast<ErrorCode>(group.error_code);
            if (error != ErrorCode::None) return on_offsets(-1, -1, error, 0);
            for (const auto& part : group.topics.at(0).partitions) {
                on_offsets(part.partition_index, part.committed_offset,
                           static_cast<ErrorCode>(part.error_code), floors.at(part.partition_index));
            }
        } else {
            const auto error = static_cast<ErrorCode>(answer->error_code);
            if (error != ErrorCode::None) return on_offsets(-1, -1, error, 0);
            for (const auto& part : answer->topics.at(0).partitions) {
                on_offsets(part.partition_index, part.committed_offset,
                           static_cast<ErrorCode>(part.error_code), floors.at(part.partition_index));
            }
        }
    });
}

void GroupWorker::on_offsets(int32_t partition, int64_t offset, ErrorCode error, int64_t floor) {
    if (is_coordinator_moving(error)) return;
    if (error == ErrorCode::UnstableOffsetCommit) return;
    world_.check(error == ErrorCode::None, "I22",
                 client_.name() + ": OffsetFetch got " + error_code_name(error));
    group_.on_fetched(partition, offset, floor);
    positions_[partition] = std::max<int64_t>(offset, 0);
}

void GroupWorker::commit_plain() {
    const int32_t partition = partitions_[rng_.below(partitions_.size())];
    const int64_t offset = positions_[partition] + rng_.between(1, 5);
    // What was perhaps committed may be committed again, nothing before it.
    int64_t& sent = sent_[partition];
    sent = std::max(sent, offset);
    wire::OffsetCommitRequest request;
    const auto version = static_cast<int16_t>(rng_.between(2, 10));
    request.group_id = group_.name();
    request.generation_id_or_member_epoch = membership_.generation;
    request.member_id = membership_.member_id;
    auto& topic = request.topics.emplace_back();
    if (version < 10) topic.name = kInputTopic;
    if (version >= 10) topic.topic_id = topics_.input;
    auto& part = topic.partitions.emplace_back();
    part.partition_index = partition;
    part.committed_offset = sent;
    part.committed_metadata = rng_.chance(1, 4) ? "note" : "";
    group_.on_commit_sent(partition, sent);
    const int32_t floor = group_.generation();
    ask<wire::OffsetCommitResponse>(
        request, version,
        [this, partition, sent = sent, floor, used = membership_](auto answer) {
            if (!answer) return;
            const auto error = static_cast<ErrorCode>(answer->topics.at(0).partitions.at(0).error_code);
            if (is_coordinator_moving(error)) return;
            if (error != ErrorCode::None) {
                world_.check(error == ErrorCode::IllegalGeneration ||
                                 error == ErrorCode::UnknownMemberId ||
                                 error == ErrorCode::RebalanceInProgress,
                             "I21", client_.name() + ": OffsetCommit got " + error_code_name(error));
                member_.suspect();
                paused_until_ = world_.now() + milliseconds(100);
                return;
            }
            group_.on_accepted("OffsetCommit", used.generation, floor);
            group_.on_commit_acked(partition, sent);
            positions_[partition] = sent;
            if (finishing_) done_ = true;
        });
}

}  // namespace millrace::sim
