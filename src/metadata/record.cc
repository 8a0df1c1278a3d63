// src/metadata/record.cc: metadata records to and from their framed bytes.
#include "millrace/metadata/record.h"

#include <fmt/core.h>

#include <type_traits>

#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::metadata {

namespace {

constexpr uint32_t kFrameVersion = 1;

/// "PartitionChangeRecord" -> "PARTITION_CHANGE_RECORD", once per type.
template <class Body>
const char* dumper_name() {
    static const std::string name = [] {
        std::string upper;
        for (const char* c = Body::kName; *c != '\0'; ++c) {
            const bool capital = *c >= 'A' && *c <= 'Z';
            if (capital && !upper.empty()) upper += '_';
            upper += capital ? *c : static_cast<char>(*c - 'a' + 'A');
        }
        return upper;
    }();
    return name.c_str();
}

/// Finds the alternative with record type `type`; false when there is none.
template <size_t I = 0>
bool make_body(uint32_t type, RecordBody& body) {
    if constexpr (I < std::variant_size_v<RecordBody>) {
        using Body = std::variant_alternative_t<I, RecordBody>;
        if (type == static_cast<uint32_t>(Body::kRecordType)) {
            body.emplace<I>();
            return true;
        }
        return make_body<I + 1>(type, body);
    } else {
        return false;
    }
}

}  // namespace

const char* record_name(const Record& record) {
    return std::visit([](const auto& body) { return dumper_name<std::decay_t<decltype(body)>>(); },
                      record.body);
}

int16_t record_type(const Record& record) {
    return std::visit([](const auto& body) { return std::decay_t<decltype(body)>::kRecordType; },
                      record.body);
}

Result<Record> decode_record(ByteView value, Offset offset) {
    wire::Reader reader(value);
    const uint32_t frame = reader.uvarint();
    const uint32_t type = reader.uvarint();
    const uint32_t version = reader.uvarint();
    if (!reader.ok()) {
        return Status(Errc::Corrupt, fmt::format("metadata record at offset {}: {}", offset.value,
                                                 reader.error_text()));
    }
    if (frame != kFrameVersion) {
        return Status(Errc::Unsupported, fmt::format("metadata record at offset {}: unknown frame "
                                                     "version {}",
                                                     offset.value, frame));
    }
    Record record;
    if (!make_body(type, record.body)) {
        return Status(Errc::Unsupported,
                      fmt::format("metadata record at offset {}: unknown type {} (version {})",
                                  offset.value, type, version));
    }
    return std::visit(
        [&](auto& body) -> Result<Record> {
            using Body = std::decay_t<decltype(body)>;
            if (version > static_cast<uint32_t>(Body::kMaxVersion)) {
                return Status(
                    Errc::Unsupported,
                    fmt::format("metadata record at offset {}: {} (type {}) has version "
                                "{}, this node knows up to {}",
                                offset.value, Body::kName, type, version, Body::kMaxVersion));
            }
            record.version = static_cast<int16_t>(version);
            if (!body.decode(reader, record.version) || !reader.ok()) {
                return Status(Errc::Corrupt,
                              fmt::format("metadata record at offset {}: {} version {}: {}",
                                          offset.value, Body::kName, version, reader.error_text()));
            }
            if (reader.remaining() != 0) {
                return Status(Errc::Corrupt,
                              fmt::format("metadata record at offset {}: {} version {}: {} bytes "
                                          "left over",
                                          offset.value, Body::kName, version, reader.remaining()));
            }
            return std::move(record);
        },
        record.body);
}

Buffer encode_record(const Record& record) {
    return std::visit(
        [&](const auto& body) {
            using Body = std::decay_t<decltype(body)>;
            MILLRACE_ASSERT(
                record.version >= Body::kMinVersion && record.version <= Body::kMaxVersion,
                "a record version its type has");
            wire::Writer writer;
            writer.uvarint(kFrameVersion);
            writer.uvarint(static_cast<uint32_t>(Body::kRecordType));
            writer.uvarint(static_cast<uint32_t>(record.version));
            body.encode(writer, record.version);
            return writer.finish_flat();
        },
        record.body);
}

}  // namespace millrace::metadata
