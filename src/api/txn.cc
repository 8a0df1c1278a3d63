// src/api/txn.cc: AddPartitionsToTxn (24), AddOffsetsToTxn (25), EndTxn (26).
//
// Served: AddPartitionsToTxn v0-5, AddOffsetsToTxn v0-4, EndTxn v0-5.
// Behavior: coordinators.md 6.4 and 6.5; the transaction coordinator decides, here topics are looked
// up and answers brought into shape.
// Version notes: below v2 PRODUCER_FENCED is INVALID_PRODUCER_EPOCH; AddPartitionsToTxn v4 is what
// brokers send each other, several transactions at once; EndTxn v5 speaks transaction.version 2.
// Not done: authorization.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/wire/gen/add_offsets_to_txn_request.h"
#include "millrace/wire/gen/add_offsets_to_txn_response.h"
#include "millrace/wire/gen/add_partitions_to_txn_request.h"
#include "millrace/wire/gen/add_partitions_to_txn_response.h"
#include "millrace/wire/gen/end_txn_request.h"
#include "millrace/wire/gen/end_txn_response.h"

namespace millrace::api {

namespace {

using AddRequest = wire::AddPartitionsToTxnRequest;
using AddResponse = wire::AddPartitionsToTxnResponse;
using TopicResults = std::vector<AddResponse::AddPartitionsToTxnTopicResult>;
using Topics = std::vector<AddRequest::AddPartitionsToTxnTopic>;

/// From this version a request speaks transaction.version 2.
constexpr int16_t kAddBrokerVersion = 4;
constexpr int16_t kEndEpochBumpVersion = 5;

ErrorCode for_old_clients(ErrorCode error, int16_t version) {
    return error == ErrorCode::ProducerFenced && version < 2 ? ErrorCode::InvalidProducerEpoch
                                                             : error;
}

/// Holds the reply of a request until its coordinator answers; only a node that goes away drops it.
template <class Response>
struct Waiting {
    Response response;
    Reply<Response> reply;
    size_t missing = 1;
    ~Waiting() { reply.abandon(); }
    void finish() {
        if (--missing == 0) reply.send(std::move(response));
    }
};

void add_partitions(broker::CoordinatorHost& host, coordinator::AddPartitionsCommand command,
                    MoveFunction<void(coordinator::TxnResponse)> done) {
    const auto route = host.txn_route(command.transactional_id);
    if (route.error != ErrorCode::None) {
        coordinator::TxnResponse response;
        response.error = route.error;
        return done(std::move(response));
    }
    host.run_txn(
        route.partition,
        [command = std::move(command)](coordinator::TransactionCoordinator& machine,
                                       const coordinator::Tick& tick, coordinator::RequestId id,
                                       coordinator::TxnOutput& out) {
            machine.add_partitions(tick, id, command, out);
        },
        Reply<coordinator::TxnResponse>(std::move(done)));
}

/// Fills `results` with one entry per partition. False: some cannot be added, and so none is.
bool check_topics(const RequestContext& context, const Topics& topics, TopicResults& results) {
    const metadata::Image& image = context.shard().image();
    bool good = true;
    for (const auto& topic : topics) {
        auto& result = results.emplace_back();
        result.name = topic.name;
        const metadata::TopicImage* known = image.topics.find(std::string_view(topic.name));
        // Clients may not write into the topics of the coordinators; brokers may.
        const bool forbidden = context.version < kAddBrokerVersion && is_internal_topic(topic.name);
        for (const int32_t index : topic.partitions) {
            auto& part = result.results_by_partition.emplace_back();
            part.partition_index = index;
            ErrorCode error = ErrorCode::None;
            if (forbidden) {
                error = ErrorCode::TopicAuthorizationFailed;
            } else if (known == nullptr || known->partition(PartitionIndex(index)) == nullptr) {
                error = ErrorCode::UnknownTopicOrPartition;
            }
            part.partition_error_code = code(error);
            good = good && error == ErrorCode::None;
        }
    }
    if (good) return true;
    for (auto& result : results) {
        for (auto& part : result.results_by_partition) {
            if (part.partition_error_code == 0) {
                part.partition_error_code = code(ErrorCode::OperationNotAttempted);
            }
        }
    }
    return false;
}

void fill(TopicResults& results, const coordinator::TxnResponse& response, int16_t version) {
    for (auto& result : results) {
        for (auto& part : result.results_by_partition) {
            ErrorCode error = response.error;
            const auto own =
                response.partitions.find({result.name, PartitionIndex(part.partition_index)});
            if (error == ErrorCode::None && own != response.partitions.end()) error = own->second;
            part.partition_error_code = code(for_old_clients(error, version));
        }
    }
}

std::set<TopicPartition> partitions_of(const Topics& topics) {
    std::set<TopicPartition> partitions;
    for (const auto& topic : topics) {
        for (const int32_t index : topic.partitions) {
            partitions.insert({topic.name, PartitionIndex(index)});
        }
    }
    return partitions;
}

/// The one transaction of a client's request, in the shape of a broker's.
AddRequest::AddPartitionsToTxnTransaction single(AddRequest& request) {
    AddRequest::AddPartitionsToTxnTransaction txn;
    txn.transactional_id = std::move(request.v3_and_below_transactional_id);
    txn.producer_id = request.v3_and_below_producer_id;
    txn.producer_epoch = request.v3_and_below_producer_epoch;
    txn.topics = std::move(request.v3_and_below_topics);
    return txn;
}

}  // namespace

void handle_add_partitions_to_txn(RequestContext&& context, AddRequest request,
                                  Reply<AddResponse> reply) {
    const int16_t version = context.version;
    const bool batched = version >= kAddBrokerVersion;
    if (!batched) request.transactions.push_back(single(request));
    auto waiting = std::make_shared<Waiting<AddResponse>>();
    waiting->reply = std::move(reply);
    waiting->missing = request.transactions.size() + 1;
    if (batched) waiting->response.results_by_transaction.resize(request.transactions.size());
    for (size_t i = 0; i < request.transactions.size(); ++i) {
        auto& txn = request.transactions[i];
        TopicResults* results = &waiting->response.results_by_topic_v3_and_below;
        if (batched) {
            waiting->response.results_by_transaction[i].transactional_id = txn.transactional_id;
            results = &waiting->response.results_by_transaction[i].topic_results;
        }
        if (!check_topics(context, txn.topics, *results)) {
            waiting->finish();
            continue;
        }
        coordinator::AddPartitionsCommand command;
        command.transactional_id = std::move(txn.transactional_id);
        command.producer = {ProducerId(txn.producer_id), ProducerEpoch(txn.producer_epoch)};
        command.partitions = partitions_of(txn.topics);
        command.verify_only = txn.verify_only;
        command.client_version = batched ? coordinator::kEpochBumpVersion : int16_t{0};
        add_partitions(context.shard().coordinators(), std::move(command),
                       [waiting, results, version](const coordinator::TxnResponse& response) {
                           fill(*results, response, version);
                           waiting->finish();
                       });
    }
    waiting->finish();
}

void handle_add_offsets_to_txn(RequestContext&& context, wire::AddOffsetsToTxnRequest request,
                               Reply<wire::AddOffsetsToTxnResponse> reply) {
    broker::CoordinatorHost& host = context.shard().coordinators();
    auto waiting = std::make_shared<Waiting<wire::AddOffsetsToTxnResponse>>();
    waiting->reply = std::move(reply);
    coordinator::AddPartitionsCommand command;
    command.transactional_id = std::move(request.transactional_id);
    command.producer = {ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch)};
    command.partitions = {
        {broker::kOffsetsTopic,
         host.partition_of(broker::CoordinatorKind::Group, request.group_id)}};
    add_partitions(host, std::move(command),
                   [waiting, version = context.version](const coordinator::TxnResponse& response) {
                       waiting->response.error_code =
                           code(for_old_clients(response.error, version));
                       waiting->finish();
                   });
}

void handle_end_txn(RequestContext&& context, wire::EndTxnRequest request,
                    Reply<wire::EndTxnResponse> reply) {
    broker::CoordinatorHost& host = context.shard().coordinators();
    const auto route = host.txn_route(request.transactional_id);
    if (route.error != ErrorCode::None) {
        wire::EndTxnResponse response;
        response.error_code = code(route.error);
        return reply.send(std::move(response));
    }
    auto waiting = std::make_shared<Waiting<wire::EndTxnResponse>>();
    waiting->reply = std::move(reply);
    coordinator::EndTxnCommand command;
    command.transactional_id = std::move(request.transactional_id);
    command.producer = {ProducerId(request.producer_id), ProducerEpoch(request.producer_epoch)};
    command.commit = request.committed;
    command.client_version =
        context.version >= kEndEpochBumpVersion ? coordinator::kEpochBumpVersion : int16_t{0};
    host.run_txn(
        route.partition,
        [command = std::move(command)](coordinator::TransactionCoordinator& machine,
                                       const coordinator::Tick& tick, coordinator::RequestId id,
                                       coordinator::TxnOutput& out) {
            machine.end_transaction(tick, id, command, out);
        },
        Reply<coordinator::TxnResponse>(
            [waiting, version = context.version](coordinator::TxnResponse answer) {
                waiting->response.error_code = code(for_old_clients(answer.error, version));
                waiting->response.producer_id = answer.producer.id.value;
                waiting->response.producer_epoch = answer.producer.epoch.value;
                waiting->finish();
            }));
}

void serve_add_partitions_to_txn(ServeCall&& call) {
    serve<AddRequest, AddResponse>(std::move(call), handle_add_partitions_to_txn);
}
void serve_add_offsets_to_txn(ServeCall&& call) {
    serve<wire::AddOffsetsToTxnRequest, wire::AddOffsetsToTxnResponse>(std::move(call),
                                                                       handle_add_offsets_to_txn);
}
void serve_end_txn(ServeCall&& call) {
    serve<wire::EndTxnRequest, wire::EndTxnResponse>(std::move(call), handle_end_txn);
}

}  // namespace millrace::api
