// src/wire/api_key.cc: the table of APIs.
#include "millrace/wire/api_key.h"

#include <algorithm>
#include <iterator>

#include "millrace/base/assert.h"

namespace millrace::wire {
namespace {

constexpr ApiInfo kRows[] = {
#include "millrace/wire/gen/api_rows.inc"
};

const ApiInfo* find_row(int16_t number) {
    const ApiInfo* row = std::lower_bound(
        std::begin(kRows), std::end(kRows), number,
        [](const ApiInfo& info, int16_t n) { return static_cast<int16_t>(info.key) < n; });
    if (row == std::end(kRows) || static_cast<int16_t>(row->key) != number) return nullptr;
    return row;
}

}  // namespace

ApiRows api_rows() { return {std::begin(kRows), std::size(kRows)}; }

std::optional<ApiKey> api_key_from(int16_t number) {
    const ApiInfo* row = find_row(number);
    if (row == nullptr) return std::nullopt;
    return row->key;
}

const ApiInfo& api_info(ApiKey key) {
    const ApiInfo* row = find_row(static_cast<int16_t>(key));
    MILLRACE_ASSERT(row != nullptr, "every ApiKey has a row");
    return *row;
}

const char* api_name(ApiKey key) { return api_info(key).name; }

int16_t request_header_version(ApiKey key, int16_t version) {
    return version >= api_info(key).request_flexible_from ? 2 : 1;
}

int16_t response_header_version(ApiKey key, int16_t version) {
    if (key == ApiKey::ApiVersions) return 0;
    return version >= api_info(key).response_flexible_from ? 1 : 0;
}

}  // namespace millrace::wire
