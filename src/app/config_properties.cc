// src/app/config_properties.cc: Java properties, as java.util.Properties.load reads them.
#include <fmt/core.h>

#include <optional>

#include "app/config_file.h"

namespace millrace::app {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\f'; }

void append_utf8(std::string& out, uint32_t code) {
    if (code < 0x80) {
        out += static_cast<char>(code);
    } else if (code < 0x800) {
        out += static_cast<char>(0xC0 | (code >> 6));
        out += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        out += static_cast<char>(0xE0 | (code >> 12));
        out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (code & 0x3F));
    } else {
        out += static_cast<char>(0xF0 | (code >> 18));
        out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
        out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
        out += static_cast<char>(0x80 | (code & 0x3F));
    }
}

std::optional<uint32_t> hex4(std::string_view digits) {
    if (digits.size() < 4) return std::nullopt;
    uint32_t value = 0;
    for (char c : digits.substr(0, 4)) {
        value <<= 4;
        if (c >= '0' && c <= '9')
            value |= static_cast<uint32_t>(c - '0');
        else if (c >= 'a' && c <= 'f')
            value |= static_cast<uint32_t>(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            value |= static_cast<uint32_t>(c - 'A' + 10);
        else
            return std::nullopt;
    }
    return value;
}

/// Escapes resolved, bytes above 127 taken as ISO-8859-1. Nothing when a \u is malformed.
std::optional<std::string> unescape(std::string_view raw) {
    std::string out;
    for (size_t i = 0; i < raw.size(); ++i) {
        const auto byte = static_cast<unsigned char>(raw[i]);
        if (byte != '\\' || i + 1 == raw.size()) {
            append_utf8(out, byte);
            continue;
        }
        const char c = raw[++i];
        if (c == 't')
            out += '\t';
        else if (c == 'n')
            out += '\n';
        else if (c == 'r')
            out += '\r';
        else if (c == 'f')
            out += '\f';
        else if (c != 'u')
            append_utf8(out, static_cast<unsigned char>(c));
        else {
            auto code = hex4(raw.substr(i + 1));
            if (!code) return std::nullopt;
            i += 4;
            // A surrogate pair is one character.
            if (*code >= 0xD800 && *code < 0xDC00 && raw.substr(i + 1, 2) == "\\u") {
                if (const auto low = hex4(raw.substr(i + 3)); low && *low >= 0xDC00) {
                    code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
                    i += 6;
                }
            }
            append_utf8(out, *code);
        }
    }
    return out;
}

bool continues(const std::string& line) {
    size_t slashes = 0;
    while (slashes < line.size() && line[line.size() - 1 - slashes] == '\\')
        ++slashes;
    return slashes % 2 == 1;
}

/// Where the key ends: the first '=', ':' or blank that is not escaped.
size_t key_end(std::string_view line) {
    for (size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\')
            ++i;
        else if (line[i] == '=' || line[i] == ':' || is_space(line[i]))
            return i;
    }
    return line.size();
}

void read_logical_line(ConfigFile& file, std::string_view line, ConfigPlace place) {
    const size_t end = key_end(line);
    size_t start = end;
    while (start < line.size() && is_space(line[start]))
        ++start;
    if (start < line.size() && (line[start] == '=' || line[start] == ':')) {
        ++start;
        while (start < line.size() && is_space(line[start]))
            ++start;
    }
    const auto key = unescape(line.substr(0, end));
    const auto value = unescape(line.substr(std::min(start, line.size())));
    if (!key || !value) {
        ConfigNote note;
        note.line = place.line;
        note.column = place.column;
        note.text = "Malformed \\uxxxx encoding.";
        file.notes.push_back(std::move(note));
        return;
    }
    put_value(file, *key, *value, place);
}

}  // namespace

void parse_properties(const std::string&, ConfigFile& file) {
    for (size_t i = 0; i < file.lines.size(); ++i) {
        std::string line = file.lines[i];
        size_t start = 0;
        while (start < line.size() && is_space(line[start]))
            ++start;
        if (start == line.size() || line[start] == '#' || line[start] == '!') continue;
        const ConfigPlace place{static_cast<int>(i) + 1, static_cast<int>(start) + 1};
        line.erase(0, start);
        while (continues(line)) {
            line.pop_back();
            if (i + 1 == file.lines.size()) break;
            const std::string& next = file.lines[++i];
            size_t skip = 0;
            while (skip < next.size() && is_space(next[skip]))
                ++skip;
            line += next.substr(skip);
        }
        read_logical_line(file, line, place);
    }
}

}  // namespace millrace::app
