// tools/cli/time_text.cc: reads dates, durations, and shows how far behind a reader is.
#include "cli/time_text.h"

#include <fmt/core.h>

#include <cmath>
#include <cstdio>
#include <ctime>

namespace millrace::cli {
namespace {

constexpr int64_t kSecondMs = 1000;
constexpr int64_t kMinuteMs = 60 * kSecondMs;
constexpr int64_t kHourMs = 60 * kMinuteMs;
constexpr int64_t kDayMs = 24 * kHourMs;

/// Takes exactly `count` digits.
std::optional<int> digits(std::string_view& text, size_t count) {
    if (text.size() < count) return std::nullopt;
    int number = 0;
    for (size_t i = 0; i < count; ++i) {
        if (text[i] < '0' || text[i] > '9') return std::nullopt;
        number = number * 10 + (text[i] - '0');
    }
    text.remove_prefix(count);
    return number;
}

bool take(std::string_view& text, char c) {
    if (text.empty() || text.front() != c) return false;
    text.remove_prefix(1);
    return true;
}

/// "Z", "+02", "+0200", "+02:00" or nothing; milliseconds east of Greenwich.
std::optional<int64_t> zone_ms(std::string_view text) {
    if (text.empty() || text == "Z") return 0;
    const bool west = text.front() == '-';
    if (!west && text.front() != '+') return std::nullopt;
    text.remove_prefix(1);
    const auto hours = digits(text, 2);
    if (!hours) return std::nullopt;
    int minutes = 0;
    if (!text.empty()) {
        take(text, ':');
        const auto found = digits(text, 2);
        if (!found || !text.empty()) return std::nullopt;
        minutes = *found;
    }
    const int64_t east = *hours * kHourMs + minutes * kMinuteMs;
    return west ? -east : east;
}

/// One "nU" of a duration, signed, the seconds with a fraction.
bool take_amount(std::string_view& text, double& amount, char& unit) {
    size_t size = 0;
    while (size < text.size() && (std::string_view("+-.0123456789").find(text[size]) !=
                                  std::string_view::npos))
        ++size;
    if (size == 0 || size == text.size()) return false;
    const std::string number(text.substr(0, size));
    char* end = nullptr;
    amount = std::strtod(number.c_str(), &end);
    if (end != number.c_str() + number.size()) return false;
    unit = static_cast<char>(std::toupper(static_cast<unsigned char>(text[size])));
    text.remove_prefix(size + 1);
    return true;
}

}  // namespace

std::optional<int64_t> parse_datetime(const std::string& text) {
    std::string_view rest = text;
    std::tm time{};
    const auto year = digits(rest, 4);
    if (!year || !take(rest, '-')) return std::nullopt;
    const auto month = digits(rest, 2);
    if (!month || !take(rest, '-')) return std::nullopt;
    const auto day = digits(rest, 2);
    if (!day || !take(rest, 'T')) return std::nullopt;
    const auto hour = digits(rest, 2);
    if (!hour || !take(rest, ':')) return std::nullopt;
    const auto minute = digits(rest, 2);
    if (!minute || !take(rest, ':')) return std::nullopt;
    const auto second = digits(rest, 2);
    if (!second) return std::nullopt;
    int64_t milliseconds = 0;
    if (take(rest, '.')) {
        const auto found = digits(rest, 3);
        if (!found) return std::nullopt;
        milliseconds = *found;
    }
    const auto east = zone_ms(rest);
    if (!east) return std::nullopt;
    time.tm_year = *year - 1900;
    time.tm_mon = *month - 1;
    time.tm_mday = *day;
    time.tm_hour = *hour;
    time.tm_min = *minute;
    time.tm_sec = *second;
    return int64_t{timegm(&time)} * kSecondMs + milliseconds - *east;
}

std::optional<int64_t> parse_duration(const std::string& text) {
    std::string_view rest = text;
    const bool negative = take(rest, '-');
    if (!negative) take(rest, '+');
    if (!take(rest, 'P') && !take(rest, 'p')) return std::nullopt;
    int64_t total = 0;
    bool clock = false;
    bool any = false;
    while (!rest.empty()) {
        if (!clock && (take(rest, 'T') || take(rest, 't'))) {
            clock = true;
            continue;
        }
        double amount = 0;
        char unit = 0;
        if (!take_amount(rest, amount, unit)) return std::nullopt;
        const int64_t size = !clock && unit == 'D'  ? kDayMs
                             : clock && unit == 'H' ? kHourMs
                             : clock && unit == 'M' ? kMinuteMs
                             : clock && unit == 'S' ? kSecondMs
                                                    : 0;
        if (size == 0) return std::nullopt;
        total += std::llround(amount * static_cast<double>(size));
        any = true;
    }
    if (!any) return std::nullopt;
    return negative ? -total : total;
}

std::optional<int64_t> parse_short_duration(const std::string& text) {
    const size_t digits_end = text.find_first_not_of("0123456789");
    if (digits_end == 0 || digits_end == std::string::npos) return parse_duration(text);
    const std::string unit = text.substr(digits_end);
    const int64_t size = unit == "ms"  ? 1
                         : unit == "s" ? kSecondMs
                         : unit == "m" ? kMinuteMs
                         : unit == "h" ? kHourMs
                         : unit == "d" ? kDayMs
                                       : 0;
    constexpr size_t kDigitsMax = 12;
    if (size == 0 || digits_end > kDigitsMax) return std::nullopt;
    return std::atoll(text.substr(0, digits_end).c_str()) * size;
}

std::string behind_text(int64_t ms) {
    if (ms < kMinuteMs) {
        return fmt::format("{}.{} s", ms / kSecondMs, ms % kSecondMs / 100);
    }
    if (ms < kHourMs) return fmt::format("{}m {:02}s", ms / kMinuteMs, ms % kMinuteMs / kSecondMs);
    if (ms < kDayMs) return fmt::format("{}h {:02}m", ms / kHourMs, ms % kHourMs / kMinuteMs);
    return fmt::format("{}d {:02}h", ms / kDayMs, ms % kDayMs / kHourMs);
}

}  // namespace millrace::cli
