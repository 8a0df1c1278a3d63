// src/api/controller_call.h: sends a typed request to the active controller and types its answer.
#pragma once

#include <utility>
#include <variant>

#include "millrace/api/request_context.h"
#include "millrace/base/reply.h"
#include "millrace/broker/controller_link.h"
#include "millrace/broker/shard.h"

namespace millrace::api {

inline metadata::Requester requester_of(const RequestContext& context) {
    metadata::Requester who;
    who.principal = context.connection->principal;
    who.client_host = context.connection->peer_host;
    return who;
}

template <class Response, class Request>
void call_controller(broker::Shard& shard, Request request, metadata::Requester who,
                     Reply<Response> reply) {
    shard.controller().run(
        metadata::ControllerRequest(std::move(request)), std::move(who),
        Reply<metadata::ControllerResponse>(
            [reply = std::move(reply)](metadata::ControllerResponse response) mutable {
                Response* typed = std::get_if<Response>(&response);
                MILLRACE_ASSERT(typed != nullptr, "the controller answers in kind");
                reply.send(std::move(*typed));
            }));
}

}  // namespace millrace::api
