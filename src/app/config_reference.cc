// src/app/config_reference.cc: prints config/REFERENCE.md from the table of config keys.
#include <fmt/core.h>

#include "app/config_file.h"

namespace millrace::app {
namespace {

using metadata::ConfigEffect;
using metadata::ConfigKey;
using metadata::ConfigResource;
using metadata::DynamicMode;

std::string cell(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '|' || c == '<') out += '\\';
        out += c;
    }
    return out;
}

const char* effect_word(ConfigEffect effect) {
    switch (effect) {
        case ConfigEffect::Works: return "works";
        case ConfigEffect::NoEffect: return "no effect";
        case ConfigEffect::Refused: return "refused";
    }
    MILLRACE_UNREACHABLE("config effect");
}

const char* mode_word(DynamicMode mode) {
    switch (mode) {
        case DynamicMode::ReadOnly: return "";
        case DynamicMode::PerBroker: return "per broker";
        case DynamicMode::ClusterWide: return "yes";
    }
    MILLRACE_UNREACHABLE("dynamic mode");
}

std::string default_word(const ConfigKey& key) {
    if (key.required) return "required";
    if (key.default_text == nullptr) return "";
    return *key.default_text == '\0' ? "(empty)" : fmt::format("`{}`", key.default_text);
}

void print_table(std::string& out, ConfigResource resource, const char* title) {
    const bool broker = resource == ConfigResource::Broker;
    const bool inherits = resource == ConfigResource::Topic || resource == ConfigResource::Group;
    out += fmt::format("\n## {}\n\n", title);
    out += fmt::format("| key | here | type | default | valid |{} what it does |\n",
                       broker     ? " dynamic |"
                       : inherits ? " broker key |"
                                  : "");
    out += fmt::format("|---|---|---|---|---|{}---|\n", broker || inherits ? "---|" : "");
    for (const ConfigKey* key : metadata::config_keys(resource)) {
        std::string extra;
        if (broker) extra = fmt::format(" {} |", mode_word(key->mode));
        if (inherits) extra = fmt::format(" {} |", key->broker_synonyms);
        out += fmt::format("| `{}` | {} | {} | {} | {} |{} {} |\n", key->name,
                           effect_word(key->effect), metadata::config_type_name(key->type),
                           default_word(*key), cell(metadata::valid_values_text(*key)), extra,
                           cell(key->doc));
    }
}

struct Section {
    ConfigResource resource;
    const char* name;
    const char* title;
};
constexpr Section kSections[] = {{ConfigResource::Broker, "broker", "Nodes"},
                                 {ConfigResource::Topic, "topic", "Topics"},
                                 {ConfigResource::Group, "group", "Groups"},
                                 {ConfigResource::ClientMetrics, "client-metrics",
                                  "Client metrics"}};

}  // namespace

std::vector<ConfigReferenceRow> config_reference_rows() {
    std::vector<ConfigReferenceRow> rows;
    for (const Section& section : kSections) {
        for (const ConfigKey* key : metadata::config_keys(section.resource)) {
            ConfigReferenceRow row;
            row.resource = section.name;
            row.key = key->name;
            row.effect = effect_word(key->effect);
            row.type = metadata::config_type_name(key->type);
            if (key->default_text != nullptr) row.standard = key->default_text;
            row.required = key->required;
            row.valid = metadata::valid_values_text(*key);
            row.dynamic = section.resource == ConfigResource::Broker ? mode_word(key->mode) : "";
            row.broker_key = key->broker_synonyms;
            row.text = key->doc;
            rows.push_back(std::move(row));
        }
    }
    return rows;
}

std::string config_reference() {
    std::string out =
        "# Configuration reference\n\n"
        "Made by `millrace config reference` from the table in src/metadata; do not edit. The "
        "keys,\n"
        "types, defaults and limits are those of Apache Kafka 4.3.1. The column *here* says what\n"
        "setting a key does in Millrace: **works**; **no effect**: accepted, stored and shown, so "
        "that\n"
        "tools and existing files do not break; **refused**: any value but the default is an "
        "error,\n"
        "because ignoring it would change what the operator means. *dynamic*: whether the key can "
        "be\n"
        "changed while the node runs, cluster-wide (yes) or on one node only (per broker).\n";
    for (const Section& section : kSections) print_table(out, section.resource, section.title);
    return out;
}

}  // namespace millrace::app
