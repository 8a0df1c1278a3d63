// src/api/init_producer_id.cc: InitProducerId (22).
//
// Served: v0-5.
// Behavior: without a transactional id a fresh producer id, epoch 0, whatever the request names;
// with one, what the transaction coordinator says (coordinators.md 6.3).
// Version notes: v3 names the pair the client has, v4 PRODUCER_FENCED instead of
// INVALID_PRODUCER_EPOCH, v6 (not stable) two-phase commit.
// Not done: authorization.
#include <memory>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/wire/gen/init_producer_id_request.h"
#include "millrace/wire/gen/init_producer_id_response.h"

namespace millrace::api {

namespace {

using Request = wire::InitProducerIdRequest;
using Response = wire::InitProducerIdResponse;

/// Waits for a producer id or a coordinator; only a node that goes away drops it.
struct InitOperation {
    Reply<Response> reply;
    int16_t version = 0;
    ~InitOperation() { reply.abandon(); }

    void finish(ErrorCode error, int64_t producer_id, int16_t epoch) {
        if (error == ErrorCode::ProducerFenced && version < 4) {
            error = ErrorCode::InvalidProducerEpoch;
        }
        Response response;
        response.error_code = code(error);
        response.producer_id = error == ErrorCode::None ? producer_id : -1;
        response.producer_epoch = error == ErrorCode::None ? epoch : int16_t{-1};
        reply.send(std::move(response));
    }
};

void init_transactional(const RequestContext& context, Request request,
                        const std::shared_ptr<InitOperation>& operation) {
    if (request.transactional_id->empty()) {
        return operation->finish(ErrorCode::InvalidRequest, -1, -1);
    }
    broker::CoordinatorHost& host = context.shard().coordinators();
    const auto route = host.txn_route(*request.transactional_id);
    if (route.error != ErrorCode::None) return operation->finish(route.error, -1, -1);
    coordinator::InitProducerIdCommand command;
    command.transactional_id = std::move(*request.transactional_id);
    command.timeout_ms = request.transaction_timeout_ms;
    command.expected = {ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch)};
    command.enable_two_phase = request.enable2_pc;
    command.keep_prepared = request.keep_prepared_txn;
    host.run_txn(
        route.partition,
        [command = std::move(command)](coordinator::TransactionCoordinator& machine,
                                       const coordinator::Tick& tick, coordinator::RequestId id,
                                       coordinator::TxnOutput& out) mutable {
            machine.init_producer_id(tick, id, std::move(command), out);
        },
        Reply<coordinator::TxnResponse>([operation](coordinator::TxnResponse response) {
            operation->finish(response.error, response.producer.id.value,
                              response.producer.epoch.value);
        }));
}

}  // namespace

void handle_init_producer_id(RequestContext&& context, Request request, Reply<Response> reply) {
    auto operation = std::make_shared<InitOperation>();
    operation->reply = std::move(reply);
    operation->version = context.version;
    if ((request.producer_id == -1) != (request.producer_epoch == -1)) {
        return operation->finish(ErrorCode::InvalidRequest, -1, -1);
    }
    if (request.transactional_id) {
        return init_transactional(context, std::move(request), operation);
    }
    context.shard().producer_ids().next(Reply<broker::ProducerIdAnswer>(
        [operation](broker::ProducerIdAnswer answer) {
            operation->finish(answer.error, answer.producer_id, 0);
        }));
}

void serve_init_producer_id(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_init_producer_id);
}

}  // namespace millrace::api
