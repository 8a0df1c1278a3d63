// tests/sim/txn_worker.cc: the transactions of a worker: each input taken to the output once.
#include "millrace/record/batch_builder.h"
#include "millrace/wire/gen/add_offsets_to_txn_request.h"
#include "millrace/wire/gen/add_offsets_to_txn_response.h"
#include "millrace/wire/gen/add_partitions_to_txn_request.h"
#include "millrace/wire/gen/add_partitions_to_txn_response.h"
#include "millrace/wire/gen/end_txn_request.h"
#include "millrace/wire/gen/end_txn_response.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/init_producer_id_response.h"
#include "millrace/wire/gen/produce_request.h"
#include "millrace/wire/gen/produce_response.h"
#include "millrace/wire/gen/txn_offset_commit_request.h"
#include "millrace/wire/gen/txn_offset_commit_response.h"
#include "sim/group_worker.h"

namespace millrace::sim {

namespace {

constexpr int64_t kInputsMax = 4;  // of one partition in one transaction
constexpr int kAstrayMax = 3;      // verifications that fail for nothing the worker did

bool is_retriable(ErrorCode error) {
    return is_coordinator_moving(error) || error == ErrorCode::ConcurrentTransactions ||
           error == ErrorCode::NotLeaderOrFollower || error == ErrorCode::KafkaStorageError ||
           error == ErrorCode::UnknownTopicOrPartition || error == ErrorCode::LeaderNotAvailable ||
           error == ErrorCode::NotEnoughReplicas || error == ErrorCode::UnknownTopicId ||
           error == ErrorCode::NotEnoughReplicasAfterAppend;
}

bool is_fencing(ErrorCode error) {
    return error == ErrorCode::InvalidProducerEpoch || error == ErrorCode::ProducerFenced;
}

/// The group went on without this member: the transaction must be aborted, the producer is sound.
bool is_group_fencing(ErrorCode error) {
    return error == ErrorCode::IllegalGeneration || error == ErrorCode::UnknownMemberId ||
           error == ErrorCode::RebalanceInProgress || error == ErrorCode::TransactionAbortable;
}

}  // namespace

void GroupWorker::init() {
    step_name_ = "InitProducerId";
    wire::InitProducerIdRequest request;
    request.transactional_id = options_.transactional_id;
    request.transaction_timeout_ms = options_.timeout_ms;
    const TxnModel::Producer floor = model_.current(options_.transactional_id);
    ask<wire::InitProducerIdResponse>(
        request, static_cast<int16_t>(rng_.between(0, 5)), [this, floor](auto answer) {
            if (!answer) return;
            const auto error = static_cast<ErrorCode>(answer->error_code);
            if (is_retriable(error)) return;
            world_.check(error == ErrorCode::None, "I16",
                         client_.name() + ": InitProducerId got " + error_code_name(error));
            producer_ = {answer->producer_id, answer->producer_epoch};
            model_.on_producer(options_.transactional_id, producer_, floor);
            sequences_.clear();
            positions_.clear();  // what became of the transaction before is in the offsets
            step_ = Step::Idle;
        });
}

void GroupWorker::begin() {
    Txn& txn = model_.begin(options_.transactional_id);
    txn_ = &txn;
    txn_start_ = world_.wall();
    wall_jumps_ = world_.wall_jumps();
    txn_membership_ = membership_;
    for (const int32_t partition : partitions_) {
        if (!txn.inputs.empty() && rng_.chance(1, 2)) continue;
        const int64_t from = positions_[partition];
        const int64_t to = from + rng_.between(1, kInputsMax);
        txn.inputs[partition] = {from, to};
        for (int64_t i = from; i < to; ++i) {
            const auto output = static_cast<int32_t>(rng_.below(kOutputPartitions));
            txn.outputs[output].emplace_back(partition, i);
        }
    }
    commit_ = finishing_ || rng_.chance(5, 6);
    output_ = txn.outputs.begin();
    step_ = options_.v2 ? Step::Produce : Step::AddPartitions;
}

void GroupWorker::run_step() {
    const bool early = step_ != Step::End && (step_ != Step::AddPartitions);
    if (!finishing_ && early && rng_.chance(1, 40)) {
        commit_ = false;
        step_ = Step::End;
    }
    if (!finishing_ && rng_.chance(1, 60)) {
        paused_until_ = world_.now() + world_.random_delay(milliseconds(2 * options_.timeout_ms));
        return;
    }
    if (!finishing_ && rng_.chance(1, 80)) {
        // Starts anew and knows nothing; its transaction stays behind.
        txn_ = nullptr;
        step_ = Step::Init;
        return;
    }
    floor_ = model_.current(options_.transactional_id);
    switch (step_) {
        case Step::AddPartitions: return add_partitions();
        case Step::Produce: return produce();
        case Step::AddOffsets: return add_offsets();
        case Step::CommitOffsets: return commit_offsets();
        case Step::End: return end();
        case Step::Init:
        case Step::Idle: return;
    }
}

bool GroupWorker::accept(const char* what, ErrorCode error) {
    step_name_ = what;
    if (error == ErrorCode::None) {
        model_.on_accepted(what, options_.transactional_id, producer_, floor_);
        return true;
    }
    if (world_.trace) world_.say(client_.name() + ": " + what + " got " + error_code_name(error));
    if (is_retriable(error)) return false;
    if (is_fencing(error)) {
        fence();
        return false;
    }
    if (is_group_fencing(error) && step_ != Step::End) {
        member_.suspect();
        commit_ = false;
        step_ = Step::End;
        return false;
    }
    // A coordinator that is cut off and deposed and does not know verifies by what it has seen.
    const bool unknown_to_it =
        error == ErrorCode::InvalidTxnState || error == ErrorCode::TransactionAbortable;
    if (group_.stale_answers && unknown_to_it && step_ != Step::End && astray_ < kAstrayMax) {
        ++astray_;
        commit_ = false;
        step_ = Step::End;
        return false;
    }
    world_.fail(kExitSafety, "I16",
                client_.name() + ": " + what + " of transaction " + std::to_string(txn_->id) +
                    " got " + error_code_name(error));
}

/// By the coordinator: its time was over, or another instance asked for the id.
bool GroupWorker::may_have_been_aborted() const {
    return options_.shared || options_.walls_differ || world_.wall_jumps() != wall_jumps_ ||
           world_.wall().value - txn_start_.value >= options_.timeout_ms;
}

void GroupWorker::fence() {
    ++model_.fenced;
    txn_ = nullptr;
    step_ = Step::Init;
    paused_until_ = world_.now() + milliseconds(300) + world_.random_delay(seconds(2));
    // Of two with one id the first that goes on stays; a lone one was timed out and goes on.
    if (finishing_ && model_.current(options_.transactional_id) != producer_) {
        fenced_ = true;
        member_.retire();
    }
}

void GroupWorker::next_step() {
    if (step_ == Step::AddPartitions) {
        step_ = Step::Produce;
    } else if (step_ == Step::Produce) {
        if (++output_ == txn_->outputs.end()) {
            step_ = options_.v2 ? Step::CommitOffsets : Step::AddOffsets;
        }
    } else if (step_ == Step::AddOffsets) {
        step_ = Step::CommitOffsets;
    } else {
        step_ = Step::End;
    }
}

void GroupWorker::add_partitions() {
    wire::AddPartitionsToTxnRequest request;
    request.v3_and_below_transactional_id = options_.transactional_id;
    request.v3_and_below_producer_id = producer_.first;
    request.v3_and_below_producer_epoch = producer_.second;
    auto& topic = request.v3_and_below_topics.emplace_back();
    topic.name = kOutputTopic;
    for (const auto& [partition, records] : txn_->outputs) topic.partitions.push_back(partition);
    ask<wire::AddPartitionsToTxnResponse>(
        request, static_cast<int16_t>(rng_.between(0, 3)), [this](auto answer) {
            if (!answer) return;
            for (const auto& part :
                 answer->results_by_topic_v3_and_below.at(0).results_by_partition) {
                const auto error = static_cast<ErrorCode>(part.partition_error_code);
                if (!accept("AddPartitionsToTxn", error)) return;
            }
            next_step();
        });
}

void GroupWorker::produce() {
    const int32_t partition = output_->first;
    record::BatchBuilder builder;
    record::BatchOptions options;
    options.producer_id = ProducerId(producer_.first);
    options.producer_epoch = ProducerEpoch(producer_.second);
    options.base_sequence = sequences_[partition];
    options.is_transactional = true;
    builder.start(options);
    for (const auto& [input, index] : output_->second) {
        const std::string value = std::to_string(txn_->id) + ":" + std::to_string(input) + ":" +
                                  std::to_string(index);
        record::NewRecord record;
        record.timestamp = world_.wall();
        record.value = ByteView(value);
        builder.append(record);
    }
    wire::ProduceRequest request;
    request.transactional_id = options_.transactional_id;
    request.acks = -1;
    request.timeout_ms = 3000;
    const auto version = static_cast<int16_t>(options_.v2 ? rng_.between(12, 13) : rng_.between(3, 11));
    auto& topic = request.topic_data.emplace_back();
    if (version < 13) topic.name = kOutputTopic;
    if (version >= 13) topic.topic_id = topics_.output;
    auto& data = topic.partition_data.emplace_back();
    data.index = partition;
    data.records = BufferChain(builder.finish());
    ask<wire::ProduceResponse>(request, version, [this, partition](auto answer) {
        if (!answer) return;
        const auto& part = answer->responses.at(0).partition_responses.at(0);
        if (!accept("Produce", static_cast<ErrorCode>(part.error_code))) return;
        sequences_[partition] += static_cast<int32_t>(output_->second.size());
        next_step();
    });
}

void GroupWorker::add_offsets() {
    wire::AddOffsetsToTxnRequest request;
    request.transactional_id = options_.transactional_id;
    request.producer_id = producer_.first;
    request.producer_epoch = producer_.second;
    request.group_id = group_.name();
    ask<wire::AddOffsetsToTxnResponse>(
        request, static_cast<int16_t>(rng_.between(0, 4)), [this](auto answer) {
            if (!answer) return;
            if (accept("AddOffsetsToTxn", static_cast<ErrorCode>(answer->error_code))) next_step();
        });
}

void GroupWorker::commit_offsets() {
    wire::TxnOffsetCommitRequest request;
    request.transactional_id = options_.transactional_id;
    request.group_id = group_.name();
    request.producer_id = producer_.first;
    request.producer_epoch = producer_.second;
    request.generation_id = txn_membership_.generation;
    request.member_id = txn_membership_.member_id;
    auto& topic = request.topics.emplace_back();
    topic.name = kInputTopic;
    for (const auto& [partition, range] : txn_->inputs) {
        auto& part = topic.partitions.emplace_back();
        part.partition_index = partition;
        part.committed_offset = range.second;
    }
    const int32_t generation_floor = group_.generation();
    const auto version = static_cast<int16_t>(options_.v2 ? 5 : rng_.between(3, 4));
    ask<wire::TxnOffsetCommitResponse>(request, version, [this, generation_floor](auto answer) {
        if (!answer) return;
        for (const auto& part : answer->topics.at(0).partitions) {
            if (!accept("TxnOffsetCommit", static_cast<ErrorCode>(part.error_code))) return;
        }
        group_.on_accepted("TxnOffsetCommit", txn_membership_.generation, generation_floor);
        next_step();
    });
}

void GroupWorker::end() {
    wire::EndTxnRequest request;
    request.transactional_id = options_.transactional_id;
    request.producer_id = producer_.first;
    request.producer_epoch = producer_.second;
    request.committed = commit_;
    if (commit_) {
        txn_->commit_sent = true;
        for (const auto& [partition, range] : txn_->inputs) {
            group_.on_commit_sent(partition, range.second);
        }
    }
    ask<wire::EndTxnResponse>(
        request, static_cast<int16_t>(options_.v2 ? 5 : rng_.between(0, 4)), [this](auto answer) {
            if (!answer) return;
            after_end(static_cast<ErrorCode>(answer->error_code),
                      {answer->producer_id, answer->producer_epoch});
        });
}

void GroupWorker::after_end(ErrorCode error, TxnModel::Producer producer) {
    // Nothing of the transaction came to the coordinator: there is nothing to abort.
    if (error == ErrorCode::InvalidTxnState && commit_ && options_.v2 && may_have_been_aborted()) {
        // As in Kafka: the abort looks like an end that this producer asked for, with the other
        // outcome. It is a definite answer all the same.
        txn_->abort_acked = true;
        return fence();
    }
    const bool nothing = error == ErrorCode::InvalidTxnState && !commit_;
    if (!nothing && !accept(commit_ ? "EndTxn commit" : "EndTxn abort", error)) return;
    if (options_.v2 && !nothing) {
        model_.on_producer(options_.transactional_id, producer, floor_);
        producer_ = producer;
        sequences_.clear();
    }
    if (world_.trace) {
        world_.say("model: transaction " + std::to_string(txn_->id) +
                   (commit_ ? " is committed" : " is aborted"));
    }
    if (commit_) {
        ++model_.commits;
        txn_->commit_acked = true;
        for (const auto& [partition, range] : txn_->inputs) {
            group_.on_commit_acked(partition, range.second);
            positions_[partition] = range.second;
        }
        if (finishing_) done_ = true;
    } else {
        ++model_.aborts;
        if (!nothing) txn_->abort_acked = true;
        // A batch that was perhaps appended took its sequences: begin anew.
        positions_.clear();
        if (!options_.v2 || nothing) {
            step_ = Step::Init;
            txn_ = nullptr;
            return;
        }
    }
    txn_ = nullptr;
    step_ = Step::Idle;
}

}  // namespace millrace::sim
