// src/broker/controller_link.cc: what both ends of a request to the active controller share.
#include "millrace/broker/controller_link.h"

#include <algorithm>
#include <array>
#include <string_view>
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

/// Dotted decimal; false when it is anything else.
bool parse_v4(std::string_view text, uint8_t* out) {
    for (int i = 0; i < 4; ++i) {
        int value = -1;
        while (!text.empty() && text.front() >= '0' && text.front() <= '9' && value <= 255) {
            value = (value < 0 ? 0 : value * 10) + (text.front() - '0');
            text.remove_prefix(1);
        }
        if (value < 0 || value > 255) return false;
        out[i] = static_cast<uint8_t>(value);
        if (i < 3) {
            if (text.empty() || text.front() != '.') return false;
            text.remove_prefix(1);
        }
    }
    return text.empty();
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// RFC 4291's text form, with one "::", a dotted tail and a zone (which is dropped).
bool parse_v6(std::string_view text, uint8_t* out) {
    text = text.substr(0, text.find('%'));
    std::array<uint8_t, 16> bytes{};
    size_t filled = 0;
    std::optional<size_t> gap;
    while (!text.empty()) {
        if (text.starts_with("::") && !gap.has_value()) {
            gap = filled;
            text.remove_prefix(2);
            continue;
        }
        if (filled > 0 && gap != filled) {
            if (text.front() != ':') return false;
            text.remove_prefix(1);
        }
        if (filled <= 12 && text.find('.') < text.find(':') && parse_v4(text, &bytes[filled])) {
            filled += 4;
            break;
        }
        int value = 0;
        int digits = 0;
        while (!text.empty() && hex_digit(text.front()) >= 0) {
            value = value * 16 + hex_digit(text.front());
            text.remove_prefix(1);
            if (++digits > 4) return false;
        }
        if (digits == 0 || filled + 2 > bytes.size()) return false;
        bytes[filled++] = static_cast<uint8_t>(value >> 8);
        bytes[filled++] = static_cast<uint8_t>(value & 0xff);
    }
    if (gap.has_value() == (filled == bytes.size())) return false;
    const size_t front = gap.value_or(filled);
    std::fill(out, out + bytes.size(), uint8_t{0});
    std::copy_n(bytes.begin(), front, out);
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(front),
              bytes.begin() + static_cast<std::ptrdiff_t>(filled),
              out + bytes.size() - (filled - front));
    return true;
}

}  // namespace

Buffer encode_client_host(const std::string& host) {
    std::array<uint8_t, 16> bytes{};
    if (parse_v6(host, bytes.data())) return Buffer::copy_of(ByteView(bytes.data(), 16));
    if (!parse_v4(host, bytes.data())) bytes = {127, 0, 0, 1};
    return Buffer::copy_of(ByteView(bytes.data(), 4));
}

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
