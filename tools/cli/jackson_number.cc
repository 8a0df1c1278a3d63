// tools/cli/jackson_number.cc: a number of JSON as Jackson scans it, with its quirks of place.
//
// Jackson reads a number that starts with 1 to 9 and ends before the text does on a short path, and
// that path says where the whole part ended, not where the wrong character stands.
#include "cli/jackson_number.h"

#include <fmt/core.h>

#include <cmath>

#include "cli/jackson.h"

namespace millrace::cli {
namespace {

bool is_digit(std::string_view text, size_t at) {
    return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

JacksonNumber wrong(size_t at, size_t offending, std::string problem) {
    JacksonNumber number;
    number.problem = std::move(problem);
    number.problem_at = at;
    number.offending = offending;
    return number;
}

/// A sign with no digit behind it; "-INF" and its kin are words that an option could allow.
JacksonNumber sign_alone(std::string_view text, size_t at) {
    const bool plus = text[at] == '+';
    size_t next = at + 1;
    if (next == text.size())
        return wrong(next, JacksonNumber::kNone,
                     plus ? "Unexpected end-of-input in a Number value"
                          : "Unexpected end-of-inputNo digit following sign");
    if (text[next] == 'I') {
        ++next;
        if (next < text.size() && (text[next] == 'N' || text[next] == 'n')) {
            const std::string_view whole = text[next] == 'N' ? "INF" : "Infinity";
            size_t end = next;
            while (end < text.size() && is_letter(text[end]))
                ++end;
            const std::string word(text.substr(at, end - at));
            if (word.substr(1) != whole)
                return wrong(at, JacksonNumber::kNone,
                             fmt::format("Unrecognized token '{}': was expecting (JSON String, "
                                         "Number, Array, Object or token 'null', 'true' or "
                                         "'false')",
                                         word));
            return wrong(end, JacksonNumber::kNone,
                         fmt::format("Non-standard token '{}': enable "
                                     "`JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow",
                                     word));
        }
        if (next == text.size())
            return wrong(next, JacksonNumber::kNone,
                         "Unexpected end-of-input: Unexpected end-of-input in a Number value");
    }
    if (plus)
        return wrong(next, at,
                     " in numeric value: JSON spec does not allow numbers to have plus signs: "
                     "enable `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow");
    return wrong(next, next,
                 " in numeric value: expected digit (0-9) to follow minus sign, for valid numeric "
                 "value");
}

}  // namespace

JacksonNumber scan_jackson_number(std::string_view text, size_t at) {
    size_t i = at;
    if (text[i] == '+') return sign_alone(text, at);
    if (text[i] == '-' && !is_digit(text, ++i)) return sign_alone(text, at);
    const bool zero = text[i] == '0';
    if (zero && is_digit(text, i + 1))
        return wrong(i + 1, JacksonNumber::kNone,
                     "Invalid numeric value: Leading zeroes not allowed");
    while (is_digit(text, i))
        ++i;
    const size_t whole_end = i;
    const auto where = [&](size_t wrong_at) { return zero ? wrong_at : whole_end; };
    JacksonNumber number;
    if (i < text.size() && text[i] == '.') {
        number.fraction = true;
        const size_t point = i++;
        if (i == text.size())
            return wrong(point, point, " in numeric value: Decimal point not followed by a digit");
        if (!is_digit(text, i))
            return wrong(where(i), i, " in numeric value: Decimal point not followed by a digit");
        while (is_digit(text, i))
            ++i;
    }
    if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
        number.fraction = true;
        ++i;
        if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
        if (i == text.size())
            return wrong(i, JacksonNumber::kNone,
                         "Unexpected end-of-inputexpected a digit for number exponent");
        if (!is_digit(text, i))
            return wrong(where(i), i,
                         " in numeric value: Exponent indicator not followed by a digit");
        while (is_digit(text, i))
            ++i;
    }
    number.end = i;
    return number;
}

std::string java_double(double value) {
    if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
    // Shortest digits, as Java since 19; then Java's choice between plain and scientific.
    const std::string shortest = fmt::format("{}", value);
    std::string digits;
    int point = 0;  // digits before the point in `shortest`, exponent apart
    int exponent = 0;
    bool after = false;
    const size_t e = shortest.find('e');
    for (const char c : shortest.substr(0, e)) {
        if (c == '.') after = true;
        if (c < '0' || c > '9') continue;
        digits += c;
        if (!after) ++point;
    }
    if (e != std::string::npos) exponent = std::atoi(shortest.c_str() + e + 1);
    const size_t leading = digits.find_first_not_of('0');
    digits.erase(0, leading);
    const int scale = point - static_cast<int>(leading) + exponent - 1;  // d.ddd x 10^scale
    while (digits.size() > 1 && digits.back() == '0')
        digits.pop_back();
    const std::string sign = value < 0 ? "-" : "";
    if (scale >= 7 || scale < -3)
        return fmt::format("{}{}.{}E{}", sign, digits[0],
                           digits.size() > 1 ? digits.substr(1) : "0", scale);
    if (scale < 0) return sign + "0." + std::string(static_cast<size_t>(-scale - 1), '0') + digits;
    const auto whole = static_cast<size_t>(scale) + 1;
    if (digits.size() <= whole)
        return sign + digits + std::string(whole - digits.size(), '0') + ".0";
    return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

}  // namespace millrace::cli
