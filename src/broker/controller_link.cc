// src/broker/controller_link.cc: what both ends of a request to the active controller share.
#include "millrace/broker/controller_link.h"

#include <variant>

#include "millrace/wire/gen/default_principal_data.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::broker {

namespace {

constexpr int16_t kNotController = static_cast<int16_t>(ErrorCode::NotController);

template <class Entries>
bool first_says_so(const Entries& entries) {
    return !entries.empty() && entries.front().error_code == kNotController;
}

/// A refusal for want of leadership is uniform, except in AlterPartition, where one partition may
/// be ahead of this controller.
template <class Response>
bool says_so(const Response& response) {
    if constexpr (requires { response.error_code; }) {
        if (response.error_code == kNotController) return true;
    }
    if constexpr (std::is_same_v<Response, wire::AlterPartitionResponse>) {
        for (const auto& topic : response.topics) {
            for (const auto& partition : topic.partitions) {
                if (partition.error_code == kNotController) return true;
            }
        }
    } else if constexpr (requires { response.topics.front().error_code; }) {
        return first_says_so(response.topics);
    } else if constexpr (requires { response.responses.front().error_code; }) {
        return first_says_so(response.responses);
    } else if constexpr (requires { response.results.front().error_code; }) {
        return first_says_so(response.results);
    } else if constexpr (requires { response.filter_results.front().error_code; }) {
        return first_says_so(response.filter_results);
    } else if constexpr (requires { response.entries.front().error_code; }) {
        return first_says_so(response.entries);
    }
    return false;
}

}  // namespace

bool is_not_controller(const metadata::ControllerResponse& response) {
    return std::visit([](const auto& typed) { return says_so(typed); }, response);
}

Buffer encode_principal(const metadata::Requester& who) {
    const size_t colon = who.principal.find(':');
    wire::DefaultPrincipalData data;
    data.type = colon == std::string::npos ? "User" : who.principal.substr(0, colon);
    data.name = colon == std::string::npos ? "ANONYMOUS" : who.principal.substr(colon + 1);
    data.token_authenticated = who.token_authenticated;
    wire::Writer writer;
    writer.i16(0);
    data.encode(writer, 0);
    return writer.finish_flat();
}

std::optional<metadata::Requester> decode_principal(const Buffer& bytes) {
    wire::Reader reader(bytes);
    wire::DefaultPrincipalData data;
    if (reader.i16() != 0 || !data.decode(reader, 0)) return std::nullopt;
    metadata::Requester who;
    who.principal = data.type + ":" + data.name;
    who.token_authenticated = data.token_authenticated;
    who.forwarded = true;
    return who;
}

}  // namespace millrace::broker
