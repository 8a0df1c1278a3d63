// src/api/text_for_logs.cc: bytes of strangers, made fit for one log line.
#include "api/text_for_logs.h"

#include <cstdint>

#include "millrace/base/assert.h"

namespace millrace::api {
namespace {

constexpr size_t kLoggedBytesMax = 120;
constexpr uint8_t kTlsHandshake = 0x16;
constexpr uint8_t kTlsMajorVersion = 3;

}  // namespace

std::string text_for_logs(std::string_view text) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (const char c : text.substr(0, kLoggedBytesMax)) {
        const uint8_t byte = static_cast<uint8_t>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            out += c;
        } else {
            out += "\\x";
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        }
    }
    if (text.size() > kLoggedBytesMax) out += "...";
    return out;
}

const char* guess_protocol(ByteView first_bytes) {
    MILLRACE_ASSERT(first_bytes.size >= 4, "a frame starts with four bytes");
    if (first_bytes[0] == kTlsHandshake && first_bytes[1] == kTlsMajorVersion) {
        return "TLS (is this listener meant to be SSL?)";
    }
    for (const std::string_view verb :
         {"GET ", "POST", "PUT ", "HEAD", "OPTI", "DELE", "PATC", "CONN", "TRAC", "PRI "}) {
        if (first_bytes.sub(0, 4).text() == verb) return "HTTP (this port speaks Kafka)";
    }
    return nullptr;
}

}  // namespace millrace::api
