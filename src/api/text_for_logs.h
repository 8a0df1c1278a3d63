// src/api/text_for_logs.h: bytes of strangers, made fit for one log line.
#pragma once

#include <string>
#include <string_view>

#include "millrace/base/bytes.h"

namespace millrace::api {

/// Printable ASCII stays, everything else becomes \xNN, and long texts are cut.
std::string text_for_logs(std::string_view text);

/// "HTTP" or "TLS" when the first four bytes of a connection say so, else nullptr.
const char* guess_protocol(ByteView first_bytes);

}  // namespace millrace::api
