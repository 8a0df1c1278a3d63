// tools/cli/output.cc: tables, JSON, and how numbers and times are shown.
#include "cli/output.h"

#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <iostream>

namespace millrace::cli {
namespace {

/// Characters, not bytes: continuation bytes of UTF-8 take no place.
size_t width_of(const std::string& text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

std::string time_with(int64_t ms, const char* format, const char* tail) {
    time_t seconds = static_cast<time_t>(ms / 1000);
    int64_t part = ms % 1000;
    if (part < 0) {
        part += 1000;
        --seconds;
    }
    std::tm broken{};
    gmtime_r(&seconds, &broken);
    char text[64];
    std::strftime(text, sizeof text, format, &broken);
    return fmt::format("{}.{:03}{}", text, part, tail);
}

}  // namespace

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
    for (std::string& heading : headings_) {
        right_.push_back(heading.starts_with(">"));
        if (right_.back()) heading.erase(0, 1);
    }
}

std::string Table::to_string() const {
    std::vector<size_t> widths;
    for (const std::string& heading : headings_)
        widths.push_back(width_of(heading));
    for (const auto& row : rows_) {
        for (size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string out;
    const auto print = [&](const std::vector<std::string>& cells) {
        std::string line;
        for (size_t i = 0; i < cells.size(); ++i) {
            const std::string space(widths[i] - width_of(cells[i]), ' ');
            if (i > 0) line += "  ";
            line += right_[i] ? space + cells[i] : cells[i] + space;
        }
        while (!line.empty() && line.back() == ' ')
            line.pop_back();
        out += line + "\n";
    };
    print(headings_);
    for (const auto& row : rows_)
        print(row);
    return out;
}

void print_items(const std::string& kind, Json items) {
    Json json;
    json["apiVersion"] = "v1";
    json["kind"] = kind;
    json["items"] = std::move(items);
    std::cout << json.dump(2) << '\n';
}

std::string counted(int64_t n, std::string_view noun) {
    return fmt::format("{} {}{}", grouped(n), noun, n == 1 ? "" : "s");
}

std::string grouped(int64_t n) {
    std::string digits = std::to_string(n < 0 ? -n : n);
    for (size_t at = digits.size(); at > 3; at -= 3)
        digits.insert(at - 3, ",");
    return n < 0 ? "-" + digits : digits;
}

std::string bytes_text(int64_t bytes) {
    const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(units)) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, units[unit]);
}

std::string time_text(int64_t ms) { return ms < 0 ? "-" : time_with(ms, "%Y-%m-%d %H:%M:%S", ""); }

std::string rfc3339(int64_t ms) { return time_with(ms, "%Y-%m-%dT%H:%M:%S", "Z"); }

std::string base64(std::string_view bytes) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; ++k) {
            group <<= 8;
            if (i + k < bytes.size()) group |= static_cast<unsigned char>(bytes[i + k]);
        }
        for (size_t k = 0; k < 4; ++k) {
            out += i + k > bytes.size() ? '=' : kDigits[(group >> (18 - 6 * k)) & 63];
        }
    }
    return out;
}

bool is_utf8(std::string_view bytes) {
    size_t left = 0;
    for (char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        if (left > 0) {
            if ((byte & 0xC0) != 0x80) return false;
            --left;
        } else if (byte >= 0xF0 && byte < 0xF5) {
            left = 3;
        } else if (byte >= 0xE0 && byte < 0xF0) {
            left = 2;
        } else if (byte >= 0xC2 && byte < 0xE0) {
            left = 1;
        } else if (byte >= 0x80) {
            return false;
        }
    }
    return left == 0;
}

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const size_t end = std::min(text.find(separator), text.size());
        parts.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

std::pair<std::string, std::string> key_value(const std::string& text) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
        throw Failure{kUsage, fmt::format("'{}' is not key=value", text), "write key=value"};
    }
    return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace millrace::cli
