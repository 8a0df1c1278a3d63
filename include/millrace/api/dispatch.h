// include/millrace/api/dispatch.h: from the bytes of a request to its row in the table of APIs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/api/request_context.h"
#include "millrace/base/bytes.h"
#include "millrace/wire/api_key.h"

namespace millrace::api {

/// A request on its way to its handler: `frame` without the size, `body_at` where the body starts.
struct ServeCall {
    RequestContext context;
    Buffer frame;
    size_t body_at = 0;
};
/// Decodes the body, calls the handler, encodes the answer (serve.h); closes on a bad body.
using ServeFunction = void (*)(ServeCall&&);

/// One row of api_table.cc. Versions and flexible ranges come from the schemas (wire::api_info).
struct ApiRow {
    wire::ApiKey key;
    uint8_t listeners;   // bits of ListenerKind
    ServeFunction serve;
    /// The handler keeps decoded bytes for long (group metadata): the request is copied first, so
    /// that a few bytes do not hold a receive slab.
    bool copy_frame = false;
};

struct ApiTable {
    const ApiRow* rows;
    size_t count;
    const ApiRow* begin() const { return rows; }
    const ApiRow* end() const { return rows + count; }
};
/// All served APIs by ascending key.
ApiTable api_table();

struct ParsedHead {
    const ApiRow* row = nullptr;       // null: close with `problem`
    int16_t api_key = -1;              // as on the wire
    int16_t version = -1;
    int32_t correlation_id = 0;
    std::string_view client_id;
    size_t body_at = 0;
    bool version_unknown = false;      // ApiVersions only: answered in v0 format (KIP-511)
    const char* problem = nullptr;
};

/// Reads a request's header and finds its row (dataplane.md A.1, "outcome of the first bytes").
ParsedHead parse_head(ByteView frame, ListenerKind listener);

/// "Produce" or "api 999", for logs.
std::string api_label(int16_t api_key, int16_t version);

/// The v0-format answer with error 35 to an ApiVersions version that is not known.
BufferChain unsupported_api_versions_answer(int32_t correlation_id);

}  // namespace millrace::api
