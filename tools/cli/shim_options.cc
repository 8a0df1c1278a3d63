// tools/cli/shim_options.cc: options as joptsimple reads them.
#include "cli/shim_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <limits>
#include <sstream>

#include "cli/group_reset.h"
#include "cli/shim.h"
#include "cli/shim_java.h"

namespace millrace::cli {
namespace {

constexpr const char* kKafkaVersion = "4.3.1";

std::vector<ShimOption> with_defaults(std::vector<ShimOption> table) {
    table.push_back({"help", Takes::Nothing, "", "Show this list."});
    table.push_back({"version", Takes::Nothing, "", "Show the version of Kafka played here."});
    return table;
}

void print_help(std::vector<ShimOption> table) {
    constexpr size_t kLeftMax = 40;
    std::sort(table.begin(), table.end(), [](const ShimOption& a, const ShimOption& b) {
        return std::string_view(a.name) < b.name;
    });
    std::cerr << fmt::format("{:<{}}{}\n{:<{}}{}\n", "Option", kLeftMax, "Description", "------",
                             kLeftMax, "-----------");
    for (const ShimOption& option : table) {
        std::string left = std::string("--") + option.name;
        if (option.takes != Takes::Nothing) {
            const std::string what = *option.describes != '\0'          ? option.describes
                                     : option.kind == ValueKind::Text    ? "String"
                                     : option.kind == ValueKind::Integer ? "Integer"
                                                                         : "Long";
            left += option.takes == Takes::Value ? " <" + what + ">" : " [" + what + "]";
        }
        if (left.size() + 1 > kLeftMax) left += "\n" + std::string(kLeftMax, ' ');
        const std::string fallback =
            option.fallback != nullptr ? fmt::format(" (default: {})", option.fallback) : "";
        std::cerr << fmt::format("{:<{}}{}{}\n", left, kLeftMax, option.help, fallback);
    }
}

bool looks_like_an_option(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

}  // namespace

ShimOptions::ShimOptions(std::vector<ShimOption> table, const std::vector<std::string>& words)
    : table_(with_defaults(std::move(table))) {
    parse(words);
}

const ShimOption* ShimOptions::find(const std::string& name) const {
    for (const ShimOption& option : table_) {
        if (name == option.name) return &option;
    }
    return nullptr;
}

void ShimOptions::parse(const std::vector<std::string>& words) {
    for (size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "--") return;
        if (!looks_like_an_option(words[i])) continue;  // taken, and not looked at
        const bool is_long = words[i].starts_with("--");
        std::string name = words[i].substr(is_long ? 2 : 1);
        std::optional<std::string> value;
        if (const size_t equals = name.find('='); equals != std::string::npos) {
            value = name.substr(equals + 1);
            name.resize(equals);
        }
        const ShimOption* option = find(name);
        if (option == nullptr) {
            throw OptionProblem{"UnrecognizedOptionException",
                                (is_long ? name : name.substr(0, 1)) +
                                    " is not a recognized option"};
        }
        if (option->takes == Takes::Value && !value) {
            if (i + 1 == words.size()) {
                throw OptionProblem{"OptionMissingRequiredArgumentException",
                                    fmt::format("Option {} requires an argument", name)};
            }
            value = words[++i];
        } else if (option->takes == Takes::OptionalValue && !value && i + 1 < words.size() &&
                   !looks_like_an_option(words[i + 1])) {
            value = words[++i];
        }
        given_[name].push_back(value);
        order_.push_back(name);
    }
}

std::optional<std::string> ShimOptions::value(const std::string& name) const {
    const auto found = given_.find(name);
    if (found == given_.end()) {
        const ShimOption* option = find(name);
        if (option == nullptr || option->fallback == nullptr) return std::nullopt;
        return option->fallback;
    }
    if (found->second.size() > 1) {
        throw OptionProblem{
            "MultipleArgumentsForOptionException",
            fmt::format("Found multiple arguments for option {}, but you asked for only one",
                        name)};
    }
    return found->second.front();
}

std::optional<int64_t> ShimOptions::number(const std::string& name) const {
    const auto text = value(name);
    if (!text) return std::nullopt;
    const char* begin = text->c_str() + (text->starts_with("+") ? 1 : 0);
    const char* end = text->c_str() + text->size();
    int64_t number = 0;
    const auto [stop, error] = std::from_chars(begin, end, number);
    const bool small = find(name)->kind == ValueKind::Integer;
    const bool fits = !small || (number >= std::numeric_limits<int32_t>::min() &&
                                 number <= std::numeric_limits<int32_t>::max());
    if (error != std::errc() || stop != end || !fits) {
        throw OptionProblem{"OptionArgumentConversionException",
                            fmt::format("Cannot parse argument '{}' of option {}", *text, name)};
    }
    return number;
}

std::vector<std::string> ShimOptions::values(const std::string& name) const {
    std::vector<std::string> found;
    if (const auto given = given_.find(name); given != given_.end()) {
        for (const auto& value : given->second) {
            if (value) found.push_back(*value);
        }
    }
    return found;
}

void ShimOptions::usage(const std::string& message) const {
    std::cout.flush();
    std::cerr << message << '\n';
    print_help(table_);
    throw ShimExit{1};
}

void shim_usage(std::vector<ShimOption> table, const std::string& message) {
    std::cerr << message << '\n';
    print_help(with_defaults(std::move(table)));
    throw ShimExit{1};
}

void ShimOptions::help_or_version(const std::string& message) const {
    if (has("help")) usage(message);
    if (!has("version")) return;
    std::cout << kKafkaVersion << '\n';
    throw ShimExit{0};
}

void ShimOptions::require(const std::string& name) const {
    if (!has(name)) usage(fmt::format("Missing required argument \"[{}]\"", name));
}

void ShimOptions::exclusive(const std::string& one, const std::string& other) const {
    if (!has(one) || !has(other)) return;
    usage(fmt::format("Options --{} and --{} cannot be specified together.", one, other));
}

void ShimOptions::forbid(const std::string& used, const std::vector<std::string>& invalid) const {
    if (!has(used)) return;
    for (const std::string& other : invalid) {
        if (has(other)) {
            usage(fmt::format("Option \"[{}]\" can't be used with option \"[{}]\"", used, other));
        }
    }
}

std::map<std::string, std::string> read_properties(const std::string& path) {
    std::map<std::string, std::string> properties;
    std::istringstream lines(read_file(path));
    for (std::string line; std::getline(lines, line);) {
        const auto trim = [](std::string text) {
            const size_t from = text.find_first_not_of(" \t\r");
            if (from == std::string::npos) return std::string();
            return text.substr(from, text.find_last_not_of(" \t\r") - from + 1);
        };
        line = trim(line);
        if (line.empty() || line[0] == '#' || line[0] == '!') continue;
        const size_t at = line.find_first_of("=:");
        if (at == std::string::npos)
            properties[line] = "";
        else
            properties[trim(line.substr(0, at))] = trim(line.substr(at + 1));
    }
    return properties;
}

std::map<std::string, std::string> key_values(const std::vector<std::string>& words) {
    std::map<std::string, std::string> found;
    for (const std::string& word : words) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos)
            found[word] = "";
        else
            found[word.substr(0, equals)] = word.substr(equals + 1);
    }
    return found;
}

Context shim_context(const std::string& servers, int timeout_ms, const std::string& client_id,
                     const std::map<std::string, std::string>& properties) {
    const auto protocol = properties.find("security.protocol");
    if (protocol != properties.end() && protocol->second != "PLAINTEXT") {
        throw Failure{kUsage, fmt::format("security.protocol={} is not served by this shim",
                                          protocol->second),
                      ""};
    }
    Context context;
    context.bootstrap = servers;
    context.timeout_ms = timeout_ms;
    const auto id = properties.find("client.id");
    context.client_id = id == properties.end() ? client_id : id->second;
    return context;
}

}  // namespace millrace::cli
