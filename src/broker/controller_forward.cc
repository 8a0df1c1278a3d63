// src/broker/controller_forward.cc: requests of this node and its clients to a controller elsewhere.
#include <array>
#include <utility>
#include <variant>

#include "broker/controller_host.h"
#include "broker/peer_call.h"
#include "millrace/base/log.h"
#include "millrace/env/clock.h"
#include "millrace/wire/gen/envelope_request.h"
#include "millrace/wire/gen/envelope_response.h"

namespace millrace::broker {

namespace {

constexpr LogChannel kLog{"controller"};
/// Kafka waits 60 s for a leader; its clients have given up after 30.
constexpr Duration kForwardTime = seconds(30);
constexpr Duration kOwnRequestTime = seconds(10);
constexpr int32_t kInnerCorrelation = 0;

/// A broker's or controller's own request goes as it is; everything else is a client's.
template <class Request>
constexpr env::PeerPurpose purpose_of() {
    if constexpr (std::is_same_v<Request, wire::BrokerRegistrationRequest> ||
                  std::is_same_v<Request, wire::BrokerHeartbeatRequest> ||
                  std::is_same_v<Request, wire::ControllerRegistrationRequest>) {
        return env::PeerPurpose::Heartbeat;
    } else if constexpr (std::is_same_v<Request, wire::AlterPartitionRequest>) {
        return env::PeerPurpose::AlterPartition;
    } else if constexpr (std::is_same_v<Request, wire::AssignReplicasToDirsRequest>) {
        return env::PeerPurpose::Directories;
    } else {
        return env::PeerPurpose::Forward;
    }
}
template <class Request>
constexpr bool is_own() {
    return purpose_of<Request>() != env::PeerPurpose::Forward ||
           std::is_same_v<Request, wire::AllocateProducerIdsRequest>;
}

template <class Message>
int16_t newest_version() {
    return wire::api_info(static_cast<wire::ApiKey>(Message::kApiKey)).version_max_stable();
}

template <class Response>
Result<metadata::ControllerResponse> decode(const Buffer& frame, int16_t version) {
    MILLRACE_TRY_ASSIGN(Response typed, decode_answer<Response>(frame, version));
    return metadata::ControllerResponse(std::move(typed));
}

/// The response type that belongs to alternative I of the request.
template <size_t I>
using ResponseAt = std::variant_alternative_t<I, metadata::ControllerResponse>;

using DecodeFunction = Result<metadata::ControllerResponse> (*)(const Buffer&, int16_t);
template <size_t... I>
constexpr std::array<DecodeFunction, sizeof...(I)> decoders(std::index_sequence<I...>) {
    return {decode<ResponseAt<I>>...};
}
constexpr auto kDecoders = decoders(
    std::make_index_sequence<std::variant_size_v<metadata::ControllerResponse>>());

bool has_data(const Result<wire::EnvelopeResponse>& answer) {
    return answer.ok() && answer->error_code == 0 && answer->response_data.has_value();
}
/// Asking again, or another node, would not help.
bool refused_for_good(const Result<wire::EnvelopeResponse>& answer) {
    if (!answer.ok() || answer->error_code == 0) return false;
    const auto error = static_cast<ErrorCode>(answer->error_code);
    if (error == ErrorCode::NotController) return false;
    log_warn(kLog, "the active controller refuses a forwarded request: {}",
             error_code_name(error));
    return true;
}

Buffer flat(BufferChain chain) {
    const Result<Buffer> bytes = chain.flatten();
    MILLRACE_ASSERT(bytes.ok(), "memory can be copied");
    return *bytes;
}

}  // namespace

Duration ControllerHost::time_for(const metadata::ControllerRequest& request) const {
    return std::visit(
        [this](const auto& typed) -> Duration {
            using Request = std::decay_t<decltype(typed)>;
            if constexpr (std::is_same_v<Request, wire::BrokerHeartbeatRequest>) {
                return settings_.heartbeat_time;
            }
            return is_own<Request>() ? kOwnRequestTime : kForwardTime;
        },
        request);
}

void ControllerHost::run_there(metadata::ControllerRequest request, metadata::Requester who,
                               Reply<metadata::ControllerResponse> reply) {
    const Duration time = time_for(request);
    struct Shared {
        metadata::ControllerRequest request;
        metadata::Requester who;
        Reply<metadata::ControllerResponse> reply;
    };
    auto shared = std::make_shared<Shared>(
        Shared{std::move(request), std::move(who), std::move(reply)});
    const size_t index = shared->request.index();
    RemoteController::Call call;
    call.deadline = env_.clock.now() + time;
    const int16_t version = std::visit(
        [&](const auto& typed) {
            using Request = std::decay_t<decltype(typed)>;
            call.purpose = purpose_of<Request>();
            return newest_version<Request>();
        },
        shared->request);
    call.give_up = [this, shared] {
        run_here(std::move(shared->request), std::move(shared->who), std::move(shared->reply));
    };
    const auto accept = [shared, index, version](const Buffer& frame) {
        auto response = kDecoders[index](frame, version);
        if (!response.ok()) {
            log_warn(kLog, "the controller's answer does not parse: {}",
                     response.status().message());
            return false;
        }
        if (is_not_controller(*response)) return false;
        shared->reply.send(*std::move(response));
        return true;
    };
    std::visit(
        [&](const auto& typed) {
            using Request = std::decay_t<decltype(typed)>;
            if constexpr (is_own<Request>()) {
                call.encode = [this, shared, version](int32_t correlation) {
                    return encode_call({version, correlation, settings_.client_id},
                                       std::get<Request>(shared->request));
                };
                call.on_frame = accept;
                remote_.start(std::move(call));
            } else {
                wire::EnvelopeRequest envelope;
                envelope.request_data =
                    flat(encode_call({version, kInnerCorrelation, settings_.client_id}, typed));
                envelope.request_principal = encode_principal(shared->who);
                envelope.client_host_address = encode_client_host(shared->who.client_host);
                call.encode = [this, envelope](int32_t correlation) {
                    return encode_call({0, correlation, settings_.client_id}, envelope);
                };
                call.on_frame = [this, shared, accept](const Buffer& frame) {
                    const auto answer = decode_answer<wire::EnvelopeResponse>(frame, 0);
                    if (refused_for_good(answer)) {
                        run_here(std::move(shared->request), std::move(shared->who),
                                 std::move(shared->reply));
                        return true;
                    }
                    return has_data(answer) && accept(*answer->response_data);
                };
                remote_.start(std::move(call));
            }
        },
        shared->request);
}

void ControllerHost::forward(Buffer request, metadata::Requester who,
                             Reply<Result<Buffer>> reply) {
    wire::EnvelopeRequest envelope;
    envelope.request_data = std::move(request);
    envelope.request_principal = encode_principal(who);
    envelope.client_host_address = encode_client_host(who.client_host);
    auto shared = std::make_shared<Reply<Result<Buffer>>>(std::move(reply));
    RemoteController::Call call;
    call.deadline = env_.clock.now() + kForwardTime;
    call.encode = [this, envelope](int32_t correlation) {
        return encode_call({0, correlation, settings_.client_id}, envelope);
    };
    call.on_frame = [shared](const Buffer& frame) {
        const auto answer = decode_answer<wire::EnvelopeResponse>(frame, 0);
        if (refused_for_good(answer)) {
            shared->send(Status(Errc::Unsupported, "the controller refused the request"));
            return true;
        }
        if (!has_data(answer)) return false;
        shared->send(*answer->response_data);
        return true;
    };
    call.give_up = [shared] {
        shared->send(Status(Errc::Disconnected, "no active controller answered"));
    };
    remote_.start(std::move(call));
}

}  // namespace millrace::broker
