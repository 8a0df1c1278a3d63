// tools/cli/time_text.h: reads dates, durations, and shows how far behind a reader is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace millrace::cli {

/// "2026-11-21T09:14:02.118", with or without milliseconds and zone (UTC without); milliseconds.
std::optional<int64_t> parse_datetime(const std::string& text);
/// java.time.Duration's "P1DT2H30M5.5S", each part with its sign; milliseconds.
std::optional<int64_t> parse_duration(const std::string& text);
/// "500ms", "30s", "5m", "2h", "7d", or what parse_duration reads; milliseconds.
std::optional<int64_t> parse_short_duration(const std::string& text);
/// "0.3 s", "9m 30s", "2h 05m", "3d 04h".
std::string behind_text(int64_t ms);

}  // namespace millrace::cli
