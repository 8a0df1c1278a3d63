// src/api/api_table.cc: the table of served APIs, one row each, by ascending key.
//
// What is not here is not advertised and closes the connection. Versions come from the schemas.
#include <iterator>

#include "api/dispatch.h"

namespace millrace::api {

void serve_api_versions(ServeCall&&);

namespace {

using wire::ApiKey;

constexpr uint8_t kBroker = static_cast<uint8_t>(ListenerKind::Broker);
constexpr uint8_t kBoth = kBroker | static_cast<uint8_t>(ListenerKind::Controller);

constexpr ApiRow kRows[] = {
    {ApiKey::ApiVersions, kBoth, serve_api_versions},
};

constexpr bool keys_ascend() {
    for (size_t i = 1; i < std::size(kRows); ++i) {
        if (kRows[i - 1].key >= kRows[i].key) return false;
    }
    return true;
}
static_assert(keys_ascend(), "rows by ascending key, each key once");

}  // namespace

ApiTable api_table() { return {kRows, std::size(kRows)}; }

}  // namespace millrace::api
