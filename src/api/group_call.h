// src/api/group_call.h: from a handler to the group's machine, and many groups to one answer.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/lookup.h"
#include "millrace/api/request_context.h"
#include "millrace/base/reply.h"
#include "millrace/broker/coordinator_host.h"

namespace millrace::api {

/// Whether the feature group.version and group.coordinator.rebalance.protocols let consumer groups be.
bool serves_consumer_groups(RequestContext& context);

/// Runs `request` on the machine of `group`. When there is none here the answer is the error in
/// the response's own shape. `done` is dropped, not called, by a node that goes away.
void run_group(RequestContext& context, const std::string& group, coordinator::GroupRequest request,
               MoveFunction<void(coordinator::GroupResponse)> done);

/// Runs `request` on the machine of one partition of __consumer_offsets.
void run_on_partition(RequestContext& context, PartitionIndex partition,
                      coordinator::GroupRequest request,
                      MoveFunction<void(coordinator::GroupResponse)> done);

/// Like run_group, for requests about one group whose answer is sent as it comes.
template <class Response>
void forward_to_group(RequestContext& context, const std::string& group,
                      coordinator::GroupRequest request, Reply<Response> reply) {
    struct Waiting {
        Reply<Response> reply;
        ~Waiting() { reply.abandon(); }
    };
    auto waiting = std::make_shared<Waiting>();
    waiting->reply = std::move(reply);
    run_group(context, group, std::move(request), [waiting](coordinator::GroupResponse response) {
        waiting->reply.send(std::get<Response>(std::move(response)));
    });
}

/// Collects the answers to several questions, in the order of the questions, then finishes.
template <class Part, class Response>
struct Gather {
    std::vector<Part> parts;
    size_t missing = 0;
    Reply<Response> reply;
    MoveFunction<Response(std::vector<Part>)> finish;

    ~Gather() { reply.abandon(); }
    void put(size_t place, Part part) {
        parts[place] = std::move(part);
        if (--missing == 0) reply.send(finish(std::move(parts)));
    }
};
/// With nothing to ask the answer is finished at once.
template <class Part, class Response>
std::shared_ptr<Gather<Part, Response>> gather(size_t count, Reply<Response> reply,
                                               MoveFunction<Response(std::vector<Part>)> finish) {
    auto result = std::make_shared<Gather<Part, Response>>();
    result->parts.resize(count);
    result->missing = count;
    result->reply = std::move(reply);
    result->finish = std::move(finish);
    if (count == 0) result->reply.send(result->finish({}));
    return result;
}

}  // namespace millrace::api
