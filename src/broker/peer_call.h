// src/broker/peer_call.h: a typed request to another node and its typed answer.
//
// Header and body in one version, one frame out, one decoded message or a failure back. Versions
// are the newest that both this node and Kafka 4.3 speak; the replica fetcher must not negotiate
// (kraft.md 3.5) and the quorum's nodes are of one release.
#pragma once

#include <string>
#include <utility>

#include "millrace/base/bytes.h"
#include "millrace/base/move_function.h"
#include "millrace/base/result.h"
#include "millrace/env/peers.h"
#include "millrace/wire/headers.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::broker {

struct PeerCallHead {
    int16_t version = 0;
    int32_t correlation_id = 0;
    std::string client_id;
};

template <class Request>
BufferChain encode_call(const PeerCallHead& head, const Request& request) {
    wire::Writer writer;
    wire::encode_request_head(writer, {static_cast<wire::ApiKey>(Request::kApiKey), head.version,
                                       head.correlation_id, head.client_id});
    request.encode(writer, head.version);
    MILLRACE_ASSERT(writer.ok(), "a request made here fits its version");
    return writer.finish();
}

template <class Response>
Result<Response> decode_answer(const Buffer& frame, int16_t version) {
    wire::Reader reader(frame);
    const auto key = static_cast<wire::ApiKey>(Response::kApiKey);
    Response response;
    if (!wire::decode_response_head(reader, key, version).has_value() ||
        !response.decode(reader, version)) {
        return {Errc::Corrupt, std::string(Response::kName) + ": " + reader.error_text()};
    }
    return response;
}

template <class Response, class Request>
void call_peer(env::Peers& peers, const env::PeerAddress& to, const PeerCallHead& head,
               const Request& request, Duration timeout,
               MoveFunction<void(Result<Response>)> done) {
    peers.send(to, encode_call(head, request), timeout,
               [done = std::move(done), version = head.version](Result<Buffer> frame) mutable {
                   if (!frame.ok()) return done(frame.status());
                   done(decode_answer<Response>(*frame, version));
               });
}

}  // namespace millrace::broker
