// tools/cli/shim_consumer_groups.cc: kafka-consumer-groups.sh: options, list, delete.
#include <fmt/core.h>

#include <algorithm>
#include <iostream>
#include <regex>

#include "cli/output.h"
#include "cli/shim.h"
#include "cli/shim_groups.h"
#include "cli/shim_java.h"

namespace millrace::cli {
namespace {

constexpr const char* kAbout =
    "This tool helps to list all consumer groups, describe a consumer group, delete consumer "
    "group info, or reset consumer group offsets.";
const std::vector<std::string> kScenarios = {"to-offset",   "shift-by",   "to-datetime",
                                             "by-duration", "to-earliest", "to-latest",
                                             "to-current",  "from-file"};

std::vector<ShimOption> table() {
    return {
        {"bootstrap-server", Takes::Value, "server to connect to",
         "Servers; required but for --validate-regex."},
        {"group", Takes::Value, "consumer group", "The group; repeatable."},
        {"topic", Takes::Value, "topic", "Topic, or topic:0,1,2; repeatable."},
        {"all-topics", Takes::Nothing, "", "Reset all topics the group has offsets for."},
        {"list", Takes::Nothing, "", "List groups."},
        {"describe", Takes::Nothing, "", "Show offsets and lag of groups."},
        {"all-groups", Takes::Nothing, "", "All consumer groups."},
        {"delete", Takes::Nothing, "", "Delete groups."},
        {"timeout", Takes::Value, "timeout (ms)", "Time limit.", "30000", ValueKind::Long},
        {"command-config", Takes::Value, "command config property file",
         "Properties of the client."},
        {"reset-offsets", Takes::Nothing, "", "Move the offsets of groups without members."},
        {"delete-offsets", Takes::Nothing, "", "Delete offsets of topics."},
        {"dry-run", Takes::Nothing, "", "Reset: only show."},
        {"execute", Takes::Nothing, "", "Reset: commit."},
        {"export", Takes::Nothing, "", "Reset: print as CSV."},
        {"to-offset", Takes::Value, "offset", "Reset to this.", nullptr, ValueKind::Long},
        {"from-file", Takes::Value, "path to CSV file", "Reset to what the file says."},
        {"to-datetime", Takes::Value, "datetime", "Reset to 'YYYY-MM-DDThh:mm:ss.sss'."},
        {"by-duration", Takes::Value, "duration", "Reset to 'PnDTnHnMnS' ago."},
        {"to-earliest", Takes::Nothing, "", "Reset to the start."},
        {"to-latest", Takes::Nothing, "", "Reset to the end."},
        {"to-current", Takes::Nothing, "", "Reset to where it is."},
        {"shift-by", Takes::Value, "number-of-offsets", "Reset by so many.", nullptr,
         ValueKind::Long},
        {"members", Takes::Nothing, "", "Describe members."},
        {"verbose", Takes::Nothing, "", "Describe more."},
        {"offsets", Takes::Nothing, "", "Describe offsets (the default)."},
        {"state", Takes::OptionalValue, "", "Describe states, or list with and by state."},
        {"type", Takes::OptionalValue, "", "List with and by type."},
        {"validate-regex", Takes::Value, "regex", "Say whether it is a regular expression."},
    };
}

/// joptsimple's availableIf.
void check_available(const ShimOptions& options) {
    const auto unavailable = [](const char* name) {
        throw OptionProblem{
            "UnavailableOptionException",
            fmt::format("Option(s) [{}] are unavailable given other options on the command line",
                        name)};
    };
    for (const char* name : {"members", "offsets", "verbose"}) {
        if (options.has(name) && !options.has("describe")) unavailable(name);
    }
    if (options.has("state") && !options.has("describe") && !options.has("list"))
        unavailable("state");
    if (options.has("type") && !options.has("list")) unavailable("type");
}

void check_reset(const ShimOptions& options) {
    if (options.has("dry-run") && options.has("execute"))
        options.usage("Option [reset-offsets] only accepts one of [execute] and [dry-run]");
    if (!options.has("dry-run") && !options.has("execute")) {
        std::cerr << "WARN: No action will be performed as the --execute option is missing. In "
                     "version 5.0, this command will require either --dry-run or --execute to be "
                     "specified. You should add the --dry-run option explicitly if you are "
                     "scripting this command and want to keep the current default behavior "
                     "without prompting.\n";
    }
    if (!options.has("group") && !options.has("all-groups"))
        options.usage("Option [reset-offsets] takes one of these options: [group], [all-groups]");
    for (const std::string& scenario : kScenarios) {
        std::vector<std::string> others = kScenarios;
        std::erase(others, scenario);
        options.forbid(scenario, others);
    }
}

void check(const ShimOptions& options) {
    options.help_or_version(kAbout);
    if (!options.has("validate-regex")) options.require("bootstrap-server");
    const bool some = options.has("group") || options.has("all-groups");
    if (options.has("describe")) {
        if (!some)
            options.usage("Option [describe] takes one of these options: [group], [all-groups]");
        if (options.has("members") + options.has("offsets") + options.has("state") > 1) {
            options.usage("Option [describe] takes at most one of these options: [members], "
                          "[offsets], [state]");
        }
        if (!options.values("state").empty())
            options.usage("Option [describe] does not take a value for [state]");
    }
    if (options.has("delete")) {
        if (!some)
            options.usage("Option [delete] takes one of these options: [group], [all-groups]");
        if (options.has("topic")) {
            options.usage("The consumer does not support topic-specific offset deletion from a "
                          "consumer group.");
        }
    }
    if (options.has("delete-offsets") && (!options.has("group") || !options.has("topic")))
        options.usage("Option [delete-offsets] takes the following options: [group], [topic]");
    if (options.has("reset-offsets")) check_reset(options);
    options.forbid("group", {"all-groups"});
    options.forbid("group", {"list"});
    options.forbid("topic", {"list", "describe"});
}

std::string capital(std::string word) {
    if (!word.empty())
        word[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
    return word;
}

std::vector<GroupListing> consumer_groups(GroupClient& groups,
                                          const std::vector<std::string>& states,
                                          const std::vector<std::string>& types) {
    std::vector<GroupListing> found;
    for (GroupListing& listing : groups.list(states, types)) {
        if (listing.protocol_type.empty() || listing.protocol_type == "consumer")
            found.push_back(std::move(listing));
    }
    std::vector<std::string> ids;
    for (const GroupListing& listing : found)
        ids.push_back(listing.id);
    const auto order = java_hash_order(ids);
    std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
        return std::find(order.begin(), order.end(), a.id) <
               std::find(order.begin(), order.end(), b.id);
    });
    return found;
}

/// The words of a filter, each once known; a usage error of the tool when one is not.
std::vector<std::string> filter_of(const ShimOptions& options, const char* name,
                                   const std::vector<std::string>& known) {
    std::vector<std::string> words;
    const std::string input = options.value(name).value_or("");
    for (std::string word : split(input, ',')) {
        std::erase(word, ' ');
        const auto same = [&](const std::string& one) {
            return one.size() == word.size() &&
                   std::equal(one.begin(), one.end(), word.begin(), [](char a, char b) {
                       return std::tolower(static_cast<unsigned char>(a)) ==
                              std::tolower(static_cast<unsigned char>(b));
                   });
        };
        const auto found = std::find_if(known.begin(), known.end(), same);
        if (found == known.end()) {
            std::string list;
            for (const std::string& one : known)
                list += (list.empty() ? "" : ", ") + one;
            options.usage(fmt::format("Invalid {0}s list '{1}'. Valid {0}s are: {2}",
                                      name, input, list));
        }
        words.push_back(*found);
    }
    return words;
}

void list(GroupClient& groups, const ShimOptions& options) {
    const bool with_type = options.has("type");
    const bool with_state = options.has("state");
    auto types = filter_of(options, "type", {"Consumer", "Classic"});
    const auto states =
        filter_of(options, "state", {"PreparingRebalance", "CompletingRebalance", "Stable", "Dead",
                                     "Empty", "Assigning", "Reconciling"});
    if (types.empty()) types = {"Classic", "Consumer"};
    const auto found = consumer_groups(groups, states, types);
    if (!with_type && !with_state) {
        for (const GroupListing& listing : found)
            std::cout << listing.id << '\n';
        return;
    }
    size_t width = 15;
    for (const GroupListing& listing : found)
        width = std::max(width, listing.id.size());
    width += 10;
    const auto row = [&](const std::string& id, const std::string& type,
                         const std::string& state) {
        std::cout << padded(id, width);
        if (with_type) std::cout << ' ' << padded(type, 20);
        if (with_state) std::cout << ' ' << padded(state, 20);
        std::cout << '\n';
    };
    row("GROUP", "TYPE", "STATE");
    for (const GroupListing& listing : found)
        row(listing.id, capital(listing.type), listing.state);
}

void remove(GroupClient& groups, const ShimOptions& options) {
    std::vector<std::string> done;
    std::map<std::string, int16_t> failed;
    const auto ids = shim_group_ids(groups, options);
    for (const std::string& id : ids) {
        const int16_t error = groups.remove(id);
        if (error == 0)
            done.push_back(id);
        else
            failed[id] = error;
    }
    const auto quoted = [](const std::vector<std::string>& names) {
        std::string text;
        for (const std::string& name : java_hash_order(names))
            text += (text.empty() ? "'" : ", '") + name + "'";
        return text;
    };
    if (failed.empty()) {
        std::cout << fmt::format(
            "Deletion of requested consumer groups ({}) was successful.\n", quoted(done));
        return;
    }
    shim_group_error("Deletion of some consumer groups failed:");
    std::vector<std::string> names;
    for (const auto& [name, error] : failed)
        names.push_back(name);
    for (const std::string& name : java_hash_order(names)) {
        std::cout << fmt::format("* Group '{}' could not be deleted due to: {}: {}\n", name,
                                 java_class(failed[name]), java_message(failed[name], ""));
    }
    if (!done.empty()) {
        std::cout << fmt::format("\nThese consumer groups were deleted successfully: {}\n",
                                 quoted(done));
    }
}

void validate_regex(const std::string& text) {
    try {
        const std::regex compiled(text);
        std::cout << fmt::format("The regular expression `{}` is valid.\n", text);
    } catch (const std::regex_error& error) {
        std::cout << fmt::format("The regular expression `{}` is invalid: {}.\n", text,
                                 error.what());
    }
}

void run(const ShimOptions& options) {
    if (options.has("validate-regex")) {
        validate_regex(*options.value("validate-regex"));
        return;
    }
    try {
        std::map<std::string, std::string> properties;
        if (const auto file = options.value("command-config"))
            properties = read_properties(*file);
        Client client(shim_context(*options.value("bootstrap-server"),
                                   static_cast<int>(*options.number("timeout")), "adminclient-1",
                                   properties));
        GroupClient groups(client);
        if (options.has("list"))
            list(groups, options);
        else if (options.has("describe"))
            shim_describe_groups(groups, options);
        else if (options.has("delete"))
            remove(groups, options);
        else if (options.has("reset-offsets"))
            shim_reset_offsets(groups, options);
        else
            shim_delete_offsets(groups, options);
    } catch (const Failure& failure) {
        shim_group_failure(failure, false);
    }
}

}  // namespace

std::vector<std::string> shim_group_ids(GroupClient& groups, const ShimOptions& options) {
    if (!options.has("all-groups")) return options.values("group");
    std::vector<std::string> ids;
    for (const GroupListing& listing : consumer_groups(groups, {}, {"Classic", "Consumer"}))
        ids.push_back(listing.id);
    return ids;
}

void shim_group_error(const std::string& message) { std::cout << "\nError: " << message << '\n'; }

void shim_group_failure(const Failure& failure, bool wrapped) {
    const std::string text =
        (wrapped ? "java.util.concurrent.ExecutionException: " : "") + java_text(failure);
    shim_group_error("Executing consumer group command failed due to " + text);
    throw ShimExit{0};
}

std::string padded(const std::string& text, size_t width) {
    size_t characters = 0;
    for (const char c : text)
        characters += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
    return characters >= width ? text : text + std::string(width - characters, ' ');
}

int shim_consumer_groups(const std::vector<std::string>& words) {
    const ShimOptions options(table(), words);
    check_available(options);
    check(options);
    constexpr const char* kActions[] = {"list",          "describe",       "delete",
                                        "reset-offsets", "delete-offsets", "validate-regex"};
    const auto actions = std::count_if(std::begin(kActions), std::end(kActions),
                                       [&](const char* action) { return options.has(action); });
    if (actions != 1) {
        options.usage("Command must include exactly one action: --list, --describe, --delete, "
                      "--reset-offsets, --delete-offsets, --validate-regex");
    }
    try {
        run(options);
    } catch (const OptionProblem& problem) {
        if (options.has("validate-regex")) options.usage(problem.message);
        // The tool reads values where it catches everything, and ends with 0.
        shim_group_error("Executing consumer group command failed due to " + problem.message);
    }
    return 0;
}

}  // namespace millrace::cli
