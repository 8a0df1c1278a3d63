// include/millrace/base/sha2.h: SHA-256, SHA-512 and HMAC over them, for SCRAM and tokens.
//
// FIPS 180-4 and RFC 2104, portable and allocation-free except for the result. Meant for
// credentials, a few per second; not for bulk data. Comparison of secrets goes through
// equal_in_constant_time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"

namespace millrace {

enum class ShaKind { Sha256, Sha512 };

/// 32 or 64.
constexpr size_t digest_size(ShaKind kind) { return kind == ShaKind::Sha256 ? 32 : 64; }

std::vector<uint8_t> sha2(ShaKind kind, ByteView data);
std::vector<uint8_t> hmac_sha2(ShaKind kind, ByteView key, ByteView data);
/// RFC 2898 PBKDF2 with HMAC, one block: the salted password of SCRAM (RFC 5802 Hi()).
std::vector<uint8_t> pbkdf2_sha2(ShaKind kind, ByteView password, ByteView salt,
                                 int32_t iterations);
/// Takes the same time wherever the first difference is.
bool equal_in_constant_time(ByteView a, ByteView b);

}  // namespace millrace
