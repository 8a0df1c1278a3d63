// include/millrace/broker/producer_ids.h: hands out producer ids from blocks of the controller.
//
// Owner: broker/shard. Asks the controller for the next block of 1,000 before the present one is
// used up; ids are never handed out twice, not even after a restart.
// Source: org.apache.kafka.coordinator.transaction.RPCProducerIdManager.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/base/error_code.h"
#include "millrace/base/reply.h"

namespace millrace::broker {

struct ProducerIdAnswer {
    ErrorCode error = ErrorCode::None;
    int64_t producer_id = -1;
};

class ProducerIds {
  public:
    /// Asks the controller for a block; on_block is called with the result.
    explicit ProducerIds(MoveFunction<void()> request_block)
        : request_block_(std::move(request_block)) {}
    ~ProducerIds();

    void next(Reply<ProducerIdAnswer> reply);
    void on_block(ErrorCode error, int64_t first, int32_t count);

  private:
    void request();

    MoveFunction<void()> request_block_;
    int64_t next_ = 0;
    int64_t end_ = 0;           // exclusive
    int64_t next_block_ = 0;    // fetched ahead
    int64_t next_block_end_ = 0;
    bool requested_ = false;
    std::vector<Reply<ProducerIdAnswer>> waiting_;
};

}  // namespace millrace::broker
