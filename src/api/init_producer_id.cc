// src/api/init_producer_id.cc: InitProducerId (22).
//
// Served: v0-5.
// Behavior: without a transactional id a fresh producer id, epoch 0, whatever the request names.
// Not done: transactional ids; answered COORDINATOR_NOT_AVAILABLE, which clients retry.
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/init_producer_id_response.h"

namespace millrace::api {

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
    context.shard().producer_ids().next(Reply<broker::ProducerIdAnswer>(
        [reply = std::move(reply)](broker::ProducerIdAnswer answer) mutable {
            wire::InitProducerIdResponse done;
            done.error_code = code(answer.error);
            done.producer_id = answer.producer_id;
            done.producer_epoch = answer.error == ErrorCode::None ? int16_t{0} : int16_t{-1};
            reply.send(std::move(done));
        }));
}

void serve_init_producer_id(ServeCall&& call) {
    serve<wire::InitProducerIdRequest, wire::InitProducerIdResponse>(std::move(call),
                                                                     handle_init_producer_id);
}

}  // namespace millrace::api
