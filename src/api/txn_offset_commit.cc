// src/api/txn_offset_commit.cc: TxnOffsetCommit (28).
//
// Served: v0-5.
// Behavior: topics that do not exist are refused here; the partition of __consumer_offsets is
// checked to belong to the transaction, or added to it; the group's machine does the rest
// (coordinators.md 5.2, 6.9).
// Version notes: v3 member and generation, v4 TRANSACTION_ABORTABLE, v5 adds the partition to the
// transaction by itself (transaction.version 2).
// Not done: authorization.
#include <memory>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "api/txn_verification.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/env/clock.h"
#include "millrace/wire/gen/txn_offset_commit_request.h"
#include "millrace/wire/gen/txn_offset_commit_response.h"

namespace millrace::api {

namespace {

using Request = wire::TxnOffsetCommitRequest;
using Response = wire::TxnOffsetCommitResponse;

struct CommitOperation {
    RequestContext context;
    Request request;            // what the machine is asked, known topics only
    Response response;          // refused partitions, then the machine's answers
    Reply<Response> reply;
    PartitionIndex partition;   // of __consumer_offsets
    storage::VerificationGuard guard;
    ~CommitOperation() { reply.abandon(); }
};
using OperationPtr = std::shared_ptr<CommitOperation>;

void add_answer(Response& response, const std::string& topic, int32_t index, int16_t error) {
    if (response.topics.empty() || response.topics.back().name != topic) {
        response.topics.emplace_back().name = topic;
    }
    auto& part = response.topics.back().partitions.emplace_back();
    part.partition_index = index;
    part.error_code = error;
}

void commit_finish(CommitOperation& operation, ErrorCode error) {
    if (error == ErrorCode::CoordinatorLoadInProgress && operation.context.version < 2) {
        error = ErrorCode::CoordinatorNotAvailable;
    }
    for (const auto& topic : operation.request.topics) {
        for (const auto& part : topic.partitions) {
            add_answer(operation.response, topic.name, part.partition_index, code(error));
        }
    }
    operation.reply.send(std::move(operation.response));
}

/// Takes the partitions of topics that do not exist out of the request.
void refuse_unknown(CommitOperation& operation) {
    const metadata::Image& image = operation.context.shard().image();
    for (auto& topic : operation.request.topics) {
        const metadata::TopicImage* known = image.topics.find(std::string_view(topic.name));
        std::erase_if(topic.partitions, [&](const auto& part) {
            const bool there = known != nullptr &&
                               known->partition(PartitionIndex(part.partition_index)) != nullptr;
            if (!there) {
                add_answer(operation.response, topic.name, part.partition_index,
                           code(ErrorCode::UnknownTopicOrPartition));
            }
            return !there;
        });
    }
    std::erase_if(operation.request.topics,
                  [](const auto& topic) { return topic.partitions.empty(); });
}

void commit_on_group(const OperationPtr& operation) {
    broker::CoordinatorHost& host = operation->context.shard().coordinators();
    const auto route = host.group_route(operation->request.group_id);
    if (route.error != ErrorCode::None) return commit_finish(*operation, route.error);
    coordinator::GroupCaller caller{operation->context.version, operation->context.client_id(),
                                    "/" + operation->context.connection->peer_host};
    host.run_group(
        route.partition,
        [operation, caller = std::move(caller)](
            coordinator::GroupCoordinator& machine, const coordinator::Tick& tick,
            coordinator::RequestId id, coordinator::GroupCoordinator::Output& out) {
            machine.run(tick, id, caller, operation->request, out);
        },
        Reply<coordinator::GroupResponse>([operation](coordinator::GroupResponse response) {
            for (const auto& topic : std::get<Response>(response).topics) {
                for (const auto& part : topic.partitions) {
                    add_answer(operation->response, topic.name, part.partition_index,
                               part.error_code);
                }
            }
            operation->reply.send(std::move(operation->response));
        }),
        operation->guard);
}

/// An error of the verification, as a group coordinator tells it.
ErrorCode as_group_error(ErrorCode error) {
    return error == ErrorCode::NotEnoughReplicas ? ErrorCode::CoordinatorNotAvailable : error;
}

void commit_verified(const OperationPtr& operation) {
    broker::Shard& shard = operation->context.shard();
    const metadata::TopicImage* topic =
        shard.image().topics.find(std::string_view(broker::kOffsetsTopic));
    broker::Partition* partition =
        topic == nullptr ? nullptr : shard.partition(topic->id, operation->partition);
    if (partition == nullptr || !shard.dynamic_settings().transaction_partition_verification_enable) {
        return commit_on_group(operation);
    }
    const Request& request = operation->request;
    const TxnSupport support = txn_support(operation->context.version, 4);
    const auto guarded = partition->log().start_verification(
        ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch), -1,
        support == TxnSupport::Add, shard.env().clock.wall());
    if (guarded.error != ErrorCode::None) return commit_finish(*operation, guarded.error);
    operation->guard = guarded.guard;
    if (guarded.guard.id == 0) return commit_on_group(operation);
    broker::CoordinatorHost::Verification verification;
    verification.transactional_id = request.transactional_id;
    verification.producer = {ProducerId(request.producer_id),
                             ProducerEpoch(request.producer_epoch)};
    const TopicPartition name = partition->name();
    verification.partitions = {name};
    verification.add = support == TxnSupport::Add;
    shard.coordinators().verify(
        std::move(verification),
        [operation, name, support](const broker::CoordinatorHost::Verified& verified) {
            const ErrorCode error = verification_error(verified, name, support);
            if (error != ErrorCode::None) return commit_finish(*operation, as_group_error(error));
            commit_on_group(operation);
        });
}

}  // namespace

void handle_txn_offset_commit(RequestContext&& context, Request request, Reply<Response> reply) {
    auto operation = std::make_shared<CommitOperation>();
    operation->context = std::move(context);
    operation->request = std::move(request);
    operation->reply = std::move(reply);
    refuse_unknown(*operation);
    if (operation->request.topics.empty()) {
        return operation->reply.send(std::move(operation->response));
    }
    if (operation->request.group_id.empty()) {
        return commit_finish(*operation, ErrorCode::InvalidGroupId);
    }
    const auto route =
        operation->context.shard().coordinators().group_route(operation->request.group_id);
    if (route.error != ErrorCode::None) return commit_finish(*operation, route.error);
    operation->partition = route.partition;
    commit_verified(operation);
}

void serve_txn_offset_commit(ServeCall&& call) {
    serve<Request, Response>(std::move(call), handle_txn_offset_commit);
}

}  // namespace millrace::api
