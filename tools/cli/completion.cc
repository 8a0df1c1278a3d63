// tools/cli/completion.cc: `completion bash|zsh|fish`, and the words those scripts ask for.
//
// The scripts know nothing themselves: they ask `millrace __complete WORD...`, where the last word
// is the one being typed. Names of topics, groups and transactions are asked of the cluster with a
// short limit; silence is fine.
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include <iostream>
#include <map>

#include "cli/group_client.h"
#include "cli/output.h"
#include "cli/txn_client.h"
#include "millrace/base/nearest.h"

namespace millrace::cli {
namespace {

constexpr int kLiveLimitMs = 300;

constexpr const char* kBash = R"(_millrace() {
    local IFS=$'\n'
    COMPREPLY=($(millrace __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _millrace millrace
)";
constexpr const char* kZsh = R"(#compdef millrace
_millrace() {
    local -a candidates
    candidates=("${(@f)$(millrace __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -- $candidates
}
compdef _millrace millrace
)";
constexpr const char* kFish = R"(function __millrace_complete
    set -l words (commandline -opc) (commandline -ct)
    millrace __complete -- $words[2..-1] 2>/dev/null
end
complete -c millrace -f -a '(__millrace_complete)'
)";

/// Commands whose positional is the name of a topic that exists.
bool wants_topic(const CLI::App& app) {
    const std::string parent = app.get_parent() != nullptr ? app.get_parent()->get_name() : "";
    const std::string name = app.get_name();
    if (parent == "topic") return name != "list" && name != "create";
    return name == "consume" || name == "produce";
}

/// Commands whose positional is the name of a group, or a transactional id.
bool below(const CLI::App& app, const char* parent) {
    return app.get_parent() != nullptr && app.get_parent()->get_name() == parent &&
           app.get_name() != "list" && app.get_name() != "find-hanging";
}

void add_topics(Client& client, std::vector<std::string>& words) {
    for (const auto& topic : client.metadata(std::nullopt).topics)
        words.push_back(topic.name.value_or(""));
}

/// Names that only the cluster knows; silent when nobody is there.
void add_live_names(const CLI::App& app, bool group_wanted, Context context,
                    std::vector<std::string>& words) {
    context.timeout_ms = kLiveLimitMs;
    try {
        Client client(context);
        if (group_wanted || below(app, "group")) {
            for (const GroupListing& group : GroupClient(client).list())
                words.push_back(group.id);
        } else if (below(app, "txn")) {
            for (const TxnListing& txn : list_transactions(client, {}))
                words.push_back(txn.id);
        } else if (wants_topic(app)) {
            add_topics(client, words);
        }
    } catch (const Failure&) {
        // Nobody is there: no names.
    }
}

}  // namespace

std::vector<std::string> complete(CLI::App& root, const std::vector<std::string>& words) {
    CLI::App* app = &root;
    for (size_t i = 0; i + 1 < words.size(); ++i) {
        if (CLI::App* next = find_command(*app, words[i])) app = next;
    }
    const std::string typed = words.empty() ? "" : words.back();
    std::vector<std::string> candidates;
    if (typed.starts_with("-")) {
        for (const CLI::Option* option : app->get_options()) {
            for (const std::string& name : option->get_lnames())
                candidates.push_back("--" + name);
        }
    } else {
        for (const CLI::App* sub : app->get_subcommands(nullptr)) {
            if (!sub->get_group().empty()) candidates.push_back(sub->get_name());
        }
        if (app->get_name() == "completion") candidates = {"bash", "zsh", "fish"};
        const std::string before = words.size() < 2 ? "" : words[words.size() - 2];
        const bool group_wanted =
            app->get_name() == "consume" && (before == "-g" || before == "--group");
        if (group_wanted || wants_topic(*app) || below(*app, "group") || below(*app, "txn")) {
            Context context;
            if (const char* server = std::getenv("MILLRACE_BOOTSTRAP")) context.bootstrap = server;
            for (size_t i = 0; i + 1 < words.size(); ++i) {
                if (words[i] == "-b" || words[i] == "--bootstrap-server") {
                    context.bootstrap = words[i + 1];
                }
            }
            add_live_names(*app, group_wanted, context, candidates);
        }
    }
    std::erase_if(candidates, [&](const std::string& c) { return !c.starts_with(typed); });
    return candidates;
}

void add_completion(CLI::App& root, Context& context) {
    CLI::App* command = root.add_subcommand("completion", "script for bash, zsh or fish");
    auto shell = std::make_shared<std::string>();
    command->add_option("shell", *shell, "bash, zsh or fish")->required();
    add_output_option(*command, context);
    command->callback([&context, shell] {
        const std::map<std::string, const char*> scripts = {
            {"bash", kBash}, {"zsh", kZsh}, {"fish", kFish}};
        const auto script = scripts.find(*shell);
        if (script == scripts.end()) {
            throw Failure{kUsage, fmt::format("no script for '{}'", *shell), "bash, zsh or fish"};
        }
        if (!context.json()) {
            std::cout << script->second;
        } else {
            print_items("CompletionScript",
                        Json::array({{{"shell", *shell}, {"script", script->second}}}));
        }
    });

    CLI::App* words = root.add_subcommand("__complete", "")->group("");
    auto typed = std::make_shared<std::vector<std::string>>();
    words->add_option("words", *typed, "");
    words->callback([&root, typed] {
        for (const std::string& word : complete(root, *typed))
            std::cout << word << '\n';
    });
}

}  // namespace millrace::cli
