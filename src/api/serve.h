// src/api/serve.h: the template between a row of the table and a handler with typed messages.
//
// Each handler file ends with one line per API:
//     void serve_foo(ServeCall&& call) {
//         serve<wire::FooRequest, wire::FooResponse>(std::move(call), handle_foo);
//     }
// and api_table.cc names serve_foo. Decoded bytes and records are slices of the frame; records in
// the response are sent by reference.
#pragma once

#include <string_view>
#include <utility>

#include "millrace/api/dispatch.h"
#include "millrace/base/reply.h"
#include "millrace/wire/headers.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::api {

template <class Request, class Response>
using Handler = void (*)(RequestContext&&, Request, Reply<Response>);

/// What is needed to encode an answer when the request itself is gone.
struct AnswerHead {
    int32_t correlation_id;
    wire::ApiKey key;
    int16_t version;
};

template <class Response>
void answer_request(const AnswerSlot& slot, const AnswerHead& head, const Response& response) {
    if (!slot.pending()) return;  // acks=0, or closed meanwhile
    wire::Writer writer;
    writer.begin_frame();
    wire::encode_response_head(writer, head.key, head.version, head.correlation_id);
    response.encode(writer, head.version);
    BufferChain frame = writer.finish_frame();
    if (writer.ok()) {
        slot.answer(std::move(frame));
    } else {
        slot.close(std::string("the answer cannot be encoded: ") + writer.error());
    }
}

template <class Request, class Response>
void serve(ServeCall&& call, Handler<Request, Response> handler) {
    RequestContext& context = call.context;
    wire::Reader reader(call.frame.slice(call.body_at, call.frame.size() - call.body_at));
    Request request;
    // Bytes behind a complete body are ignored, as Kafka does.
    if (!request.decode(reader, context.version)) {
        context.slot.close("the body does not parse: " + reader.error_text());
        return;
    }
    const AnswerHead head{context.correlation_id, context.api_key, context.version};
    Reply<Response> reply([slot = context.slot, head](Response response) {
        answer_request(slot, head, response);
    });
    handler(std::move(context), std::move(request), std::move(reply));
}

}  // namespace millrace::api
