// src/wire/gen_support.h: what the generated encoders and decoders share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "millrace/wire/reader.h"
#include "millrace/wire/writer.h"

namespace millrace::wire {

template <class T, class Each>
void decode_elements(Reader& reader, std::vector<T>& out, int32_t count, Each each) {
    // array_count has shown that the frame's bytes justify this many. A tag sent twice counts once.
    out.clear();
    out.resize(static_cast<size_t>(count));
    for (T& element : out) {
        each(element);
        if (!reader.ok()) [[unlikely]] return;
    }
}

template <class T, class Each>
void decode_array(Reader& reader, std::vector<T>& out, bool flexible, size_t element_bytes_min,
                  Each each) {
    const int32_t count = reader.array_count(flexible, element_bytes_min, sizeof(T));
    if (count < 0) {
        reader.fail("null array where none is allowed");
        return;
    }
    decode_elements(reader, out, count, each);
}

template <class T, class Each>
void decode_nullable_array(Reader& reader, std::optional<std::vector<T>>& out, bool flexible,
                           bool null_allowed, size_t element_bytes_min, Each each) {
    const int32_t count = reader.array_count(flexible, element_bytes_min, sizeof(T));
    if (count >= 0) {
        decode_elements(reader, out.emplace(), count, each);
        return;
    }
    out.reset();
    if (!null_allowed) reader.fail("null array where none is allowed");
}

template <class T, class Each>
void encode_array(Writer& writer, const std::vector<T>& in, bool flexible, Each each) {
    writer.array_count(in.size(), flexible);
    for (const T& element : in) each(element);
}

template <class T, class Each>
void encode_nullable_array(Writer& writer, const std::optional<std::vector<T>>& in, bool flexible,
                           bool null_allowed, Each each) {
    if (in.has_value()) return encode_array(writer, *in, flexible, each);
    if (!null_allowed) writer.fail("null array where this version allows none");
    writer.null_array(flexible);
}

inline void check_null(Reader& reader, bool fine) {
    if (!fine) reader.fail("null where this version allows none");
}
inline void check_null(Writer& writer, bool fine) {
    if (!fine) writer.fail("null where this version allows none");
}
/// Kafka's UnsupportedVersionException: `field` has a value but this version cannot carry it.
inline void check_absent(Writer& writer, bool has_value, const char* field) {
    if (has_value) writer.fail(field);
}

/// Equal bytes; file slices are read, and a read that fails makes them unequal.
bool same_records(const BufferChain& a, const BufferChain& b);
inline bool same_records(const std::optional<BufferChain>& a,
                         const std::optional<BufferChain>& b) {
    if (!a.has_value() || !b.has_value()) return a.has_value() == b.has_value();
    return same_records(*a, *b);
}

}  // namespace millrace::wire
