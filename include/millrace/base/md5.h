// include/millrace/base/md5.h: MD5, for tables keyed by the hash of a record key.
//
// RFC 1321, portable, allocation-free. Not for credentials: the log cleaner uses it because the
// chance that two keys of one log share 128 bits is negligible (Kafka's SkimpyOffsetMap).
#pragma once

#include <array>
#include <cstdint>

#include "millrace/base/bytes.h"

namespace millrace {

inline constexpr size_t kMd5Bytes = 16;

std::array<uint8_t, kMd5Bytes> md5(ByteView data);

}  // namespace millrace
