// src/api/init_producer_id.cc: InitProducerId (22).
//
// Served: v0-5.
// Behavior: without a transactional id a fresh producer id, epoch 0, whatever the request names.
// Not done: transactional ids; answered COORDINATOR_NOT_AVAILABLE, which clients retry.
#include <memory>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/init_producer_id_response.h"

namespace millrace::api {

namespace {

/// Waits for a block of producer ids; only a node that goes away drops it.
struct InitOperation {
    Reply<wire::InitProducerIdResponse> reply;
    ~InitOperation() { reply.abandon(); }
};

}  // namespace

void handle_init_producer_id(RequestContext&& context, wire::InitProducerIdRequest request,
                             Reply<wire::InitProducerIdResponse> reply) {
    wire::InitProducerIdResponse response;
    response.producer_epoch = -1;
    if (request.transactional_id) {
        response.error_code = code(request.transactional_id->empty()
                                       ? ErrorCode::InvalidRequest
                                       : ErrorCode::CoordinatorNotAvailable);
        return reply.send(std::move(response));
    }
    auto operation = std::make_shared<InitOperation>();
    operation->reply = std::move(reply);
    context.shard().producer_ids().next(Reply<broker::ProducerIdAnswer>(
        [operation](broker::ProducerIdAnswer answer) {
            wire::InitProducerIdResponse done;
            done.error_code = code(answer.error);
            done.producer_id = answer.producer_id;
            done.producer_epoch = answer.error == ErrorCode::None ? int16_t{0} : int16_t{-1};
            operation->reply.send(std::move(done));
        }));
}

void serve_init_producer_id(ServeCall&& call) {
    serve<wire::InitProducerIdRequest, wire::InitProducerIdResponse>(std::move(call),
                                                                     handle_init_producer_id);
}

}  // namespace millrace::api
