// tools/cli/record_json.cc: records of Kafka's internal topics, read by their layouts.
//
// Source: DumpLogSegments' parsers and the generated JSON converters: a field stands in the JSON
// when the record's bytes hold it, in the order of the schema.
#include "cli/record_json.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/output.h"
#include "millrace/base/assert.h"
#include "millrace/wire/reader.h"

namespace millrace::cli {
namespace {

enum class FieldType : uint8_t {
    Bool, Int8, Int16, Uint16, Int32, Int64, Float64, Uuid, String, Bytes, Struct
};
struct Versions {
    int low;
    int high;
    bool has(int version) const { return low <= version && version <= high; }
};
struct RecordField {
    const char* name;
    FieldType type;
    bool array;
    Versions versions;
    Versions null;
    int tag;
    bool classic;  // never in compact form
    size_t first;  // of a struct's fields
    size_t count;
};
struct RecordLayout {
    const char* name;
    int key;
    Versions versions;
    Versions flexible;
    size_t first;
    size_t count;
};
#include "millrace/wire/gen/record_fields.inc"

constexpr int kFrameVersion = 1;
constexpr int kMetadataVersionMax = 32767;

const RecordLayout* layout_of(std::string_view name) {
    const auto* found = std::find_if(std::begin(kRecordLayouts), std::end(kRecordLayouts),
                                     [&](const RecordLayout& l) { return l.name == name; });
    return found == std::end(kRecordLayouts) ? nullptr : found;
}

/// The topics' record types are numbered each from 0.
RecordDecoder topic_of(std::string_view name) {
    if (name.starts_with("TransactionLog")) return RecordDecoder::Transactions;
    if (name.starts_with("ShareSnapshot") || name.starts_with("ShareUpdate")) {
        return RecordDecoder::ShareState;
    }
    if (name.ends_with("Key") || name.ends_with("Value")) return RecordDecoder::Offsets;
    return RecordDecoder::Metadata;
}

const RecordLayout* layout_of(RecordDecoder decoder, int key, std::string_view suffix) {
    for (const RecordLayout& layout : kRecordLayouts) {
        const std::string_view name = layout.name;
        if (layout.key == key && topic_of(name) == decoder && name.ends_with(suffix)) {
            return &layout;
        }
    }
    return nullptr;
}

JacksonValue null_value() {
    JacksonValue value;
    value.kind = JacksonValue::Kind::Null;
    return value;
}
JacksonValue text_value(std::string text) {
    JacksonValue value;
    value.kind = JacksonValue::Kind::Text;
    value.text = std::move(text);
    return value;
}
JacksonValue number_value(std::string digits) {
    JacksonValue value;
    value.kind = JacksonValue::Kind::BigInt;
    value.text = std::move(digits);
    return value;
}
JacksonValue object_value() {
    JacksonValue value;
    value.kind = JacksonValue::Kind::Object;
    return value;
}

class LayoutReader {
  public:
    LayoutReader(const RecordLayout& layout, int version, wire::Reader& reader)
        : reader_(reader), version_(version), flexible_(layout.flexible.has(version)) {}

    JacksonValue fields(size_t first, size_t count) {
        std::vector<std::optional<JacksonValue>> values(count);
        for (size_t i = 0; i < count && reader_.ok(); ++i) {
            const RecordField& field = kRecordFields[first + i];
            if (field.tag < 0 && field.versions.has(version_)) values[i] = value_of(field);
        }
        if (flexible_) tags(first, values);
        JacksonValue object = object_value();
        for (size_t i = 0; i < count; ++i) {
            if (values[i]) {
                object.members.emplace_back(kRecordFields[first + i].name, std::move(*values[i]));
            }
        }
        return object;
    }

  private:
    void tags(size_t first, std::vector<std::optional<JacksonValue>>& values) {
        for (wire::TagCursor cursor = reader_.begin_tags(); reader_.next_tag(cursor);) {
            size_t i = 0;
            while (i < values.size() &&
                   kRecordFields[first + i].tag != static_cast<int>(cursor.tag)) {
                ++i;
            }
            if (i < values.size()) {
                values[i] = value_of(kRecordFields[first + i]);
            } else {
                wire::UnknownTags unknown;
                reader_.keep_tag(cursor, unknown);
            }
        }
    }

    JacksonValue value_of(const RecordField& field) {
        const bool compact = flexible_ && !field.classic;
        const bool null_allowed = field.null.has(version_);
        if (!field.array) return single(field, compact, null_allowed);
        const int32_t count = reader_.array_count(compact, 1, sizeof(JacksonValue));
        if (count < 0) {
            if (!null_allowed) reader_.fail("null array where none is allowed");
            return null_value();
        }
        JacksonValue array;
        array.kind = JacksonValue::Kind::Array;
        for (int32_t i = 0; i < count && reader_.ok(); ++i) {
            array.elements.push_back(single(field, compact, false));
        }
        return array;
    }

    JacksonValue single(const RecordField& field, bool compact, bool null_allowed) {
        switch (field.type) {
            case FieldType::Bool: {
                JacksonValue value;
                value.kind = JacksonValue::Kind::Bool;
                value.truth = reader_.boolean();
                return value;
            }
            case FieldType::Int8: return number_value(std::to_string(reader_.i8()));
            case FieldType::Int16: return number_value(std::to_string(reader_.i16()));
            case FieldType::Uint16: return number_value(std::to_string(reader_.u16()));
            case FieldType::Int32: return number_value(std::to_string(reader_.i32()));
            case FieldType::Int64: return number_value(std::to_string(reader_.i64()));
            case FieldType::Float64: return number_value(java_double(reader_.f64()));
            case FieldType::Uuid: return text_value(reader_.uuid().to_string());
            case FieldType::String: {
                std::optional<std::string> text = reader_.nullable_string(compact);
                if (std::string_view(field.name) == "protocolType") consumer_ = text == "consumer";
                return optional_text(std::move(text), null_allowed);
            }
            case FieldType::Bytes: return bytes(field.name, compact, null_allowed);
            case FieldType::Struct: return structure(field, null_allowed);
        }
        MILLRACE_UNREACHABLE("every type is read");
    }

    /// In base64; what consumers of a classic group say of themselves is opened where it can be.
    JacksonValue bytes(std::string_view name, bool compact, bool null_allowed) {
        const std::optional<Buffer> raw = reader_.nullable_bytes(compact);
        if (!raw) return optional_text(std::nullopt, null_allowed);
        const RecordLayout* inner = nullptr;
        if (consumer_ && name == "subscription") inner = layout_of("ConsumerProtocolSubscription");
        if (consumer_ && name == "assignment") inner = layout_of("ConsumerProtocolAssignment");
        if (inner != nullptr) {
            wire::Reader reader(raw->view());
            const int version = reader.i16();
            if (reader.ok() && inner->versions.has(version)) {
                JacksonValue value =
                    LayoutReader(*inner, version, reader).fields(inner->first, inner->count);
                if (reader.ok()) return value;
            }
        }
        return text_value(base64(raw->view().text()));
    }

    JacksonValue structure(const RecordField& field, bool null_allowed) {
        const bool present = !null_allowed || (field.tag >= 0 ? reader_.tagged_struct_present()
                                                              : reader_.struct_present());
        return present ? fields(field.first, field.count) : null_value();
    }

    JacksonValue optional_text(std::optional<std::string> text, bool null_allowed) {
        if (text) return text_value(std::move(*text));
        if (!null_allowed) reader_.fail("null where none is allowed");
        return null_value();
    }

    wire::Reader& reader_;
    int version_;
    bool flexible_;
    bool consumer_ = false;  // the record is of a group with protocol type "consumer"
};

std::optional<JacksonValue> read_layout(const RecordLayout& layout, int version,
                                        wire::Reader& reader) {
    JacksonValue value = LayoutReader(layout, version, reader).fields(layout.first, layout.count);
    return reader.ok() ? std::optional(std::move(value)) : std::nullopt;
}

JacksonValue wrapped(const char* name, JacksonValue word, JacksonValue data) {
    JacksonValue object = object_value();
    object.members.emplace_back(name, std::move(word));
    object.members.emplace_back("data", std::move(data));
    return object;
}

DecodedRecord skipped(int64_t offset, const std::string& why) {
    return {fmt::format("Error at offset {}, skipping. {}", offset, why), std::nullopt};
}

DecodedRecord decode_coordinator(RecordDecoder decoder, int64_t offset, const ByteView& key,
                                 const std::optional<ByteView>& value) {
    wire::Reader key_reader(key);
    const int type = key_reader.i16();
    if (!key_reader.ok()) return skipped(offset, "Could not read version from key's buffer.");
    const RecordLayout* key_layout = layout_of(decoder, type, "Key");
    if (key_layout == nullptr) {
        return {fmt::format("Unknown record type {} at offset {}, skipping.", type, offset),
                std::nullopt};
    }
    const auto key_json = read_layout(*key_layout, 0, key_reader);
    if (!key_json) return skipped(offset, "key: " + key_reader.error_text());
    DecodedRecord result;
    result.key = wrapped("type", text_value(std::to_string(type)), *key_json).to_string();
    if (!value) {
        result.payload = "<DELETE>";
        return result;
    }
    const RecordLayout* layout = layout_of(decoder, type, "Value");
    wire::Reader reader(*value);
    const int version = reader.i16();
    if (!reader.ok()) return skipped(offset, "Could not read version from value's buffer.");
    if (layout == nullptr || !layout->versions.has(version)) {
        return skipped(offset,
                       fmt::format("Found an unknown record version {} for {} type", version, type));
    }
    auto json = read_layout(*layout, version, reader);
    if (!json) return skipped(offset, "value: " + reader.error_text());
    result.payload =
        wrapped("version", text_value(std::to_string(version)), std::move(*json)).to_string();
    return result;
}

/// PartitionRecord to PARTITION_RECORD.
std::string enum_name(std::string_view name) {
    std::string text;
    for (const char c : name) {
        if (c >= 'A' && c <= 'Z' && !text.empty()) text += '_';
        text += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return text;
}

DecodedRecord decode_metadata(int64_t offset, const std::optional<ByteView>& value) {
    const auto skip = [&](const std::string& why) {
        return DecodedRecord{std::nullopt, fmt::format("Error at {}, skipping. {}", offset, why)};
    };
    if (!value) return skip("the record has no value");
    wire::Reader reader(*value);
    const uint32_t frame = reader.uvarint();
    const uint32_t type = reader.uvarint();
    const uint32_t version = reader.uvarint();
    if (!reader.ok() || frame != kFrameVersion) return skip("this is no frame of version 1");
    const RecordLayout* layout =
        type > kMetadataVersionMax
            ? nullptr
            : layout_of(RecordDecoder::Metadata, static_cast<int>(type), "Record");
    if (layout == nullptr) return skip(fmt::format("Unknown metadata id {}", type));
    if (version > kMetadataVersionMax || !layout->versions.has(static_cast<int>(version))) {
        return skip(fmt::format("unknown version {} of {}", version, layout->name));
    }
    auto json = read_layout(*layout, static_cast<int>(version), reader);
    if (!json) return skip(reader.error_text());
    JacksonValue object = object_value();
    object.members.emplace_back("type", text_value(enum_name(layout->name)));
    object.members.emplace_back("version", number_value(std::to_string(version)));
    object.members.emplace_back("data", std::move(*json));
    return {std::nullopt, object.to_string()};
}

}  // namespace

DecodedRecord decode_record(RecordDecoder decoder, int64_t offset,
                            const std::optional<ByteView>& key,
                            const std::optional<ByteView>& value) {
    switch (decoder) {
        case RecordDecoder::Bytes: {
            const auto text = [](const std::optional<ByteView>& bytes) {
                return bytes ? std::optional(std::string(bytes->text())) : std::nullopt;
            };
            return {text(key), text(value)};
        }
        case RecordDecoder::Metadata: return decode_metadata(offset, value);
        case RecordDecoder::Offsets:
        case RecordDecoder::Transactions:
        case RecordDecoder::ShareState:
            if (!key) {
                return skipped(offset, "the message has no key");
            }
            return decode_coordinator(decoder, offset, *key, value);
    }
    MILLRACE_UNREACHABLE("every decoder is one of these");
}

}  // namespace millrace::cli
