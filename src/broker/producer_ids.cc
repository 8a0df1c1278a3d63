// src/broker/producer_ids.cc: when to ask for the next block of producer ids.
#include "millrace/broker/producer_ids.h"

#include <utility>

namespace millrace::broker {

namespace {
/// Clients that wait for a block at once; more are told to come again.
constexpr size_t kWaitingMax = 10'000;
constexpr int64_t kPrefetchLeft = 100;  // Kafka asks when 90 % of a block of 1,000 are used
}  // namespace

ProducerIds::~ProducerIds() {
    for (auto& reply : waiting_) reply.send({ErrorCode::CoordinatorNotAvailable, -1});
}

void ProducerIds::request() {
    if (requested_ || next_block_ != next_block_end_) return;
    requested_ = true;
    request_block_();
}

void ProducerIds::next(Reply<ProducerIdAnswer> reply) {
    if (next_ == end_) {
        next_ = std::exchange(next_block_, 0);
        end_ = std::exchange(next_block_end_, 0);
    }
    if (next_ == end_) {
        if (waiting_.size() >= kWaitingMax) {
            return reply.send({ErrorCode::CoordinatorLoadInProgress, -1});
        }
        waiting_.push_back(std::move(reply));
        return request();
    }
    const int64_t id = next_++;
    if (end_ - next_ <= kPrefetchLeft) request();
    reply.send({ErrorCode::None, id});
}

void ProducerIds::on_block(ErrorCode error, int64_t first, int32_t count) {
    requested_ = false;
    std::vector<Reply<ProducerIdAnswer>> waiting = std::move(waiting_);
    waiting_.clear();
    if (error == ErrorCode::None && count > 0) {
        next_block_ = first;
        next_block_end_ = first + count;
    } else {
        // Clients retry on this code; the next of them asks the controller again.
        for (auto& reply : waiting) reply.send({ErrorCode::CoordinatorLoadInProgress, -1});
        return;
    }
    for (auto& reply : waiting) next(std::move(reply));
}

}  // namespace millrace::broker
