// src/app/config_file.cc: reads a node's config file and prints what is wrong with it.
#include "app/config_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

namespace millrace::app {
namespace {

using metadata::ConfigKey;
using metadata::ConfigResource;

constexpr size_t kFileBytesMax = 4 * 1024 * 1024;

std::vector<std::string> split_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::string line;
    for (char c : text) {
        if (c == '\n') {
            lines.push_back(std::move(line));
            line.clear();
        } else if (c != '\r') {
            line += c;
        }
    }
    if (!line.empty()) lines.push_back(std::move(line));
    return lines;
}

/// By extension; else YAML when the first line with content reads "key: value" or "key:".
bool looks_like_yaml(const std::string& path, const std::vector<std::string>& lines) {
    if (path.ends_with(".yaml") || path.ends_with(".yml")) return true;
    if (path.ends_with(".properties") || path.ends_with(".conf")) return false;
    for (const std::string& line : lines) {
        const size_t start = line.find_first_not_of(" \t");
        if (start == std::string::npos || line[start] == '#' || line[start] == '!') continue;
        if (line.compare(start, 3, "---") == 0) return true;
        const size_t mark = line.find_first_of("=: ", start);
        return mark != std::string::npos && line[mark] == ':' &&
               (mark + 1 == line.size() || line[mark + 1] == ' ');
    }
    return false;
}

ConfigPlace place_of(const ConfigFile& file, std::string_view key) {
    const auto found = file.places.find(key);
    return found != file.places.end() ? found->second : ConfigPlace();
}

ConfigNote note_at(const ConfigFile& file, std::string_view key, NoteLevel level,
                   std::string text) {
    const ConfigPlace place = place_of(file, key);
    ConfigNote note;
    note.level = level;
    note.line = place.line;
    note.column = place.column;
    note.text = std::move(text);
    return note;
}

/// The longest key of the file that the sentence names.
std::string key_named_in(const ConfigFile& file, const std::string& sentence) {
    std::string best;
    for (const auto& [key, value] : file.values) {
        if (key.size() > best.size() && sentence.find(key) != std::string::npos) best = key;
    }
    return best;
}

void check_unknown_keys(const ConfigFile& file, bool strict, std::set<std::string>& unknown,
                        std::vector<ConfigNote>& notes) {
    for (const auto& [key, value] : file.values) {
        if (metadata::find_config_key(ConfigResource::Broker, key) != nullptr) continue;
        if (key.starts_with("listener.name.") || key.starts_with("config.providers.")) continue;
        if (key == "zookeeper.connect") continue;  // a broken rule says more
        unknown.insert(key);
        const bool error = file.yaml || strict;
        ConfigNote note = note_at(file, key, error ? NoteLevel::Error : NoteLevel::Warning,
                                  fmt::format("unknown key '{}'{}", key,
                                              error ? "" : " is ignored, as Kafka ignores it"));
        const auto near = metadata::nearest_config_keys(ConfigResource::Broker, key);
        if (!near.empty()) {
            note.hint = fmt::format("did you mean '{}'?", near.front());
            note.width = key.size();
        }
        notes.push_back(std::move(note));
    }
}

}  // namespace

bool any_error(const std::vector<ConfigNote>& notes) {
    return std::any_of(notes.begin(), notes.end(),
                       [](const ConfigNote& n) { return n.level == NoteLevel::Error; });
}

std::string first_error(const ConfigFile& file, const std::vector<ConfigNote>& notes) {
    for (const ConfigNote& note : notes) {
        if (note.level != NoteLevel::Error) continue;
        return note.line > 0 ? fmt::format("{}:{}: {}", file.path, note.line, note.text)
                             : fmt::format("{}: {}", file.path, note.text);
    }
    return "";
}

bool ConfigFile::readable() const { return !any_error(notes); }

void put_value(ConfigFile& file, const std::string& key, std::string value, ConfigPlace place) {
    if (const auto before = file.places.find(key); before != file.places.end()) {
        ConfigNote note;
        note.level = file.yaml ? NoteLevel::Error : NoteLevel::Warning;
        note.line = place.line;
        note.column = place.column;
        note.text = fmt::format("'{}' is set twice (first at line {}){}", key, before->second.line,
                                file.yaml ? "" : "; this one counts");
        file.notes.push_back(std::move(note));
    }
    file.values[key] = std::move(value);
    file.places[key] = place;
}

ConfigFile parse_config_text(std::string path, const std::string& text) {
    ConfigFile file;
    file.path = std::move(path);
    file.lines = split_lines(text);
    file.yaml = looks_like_yaml(file.path, file.lines);
    if (file.yaml) {
        parse_yaml(text, file);
    } else {
        parse_properties(text, file);
    }
    return file;
}

ConfigFile read_config_file(const std::string& path) {
    ConfigFile failed;
    failed.path = path;
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    std::string why = in.is_open() ? "" : "the file cannot be opened";
    if (why.empty() && !(text << in.rdbuf())) why = "the file is empty or cannot be read";
    if (why.empty() && text.str().size() > kFileBytesMax) why = "the file is larger than 4 MiB";
    if (!why.empty()) {
        ConfigNote note;
        note.text = why;
        failed.notes.push_back(std::move(note));
        return failed;
    }
    return parse_config_text(path, text.str());
}

std::vector<ConfigNote> check_config_file(const ConfigFile& file, bool strict) {
    std::vector<ConfigNote> notes = file.notes;
    if (file.values.empty()) return notes;  // nothing was read, so nothing more can be said
    std::set<std::string> unknown;
    check_unknown_keys(file, strict, unknown, notes);
    for (const std::string& fault : broker::all_config_faults(file.values)) {
        notes.push_back(note_at(file, key_named_in(file, fault), NoteLevel::Error, fault));
    }
    std::vector<broker::ConfigWarning> warnings;
    if (!any_error(notes)) {
        const auto made = broker::make_broker_config(file.values, &warnings);
        MILLRACE_ASSERT(made.ok(), "a config without faults can be made");
    }
    for (const broker::ConfigWarning& w : warnings) {
        if (unknown.contains(w.key)) continue;
        notes.push_back(
            note_at(file, w.key, NoteLevel::Warning, fmt::format("'{}' {}", w.key, w.text)));
    }
    std::stable_sort(notes.begin(), notes.end(),
                     [](const ConfigNote& a, const ConfigNote& b) { return a.line < b.line; });
    return notes;
}

cli::ConfigText config_text(const std::string& path, const std::string& text) {
    const ConfigFile file = parse_config_text(path, text);
    cli::ConfigText read;
    read.yaml = file.yaml;
    read.values = {file.values.begin(), file.values.end()};
    read.unreadable = first_error(file, file.notes);
    for (const ConfigNote& note : check_config_file(file, false)) {
        if (note.level == NoteLevel::Error) read.faults.insert(note.text);
    }
    return read;
}

std::string print_notes(const ConfigFile& file, const std::vector<ConfigNote>& notes) {
    std::string out;
    size_t errors = 0;
    for (const ConfigNote& note : notes) {
        const bool error = note.level == NoteLevel::Error;
        errors += error ? 1 : 0;
        const char* level = error ? "error" : "warning";
        if (note.line == 0) {
            out += fmt::format("{}  {:<8} {}\n", file.path, level, note.text);
            continue;
        }
        out += fmt::format("{}:{}:{}  {:<8} {}\n", file.path, note.line, note.column, level,
                           note.text);
        const size_t index = static_cast<size_t>(note.line) - 1;
        if (note.hint.empty() || index >= file.lines.size()) continue;
        const std::string carets(std::max<size_t>(note.width, 1), '^');
        out += fmt::format("{:>5} | {}\n", note.line, file.lines[index]);
        out += fmt::format("{:>5} | {:>{}}{} {}\n", "", "", std::max(note.column - 1, 0), carets,
                           note.hint);
    }
    const size_t warnings = notes.size() - errors;
    const auto count = [](size_t n, const char* word) {
        return fmt::format("{} {}{}", n, word, n == 1 ? "" : "s");
    };
    out +=
        fmt::format("{}: {}, {}\n", errors == 0 ? "server would start" : "server would not start",
                    count(errors, "error"), count(warnings, "warning"));
    return out;
}

}  // namespace millrace::app
