// src/app/config_yaml.cc: YAML with Kafka's keys; the only file that knows yaml-cpp.
#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <cctype>
#include <limits>
#include <optional>

#include "app/config_file.h"

namespace millrace::app {
namespace {

constexpr int kDepthMax = 16;

struct Unit {
    const char* word;
    int64_t factor;
};
constexpr Unit kTimeUnits[] = {{"ms", 1},         {"s", 1000},      {"m", 60'000},
                               {"min", 60'000},   {"h", 3'600'000}, {"d", 86'400'000},
                               {"w", 604'800'000}};
constexpr Unit kSizeUnits[] = {{"B", 1},           {"KiB", 1LL << 10},   {"MiB", 1LL << 20},
                               {"GiB", 1LL << 30}, {"TiB", 1LL << 40},   {"KB", 1000},
                               {"MB", 1'000'000},  {"GB", 1'000'000'000}};

/// What one unit of the key is in milliseconds; 0 when the key does not count time.
int64_t time_scale(std::string_view key) {
    if (key.ends_with(".ms") || key.ends_with(".millis")) return 1;
    if (key.ends_with(".seconds") || key.ends_with(".secs")) return 1000;
    if (key.ends_with(".minutes")) return 60'000;
    if (key.ends_with(".hours")) return 3'600'000;
    return 0;
}

/// "7d", "512MiB" in plain numbers for keys that count time or bytes; other text as it is.
std::string plain_number(const std::string& key, const std::string& text) {
    size_t digits = 0;
    while (digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits])))
        ++digits;
    if (digits == 0 || digits == text.size() || digits > 15) return text;
    std::string unit = text.substr(digits);
    unit.erase(0,
               unit.find_first_not_of(' ') == std::string::npos ? 0 : unit.find_first_not_of(' '));
    const int64_t number = std::stoll(text.substr(0, digits));
    const auto scaled = [&](int64_t factor, int64_t scale) -> std::string {
        if (number > std::numeric_limits<int64_t>::max() / factor) return text;
        const int64_t whole = number * factor;
        return whole % scale == 0 ? std::to_string(whole / scale) : text;
    };
    if (const int64_t scale = time_scale(key); scale != 0) {
        for (const Unit& u : kTimeUnits) {
            if (unit == u.word) return scaled(u.factor, scale);
        }
    } else if (key.find("bytes") != std::string::npos || key.ends_with(".size")) {
        for (const Unit& u : kSizeUnits) {
            if (unit == u.word) return scaled(u.factor, 1);
        }
    }
    return text;
}

ConfigPlace place_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

void add_error(ConfigFile& file, ConfigPlace place, std::string text) {
    ConfigNote note;
    note.line = place.line;
    note.column = place.column;
    note.text = std::move(text);
    file.notes.push_back(std::move(note));
}

void flatten(ConfigFile& file, const std::string& prefix, const YAML::Node& map, int depth) {
    for (const auto& pair : map) {
        const ConfigPlace place = place_of(pair.first.Mark());
        if (!pair.first.IsScalar() || depth == kDepthMax) {
            add_error(file, place, depth == kDepthMax ? "nested too deeply" : "a key must be text");
            continue;
        }
        const std::string key = prefix + pair.first.Scalar();
        const YAML::Node& value = pair.second;
        if (value.IsMap()) {
            flatten(file, key + ".", value, depth + 1);
        } else if (value.IsScalar()) {
            put_value(file, key, plain_number(key, value.Scalar()), place);
        } else if (value.IsSequence()) {
            std::string list;
            for (const YAML::Node& item : value) {
                if (!item.IsScalar()) {
                    add_error(file, place_of(item.Mark()),
                              fmt::format("an element of '{}' must be plain text", key));
                    continue;
                }
                if (!list.empty()) list += ',';
                list += item.Scalar();
            }
            put_value(file, key, list, place);
        } else {
            add_error(file, place,
                      fmt::format("'{}' has no value; write \"\" for the empty one", key));
        }
    }
}

}  // namespace

void parse_yaml(const std::string& text, ConfigFile& file) {
    try {
        const YAML::Node root = YAML::Load(text);
        if (root.IsNull()) return;
        if (!root.IsMap()) {
            add_error(file, {1, 1}, "the file must be a map of keys to values");
            return;
        }
        flatten(file, "", root, 0);
    } catch (const YAML::Exception& e) {
        add_error(file, place_of(e.mark), e.msg);
    }
}

}  // namespace millrace::app
