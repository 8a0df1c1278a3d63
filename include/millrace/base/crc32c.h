// include/millrace/base/crc32c.h: the CRC-32C (Castagnoli) checksum of batches and snapshots.
//
// Short inputs take an SSE4.2 loop (a table on other processors), long ones isa-l; all give the
// same number. The value is the finished checksum, as stored in files.
#pragma once

#include <cstdint>

#include "millrace/base/bytes.h"

namespace millrace {

/// Checksum of `bytes`.
uint32_t crc32c(ByteView bytes);
/// Checksum of a text whose beginning has the checksum `crc` and whose rest is `bytes`, so that
/// crc32c_extend(crc32c(a), b) is the checksum of a followed by b.
uint32_t crc32c_extend(uint32_t crc, ByteView bytes);
/// Checksum of a followed by b, from the checksums of the two and the length of b; O(log size_b).
/// Lets a header be edited without reading the payload again.
uint32_t crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b);

}  // namespace millrace
