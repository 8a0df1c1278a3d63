// src/api/dispatch.cc: from the bytes of a request to its row in the table of APIs.
#include "millrace/api/dispatch.h"

#include <array>
#include <limits>

#include "millrace/base/assert.h"
#include "millrace/wire/reader.h"

namespace millrace::api {
namespace {

// Keys are dense and small; 92 is the highest of 4.3.1.
constexpr size_t kKeysMax = 128;

struct IndexEntry {
    const ApiRow* row = nullptr;
    int16_t version_min = 0;
    int16_t version_max = 0;
    int16_t flexible_from = std::numeric_limits<int16_t>::max();
    bool known = false;  // to the protocol
};
using Index = std::array<IndexEntry, kKeysMax>;

Index make_index() {
    Index index;
    for (const wire::ApiInfo& info : wire::api_rows()) {
        IndexEntry& entry = index[static_cast<size_t>(info.key)];
        entry.version_min = info.version_min;
        entry.version_max = info.version_max_stable();
        entry.flexible_from = info.request_flexible_from;
        entry.known = true;
    }
    for (const ApiRow& row : api_table()) index[static_cast<size_t>(row.key)].row = &row;
    return index;
}

const Index& api_index() {
    static const Index index = make_index();
    return index;
}

const char* why_not_served(const IndexEntry& entry, ListenerKind listener) {
    if (!entry.known) return "unknown API";
    if (entry.row == nullptr) return "this API is not served";
    if ((entry.row->listeners & static_cast<uint8_t>(listener)) == 0) {
        return "this API is not served on this listener";
    }
    return nullptr;
}

}  // namespace

ParsedHead parse_head(ByteView frame, ListenerKind listener) {
    ParsedHead head;
    wire::Reader reader(frame);
    head.api_key = reader.i16();
    head.version = reader.i16();
    head.correlation_id = reader.i32();
    if (!reader.ok()) {
        head.problem = "too short for a request header";
        return head;
    }
    const bool in_range = head.api_key >= 0 && static_cast<size_t>(head.api_key) < kKeysMax;
    static const IndexEntry kUnknown;
    const IndexEntry& entry =
        in_range ? api_index()[static_cast<size_t>(head.api_key)] : kUnknown;
    head.problem = why_not_served(entry, listener);
    if (head.problem != nullptr) return head;

    if (head.version < entry.version_min || head.version > entry.version_max) {
        if (entry.row->key != wire::ApiKey::ApiVersions) {
            head.problem = "unsupported version";
            return head;
        }
        head.version_unknown = true;
    }
    const int16_t length = reader.i16();
    if (length > 0) {
        const size_t at = reader.position();
        reader.skip(static_cast<size_t>(length));
        if (reader.ok()) head.client_id = frame.sub(at, static_cast<size_t>(length)).text();
    } else if (length < -1) {
        reader.fail("negative length of the client id");
    }
    // The header of an unknown ApiVersions version is read as v2, whatever the number is.
    if (head.version >= entry.flexible_from || head.version_unknown) {
        wire::UnknownTags tags;
        reader.unknown_tags(tags);
    }
    if (!reader.ok()) {
        head.problem = "malformed request header";
        return head;
    }
    head.body_at = reader.position();
    head.row = entry.row;
    return head;
}

std::string api_label(int16_t api_key, int16_t version) {
    const auto key = wire::api_key_from(api_key);
    const std::string name =
        key.has_value() ? std::string(wire::api_name(*key)) : "api " + std::to_string(api_key);
    return name + " v" + std::to_string(version);
}

}  // namespace millrace::api
