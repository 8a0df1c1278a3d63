// include/millrace/wire/limits.h: the bounds that keep a hostile frame small in memory.
//
// The array and tag bounds are those of Kafka 4.4's decoders; the string bound is the protocol's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::wire {

inline constexpr int32_t kArrayElementsMax = 1'000'000;
inline constexpr uint32_t kTaggedFieldsMax = 10'000;
inline constexpr int32_t kStringBytesMax = 32'767;

/// Memory that the vectors of one decoded message may take: a base, plus so much per byte of frame.
/// The factor covers the widest legal ratio seen (empty strings and tag-only structs).
inline constexpr size_t kDecodeBytesBase = 64 * 1024;
inline constexpr size_t kDecodeBytesPerFrameByte = 32;
inline constexpr size_t kDecodeBytesMax = size_t{1} << 30;

/// Byte runs up to this size are copied into the response, larger ones are sent by reference.
inline constexpr size_t kCopyBytesMax = 1024;
inline constexpr size_t kWriterChunkFirstBytes = 512;
inline constexpr size_t kWriterChunkMaxBytes = 64 * 1024;
static_assert(kCopyBytesMax <= kWriterChunkMaxBytes);

}  // namespace millrace::wire
