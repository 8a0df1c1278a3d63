// tools/cli/jackson_number.h: a number of JSON as Jackson scans it, with its quirks of place.
#pragma once

#include <string>
#include <string_view>

namespace millrace::cli {

struct JacksonNumber {
    static constexpr size_t kNone = static_cast<size_t>(-1);
    size_t end = 0;
    bool fraction = false;  // with a point or an exponent
    std::string problem;    // empty: nothing is wrong
    size_t problem_at = 0;
    /// The character that the problem's text starts with, or kNone: the text is whole.
    size_t offending = kNone;
};

/// The number that starts with a sign or a digit at `at`.
JacksonNumber scan_jackson_number(std::string_view text, size_t at);

}  // namespace millrace::cli
