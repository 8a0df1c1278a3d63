// src/metadata/config_parse.cc: turns config text into values and checks them as ConfigDef does.
//
// The sentences are Kafka's, because clients and scripts match on them. Values inside a sentence
// are printed as Java prints the object at hand: the raw text while parsing, the parsed value in
// a validator.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "millrace/metadata/config_def.h"

namespace millrace::metadata {
namespace {

bool is_blank(char c) { return static_cast<unsigned char>(c) <= ' '; }

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back()))
        text.remove_suffix(1);
    return text;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignore_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [](char x, char y) { return lower(x) == lower(y); });
}

Status invalid(const ConfigKey& key, std::string_view value, std::string_view why) {
    return {Errc::InvalidInput,
            fmt::format("Invalid value {} for configuration {}: {}", value, key.name, why)};
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
    std::string text;
    for (const std::string& part : parts) {
        if (&part != &parts.front()) text += between;
        text += part;
    }
    return text;
}

/// Split at commas; blanks around them are cut (Java: split("\\s*,\\s*", -1)).
std::vector<std::string> split_raw(std::string_view text) {
    std::vector<std::string> parts;
    text = trim(text);
    if (text.empty()) return parts;
    while (true) {
        const size_t comma = text.find(',');
        parts.emplace_back(trim(text.substr(0, comma)));
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

void drop_duplicates(std::vector<std::string>& parts) {
    std::vector<std::string> kept;
    for (std::string& part : parts) {
        if (std::find(kept.begin(), kept.end(), part) == kept.end()) kept.push_back(part);
    }
    parts = std::move(kept);
}

/// Integer.parseInt and its kin: an optional sign and decimal digits, nothing else.
std::optional<int64_t> parse_integer(std::string_view text, int64_t low, int64_t high) {
    if (!text.empty() && text.front() == '+') {
        text.remove_prefix(1);
        if (!text.empty() && text.front() == '-') return std::nullopt;
    }
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
    if (value < low || value > high) return std::nullopt;
    return value;
}

/// Double.parseDouble for decimal text, with its suffixes; hexadecimal forms are not accepted.
std::optional<double> parse_double(std::string_view text) {
    std::string_view digits = text;
    bool negative = false;
    if (!digits.empty() && (digits.front() == '+' || digits.front() == '-')) {
        negative = digits.front() == '-';
        digits.remove_prefix(1);
    }
    if (digits == "NaN") return std::nan("");
    if (digits == "Infinity") return negative ? -HUGE_VAL : HUGE_VAL;
    if (digits.size() > 1 && std::string_view("fFdD").find(digits.back()) != std::string::npos) {
        digits.remove_suffix(1);
    }
    if (digits.empty() ||
        (!(digits.front() >= '0' && digits.front() <= '9') && digits.front() != '.')) {
        return std::nullopt;
    }
    double value = 0;
    const char* end_of_text = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), end_of_text, value);
    if (end != end_of_text || error == std::errc::invalid_argument) return std::nullopt;
    if (error == std::errc::result_out_of_range) value = std::strtod(digits.data(), nullptr);
    return negative ? -value : value;
}

/// Double.toString: plain from 1e-3 to 1e7, else one digit before the point and an exponent.
std::string java_double(double d) {
    if (std::isnan(d)) return "NaN";
    if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
    char room[64];
    const double size = std::fabs(d);
    const bool plain = size == 0 || (size >= 1e-3 && size < 1e7);
    const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
    const auto [end, error] = std::to_chars(room, room + sizeof room, d, format);
    MILLRACE_ASSERT(error == std::errc(), "64 characters hold any double");
    std::string text(room, end);
    if (plain) return text.find('.') == std::string::npos ? text + ".0" : text;
    const size_t e = text.find('e');
    std::string mantissa = text.substr(0, e);
    if (mantissa.find('.') == std::string::npos) mantissa += ".0";
    const int exponent = std::atoi(text.c_str() + e + 1);
    return fmt::format("{}E{}", mantissa, exponent);
}

Result<ConfigValue> parse_type(const ConfigKey& key, std::string_view text) {
    const std::string_view trimmed = trim(text);
    const auto number = [&](int64_t low, int64_t high) -> Result<ConfigValue> {
        const auto value = parse_integer(trimmed, low, high);
        if (!value) {
            return invalid(key, text,
                           fmt::format("Not a number of type {}", config_type_name(key.type)));
        }
        return ConfigValue(*value);
    };
    switch (key.type) {
        case ConfigType::Boolean:
            if (equal_ignore_case(trimmed, "true")) return ConfigValue(true);
            if (equal_ignore_case(trimmed, "false")) return ConfigValue(false);
            return invalid(key, text, "Expected value to be either true or false");
        case ConfigType::Short: return number(INT16_MIN, INT16_MAX);
        case ConfigType::Int: return number(INT32_MIN, INT32_MAX);
        case ConfigType::Long: return number(INT64_MIN, INT64_MAX);
        case ConfigType::Double: {
            const auto value = parse_double(trimmed);
            if (!value) return invalid(key, text, "Not a number of type DOUBLE");
            return ConfigValue(*value);
        }
        case ConfigType::List: return ConfigValue(split_raw(trimmed));
        case ConfigType::Unknown:
        case ConfigType::String:
        case ConfigType::Class:
        case ConfigType::Password: return ConfigValue(std::string(trimmed));
    }
    MILLRACE_UNREACHABLE("config type");
}

bool is_one_of(const char* words, std::string_view value, bool ignore_case) {
    for (const std::string& word : split_raw(words)) {
        if (ignore_case ? equal_ignore_case(word, value) : word == value) return true;
    }
    return false;
}

Status check_range(const ConfigKey& key, const ConfigValue& value) {
    const double number = std::holds_alternative<double>(value)
                              ? std::get<double>(value)
                              : static_cast<double>(std::get<int64_t>(value));
    const std::string text = config_value_text(value).value_or("");
    if (number < key.validator.low) {
        return invalid(key, text, fmt::format("Value must be at least {}", key.validator.low));
    }
    if (number > key.validator.high) {
        return invalid(key, text, fmt::format("Value must be no more than {}", key.validator.high));
    }
    return {};
}

Status check_list(const ConfigKey& key, const std::vector<std::string>& values) {
    const char* words = key.validator.words;
    const bool any_word = *words == '\0';
    if (values.empty() && !key.validator.empty_allowed) {
        return {
            Errc::InvalidInput,
            fmt::format("Configuration '{}' must not be empty. Valid values include: {}", key.name,
                        any_word ? "any non-empty value" : fmt::format("[{}]", words))};
    }
    for (const std::string& value : values) {
        if (value.empty()) {
            return {Errc::InvalidInput,
                    fmt::format("Configuration '{}' values must not be empty.", key.name)};
        }
        if (!any_word && !is_one_of(words, value, false)) {
            return invalid(key, value, fmt::format("String must be one of: {}", words));
        }
    }
    return {};
}

bool all_digits(std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status check_throttled(const ConfigKey& key, const std::vector<std::string>& values) {
    const bool pairs = std::all_of(values.begin(), values.end(), [](const std::string& value) {
        const size_t colon = value.find(':');
        return value.empty() || (colon != std::string::npos &&
                                 all_digits(std::string_view(value).substr(0, colon)) &&
                                 all_digits(std::string_view(value).substr(colon + 1)));
    });
    if (pairs || joined(values, "") == "*") return {};
    return invalid(key, "[" + joined(values, ", ") + "]",
                   fmt::format("{} must be the literal '*' or a list of replicas in the following "
                               "format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                               key.name));
}

/// Host, and where the ':' before the port stands: Utils.getHost and getPort.
struct HostPort {
    std::string_view host;
    std::optional<int64_t> port;
};
std::optional<HostPort> split_host_port(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || !all_digits(text.substr(colon + 1))) return {};
    std::string_view host = text.substr(0, colon);
    if (const size_t scheme = host.rfind("://"); scheme != std::string_view::npos) {
        host.remove_prefix(scheme + 3);
    }
    if (!host.empty() && host.front() == '[') host.remove_prefix(1);
    if (!host.empty() && host.back() == ']') host.remove_suffix(1);
    const bool known = std::all_of(host.begin(), host.end(), [](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') ||
               std::string_view("-%._:").find(c) != std::string_view::npos;
    });
    if (!known) return {};
    return HostPort{host, parse_integer(text.substr(colon + 1), 0, INT32_MAX)};
}

Status check_voters(const ConfigKey& key, const std::vector<std::string>& values) {
    constexpr const char* kForm = "Each entry should be in the form `{id}@{host}:{port}`.";
    for (const std::string& entry : values) {
        const size_t at = entry.find('@');
        if (at == std::string::npos || entry.find('@', at + 1) != std::string::npos ||
            at + 1 == entry.size()) {
            return {Errc::InvalidInput,
                    fmt::format("Invalid configuration value for {}. {}", key.name, kForm)};
        }
        const std::string id = entry.substr(0, at);
        if (!parse_integer(id, INT32_MIN, INT32_MAX)) {
            return {Errc::InvalidInput, "Failed to parse voter ID as an integer from " + id};
        }
        const auto address = split_host_port(std::string_view(entry).substr(at + 1));
        if (!address || !address->port) {
            return {
                Errc::InvalidInput,
                fmt::format("Failed to parse host {} from entry {} for the configuration {}. {}",
                            address ? "port" : "name", entry, key.name, kForm)};
        }
    }
    return {};
}

Status check_servers(const ConfigKey& key, const std::vector<std::string>& values) {
    for (const std::string& entry : values) {
        const auto address = split_host_port(entry);
        if (address && address->port) continue;
        return {Errc::InvalidInput,
                fmt::format("Failed to parse host {} from {} for the configuration {}. Each entry "
                            "should be in the form \"{{host}}:{{port}}\"",
                            address ? "port" : "name", entry, key.name)};
    }
    return {};
}

/// A non-negative ISO 8601 duration of days, hours, minutes and seconds (java.time.Duration).
bool is_duration(std::string_view text) {
    if (!text.empty() && text.front() == '+') text.remove_prefix(1);
    if (text.size() < 3 || lower(text.front()) != 'p') return false;
    text.remove_prefix(1);
    std::string_view units = "dhms";
    bool in_time = false;
    while (!text.empty()) {
        if (lower(text.front()) == 't') {
            if (in_time) return false;
            in_time = true;
            text.remove_prefix(1);
        }
        size_t digits = 0;
        while (digits < text.size() && ((text[digits] >= '0' && text[digits] <= '9') ||
                                        text[digits] == '.' || text[digits] == '+')) {
            ++digits;
        }
        if (digits == 0 || digits == text.size()) return false;
        const size_t unit = units.find(lower(text[digits]));
        if (unit == std::string_view::npos) return false;
        if ((units[unit] == 'd') == in_time) return false;
        units.remove_prefix(unit + 1);
        text.remove_prefix(digits + 1);
    }
    return true;
}

Status check_offset_reset(const ConfigKey& key, const std::string& value) {
    constexpr std::string_view kPrefix = "by_duration:";
    if (value == "latest" || value == "earliest") return {};
    if (value.starts_with(kPrefix) && is_duration(std::string_view(value).substr(kPrefix.size()))) {
        return {};
    }
    return invalid(key, value,
                   fmt::format("Invalid value `{}` for configuration {}. The value must be either "
                               "'earliest', 'latest' or of the format "
                               "'by_duration:<PnDTnHnMn.nS>'.",
                               value, key.name));
}

Status validate(const ConfigKey& key, ConfigValue& value) {
    const Validator& v = key.validator;
    switch (v.kind) {
        case ValidatorKind::Any:
        case ValidatorKind::NonNull: return {};
        case ValidatorKind::NonEmptyString:
            return std::get<std::string>(value).empty()
                       ? invalid(key, "", "String must be non-empty")
                       : Status();
        case ValidatorKind::Range: return check_range(key, value);
        case ValidatorKind::GzipLevel: {
            const int64_t level = std::get<int64_t>(value);
            if (level == -1 || (level >= 1 && level <= 9)) return {};
            return invalid(key, std::to_string(level),
                           "Value must be between 1 and 9 or equal to -1");
        }
        case ValidatorKind::OneOf:
        case ValidatorKind::OneOfIgnoreCase: {
            const bool ignore_case = v.kind == ValidatorKind::OneOfIgnoreCase;
            const std::string& text = std::get<std::string>(value);
            if (is_one_of(v.words, text, ignore_case)) return {};
            return invalid(key, text,
                           fmt::format("String must be one of{}: {}",
                                       ignore_case ? " (case insensitive)" : "", v.words));
        }
        case ValidatorKind::ListOf: {
            auto& list = std::get<std::vector<std::string>>(value);
            drop_duplicates(list);
            return check_list(key, list);
        }
        case ValidatorKind::QuorumVoters:
            return check_voters(key, std::get<std::vector<std::string>>(value));
        case ValidatorKind::QuorumServers:
            return check_servers(key, std::get<std::vector<std::string>>(value));
        case ValidatorKind::ThrottledReplicas:
            return check_throttled(key, std::get<std::vector<std::string>>(value));
        case ValidatorKind::AutoOffsetReset:
            return check_offset_reset(key, std::get<std::string>(value));
    }
    MILLRACE_UNREACHABLE("validator kind");
}

}  // namespace

Result<ConfigValue> parse_config_value(const ConfigKey& key, std::string_view text) {
    MILLRACE_TRY_ASSIGN(ConfigValue value, parse_type(key, text));
    MILLRACE_TRY(validate(key, value));
    return value;
}

std::optional<std::string> config_value_text(const ConfigValue& value) {
    if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
    if (const bool* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
    if (const int64_t* n = std::get_if<int64_t>(&value)) return std::to_string(*n);
    if (const double* d = std::get_if<double>(&value)) return java_double(*d);
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
        return joined(*list, ",");
    }
    return std::get<std::string>(value);
}

std::optional<std::string> normal_config_text(const ConfigKey& key, std::string_view text) {
    const auto value = parse_config_value(key, text);
    if (!value.ok()) return std::nullopt;
    return config_value_text(*value);
}

std::vector<std::string> split_config_list(std::string_view text) {
    std::vector<std::string> parts = split_raw(text);
    drop_duplicates(parts);
    return parts;
}

}  // namespace millrace::metadata
