// src/api/txn_admin.cc: DescribeTransactions (65), ListTransactions (66).
//
// Served: DescribeTransactions v0, ListTransactions v0-2.
// Behavior: coordinators.md 6.12; committed state of the coordinators on this node.
// Version notes: ListTransactions v1 duration filter, v2 pattern of ids (RE2, KIP-1152).
// Not done: authorization.
#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "api/lookup.h"
#include "api/serve.h"
#include "millrace/broker/coordinator_host.h"
#include "millrace/env/clock.h"
#include "millrace/wire/gen/describe_transactions_request.h"
#include "millrace/wire/gen/describe_transactions_response.h"
#include "millrace/wire/gen/list_transactions_request.h"
#include "millrace/wire/gen/list_transactions_response.h"

namespace millrace::api {

namespace {

using coordinator::TransactionCoordinator;
using coordinator::TxnState;
using DescribeResponse = wire::DescribeTransactionsResponse;
using ListRequest = wire::ListTransactionsRequest;
using ListResponse = wire::ListTransactionsResponse;

/// Memory that one pattern of a client may compile to.
constexpr int64_t kPatternBytesMax = 1 << 20;

void describe(broker::CoordinatorHost& host, const std::string& id,
              DescribeResponse::TransactionState& out) {
    out.transactional_id = id;
    const auto fail = [&](ErrorCode error) { out.error_code = code(error); };
    if (id.empty()) return fail(ErrorCode::InvalidRequest);
    const auto route = host.txn_route(id);
    if (route.error != ErrorCode::None) return fail(route.error);
    const TransactionCoordinator& machine = *host.txn_machine(route.partition);
    if (machine.not_ready() != ErrorCode::None) return fail(machine.not_ready());
    const auto found = machine.entries().find(id);
    if (found == machine.entries().end() || found->second.pending == TxnState::Dead) {
        return fail(ErrorCode::TransactionalIdNotFound);
    }
    const coordinator::Transaction& txn = *found->second.txn;
    const bool decided = txn.state == TxnState::PrepareCommit || txn.state == TxnState::PrepareAbort;
    out.transaction_state = coordinator::txn_state_name(txn.state);
    out.transaction_timeout_ms = txn.timeout_ms;
    out.transaction_start_time_ms =
        decided || txn.state == TxnState::Ongoing ? txn.start.value : -1;
    out.producer_id = txn.producer_id.value;
    out.producer_epoch = txn.producer_epoch.value;
    // A partition leaves the list when its marker is written.
    for (const TopicPartition& partition : decided ? found->second.unmarked : txn.partitions) {
        if (out.topics.empty() || out.topics.back().topic != partition.topic) {
            out.topics.emplace_back().topic = partition.topic;
        }
        out.topics.back().partitions.push_back(partition.partition.value);
    }
}

struct Filters {
    std::vector<TxnState> states;
    bool any_state = true;
    std::vector<int64_t> producer_ids;
    int64_t duration_ms = -1;
    std::unique_ptr<RE2> pattern;
    int64_t now_ms = 0;

    bool pass(const std::string& id, const coordinator::Transaction& txn) const {
        const auto has = [](const auto& list, const auto& value) {
            return std::find(list.begin(), list.end(), value) != list.end();
        };
        if (!any_state && !has(states, txn.state)) return false;
        if (!producer_ids.empty() && !has(producer_ids, txn.producer_id.value)) return false;
        if (duration_ms >= 0 && now_ms - txn.start.value <= duration_ms) return false;
        return !pattern || RE2::FullMatch(id, *pattern);
    }
};

}  // namespace

void handle_describe_transactions(RequestContext&& context,
                                  wire::DescribeTransactionsRequest request,
                                  Reply<DescribeResponse> reply) {
    DescribeResponse response;
    for (const std::string& id : request.transactional_ids) {
        describe(context.shard().coordinators(), id, response.transaction_states.emplace_back());
    }
    reply.send(std::move(response));
}

void handle_list_transactions(RequestContext&& context, ListRequest request,
                              Reply<ListResponse> reply) {
    ListResponse response;
    Filters filters;
    filters.any_state = request.state_filters.empty();
    for (std::string& name : request.state_filters) {
        if (const auto state = coordinator::txn_state_from_name(name)) {
            filters.states.push_back(*state);
        } else {
            response.unknown_state_filters.push_back(std::move(name));
        }
    }
    filters.producer_ids = std::move(request.producer_id_filters);
    filters.duration_ms = request.duration_filter;
    filters.now_ms = context.shard().env().clock.wall().value;
    if (request.transactional_id_pattern && !request.transactional_id_pattern->empty()) {
        RE2::Options options(RE2::Quiet);
        options.set_max_mem(kPatternBytesMax);
        filters.pattern = std::make_unique<RE2>(*request.transactional_id_pattern, options);
        if (!filters.pattern->ok()) {
            response.error_code = code(ErrorCode::InvalidRegularExpression);
            return reply.send(std::move(response));
        }
    }
    for (const TransactionCoordinator* machine : context.shard().coordinators().txn_machines()) {
        if (machine->not_ready() == ErrorCode::CoordinatorLoadInProgress) {
            response = {};
            response.error_code = code(ErrorCode::CoordinatorLoadInProgress);
            return reply.send(std::move(response));
        }
        if (machine->not_ready() != ErrorCode::None) continue;
        for (const auto& [id, entry] : machine->entries()) {
            if (!filters.pass(id, *entry.txn)) continue;
            auto& out = response.transaction_states.emplace_back();
            out.transactional_id = id;
            out.producer_id = entry.txn->producer_id.value;
            out.transaction_state = coordinator::txn_state_name(entry.txn->state);
        }
    }
    reply.send(std::move(response));
}

void serve_describe_transactions(ServeCall&& call) {
    serve<wire::DescribeTransactionsRequest, DescribeResponse>(std::move(call),
                                                               handle_describe_transactions);
}
void serve_list_transactions(ServeCall&& call) {
    serve<ListRequest, ListResponse>(std::move(call), handle_list_transactions);
}

}  // namespace millrace::api
