// tools/cli/jackson.cc: JSON as Kafka's tools read it: Jackson's errors, Jackson's text of a value.
#include "cli/jackson.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "cli/jackson_number.h"

namespace millrace::cli {
namespace {

using Kind = JacksonValue::Kind;

constexpr int kMaxDepth = 1000;  // StreamReadConstraints.DEFAULT_MAX_DEPTH
constexpr size_t kMaxTokenShown = 256;
constexpr const char* kSource =
    "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, "
    "column: {}]";
constexpr const char* kValidValue =
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or "
    "'false')";
constexpr const char* kValidToken =
    "was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

size_t length_at(std::string_view text, size_t at) {
    const auto lead = static_cast<uint8_t>(text[at]);
    const size_t length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return std::min(length, text.size() - at);
}

uint32_t point_at(std::string_view text, size_t at) {
    const size_t length = length_at(text, at);
    const auto lead = static_cast<uint8_t>(text[at]);
    uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (size_t i = 1; i < length; ++i)
        point = point << 6 | (static_cast<uint8_t>(text[at + i]) & 0x3FU);
    return point;
}

void append_utf8(std::string& text, uint32_t point) {
    if (point < 0x80) {
        text += static_cast<char>(point);
    } else if (point < 0x800) {
        text += static_cast<char>(0xC0 | point >> 6);
        text += static_cast<char>(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        text += static_cast<char>(0xE0 | point >> 12);
        text += static_cast<char>(0x80 | (point >> 6 & 0x3F));
        text += static_cast<char>(0x80 | (point & 0x3F));
    } else {
        text += static_cast<char>(0xF0 | point >> 18);
        text += static_cast<char>(0x80 | (point >> 12 & 0x3F));
        text += static_cast<char>(0x80 | (point >> 6 & 0x3F));
        text += static_cast<char>(0x80 | (point & 0x3F));
    }
}

class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text) {}

    JacksonProblem read(JacksonValue& value) {
        if (skip_blanks()) {
            if (!at_end() && (peek() == '}' || peek() == ']'))
                stray_close();
            else if (!at_end())
                read_value(value, 1);
        }
        return std::move(problem_);
    }

  private:
    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return text_[at_]; }

    JacksonPlace place(size_t at) const {
        JacksonPlace place;
        size_t from = 0;
        for (size_t i = 0; i < at; ++i) {
            const bool lone_return =
                text_[i] == '\r' && (i + 1 == text_.size() || text_[i + 1] != '\n');
            if (text_[i] != '\n' && !lone_return) continue;
            ++place.line;
            from = i + 1;
        }
        for (size_t i = from; i < at; i += length_at(text_, i))
            place.column += point_at(text_, i) > 0xFFFF ? 2 : 1;
        return place;
    }
    std::string place_text(size_t at) const {
        const JacksonPlace found = place(at);
        return fmt::format(fmt::runtime(kSource), found.line, found.column);
    }
    bool fail(size_t at, std::string message) {
        const bool end_of_input = message.starts_with("Unexpected end-of-input");
        problem_ = {std::move(message), place(at), end_of_input};
        return false;
    }
    /// "'x' (code 120)".
    std::string character(size_t at) const {
        const uint32_t point = point_at(text_, at);
        if (point < 0x20) return fmt::format("(CTRL-CHAR, code {})", point);
        const std::string_view shown = text_.substr(at, length_at(text_, at));
        if (point > 255) return fmt::format("'{}' (code {} / 0x{:x})", shown, point, point);
        return fmt::format("'{}' (code {})", shown, point);
    }
    bool unexpected(size_t at, std::string_view comment) {
        return fail(at, fmt::format("Unexpected character ({}): {}", character(at), comment));
    }
    bool ended(std::string_view what) {
        return fail(text_.size(), fmt::format("Unexpected end-of-input{}", what));
    }

    /// Behind a comma the end of the text is to Jackson an error like any other.
    bool ended_behind_comma(const char* scope) {
        ended(fmt::format(" within/between {} entries", scope));
        return problem_.end_of_input = false;
    }

    /// False when a character stands there that may not.
    bool skip_blanks() {
        while (!at_end()) {
            const auto c = static_cast<uint8_t>(peek());
            if (c == '/')
                return unexpected(at_,
                                  "maybe a (non-standard) comment? (not recognized as one since "
                                  "Feature 'ALLOW_COMMENTS' not enabled for parser)");
            if (c > 0x20) return true;
            if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
                return fail(at_ + 1, fmt::format("Illegal character ({}): only regular white space "
                                                 "(\\r, \\n, \\t) is allowed between tokens",
                                                 character(at_)));
            }
            ++at_;
        }
        return true;
    }

    bool stray_close() {
        const bool array = peek() == ']';
        return fail(at_, fmt::format("Unexpected close marker '{}': no open {} to close", peek(),
                                     array ? "Array" : "Object"));
    }
    /// The scope that began at `start` closes with another marker than its own.
    bool wrong_close(bool array, size_t start) {
        return fail(at_, fmt::format("Unexpected close marker '{}': expected '{}' (for {} starting "
                                     "at {})",
                                     peek(), array ? ']' : '}', array ? "Array" : "Object",
                                     place_text(start)));
    }
    bool unclosed(bool array, size_t start) {
        return ended(fmt::format(": expected close marker for {} (start marker at {})",
                                 array ? "Array" : "Object", place_text(start)));
    }

    bool read_value(JacksonValue& value, int depth) {
        const char c = peek();
        if (c == '{') return read_object(value, depth);
        if (c == '[') return read_array(value, depth);
        if (c == '"') {
            ++at_;
            value.kind = Kind::Text;
            return read_string(value.text, "string value",
                               ": was expecting closing quote for a string value");
        }
        if (c == '-' || c == '+' || (c >= '0' && c <= '9')) return read_number(value, depth == 1);
        return read_word(value);
    }

    bool read_word(JacksonValue& value) {
        const size_t start = at_;
        const std::string word = identifier();
        if (word.empty()) return unexpected(start, kValidValue);
        at_ = start + word.size();
        value.truth = word == "true";
        if (word == "true" || word == "false") {
            value.kind = Kind::Bool;
            return true;
        }
        value.kind = Kind::Null;
        if (word == "null") return true;
        if (word == "NaN" || word == "Infinity") return non_standard(word);
        return unknown_token(start, word);
    }
    /// The letters of a Java identifier from here.
    std::string identifier() const {
        size_t end = at_;
        while (end < text_.size() && end - at_ < kMaxTokenShown) {
            const auto c = static_cast<uint8_t>(text_[end]);
            const bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
            const bool digit = c >= '0' && c <= '9' && end > at_;
            if (letter || digit || c == '_' || c == '$')
                ++end;
            else if (c >= 0x80 && java_identifier_part(point_at(text_, end)))
                end += length_at(text_, end);
            else
                break;
        }
        return std::string(text_.substr(at_, end - at_));
    }
    /// Near enough: currency signs and letters are, punctuation and blanks are not.
    static bool java_identifier_part(uint32_t point) {
        const bool letter = point >= 0xC0 && point != 0xD7 && point != 0xF7 && point < 0x2000;
        const bool currency = point >= 0x20A0 && point < 0x20D0;
        const bool latin = point >= 0xA2 && point <= 0xA5;
        return letter || currency || latin || (point >= 0x2C00 && point < 0xFE00);
    }
    bool unknown_token(size_t start, const std::string& word) {
        return fail(start, fmt::format("Unrecognized token '{}': {}", word, kValidToken));
    }
    bool non_standard(const std::string& word) {
        return fail(at_, fmt::format("Non-standard token '{}': enable "
                                     "`JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow",
                                     word));
    }

    bool read_number(JacksonValue& value, bool root) {
        JacksonNumber number = scan_jackson_number(text_, at_);
        if (!number.problem.empty()) {
            if (number.offending == JacksonNumber::kNone)
                return fail(number.problem_at, number.problem);
            return fail(number.problem_at,
                        fmt::format("Unexpected character ({}){}", character(number.offending),
                                    number.problem));
        }
        const std::string digits(text_.substr(at_, number.end - at_));
        at_ = number.end;
        if (root && !at_end() && static_cast<uint8_t>(peek()) > 0x20)
            return unexpected(at_, "Expected space separating root-level values");
        if (number.fraction) {
            value.kind = Kind::Double;
            const double found = std::strtod(digits.c_str(), nullptr);
            value.text = std::isinf(found) ? "\"Infinity\"" : java_double(found);
            return true;
        }
        const char* end = digits.data() + digits.size();
        const bool fits = std::from_chars(digits.data(), end, value.number).ec == std::errc();
        value.kind = fits ? Kind::Int : Kind::BigInt;
        if (!fits) value.text = digits;
        return true;
    }

    bool read_string(std::string& into, const char* where, const char* at_the_end) {
        for (;;) {
            if (at_end()) return ended(at_the_end);
            const auto c = static_cast<uint8_t>(peek());
            if (c < 0x20) {
                return fail(at_, fmt::format("Illegal unquoted character ({}): has to be escaped "
                                             "using backslash to be included in {}",
                                             character(at_), where));
            }
            ++at_;
            if (c == '"') return true;
            if (c != '\\')
                into += static_cast<char>(c);
            else if (!read_escape(into))
                return false;
        }
    }
    bool read_escape(std::string& into) {
        if (at_end()) return ended(" in character escape sequence");
        constexpr std::string_view kLetters = "bfnrt\"\\/";
        constexpr std::string_view kMeanings = "\b\f\n\r\t\"\\/";
        const char c = peek();
        if (const size_t found = kLetters.find(c); found != std::string_view::npos) {
            into += kMeanings[found];
            ++at_;
            return true;
        }
        if (c != 'u') return fail(at_, "Unrecognized character escape " + character(at_));
        ++at_;
        uint32_t unit = 0;
        if (!read_hex(unit)) return false;
        const bool high = unit >= 0xD800 && unit < 0xDC00;
        if (high && text_.substr(at_).starts_with("\\u")) {
            const size_t before = at_;
            at_ += 2;
            uint32_t low = 0;
            if (!read_hex(low)) return false;
            if (low >= 0xDC00 && low < 0xE000)
                unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            else
                at_ = before;
        }
        append_utf8(into, unit);
        return true;
    }
    bool read_hex(uint32_t& unit) {
        for (int i = 0; i < 4; ++i, ++at_) {
            if (at_end()) return ended(" in character escape sequence");
            const char c = peek();
            const char lower = static_cast<char>(c | 0x20);
            const bool digit = c >= '0' && c <= '9';
            if (!digit && !(lower >= 'a' && lower <= 'f'))
                return unexpected(at_, "expected a hex-digit for character escape sequence");
            unit = unit << 4 | static_cast<uint32_t>(digit ? c - '0' : lower - 'a' + 10);
        }
        return true;
    }

    bool deep_enough(int depth) {
        if (depth <= kMaxDepth) return true;
        return fail(at_, fmt::format("Document nesting depth ({}) exceeds the maximum allowed ({}, "
                                     "from `StreamReadConstraints.getMaxNestingDepth()`)",
                                     depth, kMaxDepth));
    }

    bool read_array(JacksonValue& value, int depth) {
        value.kind = Kind::Array;
        const size_t start = at_++;
        if (!deep_enough(depth)) return false;
        for (bool first = true;; first = false) {
            if (!skip_blanks()) return false;
            if (at_end()) return unclosed(true, start);
            if (peek() == ']') return ++at_, true;
            if (peek() == '}') return wrong_close(true, start);
            if (!first) {
                if (peek() != ',')
                    return unexpected(at_, "was expecting comma to separate Array entries");
                ++at_;
                if (!skip_blanks()) return false;
                if (at_end()) return ended_behind_comma("Array");
                if (peek() == '}') return unexpected(at_, "expected a value");
            }
            if (!read_value(value.elements.emplace_back(), depth + 1)) return false;
        }
    }

    bool read_object(JacksonValue& value, int depth) {
        value.kind = Kind::Object;
        const size_t start = at_++;
        if (!deep_enough(depth)) return false;
        for (bool first = true;; first = false) {
            if (!skip_blanks()) return false;
            if (at_end()) return unclosed(false, start);
            if (peek() == '}') return ++at_, true;
            if (peek() == ']') return wrong_close(false, start);
            if (!first) {
                if (peek() != ',')
                    return unexpected(at_, "was expecting comma to separate Object entries");
                ++at_;
                if (!skip_blanks()) return false;
                if (at_end()) return ended_behind_comma("Object");
            }
            std::string name;
            if (!read_name(name)) return false;
            if (!read_value(member(value, std::move(name)), depth + 1)) return false;
        }
    }
    bool read_name(std::string& name) {
        if (peek() != '"') return unexpected(at_, "was expecting double-quote to start field name");
        ++at_;
        if (!read_string(name, "name", " in field name") || !skip_blanks()) return false;
        if (at_end()) return ended(" within/between Object entries");
        if (peek() != ':')
            return unexpected(at_, "was expecting a colon to separate field name and value");
        ++at_;
        if (!skip_blanks()) return false;
        return at_end() ? ended(" within/between Object entries") : true;
    }
    static JacksonValue& member(JacksonValue& value, std::string name) {
        for (auto& [known, old] : value.members) {
            if (known == name) return old = JacksonValue();
        }
        return value.members.emplace_back(std::move(name), JacksonValue()).second;
    }

    std::string_view text_;
    size_t at_ = 0;
    JacksonProblem problem_;
};

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        constexpr std::string_view kMeanings = "\b\f\n\r\t\"\\";
        constexpr std::string_view kLetters = "bfnrt\"\\";
        if (const size_t found = kMeanings.find(c); found != std::string_view::npos) {
            out += '\\';
            out += kLetters[found];
        } else if (static_cast<uint8_t>(c) < 0x20) {
            out += fmt::format("\\u{:04X}", c);
        } else {
            out += c;
        }
    }
    return out + '"';
}

}  // namespace

const JacksonValue* JacksonValue::get(std::string_view name) const {
    for (const auto& [known, value] : members) {
        if (known == name) return &value;
    }
    return nullptr;
}

std::string JacksonValue::to_string() const {
    switch (kind) {
        case Kind::Missing: return "";
        case Kind::Null: return "null";
        case Kind::Bool: return truth ? "true" : "false";
        case Kind::Int: return std::to_string(number);
        case Kind::BigInt:
        case Kind::Double: return text;
        case Kind::Text: return quoted(text);
        case Kind::Array:
        case Kind::Object: break;
    }
    std::string out;
    for (const JacksonValue& element : elements)
        out += (out.empty() ? "" : ",") + element.to_string();
    for (const auto& [name, member] : members)
        out += (out.empty() ? "" : ",") + quoted(name) + ":" + member.to_string();
    return kind == Kind::Array ? "[" + out + "]" : "{" + out + "}";
}

std::string JacksonProblem::to_string() const {
    return message + "\n at " + fmt::format(fmt::runtime(kSource), at.line, at.column);
}

JacksonProblem read_jackson(std::string_view text, JacksonValue& value) {
    return Reader(text).read(value);
}

}  // namespace millrace::cli
