// src/app/config_file.h: reads a node's config file, and reports what is wrong with it by line.
//
// Two forms with the same keys: Java properties (Kafka's server.properties as it is) and YAML (flat
// or nested by dots, lists joined). The form is told by the file's extension, then by its text.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/rack_file.h"
#include "millrace/broker/config.h"

namespace millrace::app {

enum class NoteLevel { Warning, Error };

/// Something to say about one place of the file. Line 0: about the file as a whole.
struct ConfigNote {
    NoteLevel level = NoteLevel::Error;
    int line = 0;
    int column = 0;
    std::string text;
    std::string hint;  // printed under the line, behind the carets
    size_t width = 0;  // carets
};

struct ConfigPlace {
    int line = 0;
    int column = 0;
};

/// The file's keys, and where each stands.
struct ConfigFile {
    std::string path;
    bool yaml = false;
    std::vector<std::string> lines;
    metadata::ConfigMap values;
    std::map<std::string, ConfigPlace, std::less<>> places;
    std::vector<ConfigNote> notes;  // found while reading
    bool readable() const;          // no note is an error
};

ConfigFile parse_config_text(std::string path, const std::string& text);
/// A file that cannot be read has one note.
ConfigFile read_config_file(const std::string& path);
/// Java's Properties.load: logical lines, separators, escapes. Bytes are ISO-8859-1.
void parse_properties(const std::string& text, ConfigFile& file);
void parse_yaml(const std::string& text, ConfigFile& file);
/// Notes the value under its key; a key seen before is a note (a warning in properties, where the
/// last one wins, an error in YAML).
void put_value(ConfigFile& file, const std::string& key, std::string value, ConfigPlace place);

/// All notes: those of reading, unknown keys (errors in YAML; in properties warnings unless
/// `strict`), values that are not valid, rules broken, keys without effect. Sorted by line.
std::vector<ConfigNote> check_config_file(const ConfigFile& file, bool strict);
/// As compilers print: file:line:column, the line, carets; then one line of verdict.
std::string print_notes(const ConfigFile& file, const std::vector<ConfigNote>& notes);
bool any_error(const std::vector<ConfigNote>& notes);
/// "FILE:LINE: what" of the first error; "" when there is none.
std::string first_error(const ConfigFile& file, const std::vector<ConfigNote>& notes);

/// For `rack set`: what the node reads, and all that `config check` calls an error.
cli::ConfigText config_text(const std::string& path, const std::string& text);

/// One key of the reference; the words of its columns.
struct ConfigReferenceRow {
    const char* resource;  // "broker", "topic", ...
    std::string key;
    const char* effect;    // works, no effect, refused
    std::string type;
    std::optional<std::string> standard;  // the default
    bool required;
    std::string valid;
    const char* dynamic;   // brokers only: "", "yes", "per broker"
    std::string broker_key;
    std::string text;
};
std::vector<ConfigReferenceRow> config_reference_rows();
/// config/REFERENCE.md: every key of the table in Markdown.
std::string config_reference();

}  // namespace millrace::app
