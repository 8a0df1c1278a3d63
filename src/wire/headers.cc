// src/wire/headers.cc: header versions by API.
#include "millrace/wire/headers.h"

#include <utility>

namespace millrace::wire {

HeaderError decode_request_head(Reader& reader, RequestHead& head) {
    const int16_t key = reader.i16();
    head.api_version = reader.i16();
    head.correlation_id = reader.i32();
    if (!reader.ok()) return HeaderError::Malformed;
    const std::optional<ApiKey> api = api_key_from(key);
    if (!api.has_value()) return HeaderError::UnknownApi;
    head.api = *api;
    // Kafka picks the header version from the API version as is, so a version above the known ones
    // still has a flexible header.
    const bool flexible = request_header_version(head.api, head.api_version) >= 2;
    std::optional<std::string> client_id = reader.nullable_string(false);
    head.client_id = std::move(client_id).value_or(std::string());
    UnknownTags tags;
    if (flexible) reader.unknown_tags(tags);
    if (!api_info(head.api).serves(head.api_version)) return HeaderError::UnsupportedVersion;
    return reader.ok() ? HeaderError::None : HeaderError::Malformed;
}

void encode_request_head(Writer& writer, const RequestHead& head) {
    writer.i16(static_cast<int16_t>(head.api));
    writer.i16(head.api_version);
    writer.i32(head.correlation_id);
    writer.string(head.client_id, false);
    if (request_header_version(head.api, head.api_version) >= 2) writer.uvarint(0);
}

void encode_response_head(Writer& writer, ApiKey api, int16_t api_version,
                          int32_t correlation_id) {
    writer.i32(correlation_id);
    if (response_header_version(api, api_version) >= 1) writer.uvarint(0);
}

std::optional<int32_t> decode_response_head(Reader& reader, ApiKey api, int16_t api_version) {
    const int32_t correlation_id = reader.i32();
    UnknownTags tags;
    if (response_header_version(api, api_version) >= 1) reader.unknown_tags(tags);
    if (!reader.ok()) return std::nullopt;
    return correlation_id;
}

}  // namespace millrace::wire
