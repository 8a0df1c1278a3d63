// include/millrace/wire/headers.h: request and response headers in the version their API wants.
//
// RequestHeader and ResponseHeader are generated messages; these functions know which header
// version goes with which API version, which no schema says. The client id has an i16 length even in
// the flexible header v2.
#pragma once

#include <cstdint>
#include <optional>

#include "millrace/wire/api_key.h"
#include "millrace/wire/gen/request_header.h"
#include "millrace/wire/gen/response_header.h"
#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::wire {

enum class HeaderError {
    None,
    UnknownApi,          // no such key, or one without any valid version
    UnsupportedVersion,  // key known, version outside its range; correlation id is decoded
    Malformed,
};

/// A decoded request header; `client_id` null is given as "" like Kafka does.
struct RequestHead {
    ApiKey api = ApiKey::ApiVersions;
    int16_t api_version = 0;
    int32_t correlation_id = 0;
    std::string client_id;
};

/// Leaves the Reader at the first byte of the body. For UnsupportedVersion the head is filled as
/// far as header v1 reaches, for an ApiVersions answer in v0 format; others close the connection.
HeaderError decode_request_head(Reader& reader, RequestHead& head);

void encode_request_head(Writer& writer, const RequestHead& head);
void encode_response_head(Writer& writer, ApiKey api, int16_t api_version, int32_t correlation_id);
/// The correlation id, or nothing when the bytes are no header.
std::optional<int32_t> decode_response_head(Reader& reader, ApiKey api, int16_t api_version);

}  // namespace millrace::wire
